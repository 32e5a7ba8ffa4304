/** One budget over all that is held in memory: caches shrink first, then writers are slowed, and a typed error comes last. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const kib = 1024
const memtableBytes = 64 * kib

const open = (workers: WorkersControl, options: Partial<LightningDb.Options> = {}) =>
  openLayer(
    LightningDb.layerCore({
      ...smallOptions,
      memtableBytes,
      writeBufferCount: 4,
      cacheBytes: 1 << 20,
      valueCacheBytes: 0,
      ...options,
      path: "/db"
    }).pipe(Layer.provide(Layer.provideMerge(workers.layer, Layer.fresh(DiskMemory.layer))))
  )

const settle = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) {
    yield* Effect.yieldNow
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  }
})

const value = new Uint8Array(900).map((_, i) => (i * 7919) >>> 3)
const put = (db: DatabaseShape, i: number) => db.put(`k${String(i).padStart(6, "0")}`, value, { durability: "buffered" })
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const memory = (db: DatabaseShape) => Effect.map(db.stats, (stats) => stats.memory)

/** Of so many entries, each read once: the blocks are in the cache. */
const warm = (db: DatabaseShape, entries: number) =>
  Effect.gen(function* () {
    yield* Effect.forEach(count(0, entries), (i) => put(db, i), { discard: true })
    yield* Effect.andThen(db.flush, db.compact())
    for (const i of count(0, entries)) yield* db.get(new TextEncoder().encode(`k${String(i).padStart(6, "0")}`))
  })

