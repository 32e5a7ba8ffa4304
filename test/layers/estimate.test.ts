/** What is known of a range without reading it: `estimate`, and scans that read no more than they show. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as path from "node:path"
import { InvalidRange } from "../../src/domain/errors.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskTracing from "../../src/layers/disk/DiskTracing.ts"
import { DiskTracer } from "../../src/layers/disk/TracingDisk.ts"
import type { DatabaseShape, Reads, ScanRange } from "../../src/services/Database.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { scanned, text } from "../contracts/database/fixture.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { directory, openOn } from "../support/openEngine.ts"
import { openLayer, temporaryDirectory } from "../support/openLayer.ts"

const key = (i: number) => `key/${String(i).padStart(7, "0")}`

/** Of a disk whose reads take so long that the engine leaves them to the pool. */
class SlowReads extends DiskTracer {
  override during<A>(kind: Parameters<DiskTracer["during"]>[0], path: string, position: number, length: number, work: () => A): A {
    const endMs = performance.now() + (kind === "readAt" ? 0.2 : 0)
    while (performance.now() < endMs);
    return super.during(kind, path, position, length, work)
  }
}

/** A database whose disk tells what was asked of it. */
const open = (settings = {}, tracer = new DiskTracer()) =>
  Effect.gen(function* () {
    const disk = DiskTracing.layer(tracer).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
    const db = yield* openOn(disk, directory, {
      tableBytes: 1 << 18,
      level0CompactTrigger: 50,
      level0SlowTrigger: 60,
      level0StopTrigger: 70,
      ...settings
    })
    const during = Effect.fnUntraced(function* <A, E>(work: Effect.Effect<A, E>) {
      const from = tracer.events.length
      const result = yield* work
      const reads = tracer.events.slice(from).filter(({ kind }) => kind === "readAt")
      const of = (kind: string) => reads.filter(({ path }) => path.endsWith(kind)).length
      return { result, reads: reads.length, tableReads: of(".table"), valueReads: of(".values") }
    })
    return { db, during }
  })

const fill = (to: DatabaseShape, n: number, value: (i: number) => string | Uint8Array, from = 0) =>
  Effect.forEach(
    Array.from({ length: Math.ceil(n / 500) }, (_, i) => i * 500),
    (at) =>
      to.write(
        Array.from({ length: Math.min(500, n - at) }, (_, i) => ({ type: "put" as const, key: key(from + at + i), value: value(from + at + i) })),
        { durability: "buffered" }
      ),
    { discard: true }
  )

const exact = (reads: Reads, range?: ScanRange) =>
  Effect.map(Stream.runCollect(reads.scan({ ...range, keysOnly: true })), (entries) => entries.length)

