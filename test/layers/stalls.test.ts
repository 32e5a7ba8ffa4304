/** Writers wait for room: bounded memtables and level 0, by the flusher's and the compactor's signals, with typed ends. All under a clock that stands still. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Damage, IoFailure } from "../../src/domain/failures.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
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
/** A memtable of 64 KiB, with its index. */
const memtableMax = 65_536 * 1.15
/** Some sixty of these fill a memtable. */
const put = (db: DatabaseShape, i: number) => db.put(`k${i}`, value, { durability: "buffered" })
const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })

describe("write stalls", () => {
  it.effect("memtables are bounded: the writer waits for the flusher's signal, is counted, and goes on", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushGate.closeUnsafe()
      const db = yield* open(workers, {
        writeBufferCount: 2,
        level0CompactTrigger: 100,
        level0SlowTrigger: 100,
        level0StopTrigger: 100,
        waitTimeout: "unlimited",
        watchdog: "unlimited"
      })
      let done = 0
      const writer = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 400 }, (_, i) => i),
          (i) => Effect.tap(put(db, i), () => Effect.sync(() => done++)),
          { discard: true }
        )
      )
      yield* turns(2000)
      const stalled = yield* db.stats
      expect(stalled.stalls).toMatchObject({ stopped: 1, waiting: 1, slowed: 0 })
      expect(stalled.memtables).toMatchObject({ active: 1, frozen: 1 })
      expect(stalled.memtables.bytes).toBeLessThanOrEqual(2 * memtableMax)
      expect(done).toBeGreaterThan(60)
      expect(done).toBeLessThan(200)
      // Reads go on, and time does not help.
      expect(yield* db.has("k0")).toBe(true)
      yield* TestClock.adjust("1 hour")
      expect((yield* db.stats).stalls.waiting).toBe(1)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      workers.flushGate.openUnsafe()
      yield* Fiber.join(writer)
      const after = yield* db.stats
      expect(done).toBe(400)
      expect(after.stalls.waiting).toBe(0)
      expect(after.stalls.stopped).toBeGreaterThanOrEqual(1)
      expect(after.stalls.totalMs).toBeGreaterThanOrEqual(3_600_000)
    })
  )

  it.effect("memory stays bounded, whatever the load and however many write", () =>
    Effect.gen(function* () {
      const db = yield* open(new WorkersControl(), { writeBufferCount: 3 })
      let most = 0
      yield* Effect.forEach(
        Array.from({ length: 1500 }, (_, i) => i),
        (i) =>
          Effect.tap(put(db, i % 300), () =>
            Effect.map(db.stats, ({ memtables }) => {
              most = Math.max(most, memtables.frozen + memtables.active)
              expect(memtables.bytes).toBeLessThanOrEqual(3 * memtableMax)
            })
          ),
        { concurrency: "unbounded", discard: true }
      )
      expect(most).toBe(3)
    })
  )

  it.effect("level 0 slows, then stops writers, until the compactor has made room", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.compactGate.closeUnsafe()
      const db = yield* open(workers, { level0CompactTrigger: 2, level0SlowTrigger: 3, level0StopTrigger: 5 })
      const fill = Effect.andThen(put(db, 1), db.flush)
      for (let i = 0; i < 3; i++) yield* fill
      yield* put(db, 2)
      expect((yield* db.stats).stalls).toMatchObject({ slowed: 1, stopped: 0 })
      yield* db.flush
      yield* fill
      const writer = yield* Effect.forkChild(put(db, 3))
      yield* turns(20)
      expect((yield* db.stats).stalls).toMatchObject({ stopped: 1, waiting: 1 })
      workers.compactGate.openUnsafe()
      yield* Fiber.join(writer)
      expect(yield* db.has("k3")).toBe(true)
      expect((yield* db.stats).stalls.waiting).toBe(0)
    })
  )

  it.effect("end with a typed error where the flusher cannot go on, and heal when it can", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = new IoFailure("writev", "/db/x.table", "ENOSPC")
      const db = yield* open(workers, { writeBufferCount: 2 })
      const error = yield* Effect.flip(
        Effect.forEach(
          Array.from({ length: 400 }, (_, i) => i),
          (i) => put(db, i),
          { discard: true }
        )
      )
      expect(error).toMatchObject({ _tag: "WriteStalled" })
      expect(error.message).toContain("ENOSPC")
      expect(yield* db.health).toMatchObject({ state: "degraded" })
      expect((yield* db.stats).stalls.waiting).toBe(0)
      expect(yield* db.has("k0")).toBe(true)
      workers.flushFailure = undefined
      yield* TestClock.adjust("20 seconds")
      yield* db.flush
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      yield* put(db, 1000)
      expect(workers.flushes).toBeGreaterThan(2)
    })
  )

  it.effect("those that wait already end, too, when what they wait for fails", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushGate.closeUnsafe()
      const db = yield* open(workers, { writeBufferCount: 2 })
      const writer = yield* Effect.forkChild(
        Effect.flip(
          Effect.forEach(
            Array.from({ length: 400 }, (_, i) => i),
            (i) => put(db, i),
            { discard: true }
          )
        )
      )
      yield* turns(2000)
      expect((yield* db.stats).stalls.waiting).toBe(1)
      workers.flushFailure = new IoFailure("writev", "/db/x.table", "EIO")
      workers.flushGate.openUnsafe()
      expect(yield* Fiber.join(writer)).toMatchObject({ _tag: "WriteStalled" })
    })
  )

  it.effect("damage under a compaction stops those who need room in level 0, and nobody else", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.compactFailure = new Damage("/db/000007.table", 512, "ChecksumMismatch")
      const db = yield* open(workers, { writeBufferCount: 2, level0CompactTrigger: 2, level0SlowTrigger: 30, level0StopTrigger: 30 })
      for (let i = 0; i < 2; i++) yield* Effect.andThen(put(db, 1), db.flush)
      yield* turns(20)
      expect(yield* db.health).toMatchObject({ state: "degraded" })
      // Memtables fill and are flushed as ever: waiting for the flusher is no reason to give up.
      for (let i = 0; i < 400; i++) yield* put(db, i)
      expect((yield* db.stats).flushes.count).toBeGreaterThan(4)
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "CorruptFile", file: "/db/000007.table", offsetBytes: 512 })
      while ((yield* db.stats).levels[0]!.tables < 30) yield* Effect.andThen(put(db, 1), db.flush)
      expect(yield* Effect.flip(put(db, 1))).toMatchObject({ _tag: "WriteStalled" })
      expect(yield* db.has("k399")).toBe(true)
    })
  )

  it.effect("a compaction that dies of a bug is not run again and again", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.compactDefect = new Error("a broken rule")
      const db = yield* open(workers, { level0CompactTrigger: 2, level0SlowTrigger: 30, level0StopTrigger: 30 })
      for (let i = 0; i < 6; i++) yield* Effect.andThen(put(db, 1), db.flush)
      yield* turns(200)
      expect(workers.compactions).toBeLessThan(6)
      expect((yield* db.health).reasons.join()).toContain("a broken rule")
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "JobFailed", quarantined: true })
      yield* put(db, 7)
    })
  )

  it.effect("the close of the database ends them", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushGate.closeUnsafe()
      let writer: Fiber.Fiber<{ readonly _tag: string }, unknown> | undefined
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open(workers, { writeBufferCount: 2 })
          writer = yield* Effect.forkDetach(
            Effect.flip(
              Effect.forEach(
                Array.from({ length: 400 }, (_, i) => i),
                (i) => put(db, i),
                { discard: true }
              )
            )
          )
          yield* turns(2000)
          expect((yield* db.stats).stalls.waiting).toBe(1)
        })
      )
      expect(yield* Fiber.join(writer!)).toMatchObject({ _tag: "DatabaseClosed" })
    })
  )
})
