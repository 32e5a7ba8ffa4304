import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { WriteOperation } from "../../../src/services/Database.ts"
import { type DatabaseFixture, places, scanned, settle, small, text } from "./fixture.ts"

const put = (key: string, value: string, keyspace?: string): WriteOperation => ({ type: "put", key, value, keyspace })

export const writesContract = (fixture: DatabaseFixture): void => {
  describe("writes", () => {
    it.effect("say their sequence and what the acknowledgement was worth", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const first = yield* db.put("a", "1", { durability: "sync" })
        const second = yield* db.put("b", "2", { durability: "buffered" })
        const third = yield* db.delete("a")
        const fourth = yield* db.write([put("c", "3"), put("d", "4")], { durability: "buffered" })
        expect(first.durability).toBe(fixture.durabilityOf("sync"))
        expect(second.durability).toBe(fixture.durabilityOf("buffered"))
        // The default of opening.
        expect(third.durability).toBe(fixture.durabilityOf("sync"))
        expect(fourth.durability).toBe(fixture.durabilityOf("buffered"))
        expect([second.sequence, third.sequence, fourth.sequence].map((sequence) => sequence - first.sequence)).toEqual([1, 2, 3])
        const stats = yield* db.stats
        expect(stats.visibleSequence).toBe(fourth.sequence)
        expect(stats.durableSequence).toBeGreaterThanOrEqual(third.sequence)
        // Nothing to do is done at once, and takes no sequence.
        expect(yield* db.write([])).toEqual({ sequence: fourth.sequence, durability: fixture.durabilityOf("sync") })
      })
    )

    it.effect("take the default of opening", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open({ ...small, durability: "buffered" })
        expect((yield* db.put("a", "1")).durability).toBe(fixture.durabilityOf("buffered"))
        expect((yield* db.put("a", "1", { durability: "sync" })).durability).toBe(fixture.durabilityOf("sync"))
      })
    )

    it.effect("empty values, values of every size, bytes and text", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const sizes = [0, 1, 63, 64, 1023, 1024, 1025, 4096, 65_535, 65_536, 200_000, 1_000_000]
        for (const size of sizes) {
          yield* db.put(`bytes ${size}`, new Uint8Array(size).fill(size % 251))
          yield* db.put(`text ${size}`, "é".repeat(size >> 1))
        }
        yield* db.put("buffer", Buffer.from("of node"))
        for (const place of places) {
          yield* settle(db, place)
          for (const size of sizes) {
            expect(Buffer.compare((yield* db.get(`bytes ${size}`))!, new Uint8Array(size).fill(size % 251))).toBe(0)
            expect(yield* db.getText(`text ${size}`)).toBe("é".repeat(size >> 1))
          }
          expect(yield* db.getText("buffer")).toBe("of node")
        }
        yield* db.verify
      })
    )

    it.effect("keys of every size, up to the limit", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const sizes = [1, 2, 127, 128, 1000, 16_384, 65_535, 65_536]
        for (const size of sizes) yield* db.put("k".repeat(size), String(size))
        for (const place of ["memtable", "level 0", "compacted"] as const) {
          yield* settle(db, place)
          for (const size of sizes) expect(yield* db.getText("k".repeat(size))).toBe(String(size))
          expect((yield* scanned(db)).map((pair) => pair.length - pair.indexOf("=") - 1)).toEqual(sizes.map((size) => String(size).length))
        }
      })
    )

    it.effect("what was handed in may be reused once the write has answered", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const key = new Uint8Array([1, 2, 3])
        const value = new Uint8Array(3000).fill(7)
        yield* db.put(key, value)
        key.fill(9)
        value.fill(9)
        expect(yield* db.get(new Uint8Array([1, 2, 3]))).toEqual(new Uint8Array(3000).fill(7))
        expect(yield* db.has(key)).toBe(false)
      })
    )

    it.effect.each(places)("a batch sees its own earlier operations; range deletes cover what is older, in: %s", (place) =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        for (const key of ["a", "b", "c", "d", "e"]) yield* db.put(key, "old")
        yield* settle(db, place)
        yield* db.write([
          put("b", "lost to the range"),
          { type: "deleteRange", gte: "b", lt: "e" },
          put("c", "first"),
          put("c", "last"),
          { type: "delete", key: "a" },
          put("a", "again"),
          put("f", "new"),
          { type: "delete", key: "f" },
          { type: "deleteRange", gte: "x", lt: "x" }
        ])
        const expected = ["a=again", "c=last", "e=old"]
        expect(yield* scanned(db)).toEqual(expected)
        yield* settle(db, place)
        expect(yield* scanned(db)).toEqual(expected)
        for (const key of ["b", "d", "f"]) expect(yield* db.get(key)).toBeUndefined()
        yield* db.write([{ type: "deleteRange", gte: "", lt: "zzz" }])
        yield* db.put("b", "after")
        yield* settle(db, place)
        expect(yield* scanned(db)).toEqual(["b=after"])
        expect(text(yield* db.get("c"))).toBeUndefined()
      })
    )

    it.effect("are atomic across keyspaces, and nothing is written where one operation is refused", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const orders = yield* db.keyspace("orders")
        yield* db.write([put("k", "here"), put("k", "there", "orders")])
        expect([yield* db.getText("k"), yield* orders.getText("k")]).toEqual(["here", "there"])
        // Within a keyspace, an operation without one of its own goes there.
        yield* orders.write([put("own", "1"), put("k", "there too", "orders")])
        expect(yield* scanned(orders)).toEqual(["k=there too", "own=1"])
        expect(yield* scanned(db)).toEqual(["k=here"])
        const before = (yield* db.stats).visibleSequence
        const error = yield* Effect.flip(db.write([put("k", "no"), put("k", "no", "missing")]))
        expect(error._tag).toBe("KeyspaceNotFound")
        const second = yield* Effect.flip(orders.write([put("k", "no"), put("", "no")]))
        expect(second).toMatchObject({ _tag: "InvalidKey", reason: "Empty", index: 1 })
        expect([yield* db.getText("k"), yield* orders.getText("k")]).toEqual(["here", "there too"])
        expect((yield* db.stats).visibleSequence).toBe(before)
      })
    )

    it.effect("by many fibers at once: all of them, in one order, no sequence twice", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const results = yield* Effect.forEach(
          Array.from({ length: 400 }, (_, i) => i),
          (i) =>
            i % 3 === 0
              ? db.write([put(`k${i}`, `v${i}`), put("shared", String(i))], { durability: i % 2 === 0 ? "sync" : "buffered" })
              : db.put(`k${i}`, `v${i}`, { durability: "buffered" }),
          {
            concurrency: "unbounded"
          }
        )
        const sequences = results.map((result) => result.sequence).sort((a, b) => a - b)
        expect(sequences).toEqual(Array.from({ length: 400 }, (_, i) => sequences[0]! + i))
        for (let i = 0; i < 400; i++) expect(yield* db.getText(`k${i}`)).toBe(`v${i}`)
        const last = results
          .map((result, i) => ({ i, sequence: result.sequence }))
          .filter(({ i }) => i % 3 === 0)
          .sort((a, b) => b.sequence - a.sequence)[0]!
        expect(yield* db.getText("shared")).toBe(String(last.i))
      })
    )

    it.effect("that are interrupted are done or not done, and leave nothing behind", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        for (let i = 0; i < 60; i++) {
          const fiber = yield* Effect.forkChild(db.write([put(`a${i}`, "1"), put(`b${i}`, "1")], { durability: i % 2 === 0 ? "sync" : "buffered" }), {
            startImmediately: i % 3 !== 0
          })
          for (let turns = 0; turns < i % 5; turns++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        // Everything sequenced before is visible once this one is.
        yield* db.put("end", "1", { durability: "sync" })
        for (let i = 0; i < 60; i++) expect(yield* db.has(`a${i}`), String(i)).toBe(yield* db.has(`b${i}`))
        const stats = yield* db.stats
        expect([stats.stalls.waiting, stats.snapshots.open]).toEqual([0, 0])
      })
    )

    it.effect("a batch larger than a memtable, and one of very many operations", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        yield* db.put("before", "1")
        yield* db.write(Array.from({ length: 20_000 }, (_, i) => put(`k${i}`, "")))
        yield* db.write([put("big 1", "x".repeat(300_000)), put("big 2", "y".repeat(300_000))])
        yield* db.put("after", "1")
        yield* db.flush
        expect(yield* db.has("k0")).toBe(true)
        expect(yield* db.has("k19999")).toBe(true)
        expect((yield* db.getText("big 2"))!.length).toBe(300_000)
        expect([...db.unsafe.entries({ prefix: "k" })]).toHaveLength(20_000)
        yield* db.verify
      })
    )
  })
}
