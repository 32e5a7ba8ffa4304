/** Nothing is waited for without end: every wait has a typed end after `waitTimeout`, by a clock that the test moves, and as many may wait as `maxPendingWrites` says. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { SequenceBlock } from "../../src/layers/Recovery.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { HangingDisk } from "../support/hangingDisk.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const open = (disk: HangingDisk, workers: WorkersControl, options: Partial<LightningDb.Options> = {}) =>
  openLayer(
    LightningDb.layerCore({ ...smallOptions, waitTimeout: "30 seconds", ...options, path: "/db" }).pipe(
      Layer.provide(Layer.provideMerge(workers.layer, disk.layer))
    )
  )

const settle = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) {
    yield* Effect.yieldNow
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  }
})

const value = new Uint8Array(1000)
const put = (db: DatabaseShape, i: number) => db.put(`k${i}`, value, { durability: "buffered" })
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
/** Ends with the first refusal. */
const fill = (db: DatabaseShape, from = 0) => Effect.flip(Effect.forEach(count(from, from + 2000), (i) => put(db, i), { discard: true }))

describe("a write waits no longer than waitTimeout", () => {
  it.effect("for the flusher, and is told who hangs and how long it waited; room ends the wait of the others", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers, { writeBufferCount: 2 })
      workers.flushGate.closeUnsafe()
      const first = yield* Effect.forkChild(fill(db))
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(1)
      yield* TestClock.adjust("15 seconds")
      const second = yield* Effect.forkChild(put(db, 5000))
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(2)
      yield* TestClock.adjust("14 seconds")
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(2)
      yield* TestClock.adjust("1 second")
      const refused = yield* Fiber.join(first)
      expect(refused).toMatchObject({ _tag: "WriteStalled", waitedMs: 30_000 })
      expect(refused.message).toContain("the flusher hangs: its job that begins with /db/")
      expect((yield* db.stats).stalls.waiting).toBe(1)
      workers.flushGate.openUnsafe()
      yield* Fiber.join(second)
      expect((yield* db.stats).stalls.waiting).toBe(0)
    })
  )

  it.effect("for a compaction", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers, { level0CompactTrigger: 2, level0SlowTrigger: 4, level0StopTrigger: 4 })
      workers.compactGate.closeUnsafe()
      for (let i = 0; i < 4; i++) yield* Effect.andThen(put(db, 1), db.flush)
      const writer = yield* Effect.forkChild(Effect.flip(put(db, 9)))
      yield* settle
      yield* TestClock.adjust("29 seconds")
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(1)
      yield* TestClock.adjust("1 second")
      const refused = yield* Fiber.join(writer)
      expect(refused).toMatchObject({ _tag: "WriteStalled", waitedMs: 30_000 })
      expect(refused.message).toContain("the compaction hangs: its merge into level 1")
      workers.compactGate.openUnsafe()
      yield* settle
      yield* put(db, 10)
    })
  )

  it.effect("for sequences that are reserved by an edit of the manifest", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk, new WorkersControl())
      yield* settle
      disk.hang("datasync", /\.manifest$/)
      const writer = yield* Effect.forkChild(fill(db))
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(1)
      yield* TestClock.adjust("30 seconds")
      const refused = yield* Fiber.join(writer)
      expect(refused).toMatchObject({ _tag: "WriteStalled", waitedMs: 30_000 })
      expect(refused.message).toContain("the manifest hangs: an edit of /db/")
      disk.release()
      yield* settle
      yield* put(db, 5000)
    }).pipe(Effect.provideService(SequenceBlock, 16))
  )

  it.effect("unless it may wait without end", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers, { writeBufferCount: 2, waitTimeout: "unlimited" })
      workers.flushGate.closeUnsafe()
      const writer = yield* Effect.forkChild(Effect.forEach(count(0, 150), (i) => put(db, i), { discard: true }))
      yield* settle
      yield* TestClock.adjust("1 hour")
      expect((yield* db.stats).stalls.waiting).toBe(1)
      workers.flushGate.openUnsafe()
      yield* Fiber.join(writer)
    })
  )
})

