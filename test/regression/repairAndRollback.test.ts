/** What a second look at repair and restore points has found. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { pastThrough } from "../../src/domain/manifest/ManifestState.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { pointsBeside } from "../../src/layers/restorePoints/pointDirectory.ts"
import { repair } from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { replaceBytes, repairOn, run } from "../support/repairRun.ts"
import { entriesOf, points, rollBackOn, using } from "../support/restorePointDatabase.ts"

const round = (db: DatabaseShape, text: string) =>
  Effect.gen(function* () {
    yield* db.write(Array.from({ length: 20 }, (_, i) => ({ type: "put" as const, key: `key/${i}`, value: `${text} ${i}` })))
    yield* db.flush
    yield* db.compact()
  })

const idsIn = (disk: SimulatedDisk, at: string, kinds: ReadonlyArray<string>): ReadonlyArray<number> =>
  disk.list(at).flatMap((name) => {
    const parsed = parseFileName(name)
    return parsed !== undefined && kinds.includes(parsed.kind) ? [parsed.id] : []
  })

/** A database whose restore point has tables with ids that are higher than those of all files that are left of it. */
const emptiedAfterPoint = (disk: SimulatedDisk) =>
  using(disk, (db) =>
    Effect.gen(function* () {
      for (let i = 0; i < 5; i++) yield* round(db, `round ${i}`)
      yield* db.createRestorePoint({ name: "full" })
      yield* db.write([{ type: "deleteRange", prefix: "key/" }])
      yield* db.flush
      yield* db.compact()
      return yield* Effect.void
    })
  )

describe("the directory of the restore points", () => {
  it("lies beside the database, and not in it, however its path is spelled", () => {
    expect(pointsBeside("./data/")).toBe("./data.checkpoints")
    const beside = `${process.cwd()}.checkpoints`
    expect(pointsBeside(".")).toBe(beside)
    expect(pointsBeside("./")).toBe(beside)
    expect(pointsBeside("../.")).toBe(`${path.dirname(process.cwd())}.checkpoints`)
  })

  it("a directory within a restore point goes with it, and keeps nobody from making another one", () =>
    run(
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        const db = yield* openSimulated(disk)
        yield* db.put("a", "1")
        yield* db.createRestorePoint({ name: "one" })
        // As a repair of the restore point itself leaves it.
        disk.makeDirectory(`${points}/one/quarantine`)
        replaceBytesOf(disk, `${points}/one/quarantine/index.json`)
        yield* db.removeRestorePoint("one")
        expect((yield* db.createRestorePoint({ name: "one" })).id).toBe("one@1")
        expect(disk.list(points).filter((name) => name.startsWith("."))).toEqual([])
      })
    ))
})

const replaceBytesOf = (disk: SimulatedDisk, at: string): void => {
  disk.open(at, "create").close()
}

describe("what is known of the past", () => {
  it("of a copy ends where the copy ends", () => {
    const { historyFrom, keptVersions } = pastThrough(
      {
        historyFrom: new Map([
          [1, 30],
          [2, 7]
        ]),
        keptVersions: new Map([
          [
            1,
            [
              { sequence: 10, count: 0 },
              { sequence: 25, count: 2 },
              { sequence: 30, count: 4 }
            ]
          ]
        ])
      },
      20
    )
    expect([...historyFrom]).toEqual([
      [1, 20],
      [2, 7]
    ])
    expect([...keptVersions]).toEqual([
      [
        1,
        [
          { sequence: 10, count: 0 },
          { sequence: 20, count: 2 }
        ]
      ]
    ])
  })

  it.each([6, 10, 12])("what is made beside writes, drops and compactions verifies (%i)", (seed) =>
    run(
      Effect.gen(function* () {
        const prng = seededPrng(seed)
        const db = yield* openSimulated(new SimulatedDisk())
        const step = (n: number) =>
          Effect.gen(function* () {
            const choice = drawInt(prng, 16)
            if (choice < 9) {
              const count = 1 + drawInt(prng, 60)
              yield* db.write(
                Array.from({ length: count }, () => ({
                  type: "put" as const,
                  key: `k${drawInt(prng, 200)}`,
                  value: `${n}`.padEnd(drawInt(prng, 200))
                }))
              )
            } else if (choice < 11) yield* db.flush
            else if (choice < 13) yield* db.compact()
            else {
              yield* db.createRestorePoint({ name: "p", keep: 2 })
              yield* db.verifyRestorePoint("p")
            }
          })
        const steps = (count: number) =>
          Effect.forEach(
            Array.from({ length: count }, (_, i) => i),
            step,
            { discard: true }
          )
        yield* Effect.all([steps(40), steps(40), steps(40)], { concurrency: "unbounded", discard: true })
      })
    )
  )
})

