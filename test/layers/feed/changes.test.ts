import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import * as DiskMemory from "../../../src/layers/disk/DiskMemory.ts"
import type { Change } from "../../../src/services/Changes.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { Disk } from "../../../src/services/Disk.ts"
import { CountingDisk, gatedSyncs, logFiles } from "../../support/logFiles.ts"
import { directory, openOn, openSimulated } from "../../support/openEngine.ts"

const unlimited = { retention: { log: "unlimited" as const } }
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const sequences = (changes: Iterable<Change>): ReadonlyArray<number> => Array.from(changes, ({ sequence }) => sequence)
const through = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const collect = (db: DatabaseShape, from: number) => Stream.runCollect(db.changes({ from, live: false }))
/** Values that fill a segment of the smallest size with some eighty of them. */
const large = "v".repeat(800)

/** Eight fibers write `each` transactions. */
const writeLoad = (db: DatabaseShape, each: number) =>
  Effect.forEach(
    through(0, 7),
    (fiber) =>
      Effect.forEach(through(1, each), (i) => db.put(`${fiber}/${i}`, `${large}${i}`, { durability: i % 7 === 0 ? "sync" : "buffered" }), {
        discard: true
      }),
    { concurrency: "unbounded", discard: true }
  )

describe("the join from history into live", () => {
  it.live("has every sequence once, in order, wherever a reader begins while eight fibers write", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      const each = 150
      const last = 8 * each
      const seed = 77
      const prng = seededPrng(seed)
      const writing = yield* Effect.forkChild(writeLoad(db, each))
      const readers: Array<{ readonly from: number; readonly fiber: Fiber.Fiber<ReadonlyArray<Change>, unknown> }> = []
      for (let i = 0; i < 24; i++) {
        for (let turns = drawInt(prng, 12); turns > 0; turns--) yield* Effect.yieldNow
        const { visibleSequence } = yield* db.stats
        if (visibleSequence >= last) break
        const from = i % 3 === 0 ? visibleSequence + 1 : 1 + drawInt(prng, visibleSequence + 1)
        const stream = db.changes(i % 3 === 0 ? {} : { from }).pipe(Stream.takeUntil(({ sequence }) => sequence === last))
        readers.push({ from, fiber: yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true }) })
      }
      yield* Fiber.join(writing)
      expect(readers.length).toBeGreaterThan(12)
      for (const { fiber, from } of readers) expect(sequences(yield* Fiber.join(fiber)), `from ${from}, seed ${seed}`).toEqual(through(from, last))
      // The load went through many segments, and what was shown is what was written.
      const all = yield* collect(db, 0)
      expect(all.flatMap(({ operations }) => operations.map((o) => (o.type === "put" ? text(o.value).slice(0, large.length) : o.type)))).toEqual(
        all.map(() => large)
      )
    })
  )

  it.live("misses no signal, wherever the reader's fiber gives way", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      const seen: Array<number> = []
      const readers: Array<Fiber.Fiber<void, unknown>> = []
      for (let opsMax = 4; opsMax <= 16; opsMax++) {
        const index = seen.push(0) - 1
        const reading = Stream.runForEach(db.changes({ from: 1 }), ({ sequence }) => Effect.sync(() => (seen[index] = sequence)))
        readers.push(yield* Effect.forkChild(Effect.provideService(reading, References.MaxOpsBeforeYield, opsMax)))
      }
      for (let i = 1; i <= 160; i++) {
        yield* db.put("k", `${i}`, { durability: "buffered" })
        // A missed signal would be made good by the next commit: so that one waits until all have seen this one.
        for (let turns = 0; turns < 3000 && seen.some((sequence) => sequence < i); turns++) yield* Effect.yieldNow
        expect(seen, `commit ${i}`).toEqual(seen.map(() => i))
        // Somewhere on the readers' way back to waiting.
        for (let turns = i % 40; turns > 0; turns--) yield* Effect.yieldNow
      }
      yield* Fiber.interruptAll(readers)
    })
  )

  it.live("waits for a signal, not for a time: a live reader sees a commit before the writer's next turn is over", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const seen: Array<number> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(db.changes(), ({ sequence }) => Effect.sync(() => seen.push(sequence))),
        { startImmediately: true }
      )
      for (let i = 1; i <= 20; i++) {
        yield* db.put("k", `${i}`)
        for (let turns = 0; turns < 5; turns++) yield* Effect.yieldNow
        expect(seen).toEqual(through(1, i))
      }
      yield* Fiber.interrupt(reading)
    })
  )

  it.live("a slow consumer holds up no writer, and misses nothing", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      const gate = Latch.makeUnsafe(false)
      const seen: Array<number> = []
      const slow = db.changes().pipe(
        Stream.mapEffect(({ sequence }) => Effect.map(gate.await, () => seen.push(sequence))),
        Stream.take(1201)
      )
      const reading = yield* Effect.forkChild(Stream.runDrain(slow), { startImmediately: true })
      yield* db.put("first", "1")
      yield* writeLoad(db, 150)
      yield* db.flush
      expect(seen).toEqual([])
      gate.openUnsafe()
      yield* Fiber.join(reading)
      expect(seen).toEqual(through(1, 1201))
    })
  )
})

