/**
 * Invariant 5 after a kill, when the end of the log was not sealed: a bit flipped behind the floor (what is proven durable) may only shorten the prefix, and the recovery says what it cut; one
 * before the floor, or in anything that was sealed, is an error that names the place. What follows is the state after that prefix, and no sequence is given twice.
 *
 * `LIGHTNING_DAMAGE_SEED` draws other runs.
 */
import * as Effect from "effect/Effect"
import { beforeAll, describe, expect, it } from "vitest"
import { Damage } from "../../src/domain/failures.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import { decodeSegmentHeader } from "../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../src/domain/wal/SegmentSource.ts"
import { walkSegment } from "../../src/domain/wal/walkSegment.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { readCurrentManifest, readWhole } from "../../src/layers/recovery/readState.ts"
import { recoverDisk, requiredAfter } from "../support/crashSweep.ts"
import { type Block, mapBlocks } from "../support/damage/blockMap.ts"
import { demandPlace } from "../support/damage/facts.ts"
import { copyOf, flip } from "../support/damage/flipping.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { digestEverything, VerifiedFiles } from "../support/readEverything.ts"
import { type RecordedRun, recordRun } from "../support/recordedRun.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { drawWorkload } from "../support/workload.ts"

/**
 * The newest segment that holds groups, where it is not sealed; and of each part of it whether what lies before it was proven durable by anything but itself: by the manifest, or by a later group
 * at a place where one is looked for.
 */
const newestOf = (disk: SimulatedDisk, state: ManifestState) => {
  for (const { basePosition, fileId, floorPosition = 0, sealed } of [...state.segments.values()].toSorted((a, b) => b.fileId - a.fileId)) {
    const path = `${directory}/${fileName("log", fileId)}`
    const bytes = readWhole(disk, path)
    const header = decodeSegmentHeader(crc32, path, bytes.subarray(0, 65_536))
    const groups = [...walkSegment(crc32, header, bytesSource(path, bytes), { basePosition })]
      .filter((part) => part.type === "group")
      .map(({ group }) => group)
    if (groups.length === 0) continue
    if (sealed !== undefined) return undefined
    return {
      path,
      isBelowFloor: (block: Block): boolean => {
        const index = groups.findLastIndex(({ offset }) => offset <= block.from)
        const before = groups[index]!.header.position
        let floor = Math.max(state.flushedThrough.position, floorPosition)
        for (const { header: later, offset } of groups.slice(index + 1))
          if (offset % header.alignment === 0) floor = Math.max(floor, later.durableThrough)
        const end = index === 0 ? before : groups[index - 1]!.header.position + groups[index - 1]!.header.lengthBytes
        // A drop that the manifest names was durable.
        return floor > end || [...state.droppedKeyspaces.values()].some((sequence) => sequence >= groups[index]!.header.firstSequence)
      }
    }
  }
  return undefined
}

const counts = { stops: 0, positions: 0, refused: 0, shortened: 0, same: 0, belowFloor: 0, lastEdit: 0 }
const files = new VerifiedFiles()
const first = 70 + Number(process.env["LIGHTNING_DAMAGE_SEED"] ?? "1")

/** Flips a bit of what was found after a kill, recovers, and judges. */
const judge = (run: RecordedRun, killed: SimulatedDisk, full: number, block: Block, offset: number, bit: number, belowFloor: boolean | undefined) => {
  const spoiled = copyOf(killed)
  flip(spoiled, block.path, offset, bit)
  const before = spoiled.hash()
  const where = `bit ${bit} of byte ${offset} of ${block.path} (${block.section})`
  counts.positions++
  let recovered: ReturnType<typeof recoverDisk>
  try {
    recovered = recoverDisk(spoiled, 7, 65_536)
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    demandPlace(cause, block, offset, where)
    expect(spoiled.hash(), `${where}: changed by an open that was refused`).toBe(before)
    if (belowFloor === false) throw new Error(`${where}: refused, although nothing proves that it was durable`)
    counts.refused++
    return
  }
  const { manifest, memtables, nextSequence, report, visibleSequence } = recovered
  if (belowFloor === true) throw new Error(`${where}: cut to ${visibleSequence}, although it was durable`)
  const expected = run.oracle.digestAt(visibleSequence)
  if (expected === undefined) throw new Error(`${where}: recovered through ${visibleSequence}, which nobody committed`)
  const found = digestEverything({ disk: spoiled, directory, state: manifest.state, memtables, sequence: visibleSequence }, files)
  expect(found, where).toBe(expected)
  expect(nextSequence, `${where}: a sequence is given twice`).toBeGreaterThan(full)
  if (visibleSequence === full) counts.same++
  else {
    counts.shortened++
    expect(block.section.startsWith("log group"), `${where}: shortens the prefix`).toBe(true)
    expect(report.cutBytes, `${where}: cut in silence`).toBeGreaterThan(0)
  }
}

