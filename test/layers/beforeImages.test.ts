/** Keyspaces that keep before-images: how they are asked for, what stands in the feed, what it costs in bytes, and what happens where a value cannot be had. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { ChangesOptions } from "../../src/services/Changes.ts"
import type { DatabaseShape, KeyspaceOptions } from "../../src/services/Database.ts"
import { directory, type EngineSettings, openOn, openSimulated } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const kept: EngineSettings = { retention: { log: "unlimited", beforeImages: true } }
const notKept: EngineSettings = { retention: { log: "unlimited" } }

const text = (bytes: Uint8Array): string => {
  const shown = new TextDecoder().decode(bytes)
  return shown.length > 12 ? `${shown.slice(0, 3)}… (${shown.length})` : shown
}

/** `type key: before → value` of each operation that is not of the catalog, by transaction; "?" is a value that is not kept, "-" none. */
const shown = (db: Pick<DatabaseShape, "changes">, options: ChangesOptions = {}) =>
  Effect.map(Stream.runCollect(db.changes({ from: 0, live: false, ...options })), (changes) =>
    changes.flatMap(({ operations }) => {
      const lines = operations.flatMap((each): ReadonlyArray<string> => {
        if (each.type === "createKeyspace" || each.type === "dropKeyspace") return []
        if (each.type === "deleteRange") return [`deleteRange ${text(each.gte)}${"before" in each ? "!" : ""}`]
        const before = each.before === undefined ? ("before" in each ? "!" : "?") : each.before === null ? "-" : text(each.before)
        return [`${each.type} ${text(each.key)}: ${before}${each.type === "put" ? ` → ${text(each.value)}` : ""}`]
      })
      return lines.length === 0 ? [] : [lines.join(", ")]
    })
  )

const run = <A, E>(disk: SimulatedDisk, settings: EngineSettings, body: (db: DatabaseShape) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(openSimulated(disk, settings), body))

const settled = Effect.gen(function* () {
  for (let i = 0; i < 1000; i++) yield* i % 100 === 99 ? Effect.promise(() => new Promise<void>((resume) => setImmediate(resume))) : Effect.yieldNow
})

describe("before-images", () => {
  it.effect("are the value that was replaced: none, one in memory, one in tables, an empty one", () =>
    run(new SimulatedDisk(), kept, (db) =>
      Effect.gen(function* () {
        yield* db.put("a", "1")
        yield* db.put("a", "")
        yield* db.put("a", "3")
        yield* db.put("large", "x".repeat(2000))
        yield* db.flush
        yield* db.put("a", "4")
        yield* db.delete("large")
        yield* db.delete("large")
        yield* db.flush
        yield* db.put("large", "again")
        expect(yield* shown(db)).toEqual([
          "put a: - → 1",
          "put a: 1 → ",
          "put a:  → 3",
          "put large: - → xxx… (2000)",
          "put a: 3 → 4",
          "delete large: xxx… (2000)",
          "delete large: -",
          "put large: - → again"
        ])
        expect(yield* shown(db, { prefix: "lar" })).toHaveLength(4)
      })
    )
  )

  it.effect("are those before the whole transaction, behind its range deletes: what nobody saw is not shown", () =>
    run(new SimulatedDisk(), kept, (db) =>
      Effect.gen(function* () {
        yield* db.write(["a", "b", "c", "d"].map((key) => ({ type: "put", key, value: `${key}0` })))
        yield* db.flush
        yield* db.write([
          { type: "put", key: "a", value: "a1" },
          { type: "put", key: "a", value: "a2" },
          { type: "append", key: "b", value: "1" },
          { type: "append", key: "b", value: "2" },
          { type: "deleteRange", gte: "c", lt: "cc" },
          { type: "put", key: "c", value: "c1" },
          { type: "delete", key: "d" },
          { type: "setOnce", key: "a", value: "never" },
          { type: "setOnce", key: "e", value: "e1" }
        ])
        yield* db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.put("a", "a3")
            yield* tx.delete("a")
            yield* tx.put("b", `${yield* tx.getText("b")}!`)
          })
        )
        expect((yield* shown(db)).slice(1).map((line) => line.split(", ").sort())).toEqual([
          ["delete d: d0", "deleteRange c", "put a: a0 → a2", "put b: b0 → b012", "put c: - → c1", "put e: - → e1"],
          ["delete a: a2", "put b: b012 → b012!"]
        ])
      })
    )
  )

  it.effect("of values that end are shown by their own record, or by what took their place before that", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, kept)
      yield* db.put("a", "1", { ttl: 1000 })
      yield* db.put("b", "1", { ttl: 1000 })
      yield* db.put("c", "x".repeat(2000), { ttl: 1000 })
      yield* db.put("b", "2", { ttl: 2000 })
      yield* db.flush
      yield* TestClock.adjust(999)
      // Both in one step: the reaper cannot come in between.
      yield* Effect.all([db.put("a", "2", { ttl: 0 }), db.put("a", "3")], { concurrency: "unbounded" })
      yield* TestClock.adjust(5000)
      yield* settled
      expect(yield* shown(db)).toEqual([
        "put a: - → 1",
        "put b: - → 1",
        "put c: - → xxx… (2000)",
        "put b: 1 → 2",
        "put a: 1 → 2",
        "put a: 2 → 3",
        "expire c: xxx… (2000), expire b: 2"
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("many large values that end at once are told in several commits, within what a batch may hold", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const db = yield* openSimulated(new SimulatedDisk(), { ...kept, batchBytesMax: 65_536, valueBytesMax: 60_000, valueThresholdBytes: 50_000 })
      const sizes = [300, 40_000, 59_000, 59_000, 20_000, 20_000]
      for (const [i, size] of sizes.entries()) yield* db.put(`k${i}`, `${i}`.repeat(size), { ttl: 1000 })
      yield* db.flush
      yield* TestClock.adjust(1000)
      yield* settled
      expect((yield* shown(db)).slice(sizes.length)).toEqual([
        "expire k0: 000… (300), expire k1: 111… (40000)",
        "expire k2: 222… (59000)",
        "expire k3: 333… (59000)",
        "expire k4: 444… (20000), expire k5: 555… (20000)"
      ])
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    }).pipe(Effect.scoped)
  )
})

