/** Circuit breakers through the engine: each transition, what is refused meanwhile, and what goes on. Under a clock that is moved by hand. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskNode from "../../src/layers/disk/DiskNode.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import * as WorkersThreads from "../../src/layers/WorkersThreads.ts"
import { attemptsUntilTold } from "../../src/layers/jobs/jobRetries.ts"
import { fromFailure } from "../../src/domain/errors.ts"
import { IoFailure } from "../../src/domain/failures.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { breakerMoves, healthLog, turns } from "../support/healthLog.ts"
import { type EngineSettings, openOn, smallOptions } from "../support/openEngine.ts"
import { openLayer, temporaryDirectory } from "../support/openLayer.ts"

const startMs = 1_700_000_000_000
const noCompaction = { level0CompactTrigger: 50, level0SlowTrigger: 60, level0StopTrigger: 70 }

/** The engine over a disk that fails by rules. */
const overFaulty = (settings: EngineSettings = {}) =>
  Effect.gen(function* () {
    let faulty: FaultyDisk | undefined
    const disk = DiskFaulty.layerWith((created) => {
      faulty = created
    }).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
    const db = yield* openOn(disk, "/db", settings)
    return { db, faulty: faulty!, events: yield* healthLog(db) }
  })

/** A database with `a` in one table and `b` in another, whose reads of a file fail when they are told to: inline ones at once, or the one through the pool that follows an inline one. */
const twoTables = (settings: EngineSettings, reads: "inline" | "pooled", value = "1") =>
  Effect.gen(function* () {
    yield* TestClock.setTime(startMs)
    const { db, events, faulty } = yield* overFaulty({ cacheBytes: 0, valueCacheBytes: 0, ...noCompaction, ...settings })
    for (const key of ["a", "b"]) yield* Effect.andThen(db.put(key, value), db.flush)
    // A first read opens the table.
    for (const key of ["a", "b"]) yield* db.get(key)
    const names = faulty
      .list("/db")
      .filter((name) => name.endsWith(value.length > 1000 ? ".values" : ".table"))
      .toSorted()
    const path = `/db/${names[0]!}`
    const rule = { match: { operation: reads === "inline" ? "readAt" : "read", path: new RegExp(path) }, fault: { code: "EIO" } } as const
    const control = {
      fail: () => {
        faulty.add(rule)
        // What may pass is tried again through the pool, where the rule above strikes first.
        if (reads === "pooled") faulty.add({ match: { operation: "readAt", path: new RegExp(path) }, fault: { code: "EAGAIN" } })
      },
      heal: () => faulty.clear(),
      failures: () => faulty.strikes(rule)
    }
    return { db, control, events, path }
  })