const runs: Array<RecordedRun> = []
/** What a kill after so many events of a run leaves. */
const killedAt = (run: RecordedRun, at: number): SimulatedDisk => {
  const replayer = new CrashReplayer(run.trace)
  replayer.advanceTo(at)
  return replayer.crash(seededPrng(1), { mode: "all" })
}

describe("damage after a kill", () => {
  beforeAll(async () => {
    for (const [seed, settings] of [
      [first, {}],
      // Reservations run out and are renewed, manifests roll over.
      [first + 1, { sequenceBlock: 24, manifestRolloverBytes: 32_768 }],
      [first + 2, { valueThresholdBytes: 64 }]
    ] as const) {
      const weights = { create: 1, drop: 1, snapshot: 0, release: 0, reopen: 1, flush: 6, compact: 1 }
      const steps = drawWorkload(seed, { steps: 40, keys: 40, structureChance: 0.2, largeChance: 0.2, weights })
      runs.push(await Effect.runPromise(recordRun({ disk: new SimulatedDisk({ record: true }), steps, settings })))
    }
  })

  it("a bit of each group and of each record, at many moments of three runs", () => {
    const prng = seededPrng(first)
    for (const run of runs) {
      const { events } = run.trace
      const given = requiredAfter(run, "any")
      for (let at = Math.floor(events.length / 20); at <= events.length; at += Math.ceil(events.length / 40)) {
        const killed = killedAt(run, at)
        if (killed.stat(`${directory}/CURRENT`) === undefined) continue
        let full: number
        try {
          full = recoverDisk(copyOf(killed), 7, 65_536).visibleSequence
        } catch (cause) {
          throw new Error(`a kill after ${at} events is refused: ${String(cause)}`, { cause })
        }
        if (full < given[at]!) throw new Error(`${given[at]} was written, and ${full} is found`)
        // A kill in the middle of an append leaves something that is no block.
        const content = readCurrentManifest(killed, directory, "write")!
        if (content.torn) continue
        const { blocks, state } = mapBlocks(killed, directory)
        counts.stops++
        const newest = newestOf(killed, state)
        const lastEdit = blocks.findLast(({ section }) => section === "manifest edit" || section === "manifest snapshot")!
        for (const block of blocks) {
          const isOfLog = block.section.startsWith("log")
          if (!isOfLog && !block.section.startsWith("manifest")) continue
          if (block.section === "log padding" || block.section === "manifest padding" || block.section === "log beyond its seal") continue
          if (block.section === "log group header" && prng() < 0.5) continue
          const offset = block.from + drawInt(prng, block.to - block.from)
          const meta = isOfLog ? [...state.segments.values()].find(({ fileId }) => block.path.endsWith(fileName("log", fileId)))! : undefined
          const isTail = meta !== undefined && meta.sealed === undefined && block.section !== "log header"
          const isBehind = meta?.sealed !== undefined && meta.sealed.lastSequence <= state.flushedThrough.sequence && block.section !== "log header"
          let belowFloor: boolean | undefined = true
          if (isTail) belowFloor = block.path === newest?.path ? newest.isBelowFloor(block) : undefined
          else if (isBehind || (block === lastEdit && block.section === "manifest edit")) belowFloor = undefined
          if (isTail && belowFloor === true) counts.belowFloor++
          if (block === lastEdit) counts.lastEdit++
          judge(run, killed, full, block, offset, drawInt(prng, 8), belowFloor)
        }
      }
    }
    console.log(`damage after a kill: ${JSON.stringify(counts)}`)
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0)
  }, 120_000)

  it("a database that is opened after it says in its stats what was cut", async () => {
    const disk = new SimulatedDisk()
    const killed = await Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk)
            for (let i = 0; i < 6; i++) yield* db.put(`k${i}`, "v".repeat(100), { durability: "buffered" })
            return copyOf(disk)
          })
        )
      )
    )
    const { blocks } = mapBlocks(killed, directory)
    const third = blocks.filter(({ section }) => section === "log group body")[2]!
    flip(killed, third.path, third.from + 10, 3)
    const found = await Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(killed)
            return { values: yield* db.getMany(["k0", "k1", "k2", "k3", "k5"]), recovery: (yield* db.stats).recovery, health: yield* db.health }
          })
        )
      )
    )
    expect(found.values.map((value) => value !== undefined)).toEqual([true, true, false, false, false])
    expect(found.recovery.replayedTransactions).toBe(2)
    expect(found.recovery.cutBytes).toBeGreaterThan(400)
    expect(found.health.state).toBe("healthy")
  })
})