describe("what a change says", () => {
  it.live("names, annotations, times, atomic results; filters by keyspace and prefix; ranges cut to the prefix", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      yield* db.write(
        [
          { type: "put", key: "a/1", value: "x", expiresAt: 9_999_999_999_999 },
          { type: "put", key: "b", value: "" },
          { type: "delete", key: "a/2" }
        ],
        { annotation: "why" }
      )
      const orders = yield* db.keyspace("orders")
      yield* db.write([
        { type: "put", key: "a/3", value: "o", keyspace: "orders" },
        { type: "add", key: "n", value: 5 }
      ])
      yield* orders.write([{ type: "deleteRange", gte: "Z", lt: "b" }])
      yield* db.dropKeyspace("orders")

      const shown = (changes: Iterable<Change>) =>
        Array.from(changes, ({ operations }) =>
          operations.map((o) =>
            o.type === "deleteRange"
              ? `${o.keyspace} ${text(o.gte)}..${text(o.lt)}`
              : "key" in o
                ? `${o.type} ${o.keyspace} ${text(o.key)}${"atomic" in o && o.atomic !== undefined ? ` by ${o.atomic}` : ""}`
                : `${o.type} ${o.keyspace}`
          )
        )
      const all = yield* collect(db, 0)
      expect(shown(all).map((operations) => [...operations].sort())).toEqual([
        ["delete default a/2", "put default a/1", "put default b"],
        ["createKeyspace orders"],
        ["put default n by add", "put orders a/3"],
        ["orders Z..b"],
        ["dropKeyspace orders"]
      ])
      expect(text(all[0]!.annotation!)).toBe("why")
      expect(all[1]!.annotation).toBeUndefined()
      expect(all[0]!.operations.find((o) => o.type === "put" && o.expiresAt !== undefined)).toMatchObject({ expiresAt: 9_999_999_999_999 })
      for (let i = 1; i < all.length; i++) expect(all[i]!.commitTimeMs).toBeGreaterThanOrEqual(all[i - 1]!.commitTimeMs)

      const ofOrders = yield* Stream.runCollect(db.changes({ from: 0, keyspace: "orders", live: false }))
      expect(shown(ofOrders)).toEqual([["createKeyspace orders"], ["put orders a/3"], ["orders Z..b"], ["dropKeyspace orders"]])
      const ofPrefix = yield* Stream.runCollect(db.changes({ from: 0, prefix: "a/", live: false }))
      expect(shown(ofPrefix).map((operations) => [...operations].sort())).toEqual([
        ["delete default a/2", "put default a/1"],
        ["put orders a/3"],
        ["orders a/..a0"],
        ["dropKeyspace orders"]
      ])
      expect(shown(yield* Stream.runCollect(db.changes({ from: 0, prefix: "n", keyspace: "default", live: false })))).toEqual([
        ["put default n by add"]
      ])
      for (const wrong of [
        { from: -1 },
        { from: 1.5 },
        { fron: 1 },
        { from: 1, cursor: "c" },
        { live: "yes" },
        { keyspace: "nowhere" },
        { keyspace: "" }
      ]) {
        // @ts-expect-error What no type allows comes from code without types.
        const failure = yield* Effect.flip(Stream.runDrain(db.changes(wrong)))
        expect(["InvalidRange", "KeyspaceNotFound", "InvalidKeyspaceName"]).toContain(failure._tag)
      }
    })
  )

  it.live("a value that reaches its time: an event of its own, which says what has expired", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      const { sequence } = yield* db.put("short", "1", { ttl: 20 })
      const changes = yield* Stream.runCollect(Stream.take(db.changes({ from: 1 }), 2)).pipe(Effect.timeout("10 seconds"))
      const [put] = changes[0]!.operations
      if (put?.type !== "put") throw new Error("the first change is the put")
      expect(changes[1]!.operations).toEqual([{ type: "expire", keyspace: "default", key: put.key, expiresAt: put.expiresAt, version: sequence }])
      expect(text(put.key)).toBe("short")
    })
  )

  it.live("a keyspace that is gone is called what it was called, after restarts, also where its creation is no longer in the log", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const life = <A, E>(use: (db: DatabaseShape) => Effect.Effect<A, E, Scope.Scope>) =>
        Effect.scoped(Effect.flatMap(openOn(DiskMemory.layerOf(disk), directory), use))
      yield* life((db) =>
        Effect.gen(function* () {
          yield* db.keyspace("orders")
          for (let i = 0; i < 100; i++) yield* db.put(`k${i}`, large)
          yield* db.flush
          expect((yield* Effect.flip(collect(db, 1)))._tag).toBe("HistoryGone")
          yield* db.createCursor("c")
          yield* db.write([{ type: "put", key: "o", value: "1", keyspace: "orders" }])
          yield* db.dropKeyspace("orders")
          yield* db.keyspace("orders")
          yield* db.write([{ type: "put", key: "o", value: "2", keyspace: "orders" }])
          yield* db.dropKeyspace("orders")
          // Now the tables know nothing of what was dropped.
          yield* db.compact()
        })
      )
      yield* life((db) =>
        Effect.gen(function* () {
          const changes = yield* Stream.runCollect(db.changes({ cursor: "c", keyspace: "orders", live: false }))
          expect(changes.flatMap(({ operations }) => operations.map((o) => `${o.type} ${o.keyspace}`))).toEqual([
            "put orders",
            "dropKeyspace orders",
            "createKeyspace orders",
            "put orders",
            "dropKeyspace orders"
          ])
        })
      )
    })
  )

  it.live("bytes belong to the receiver", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), unlimited)
      yield* db.put("key", "value", { annotation: "note" })
      for (let i = 0; i < 2; i++) {
        const [change] = yield* collect(db, 1)
        const put = change!.operations[0]!
        if (put.type !== "put") throw new Error(put.type)
        expect([text(put.key), text(put.value), text(change!.annotation!)]).toEqual(["key", "value", "note"])
        for (const bytes of [put.key, put.value, change!.annotation!]) bytes.fill(0)
      }
      expect(yield* db.getText("key")).toBe("value")
    })
  )
})

