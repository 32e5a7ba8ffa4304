/**
 * The reaper: turns values whose time has come into `expire` records, which readers of the change feed see and which let compaction drop the values. Reads do not wait for it:
 * they look at the time themselves.
 *
 * It walks the rows of the expiry keyspace in the order of time, at most `rowsPerCommit` (and `rowBytesPerCommit`) for one commit. A row speaks of one version of one key; where
 * the key has another version by now (or none), only the row goes. Whether that changed between the look and the commit is asked in the commit turn, and what did is left for the next look.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { Slab } from "../domain/bytes/Slab.ts"
import { MalformedBytes } from "../domain/bytes/varint.ts"
import { type BatchError, type FileReadError, fromReadFailure } from "../domain/errors.ts"
import { decodeExpiryRow, expiryRowsFrom } from "../domain/keys/expiryRows.ts"
import { keyHash } from "../domain/keys/keyHash.ts"
import { keyspaceSeed } from "../domain/keys/keyspaceSeed.ts"
import { expiryKeyspace } from "../domain/keys/kinds.ts"
import { decodeValuePointer } from "../domain/values/ValuePointer.ts"
import { Breakers } from "../services/Breakers.ts"
import { Catalog } from "../services/Catalog.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Memtables } from "../services/Memtables.ts"
import { Tables } from "../services/Tables.ts"
import { TransactionManager } from "../services/TransactionManager.ts"
import { Turns } from "../services/Turns.ts"
import { type CommitError, Wal } from "../services/Wal.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { makeJobRetries } from "./jobs/jobRetries.ts"
import { supervise } from "./jobs/supervise.ts"
import { PointReader, PointState } from "./reading/PointReader.ts"
import { RangeReader } from "./reading/RangeReader.ts"
import type { View } from "./reading/View.ts"

const rowsPerCommit = 1000
/** Nor more than this of keys, or than a batch may hold: keys may be long. Nor of the values, beyond the first, where they go into the log as before-images. */
const rowBytesPerCommit = 1 << 20
/** The wall clock may be set forward while it sleeps, and engine time with it. */
const sleepMsMax = 60_000
const condition = "expiry"
/** A time at which nothing has expired yet: for the reaper, what has is still there. */
const beforeAll = 0

type ReapError = BatchError | CommitError | FileReadError

/** Rows as they were read. */
interface DueRows {
  readonly rows: ReadonlyArray<Uint8Array>
  /** The first row that is not due; undefined where there is none, or where as many as one commit takes came before it. */
  readonly following: Uint8Array | undefined
}

/** What the reaper does about one row. */
interface Reaping {
  readonly row: Uint8Array
  readonly expiresAt: number
  readonly keyspace: number
  readonly key: Uint8Array
  readonly hash: number
  /** The version that has expired; 0 where only the row goes. */
  readonly version: number
}

