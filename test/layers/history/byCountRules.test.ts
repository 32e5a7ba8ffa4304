/** What retention by count keeps, what it gives back, and what it refuses. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { HistoryOption } from "../../../src/domain/options/historyOption.ts"
import type { Operations } from "../../../src/services/Database.ts"
import { textOf } from "../../support/everyVersion.ts"
import { openSimulated } from "../../support/openEngine.ts"

const versionsOf = (space: Operations, key: string) =>
  Effect.map(Stream.runCollect(space.history(key)), (versions) => Array.from(versions, textOf).map((one) => one.slice(one.indexOf(" ") + 1)))

const settings = { retention: { history: { versions: 3 } } } as const
const tableEntries = (db: { readonly stats: Effect.Effect<{ readonly levels: ReadonlyArray<{ readonly entries: number }> }> }) =>
  Effect.map(db.stats, ({ levels }) => levels.reduce((sum, { entries }) => sum + entries, 0))

describe("retention by count", () => {
  it.effect("keeps the newest n versions of each key, from memory, from tables and after a reopening", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk, settings), scope)
      for (const value of ["1", "2", "3", "4", "5"]) yield* db.put("k", value)
      yield* db.put("once", "1")
      const expected = ["put 3", "put 4", "put 5"]
      expect(yield* versionsOf(db, "k")).toEqual(expected)
      yield* db.flush
      expect(yield* versionsOf(db, "k")).toEqual(expected)
      yield* db.put("k", "6")
      yield* db.compact()
      expect(yield* versionsOf(db, "k")).toEqual(["put 4", "put 5", "put 6"])
      yield* db.flush
      yield* db.compact()
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(disk, settings)
      expect(yield* versionsOf(again, "k")).toEqual(["put 4", "put 5", "put 6"])
      expect(yield* versionsOf(again, "once")).toEqual(["put 1"])
      // Narrowed, it is of those that are kept; and what lies before them is nobody's mistake.
      const all = yield* Stream.runCollect(again.history("k"))
      expect(Array.from(yield* Stream.runCollect(again.history("k", { from: 1, limit: 1, reverse: true })), textOf)).toEqual([textOf(all[2]!)])
      expect(Array.from(yield* Stream.runCollect(again.history("k", { to: all[1]!.sequence })), textOf)).toEqual(Array.from(all.slice(0, 2), textOf))
      const reader = yield* openSimulated(disk, { readOnly: true })
      expect(yield* versionsOf(reader, "k")).toEqual(["put 4", "put 5", "put 6"])
    })
  )

  it.effect("counts deletes and range deletes as versions, one a transaction, and keeps them for keys that are gone", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), settings)
      yield* db.put("a", "1")
      yield* db.put("b", "1")
      yield* db.delete("a")
      yield* db.write([{ type: "deleteRange", prefix: "b" }])
      yield* db.write([
        { type: "deleteRange", gte: "a", lt: "z" },
        { type: "put", key: "a", value: "2" }
      ])
      const check = Effect.gen(function* () {
        expect(yield* versionsOf(db, "a")).toEqual(["put 1", "delete", "put 2"])
        expect(yield* versionsOf(db, "b")).toEqual(["put 1", "delete", "delete"])
        // What a range delete covers need not have been there.
        expect(yield* versionsOf(db, "c")).toEqual(["delete"])
        expect(yield* db.getText("b")).toBeUndefined()
      })
      yield* check
      yield* db.flush
      yield* check
      yield* db.compact()
      yield* check
      yield* db.put("b", "3")
      yield* db.write([{ type: "deleteRange", prefix: "a" }])
      yield* db.flush
      yield* db.compact()
      expect(yield* versionsOf(db, "a")).toEqual(["delete", "put 2", "delete"])
      expect(yield* versionsOf(db, "b")).toEqual(["delete", "delete", "put 3"])
    })
  )

  it.effect("has no past to read a whole keyspace in: at answers as without history", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), settings)
      const { sequence } = yield* db.put("k", "1")
      yield* db.put("k", "2")
      yield* db.flush
      expect(yield* Effect.flip(Effect.scoped(db.at(sequence)))).toMatchObject({ _tag: "HistoryGone" })
      // And no history of names and times is kept for its sake.
      const named = yield* db.keyspace("named", { history: "unlimited" })
      const then = yield* named.put("k", "1")
      yield* named.put("k", "2")
      yield* db.flush
      expect(yield* Effect.scoped(Effect.flatMap(named.at(then.sequence), (past) => past.getText("k")))).toBe("1")
      expect(yield* versionsOf(named, "k")).toEqual(["put 1", "put 2"])
    })
  )

  it.effect("gives back what is beyond it, whatever snapshots have held meanwhile", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, { retention: { history: { versions: 2 } } })
      const counted = yield* db.keyspace("counted", { history: { versions: 2 } })
      for (let i = 0; i < 20; i++) {
        const own = yield* Scope.make()
        yield* Scope.provide(counted.snapshot, own)
        yield* counted.write(Array.from({ length: 50 }, (_, k) => ({ type: "put", key: `k${k}`, value: `${i}`.padEnd(300, ".") })))
        if (i % 4 === 3) yield* db.flush
        yield* Scope.close(own, Exit.void)
      }
      const held = yield* counted.snapshot
      for (let i = 20; i < 30; i++)
        yield* counted.write(Array.from({ length: 50 }, (_, k) => ({ type: "put", key: `k${k}`, value: `${i}`.padEnd(300, ".") })))
      yield* db.flush
      yield* db.compact()
      // The snapshot's version, and the newest two.
      expect(yield* tableEntries(db)).toBeLessThan(50 * 3 + 10)
      expect((yield* held.getText("k7"))?.replace(/\.+$/, "")).toBe("19")
      expect(yield* versionsOf(counted, "k7")).toEqual(["put 28", "put 29"])
    })
  )

  it.effect("leaves exactly the newest n of each key once everything is merged", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), { retention: { history: { versions: 2 } } })
      for (let i = 0; i < 30; i++) {
        yield* db.write(Array.from({ length: 50 }, (_, k) => ({ type: "put", key: `k${k}`, value: `${i}`.padEnd(300, ".") })))
        if (i % 4 === 3) yield* db.flush
      }
      yield* db.flush
      yield* db.compact()
      expect(yield* tableEntries(db)).toBe(100)
      // 100 values of 300 bytes, where all of them would be 450,000.
      expect((yield* db.stats).disk.tables).toBeLessThan(60_000)
    })
  )

  it.effect("may be changed: what is there stays countable, what is gone is never skipped over", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      const keep = (history: HistoryOption) => db.keyspace("space", { history })
      const space = yield* keep({ versions: 2 })
      for (const value of ["1", "2"]) yield* space.put("k", value)
      const held = yield* space.snapshot
      for (const value of ["3", "4", "5"]) yield* space.put("k", value)
      yield* db.flush
      yield* db.compact()
      // "2" is there for the snapshot, "3" is gone.
      expect(yield* held.getText("k")).toBe("2")
      expect(yield* versionsOf(space, "k")).toEqual(["put 4", "put 5"])
      yield* keep({ versions: 9 })
      expect(yield* versionsOf(space, "k")).toEqual(["put 4", "put 5"])
      yield* space.put("k", "6")
      yield* db.flush
      yield* db.compact()
      expect(yield* versionsOf(space, "k")).toEqual(["put 4", "put 5", "put 6"])
      yield* keep({ versions: 1 })
      expect(yield* versionsOf(space, "k")).toEqual(["put 6"])
      yield* keep({ versions: 3 })
      expect(yield* versionsOf(space, "k")).toEqual(["put 4", "put 5", "put 6"])
      yield* keep("unlimited")
      const { sequence } = yield* space.put("k", "7")
      yield* space.put("k", "8")
      yield* db.flush
      yield* db.compact()
      expect(yield* versionsOf(space, "k")).toEqual(["put 7", "put 8"])
      expect(yield* Effect.scoped(Effect.flatMap(space.at(sequence), (past) => past.getText("k")))).toBe("7")
      yield* keep({ versions: 2 })
      yield* space.put("k", "9")
      yield* db.flush
      expect(yield* versionsOf(space, "k")).toEqual(["put 8", "put 9"])
      yield* keep(0)
      yield* db.flush
      yield* db.compact()
      expect(yield* versionsOf(space, "k")).toEqual([])
      yield* keep({ versions: 5 })
      yield* space.put("k", "10")
      expect(yield* versionsOf(space, "k")).toEqual(["put 10"])
      expect(yield* space.getText("k")).toBe("10")
    })
  )

  for (const first of ["no history", "a count"] as const) {
    it.effect(`knows after a reopening what ${first} has dropped before`, () =>
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        const scope = yield* Scope.make()
        const db = yield* Scope.provide(openSimulated(disk), scope)
        const space = yield* db.keyspace("space", first === "a count" ? { history: { versions: 3 } } : {})
        yield* space.put("k", "1")
        if (first === "a count") yield* db.flush
        yield* db.keyspace("space", { history: 0 })
        yield* space.put("k", "2")
        yield* Scope.provide(space.snapshot, scope)
        for (const value of ["3", "4"]) yield* space.put("k", value)
        yield* db.flush
        yield* db.compact()
        // "2" is still in the files, for the snapshot, and "3" is not.
        if (first === "no history") {
          yield* db.keyspace("space", { history: { versions: 9 } })
          yield* space.put("k", "5")
          yield* db.flush
        }
        yield* Scope.close(scope, Exit.void)
        const again = yield* openSimulated(disk)
        const counted = yield* again.keyspace("space", { history: { versions: 9 } })
        yield* counted.put("k", "6")
        expect(yield* versionsOf(counted, "k")).toEqual(first === "a count" ? ["put 6"] : ["put 5", "put 6"])
        // A reader knows no more, and no less.
        yield* again.flush
        const reader = yield* openSimulated(disk, { readOnly: true })
        expect(yield* versionsOf(yield* reader.keyspace("space"), "k")).toEqual(yield* versionsOf(counted, "k"))
      })
    )
  }

  it.effect("refuses what is no number of versions, and says what to give", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      for (const history of [
        { versions: 0 },
        { versions: 1.5 },
        { versions: -1 },
        { versions: "3" },
        { versions: 2_000_000 },
        { versions: 3, days: 1 },
        { version: 3 },
        "forever"
      ]) {
        const given: { readonly history?: HistoryOption } = JSON.parse(JSON.stringify({ history }))
        const error = yield* Effect.flip(db.keyspace("space", given))
        expect(error, JSON.stringify(history)).toMatchObject({ _tag: "InvalidOptions" })
        expect(error.message).toContain("{ versions: a whole number from 1 to")
        const opening = yield* Effect.flip(Effect.scoped(openSimulated(new SimulatedDisk(), { retention: given })))
        expect(opening, JSON.stringify(history)).toMatchObject({ _tag: "InvalidOptions" })
      }
      // Nothing was made.
      expect(yield* db.keyspaces).toEqual([])
    })
  )
})
