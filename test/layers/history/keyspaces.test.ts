/** Keyspaces with a history of their own; keyspaces that are no more; values that have expired since. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, KeyspaceOptions } from "../../../src/services/Database.ts"
import { contentsOf, versionTexts } from "../../support/historyRun.ts"
import { directory, type EngineSettings, openSimulated } from "../../support/openEngine.ts"

const emptyDisk = Effect.sync(() => {
  const disk = new SimulatedDisk()
  disk.makeDirectory(directory)
  return disk
})

const during = <A, E>(disk: SimulatedDisk, settings: EngineSettings, body: (db: DatabaseShape) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(openSimulated(disk, settings), body))

const put = (space: Pick<DatabaseShape, "put">, key: string, value: string) => Effect.map(space.put(key, value), ({ sequence }) => sequence)

const valueAt = (space: Pick<DatabaseShape, "at">, moment: number | Date, key: string) =>
  Effect.scoped(Effect.flatMap(space.at(moment), (past) => past.getText(key)))

const inSpaceAt = (db: Pick<DatabaseShape, "at">, moment: number, name: string, key: string) =>
  Effect.scoped(Effect.flatMap(db.at(moment), (past) => Effect.flatMap(past.keyspace(name), (reads) => reads.getText(key))))

const failureOf = <A>(effect: Effect.Effect<A, { readonly _tag: string }>) => Effect.flip(Effect.asVoid(effect))

/** So that everything a job may drop is dropped. */
const settle = (db: DatabaseShape) =>
  Effect.gen(function* () {
    yield* db.put("zzz", "something to flush")
    yield* db.flush
    yield* db.compact()
  })

describe("a keyspace with a history of its own", () => {
  it.effect("keeps it where the database keeps none, across opens, and is read by its handle", () =>
    Effect.gen(function* () {
      const disk = yield* emptyDisk
      const [first, second] = yield* during(disk, {}, (db) =>
        Effect.gen(function* () {
          const audit = yield* db.keyspace("audit", { history: "unlimited" })
          const first = yield* put(audit, "k", "1")
          yield* put(db, "k", "1")
          const second = yield* put(audit, "k", "2")
          yield* put(db, "k", "2")
          yield* settle(db)
          return [first, second] as const
        })
      )
      yield* during(disk, {}, (db) =>
        Effect.gen(function* () {
          const audit = yield* db.keyspace("audit")
          yield* put(audit, "k", "3")
          yield* settle(db)
          expect(yield* valueAt(audit, first, "k")).toBe("1")
          expect(yield* valueAt(audit, second, "k")).toBe("2")
          expect(versionTexts(yield* Stream.runCollect(audit.history("k", { to: second })))).toEqual([`${first} put 1`, `${second} put 2`])
          expect(yield* failureOf(valueAt(db, second, "k"))).toMatchObject({ _tag: "HistoryGone" })
          // The names of the past are kept with it.
          expect(yield* inSpaceAt(audit, first, "audit", "k")).toBe("1")
        })
      )
    })
  )

  it.effect("is configured anew by opening it with other options; what is gone does not come back", () =>
    Effect.gen(function* () {
      const disk = yield* emptyDisk
      yield* during(disk, {}, (db) =>
        Effect.gen(function* () {
          const before = (yield* db.stats).visibleSequence
          const plain = yield* db.keyspace("audit")
          const first = yield* put(plain, "k", "1")
          yield* put(plain, "k", "2")
          yield* settle(db)
          const writes = (yield* db.stats).visibleSequence
          const audit = yield* db.keyspace("audit", { history: "1 hour" })
          expect((yield* db.stats).visibleSequence).toBe(writes + 1)
          yield* db.keyspace("audit", { history: "1 hour" })
          yield* db.keyspace("audit", { history: 3_600_000 })
          yield* db.keyspace("audit")
          expect((yield* db.stats).visibleSequence).toBe(writes + 1)
          const third = yield* put(audit, "k", "3")
          yield* put(audit, "k", "4")
          yield* settle(db)
          expect(yield* valueAt(audit, third, "k")).toBe("3")
          expect(yield* failureOf(valueAt(audit, first, "k"))).toMatchObject({ _tag: "HistoryGone" })
          yield* db.keyspace("audit", { history: 0 })
          yield* settle(db)
          expect(yield* failureOf(valueAt(audit, third, "k"))).toMatchObject({ _tag: "HistoryGone" })
          expect(before).toBe(0)
        })
      )
      yield* during(disk, {}, (db) =>
        Effect.gen(function* () {
          const audit = yield* db.keyspace("audit")
          expect(yield* audit.getText("k")).toBe("4")
          const last = (yield* db.stats).visibleSequence
          yield* put(audit, "k", "5")
          yield* settle(db)
          expect(yield* failureOf(valueAt(audit, last, "k"))).toMatchObject({ _tag: "HistoryGone" })
        })
      )
    })
  )

  it.effect("refuses what is no history", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(yield* emptyDisk)
      // What a program without types may ask for.
      const keyspace: (name: string, options: unknown) => Effect.Effect<unknown, { readonly _tag: string }> = (name, options) =>
        db.keyspace(name, Object.assign(Object.create(null), typeof options === "object" ? options : undefined) satisfies KeyspaceOptions)
      for (const options of [{ history: "for ever" }, { history: -1 }, { histroy: 1 }, { history: Number.NaN }]) {
        expect(yield* failureOf(keyspace("audit", options))).toMatchObject({ _tag: "InvalidOptions" })
      }
      expect(yield* db.keyspaces).toEqual([])
    }).pipe(Effect.scoped)
  )
})

