import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type DatabaseFixture, scanned, small } from "./fixture.ts"
import { waitFor } from "./keyspaces.ts"

const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))
const key = (i: number) => `k${String(i).padStart(5, "0")}`

export const maintenanceContract = (fixture: DatabaseFixture): void => {
  describe("maintenance", () => {
    it.effect("flush: what was visible before is in tables", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        yield* db.flush
        expect((yield* db.stats).flushes.count).toBe(0)
        const { sequence } = yield* db.put("k", "1", { durability: "buffered" })
        yield* Effect.all([db.flush, db.flush, db.flush], { concurrency: "unbounded" })
        const stats = yield* db.stats
        expect(stats.flushedSequence).toBeGreaterThanOrEqual(sequence)
        expect(stats.durableSequence).toBeGreaterThanOrEqual(sequence)
        expect(stats.memtables).toMatchObject({ active: 1, frozen: 0, entries: 0 })
        expect(stats.flushes.count).toBe(1)
        expect(stats.levels.reduce((sum, level) => sum + level.tables, 0)).toBe(1)
      })
    )

    it.effect("flush by many beside writers holds no more memtables than may be", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open({ ...small, writeBufferCount: 2 })
        let frozenMax = 0
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i),
          (i) =>
            Effect.gen(function* () {
              yield* db.put(key(i), random(100), { durability: "buffered" })
              const flushing = yield* Effect.forkChild(db.flush, { startImmediately: true })
              frozenMax = Math.max(frozenMax, (yield* db.stats).memtables.frozen)
              yield* Fiber.join(flushing)
              expect((yield* db.stats).flushedSequence).toBeGreaterThan(0)
            }),
          { concurrency: "unbounded" }
        )
        expect(frozenMax).toBeLessThanOrEqual(1)
        expect(yield* scanned(db)).toHaveLength(60)
      })
    )

    it.effect("compact: a range of keys, a keyspace, everything; nothing but space changes", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open({ ...small, level0CompactTrigger: 50, level0SlowTrigger: 60, level0StopTrigger: 70 })
        const orders = yield* db.keyspace("orders")
        for (let turn = 0; turn < 4; turn++) {
          yield* db.write(Array.from({ length: 200 }, (_, i) => ({ type: "put" as const, key: key(i), value: `turn ${turn}` })))
          yield* orders.write(Array.from({ length: 200 }, (_, i) => ({ type: "put" as const, key: key(i), value: `order ${turn}` })))
          yield* db.flush
        }
        const [all, ordered] = [yield* scanned(db), yield* scanned(orders)]
        const level0 = Effect.map(db.stats, ({ levels }) => levels[0]!.tables)
        const before = yield* level0
        expect(before).toBeGreaterThanOrEqual(4)
        const same = Effect.gen(function* () {
          expect(yield* scanned(db)).toEqual(all)
          expect(yield* scanned(orders)).toEqual(ordered)
        })
        yield* db.compact({ gte: key(50), lt: key(60) })
        yield* same
        expect(yield* level0).toBeLessThan(before)
        yield* db.compact({ keyspace: "orders" })
        yield* db.compact({ keyspace: "orders", gte: key(3) })
        yield* db.compact({ gte: "x" })
        yield* db.compact()
        expect(yield* level0).toBe(0)
        yield* Effect.all([db.compact(), db.compact({ lt: key(9) }), db.compact({ keyspace: "orders" })], { concurrency: "unbounded" })
        yield* same
        const stats = yield* db.stats
        expect(stats.compactions.count).toBeGreaterThan(0)
        expect(stats.compactions.running).toBe(0)
        expect((yield* db.verify).entries).toBe(402)
      })
    )

    it.effect("compact ends while others go on writing, and can be interrupted", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const writer = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.suspend(() => db.put(key(Math.floor(Math.random() * 1000)), random(300), { durability: "buffered" })),
              Effect.yieldNow
            )
          )
        )
        for (let i = 0; i < 5; i++) {
          yield* waitFor(Effect.map(db.stats, ({ memtables }) => memtables.entries > 50))
          yield* db.compact()
          const fiber = yield* Effect.forkChild(db.compact())
          for (let turns = 0; turns < i; turns++) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
          yield* Fiber.interrupt(fiber)
        }
        yield* Fiber.interrupt(writer)
        yield* db.compact()
        expect((yield* db.stats).compactions.running).toBe(0)
        yield* db.verify
      })
    )

    it.effect("overwriting, deleting and deleting ranges give space back, unasked", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const write = (count: number) =>
          Effect.forEach(
            Array.from({ length: count / 20 }, (_, i) => i),
            (i) =>
              db.write(
                Array.from({ length: 20 }, (_, j) => ({ type: "put" as const, key: key(i * 20 + j), value: random(j % 4 === 0 ? 2000 : 200) })),
                { durability: "buffered" }
              )
          )
        const bytes = Effect.map(db.stats, ({ disk }) => disk.tables + disk.valueFiles)
        yield* write(600)
        yield* Effect.andThen(db.flush, db.compact())
        const once = yield* bytes
        expect(once).toBeGreaterThan(350_000)
        for (let turn = 0; turn < 4; turn++) yield* write(600)
        yield* db.flush
        yield* waitFor(Effect.map(bytes, (now) => now < once * 2.5))
        for (let i = 0; i < 600; i += 2) yield* db.delete(key(i), { durability: "buffered" })
        yield* db.flush
        yield* waitFor(Effect.map(bytes, (now) => now < once * 1.3))
        yield* db.write([{ type: "deleteRange", gte: key(0), lt: key(600) }])
        yield* db.flush
        yield* waitFor(Effect.map(bytes, (now) => now < 20_000))
        expect(yield* scanned(db)).toEqual([])
        // The log, too: what is in tables is not kept twice.
        expect((yield* db.stats).disk.log).toBeLessThan(3 * 65_536)
        yield* db.verify
      })
    )

    it.effect("verify reads every block; stats add up", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        expect(yield* db.verify).toMatchObject({ tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0, logSegments: 1 })
        yield* db.write(Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: key(i), value: random(i % 10 === 0 ? 3000 : 50) })))
        yield* db.flush
        const report = yield* db.verify
        const stats = yield* db.stats
        expect(report).toMatchObject({ tables: 1, valueFiles: 1, entries: 100 })
        expect(report.blocks).toBeGreaterThan(10)
        expect(report.bytes).toBe(stats.disk.tables + stats.disk.valueFiles)
        expect(stats.disk.total).toBe(stats.disk.tables + stats.disk.valueFiles + stats.disk.log + stats.disk.manifest)
        expect(stats.disk.valueFilesLive).toBeLessThanOrEqual(stats.disk.valueFiles)
        expect(stats.disk.valueFilesLive).toBeGreaterThan(29_000)
        expect(stats.commits).toMatchObject({ transactions: 1, groups: 1 })
        expect(stats.writeAmplification).toBeGreaterThan(1)
        expect(stats.blockCache.bytes).toBeLessThanOrEqual(stats.blockCache.capacityBytes)
        expect(stats.valueCache.bytes).toBeLessThanOrEqual(stats.valueCache.capacityBytes)
        expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
        yield* db.refresh
      })
    )

    if (fixture.checkpoints === undefined) return
    const { newPath, open } = fixture.checkpoints

    it.effect("checkpoint: a database of its own, and the source untouched", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const orders = yield* db.keyspace("orders")
        yield* db.write([
          { type: "put", key: "k", value: "before" },
          { type: "put", key: "large", value: "x".repeat(5000) },
          { type: "put", key: "o", value: "1", keyspace: "orders" }
        ])
        const path = newPath()
        const report = yield* db.checkpoint(path)
        expect(report).toMatchObject({ path, sequence: (yield* db.stats).visibleSequence })
        expect(report.files).toBeGreaterThanOrEqual(4)
        expect(yield* Effect.flip(db.checkpoint(path))).toMatchObject({ _tag: "PathExists", path })
        yield* db.put("k", "after")
        yield* db.dropKeyspace("orders")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* open(path)
            expect(yield* copy.getText("k")).toBe("before")
            expect(yield* copy.getText("large")).toBe("x".repeat(5000))
            const copied = yield* copy.keyspace("orders")
            expect(yield* copied.getText("o")).toBe("1")
            expect((yield* copy.put("k", "in the copy")).sequence).toBeGreaterThan(report.sequence)
            yield* copy.write([{ type: "deleteRange", gte: "a", lt: "z" }])
            yield* Effect.andThen(copy.flush, copy.compact())
            yield* copy.verify
          })
        )
        expect(yield* db.getText("k")).toBe("after")
        expect(yield* db.getText("large")).toBe("x".repeat(5000))
        expect(yield* Effect.flip(orders.get("o"))).toMatchObject({ _tag: "KeyspaceDropped" })
        yield* Effect.andThen(db.flush, db.compact())
        yield* db.verify
        yield* Effect.scoped(
          Effect.gen(function* () {
            expect(yield* scanned(yield* open(path))).toEqual([])
          })
        )
      })
    )

    it.effect("checkpoint under writers is of one moment", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        let i = 0
        const writer = yield* Effect.forkChild(
          Effect.forever(
            Effect.suspend(() => {
              i++
              return db.write(
                [
                  { type: "put", key: "a", value: String(i) },
                  { type: "put", key: key(i), value: "v" },
                  { type: "put", key: "b", value: String(i) }
                ],
                { durability: i % 4 === 0 ? "sync" : "buffered" }
              )
            })
          )
        )
        yield* waitFor(Effect.sync(() => i > 20))
        const path = newPath()
        const report = yield* db.checkpoint(path)
        yield* Fiber.interrupt(writer)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* open(path)
            const a = yield* copy.getText("a")
            expect(yield* copy.getText("b")).toBe(a)
            expect(yield* scanned(copy, { prefix: "k" })).toHaveLength(Number(a))
            expect(report.sequence).toBeGreaterThanOrEqual(20)
          })
        )
      })
    )
  })
}
