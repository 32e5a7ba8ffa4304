/** Reads that fail with what may pass are tried again, by the schedule `retry`, through every way of reading; those that may not wait, and what does not pass, are told at once. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { transientCodes } from "../../src/domain/errors/severity.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { turns } from "../support/healthLog.ts"
import { type EngineSettings, openOn } from "../support/openEngine.ts"

const large = "v".repeat(3000)

/** Small values in tables, large ones in value files; no cache. */
const opened = (settings: EngineSettings = {}) =>
  Effect.gen(function* () {
    let faulty: FaultyDisk | undefined
    const disk = DiskFaulty.layerWith((created) => {
      faulty = created
    }).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
    const db = yield* openOn(disk, "/db", { cacheBytes: 0, valueCacheBytes: 0, retention: { history: "1 day" }, ...settings })
    for (let i = 0; i < 20; i++) yield* db.put(`k${String(i).padStart(2, "0")}`, i % 2 === 0 ? "small" : large)
    yield* db.flush
    yield* db.get("k00")
    yield* db.get("k01")
    return { db, faulty: faulty! }
  })

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString())

/** Each way to read, with what it must answer. */
const ways: ReadonlyArray<readonly [string, (db: DatabaseShape) => Effect.Effect<unknown, { readonly _tag: string }>, unknown]> = [
  ["get", (db) => Effect.map(db.get("k00"), text), "small"],
  ["get of a large value", (db) => Effect.map(db.get("k01"), text), large],
  ["getText", (db) => db.getText("k02"), "small"],
  ["getMany", (db) => Effect.map(db.getMany(["k00", "k01", "nothing"]), (values) => values.map(text)), ["small", large, undefined]],
  ["has", (db) => db.has("k03"), true],
  [
    "scan",
    (db) => Effect.map(Stream.runCollect(db.scan()), (entries) => entries.map(({ value }) => value.length)),
    Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 5 : 3000))
  ],
  [
    "scan backward",
    (db) => Effect.map(Stream.runCollect(db.scan({ reverse: true, limit: 3 })), (entries) => entries.map(({ value }) => value.length)),
    [3000, 5, 3000]
  ],
  ["a snapshot", (db) => Effect.scoped(Effect.flatMap(db.snapshot, (snapshot) => snapshot.getText("k00"))), "small"],
  ["the past", (db) => Effect.scoped(Effect.flatMap(db.at(5), (past) => past.getText("k00"))), "small"],
  ["history", (db) => Effect.map(Stream.runCollect(db.history("k01")), (versions) => versions.map(({ value }) => value?.length)), [3000]],
  ["a transaction", (db) => db.transaction((tx) => Effect.map(tx.get("k01"), text)), large],
  [
    "getMany of a transaction",
    (db) => db.transaction((tx) => Effect.map(tx.getMany(["k00", "k01"]), (values) => values.map(text))),
    ["small", large]
  ],
  ["scan of a transaction", (db) => db.transaction((tx) => Effect.map(Stream.runCollect(tx.scan({ limit: 2 })), (entries) => entries.length)), 2],
  ["an atomic operation", (db) => Effect.map(db.write([{ type: "append", key: "k00", value: "er" }]), ({ results }) => text(results?.[0])), "smaller"]
]

describe("reads that fail with what may pass", () => {
  for (const [name, read, expected] of ways) {
    it.effect(`${name}: one failure is seen by nobody, under a clock that stands still`, () =>
      Effect.gen(function* () {
        const { db, faulty } = yield* opened()
        for (const code of transientCodes) {
          const rule = { match: { operation: "readAt", path: /\.(?:table|values)$/ }, nth: 1, fault: { code } } as const
          faulty.add(rule)
          const answer = yield* read(db)
          if (name !== "an atomic operation") expect(answer).toEqual(expected)
          else expect(answer).toContain("small")
          expect(faulty.strikes(rule), code).toBe(1)
          faulty.clear()
          // An append is in the memtable now: nothing would be read for another.
          if (name === "an atomic operation") break
        }
        expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
        expect((yield* db.stats).breakers).toEqual([])
      })
    )
  }

  it.effect("what lasts is tried as often as it is told, with the pauses of the schedule, and then told with its place", () =>
    Effect.gen(function* () {
      const { db, faulty } = yield* opened({ retry: { attempts: 4, firstDelay: 100, maxDelay: 150, factor: 2, jitter: 0 } })
      const rule = { match: { operation: "readAt", path: /\.table$/ }, fault: { code: "ETIMEDOUT" } } as const
      faulty.add(rule)
      const reading = yield* Effect.forkChild(Effect.flip(db.get("k00")), { startImmediately: true })
      yield* turns(10)
      // The one that failed inline, and two at once through the pool.
      const atOnce = faulty.strikes(rule)
      expect(atOnce).toBe(3)
      yield* TestClock.adjust(99)
      expect(faulty.strikes(rule)).toBe(atOnce)
      yield* TestClock.adjust(1)
      yield* turns(10)
      expect(faulty.strikes(rule)).toBe(atOnce + 1)
      yield* TestClock.adjust(150)
      const error = yield* Fiber.join(reading)
      expect(error).toMatchObject({ _tag: "DiskError", code: "ETIMEDOUT", path: expect.stringMatching(/\.table$/), offsetBytes: expect.any(Number) })
      expect(faulty.strikes(rule)).toBe(atOnce + 2)
    })
  )

  it.effect("unsafe reads, and what does not pass, are told at once", () =>
    Effect.gen(function* () {
      const { db, faulty } = yield* opened()
      for (const code of ["EAGAIN", "EIO"]) {
        const rule = { match: { operation: "readAt", path: /\.table$/ }, nth: 1, fault: { code } } as const
        faulty.add(rule)
        if (code === "EIO") expect(yield* Effect.flip(db.get("k00"))).toMatchObject({ _tag: "DiskError", code })
        else {
          expect(() => db.unsafe.get("k00")).toThrow(code)
          faulty.clear()
          faulty.add(rule)
          expect(() => [...db.unsafe.entries()]).toThrow(code)
        }
        expect(faulty.strikes(rule)).toBe(1)
        faulty.clear()
      }
    })
  )

  it.effect("without a handle to be had, a table that nobody uses gives up its own", () =>
    Effect.gen(function* () {
      const { db, faulty } = yield* opened({ level0CompactTrigger: 50, level0SlowTrigger: 60, level0StopTrigger: 70 })
      yield* db.put("z", "1")
      yield* db.flush
      const rule = { match: { operation: "open", path: /\.table$/ }, nth: 1, fault: { code: "EMFILE" } } as const
      faulty.add(rule)
      expect(db.unsafe.getText("z")).toBe("1")
      expect(faulty.strikes(rule)).toBe(1)
      expect(yield* db.getText("k00")).toBe("small")
    })
  )
})