describe("estimate", () => {
  it.effect("of a compacted uniform database is within a tenth of the truth, reads no leaf and no value", () =>
    Effect.gen(function* () {
      const { db, during } = yield* open({ cacheBytes: 4096 * 64 })
      const n = 20_000
      const seed = (Math.random() * 2 ** 32) >>> 0
      const random = seededPrng(seed)
      yield* fill(db, n, (i) => "v".repeat(i % 100 === 0 ? 2000 : 40))
      yield* Effect.andThen(db.flush, db.compact())
      // The first one opens what is not open yet.
      expect((yield* db.estimate()).entries).toBe(n)
      for (let round = 0; round < 100; round++) {
        const from = Math.floor(random() * n)
        const to = Math.floor(random() * n)
        const range = { gte: key(Math.min(from, to)), lt: key(Math.max(from, to)) }
        const truth = Math.abs(from - to)
        const { reads, result } = yield* during(db.estimate(range))
        // A leaf holds some ten of these, and each bound is off by one at most.
        expect(Math.abs(result.entries - truth), `seed ${seed}, ${JSON.stringify(range)}`).toBeLessThanOrEqual(Math.max(0.1 * truth, 20))
        if (round > 50) expect(reads).toBe(0)
        expect(result.bytes).toBeGreaterThanOrEqual(0)
      }
      const prefix = yield* db.estimate({ prefix: "key/000" })
      expect(Math.abs(prefix.entries - 10_000)).toBeLessThanOrEqual(1000)
      expect((yield* db.estimate({ limit: 7 })).entries).toBe(7)
      const { disk } = yield* db.stats
      expect(Math.abs((yield* db.estimate()).bytes - disk.tables - disk.valueFilesLive)).toBeLessThan(0.02 * disk.total)
    })
  )

  it.effect("is nothing where nothing can be, and refuses what a scan refuses", () =>
    Effect.gen(function* () {
      const { db } = yield* open()
      const nothing = { entries: 0, bytes: 0 }
      expect(yield* db.estimate()).toEqual(nothing)
      yield* fill(db, 1000, () => "v")
      yield* Effect.andThen(db.flush, db.compact())
      yield* fill(db, 10, () => "w", 500)
      for (const range of [
        { gte: "a", lt: "a" },
        { gt: key(999) },
        { lt: key(0) },
        { prefix: "nobody" },
        { limit: 0 },
        { gt: key(5), lt: key(5) }
      ] satisfies Array<ScanRange>)
        expect(yield* db.estimate(range), JSON.stringify(range)).toEqual(nothing)
      expect(yield* Effect.flip(db.estimate({ gte: "b", lt: "a" }))).toBeInstanceOf(InvalidRange)
    })
  )

  it.effect("is exact in a memtable, whatever was written, deleted and overwritten", () =>
    Effect.gen(function* () {
      const { db } = yield* open({ memtableBytes: 1 << 20 })
      yield* fill(db, 1000, () => "one")
      yield* fill(db, 300, () => "two")
      yield* db.write(Array.from({ length: 100 }, (_, i) => ({ type: "delete" as const, key: key(i * 3) })))
      yield* db.write([{ type: "deleteRange", gte: key(700), lt: key(750) }])
      yield* db.put(key(720), "again")
      for (const range of [undefined, { gte: key(690), lt: key(760) }, { lt: key(301) }, { prefix: "key/00005" }])
        expect((yield* db.estimate(range)).entries, JSON.stringify(range)).toBe(yield* exact(db, range))
    })
  )

  it.effect("knows of keys that a memtable overwrites and deletes, and of range deletes", () =>
    Effect.gen(function* () {
      const { db } = yield* open({ memtableBytes: 1 << 20 })
      yield* fill(db, 5000, () => "v".repeat(30))
      yield* Effect.andThen(db.flush, db.compact())
      yield* fill(db, 1000, () => "w")
      yield* db.write(Array.from({ length: 500 }, (_, i) => ({ type: "delete" as const, key: key(4000 + i) })))
      yield* fill(db, 500, () => "new", 9000)
      // Only the filters may err, in one of a hundred.
      const near = (truth: number) =>
        Effect.map(db.estimate(), ({ entries }) => expect(Math.abs(entries - truth), String(entries)).toBeLessThanOrEqual(60))
      yield* near(5000)
      yield* db.write([{ type: "deleteRange", gte: key(1000), lt: key(3000) }])
      yield* near(3000)
      yield* db.flush
      yield* db.write([{ type: "deleteRange", prefix: "key/" }])
      expect((yield* db.estimate()).entries).toBe(0)
      yield* Effect.andThen(db.flush, db.compact())
      expect(yield* db.estimate()).toEqual({ entries: 0, bytes: 0 })
    })
  )

  it.effect("is never negative, whatever is deleted that was not there", () =>
    Effect.gen(function* () {
      const { db } = yield* open()
      for (let round = 0; round < 3; round++) {
        yield* db.write(Array.from({ length: 500 }, (_, i) => ({ type: "delete" as const, key: key(i) })))
        yield* db.write([{ type: "put", key: key(1000 + round), value: "v" }])
        yield* db.flush
        const { bytes, entries } = yield* db.estimate()
        expect(entries).toBeGreaterThanOrEqual(0)
        expect(bytes).toBeGreaterThanOrEqual(0)
      }
    })
  )

  it.effect("counts each keyspace by itself, exactly once it is compacted, and snapshots as they were", () =>
    Effect.gen(function* () {
      const { db } = yield* open()
      const a = yield* db.keyspace("a")
      const b = yield* db.keyspace("b")
      yield* fill(db, 700, () => "v")
      for (const [space, n] of [
        [a, 1234],
        [b, 77]
      ] as const)
        yield* space.write(Array.from({ length: n }, (_, i) => ({ type: "put" as const, key: key(i), value: "v".repeat(20) })))
      yield* Effect.andThen(db.flush, db.compact())
      const estimates = Effect.all([db.estimate(), a.estimate(), b.estimate()])
      expect((yield* estimates).map(({ entries }) => entries)).toEqual([700, 1234, 77])
      yield* Effect.scoped(
        Effect.gen(function* () {
          const snapshot = yield* b.snapshot
          yield* b.write(Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: `z${i}`, value: "v" })))
          expect((yield* snapshot.estimate()).entries).toBe(77)
          expect((yield* b.estimate()).entries).toBe(177)
        })
      )
    })
  )
})

