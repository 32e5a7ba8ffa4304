/** Restore points: named and versioned, listed, verified, removed, restored from, rolled back to. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { readCurrentManifest } from "../../../src/layers/recovery/readState.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { directory } from "../../support/openEngine.ts"
import { entriesOf, flipByte, points, restoreOn, rollBackOn, using, usingAt } from "../../support/restorePointDatabase.ts"

const fill = (db: DatabaseShape, from: number, count: number, value = "v") =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => from + i),
    (i) => db.put(`k${String(i).padStart(4, "0")}`, `${value}${i}`.padEnd(i % 5 === 0 ? 1500 : 40, ".")),
    {
      discard: true
    }
  )

const listed = (db: DatabaseShape) => Effect.map(db.restorePoints, (list) => list.points.map(({ id }) => id))

describe("restore points", () => {
  it.effect("have a name, versions, and a note of what they are", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          expect(yield* db.restorePoints).toEqual({ points: [], damaged: [] })
          yield* fill(db, 0, 50)
          const first = yield* db.createRestorePoint({ name: "nightly", reason: "before the import" })
          const { visibleSequence } = yield* db.stats
          expect(first).toMatchObject({
            id: "nightly@1",
            name: "nightly",
            version: 1,
            path: `${points}/nightly`,
            sequence: visibleSequence,
            reason: "before the import"
          })
          expect(first.bytes).toBeGreaterThan(50 * 40)
          yield* fill(db, 50, 5)
          const second = yield* db.createRestorePoint({ name: "nightly" })
          expect(second).toMatchObject({ id: "nightly@2", version: 2, reason: "", sequence: visibleSequence + 5 })
          yield* db.createRestorePoint({ name: "other" })
          const { damaged, points: found } = yield* db.restorePoints
          expect(damaged).toEqual([])
          expect(found.map(({ id }) => id).sort()).toEqual(["nightly@1", "nightly@2", "other@1"])
          expect(found.find(({ id }) => id === "nightly@1")).toEqual(first)
          expect((yield* db.verifyRestorePoint("nightly@1")).entries).toBeLessThan((yield* db.verifyRestorePoint("nightly")).entries)
        })
      )
      // Another open, a read-only one too, sees the same.
      expect((yield* using(disk, listed, { readOnly: true })).length).toBe(3)
    })
  )

  it.effect("are databases that can be read beside the live one", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 30)
          const then = yield* entriesOf(db)
          const { path } = yield* db.createRestorePoint({ name: "a" })
          yield* fill(db, 0, 30, "new")
          expect(yield* usingAt(disk, path, entriesOf, { readOnly: true })).toEqual(then)
        })
      )
    })
  )

  it.effect("keep as many of a name as is asked for, and give their space back", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* db.createRestorePoint({ name: "keep" })
          for (let i = 0; i < 4; i++) {
            yield* fill(db, i * 10, 10)
            yield* db.createRestorePoint({ name: "hourly", keep: 2 })
          }
          expect((yield* listed(db)).sort()).toEqual(["hourly@3", "hourly@4", "keep@1"])
          expect(yield* Effect.flip(db.removeRestorePoint("hourly"))).toMatchObject({ _tag: "InvalidRestorePointName" })
          yield* db.removeRestorePoint("hourly@3")
          yield* db.removeRestorePoint("hourly")
          expect(yield* listed(db)).toEqual(["keep@1"])
          expect(disk.list(points).filter((name) => !name.startsWith("LOCK"))).toEqual(["keep"])
          expect(yield* Effect.flip(db.removeRestorePoint("hourly"))).toMatchObject({ _tag: "RestorePointNotFound", available: ["keep@1"] })
        })
      )
    })
  )

  it.effect("refuse names that are no file names, and options that are none", () =>
    Effect.gen(function* () {
      yield* using(new SimulatedDisk(), (db) =>
        Effect.gen(function* () {
          for (const name of ["", ".", "..", "a/b", "a\\b", "../x", ".hidden", "a@1", "con", "NUL.txt", "ends.", "ä", "x".repeat(101), "a\0b"]) {
            expect(yield* Effect.flip(db.createRestorePoint({ name })), name).toMatchObject({ _tag: "InvalidRestorePointName" })
          }
          for (const bad of [
            undefined,
            7,
            { name: "a", keep: 0 },
            { name: "a", reason: 5 },
            { name: "a", reson: "x" },
            { name: "a", reason: "x".repeat(5000) }
          ]) {
            expect(yield* Effect.flip(db.createRestorePoint(bad as never))).toMatchObject({ _tag: "InvalidOptions" })
          }
          yield* db.createRestorePoint({ name: "Case" })
          expect(yield* Effect.flip(db.createRestorePoint({ name: "case" }))).toMatchObject({ _tag: "InvalidRestorePointName" })
          expect(yield* Effect.flip(db.verifyRestorePoint("gone"))).toMatchObject({ _tag: "RestorePointNotFound", available: ["Case@1"] })
          expect(yield* Effect.flip(db.verifyRestorePoint("Case@9"))).toMatchObject({ _tag: "RestorePointNotFound" })
        })
      )
    })
  )

  it.effect("of two processes one waits its turn, with an error; of two fibers one waits", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 20)
          const both = yield* Effect.all([db.createRestorePoint({ name: "a" }), db.createRestorePoint({ name: "a" })], { concurrency: 2 })
          expect(both.map(({ id }) => id).sort()).toEqual(["a@1", "a@2"])
          // The reader stands for another process.
          yield* using(
            disk,
            (reader) =>
              Effect.gen(function* () {
                const making = yield* Effect.forkChild(db.createRestorePoint({ name: "b" }), { startImmediately: true })
                expect(yield* Effect.flip(reader.createRestorePoint({ name: "b" }))).toMatchObject({ _tag: "RestorePointsBusy" })
                yield* Fiber.join(making)
                expect((yield* reader.createRestorePoint({ name: "b" })).id).toBe("b@2")
              }),
            { readOnly: true }
          )
        })
      )
    })
  )

  it.effect("that nobody can have made whole are never listed, and the next one clears them away", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 20)
          yield* db.createRestorePoint({ name: "a" })
          for (const left of [".a@2.making", ".a@7.removing", "a@2"]) {
            disk.makeDirectory(`${points}/${left}`)
            disk.open(`${points}/${left}/000001.table`, "create").close()
          }
          expect(yield* listed(db)).toEqual(["a@1"])
          // A directory that somebody else put there is passed over, and left alone.
          expect((yield* db.createRestorePoint({ name: "a" })).id).toBe("a@3")
          expect(
            disk
              .list(points)
              .filter((name) => !name.startsWith("LOCK"))
              .sort()
          ).toEqual(["a", "a@2", "a@3"])
        })
      )
    })
  )

  it.effect("with damage are found by verify, and not restored from, wherever it is", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) => Effect.andThen(fill(db, 0, 60), db.createRestorePoint({ name: "a" })))
      for (const name of disk.list(`${points}/a`)) {
        const path = `${points}/a/${name}`
        const at = Math.floor(disk.stat(path)!.sizeBytes / (name.endsWith("manifest") ? 100 : 2))
        flipByte(disk, path, at)
        yield* using(disk, (db) =>
          Effect.gen(function* () {
            expect(yield* Effect.flip(db.verifyRestorePoint("a")), name).toMatchObject({ _tag: "CorruptFile", file: path })
            const { damaged, points: whole } = yield* db.restorePoints
            expect(whole.length + damaged.length).toBe(1)
            expect(damaged.length).toBe(name === "RESTORE-POINT" ? 1 : 0)
          })
        ).pipe(Effect.catchTag("CorruptFile", () => Effect.void))
        expect(yield* Effect.flip(restoreOn(disk, { from: "a", to: "/elsewhere" })), name).toMatchObject({ _tag: "CorruptFile", file: path })
        expect(yield* Effect.flip(rollBackOn(disk, { to: "a" })), name).toMatchObject({ _tag: "CorruptFile", file: path })
        expect(disk.stat("/elsewhere")).toBeUndefined()
        flipByte(disk, path, at)
      }
      yield* using(disk, (db) => db.verifyRestorePoint("a"))
    })
  )

  it.effect("that were opened for writing are none any more", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) => Effect.andThen(fill(db, 0, 10), db.createRestorePoint({ name: "a" })))
      yield* usingAt(disk, `${points}/a`, (db) => db.put("more", "x"))
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(db.verifyRestorePoint("a"))).toMatchObject({ _tag: "RestorePointMismatch" })
        })
      )
      expect(yield* Effect.flip(rollBackOn(disk, { to: "a" }))).toMatchObject({ _tag: "RestorePointMismatch" })
      // It is still a database, and can be had by its path.
      yield* restoreOn(disk, { from: `${points}/a`, to: "/elsewhere" })
      expect(yield* usingAt(disk, "/elsewhere", (db) => db.getText("more"))).toBe("x")
    })
  )

  it.effect("a full disk leaves nothing of one that was being made", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 40)
          yield* db.flush
          let failAt = 0
          for (; failAt < 100; failAt++) {
            let seen = 0
            disk.onOperation = ({ kind, path }) =>
              path.includes(".making") && (kind === "writev" || kind === "link" || kind === "open" || kind === "makeDirectory") && seen++ === failAt
                ? { fail: "ENOSPC", afterBytes: 3 }
                : "ok"
            const made = yield* Effect.result(db.createRestorePoint({ name: "a" }))
            disk.onOperation = undefined
            if (made._tag === "Success") break
            expect(made.failure).toMatchObject({ _tag: "DiskFull" })
            expect(disk.list(points).filter((name) => !name.startsWith("LOCK"))).toEqual([])
          }
          expect(failAt).toBeGreaterThan(3)
          expect(yield* listed(db)).toEqual(["a@1"])
          expect((yield* db.health).state).toBe("healthy")
        })
      )
    })
  )
})

describe("restore", () => {
  it.effect("makes a new database of a restore point, also where the old one is gone", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const then = yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 40)
          yield* db.createRestorePoint({ name: "a" })
          const entries = yield* entriesOf(db)
          yield* fill(db, 0, 40, "later")
          return entries
        })
      )
      const report = yield* restoreOn(disk, { from: "a", to: "/copy" })
      expect(report).toMatchObject({ path: "/copy", sequence: 40 })
      expect(yield* usingAt(disk, "/copy", entriesOf)).toEqual(then)
      expect(yield* Effect.flip(restoreOn(disk, { from: "a", to: "/copy" }))).toMatchObject({ _tag: "PathExists" })
      expect(yield* Effect.flip(restoreOn(disk, { from: "a" }))).toMatchObject({ _tag: "PathExists", path: directory })
      expect(yield* Effect.flip(restoreOn(disk, { from: "/nowhere", to: "/x" }))).toMatchObject({ _tag: "NotADatabase" })
      expect(yield* Effect.flip(restoreOn(disk, { from: "b", to: "/x" }))).toMatchObject({ _tag: "RestorePointNotFound", available: ["a@1"] })
      expect(yield* Effect.flip(restoreOn(disk, { from: "a", too: "/x" } as never))).toMatchObject({ _tag: "InvalidOptions" })
      for (const name of disk.list(directory)) disk.remove(`${directory}/${name}`)
      disk.remove(directory)
      yield* restoreOn(disk, { from: "a" })
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          expect(yield* entriesOf(db)).toEqual(then)
          yield* fill(db, 0, 40, "again")
          yield* db.flush
          yield* db.compact()
          yield* db.verify
        })
      )
      // Its ids do not meet those of the restore point, which can still be rolled back to.
      yield* rollBackOn(disk, { to: "a" })
      expect(yield* using(disk, entriesOf)).toEqual(then)
    })
  )
})

describe("roll back", () => {
  it.effect("gives every entry of then back, keeps what was there, and goes on", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const [then, later] = yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 60)
          const orders = yield* db.keyspace("orders")
          yield* orders.put("o", "1")
          yield* db.createRestorePoint({ name: "a" })
          const entries = yield* entriesOf(db)
          yield* fill(db, 30, 100, "later")
          yield* db.write([{ type: "deleteRange", gte: "k0000", lt: "k0020" }])
          yield* db.dropKeyspace("orders")
          yield* db.keyspace("new")
          yield* db.compact()
          return [entries, yield* entriesOf(db)] as const
        })
      )
      const { kept, point } = yield* rollBackOn(disk, { to: "a" })
      expect(point.id).toBe("a@1")
      expect(kept?.name).toMatch(/^before-rollback-/)
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          expect(yield* entriesOf(db)).toEqual(then)
          expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["orders"])
          yield* db.verify
          yield* fill(db, 200, 50, "after")
          yield* db.flush
          yield* db.compact()
          yield* db.verify
          expect((yield* listed(db)).length).toBe(2)
        })
      )
      // And back again.
      yield* rollBackOn(disk, { to: kept!.id, keepPresent: false })
      expect(yield* using(disk, entriesOf)).toEqual(later)
      expect((yield* using(disk, listed)).length).toBe(2)
    })
  )

  it.effect("to one that a reader made, with what was in no table yet", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const then = yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 20)
          yield* db.flush
          yield* fill(db, 20, 25)
          yield* using(disk, (reader) => reader.createRestorePoint({ name: "live" }), { readOnly: true })
          const entries = yield* entriesOf(db)
          yield* fill(db, 0, 50, "later")
          return entries
        })
      )
      yield* rollBackOn(disk, { to: "live" })
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          expect(yield* entriesOf(db)).toEqual(then)
          yield* db.verify
          yield* fill(db, 100, 5)
        })
      )
      expect((yield* using(disk, entriesOf)).length).toBe(then.length + 5)
    })
  )

  it.effect("tells feed readers that their history is another one", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 10)
          yield* db.createCursor("reader")
          yield* db.createRestorePoint({ name: "a" })
          yield* fill(db, 0, 10)
          yield* db.advanceCursor("reader", 15)
        })
      )
      yield* rollBackOn(disk, { to: "a" })
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          const changes = yield* Effect.flip(Stream.runDrain(db.changes({ cursor: "reader" }).pipe(Stream.take(1))))
          expect(changes).toMatchObject({ _tag: "HistoryDiverged" })
          expect(yield* Effect.flip(Stream.runDrain(db.changes({ from: 15 }).pipe(Stream.take(1))))).toMatchObject({
            _tag: expect.stringMatching(/HistoryDiverged|FutureMoment/)
          })
        })
      )
    })
  )

  it.effect("that fails before its rename leaves what was there, whatever is in no table", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const present = yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* fill(db, 0, 20)
          yield* using(disk, (reader) => reader.createRestorePoint({ name: "live" }), { readOnly: true })
          yield* fill(db, 20, 5)
          return yield* entriesOf(db)
        })
      )
      for (const keepPresent of [true, false]) {
        disk.onOperation = ({ kind, path }) => (kind === "rename" && path === `${directory}/CURRENT.tmp` ? "fail" : "ok")
        expect(yield* Effect.flip(rollBackOn(disk, { to: "live", keepPresent }))).toMatchObject({ _tag: "DiskError" })
        disk.onOperation = undefined
        yield* using(disk, (db) =>
          Effect.gen(function* () {
            expect(yield* entriesOf(db)).toEqual(present)
            yield* db.verify
          })
        )
      }
      yield* rollBackOn(disk, { to: "live" })
      expect((yield* using(disk, entriesOf)).length).toBe(present.length - 5)
    })
  )

  it.effect("makes a lineage of its own each time", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const lineage = (path = directory) => Buffer.from(readCurrentManifest(disk, path, "read")!.state.lineageId).toString("hex")
      yield* using(disk, (db) => Effect.andThen(fill(db, 0, 5), db.createRestorePoint({ name: "a" })))
      const lineages = new Set([lineage(), lineage(`${points}/a`)])
      for (let i = 0; i < 3; i++) {
        yield* rollBackOn(disk, { to: "a", keepPresent: false }, 50 + i)
        lineages.add(lineage())
      }
      expect(lineages.size).toBe(5)
    })
  )

  it.effect("needs the lock, an existing database, and a restore point of it", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* using(disk, (db) =>
        Effect.gen(function* () {
          yield* db.put("a", "1")
          yield* db.createRestorePoint({ name: "a" })
          expect(yield* Effect.flip(rollBackOn(disk, { to: "a" }))).toMatchObject({ _tag: "DatabaseLocked" })
        })
      )
      expect(yield* Effect.flip(rollBackOn(disk, { to: "b" }))).toMatchObject({ _tag: "RestorePointNotFound" })
      expect(yield* Effect.flip(rollBackOn(disk, { to: "../a" }))).toMatchObject({ _tag: "InvalidRestorePointName" })
      yield* usingAt(disk, "/other", (db) => Effect.andThen(db.put("x", "y"), db.createRestorePoint({ name: "theirs" })), { entropySeed: 99 })
      expect(yield* Effect.flip(rollBackOn(disk, { to: "theirs", checkpoints: "/other.checkpoints" }))).toMatchObject({
        _tag: "RestorePointMismatch"
      })
      expect(disk.stat("/nothing.checkpoints")).toBeUndefined()
    })
  )

  it.effect("a database that cannot be read any more is rolled back where it is given up", () =>
    Effect.gen(function* () {
      for (const broken of [".manifest", "CURRENT", "missing CURRENT", ".log", ".table"]) {
        const disk = new SimulatedDisk()
        const then = yield* using(disk, (db) =>
          Effect.gen(function* () {
            yield* fill(db, 0, 30)
            yield* db.createRestorePoint({ name: "a" })
            const entries = yield* entriesOf(db)
            yield* fill(db, 30, 30)
            yield* db.flush
            yield* fill(db, 60, 3)
            return entries
          })
        )
        const name = disk
          .list(directory)
          .filter((one) => one.endsWith(broken.replace("missing ", "")))
          .sort()
          .at(-1)!
        if (broken === "missing CURRENT") disk.remove(`${directory}/${name}`)
        else flipByte(disk, `${directory}/${name}`, broken === ".log" ? 4200 : 20)
        const tried = yield* Effect.result(rollBackOn(disk, { to: "a" }))
        if (tried._tag === "Failure") expect(tried.failure).toMatchObject({ _tag: "CorruptFile" })
        if (broken !== ".table") expect(tried._tag, broken).toBe("Failure")
        yield* rollBackOn(disk, { to: "a", keepPresent: false })
        yield* using(disk, (db) =>
          Effect.gen(function* () {
            expect(yield* entriesOf(db), broken).toEqual(then)
            yield* db.verify
          })
        )
      }
    })
  )
})
