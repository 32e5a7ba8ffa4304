import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { DatabaseClosed, DatabaseFailed, DatabasePoisoned, DiskFull, LockLost, type FlushError } from "../domain/errors.ts"
import { Damage } from "../domain/failures.ts"
import { fileName } from "../domain/manifest/fileNames.ts"
import type { Memtable } from "../domain/memtable/Memtable.ts"
import { Breakers } from "../services/Breakers.ts"
import { Catalog } from "../services/Catalog.ts"
import { Compactor } from "../services/Compactor.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Flusher } from "../services/Flusher.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"
import { Retention } from "../services/Retention.ts"
import { Tables } from "../services/Tables.ts"
import { TransactionManager } from "../services/TransactionManager.ts"
import { Wal } from "../services/Wal.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { Workers } from "../services/Workers.ts"
import { historyFrom, keepVersions, outputPolicy, reliedDrops } from "./jobs/jobInputs.ts"
import { watchedJob } from "./jobs/watchedJob.ts"
import { jobError, makeJobRetries } from "./jobs/jobRetries.ts"
import { supervise } from "./jobs/supervise.ts"

interface Waiter {
  /** The highest sequence that must be in tables. */
  readonly sequence: number
  readonly answer: (answer: Effect.Effect<void, FlushError>) => void
}