describe("a keyspace that was dropped", () => {
  it.effect("is there in the past, also after an open, by the name it had then; and gives its space back with that", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const disk = yield* emptyDisk
      const settings: EngineSettings = { retention: { history: "1 minute" }, compression: "none" }
      const [sequence, handleSequence] = yield* during(disk, settings, (db) =>
        Effect.gen(function* () {
          const old = yield* db.keyspace("fruit")
          const sequence = yield* put(old, "k", "old")
          for (let i = 0; i < 50; i++) yield* put(old, `k${i}`, "x".repeat(100))
          yield* settle(db)
          const { sequence: dropped } = yield* db.dropKeyspace("fruit")
          const again = yield* db.keyspace("fruit")
          yield* put(again, "k", "new")
          yield* settle(db)
          expect(yield* inSpaceAt(db, sequence, "fruit", "k")).toBe("old")
          // Its handle reads the past, and no more.
          expect(yield* valueAt(old, sequence, "k")).toBe("old")
          expect(yield* failureOf(valueAt(old, dropped, "k"))).toMatchObject({ _tag: "KeyspaceDropped" })
          expect(yield* failureOf(inSpaceAt(db, dropped, "fruit", "k"))).toMatchObject({ _tag: "KeyspaceNotFound" })
          return [sequence, dropped] as const
        })
      )
      yield* during(disk, settings, (db) =>
        Effect.gen(function* () {
          yield* settle(db)
          expect(yield* inSpaceAt(db, sequence, "fruit", "k")).toBe("old")
          expect(yield* inSpaceAt(db, handleSequence + 2, "fruit", "k")).toBe("new")
          const full = (yield* db.stats).disk.tables
          yield* TestClock.adjust("62 seconds")
          yield* settle(db)
          yield* settle(db)
          expect(yield* failureOf(inSpaceAt(db, sequence, "fruit", "k"))).toMatchObject({ _tag: "HistoryGone" })
          expect((yield* db.stats).disk.tables).toBeLessThan(full - 5000)
          expect(yield* contentsOf(yield* db.keyspace("fruit"))).toEqual(["k=new"])
        })
      )
    })
  )
})

describe("a value that expires", () => {
  it.effect("is seen in the past as it was then, whatever the time is now", () =>
    Effect.gen(function* () {
      const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000)
      yield* TestClock.setTime(at(0).getTime())
      const db = yield* openSimulated(yield* emptyDisk, { retention: { history: "unlimited" } })
      const { sequence } = yield* db.put("k", "short", { ttl: "10 seconds" })
      yield* TestClock.setTime(at(5).getTime())
      const second = yield* put(db, "other", "1")
      yield* TestClock.setTime(at(20).getTime())
      const third = yield* put(db, "other", "2")
      for (const settled of [false, true]) {
        expect(yield* db.get("k")).toBeUndefined()
        expect(yield* valueAt(db, sequence, "k"), String(settled)).toBe("short")
        expect(yield* valueAt(db, second, "k")).toBe("short")
        expect(yield* valueAt(db, third, "k")).toBeUndefined()
        // Between two commits only the time goes on.
        expect(yield* valueAt(db, at(9), "k")).toBe("short")
        expect(yield* valueAt(db, at(10), "k")).toBeUndefined()
        const versions = yield* Stream.runCollect(db.history("k"))
        expect(versions[0]).toMatchObject({ sequence, type: "put", expiresAt: at(10).getTime() })
        yield* settle(db)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("is gone from a past whose times are not known", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const db = yield* openSimulated(yield* emptyDisk)
      const { sequence } = yield* db.put("k", "short", { ttl: "10 seconds" })
      expect(yield* valueAt(db, sequence, "k")).toBe("short")
      yield* TestClock.adjust("10 seconds")
      expect(yield* valueAt(db, sequence, "k")).toBeUndefined()
    }).pipe(Effect.scoped)
  )
})