describe("repair", () => {
  it("of a directory that is no database leaves nothing in it", async () => {
    // A lock is a file on a real disk only.
    const other = mkdtempSync(path.join(tmpdir(), "lightning-repair-"))
    try {
      writeFileSync(path.join(other, "file.txt"), "")
      for (const options of [{ dryRun: true }, { into: `${other}.new` }, { backup: `${other}.before` }])
        expect(await Effect.runPromise(Effect.flip(repair({ path: other, ...options })))).toMatchObject({ _tag: "NotADatabase" })
      expect(readdirSync(other)).toEqual(["file.txt"])
    } finally {
      rmSync(other, { recursive: true })
    }
  })

  it.each(["log", "manifest"])(
    "gives no file an id that another one ever had, after damage to the %s: its restore points can still be rolled back to",
    async (kind) => {
      const disk = new SimulatedDisk()
      await run(emptiedAfterPoint(disk))
      const used = Math.max(...idsIn(disk, `${points}/full`, ["table", "values"]))
      const [damaged] = disk.list(directory).filter((name) => parseFileName(name)?.kind === kind)
      if (kind === "log") replaceBytes(disk, `${directory}/${damaged}`, new Uint8Array(0))
      else {
        // Its last edit but one: what is left is read leniently.
        const at = `${directory}/${damaged}`
        const handle = disk.open(at, "write")
        const byte = new Uint8Array(1)
        handle.readAt(byte, 8192 + 40)
        handle.writev([Uint8Array.of(byte[0]! ^ 1)], 8192 + 40)
        handle.close()
      }
      const report = await run(repairOn(disk, { backup: "/before" }))
      expect(report.outcome).toBe("repaired")
      expect(Math.min(...idsIn(disk, directory, ["table", "values", "manifest"]))).toBeGreaterThan(used)
      await run(using(disk, (db) => round(db, "after")))
      await run(rollBackOn(disk, { to: "full" }))
      expect((await run(using(disk, entriesOf))).length).toBe(20)
    }
  )

  it("does not put its backup, nor the repaired database, into the database itself", async () => {
    const disk = new SimulatedDisk()
    await run(using(disk, (db) => db.put("a", "1")))
    for (const options of [
      { into: `${directory}/new` },
      { backup: `${directory}/before` },
      { backup: `${directory}/../db/../${directory.slice(1)}/x` }
    ]) {
      const error = await run(Effect.flip(repairOn(disk, options)))
      expect(error).toMatchObject({ _tag: "InvalidOptions" })
    }
  })
})

describe("rolling back a database that cannot be read any more", () => {
  it("gives no file an id that a restore point has", async () => {
    const disk = new SimulatedDisk()
    await run(
      using(disk, (db) =>
        Effect.gen(function* () {
          yield* round(db, "first")
          yield* db.createRestorePoint({ name: "early" })
          for (let i = 0; i < 5; i++) yield* round(db, `round ${i}`)
          yield* db.createRestorePoint({ name: "late" })
        })
      )
    )
    const late = idsIn(disk, `${points}/late`, ["table", "values"])
    for (const name of disk.list(directory)) if (parseFileName(name) !== undefined || name === "CURRENT") disk.remove(`${directory}/${name}`)
    await run(rollBackOn(disk, { to: "early", keepPresent: false }))
    expect(Math.max(...idsIn(disk, directory, ["manifest"]))).toBeGreaterThan(Math.max(...late))
    await run(using(disk, (db) => round(db, "again")))
    await run(rollBackOn(disk, { to: "late" }))
    expect((await run(using(disk, entriesOf)))[0]).toBe("key/0=round 4 0")
  })
})