describe("estimate everywhere", () => {
  it.effect("is the same for code without Effect, for a read-only open beside the writer, and of the past", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "db")
      const writer = yield* openLayer(LightningDb.layer({ path: directory }))
      const kept = yield* writer.keyspace("kept", { history: "unlimited" })
      const { sequence } = yield* kept.write(Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: key(i), value: "v" })))
      yield* kept.write(Array.from({ length: 50 }, (_, i) => ({ type: "put" as const, key: key(100 + i), value: "v" })))
      yield* fill(writer, 500, () => "v")
      expect((yield* kept.estimate()).entries).toBe(150)
      expect((yield* (yield* kept.at(sequence)).estimate()).entries).toBe(100)
      const reader = yield* openLayer(LightningDb.layer({ path: directory, readOnly: true }))
      expect((yield* reader.estimate()).entries).toBe(500)
      yield* Effect.andThen(writer.flush, writer.compact())
      yield* reader.refresh
      expect((yield* reader.estimate()).entries).toBe(500)
      expect((yield* (yield* reader.keyspace("kept")).estimate()).entries).toBe(150)
      const plain = yield* Effect.promise(() => LightningDb.open({ path: directory, readOnly: true }))
      expect(yield* Effect.promise(() => plain.estimate({ prefix: "key/" }))).toEqual(yield* reader.estimate({ prefix: "key/" }))
      expect(yield* Effect.promise(() => plain.estimate({ gte: "b", lt: "a" }).catch((error: unknown) => error))).toBeInstanceOf(InvalidRange)
      yield* Effect.promise(() => plain.close())
    })
  )
})

describe("a scan reads no more than it shows", () => {
  const large = (i: number) => `${i} `.padEnd(3000, "x")

  it.effect("of keys only: no value file, in order, both ways, within bounds", () =>
    Effect.gen(function* () {
      const { db, during } = yield* open()
      yield* fill(db, 1000, large)
      yield* Effect.andThen(db.flush, db.compact())
      const all = yield* during(Stream.runCollect(db.scan({ keysOnly: true })))
      expect(all.result.map(({ key }) => text(key))).toEqual(Array.from({ length: 1000 }, (_, i) => key(i)))
      expect(all.result.every(({ value }) => value.length === 0)).toBe(true)
      expect(all.valueReads).toBe(0)
      const some = yield* during(Effect.sync(() => [...db.unsafe.entries({ gte: key(10), lt: key(13), reverse: true, keysOnly: true })]))
      expect(some.result.map(([found, value]) => [text(found), value.length])).toEqual([12, 11, 10].map((i) => [key(i), 0]))
      expect(some.valueReads).toBe(0)
      const refused = yield* Effect.flip(Stream.runCollect(db.scan({ keysOnly: 1 } as object)))
      expect(refused).toBeInstanceOf(InvalidRange)
    })
  )

  // In real time: how long reads take decides.
  it.live("of keys only, also where every read goes through the pool", () =>
    Effect.gen(function* () {
      const { db, during } = yield* open({ cacheBytes: 0, valueCacheBytes: 0 }, new SlowReads())
      yield* fill(db, 1000, large)
      yield* Effect.andThen(db.flush, db.compact())
      // So many slow reads that the next ones go through the pool.
      const readAll = () => {
        for (let round = 0; round < 120; round++) for (const _ of db.unsafe.entries({ keysOnly: true }));
      }
      const slow = yield* during(Effect.sync(readAll))
      expect(slow.reads).toBeGreaterThan(500)
      const pooled = yield* during(scanned(db, { limit: 3 }))
      expect(pooled.valueReads).toBe(3)
      readAll()
      const all = yield* during(exact(db))
      expect(all.result).toBe(1000)
      expect(all.valueReads).toBe(0)
    })
  )

  it.effect("with a limit: as many values as entries, and the leaves they are in", () =>
    Effect.gen(function* () {
      const { db, during } = yield* open()
      yield* fill(db, 1000, large)
      yield* Effect.andThen(db.flush, db.compact())
      yield* db.has(key(0))
      const five = yield* during(scanned(db, { gte: key(500), limit: 5 }))
      expect(five.result).toHaveLength(5)
      expect(five.valueReads).toBe(5)
      expect(five.tableReads).toBeLessThanOrEqual(3)
      const none = yield* during(scanned(db, { limit: 0 }))
      expect(none).toMatchObject({ result: [], reads: 0 })
    })
  )

  it.effect("in a transaction, over its own writes", () =>
    Effect.gen(function* () {
      const { db, during } = yield* open()
      yield* fill(db, 50, large)
      yield* Effect.andThen(db.flush, db.compact())
      const inside = yield* during(
        db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.delete(key(1))
            yield* tx.put(`${key(2)}+`, "own")
            return yield* Stream.runCollect(tx.scan({ limit: 4, keysOnly: true }))
          })
        )
      )
      expect(inside.result.map((entry) => [text(entry.key), entry.value.length])).toEqual(
        [0, 2, "2+", 3].map((i) => [`${key(parseInt(String(i)))}${typeof i === "string" ? "+" : ""}`, 0])
      )
      expect(inside.valueReads).toBe(0)
    })
  )
})
