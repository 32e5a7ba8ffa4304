/** A repair that is cut short at any of its operations: the database is as it was or repaired, the backup is whole or no database, and a second repair ends it. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { currentFileName } from "../../src/domain/manifest/fileNames.ts"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import type { CrashMode } from "../../src/layers/disk/crashImage.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { directory } from "../support/openEngine.ts"
import { copyOf, openAt, openSalvaged, readBytes, recordedDatabase, repairOn, replaceBytes, run, scanAll } from "../support/repairRun.ts"

/** Of the operations, one in so many is a place to crash: REPAIR_CRASH_EVERY=1 for all. */
const every = Number(process.env["REPAIR_CRASH_EVERY"] ?? 5)

const filesIn = (disk: SimulatedDisk, path: string): ReadonlyMap<string, string> =>
  new Map(
    disk
      .list(path)
      .filter((name) => /^(?:CURRENT|\d+\.\w+)$/.test(name))
      .map((name) => [name, Buffer.from(readBytes(disk, `${path}/${name}`)).toString("base64")])
  )

const damages: ReadonlyArray<readonly [string, (disk: SimulatedDisk) => void]> = [
  [
    "a damaged table",
    (disk) => {
      const name = disk
        .list(directory)
        .filter((one) => one.endsWith(".table"))
        .sort()[0]!
      const bytes = readBytes(disk, `${directory}/${name}`)
      bytes[bytes.length >> 1]! ^= 1
      replaceBytes(disk, `${directory}/${name}`, bytes)
    }
  ],
  [
    "no manifest",
    (disk) => {
      for (const name of disk.list(directory)) if (name.endsWith(".manifest")) disk.remove(`${directory}/${name}`)
    }
  ],
  ["no CURRENT", (disk) => disk.remove(`${directory}/${currentFileName}`)]
]

describe("repair that is cut short", () => {
  it.each(damages)("%s: repaired in place", { timeout: 3_600_000 }, async (_name, damage) => {
    const { disk, oracle } = await recordedDatabase(31, { steps: 40 })
    const damaged = copyOf(disk)
    damage(damaged)
    const original = filesIn(damaged, directory)
    // What was changed is durable from the start.
    const spoiled = damaged.crashState(seededPrng(2), { mode: "all", next: { record: true } })
    const expected = await run(Effect.flatMap(openSalvaged(damaged), (db) => scanAll(db, oracle)))
    const report = await run(repairOn(spoiled, { backup: "/backup" }))
    expect(report.outcome).toBe("repaired")
    const trace = spoiled.trace!
    const replayer = new CrashReplayer(trace)
    let states = 0
    let before = 0
    // Around the one step that counts, whatever of the names may have become durable.
    const switchAt = trace.events.findLastIndex(({ kind }) => kind === "rename")
    expect(switchAt).toBeGreaterThan(0)
    for (let at = 0; at <= trace.events.length; at++) {
      replayer.advanceTo(at)
      const isNear = Math.abs(at - switchAt) <= 1
      if (at % every !== 0 && !isNear && at < trace.events.length) continue
      const modes: ReadonlyArray<CrashMode> = isNear ? ["worst", "all", "random", "random", "random", "random"] : [at % 2 === 0 ? "worst" : "random"]
      for (const [i, mode] of modes.entries()) {
        states++
        const crashed = replayer.crash(seededPrng(at * 16 + i), { mode })
        const where = `after ${at} of ${trace.events.length} operations, mode ${mode}`
        try {
          if (crashed.stat(`/backup/${currentFileName}`) !== undefined || (crashed.stat("/backup") !== undefined && at === trace.events.length)) {
            expect(filesIn(crashed, "/backup"), "the backup is what there was").toEqual(original)
          }
          expect(await run(Effect.flatMap(openSalvaged(crashed), (db) => scanAll(db, oracle))), "what can be read").toEqual(expected)
          const again = await run(repairOn(crashed, { backup: "/backup-2" }))
          if (again.outcome === "repaired") before++
          await run(
            Effect.gen(function* () {
              const db = yield* openAt(crashed, directory)
              yield* db.verify
              expect(yield* scanAll(db, oracle), "what the second repair leaves").toEqual(expected)
            })
          )
          expect(crashed.list(directory)).not.toContain("repair.new")
        } catch (cause) {
          throw new Error(`${where}: ${String(cause instanceof Error ? cause.stack : cause)}`, { cause })
        }
      }
    }
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(states)
  })

  it("into another directory: until it is complete, that is no database", { timeout: 3_600_000 }, async () => {
    const { disk, oracle } = await recordedDatabase(32, { steps: 30 })
    const damaged = copyOf(disk)
    damages[0]![1](damaged)
    const spoiled = damaged.crashState(seededPrng(2), { mode: "all", next: { record: true } })
    const expected = await run(Effect.flatMap(openSalvaged(damaged), (db) => scanAll(db, oracle)))
    await run(repairOn(spoiled, { into: "/fixed" }))
    const trace = spoiled.trace!
    const replayer = new CrashReplayer(trace)
    for (let at = 0; at <= trace.events.length; at += every) {
      replayer.advanceTo(at)
      const crashed = replayer.crash(seededPrng(at), { mode: at % 2 === 0 ? "worst" : "random" })
      const names = crashed.stat("/fixed") === undefined ? [] : crashed.list("/fixed")
      if (names.length === 0) continue
      const opened = await run(Effect.exit(Effect.flatMap(openAt(crashed, "/fixed"), (db) => scanAll(db, oracle))))
      if (names.includes(currentFileName)) expect(opened, `after ${at}`).toMatchObject({ _tag: "Success", value: expected })
      else expect(opened, `after ${at}: ${names.join(" ")}`).toMatchObject({ _tag: "Failure" })
    }
  })
})