describe("what ends", () => {
  it.effect("is told and goes although a batch may hold no such value any more", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const disk = new SimulatedDisk()
      yield* run(disk, kept, (db) => db.put("a", "x".repeat(100_000), { ttl: 1000 }))
      yield* TestClock.adjust(1000)
      const db = yield* openSimulated(disk, { ...kept, batchBytesMax: 65_536, valueBytesMax: 60_000 })
      yield* settled
      expect(yield* shown(db)).toEqual(["put a: - → xxx… (100000)", "expire a: xxx… (100000)"])
    }).pipe(Effect.scoped)
  )
})

describe("a keyspace is asked to keep them", () => {
  it.effect("by an option that is remembered, can be changed at any time, and leaves the others alone", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* run(disk, notKept, (db) =>
        Effect.gen(function* () {
          const audit = yield* db.keyspace("audit", { history: "1 day", beforeImages: true })
          yield* db.keyspace("plain")
          yield* audit.put("a", "1")
          yield* db.write([
            { type: "put", key: "a", value: "2", keyspace: "audit" },
            { type: "put", key: "a", value: "2", keyspace: "plain" },
            { type: "put", key: "a", value: "2" }
          ])
        })
      )
      yield* run(disk, notKept, (db) =>
        Effect.gen(function* () {
          const audit = yield* db.keyspace("audit")
          yield* audit.put("a", "3")
          yield* db.keyspace("audit", { beforeImages: false })
          yield* audit.put("a", "4")
          yield* db.keyspace("audit", { beforeImages: true })
          yield* audit.put("a", "5")
          // What was said of its history has not been touched.
          expect(yield* Stream.runCount(audit.history("a"))).toBe(5)
        })
      )
      yield* run(disk, notKept, (db) =>
        Effect.gen(function* () {
          yield* Effect.flatMap(db.keyspace("audit", { history: "2 days" }), (audit) => audit.put("a", "6"))
          expect(yield* shown(db)).toEqual([
            "put a: - → 1",
            "put a: 1 → 2, put a: ? → 2, put a: ? → 2",
            "put a: 2 → 3",
            "put a: ? → 4",
            "put a: 4 → 5",
            "put a: 5 → 6"
          ])
        })
      )
    })
  )

  it.effect("or the database is, for those that do not say; never for the engine's own", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* run(disk, kept, (db) =>
        Effect.gen(function* () {
          const plain = yield* db.keyspace("plain")
          const off = yield* db.keyspace("off", { beforeImages: false })
          for (const space of [db, plain, off]) yield* space.put("a", "1", { ttl: "1 day" })
          yield* db.createCursor("c")
          yield* db.put("a", "2", { ttl: "2 days" })
          yield* db.dropKeyspace("off")
        })
      )
      yield* run(disk, notKept, (db) =>
        Effect.andThen(
          db.put("a", "3"),
          Effect.flatMap(db.keyspace("plain"), (plain) => plain.put("a", "2"))
        )
      )
      yield* run(disk, kept, (db) =>
        Effect.gen(function* () {
          yield* db.put("a", "4")
          expect(yield* shown(db)).toEqual([
            "put a: - → 1",
            "put a: - → 1",
            "put a: ? → 1",
            "put a: 1 → 2",
            "put a: ? → 3",
            "put a: ? → 2",
            "put a: 3 → 4"
          ])
          expect((yield* db.verify).logSegments).toBeGreaterThan(0)
        })
      )
    })
  )

  it.effect("in words that are checked; beside a writer, only as it is", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, notKept)
      for (const [given, part] of [
        ['{ "beforeImages": "yes" }', "beforeImages must be true or false"],
        ['{ "beforeImage": true }', "did you mean beforeImages?"],
        ['{ "zzz": true }', "there are history, beforeImages"]
      ] as const) {
        const options: KeyspaceOptions = JSON.parse(given)
        const refused = yield* Effect.flip(db.keyspace("audit", options))
        expect([refused._tag, refused.message]).toEqual(["InvalidOptions", expect.stringContaining(part)])
      }
      const audit = yield* db.keyspace("audit", { beforeImages: true })
      yield* audit.put("a", "1")
      yield* audit.put("a", "2")
      const reader = yield* openOn(DiskSimulated.layer(disk), directory, { readOnly: true })
      const same = yield* reader.keyspace("audit", { beforeImages: true })
      expect(yield* same.getText("a")).toBe("2")
      expect(yield* shown(reader)).toEqual(["put a: - → 1", "put a: 1 → 2"])
      expect((yield* Effect.flip(reader.keyspace("audit", { beforeImages: false })))._tag).toBe("DatabaseReadOnly")
    }).pipe(Effect.scoped)
  )
})

