/** Invariant 5: damage never yields a wrong answer, but an error that names the file; and what may be cut of a log is decided by rule. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { decodeCurrent } from "../../src/domain/manifest/current.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import { encodeManifest, readManifest } from "../../src/domain/manifest/manifestFile.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { readWhole } from "../../src/layers/recovery/readState.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import type { Oracle } from "../support/Oracle.ts"
import { digestEverything, VerifiedFiles } from "../support/readEverything.ts"
import { recordRun } from "../support/recordedRun.ts"
import { secondLife } from "../support/secondLife.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { drawWorkload } from "../support/workload.ts"

/** A copy of the disk that can be spoiled. */
const copyOf = (disk: SimulatedDisk): SimulatedDisk => disk.crashState(seededPrng(1), { mode: "all" })

const flip = (disk: SimulatedDisk, path: string, offset: number, bit: number): void => {
  const handle = disk.open(path, "write")
  const byte = new Uint8Array(1)
  handle.readAt(byte, offset)
  byte[0]! ^= 1 << bit
  handle.writev([byte], offset)
  handle.close()
}

const replace = (disk: SimulatedDisk, path: string, bytes: Uint8Array): void => {
  const handle = disk.open(path, "write")
  handle.truncate(0)
  handle.writev([bytes], 0)
  handle.datasync()
  handle.close()
}

const closedDatabase = async (seed: number): Promise<{ readonly disk: SimulatedDisk; readonly oracle: Oracle }> => {
  const disk = new SimulatedDisk({ record: true })
  const weights = { create: 1, drop: 0, snapshot: 0, release: 0, reopen: 0, flush: 6, compact: 1 }
  const { oracle } = await Effect.runPromise(
    recordRun({ disk, steps: drawWorkload(seed, { steps: 50, keys: 50, structureChance: 0.2, largeChance: 0.3, weights }) })
  )
  return { disk, oracle }
}

/** Opens, reads everything forward and backward and point by point, and compares what was read, if it was read at all. */
const readAll = (disk: SimulatedDisk, expected: ReadonlyMap<string, string>): Promise<"right" | "error"> =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* Effect.exit(openSimulated(disk, { cacheBytes: 0 }))
          if (Exit.isFailure(opened)) return refusal(opened)
          const db = opened.value
          for (const reverse of [false, true]) {
            const scanned = yield* Effect.exit(Stream.runCollect(db.scan({ reverse })))
            if (Exit.isFailure(scanned)) return refusal(scanned)
            const found = new Map(scanned.value.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString("base64")]))
            if (found.size !== expected.size || [...expected].some(([key, value]) => found.get(key) !== value))
              return yield* Effect.die(new Error(`a scan, reverse ${reverse}, gives a wrong answer`))
          }
          for (const [key, value] of expected) {
            const got = yield* Effect.exit(db.get(key))
            if (Exit.isFailure(got)) return refusal(got)
            if (got.value === undefined || Buffer.from(got.value).toString("base64") !== value)
              return yield* Effect.die(new Error(`get ${key} gives a wrong answer`))
          }
          return "right"
        })
      )
    )
  )

const refusal = (exit: Exit.Failure<unknown, unknown>): "error" => {
  const error = Cause.squash(exit.cause)
  if (typeof error !== "object" || error === null || !("_tag" in error) || error._tag !== "CorruptFile")
    throw new Error(`damage was answered with ${String(error)}`, { cause: error })
  return "error"
}