const condition = "flush"

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const breakers = yield* Breakers
  const manifest = yield* Manifest
  const memtables = yield* Memtables
  const tables = yield* Tables
  const catalog = yield* Catalog
  const retention = yield* Retention
  const transactions = yield* TransactionManager
  const wal = yield* Wal
  const workers = yield* Workers
  const compactor = yield* Compactor
  const watchdog = yield* Watchdog
  const { directory } = yield* Recovery

  const stats = { count: 0, bytes: 0 }
  const work = Latch.makeUnsafe(true)
  let waiters: Array<Waiter> = []
  let ended: FlushError | undefined
  memtables.onFreeze(() => work.openUnsafe())

  /** Answers all who wait. */
  const fail = (error: FlushError) => {
    const waiting = waiters
    waiters = []
    for (const waiter of waiting) waiter.answer(Effect.fail(error))
  }
  // Memtables are flushed in order: where one lasts to fail, all wait in vain. They are told, and the job goes on being tried.
  const retries = makeJobRetries({ health, breakers, retry: options.retry }, condition, (error) => fail(jobError("flush", error)))

  const release = (flushed: number) => {
    const rest: Array<Waiter> = []
    for (const waiter of waiters) {
      if (waiter.sequence <= flushed) waiter.answer(Effect.void)
      else rest.push(waiter)
    }
    waiters = rest
  }

  const end = (cause: unknown) => {
    ended ??=
      cause instanceof DatabasePoisoned ||
      cause instanceof DatabaseClosed ||
      cause instanceof DatabaseFailed ||
      cause instanceof LockLost ||
      cause instanceof DiskFull
        ? cause
        : new DatabasePoisoned({ detail: cause instanceof Error ? cause.message : String(cause), cause })
    // Nobody makes room any more: writers that need some must be told, even where the log itself could go on.
    if (ended instanceof DatabasePoisoned) health.degrade(condition, `flushing has ended: ${ended.message}`)
    fail(ended)
    transactions.roomChanged()
  }

  /** Tables for one memtable. A failed job leaves orphans, and is run again as a new one with new ids; the memtable and the log still hold everything. */
  const build = (memtable: Memtable) =>
    Effect.gen(function* () {
      const outputIds = yield* manifest.takeFileIds(16)
      const snapshots = transactions.stripes()
      const history = retention.begin(snapshots[snapshots.length - 1]!, undefined)
      const spec = {
        memtables: [memtable.buffer],
        snapshots,
        horizons: history.horizons,
        nowMs: clock.nowMs(),
        outputIds,
        policy: outputPolicy(options, manifest.state())
      }
      const file = `${directory}/${fileName("table", outputIds[0]!)}`
      const result = yield* watchedJob(watchdog, "flusher", "its job that begins with", file, (progress) => workers.flush(directory, spec, progress))
      return { result, history, visible: snapshots[snapshots.length - 1]! }
    }).pipe(retries.run)

  const flushOne = (memtable: Memtable) =>
    Effect.gen(function* () {
      const sequence = memtable.highestSequence
      // The job and the log's sync go on side by side; a job ends with this fiber, and its outputs with it.
      const job = yield* Effect.forkChild(build(memtable), { startImmediately: true })
      // No named table may hold what nobody can see yet, or what the log does not durably hold: a crash would bring back half a commit order. So the edit waits for both.
      yield* Effect.gen(function* () {
        yield* wal.awaitVisible(sequence)
        yield* wal.ensureDurable(sequence)
        // This fiber may live on: the job must not do so without it.
      }).pipe(Effect.onError(() => Fiber.interrupt(job)))
      const { history, result, visible } = yield* Fiber.join(job)
      let dropped: ReadonlyArray<number> = []
      const commit = manifest.commit(
        (state) => {
          dropped = wal.log.droppable(sequence, clock.nowMs()).filter((id) => state.segments.get(id)?.sealed !== undefined)
          return {
            addTables: result.tables,
            addValueFiles: result.valueFiles,
            flushedThrough: { sequence, position: wal.positionAfter(sequence) },
            historyFrom: historyFrom(state, history, result.tables, catalog),
            keepVersions: keepVersions(state, history, result.tables),
            dropKeyspaces: reliedDrops(state, history, visible, sequence),
            removeSegments: dropped
          }
        },
        (state) => {
          // One synchronous step: a reader finds the data in the memtable or in the table, never in neither.
          tables.install(state)
          memtables.drop(memtable)
          wal.log.forget(dropped)
        }
      )
      // Refused for want of space it is tried again, as the job is.
      yield* retries.run(commit)
      stats.count++
      stats.bytes += result.stats.bytesWritten
      transactions.roomChanged()
      release(sequence)
      compactor.nudge()
      for (const id of dropped) yield* Effect.ignore(disk.remove(`${directory}/${fileName("log", id)}`))
      if (dropped.length > 0) transactions.roomChanged()
    })

  /** Ends only where the database refuses writes. A flush cannot be left out: one that dies is repeated, until it cannot be. */
  const loop = (progressed: () => void) =>
    Effect.gen(function* () {
      // Who starts again after a death has not been woken for what is left.
      work.openUnsafe()
      while (true) {
        yield* work.await
        work.closeUnsafe()
        for (let memtable = memtables.oldestFrozen(); memtable !== undefined; memtable = memtables.oldestFrozen()) {
          yield* flushOne(memtable)
          progressed()
        }
      }
    }).pipe(
      // A flush reads nothing but its memtable: damage there is a broken rule of ours, like every other defect.
      Effect.catch((error) => (error instanceof Damage ? Effect.die(error) : Effect.sync(() => end(error))))
    )
  const actor = supervise({ health, retry: options.retry }, "flusher", "vital", loop).pipe(
    Effect.ensuring(Effect.sync(() => end(health.failed() ?? new DatabaseClosed({}))))
  )
  // At once: a scope that closes before a deferred start would never tell those who wait for a flush.
  const fiber = yield* Effect.forkScoped(actor, { startImmediately: true })
  health.onFailed(Fiber.interrupt(fiber))

  /** Resolves when the sequence is in tables. */
  const flushed = (sequence: number) =>
    Effect.callback<void, FlushError>((resume) => {
      // Freezing wakes the loop in place: it may be done by now, or have met the end of the log, and nobody would answer a newcomer.
      if (ended !== undefined) return resume(Effect.fail(ended))
      if (memtables.oldestFrozen() === undefined) return resume(Effect.void)
      waiters.push({ sequence, answer: resume })
      work.openUnsafe()
      retries.hurry()
    })

  const flush: Effect.Effect<void, FlushError> = Effect.suspend(() => {
    if (ended !== undefined) return Effect.fail(ended)
    const active = memtables.active()
    if (!active.isEmpty) {
      // No more memtables than may be held, not even for those who ask: the oldest goes first.
      if (memtables.frozenCount() + 1 >= options.writeBufferCount) {
        return Effect.andThen(
          flushed(memtables.oldestFrozen()!.highestSequence),
          Effect.suspend(() => (memtables.active() === active ? flush : flushed(active.highestSequence)))
        )
      }
      memtables.freeze()
    }
    const newestFrozen = memtables.all()[1]
    return newestFrozen === undefined ? Effect.void : flushed(newestFrozen.highestSequence)
  })

  return Flusher.of({
    flush,
    stats: () => ({ ...stats })
  })
})

export const layer: Layer.Layer<
  Flusher,
  never,
  | Breakers
  | Disk
  | EngineClock
  | EngineOptions
  | HealthMonitor
  | Manifest
  | Memtables
  | Tables
  | Catalog
  | Retention
  | TransactionManager
  | Wal
  | Watchdog
  | Workers
  | Compactor
  | Recovery
> = Layer.effect(Flusher, make)
