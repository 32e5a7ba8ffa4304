import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { DatabaseShape, ScanRange } from "../../../src/services/Database.ts"
import { type DatabaseFixture, pairs, places, scanned, settle, small, text } from "./fixture.ts"

const large = "L".repeat(5000)
const utf8 = new TextEncoder()

/** Keys that byte order sorts otherwise than UTF-16 order does, keys that are prefixes of others, and bytes that are no text. */
const keys = ["a", "a\0", "a\0b", "ab", "abc", "b", "ba", "z", "\uffff", "\u{10000}"]

/** Written in pieces, so that "some of each" has entries in tables of several levels and in the memtable. */
const load = (db: DatabaseShape, place: (typeof places)[number]) =>
  Effect.gen(function* () {
    for (const [i, key] of keys.entries()) {
      yield* db.put(key, "old")
      if (place === "some of each" && i === 4) yield* Effect.andThen(db.flush, db.compact())
    }
    if (place === "some of each") yield* db.flush
    yield* db.write([
      ...keys.map((key) => ({ type: "put" as const, key, value: `v:${key}` })),
      { type: "put", key: "gone", value: "1" },
      { type: "put", key: "large", value: large }
    ])
    if (place === "some of each") yield* db.flush
    yield* db.delete("gone")
    yield* settle(db, place)
  })

const inOrder = ["a", "a\0", "a\0b", "ab", "abc", "b", "ba", "large", "z", "\uffff", "\u{10000}"]

/** Each range, and the keys it holds. */
const ranges: ReadonlyArray<readonly [ScanRange | undefined, ReadonlyArray<string>]> = [
  [undefined, inOrder],
  [{}, inOrder],
  [{ gte: "ab" }, inOrder.slice(3)],
  [{ gt: "ab" }, inOrder.slice(4)],
  [{ lte: "ab" }, inOrder.slice(0, 4)],
  [{ lt: "ab" }, inOrder.slice(0, 3)],
  [{ gte: "aa", lt: "b" }, ["ab", "abc"]],
  [{ gt: "a", lte: "b" }, ["a\0", "a\0b", "ab", "abc", "b"]],
  [{ gte: "b", lt: "b" }, []],
  [{ gt: "b", lt: "b" }, []],
  [{ gte: "b", lte: "b" }, ["b"]],
  [{ prefix: "a" }, ["a", "a\0", "a\0b", "ab", "abc"]],
  [{ prefix: "ab" }, ["ab", "abc"]],
  [{ prefix: "a", gt: "ab" }, ["abc"]],
  [{ prefix: "a", lt: "a\0b" }, ["a", "a\0"]],
  [{ prefix: "ab", gte: "b" }, []],
  [{ prefix: "" }, inOrder],
  [{ prefix: "nothing" }, []],
  [{ prefix: utf8.encode("ba") }, ["ba"]],
  [{ prefix: new Uint8Array([0xff]) }, []],
  [{ gte: "" }, inOrder],
  [{ lt: "" }, []],
  [{ limit: 0 }, []],
  [{ limit: 3 }, inOrder.slice(0, 3)],
  [{ gte: "b", limit: 2 }, ["b", "ba"]],
  [{ limit: 1000 }, inOrder]
]

