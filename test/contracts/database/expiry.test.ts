/** Values that expire: gone from every read at their moment, whether or not the reaper has come; and what the reaper leaves behind. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import * as path from "node:path"
import { openLayer, temporaryDirectory } from "../../support/openLayer.ts"
import { places, scanned, settle, small, text } from "./fixture.ts"

const open = (options = {}) => openLayer(LightningDb.layerMemory({ ...small, ...options }))

const startMs = 1_700_000_000_000

describe("expiry", () => {
  it.effect("of a put that is asked for wrongly is refused, and nothing written", () =>
    Effect.gen(function* () {
      const db = yield* open()
      for (const [options, problem] of [
        [{ ttl: -1 }, "-1"],
        [{ ttl: Number.NaN }, "NaN"],
        [{ ttl: 5, expiresAt: 5 }, "both"],
        [{ expiresAt: new Date(Number.NaN) }, "invalid Date"]
      ] as const) {
        const failure = yield* Effect.flip(db.put("a", "1", options))
        expect(failure).toMatchObject({ _tag: "InvalidOptions" })
        expect(failure.message).toContain(problem)
        expect(yield* Effect.flip(db.write([{ type: "put", key: "a", value: "1", ...options }]))).toMatchObject({ _tag: "InvalidBatch", index: 0 })
      }
      expect(yield* scanned(db)).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.effect("of a value lies with it in checkpoints, and a reader beside the writer sees it go", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      const root = yield* temporaryDirectory
      const at = (name: string) => path.join(root, name)
      const db = yield* openLayer(LightningDb.layer({ ...small, path: at("db"), compactionWorkers: 0 }))
      const orders = yield* db.keyspace("orders")
      for (let i = 0; i < 50; i++) {
        yield* db.put(`k${i}`, "v", { ttl: 1000 + i, durability: "buffered" })
        yield* orders.put(`o${i}`, "v", { ttl: 1000, durability: "buffered" })
      }
      yield* db.put("stays", "v")
      yield* Effect.andThen(db.flush, db.compact())
      yield* db.put("late", "v", { ttl: 1050 })
      yield* db.checkpoint(at("copy"))
      const reader = yield* openLayer(LightningDb.layer({ path: at("db"), readOnly: true }))
      const copy = yield* openLayer(LightningDb.layer({ ...small, path: at("copy"), compactionWorkers: 0 }))
      const all = [db, reader, copy]
      for (const each of all) {
        expect((yield* scanned(each)).length).toBe(52)
        expect((yield* each.keyspaces).map(({ name }) => name)).toEqual((yield* db.keyspaces).map(({ name }) => name))
      }
      yield* TestClock.adjust(1000 + 20)
      for (const each of all) {
        // k0 to k20 are gone, and so is all of the other keyspace.
        expect((yield* scanned(each)).length).toBe(31)
        expect(yield* scanned(yield* each.keyspace("orders"))).toEqual([])
      }
      yield* TestClock.adjust(1000)
      for (const each of all) expect(yield* scanned(each)).toEqual(["stays=v"])
      for (const each of [db, copy]) {
        yield* Effect.andThen(each.flush, each.compact())
        yield* each.verify
        expect(yield* scanned(each)).toEqual(["stays=v"])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a value is there until its millisecond, and gone in it: in every read, wherever it lies", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      for (const place of places) {
        const db = yield* open()
        const orders = yield* db.keyspace("orders")
        yield* db.put("never", "stays")
        yield* db.put("ttl", "a", { ttl: 1000 })
        if (place === "some of each") yield* db.flush
        yield* db.put("long", "b", { ttl: Duration.minutes(1) })
        yield* orders.put("at", "c", { expiresAt: new Date(startMs + 1000) })
        yield* db.write([{ type: "put", key: "batch", value: "d", expiresAt: startMs + 1000 }])
        yield* settle(db, place)
        const inAll = (expected: ReadonlyArray<string>, atExpected: string | undefined) =>
          Effect.gen(function* () {
            expect(yield* scanned(db), place).toEqual(expected)
            expect(yield* scanned(db, { reverse: true })).toEqual(expected.toReversed())
            expect(Array.from(db.unsafe.entries(), ([k, v]) => `${text(k)}=${text(v)}`)).toEqual(expected)
            const snapshot = yield* db.snapshot
            expect(yield* scanned(snapshot)).toEqual(expected)
            for (const [key, value] of [
              ["ttl", "a"],
              ["batch", "d"],
              ["long", "b"],
              ["never", "stays"]
            ] as const) {
              const found = expected.includes(`${key}=${value}`) ? value : undefined
              // Twice: the first read may fill a cache.
              for (let i = 0; i < 2; i++) {
                expect(yield* db.getText(key)).toBe(found)
                expect(text(yield* db.get(key))).toBe(found)
                expect(yield* db.has(key)).toBe(found !== undefined)
                expect(text(db.unsafe.get(key))).toBe(found)
                expect((yield* db.getMany([key])).map(text)).toEqual([found])
                expect(yield* snapshot.getText(key)).toBe(found)
              }
            }
            expect(yield* orders.getText("at")).toBe(atExpected)
          }).pipe(Effect.scoped)
        yield* inAll(["batch=d", "long=b", "never=stays", "ttl=a"], "c")
        yield* TestClock.adjust(999)
        yield* inAll(["batch=d", "long=b", "never=stays", "ttl=a"], "c")
        const before = yield* db.snapshot
        yield* TestClock.adjust(1)
        yield* inAll(["long=b", "never=stays"], undefined)
        // A snapshot has its own time.
        expect(yield* scanned(before)).toEqual(["batch=d", "long=b", "never=stays", "ttl=a"])
        yield* TestClock.adjust("1 minute")
        yield* inAll(["never=stays"], undefined)
        expect(yield* scanned(before)).toEqual(["batch=d", "long=b", "never=stays", "ttl=a"])
        yield* Effect.andThen(db.flush, db.compact())
        yield* inAll(["never=stays"], undefined)
        expect(yield* scanned(before)).toEqual(["batch=d", "long=b", "never=stays", "ttl=a"])
        yield* db.verify
        yield* TestClock.setTime(startMs)
      }
    }).pipe(Effect.scoped)
  )
})