describe("damage", () => {
  it("tables and values: a flipped bit is an error that names the file, or changes nothing that is read", async () => {
    const { disk, oracle } = await closedDatabase(41)
    const expected = new Map(
      oracle
        .stateAt(oracle.last)
        .filter(({ keyspace }) => keyspace === 1)
        .map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString("base64")])
    )
    expect(await readAll(copyOf(disk), expected)).toBe("right")
    const prng = seededPrng(41)
    const outcomes = { right: 0, error: 0 }
    for (const name of disk.list(directory)) {
      if (!/\.(?:table|values)$/.test(name)) continue
      const path = `${directory}/${name}`
      const size = disk.stat(path)!.sizeBytes
      for (let i = 0; i < 12; i++) {
        const spoiled = copyOf(disk)
        flip(spoiled, path, drawInt(prng, size), drawInt(prng, 8))
        outcomes[await readAll(spoiled, expected)]++
      }
    }
    expect(outcomes.error).toBeGreaterThan(20)
    console.log(`damage: of ${outcomes.right + outcomes.error} flipped bits ${outcomes.error} were met, the others lay where nothing was read`)
  })

  it("sealed log and manifest: a flipped bit in what was closed cleanly is never cut away", async () => {
    const disk = new SimulatedDisk({ record: true })
    const { oracle } = await Effect.runPromise(recordRun({ disk, steps: drawWorkload(42, { steps: 12, keys: 20, structureChance: 0 }) }))
    const expected = oracle.digestAt(oracle.last)
    const manifestPath = `${directory}/${fileName("manifest", decodeCurrent(crc32, "CURRENT", readWhole(disk, `${directory}/CURRENT`)))}`
    const { state } = readManifest(crc32, manifestPath, readWhole(disk, manifestPath))
    const [segment] = state.segments.values()
    const prng = seededPrng(42)
    let refused = 0
    for (let i = 0; i < 150; i++) {
      const spoiled = copyOf(disk)
      const path = i % 3 === 0 ? manifestPath : `${directory}/${fileName("log", segment!.fileId)}`
      flip(spoiled, path, drawInt(prng, disk.stat(path)!.sizeBytes), drawInt(prng, 8))
      try {
        const recovered = recoverDisk(spoiled, i, 65_536)
        // The last edit of a manifest may have been a torn append; what it said (that the log is sealed) is then judged by the log itself.
        const found = digestEverything(
          { disk: spoiled, directory, state: recovered.manifest.state, memtables: recovered.memtables, sequence: recovered.visibleSequence },
          new VerifiedFiles()
        )
        expect(found, `flip ${i} of ${path}`).toBe(expected)
      } catch (cause) {
        if (!(cause instanceof Error) || !("_tag" in cause) || cause._tag !== "Damage") throw cause
        refused++
      }
    }
    expect(refused).toBeGreaterThan(50)
  })

  it("gaps: missing sequences are damage, unless the manifest says that they were given up", async () => {
    const first = await Effect.runPromise(
      recordRun({ disk: new SimulatedDisk({ record: true }), steps: drawWorkload(43, { steps: 20, keys: 20, structureChance: 0 }) })
    )
    const second = await secondLife(first, { at: 0.8, seed: 43, steps: drawWorkload(44, { steps: 6, keys: 20, structureChance: 0 }) })
    const replayer = new CrashReplayer(second.trace)
    replayer.advanceTo(second.trace.events.length - 4)
    const disk = replayer.crash(seededPrng(43), { mode: "all" })
    expect(recoverDisk(copyOf(disk), 43, 65_536).visibleSequence).toBeGreaterThan(2 ** 28)
    // The same files, and a manifest that knows of no lost range.
    const manifestId = decodeCurrent(crc32, "CURRENT", readWhole(disk, `${directory}/CURRENT`))
    const path = `${directory}/${fileName("manifest", manifestId)}`
    const { state } = readManifest(crc32, path, readWhole(disk, path))
    expect(state.lostRanges.length).toBeGreaterThan(0)
    replace(disk, path, encodeManifest(crc32, manifestId, { ...state, lostRanges: [] }).bytes)
    expect(() => recoverDisk(disk, 43, 65_536)).toThrow(/missing/)
  })

  it("gaps: a log that begins later than the tables end is damage", async () => {
    const disk = new SimulatedDisk({ record: true })
    const settings = { memtableBytes: 1 << 20, sequenceBlock: 2 ** 20 }
    await Effect.runPromise(recordRun({ disk, steps: drawWorkload(46, { steps: 70, keys: 30, structureChance: 0, largeChance: 0.5 }), settings }))
    const manifestId = decodeCurrent(crc32, "CURRENT", readWhole(disk, `${directory}/CURRENT`))
    const path = `${directory}/${fileName("manifest", manifestId)}`
    const { state } = readManifest(crc32, path, readWhole(disk, path))
    const [oldest, ...rest] = state.segments.values()
    expect(rest.length).toBeGreaterThan(0)
    replace(disk, path, encodeManifest(crc32, manifestId, { ...state, segments: new Map(rest.map((segment) => [segment.fileId, segment])) }).bytes)
    disk.remove(`${directory}/${fileName("log", oldest!.fileId)}`)
    expect(() => recoverDisk(disk, 46, 1 << 20)).toThrow(/missing/)
  })

  it("names: a table, a segment or a manifest that is missing, too short, or from elsewhere is refused by name, and nothing is removed", async () => {
    const { disk } = await closedDatabase(45)
    const names = disk.list(directory).filter((name) => /\.(?:table|values|manifest)$/.test(name))
    expect(names.length).toBeGreaterThan(3)
    for (const name of names) {
      const path = `${directory}/${name}`
      const missing = copyOf(disk)
      missing.remove(path)
      const before = missing.hash()
      expect(() => recoverDisk(missing, 1, 65_536), `${name} is missing`).toThrow(/damaged/)
      expect(missing.hash()).toBe(before)
      const short = copyOf(disk)
      const handle = short.open(path, "write")
      handle.truncate(handle.sizeBytes() - 1)
      handle.close()
      if (name.endsWith(".manifest")) continue
      expect(() => recoverDisk(short, 1, 65_536), `${name} is short`).toThrow(/damaged/)
    }
    const foreign = copyOf(disk)
    foreign.open(`${directory}/${fileName("table", 10_000_000)}`, "create").close()
    const before = foreign.hash()
    expect(() => recoverDisk(foreign, 1, 65_536)).toThrow(/beyond/)
    expect(foreign.hash()).toBe(before)
  })
})