describe("the breaker of a file", () => {
  for (const reads of ["inline", "pooled"] as const) {
    for (const [what, value] of [
      ["table", "1"],
      ["value file", "v".repeat(2000)]
    ] as const) {
      it.effect(`${what}, ${reads} reads: closed, open, half-open, open for longer, half-open, closed; other files are read as ever`, () =>
        Effect.gen(function* () {
          const { control, db, events, path } = yield* twoTables(
            { breaker: { failureThreshold: 3, successThreshold: 2, openFor: "1 second" } },
            reads,
            value
          )
          control.fail()
          for (let failures = 1; failures <= 3; failures++) {
            const error = yield* Effect.flip(db.get("a"))
            expect(error).toMatchObject({ _tag: "DiskError", path, code: "EIO", offsetBytes: expect.any(Number), cause: expect.any(IoFailure) })
            expect(error).not.toHaveProperty("retryAfterMs", expect.any(Number))
            expect((yield* db.stats).breakers).toEqual([
              { resource: path, state: failures < 3 ? "closed" : "open", failures, since: expect.any(Number) }
            ])
          }
          expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining(`reading ${path} is suspended`)] })
          // Open: told at once, without a read; everything else goes on.
          const before = control.failures()
          const refused = yield* Effect.flip(db.get("a"))
          expect(refused).toMatchObject({ _tag: "DiskError", path, code: "EIO", offsetBytes: expect.any(Number), retryAfterMs: expect.any(Number) })
          expect(refused.message).toContain("is suspended for another")
          expect(() => db.unsafe.get("a")).toThrow("is suspended")
          expect(yield* db.getText("b")).toBe(value)
          yield* db.put("c", "3")
          yield* TestClock.adjust(999)
          expect(yield* Effect.flip(db.get("a"))).toMatchObject({ retryAfterMs: expect.any(Number) })
          expect(control.failures()).toBe(before)
          // Half open: one probe, which nobody has to ask for, and which fails: longer.
          yield* TestClock.adjust(1)
          expect(control.failures()).toBe(before + 1)
          expect(yield* Effect.flip(db.get("a"))).toMatchObject({ retryAfterMs: 2000 })
          yield* TestClock.adjust(1999)
          expect(yield* Effect.flip(db.get("a"))).toMatchObject({ retryAfterMs: expect.any(Number) })
          expect(control.failures()).toBe(before + 1)
          // It works again: two probes close it.
          control.heal()
          yield* TestClock.adjust(1)
          yield* turns(20)
          expect((yield* db.stats).breakers).toEqual([])
          expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
          expect(breakerMoves(events)).toEqual(
            ["closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed"].map((move) => `${path}: ${move}`)
          )
          expect(events.filter((event) => event.type === "breaker" && event.to === "open")).toMatchObject([
            { error: { code: "EIO" }, atMs: expect.any(Number) },
            { error: { code: "EIO" } }
          ])
        })
      )
    }
  }

  it.effect("failures that are not in a row do not open it; damage and what passes do not count", () =>
    Effect.gen(function* () {
      const { control, db } = yield* twoTables({ breaker: { failureThreshold: 2 } }, "inline")
      for (let i = 0; i < 5; i++) {
        control.fail()
        yield* Effect.flip(db.get("a"))
        control.heal()
        yield* db.get("a")
      }
      expect((yield* db.stats).breakers).toEqual([])
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("heals by itself: while the fault lasts the pauses double, up to 32 times, and afterwards nobody has to read", () =>
    Effect.gen(function* () {
      const { control, db, path } = yield* twoTables({ breaker: { failureThreshold: 1, openFor: "1 second" } }, "inline")
      control.fail()
      yield* Effect.flip(db.get("a"))
      yield* turns(20)
      let failures = control.failures()
      for (const seconds of [1, 2, 4, 8, 16, 32, 32]) {
        yield* TestClock.adjust(seconds * 1000 - 1)
        expect(control.failures()).toBe(failures)
        yield* TestClock.adjust(1)
        yield* turns(20)
        expect(control.failures()).toBe(++failures)
        expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining(`reading ${path} is suspended`)] })
      }
      control.heal()
      yield* TestClock.adjust("32 seconds")
      yield* turns(20)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).breakers).toEqual([])
      expect(yield* db.getText("a")).toBe("1")
    })
  )

  it.effect("a read that comes first is the probe, and the engine's next one waits for its turn", () =>
    Effect.gen(function* () {
      const { control, db } = yield* twoTables({ breaker: { failureThreshold: 1, openFor: "1 second" } }, "inline")
      // Asleep before the engine is: it wakes before.
      const reader = yield* Effect.forkChild(
        Effect.andThen(Effect.sleep("1 second"), Effect.try({ try: () => db.unsafe.get("a"), catch: fromFailure })),
        { startImmediately: true }
      )
      control.fail()
      yield* Effect.flip(db.get("a"))
      yield* turns(20)
      yield* TestClock.adjust("1 second")
      const error = yield* Effect.flip(Fiber.join(reader))
      expect(error).toMatchObject({ _tag: "DiskError" })
      expect(error).not.toHaveProperty("retryAfterMs", expect.any(Number))
      yield* turns(20)
      expect(control.failures()).toBe(2)
      yield* TestClock.adjust(1999)
      expect(control.failures()).toBe(2)
      yield* TestClock.adjust(1)
      yield* turns(20)
      expect(control.failures()).toBe(3)
    })
  )

  it.effect("several files, each in its own time", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      const { db, faulty } = yield* overFaulty({ cacheBytes: 0, ...noCompaction, breaker: { failureThreshold: 1, openFor: "4 seconds" } })
      for (const key of ["a", "b"]) yield* Effect.andThen(db.put(key, "1"), db.flush)
      faulty.add({ match: { operation: "open", path: /\.table$/ }, fault: { code: "EIO" } })
      yield* Effect.flip(db.get("a"))
      // Longer each time: by now it is looked for seldom.
      yield* TestClock.adjust("30 seconds")
      yield* turns(20)
      faulty.clear()
      faulty.add({ match: { operation: "readAt", path: /\.table$/ }, fault: { code: "EIO" } })
      yield* Effect.flip(db.get("b"))
      expect((yield* db.health).reasons).toHaveLength(2)
      faulty.clear()
      yield* TestClock.adjust("4 seconds")
      yield* turns(20)
      expect((yield* db.health).reasons).toHaveLength(1)
      yield* TestClock.adjust("32 seconds")
      yield* turns(20)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    })
  )

  it.effect("goes with its file", () =>
    Effect.gen(function* () {
      const { control, db } = yield* twoTables({ breaker: { failureThreshold: 1, openFor: "1 day" } }, "inline")
      control.fail()
      yield* Effect.flip(db.get("a"))
      expect((yield* db.health).state).toBe("degraded")
      control.heal()
      yield* db.compact()
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).breakers).toEqual([])
      expect(yield* db.getText("a")).toBe("1")
    })
  )
})

