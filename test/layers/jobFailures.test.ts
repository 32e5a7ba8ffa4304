/** Flush and compaction jobs that fail: what passes is nobody's business, what lasts is told to those who wait, and the job goes on being tried. All under a clock that stands still. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Damage, IoFailure } from "../../src/domain/failures.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { attemptsUntilTold } from "../../src/layers/jobs/jobRetries.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { WorkerDied } from "../../src/services/Workers.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const open = (workers: WorkersControl, options: Partial<LightningDb.Options> = {}) =>
  openLayer(
    LightningDb.layerCore({ ...smallOptions, ...options, path: "/db" }).pipe(
      Layer.provide(Layer.provideMerge(workers.layer, Layer.fresh(DiskMemory.layer)))
    )
  )

const value = new Uint8Array(1000)
const put = (db: DatabaseShape, i: number) => db.put(`k${i}`, value, { durability: "buffered" })
/** Several memtables. */
const putMany = (db: DatabaseShape) =>
  Effect.forEach(
    Array.from({ length: 400 }, (_, i) => i),
    (i) => put(db, i),
    { discard: true }
  )
const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })
const full = new IoFailure("writev", "/db/x.table", "ENOSPC")

describe("failing jobs", () => {
  it.effect("what passes within the attempts is seen by nobody: stalled writers go on, health stays", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = new WorkerDied({ detail: "out of memory" })
      const db = yield* open(workers, { writeBufferCount: 2 })
      for (let i = 0; i < 5; i++) {
        workers.failuresLeft = attemptsUntilTold - 1
        yield* putMany(db)
        yield* db.flush
        expect(workers.failuresLeft).toBeLessThan(0)
        expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      }
      expect((yield* db.stats).stalls.stopped).toBeGreaterThan(0)
    })
  )

  it.effect("threads that go on dying are told as what they are: writes go on, and nothing is refused", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = workers.compactFailure = new WorkerDied({ detail: "out of memory" })
      const db = yield* open(workers)
      yield* put(db, 1)
      const told = yield* Effect.flip(db.flush)
      expect(told).toMatchObject({ _tag: "JobFailed", work: "flush", quarantined: false, detail: "out of memory", cause: { _tag: "WorkerDied" } })
      expect(told.message).toMatch(/flush job failed again and again \(out of memory\)\. Nothing is lost/)
      expect((yield* db.health).state).toBe("degraded")
      yield* put(db, 2)
      workers.flushFailure = undefined
      yield* db.flush
      yield* put(db, 3)
      yield* db.flush
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "JobFailed", work: "compaction", quarantined: false })
      workers.compactFailure = undefined
      yield* db.compact()
      expect(yield* db.has("k1")).toBe(true)
      yield* turns(100)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    })
  )

  it.effect("flush tells a failure that lasts, at the attempt that makes it one; the job is tried on, and by each caller at once", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = full
      const db = yield* open(workers)
      yield* put(db, 1)
      expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DiskFull", path: "/db/x.table", code: "ENOSPC" })
      expect(workers.flushes).toBe(attemptsUntilTold)
      expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("flush: writev /db/x.table: ENOSPC")] })
      // There is room in the memtables: writing goes on.
      yield* put(db, 2)
      // Several callers: the attempt that the first one hurries is the answer to all.
      const errors = yield* Effect.all([Effect.flip(db.flush), Effect.flip(db.flush), Effect.flip(db.checkpoint("/copy"))], {
        concurrency: "unbounded"
      })
      expect(errors.map(({ _tag }) => _tag)).toEqual(["DiskFull", "DiskFull", "DiskFull"])
      expect(workers.flushes).toBeGreaterThan(attemptsUntilTold)
      expect(workers.flushes).toBeLessThanOrEqual(attemptsUntilTold + 3)
      // Nobody asks: the clock does.
      const before = workers.flushes
      yield* TestClock.adjust("1 minute")
      expect(workers.flushes).toBeGreaterThan(before + 5)
      workers.flushFailure = undefined
      yield* db.flush
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).memtables.frozen).toBe(0)
    })
  )

  it.effect("without a caller the job heals by itself", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = full
      workers.failuresLeft = attemptsUntilTold + 3
      const db = yield* open(workers, { writeBufferCount: 3 })
      while ((yield* db.stats).memtables.frozen === 0) yield* put(db, 1)
      yield* turns(50)
      expect((yield* db.health).state).toBe("degraded")
      yield* TestClock.adjust("20 seconds")
      yield* turns(50)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).memtables.frozen).toBe(0)
    })
  )

  it.effect("compact tells a failure that lasts, takes nothing out of service, and works once it has passed", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.compactFailure = full
      const db = yield* open(workers, { level0CompactTrigger: 50, level0SlowTrigger: 60, level0StopTrigger: 70 })
      for (let i = 0; i < 2; i++) yield* Effect.andThen(put(db, 1), db.flush)
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "DiskFull" })
      expect(workers.compactions).toBe(attemptsUntilTold)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).compactions.running).toBe(0)
      workers.compactFailure = undefined
      yield* db.compact()
      expect((yield* db.stats).levels[0]!.tables).toBe(0)
    })
  )

  it.effect("compact beside a background job that goes on failing is told too; writers that need its room get WriteStalled", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.compactFailure = full
      const db = yield* open(workers, { level0CompactTrigger: 2, level0SlowTrigger: 4, level0StopTrigger: 4 })
      for (let i = 0; i < 2; i++) yield* Effect.andThen(put(db, 1), db.flush)
      yield* turns(50)
      expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("compaction: writev")] })
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "DiskFull" })
      for (let i = 0; i < 2; i++) yield* Effect.andThen(put(db, 1), db.flush)
      expect(yield* Effect.flip(put(db, 1))).toMatchObject({ _tag: "WriteStalled" })
      workers.compactFailure = undefined
      yield* db.compact()
      yield* put(db, 1)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    })
  )

  it.effect("a flush that meets damage has broken a rule of ours: it is repeated as often as any, and then the database stops itself", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = new Damage("/db/000007.table", 512, "ChecksumMismatch")
      const db = yield* open(workers)
      yield* put(db, 1)
      expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DatabaseFailed", actor: "flusher" })
      yield* TestClock.adjust("1 minute")
      expect(workers.flushes).toBe(attemptsUntilTold + 1)
      expect(yield* db.health).toMatchObject({ state: "failed" })
      expect(yield* Effect.flip(db.get("k1"))).toMatchObject({ _tag: "DatabaseFailed" })
    })
  )

  it.effect("interrupting a caller, and closing, end the wait and leave nothing behind", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = full
      let waiting: Fiber.Fiber<{ readonly _tag: string }, unknown> | undefined
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open(workers)
          yield* put(db, 1)
          yield* Effect.flip(db.flush)
          workers.flushGate.closeUnsafe()
          const fiber = yield* Effect.forkChild(db.flush)
          yield* turns(10)
          yield* Fiber.interrupt(fiber)
          waiting = yield* Effect.forkDetach(Effect.flip(db.flush))
          yield* turns(10)
        })
      )
      expect(yield* Fiber.join(waiting!)).toMatchObject({ _tag: "DatabaseClosed" })
    })
  )
})
