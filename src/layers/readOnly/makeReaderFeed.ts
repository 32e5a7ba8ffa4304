import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { CursorNotFound, HistoryDiverged, KeyspaceNotFound } from "../../domain/errors.ts"
import { Damage } from "../../domain/failures.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { cursorRowsFrom, cursorRowsTo, decodeCursor, nameInCursorRowKey } from "../../domain/keys/cursorRows.ts"
import { droppedRowsFrom, droppedRowsTo } from "../../domain/keys/droppedRows.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { ChangesOptions, CursorInfo } from "../../services/Changes.ts"
import type { DatabaseShape, Keyspace } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { LogPin } from "../../services/LogView.ts"
import { ChangeDecoder } from "../feed/ChangeDecoder.ts"
import { changesError, followLog, type FollowParts, openReader } from "../feed/followLog.ts"
import { KeyspaceNames } from "../feed/KeyspaceNames.ts"
import { LogPositions } from "../feed/LogPositions.ts"
import { checkOptions } from "../feed/makeFeed.ts"
import { makeWatch, type WatchParts } from "../feed/makeWatch.ts"
import { systemRows } from "../feed/systemRows.ts"
import { listError } from "../reading/thrownErrors.ts"
import { FollowedLog } from "./FollowedLog.ts"
import { NameDecoder } from "./NameDecoder.ts"

/** How long a reader that has come to the end of the log waits before it looks again. */
export const lookEveryMs = 100

export interface ReaderFeedParts extends WatchParts {
  readonly disk: Disk["Service"]
  readonly directory: string
  /** How much log that the writer has let go of may be held for slow readers. */
  readonly heldBytesMax: number
  /** How many streams may be open at once. */
  readonly readersMax: number
  /** As the open, or the last refresh, found them. */
  readonly state: () => ManifestState
  readonly sequence: () => number
  readonly catalog: () => Pick<Catalog["Service"], "droppedIds" | "idOf" | "nameOf">
}

export interface ReaderFeed {
  readonly changes: DatabaseShape["changes"]
  readonly cursors: DatabaseShape["cursors"]
  readonly watch: (keyspace: number, name: string) => Keyspace["watch"]
  /** Looks at the log every {@link lookEveryMs} while somebody follows it; when the scope closes, ends all streams. */
  readonly start: Effect.Effect<void, never, Scope.Scope>
}

interface ReadCursor extends CursorInfo {
  readonly lineageId: Uint8Array
}

/**
 * The change feed of a read-only open: history is what the log held when the database was opened or refreshed, live is what it is found to hold since. It shows what the writer has
 * handed to the log, which may be a moment ahead of what it has acknowledged, and follows the log by itself: reads stay at the moment of the last refresh.
 */