describe("what is not there to be read", () => {
  it.live("what no log holds any more is HistoryGone, with the oldest there is; what has not come is FutureMoment", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      for (let i = 1; i <= 400; i++) yield* db.put(`k${i}`, large, { durability: "buffered" })
      yield* db.flush
      const gone = yield* Effect.flip(collect(db, 1))
      if (gone._tag !== "HistoryGone") throw gone
      const { oldestSequence } = gone
      expect(oldestSequence).toBeGreaterThan(1)
      expect(sequences(yield* collect(db, oldestSequence))).toEqual(through(oldestSequence, 400))
      expect((yield* Effect.flip(collect(db, oldestSequence - 1)))._tag).toBe("HistoryGone")
      expect(sequences(yield* collect(db, 401))).toEqual([])
      const future = yield* Effect.flip(collect(db, 402))
      expect(future).toMatchObject({ _tag: "FutureMoment", asked: 402, newest: 400 })
    })
  )

  it.live("after a crash: positions among the lost are HistoryDiverged; one who saw nothing of them goes on, over the hole", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const first = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk, unlimited), first)
      for (let i = 1; i <= 5; i++) yield* db.put(`k${i}`, "durable")
      for (let i = 6; i <= 9; i++) yield* db.put(`k${i}`, "lost", { durability: "buffered" })
      const crashed = disk.crash(seededPrng(3), { mode: "worst" })
      yield* Scope.close(first, Exit.void)
      const again = yield* openSimulated(crashed, { ...unlimited, sequenceBlock: 1000 })
      expect((yield* again.stats).visibleSequence).toBe(5)
      const { sequence } = yield* again.put("new", "1")
      expect(sequence).toBeGreaterThan(1000)
      for (const from of [7, 8, 10, sequence - 1]) expect((yield* Effect.flip(collect(again, from)))._tag, String(from)).toBe("HistoryDiverged")
      expect(sequences(yield* collect(again, 6))).toEqual([sequence])
      expect(sequences(yield* collect(again, 4))).toEqual([4, 5, sequence])
      expect(sequences(yield* collect(again, 0))).toEqual([1, 2, 3, 4, 5, sequence])
    })
  )

  // Each write was synced, so that a group starts every 4096 bytes and zeros follow it.
  it.live.each([41_060, 44_000])("damage (byte %d) is an error with file and offset, after what comes before it; other segments are read", (byte) =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const first = yield* Scope.make()
      const db = yield* Scope.provide(openOn(DiskMemory.layerOf(disk), directory, unlimited), first)
      for (let i = 1; i <= 400; i++) yield* db.put(`k${i}`, large)
      yield* db.flush
      yield* Scope.close(first, Exit.void)
      const [oldest] = logFiles(disk)
      const handle = disk.open(`${directory}/${oldest}`, "write")
      handle.writev([Uint8Array.of(0xff)], byte)
      handle.close()
      // An open does not read what only the feed may want.
      const again = yield* openOn(DiskMemory.layerOf(disk), directory, unlimited)
      const seen: Array<number> = []
      const failure = yield* Effect.flip(
        Stream.runForEach(again.changes({ from: 0, live: false }), ({ sequence }) => Effect.sync(() => seen.push(sequence)))
      )
      expect(failure).toMatchObject({ _tag: "CorruptFile", file: `${directory}/${oldest}` })
      expect(seen.length).toBeGreaterThanOrEqual(8)
      expect(seen).toEqual(through(1, seen.length))
      const behind = 200
      expect(sequences(yield* collect(again, behind))).toEqual(through(behind, 400))
    })
  )
})

