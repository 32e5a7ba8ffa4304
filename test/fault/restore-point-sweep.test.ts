/**
 * Making, removing, restoring and rolling back, stopped at every operation of the disk: a restore point is there whole or not at all, a database is what it was or what it was
 * rolled back to, and whatever was cut short can be done again.
 */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import type { CrashMode } from "../../src/layers/disk/crashImage.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { entriesOf, points, restoreOn, rollBackOn, using, usingAt } from "../support/restorePointDatabase.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const stride = Number(process.env["LIGHTNING_SWEEP_STRIDE"] ?? 3)
const randomStates = Number(process.env["LIGHTNING_SWEEP_STATES"] ?? 1)

const fill = (db: DatabaseShape, from: number, count: number, value: string) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => from + i),
    (i) => db.put(`k${String(i).padStart(3, "0")}`, `${value}${i}`.padEnd(i % 7 === 0 ? 1300 : 30, "."), { durability: "buffered" }),
    { discard: true }
  )

/** A step of the run: between which operations it was made, and what must hold at the end of it. */
interface Phase {
  readonly from: number
  readonly until: number
}

interface Run {
  readonly disk: SimulatedDisk
  /** Of the default keyspace, by sequence. */
  readonly states: Map<number, ReadonlyArray<string>>
  readonly phases: Map<string, Phase>
}

const record = (): Promise<Run> =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.gen(function* () {
        const disk = new SimulatedDisk({ record: true })
        const states = new Map<number, ReadonlyArray<string>>()
        const phases = new Map<string, Phase>()
        const phase = <A, E>(name: string, run: Effect.Effect<A, E>) =>
          Effect.gen(function* () {
            const from = disk.trace!.events.length
            const answer = yield* run
            phases.set(name, { from, until: disk.trace!.events.length })
            return answer
          })
        const note = (db: DatabaseShape) =>
          Effect.gen(function* () {
            states.set((yield* db.stats).visibleSequence, yield* entriesOf(db))
          })
        yield* using(disk, (db) =>
          Effect.gen(function* () {
            yield* fill(db, 0, 30, "a")
            yield* note(db)
            yield* phase("create", db.createRestorePoint({ name: "p", reason: "first" }))
            yield* fill(db, 10, 30, "b")
            yield* db.flush
            // Of this one a part is in no table: made beside the writer.
            yield* fill(db, 40, 5, "c")
            yield* note(db)
            yield* phase(
              "create by a reader",
              using(disk, (reader) => reader.createRestorePoint({ name: "live" }), { readOnly: true })
            )
            yield* fill(db, 0, 20, "d")
            yield* note(db)
            yield* phase("create and drop the oldest", db.createRestorePoint({ name: "p", keep: 1 }))
            yield* phase("remove", db.removeRestorePoint("p"))
            yield* db.write([{ type: "deleteRange", gte: "k005", lt: "k015" }])
            yield* db.compact()
            yield* fill(db, 50, 3, "e")
            yield* note(db)
          })
        )
        yield* phase("restore", restoreOn(disk, { from: "live", to: "/copy" }))
        yield* phase("roll back", rollBackOn(disk, { to: "live" }))
        return { disk, states, phases }
      })
    )
  )

const crashes = function* (run: Run, { from, until }: Phase, every: number, near: number) {
  const replayer = new CrashReplayer(run.disk.trace!)
  for (let at = from; at <= until; at += at === until || until - at < 6 ? 1 : Math.min(every, until - at)) {
    replayer.advanceTo(at)
    // Around the rename that decides it, most of what a crash may leave is tried.
    const states = at === until ? 2 : until - at < 6 ? near * randomStates : randomStates
    const modes: ReadonlyArray<CrashMode> = ["worst", "all", ...Array.from({ length: states }, () => "random" as const)]
    for (const [i, mode] of modes.entries()) yield { at, mode, done: at === until, disk: replayer.crash(seededPrng(at * 64 + i), { mode }) }
  }
}

/** Every restore point that is listed is whole, and is the state of its sequence. */
const checkPoints = (run: Run, disk: SimulatedDisk, db: DatabaseShape) =>
  Effect.gen(function* () {
    const { damaged, points: whole } = yield* db.restorePoints
    expect(damaged).toEqual([])
    for (const { id, path, sequence } of whole) {
      yield* db.verifyRestorePoint(id)
      expect(yield* usingAt(disk, path, entriesOf, { readOnly: true })).toEqual(run.states.get(sequence))
    }
    return whole.map(({ id }) => id)
  })

const leftovers = (disk: SimulatedDisk) => disk.list(points).filter((name) => name.startsWith("."))

const runSweep = (body: Effect.Effect<void, unknown>): Promise<void> => Effect.runPromise(withSimulatedClock(body))