export const makeReaderFeed = (parts: ReaderFeedParts): ReaderFeed => {
  const { catalog, checkOpen, directory, disk } = parts
  const isFollowed = Latch.makeUnsafe(false)
  const log = new FollowedLog(disk.sync, directory, parts.state(), parts.heldBytesMax, (is) => {
    if (is) isFollowed.openUnsafe()
    else isFollowed.closeUnsafe()
  })
  const positions = new LogPositions({ log, nextSequence: log.nextSequence, visibleSequence: log.visibleSequence }, { state: () => log.state })
  const follow: FollowParts = { disk, log, positions, openSegment: log.openSegment, readers: new Set(), readersMax: parts.readersMax }
  // What was found out of a name stays true over a refresh.
  const names = new KeyspaceNames(
    { nameOf: (id) => catalog().nameOf(id), idOf: (name) => catalog().idOf(name), droppedIds: () => catalog().droppedIds() },
    () => systemRows(parts, droppedRowsFrom, droppedRowsTo)
  )

  /** As of the last refresh. Throws `Damage`, `IoFailure`. */
  const readCursors = (): ReadonlyArray<ReadCursor> =>
    systemRows(parts, cursorRowsFrom, cursorRowsTo).map(({ key, value }) => {
      const cursor = decodeCursor(value)
      if (cursor === undefined) throw new Damage(directory, 0, "Malformed", "keyspace 0 holds a cursor that is none")
      return { name: decodeText(nameInCursorRowKey(key)), ...cursor }
    })

  const cursorAt = (name: string): number => {
    const cursor = readCursors().find((one) => one.name === name)
    if (cursor === undefined) throw new CursorNotFound({ name })
    if (compareBytes(cursor.lineageId, parts.state().lineageId) !== 0) {
      throw new HistoryDiverged({ sequence: cursor.next, detail: `the cursor ${JSON.stringify(name)} was made in the database this is a copy of` })
    }
    return cursor.next
  }

  const check = () => {
    checkOpen()
    log.check()
  }

  /** Where the stream begins, after a look at the log. Throws. */
  const begin = (options: ChangesOptions | undefined) => {
    checkOpen()
    const { prefix, wanted } = checkOptions(options)
    const { cursor, from, keyspace, live = true } = wanted
    if (keyspace !== undefined && !names.isKnown(keyspace)) throw new KeyspaceNotFound({ name: keyspace })
    const seen = parts.sequence()
    const next = cursor === undefined ? (from ?? seen + 1) : cursorAt(cursor)
    log.look()
    const start = positions.start(next)
    if (!live && log.visibleSequence() < seen) {
      throw new HistoryDiverged({ sequence: seen, detail: `the log ends with ${log.visibleSequence()}: what came after it was lost in a crash` })
    }
    return { start, seen, live, filter: { keyspace, prefix } }
  }

  const changes: DatabaseShape["changes"] = (options) =>
    // What is found out when it begins is that of one run of the stream.
    Stream.suspend(() => {
      let begun: ReturnType<typeof begin> | undefined
      /** Keeps what will be shown while names are learned. */
      let pin: LogPin | undefined
      // Keyspaces that were made after the last refresh are known by the log only: it is read from there, for a stream that begins later.
      const learned = followLog(follow, changesError, () => {
        begun = begin(options)
        const { seen, start } = begun
        const from = Math.max(positions.afterLost(seen + 1), positions.oldest())
        pin = log.pin(start, () => undefined)
        return { reader: openReader(follow, Math.min(start, from)), decoder: new NameDecoder(names), check, until: start - 1 }
      })
      const shown = followLog(follow, changesError, () => {
        const { filter, live, seen, start } = begun ?? begin(options)
        // It may have been too much to be kept.
        const reader = openReader(follow, positions.start(start))
        pin?.release()
        return { reader, decoder: new ChangeDecoder(names, filter), check, until: live ? Infinity : seen }
      })
      return Stream.ensuring(
        Stream.concat(learned, shown),
        Effect.sync(() => pin?.release())
      )
    })

  const lookedAt: WatchParts["latest"] = (keyspace, name) => {
    checkOpen()
    log.look()
    return parts.latest(keyspace, name)
  }

  const poll = Effect.gen(function* () {
    while (true) {
      yield* isFollowed.await
      yield* Effect.sleep(lookEveryMs)
      yield* Effect.sync(() => {
        try {
          log.look()
        } catch {
          // Those who follow the log are told, whatever it is; and the next look may succeed.
        }
      })
    }
  })

  return {
    changes,
    cursors: Effect.suspend(() => {
      try {
        checkOpen()
        return Effect.succeed(readCursors().map(({ name, next }): CursorInfo => ({ name, next })))
      } catch (cause) {
        return Effect.fail(listError(cause))
      }
    }),
    watch: makeWatch({ ...parts, checkOpen: check, latest: lookedAt }, follow, positions),
    start: Effect.gen(function* () {
      yield* Effect.forkScoped(poll)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const reader of follow.readers) reader.close()
          log.close()
        })
      )
    })
  }
}
