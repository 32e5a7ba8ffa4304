/** `history(key)`: what it shows, what it refuses, and that it leaves nothing behind. */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import type { HistoryOptions } from "../../../src/services/History.ts"
import { HistoryRun, versionTexts } from "../../support/historyRun.ts"
import { directory, openSimulated } from "../../support/openEngine.ts"
import { openLayer } from "../../support/openLayer.ts"

const opened = openLayer(
  LightningDb.layerMemory({ retention: { history: "unlimited" }, memtableBytes: 65_536, blockBytes: 512, valueThresholdBytes: 1024 })
)

const found = (db: DatabaseShape, key: string, options?: HistoryOptions) => Effect.map(Stream.runCollect(db.history(key, options)), versionTexts)

describe("history of a key", () => {
  for (const place of ["memtable", "level 0", "compacted", "some of each"] as const) {
    it.effect(`shows its puts, deletes and range deletes, in both directions and within bounds (${place})`, () =>
      Effect.gen(function* () {
        const db = yield* opened
        const settle = place === "level 0" ? db.flush : place === "compacted" ? Effect.andThen(db.flush, db.compact()) : Effect.void
        yield* db.put("a", "before")
        yield* db.put("k", "1")
        yield* db.delete("k")
        if (place === "some of each") yield* Effect.andThen(db.flush, db.compact())
        yield* db.put("k", "x".repeat(3000))
        yield* db.put("kk", "a longer key")
        yield* db.write([{ type: "deleteRange", gte: "a", lt: "z" }])
        if (place === "some of each") yield* db.flush
        // The last operation of a transaction on a key is what it did to it.
        yield* db.write([
          { type: "deleteRange", gte: "j", lt: "l" },
          { type: "put", key: "k", value: "2" }
        ])
        yield* db.write([
          { type: "put", key: "k", value: "3" },
          { type: "deleteRange", gte: "k", lt: "l" }
        ])
        yield* db.write([{ type: "deleteRange", gte: "l", lt: "m" }])
        yield* settle
        const all = ["2 put 1", "3 delete", `4 put ${"x".repeat(3000)}`, "6 delete", "7 put 2", "8 delete"]
        expect(yield* found(db, "k")).toEqual(all)
        expect(yield* found(db, "k", { reverse: true })).toEqual(all.toReversed())
        expect(yield* found(db, "k", { limit: 2 })).toEqual(all.slice(0, 2))
        expect(yield* found(db, "k", { reverse: true, limit: 4 })).toEqual(all.slice(-4).toReversed())
        expect(yield* found(db, "k", { limit: 0 })).toEqual([])
        for (let from = 0; from <= 10; from++) {
          for (let to = from; to <= 10; to++) {
            const expected = all.filter((version) => Number.parseInt(version) >= from && Number.parseInt(version) <= to)
            expect(yield* found(db, "k", { from, to }), `${from} to ${to}`).toEqual(expected)
            expect(yield* found(db, "k", { from, to, reverse: true }), `${to} down to ${from}`).toEqual(expected.toReversed())
          }
        }
        expect(yield* found(db, "never")).toEqual(["6 delete"])
        expect(yield* found(db, "zz")).toEqual([])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("shows the state as of when it is started, however much comes meanwhile", () =>
    Effect.gen(function* () {
      const db = yield* opened
      for (let i = 1; i <= 200; i++) yield* db.put("k", `${i}`)
      let seen = 0
      yield* Stream.runForEach(db.history("k"), ({ sequence, value }) =>
        Effect.gen(function* () {
          expect(`${sequence}`).toBe(new TextDecoder().decode(value))
          if (seen++ % 50 === 0) {
            yield* db.put("k", "later")
            yield* db.flush
            yield* db.compact()
          }
        })
      )
      expect(seen).toBe(200)
      expect((yield* db.stats).snapshots.open).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.effect("gives its lease back when it is broken off, interrupted, or fails", () =>
    Effect.gen(function* () {
      const db = yield* opened
      for (let i = 1; i <= 200; i++) yield* db.put("k", `${i}`)
      yield* Stream.runDrain(Stream.take(db.history("k"), 1))
      yield* Effect.exit(Stream.runForEach(db.history("k"), () => Effect.fail("enough")))
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(db.history("k"), () => Effect.never),
        { startImmediately: true }
      )
      while ((yield* db.stats).snapshots.open === 0) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect((yield* db.stats).snapshots.open).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.effect("refuses what is no range of versions, no key, and a keyspace that was dropped", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const space = yield* db.keyspace("fruit")
      // What a program without types may ask for.
      const asked: (key: unknown, options?: unknown) => Stream.Stream<unknown, { readonly _tag: string }> = (key, options) =>
        Reflect.apply(db.history, undefined, [key, options])
      for (const options of [{ from: 2, to: 1 }, { from: -1 }, { to: 1.5 }, { limit: -1 }, { reverse: 1 }, { form: 1 }, 7, [1]]) {
        expect(yield* Effect.flip(Stream.runDrain(asked("k", options)))).toMatchObject({ _tag: "InvalidRange" })
      }
      for (const key of ["", 7, undefined]) expect(yield* Effect.flip(Stream.runDrain(asked(key)))).toMatchObject({ _tag: "InvalidKey" })
      yield* db.dropKeyspace("fruit")
      expect(yield* Effect.flip(Stream.runDrain(space.history("k")))).toMatchObject({ _tag: "KeyspaceDropped", name: "fruit" })
      expect((yield* db.stats).snapshots.open).toBe(0)
    }).pipe(Effect.scoped)
  )
})

describe("a moment", () => {
  it.effect("must be a sequence or a date", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const at: (moment: unknown) => Effect.Effect<unknown, { readonly _tag: string }> = (moment) =>
        Effect.scoped(Reflect.apply(db.at, undefined, [moment]) satisfies ReturnType<DatabaseShape["at"]>)
      for (const moment of [-1, 0.5, Number.NaN, Infinity, "1", undefined, new Date(Number.NaN)]) {
        expect(yield* Effect.flip(at(moment))).toMatchObject({ _tag: "InvalidRange" })
      }
    }).pipe(Effect.scoped)
  )

  it.effect("holds its lease as long as its scope, and ends with the database", () =>
    Effect.gen(function* () {
      const db = yield* opened
      yield* db.put("k", "1")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const past = yield* db.at(1)
          expect((yield* db.stats).snapshots).toMatchObject({ open: 1, oldestSequence: 1 })
          expect(past.unsafe.getText("k")).toBe("1")
          expect([...past.unsafe.entries()]).toHaveLength(1)
        })
      )
      expect((yield* db.stats).snapshots.open).toBe(0)
      const exit = yield* Effect.exit(Effect.scoped(db.at(2)))
      expect(Exit.isFailure(exit)).toBe(true)
      expect((yield* db.stats).snapshots.open).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("by date waits for the commits before it that are on their way, and for no others", () => {
    let ms = 1_700_000_000_000
    const nanos = () => BigInt(ms) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: () => ms,
      currentTimeNanosUnsafe: nanos,
      monotonicTimeNanosUnsafe: nanos,
      currentTimeMillis: Effect.sync(() => ms),
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: () => Effect.never
    }
    return Effect.gen(function* () {
      const disk = new SimulatedDisk()
      disk.makeDirectory(directory)
      const db = yield* openSimulated(disk, { retention: { history: "unlimited" } })
      yield* db.put("k", "0")
      const before = yield* Effect.forkChild(db.put("k", "before"), { startImmediately: true })
      ms += 1000
      const after = yield* Effect.forkChild(db.put("k", "after"), { startImmediately: true })
      expect((yield* db.stats).visibleSequence).toBe(1)
      const past = yield* db.at(new Date(ms))
      expect(past.sequence).toBe(2)
      expect(yield* past.getText("k")).toBe("before")
      expect((yield* Fiber.join(before)).sequence).toBe(2)
      expect((yield* Fiber.join(after)).sequence).toBe(3)
      expect(yield* past.getText("k")).toBe("before")
    }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
  })

  it.effect("by date is answered at once after a crash, whose lost sequences never come", () =>
    Effect.gen(function* () {
      const run = new HistoryRun(1, { retention: { history: "unlimited" } })
      yield* TestClock.setTime(1_700_000_000_000)
      yield* run.open()
      yield* run.db.put("k", "1")
      yield* run.crash()
      yield* TestClock.adjust("10 seconds")
      const past = yield* run.db.at(new Date(1_700_000_005_000))
      expect(past.sequence).toBe(1)
      expect(yield* past.getText("k")).toBe("1")
      yield* run.close()
    }).pipe(Effect.scoped)
  )
})
