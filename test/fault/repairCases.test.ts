/** Single damages with a known outcome. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { decodeCurrent } from "../../src/domain/manifest/current.ts"
import { currentFileName, fileName } from "../../src/domain/manifest/fileNames.ts"
import { manifestAlignment, readManifest } from "../../src/domain/manifest/manifestFile.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { removeDirectory } from "../../src/layers/repair/copyFiles.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { copyOf, openAt, openSalvaged, readBytes, repairOn, replaceBytes, run } from "../support/repairRun.ts"

const stateOf = (disk: SimulatedDisk, path = directory) => {
  const id = decodeCurrent(crc32, "CURRENT", readBytes(disk, `${path}/${currentFileName}`))
  const manifestPath = `${path}/${fileName("manifest", id)}`
  return { manifestPath, ...readManifest(crc32, manifestPath, readBytes(disk, manifestPath)) }
}

const key = (i: number) => `key ${String(i).padStart(4, "0")}`
const value = (i: number, round: string) => `${round} ${i} `.padEnd(60, "x")

const putAll = (db: DatabaseShape, count: number, round: string) =>
  db.write(Array.from({ length: count }, (_, i) => ({ type: "put" as const, key: key(i), value: value(i, round) })))

const texts = (db: Pick<DatabaseShape, "getText">, keys: ReadonlyArray<string>) => Effect.forEach(keys, (one) => db.getText(one))

const countOf = (of: Pick<DatabaseShape, "scan">) => Effect.map(Stream.runCollect(of.scan()), (entries) => entries.length)

/** Puts a checkpoint in the place of the database: the same content, and no log that could give back what is spoiled. */
const withoutLog = async (disk: SimulatedDisk): Promise<void> => {
  await run(Effect.flatMap(openSimulated(disk, settings), (db) => db.checkpoint("/copy")))
  removeDirectory(disk, directory)
  disk.rename("/copy", directory)
}

/** Spoils a byte in the middle of the leaf that holds the text. */
const spoilAt = (disk: SimulatedDisk, path: string, text: string): void => {
  const bytes = readBytes(disk, path)
  const at = Buffer.from(bytes).indexOf(text)
  if (at < 0) throw new Error(`${text} is not in ${path}`)
  bytes[at]! ^= 1
  replaceBytes(disk, path, bytes)
}

const settings = { compression: "none" } as const