describe("what is not visible", () => {
  it.live("is not shown before its group's sync, though it is written", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(true)
      const db = yield* openOn(gatedSyncs(new MemoryDisk(), gate), directory)
      yield* db.put("a", "1")
      const seen: Array<number> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(db.changes({ from: 1 }), ({ sequence }) => Effect.sync(() => seen.push(sequence))),
        { startImmediately: true }
      )
      yield* Effect.sleep(5)
      expect(seen).toEqual([1])
      gate.closeUnsafe()
      const writing = yield* Effect.forkChild(db.put("b", "2", { durability: "sync" }), { startImmediately: true })
      yield* Effect.sleep(20)
      expect(seen).toEqual([1])
      expect(sequences(yield* collect(db, 1))).toEqual([1])
      gate.openUnsafe()
      yield* Fiber.join(writing)
      yield* Effect.sleep(5)
      expect(seen).toEqual([1, 2])
      yield* Fiber.interrupt(reading)
    })
  )

  it.live("is never shown where its group failed; the stream waits, and ends with the database", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk), scope)
      yield* db.put("a", "1")
      const seen: Array<number> = []
      const reading = yield* Effect.forkChild(
        Effect.exit(Stream.runForEach(db.changes({ from: 1 }), ({ sequence }) => Effect.sync(() => seen.push(sequence)))),
        { startImmediately: true }
      )
      disk.failNextDatasync(/\.log$/)
      expect((yield* Effect.flip(db.put("b", "2")))._tag).toBe("CommitOutcomeUnknown")
      expect((yield* Effect.exit(db.put("c", "3")))._tag).toBe("Failure")
      yield* Effect.sleep(10)
      expect(seen).toEqual([1])
      expect(sequences(yield* collect(db, 1))).toEqual([1])
      yield* Scope.close(scope, Exit.void)
      expect(String(yield* Fiber.join(reading))).toContain("DatabaseClosed")
      expect(seen).toEqual([1])
    })
  )
})