describe("the number of writes that wait", () => {
  it.effect("is bounded: one more is refused at once, loses nothing, and says what to do", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers, { writeBufferCount: 2, maxPendingWrites: 20 })
      workers.flushGate.closeUnsafe()
      const writers = yield* Effect.forEach(count(0, 1000), (i) => Effect.forkChild(Effect.result(put(db, i))))
      yield* settle
      expect((yield* db.stats).stalls.waiting).toBe(20)
      const refused = yield* Effect.flip(put(db, 5000))
      expect(refused).toMatchObject({ _tag: "TooManyWrites", pendingMax: 20 })
      expect(refused.message).toContain("maxPendingWrites")
      workers.flushGate.openUnsafe()
      const answers = yield* Effect.forEach(writers, Fiber.join)
      const accepted = answers.flatMap((answer, i) => (answer._tag === "Success" ? [i] : []))
      for (const answer of answers) if (answer._tag === "Failure") expect(answer.failure._tag).toBe("TooManyWrites")
      expect(accepted.length).toBeGreaterThan(60)
      expect(accepted.length).toBeLessThan(300)
      for (const i of count(0, 1000)) expect(yield* db.has(`k${i}`), `k${i}`).toBe(accepted.includes(i))
      expect((yield* db.stats).stalls.waiting).toBe(0)
    })
  )
})

describe("who asked for work waits as long as it gets on", () => {
  it.effect("flush", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers)
      yield* put(db, 1)
      workers.flushGate.closeUnsafe()
      const flush = yield* Effect.forkChild(Effect.flip(db.flush))
      yield* settle
      yield* TestClock.adjust("59 seconds")
      const refused = yield* Effect.andThen(TestClock.adjust("2 seconds"), Fiber.join(flush))
      expect(refused).toMatchObject({ _tag: "WorkStalled", work: "flush", waitedMs: 30_000 })
      expect(refused.message).toContain("the flusher hangs")
      workers.flushGate.openUnsafe()
      yield* settle
      yield* db.flush
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("flush, however long all that is before it takes", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers, { writeBufferCount: 6 })
      workers.flushGate.closeUnsafe()
      yield* Effect.forEach(count(0, 250), (i) => put(db, i), { discard: true })
      const frozen = (yield* db.stats).memtables.frozen
      expect(frozen).toBeGreaterThan(2)
      const flush = yield* Effect.forkChild(db.flush)
      // Each takes almost as long as would be too long.
      for (let i = 0; i <= frozen; i++) {
        yield* settle
        yield* TestClock.adjust("29 seconds")
        yield* settle
        workers.flushGate.openUnsafe()
        workers.flushGate.closeUnsafe()
      }
      yield* settle
      yield* Fiber.join(flush)
      expect((yield* db.stats).memtables.frozen).toBe(0)
    })
  )

  it.effect("compact, however long it takes", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), workers)
      workers.compactGate.closeUnsafe()
      const compacting = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (let i = 0; i < 8; i++) {
            yield* put(db, i)
            yield* db.compact()
          }
        })
      )
      // Each of its jobs takes almost as long as would be too long; all together much longer.
      for (let i = 0; i < 8; i++) {
        yield* settle
        yield* TestClock.adjust("29 seconds")
        yield* settle
        workers.compactGate.openUnsafe()
        workers.compactGate.closeUnsafe()
      }
      yield* settle
      yield* Fiber.join(compacting)
      yield* put(db, 100)
      const refused = yield* Effect.forkChild(Effect.flip(db.compact()))
      yield* settle
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust("30 seconds"), settle)
      expect(yield* Fiber.join(refused)).toMatchObject({
        _tag: "WorkStalled",
        work: "compact",
        detail: expect.stringContaining("the compaction hangs")
      })
      workers.compactGate.openUnsafe()
      yield* settle
      yield* db.compact()
    })
  )

  it.effect("checkpoint", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk, new WorkersControl())
      yield* Effect.andThen(put(db, 1), db.flush)
      disk.hang("syncDirectory", /^\/copy/)
      const checkpoint = yield* Effect.forkChild(Effect.flip(db.checkpoint("/copy")))
      yield* settle
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust("30 seconds"), settle)
      expect(yield* Fiber.join(checkpoint)).toMatchObject({
        _tag: "WorkStalled",
        work: "checkpoint",
        detail: expect.stringContaining("sync of /copy")
      })
      // Nothing else has changed.
      yield* put(db, 2)
      disk.release()
      yield* settle
      // What was cut short is cleared away, or said to be in the way.
      const again = yield* Effect.result(db.checkpoint("/copy"))
      if (again._tag === "Failure") expect(again.failure._tag).toBe("PathExists")
      yield* db.checkpoint("/other")
    })
  )
})