describe("repair, case by case", () => {
  it("a damaged block: its keys are told, and are errors to whoever asks for one; a delete beside it stays", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        yield* putAll(db, 300, "old")
        yield* db.flush
        yield* db.compact()
        yield* putAll(db, 250, "new")
        yield* db.delete(key(260))
        yield* db.write([{ type: "deleteRange", gte: key(270), lt: key(280) }])
        yield* db.flush
      })
    )
    await withoutLog(disk)
    const { state } = stateOf(disk)
    const upper = [...state.tables.values()].find(({ level, smallest }) => level === 0 && smallest.keyspace === 1)!
    spoilAt(disk, `${directory}/${fileName("table", upper.fileId)}`, value(100, "new"))
    await run(
      Effect.gen(function* () {
        const db = yield* openSalvaged(disk, settings)
        const { losses } = db.salvage!
        expect(losses).toHaveLength(1)
        expect(losses[0]).toMatchObject({
          kind: "block",
          file: `${directory}/${fileName("table", upper.fileId)}`,
          effect: "stale",
          reason: "ChecksumMismatch"
        })
        const { from, to } = losses[0]!.range!
        const [first, last] = [Buffer.from(from.key).toString(), Buffer.from(to!.key).toString()]
        expect(first <= key(100) && key(100) < last).toBe(true)
        expect(losses[0]!.entries).toBeGreaterThan(0)
        const damaged = yield* Effect.flip(db.get(key(100)))
        expect(damaged).toMatchObject({ _tag: "CorruptFile", file: losses[0]!.file, offsetBytes: losses[0]!.offsetBytes })
        expect(yield* texts(db, [key(0), key(249), key(260), key(275), key(290)])).toEqual([
          value(0, "new"),
          value(249, "new"),
          undefined,
          undefined,
          value(290, "old")
        ])
        expect((yield* db.health).state).toBe("readOnly")
        expect((yield* Effect.flip(db.put("a", "b")))._tag).toBe("DatabaseReadOnly")
      })
    )
    const report = await run(repairOn(disk, { into: "/fixed" }))
    expect(report.outcome).toBe("repaired")
    expect([...disk.list("/fixed/quarantine")].sort()).toEqual([fileName("table", upper.fileId), "index.json"].sort())
    expect(JSON.parse(Buffer.from(readBytes(disk, "/fixed/quarantine/index.json")).toString())).toMatchObject([
      { name: fileName("table", upper.fileId) }
    ])
    await run(
      Effect.gen(function* () {
        const db = yield* openAt(disk, "/fixed")
        // What the report calls stale: the older value shows through.
        expect(yield* texts(db, [key(100), key(260), key(275)])).toEqual([value(100, "old"), undefined, undefined])
      })
    )
  })

  it("a lost manifest, a lost CURRENT, a damaged record: the tables say the rest", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        const orders = yield* db.keyspace("orders")
        for (let round = 0; round < 6; round++) {
          yield* putAll(db, 200, `round ${round}`)
          yield* orders.put(key(round), "an order")
          for (let i = 0; i < 20; i++) yield* db.delete(key(10 * round + i))
          yield* db.flush
          if (round % 2 === 1) yield* db.compact()
        }
        yield* putAll(db, 20, "only in the log")
      })
    )
    const { manifestPath } = stateOf(disk)
    const expected = [value(19, "only in the log"), undefined, value(80, "round 5")]
    const damages: ReadonlyArray<readonly [string, (spoiled: SimulatedDisk) => void]> = [
      ["no CURRENT", (spoiled) => spoiled.remove(`${directory}/${currentFileName}`)],
      ["an empty CURRENT", (spoiled) => replaceBytes(spoiled, `${directory}/${currentFileName}`, new Uint8Array(0))],
      ["no manifest", (spoiled) => spoiled.remove(manifestPath)],
      [
        "neither",
        (spoiled) => {
          spoiled.remove(manifestPath)
          spoiled.remove(`${directory}/${currentFileName}`)
        }
      ],
      [
        "a damaged snapshot",
        (spoiled) => {
          const bytes = readBytes(spoiled, manifestPath)
          bytes[manifestAlignment + 40]! ^= 1
          replaceBytes(spoiled, manifestPath, bytes)
        }
      ],
      [
        "a damaged record",
        (spoiled) => {
          const bytes = readBytes(spoiled, manifestPath)
          bytes[3 * manifestAlignment + 40]! ^= 1
          replaceBytes(spoiled, manifestPath, bytes)
        }
      ]
    ]
    for (const [name, damage] of damages) {
      const spoiled = copyOf(disk)
      damage(spoiled)
      const report = await run(repairOn(spoiled, { backup: "/backup" }))
      expect(report.outcome, name).toBe("repaired")
      expect(
        report.losses.map(({ kind }) => kind),
        name
      ).toEqual(["manifest"])
      await run(
        Effect.gen(function* () {
          const db = yield* openAt(spoiled, directory)
          expect(yield* texts(db, [key(19), key(55), key(80)]), name).toEqual(expected)
          const orders = yield* db.keyspace("orders")
          expect(yield* countOf(orders), name).toBe(6)
          yield* db.verify
        })
      )
    }
  })

  it("what a merge had dropped is not resurrected by inputs that lie about", async () => {
    const disk = new SimulatedDisk({})
    const kept = new Map<string, Uint8Array>()
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        yield* putAll(db, 100, "deleted")
        yield* db.flush
        const before = disk.list(directory).filter((name) => name.endsWith(".table"))
        // One of the two inputs stays behind, the one that holds what was deleted.
        for (const name of before) kept.set(name, readBytes(disk, `${directory}/${name}`))
        yield* db.write([{ type: "deleteRange", gte: "key", lt: "l" }])
        yield* db.put("other", "there")
        yield* db.flush
        yield* db.compact()
      })
    )
    await withoutLog(disk)
    for (const [name, bytes] of kept) {
      if (disk.stat(`${directory}/${name}`) !== undefined) continue
      const handle = disk.open(`${directory}/${name}`, "create")
      handle.writev([bytes], 0)
      handle.close()
    }
    disk.remove(stateOf(disk).manifestPath)
    await run(repairOn(disk, { into: "/fixed" }))
    await run(
      Effect.gen(function* () {
        const db = yield* openAt(disk, "/fixed")
        expect(yield* texts(db, [key(0), key(99), "other"])).toEqual([undefined, undefined, "there"])
        expect(yield* countOf(db)).toBe(1)
      })
    )
  })

  it("a lost table is rebuilt from the log, where that still has its transactions", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, { ...settings, retention: { log: "unlimited" } })
        for (let round = 0; round < 5; round++) {
          yield* putAll(db, 150, `round ${round}`)
          yield* db.delete(key(round))
          yield* db.flush
        }
        yield* db.put(key(4), "again")
      })
    )
    for (const { fileId, smallest } of stateOf(disk).state.tables.values())
      if (smallest.keyspace === 1) disk.remove(`${directory}/${fileName("table", fileId)}`)
    const report = await run(repairOn(disk, { into: "/fixed" }))
    expect(report).toMatchObject({ outcome: "repaired", losses: [], made: { rebuiltFrom: 1 } })
    await run(
      Effect.gen(function* () {
        const db = yield* openAt(disk, "/fixed")
        expect(yield* texts(db, [key(3), key(4), key(100)])).toEqual([value(3, "round 4"), "again", value(100, "round 4")])
        expect(yield* countOf(db)).toBe(150)
      })
    )
  })

  it("a damaged value file: values that can be read move, the others are told by key", async () => {
    const disk = new SimulatedDisk({})
    const large = (i: number) => `large ${i} `.padEnd(3000, String(i))
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        for (let i = 0; i < 20; i++) yield* db.put(key(i), large(i))
        yield* db.flush
      })
    )
    const [file] = stateOf(disk).state.valueFiles.keys()
    spoilAt(disk, `${directory}/${fileName("values", file!)}`, large(7).slice(0, 40))
    const report = await run(repairOn(disk, { into: "/fixed" }))
    expect(report.made.movedValues).toBe(19)
    expect(report.losses).toHaveLength(1)
    expect(report.losses[0]).toMatchObject({ kind: "value", entries: 1, range: { from: { keyspace: 1 } } })
    expect(Buffer.from(report.losses[0]!.range!.from.key).toString()).toBe(key(7))
    await run(
      Effect.gen(function* () {
        const db = yield* openAt(disk, "/fixed")
        expect(yield* db.getText(key(6))).toBe(large(6))
        expect(yield* countOf(db)).toBe(19)
        yield* db.verify
      })
    )
  })

  it("a hole in the log: the longest prefix is kept, what follows is told and not applied", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, { ...settings, memtableBytes: 1 << 20 })
        for (let i = 0; i < 30; i++) yield* db.put(key(i), value(i, "logged"))
      })
    )
    const [segment] = stateOf(disk).state.segments.keys()
    spoilAt(disk, `${directory}/${fileName("log", segment!)}`, value(12, "logged"))
    await run(
      Effect.gen(function* () {
        const db = yield* openSalvaged(disk, settings)
        const { laterTransactions, losses, sequence } = db.salvage!
        expect(losses).toHaveLength(1)
        expect(losses[0]).toMatchObject({ kind: "log", effect: "stale", sequences: { first: sequence + 1, last: sequence + 18 } })
        expect(laterTransactions).toBe(17)
        expect(yield* countOf(db)).toBe(12)
      })
    )
  })

  it("keyspaces whose names were lost keep their data under new ones", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        const orders = yield* db.keyspace("orders")
        yield* orders.put("a", "1")
        yield* db.flush
      })
    )
    await withoutLog(disk)
    for (const { fileId, smallest } of stateOf(disk).state.tables.values())
      if (smallest.keyspace === 0) disk.remove(`${directory}/${fileName("table", fileId)}`)
    const report = await run(repairOn(disk, { into: "/fixed" }))
    expect(report.namedKeyspaces).toEqual([{ id: 16, name: "recovered-16" }])
    await run(
      Effect.gen(function* () {
        const db = yield* openAt(disk, "/fixed")
        yield* db.compact()
        expect(yield* (yield* db.keyspace("recovered-16")).getText("a")).toBe("1")
        const fresh = yield* db.keyspace("fresh")
        expect(yield* countOf(fresh)).toBe(0)
      })
    )
  })

  it("a sound database is left alone, a locked one too, and a dry run changes nothing", async () => {
    const disk = new SimulatedDisk({})
    await run(Effect.flatMap(openSimulated(disk, settings), (db) => Effect.andThen(putAll(db, 50, "sound"), db.flush)))
    const before = disk.hash()
    expect(await run(repairOn(disk, { into: "/fixed" }))).toMatchObject({ outcome: "healthy", losses: [], quarantined: [] })
    expect(await run(repairOn(disk, { backup: "/backup" }))).toMatchObject({ outcome: "healthy" })
    expect(disk.hash()).toBe(before)
    expect(disk.stat("/fixed")).toBeUndefined()
    await run(
      Effect.gen(function* () {
        yield* openSimulated(disk, settings)
        expect(yield* Effect.flip(repairOn(disk, { into: "/fixed" }))).toMatchObject({ _tag: "DatabaseLocked" })
      })
    )
    await withoutLog(disk)
    const [table] = stateOf(disk).state.tables.keys()
    disk.remove(`${directory}/${fileName("table", table!)}`)
    const spoiled = disk.hash()
    expect(await run(repairOn(disk, { dryRun: true }))).toMatchObject({ outcome: "planned", losses: [{ kind: "table", reason: "Missing" }] })
    expect(disk.hash()).toBe(spoiled)
    expect(await run(Effect.flip(repairOn(disk, {})))).toMatchObject({ _tag: "InvalidOptions" })
    expect(await run(Effect.flip(repairOn(disk, { into: "/db" })))).toMatchObject({ _tag: "PathExists" })
    expect(await run(Effect.flip(repairOn(disk, { into: "/a", backup: "/b" })))).toMatchObject({ _tag: "InvalidOptions" })
    expect(await run(Effect.flip(repairOn(disk, { path: "/nowhere", into: "/a" })))).toMatchObject({ _tag: "NotADatabase" })
    expect(await run(Effect.flip(openSimulated(disk, { salvage: true, readOnly: false })))).toMatchObject({ _tag: "InvalidOptions" })
  })

  it("a repair begins a new lineage: cursors and positions of the old one say so", async () => {
    const disk = new SimulatedDisk({})
    await run(
      Effect.gen(function* () {
        const db = yield* openSimulated(disk, settings)
        yield* putAll(db, 50, "a")
        yield* db.createCursor("follower")
        yield* db.flush
        yield* putAll(db, 50, "b")
        yield* db.flush
      })
    )
    const before = stateOf(disk).state
    const [table] = [...before.tables.values()].filter(({ smallest }) => smallest.keyspace === 1)
    disk.remove(`${directory}/${fileName("table", table!.fileId)}`)
    await run(repairOn(disk, { backup: "/backup" }))
    expect(stateOf(disk).state.lineageId).not.toEqual(before.lineageId)
    // The backup is what there was.
    expect(stateOf(disk, "/backup").state.lineageId).toEqual(before.lineageId)
  })
})
