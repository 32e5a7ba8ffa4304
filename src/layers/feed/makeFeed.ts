import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Latch from "effect/Latch"
import { InvalidRange, KeyspaceNotFound } from "../../domain/errors.ts"
import { Damage } from "../../domain/failures.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { droppedRowsFrom, droppedRowsTo } from "../../domain/keys/droppedRows.ts"
import { keyBounds } from "../../domain/keys/KeyBounds.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { ChangesOptions } from "../../services/Changes.ts"
import type { DatabaseShape, Keyspace } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { Wal } from "../../services/Wal.ts"
import { supervise } from "../jobs/supervise.ts"
import { keyspaceNameBytes } from "../keyspaceNames.ts"
import { openSegment } from "../recovery/scanLog.ts"
import type { ReadParts, ReadTarget } from "../reading/makeReads.ts"
import { ChangeDecoder } from "./ChangeDecoder.ts"
import { changesError, followLog, type FollowParts, openReader } from "./followLog.ts"
import { KeyspaceNames } from "./KeyspaceNames.ts"
import { LogPositions } from "./LogPositions.ts"
import type { SegmentFile } from "./LogReader.ts"
import { makeCursors } from "./makeCursors.ts"
import { makeWatch } from "./makeWatch.ts"
import { systemRows } from "./systemRows.ts"

export interface FeedParts {
  readonly reads: ReadParts
  readonly disk: Disk["Service"]
  readonly directory: string
  readonly options: ResolvedOptions
  readonly clock: EngineClock["Service"]
  readonly catalog: Catalog["Service"]
  readonly health: HealthMonitor["Service"]
  readonly manifest: Manifest["Service"]
  readonly transactions: TransactionManager["Service"]
  readonly wal: Wal["Service"]
  readonly checkOpen: () => void
  /** Where reads of the present read. */
  readonly latest: (keyspace: number, name: string) => ReadTarget
}

export interface Feed {
  readonly changes: DatabaseShape["changes"]
  readonly createCursor: DatabaseShape["createCursor"]
  readonly advanceCursor: DatabaseShape["advanceCursor"]
  readonly dropCursor: DatabaseShape["dropCursor"]
  readonly cursors: DatabaseShape["cursors"]
  readonly watch: (keyspace: number, name: string) => Keyspace["watch"]
  /** Drops what is kept of the log and no longer needed, now and whenever somebody lets go of some; and, when the scope closes, ends all streams. */
  readonly start: Effect.Effect<void, never, Scope.Scope>
}

const optionNames = ["from", "keyspace", "prefix", "live", "cursor"]

/** Throws `InvalidRange`, `InvalidKeyspaceName`. */
export const checkOptions = (given: unknown): { readonly wanted: ChangesOptions; readonly prefix: Uint8Array | undefined } => {
  if (given === undefined) return { wanted: {}, prefix: undefined }
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new InvalidRange({ detail: `the options of changes are ${describeType(given)}. Use an object such as { from: 1 }.` })
  }
  const wanted: ChangesOptions = given
  for (const name in wanted) {
    if (!optionNames.includes(name))
      throw new InvalidRange({ detail: `${JSON.stringify(name)} is not an option of changes; use ${optionNames.join(", ")}.` })
  }
  const { cursor, from, keyspace, live } = wanted
  if (from !== undefined && !(Number.isSafeInteger(from) && from >= 0))
    throw new InvalidRange({ detail: "from must be a sequence: a whole number, 0 or more." })
  if (from !== undefined && cursor !== undefined) throw new InvalidRange({ detail: "it has both from and cursor. Keep one of them." })
  if (live !== undefined && typeof live !== "boolean") throw new InvalidRange({ detail: `live is ${describeType(live)}. Use true or false.` })
  if (keyspace !== undefined && keyspace !== "default") keyspaceNameBytes(keyspace)
  const { lower } = keyBounds({ prefix: wanted.prefix })
  return { wanted, prefix: lower }
}

export const makeFeed = (parts: FeedParts): Feed => {
  const { catalog, checkOpen, clock, directory, disk, health, manifest, wal } = parts
  const { log } = wal
  const positions = new LogPositions(wal, manifest)
  const names = new KeyspaceNames(catalog, () => systemRows(parts, droppedRowsFrom, droppedRowsTo))
  const openNamed = (fileId: number): SegmentFile => {
    const state = manifest.state()
    const meta = state.segments.get(fileId)
    if (meta === undefined) throw new Damage(`${directory}/${fileName("log", fileId)}`, 0, "Missing", "the manifest does not name this log segment")
    const file = openSegment(disk.sync, directory, state, meta)
    return { ...file, close: () => file.handle.close() }
  }
  const follow: FollowParts = { disk, log, positions, openSegment: openNamed, readers: new Set(), readersMax: parts.options.maxTransactions }
  const someLess = Latch.makeUnsafe(true)
  const cursors = makeCursors(parts, positions, () => someLess.openUnsafe())

  const changes: DatabaseShape["changes"] = (options) =>
    followLog(follow, changesError, () => {
      checkOpen()
      const { prefix, wanted } = checkOptions(options)
      const { cursor, from, keyspace } = wanted
      if (keyspace !== undefined && !names.isKnown(keyspace)) throw new KeyspaceNotFound({ name: keyspace })
      const held = cursor === undefined ? undefined : cursors.find(cursor)
      const visible = positions.visible()
      const start = positions.start(held?.next ?? from ?? visible + 1)
      return {
        reader: openReader(follow, start),
        decoder: new ChangeDecoder(names, { keyspace, prefix }),
        check: () => {
          checkOpen()
          held?.check()
        },
        until: wanted.live === false ? visible : Infinity
      }
    })

  const dropUnneeded = Effect.gen(function* () {
    let dropped: ReadonlyArray<number> = []
    yield* manifest.commit(
      (state) => {
        dropped = log.droppable(state.flushedThrough.sequence, clock.nowMs()).filter((id) => state.segments.get(id)?.sealed !== undefined)
        return dropped.length === 0 ? undefined : { removeSegments: dropped }
      },
      () => log.forget(dropped)
    )
    for (const id of dropped) yield* Effect.ignore(disk.remove(`${directory}/${fileName("log", id)}`))
    if (dropped.length > 0) parts.transactions.roomChanged()
  })

  /** A manifest that cannot be written any more refuses everything else too: what is kept stays for the next open. */
  const keeper = (progressed: () => void) =>
    Effect.gen(function* () {
      someLess.openUnsafe()
      while (true) {
        yield* someLess.await
        someLess.closeUnsafe()
        yield* dropUnneeded
        progressed()
      }
    }).pipe(Effect.ignore)

  return {
    changes,
    createCursor: cursors.create,
    advanceCursor: cursors.advance,
    dropCursor: cursors.drop,
    cursors: cursors.list,
    watch: makeWatch(parts, follow, positions),
    start: Effect.gen(function* () {
      cursors.load()
      const fiber = yield* Effect.forkScoped(supervise({ health, retry: parts.options.retry }, "keeper of the log", "lesser", keeper))
      health.onFailed(Fiber.interrupt(fiber))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const reader of follow.readers) reader.close()
          log.moved()
        })
      )
    })
  }
}