const make = Effect.gen(function* () {
  const options = yield* EngineOptions
  const { batchBytesMax } = options
  const breakers = yield* Breakers
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const manifest = yield* Manifest
  const memtables = yield* Memtables
  const tables = yield* Tables
  const catalog = yield* Catalog
  const transactions = yield* TransactionManager
  const wal = yield* Wal
  const turns = yield* Turns
  const actor = (yield* Watchdog).actor("expiry reaper", "waits")

  const { hashSeed } = manifest.state()
  const bytesPerCommit = Math.min(rowBytesPerCommit, batchBytesMax)
  const point = new PointReader(tables)
  const slab = new Slab()
  const woken = Latch.makeUnsafe(false)
  /** No row that is not reaped expires before this; `Infinity` where there is none at all. */
  let next = 0
  /** Nor does one stand before this row: what was reaped stays as deletes, and is not walked again. */
  let resume: Uint8Array | undefined

  transactions.onExpiring((expiresAt) => {
    // At the same time its row may stand before the one to go on from.
    if (expiresAt > next || (expiresAt === next && resume === undefined)) return
    next = expiresAt
    resume = undefined
    // Opening runs who waits, and this is in the middle of a commit turn.
    turns.afterStep(() => woken.openUnsafe())
  })

  /** Where to go on, unless what was put meanwhile expires earlier. */
  const goOn = (row: Uint8Array) => {
    const { expiresAt } = decodeExpiryRow(row)
    if (expiresAt >= next) return
    next = expiresAt
    resume = row
  }

  /** The present, with all it reads from pinned until the scope closes; writes after it can be told in the commit turn. */
  const pinned = Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const version = tables.pin()
        const ends = [() => tables.unpin(version), memtables.hold(), transactions.keepValidation(wal.visibleSequence())]
        const view: View = { memtables: memtables.all(), version, sequence: wal.visibleSequence(), timeMs: beforeAll }
        return { view, ends }
      }),
      ({ ends }) =>
        Effect.sync(() => {
          for (const end of ends) end()
        })
    ),
    ({ view }) => view
  )

  const readRows = (view: View, lower: Uint8Array, nowMs: number): Effect.Effect<DueRows, FileReadError> =>
    Effect.gen(function* () {
      const rows: Array<Uint8Array> = []
      let bytes = 0
      const reader = yield* reading(
        () => new RangeReader(tables, view, expiryKeyspace, { lower, upper: undefined, reverse: false, limit: rowsPerCommit + 1 })
      )
      /** As far as that goes without reading. */
      const take = (first: "entry" | "end" | "pending"): DueRows | undefined => {
        for (let state = first; state !== "pending"; state = reader.advance(false)) {
          if (state === "end") return { rows, following: undefined }
          const row = reader.key(slab)
          bytes += row.length
          if (rows.length === rowsPerCommit || (rows.length > 0 && bytes > bytesPerCommit) || decodeExpiryRow(row).expiresAt > nowMs)
            return { rows, following: row }
          rows.push(row)
        }
        return undefined
      }
      let taken = yield* reading(() => take(reader.advance(false)))
      while (taken === undefined) {
        const { need, slot } = reader.pending!
        const block = yield* Effect.mapError(tables.readLeafPooled(slot, need.leaf, reader.keepsBlock()), fromReadFailure)
        taken = yield* reading(() => take(reader.supply(block, false)))
      }
      return taken
    })

  /** What the keys of the rows have as their newest versions, expired or not; of the first rows only, where one commit is not to hold the values of all. */
  const look = (view: View, rows: ReadonlyArray<Uint8Array>): Effect.Effect<ReadonlyArray<Reaping>, FileReadError> =>
    Effect.gen(function* () {
      const reapings: Array<Reaping> = []
      let imageBytes = 0
      /** Blocks for the row at hand. */
      const brought = new Map<string, Uint8Array>()
      /** As far as that goes without reading: where to, if not to the end. */
      const lookOn = () => {
        for (let i = reapings.length; i < rows.length; i++) {
          const row = rows[i]!
          const { expiresAt, key, keyspace } = decodeExpiryRow(row)
          const hash = keyHash(keyspaceSeed(hashSeed, keyspace), key, 0, key.length)
          let version = 0
          if (catalog.exists(keyspace)) {
            const state = point.lookup(view, keyspace, hash, key, 0, key.length, false, brought)
            if (state === PointState.pending) return { slot: point.slot!, leaf: point.leaf }
            if (state !== PointState.missing && point.expiresAt === expiresAt) {
              version = point.sequence
              if (catalog.beforeImages(keyspace)) imageBytes += valueLength(point, state)
              if (imageBytes > bytesPerCommit && reapings.length > 0) return undefined
            }
          }
          reapings.push({ row, expiresAt, keyspace, key, hash, version })
          brought.clear()
        }
        return undefined
      }
      for (let stop = yield* reading(lookOn); stop !== undefined; stop = yield* reading(lookOn)) {
        const block = yield* Effect.mapError(tables.readLeafPooled(stop.slot, stop.leaf, true), fromReadFailure)
        brought.set(`${stop.slot.meta.fileId}/${stop.leaf}`, block)
      }
      return reapings
    })

  /** Returns the first of those whose key was written since they were looked at: its row may be a newer one by now. */
  const commit = (seen: number, reapings: ReadonlyArray<Reaping>): Effect.Effect<Reaping | undefined, ReapError> =>
    Effect.suspend(() => {
      let left: Reaping | undefined
      const committed = transactions.commit({
        keyspace: undefined,
        options: { durability: "buffered" },
        frees: true,
        fill: (batch) => {
          left = undefined
          for (const reaping of reapings) {
            const { expiresAt, hash, key, keyspace, version } = reaping
            if (transactions.newestOfKey(keyspace, hash, key, 0, key.length, seen) !== 0) left ??= reaping
            else {
              if (version !== 0 && catalog.exists(keyspace)) batch.addExpire(keyspace, key, expiresAt, version)
              batch.addExpiryRowDelete(expiresAt, keyspace, key)
            }
          }
          batch.finish()
        }
      })
      return Effect.map(committed, () => left)
    })

  /** One commit's worth of what is due. */
  const reap: Effect.Effect<void, ReapError> = Effect.suspend(() => {
    const from = next
    const lower = resume ?? expiryRowsFrom(from)
    // What is sequenced by now must be seen by the view; what comes from now on says so again.
    next = Infinity
    resume = undefined
    actor.begin("the removal of", "expired values")
    return Effect.gen(function* () {
      yield* wal.awaitVisible(wal.nextSequence() - 1)
      const view = yield* pinned
      const { following, rows } = yield* readRows(view, lower, clock.nowMs())
      if (rows.length > 0) {
        const reapings = yield* look(view, rows)
        const left = yield* commit(view.sequence, reapings)
        if (left !== undefined) return goOn(left.row)
        const cut = rows[reapings.length]
        if (cut !== undefined) return goOn(cut)
      }
      if (following !== undefined) goOn(following)
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.sync(() => actor.end())),
      Effect.onError(() =>
        Effect.sync(() => {
          if (from > next) return
          next = from
          resume = undefined
        })
      )
    )
  })

  const retries = makeJobRetries<ReapError>({ health, breakers, retry: options.retry }, condition, () => {}, "expired values cannot be removed")

  const loop = (progressed: () => void) =>
    Effect.gen(function* () {
      for (;;) {
        woken.closeUnsafe()
        const waitMs = next - clock.nowMs()
        if (waitMs === Infinity) yield* woken.await
        else if (waitMs > 0) yield* Effect.raceFirst(Effect.sleep(Math.min(waitMs, sleepMsMax)), woken.await)
        else {
          yield* retries.run(reap)
          progressed()
          // Whole days of values may be due at once: others go first.
          yield* Effect.yieldNow
        }
      }
      // Repeated for as long as it may pass: what ends it is that writes are refused for good, and so is reaping.
    }).pipe(Effect.ignore)
  const fiber = yield* Effect.forkScoped(supervise({ health, retry: options.retry }, "expiry reaper", "lesser", loop))
  health.onFailed(Fiber.interrupt(fiber))
})

/** Of the value that was found. */
const valueLength = (point: PointReader, state: PointState): number => {
  if (state !== PointState.pointer) return point.end - point.start
  try {
    return decodeValuePointer(point.bytes, point.start, point.end).rawLength
  } catch (cause) {
    // Whoever reads the value says what is wrong with it.
    if (cause instanceof MalformedBytes) return 0
    throw cause
  }
}

/** What reading throws, as its public error. */
const reading = <A>(read: () => A): Effect.Effect<A, FileReadError> => Effect.try({ try: read, catch: fromReadFailure })

export const layer: Layer.Layer<
  never,
  never,
  Breakers | EngineOptions | EngineClock | HealthMonitor | Manifest | Memtables | Tables | Catalog | TransactionManager | Wal | Watchdog
> = Layer.effectDiscard(make)