describe("crash sweep of restore points", () => {
  it("made and removed: whole, or not there; what was cut short is cleared away by the next", async () => {
    const run = await record()
    let states = 0
    let cleared = 0
    await runSweep(
      Effect.gen(function* () {
        for (const [name, expected] of [
          ["create", ["p@1"]],
          ["create by a reader", ["live@1", "p@1"]],
          ["create and drop the oldest", ["live@1", "p@2"]],
          ["remove", ["live@1"]]
        ] as const) {
          for (const { at, disk, done, mode } of crashes(run, run.phases.get(name)!, stride, 2)) {
            states++
            yield* using(disk, (db) =>
              Effect.gen(function* () {
                const ids = yield* checkPoints(run, disk, db)
                if (done) expect(ids.sort(), `${name}, ${at}, ${mode}`).toEqual(expected)
                if (disk.stat(points) !== undefined && leftovers(disk).length > 0) cleared++
                const next = yield* db.createRestorePoint({ name: "next" })
                expect(leftovers(disk)).toEqual([])
                expect(yield* usingAt(disk, next.path, entriesOf, { readOnly: true })).toEqual(yield* entriesOf(db))
              })
            )
          }
        }
      })
    )
    expect(states).toBeGreaterThan(100)
    expect(cleared).toBeGreaterThan(10)
    console.log(`restore point sweep: ${states} states, ${cleared} with something to clear away`)
  }, 120_000)

  it("the directory of the restore points that a killed process left: made durable by the next, before it answers", () =>
    runSweep(
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        yield* using(disk, (db) => fill(db, 0, 5, "a"))
        // Killed after it had made the directory, and before it synced its name.
        disk.makeDirectory(points)
        yield* using(disk, (db) => db.createRestorePoint({ name: "p" }))
        const later = disk.crash(seededPrng(1), { mode: "worst" })
        yield* using(later, (db) =>
          Effect.gen(function* () {
            const { damaged, points: whole } = yield* db.restorePoints
            expect(damaged).toEqual([])
            expect(whole.map(({ id }) => id)).toEqual(["p@1"])
            yield* db.verifyRestorePoint("p")
          })
        )
      })
    ))

  it("restored: the new directory is the whole of it, or no database", async () => {
    const run = await record()
    const seen = { whole: 0, refused: 0, missing: 0 }
    await runSweep(
      Effect.gen(function* () {
        for (const { disk, done } of crashes(run, run.phases.get("restore")!, stride, 2)) {
          const there = disk.stat("/copy") === undefined ? "missing" : disk.list("/copy").includes("CURRENT") ? "whole" : "refused"
          seen[there]++
          if (done) expect(there).toBe("whole")
          if (there === "whole") {
            const entries = yield* usingAt(disk, "/copy", (db) => Effect.andThen(db.verify, entriesOf(db)))
            expect([...run.states.values()]).toContainEqual(entries)
          } else if (there === "refused" && disk.list("/copy").length > 0) {
            expect((yield* Effect.flip(usingAt(disk, "/copy", entriesOf)))._tag).toMatch(/NotADatabase|CorruptFile/)
          }
        }
      })
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  }, 120_000)

  it("rolled back: the database is what it was or what it becomes, and can be rolled back again", async () => {
    const run = await record()
    const target = run.states.get([...run.states.keys()][1]!)!
    const present = run.states.get([...run.states.keys()].at(-1)!)!
    const seen = { before: 0, after: 0 }
    await runSweep(
      Effect.gen(function* () {
        for (const { at, disk, done, mode } of crashes(run, run.phases.get("roll back")!, 1, 6)) {
          const where = `${at}, ${mode}`
          const again = disk
          yield* using(disk, (db) =>
            Effect.gen(function* () {
              const entries = yield* entriesOf(db)
              const isAfter = JSON.stringify(entries) === JSON.stringify(target)
              if (!isAfter) expect(entries, where).toEqual(present)
              if (done) expect(isAfter, where).toBe(true)
              seen[isAfter ? "after" : "before"]++
              yield* db.verify
              const ids = yield* checkPoints(run, disk, db)
              expect(ids).toContain("live@1")
              // Once it is another, what it was is kept.
              if (isAfter)
                expect(
                  ids.some((id) => id.startsWith("before-rollback-")),
                  where
                ).toBe(true)
            })
          )
          yield* rollBackOn(again, { to: "live" }, at)
          yield* using(again, (db) =>
            Effect.gen(function* () {
              expect(yield* entriesOf(db), where).toEqual(target)
              yield* db.verify
              yield* fill(db, 0, 60, "on")
              yield* db.flush
            })
          )
        }
      })
    )
    expect(seen.before).toBeGreaterThan(20)
    expect(seen.after).toBeGreaterThan(5)
    console.log(`roll back sweep: ${JSON.stringify(seen)}`)
  }, 120_000)
})