describe("memoryBytes", () => {
  it.effect("is no budget by default: what is held is counted, and nothing shrinks", () =>
    Effect.gen(function* () {
      const db = yield* open(new WorkersControl())
      yield* warm(db, 500)
      const { budget, cacheCapacity, pressure, used } = yield* memory(db)
      expect({ budget, cacheCapacity, pressure }).toEqual({ budget: undefined, cacheCapacity: 1 << 20, pressure: "none" })
      expect(used.memtables).toBeGreaterThanOrEqual(memtableBytes)
      expect(used.blockCache).toBeGreaterThan(400 * kib)
      expect(used.tableIndexes).toBeGreaterThan(0)
      const { total, ...parts } = used
      expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(total)
    })
  )

  it.effect(
    "is kept in this order: caches shrink, writers are slowed, writes wait, and fail after waitTimeout with what holds the memory; room turns it all back",
    () =>
      Effect.gen(function* () {
        const workers = new WorkersControl()
        const budget = 2 << 20
        const db = yield* open(workers, {
          memoryBytes: budget,
          cacheBytes: 2 << 20,
          writeBufferCount: 16,
          waitTimeout: "30 seconds",
          level0CompactTrigger: 500,
          level0SlowTrigger: 500,
          level0StopTrigger: 500
        })
        const order: Array<string> = []
        const note = (what: string) => {
          if (!order.includes(what)) order.push(what)
        }
        const look = Effect.gen(function* () {
          const { memory: now, stalls } = yield* db.stats
          if (now.cacheCapacity < 2 << 20) note(now.cacheCapacity === 0 ? "no cache left" : "caches shrink")
          if (stalls.slowed > 0) note("writers are slowed")
          if (stalls.waiting > 0) note("writers wait")
          return now
        })
        yield* warm(db, 1500)
        expect((yield* look).pressure).not.toBe("full")
        order.length = 0
        // Long reads hold the memtables of their moment, flushed or not.
        const scope = yield* Scope.make()
        const scans = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let round = 0; round < 100; round++) {
              yield* Effect.provideService(
                Effect.forkScoped(
                  Stream.runForEach(db.scan(), () => Effect.never),
                  { startImmediately: true }
                ),
                Scope.Scope,
                scope
              )
              for (const i of count(0, 55)) {
                yield* put(db, 10_000 + round * 55 + i)
                yield* look
              }
              yield* db.flush
            }
          })
        )
        for (let i = 0; i < 100; i++) yield* settle
        yield* look
        expect(order).toEqual(["caches shrink", "no cache left", "writers are slowed", "writers wait"])
        const held = yield* memory(db)
        expect(held.pressure).toBe("full")
        expect(held.used.total).toBeLessThanOrEqual(budget + memtableBytes * 1.5)
        expect((yield* db.health).reasons.join()).toMatch(
          /^writers wait for memory: \d+ of memoryBytes 2097152 are held without caches: memtables held by long reads/
        )
        yield* TestClock.adjust("31 seconds")
        const exit = yield* Effect.flip(Fiber.join(scans))
        expect(exit).toMatchObject({ _tag: "WriteStalled" })
        expect(exit.message).toContain("memtables held by long reads")
        // The reads end: all is as before.
        yield* Scope.close(scope, yield* Effect.exit(Effect.void))
        yield* settle
        yield* Effect.andThen(db.flush, db.compact())
        yield* put(db, 1)
        yield* settle
        const after = yield* memory(db)
        expect(after.pressure === "none" || after.pressure === "caches", JSON.stringify(after)).toBe(true)
        expect(after.cacheCapacity).toBeGreaterThan(budget / 2)
        expect((yield* db.health).state).toBe("healthy")
      })
  )

  it.effect("holds under a mixed load: the sum never exceeds it by more than a memtable and a batch", () =>
    Effect.gen(function* () {
      const budget = 3 << 19
      const db = yield* open(new WorkersControl(), { memoryBytes: budget, cacheBytes: 8 << 20, valueCacheBytes: 1 << 20, validationBytes: 1 << 20 })
      // More than there is room for, each block asked for once.
      yield* warm(db, 2000)
      let most = 0
      const look = Effect.map(memory(db), ({ used }) => {
        most = Math.max(most, used.total)
        expect(used.total, JSON.stringify(used)).toBeLessThanOrEqual(budget + 2 * memtableBytes)
      })
      const batch = count(0, 40).map((i) => ({ type: "put" as const, key: `b${i}`, value }))
      yield* Effect.forEach(
        count(0, 8),
        (writer) =>
          Effect.gen(function* () {
            for (const i of count(0, 120)) {
              const n = (i * 8 + writer) * 53
              yield* put(db, n % 3000)
              if (i % 20 === 0) yield* db.write(batch, { durability: "buffered" })
              if (i % 7 === 0) yield* db.getText(`k${String(n % 3000).padStart(6, "0")}`)
              if (i % 50 === 0) yield* Stream.runDrain(db.scan({ limit: 300 }))
              if (i % 60 === 0)
                yield* db.transaction((tx) => Effect.andThen(tx.get("b1"), Effect.andThen(Effect.yieldNow, tx.put(`t${writer}`, "1"))))
              yield* look
              yield* Effect.yieldNow
            }
          }),
        { concurrency: "unbounded", discard: true }
      )
      expect(most).toBeGreaterThan(budget / 2)
      for (const i of count(0, 3000)) if (i % 500 === 0) yield* db.has(`k${String(i).padStart(6, "0")}`)
      yield* db.flush
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("gives up what it keeps to validate transactions before it refuses writers", () =>
    Effect.gen(function* () {
      const db = yield* open(new WorkersControl(), { memoryBytes: 1 << 20, cacheBytes: 0, validationBytes: 64 << 20 })
      const scope = yield* Scope.make()
      const tx = yield* Effect.provideService(db.begin(), Scope.Scope, scope)
      yield* tx.get("k000001")
      for (const i of count(0, 2000)) yield* put(db, i)
      yield* tx.put("x", "1")
      expect(yield* Effect.flip(tx.commit)).toMatchObject({ _tag: "TransactionTooOld", reason: "window" })
      expect((yield* memory(db)).used.validation).toBeLessThanOrEqual(1 << 20)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
    })
  )
})