describe("the breaker of a job", () => {
  it.effect("a flush: opens when its attempts are used up, probes after each pause of the schedule, closes with the flush", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      workers.flushFailure = new IoFailure("writev", "/db/x.table", "EIO")
      const db = yield* openLayer(
        LightningDb.layerCore({ ...smallOptions, path: "/db", retry: { attempts: 2, firstDelay: 100, maxDelay: 300, factor: 2, jitter: 0 } }).pipe(
          Layer.provide(Layer.provideMerge(workers.layer, Layer.fresh(DiskMemory.layer)))
        )
      )
      const events = yield* healthLog(db)
      yield* db.put("a", "1")
      expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DiskError", code: "EIO" })
      expect(workers.flushes).toBe(2)
      const [{ resource } = { resource: "" }] = (yield* db.stats).breakers
      expect(resource).toMatch(/^flush/)
      expect((yield* db.stats).breakers).toMatchObject([{ resource, state: "open", failures: 2 }])
      expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("EIO")] })
      let tried = 2
      for (const pauseMs of [100, 200, 300, 300]) {
        yield* TestClock.adjust(pauseMs - 1)
        expect(workers.flushes).toBe(tried)
        yield* TestClock.adjust(1)
        expect(workers.flushes).toBe(++tried)
      }
      workers.flushFailure = undefined
      yield* db.flush
      expect((yield* db.stats).breakers).toEqual([])
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect(breakerMoves(events)).toEqual(
        [
          "closed > open",
          ...Array.from({ length: 4 }, () => ["open > half-open", "half-open > open"]).flat(),
          "open > half-open",
          "half-open > closed"
        ].map((move) => `${resource}: ${move}`)
      )
    })
  )

  it.effect("the making of log segments: writing goes on into the one there is, and the next one comes when it can", () =>
    Effect.gen(function* () {
      const { db, events, faulty } = yield* overFaulty({ walSegmentBytes: 65_536, memtableBytes: 1 << 20, retry: { firstDelay: 100, jitter: 0 } })
      yield* turns(50)
      const rule = { match: { operation: "open", path: /\.log$/ }, fault: { code: "EIO" } } as const
      faulty.add(rule)
      for (let i = 0; i < 150; i++) yield* db.put(`k${i}`, new Uint8Array(1000))
      yield* turns(50)
      expect(faulty.strikes(rule)).toBe(attemptsUntilTold)
      expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("the next log segment cannot be prepared")] })
      expect((yield* db.stats).breakers).toMatchObject([
        { resource: expect.stringMatching(/^log segment/), state: "open", failures: attemptsUntilTold }
      ])
      faulty.clear()
      yield* db.put("more", "1")
      yield* TestClock.adjust(100)
      yield* turns(50)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect((yield* db.stats).breakers).toEqual([])
      const moves = breakerMoves(events).map((move) => move.split(": ")[1])
      expect(moves).toEqual(["closed > open", "open > half-open", "half-open > closed"])
    })
  )
})

describe("the breaker of the worker threads", () => {
  it.effect("jobs run on the main thread while it is open, and a thread is tried again", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const directory = `${root}/db`
      const entry = new URL("./workers/mortalEntry.ts", import.meta.url)
      const breaker = { failureThreshold: 2, successThreshold: 1, openForMs: 5000 }
      mkdirSync(directory)
      const db = yield* openLayer(
        LightningDb.layerCore({ ...smallOptions, ...noCompaction, path: directory }).pipe(
          Layer.provide(WorkersThreads.layer({ entry, count: 1, breaker })),
          Layer.provide(DiskNode.layer)
        )
      )
      const events = yield* healthLog(db)
      const flush = Effect.andThen(db.put("a", "1"), db.flush)
      yield* flush
      writeFileSync(`${root}/die`, "")
      // Two deaths; the third attempt is made here.
      yield* flush
      expect((yield* db.stats).breakers).toMatchObject([{ resource: "worker threads", state: "open", failures: 2 }])
      expect(yield* db.health).toMatchObject({
        state: "degraded",
        reasons: [expect.stringContaining("flush and compaction run on the main thread: worker threads died")]
      })
      yield* flush
      yield* TestClock.adjust(5000)
      // The probe dies; its job is repeated here.
      yield* flush
      expect((yield* db.stats).breakers).toMatchObject([{ state: "open", failures: 3 }])
      rmSync(`${root}/die`)
      yield* TestClock.adjust(9999)
      yield* flush
      expect((yield* db.stats).breakers).toMatchObject([{ state: "open" }])
      yield* TestClock.adjust(1)
      yield* flush
      expect((yield* db.stats).breakers).toEqual([])
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect(breakerMoves(events)).toEqual(
        ["closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed"].map((move) => `worker threads: ${move}`)
      )
    })
  )
})