describe("a batch that replaces too much", () => {
  it.effect("is refused whole, and says why", () =>
    Effect.gen(function* () {
      const settings = { ...kept, batchBytesMax: 65_536, valueBytesMax: 60_000, memtableBytes: 1 << 20 }
      const db = yield* openSimulated(new SimulatedDisk(), settings)
      for (const key of ["a", "b", "c"]) yield* db.put(key, key.repeat(40_000))
      const before = (yield* db.stats).visibleSequence
      const both = [
        { type: "delete", key: "a" },
        { type: "delete", key: "b" },
        { type: "put", key: "d", value: "new" }
      ] as const
      for (const isFlushed of [false, true]) {
        if (isFlushed) yield* db.flush
        const refused = yield* Effect.flip(db.write(both))
        expect(refused).toMatchObject({ _tag: "BatchTooLarge", bytesMax: 65_536, beforeImageBytes: 80_000 })
        expect(refused.message).toContain("80000 of them values that it replaces")
        expect([yield* db.has("a"), yield* db.has("d"), (yield* db.stats).visibleSequence]).toEqual([true, false, before])
        expect(yield* Effect.flip(db.put("c", "x".repeat(30_000)))).toMatchObject({ _tag: "BatchTooLarge", beforeImageBytes: 40_000 })
        expect(yield* Effect.flip(Effect.asVoid(db.transaction((tx) => tx.write(both))))).toMatchObject({ _tag: "BatchTooLarge" })
      }
      // One by one it goes, and by a range, which keeps nothing.
      yield* db.delete("a")
      yield* db.write([{ type: "deleteRange", gte: "b", lt: "d" }])
      expect((yield* shown(db)).slice(3)).toEqual(["delete a: aaa… (40000)", "deleteRange b"])
    }).pipe(Effect.scoped)
  )
})

describe("a value that cannot be read", () => {
  it.effect("cannot be replaced where that would have to be told: a typed error, nothing written; a range delete goes", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const plain: EngineSettings = { ...kept, compression: "none" }
      yield* run(disk, plain, (db) => Effect.andThen(db.put("a", "x".repeat(3000)), db.flush))
      const file = [...disk.files().keys()].find((path) => parseFileName(path.slice(path.lastIndexOf("/") + 1))?.kind === "values")!
      const handle = disk.open(file, "write")
      handle.writev([new Uint8Array(500).fill(1)], 200)
      handle.close()
      yield* run(disk, plain, (db) =>
        Effect.gen(function* () {
          const before = (yield* db.stats).visibleSequence
          expect(yield* Effect.flip(db.put("a", "2"))).toMatchObject({ _tag: "CorruptFile", file: `/${file}` })
          expect(yield* Effect.flip(db.delete("a"))).toMatchObject({ _tag: "CorruptFile", file: `/${file}` })
          expect((yield* db.stats).visibleSequence).toBe(before)
          yield* db.put("b", "1")
          yield* db.write([{ type: "deleteRange", prefix: "a" }])
          expect(yield* db.has("a")).toBe(false)
        })
      )
    })
  )
})

describe("in memory", () => {
  it.effect("they are the same", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory({ retention: { log: "1 day", beforeImages: true } }))
      yield* db.put("a", "1")
      yield* db.put("a", "2")
      expect(yield* shown(db)).toEqual(["put a: - → 1", "put a: 1 → 2"])
    }).pipe(Effect.scoped)
  )
})