export const readsContract = (fixture: DatabaseFixture): void => {
  describe.each(places)("reads, entries in: %s", (place) => {
    it.effect("get, getText, has, getMany, and their synchronous twins", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        yield* load(db, place)
        for (const key of keys) {
          const bytes = utf8.encode(key)
          const value = `v:${key}`
          expect(text(yield* db.get(key))).toBe(value)
          expect(text(yield* db.get(bytes))).toBe(value)
          expect(yield* db.getText(key)).toBe(value)
          expect(yield* db.getText(bytes)).toBe(value)
          expect(yield* db.has(key)).toBe(true)
          expect(text(db.unsafe.get(key))).toBe(value)
          expect(db.unsafe.getText(bytes)).toBe(value)
          expect(db.unsafe.has(bytes)).toBe(true)
        }
        for (const key of ["gone", "never", "a\0\0", "zz", utf8.encode("abcd"), new Uint8Array([0xff, 0xff])]) {
          expect(yield* db.get(key)).toBeUndefined()
          expect(yield* db.getText(key)).toBeUndefined()
          expect(yield* db.has(key)).toBe(false)
          expect(db.unsafe.get(key)).toBeUndefined()
          expect(db.unsafe.getText(key)).toBeUndefined()
          expect(db.unsafe.has(key)).toBe(false)
        }
        expect(yield* db.getText("large")).toBe(large)
        const asked = ["z", "gone", utf8.encode("a"), "a", "never", "large"]
        const expected = ["v:z", undefined, "v:a", "v:a", undefined, large]
        expect((yield* db.getMany(asked)).map(text)).toEqual(expected)
        expect(db.unsafe.getMany(asked).map(text)).toEqual(expected)
        expect(yield* db.getMany([])).toEqual([])
      })
    )

    it.effect("scan with all bounds, prefix, limit, forward and backward, and entries", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        yield* load(db, place)
        for (const [range, expected] of ranges) {
          const named = expected.map((key) => (key === "large" ? `large=${large}` : `${key}=v:${key}`))
          expect(yield* scanned(db, range), JSON.stringify(range)).toEqual(named)
          expect(pairs(Array.from(db.unsafe.entries(range), ([key, value]) => ({ key, value }))), JSON.stringify(range)).toEqual(named)
          if (range?.limit !== undefined) continue
          expect(yield* scanned(db, { ...range, reverse: true }), `${JSON.stringify(range)} backward`).toEqual(named.toReversed())
          expect(yield* scanned(db, { ...range, reverse: true, limit: 2 })).toEqual(named.toReversed().slice(0, 2))
        }
        expect((yield* db.stats).snapshots.open).toBe(0)
      })
    )
  })

  it.effect("a scan is of the moment it was started, whatever is written and dropped meanwhile", () =>
    Effect.gen(function* () {
      const db = yield* fixture.open(small)
      const count = 2000
      const key = (i: number) => `k${String(i).padStart(5, "0")}`
      yield* db.write(Array.from({ length: count }, (_, i) => ({ type: "put" as const, key: key(i), value: `first ${i}` })))
      let seen = 0
      yield* db.scan().pipe(
        Stream.runForEachArray((entries) =>
          Effect.gen(function* () {
            for (const entry of entries) {
              expect(text(entry.key)).toBe(key(seen))
              expect(text(entry.value)).toBe(`first ${seen++}`)
            }
            if (seen > 600) return
            yield* db.write([
              { type: "deleteRange", gte: key(seen), lt: key(count) },
              ...Array.from({ length: 300 }, (_, i) => ({ type: "put" as const, key: key(i * 5), value: "second" }))
            ])
            yield* Effect.andThen(db.flush, db.compact())
          })
        )
      )
      expect(seen).toBe(count)
      expect((yield* db.stats).snapshots.open).toBe(0)
      yield* db.verify
    })
  )

  it.effect("a scan that is left early, or interrupted, ends its lease", () =>
    Effect.gen(function* () {
      const db = yield* fixture.open(small)
      yield* db.write(Array.from({ length: 1000 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: "v" })))
      expect(pairs(yield* Stream.runCollect(db.scan().pipe(Stream.take(3))))).toHaveLength(3)
      for (const _ of db.unsafe.entries()) break
      const fiber = yield* Effect.forkChild(
        Stream.runForEachArray(db.scan(), () => Effect.never),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      expect((yield* db.stats).snapshots.open).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect((yield* db.stats).snapshots.open).toBe(0)
      // An iterator that is made and never advanced holds nothing.
      db.unsafe.entries()
      expect((yield* db.stats).snapshots.open).toBe(0)
    })
  )

  it.effect("bytes returned belong to the caller: changing them changes nothing, and nothing the engine does later changes them", () =>
    Effect.gen(function* () {
      const db = yield* fixture.open(small)
      const value = (i: number) => `value ${i} `.repeat(i % 7 === 0 ? 300 : 3)
      const write = (turn: string) =>
        db.write(Array.from({ length: 300 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: turn + value(i) })))
      yield* write("one ")
      for (const place of places) {
        yield* settle(db, place)
        const kept: Array<readonly [Uint8Array, string]> = []
        const keep = (bytes: Uint8Array | undefined, i: number) => kept.push([bytes!, `one ${value(i)}`])
        for (let i = 0; i < 300; i++) {
          keep(yield* db.get(`k${i}`), i)
          keep(db.unsafe.get(utf8.encode(`k${i}`)), i)
        }
        for (const [i, bytes] of (yield* db.getMany(Array.from({ length: 300 }, (_, i) => `k${i}`))).entries()) keep(bytes, i)
        for (const entry of yield* Stream.runCollect(db.scan())) {
          kept.push([entry.key, text(entry.key)!])
          keep(entry.value, Number(text(entry.key)!.slice(1)))
        }
        for (const [key, bytes] of db.unsafe.entries()) keep(bytes, Number(text(key)!.slice(1)))
        // Overwritten, moved through every level, and read again by others.
        yield* write("two ")
        yield* Effect.andThen(db.flush, db.compact())
        for (let i = 0; i < 300; i++) expect(db.unsafe.getText(`k${i}`)).toBe(`two ${value(i)}`)
        for (const [bytes, expected] of kept) if (text(bytes) !== expected) expect(text(bytes)).toBe(expected)
        // The other direction: what the caller does to them reaches nobody.
        for (const [bytes] of kept) bytes.fill(0x21)
        for (let i = 0; i < 300; i++) db.unsafe.get(`k${i}`)!.fill(0x21)
        for (const [key, bytes] of db.unsafe.entries()) {
          key.fill(0x21)
          bytes.fill(0x21)
        }
        for (let i = 0; i < 300; i++) {
          expect(text(db.unsafe.get(`k${i}`))).toBe(`two ${value(i)}`)
          expect(text(db.unsafe.get(utf8.encode(`k${i}`)))).toBe(`two ${value(i)}`)
        }
        yield* write("one ")
      }
    })
  )

  it.effect("small values are views of small slabs, large ones own their memory", () =>
    Effect.gen(function* () {
      const db = yield* fixture.open(small)
      yield* db.write([
        { type: "put", key: "small", value: "s".repeat(1000) },
        { type: "put", key: "large", value: "l".repeat(1025) }
      ])
      for (const place of ["memtable", "compacted"] as const) {
        yield* settle(db, place)
        const smallValue = (yield* db.get("small"))!
        const largeValue = (yield* db.get("large"))!
        expect(smallValue.buffer.byteLength).toBeLessThanOrEqual(16_384)
        expect(largeValue.buffer.byteLength).toBe(1025)
        for (const bytes of [smallValue, largeValue]) expect(bytes.buffer).toBeInstanceOf(ArrayBuffer)
      }
    })
  )
}