describe("what readers hold", () => {
  it.live("is released wherever they are interrupted: pins, handles, files", () =>
    Effect.gen(function* () {
      const seed = 5
      const prng = seededPrng(seed)
      const disk = new CountingDisk(new MemoryDisk())
      const db = yield* openOn(Layer.succeed(Disk, disk.service), directory)
      const writing = yield* Effect.forkChild(writeLoad(db, 120))
      const readers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 60; i++) {
        const drained = i % 3 === 0 ? Stream.runDrain(db.watch({ prefix: "3/" })) : Stream.runDrain(db.changes())
        readers.push(yield* Effect.forkChild(Effect.ignore(drained), { startImmediately: i % 2 === 0 }))
        for (let turns = drawInt(prng, 8); turns > 0; turns--) yield* Effect.yieldNow
        if (i % 2 === 1) yield* Fiber.interrupt(readers.splice(drawInt(prng, readers.length), 1)[0]!)
      }
      yield* Fiber.join(writing)
      expect(disk.logsOpen).toBeGreaterThan(0)
      yield* Fiber.interruptAll(readers)
      expect(disk.logsOpen, `seed ${seed}`).toBe(0)
      expect((yield* db.stats).snapshots.open).toBe(0)
      yield* db.flush
      for (let i = 0; i < 50 && logFiles(disk.sync).length > 2; i++) yield* Effect.sleep(2)
      // The one that is written, and the one that is prepared.
      expect(logFiles(disk.sync).length).toBeLessThanOrEqual(2)
    })
  )

  it.live("a reader that has read a segment to its end does not miss it when it is dropped", () =>
    Effect.gen(function* () {
      let dropped = 0
      // Where the segment ends is between some of these.
      for (let read = 10; read <= 22; read++) {
        const disk = new MemoryDisk()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openOn(DiskMemory.layerOf(disk), directory)
            const gate = Latch.makeUnsafe(false)
            const seen: Array<number> = []
            const stream = db.changes().pipe(
              Stream.mapEffect(({ sequence }) => {
                seen.push(sequence)
                return sequence === read ? gate.await : Effect.void
              }),
              Stream.take(read + 100)
            )
            const reading = yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
            for (let i = 1; i <= read; i++) {
              yield* db.put(`k${i}`, large)
              for (let turns = 0; turns < 3; turns++) yield* Effect.yieldNow
            }
            expect(seen).toEqual(through(1, read))
            const [first] = logFiles(disk)
            for (let i = 1; i <= 100; i++) yield* db.put(`later${i}`, large)
            yield* db.flush
            for (let turns = 0; turns < 50; turns++) yield* Effect.yieldNow
            if (!logFiles(disk).includes(first!)) dropped++
            gate.openUnsafe()
            yield* Fiber.join(reading)
            expect(seen).toEqual(through(1, read + 100))
          })
        )
      }
      expect(dropped).toBeGreaterThan(0)
    })
  )

  it.live("keeps the log from where they stand, and lets go when they move on", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const db = yield* openOn(DiskMemory.layerOf(disk), directory)
      const gate = Latch.makeUnsafe(false)
      const stream = db.changes().pipe(
        Stream.mapEffect((change) => Effect.as(gate.await, change)),
        Stream.take(601)
      )
      const reading = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
      yield* db.put("first", "1")
      for (let i = 0; i < 600; i++) yield* db.put(`k${i}`, large, { durability: "buffered" })
      yield* db.flush
      expect(logFiles(disk).length).toBeGreaterThan(3)
      gate.openUnsafe()
      expect(sequences(yield* Fiber.join(reading))).toEqual(through(1, 601))
      for (let i = 0; i < 50 && logFiles(disk).length > 2; i++) yield* Effect.sleep(2)
      expect(logFiles(disk).length).toBeLessThanOrEqual(2)
    })
  )
})
