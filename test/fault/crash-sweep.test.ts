/**
 * Invariants 1 to 3: a workload runs once over a recording disk; then it is stopped at its disk operations, and what a crash there may leave is recovered and judged.
 *
 * `LIGHTNING_SWEEP_SECONDS` gives the long sweep more time than it takes in `npm test`, and `LIGHTNING_SWEEP_SEED` another history; `npm run sweep` goes on for hours.
 * States are counted by the hash of the disk image: `distinctMin` different ones are judged, however long that takes.
 */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { crashingOpens } from "../support/crashingOpens.ts"
import { crashSweep, type SweepOptions, type SweepReport } from "../support/crashSweep.ts"
import type { EngineSettings } from "../support/openEngine.ts"
import { loggedCommits } from "../support/loggedCommits.ts"
import { type RecordedRun, recordRun } from "../support/recordedRun.ts"
import { everything, rollovers, rotations } from "../support/sweepShapes.ts"
import { secondLife } from "../support/secondLife.ts"
import { drawWorkload, type WorkloadShape, type WorkloadStep } from "../support/workload.ts"

const secondsMax = Number(process.env["LIGHTNING_SWEEP_SECONDS"] ?? "12")
const longSeed = Number(process.env["LIGHTNING_SWEEP_SEED"] ?? "20261")

const distinctMin = 20_000
/** Time for that on a machine that is busy with something else. */
const patienceSeconds = 600

const record = (steps: ReadonlyArray<WorkloadStep>, settings?: EngineSettings): Promise<RecordedRun> =>
  Effect.runPromise(recordRun({ disk: new SimulatedDisk({ record: true }), steps, settings }))

const run = (seed: number, shape: WorkloadShape, settings?: EngineSettings): Promise<RecordedRun> => record(drawWorkload(seed, shape), settings)

/** The images of all sweeps of this file. */
const seen = new Set<string>()

const sweep = (recorded: RecordedRun, options: SweepOptions): SweepReport => {
  const report = crashSweep(recorded, { ...options, seen })
  const perSecond = Math.round((1000 * (report.states + report.nestedStates)) / report.milliseconds)
  console.log(
    `sweep ${options.seed}: ${report.states} states and ${report.nestedStates} within recovery, ${report.distinct} distinct, at ${report.stops} of ${report.events} operations, ` +
      `in ${(report.milliseconds / 1000).toFixed(1)} s (${perSecond}/s): ${JSON.stringify({ ...recorded.counts, ...report, milliseconds: undefined })}`
  )
  return report
}

describe("crash sweep", () => {
  it("log: every acknowledged commit survives, and what survives is a prefix", async () => {
    const drawn = drawWorkload(11, {
      steps: 90,
      keys: 24,
      burst: 2,
      syncChance: 0.25,
      structureChance: 0.06,
      valueBytesMax: 600,
      weights: { flush: 0, compact: 0, flushBehind: 0, compactBehind: 0, create: 2, drop: 1, snapshot: 0, release: 0, reopen: 0 }
    })
    const reopen: WorkloadStep = { step: "reopen" }
    const recorded = await record([...drawn.slice(0, 30), reopen, ...drawn.slice(30, 60), reopen, ...drawn.slice(60)])
    const report = sweep(recorded, { seed: 11, randomStates: 3, nestedEvery: 25 })
    for (const passed of [report.rewrittenGroups, report.tornTails, report.freshDatabases, recorded.counts.reopens - 1])
      expect(passed).toBeGreaterThan(0)
  })

  it("holes: of groups that were never synced a later one may survive an earlier one", async () => {
    const put = (valueSeed: number, valueBytes: number, durability: "sync" | "buffered"): WorkloadStep => ({
      step: "write",
      transactions: [{ operations: [{ type: "put", key: `k${valueSeed % 8}`, valueSeed, valueBytes }], durability }]
    })
    // Groups as long as the alignment: only where a group begins on it is it looked for behind a hole.
    const measured = (await record([put(1, 3000, "sync")])).trace.events.find(
      (event) => event.kind === "write" && event.bytes.length > 3000 && event.bytes.length < 4096
    )
    if (measured?.kind !== "write") throw new Error("no group was written")
    const valueBytes = 4096 - (measured.bytes.length - 3000)
    const recorded = await record(Array.from({ length: 24 }, (_, i) => put(i, valueBytes, i % 8 === 7 ? "sync" : "buffered")))
    const report = sweep(recorded, { seed: 18, randomStates: 12, nestedEvery: 60 })
    for (const passed of [report.laterGroups, report.tornTails]) expect(passed).toBeGreaterThan(0)
  })

  it("rotation: segments end and begin under load", async () => {
    const recorded = await run(12, { steps: 110, keys: 40, structureChance: 0, valueBytesMax: 3072, syncChance: 0.3 }, { memtableBytes: 1 << 20 })
    const report = sweep(recorded, { seed: 12, randomStates: 2, nestedEvery: 60, memtableBytes: 1 << 20 })
    expect(rotations(recorded)).toBeGreaterThan(0)
    expect(report.rewrittenGroups).toBeGreaterThan(0)
  })

  it("structure: flush, compaction, manifest rollover, range deletes and dropped keyspaces", async () => {
    const recorded = await run(
      13,
      { steps: 90, keys: 60, structureChance: 0.3, syncChance: 0.1, burst: 5, largeChance: 0.3 },
      { manifestRolloverBytes: 20_480, sequenceBlock: 30 }
    )
    const report = sweep(recorded, { seed: 13, randomStates: 2, nestedEvery: 60 })
    const { compactions, flushes, keyspaceDrops, rangeDeletes } = recorded.counts
    for (const passed of [compactions, flushes, keyspaceDrops, rangeDeletes, rollovers(recorded), rotations(recorded), report.replayed])
      expect(passed).toBeGreaterThan(0)
  })

  it("every kind of commit: interactive transactions, atomic operations, values that expire, durable cursors", async () => {
    const recorded = await run(
      22,
      {
        steps: 60,
        keys: 30,
        burst: 8,
        structureChance: 0.2,
        atomicChance: 0.25,
        expiringChance: 0.3,
        interactiveChance: 0.4,
        cursorChance: 0.06,
        weights: { reopen: 2 }
      },
      { manifestRolloverBytes: 20_480, retention: { beforeImages: true } }
    )
    const report = sweep(recorded, { seed: 22, randomStates: 1, nestedEvery: 100 })
    const logged = [...loggedCommits(recorded.trace).values()].flatMap(({ operations }) => operations)
    for (const type of ["put", "delete", "expire"])
      expect(
        logged.some((operation) => operation.type === type && "before" in operation && operation.before instanceof Uint8Array),
        type
      ).toBe(true)
    const { atomics, compactions, conflicts, cursorMoves, expired, expiringPuts, flushes, interactive } = recorded.counts
    const passed = { atomics, compactions, conflicts, cursorMoves, expired, expiringPuts, flushes, interactive, replayed: report.replayed }
    for (const [what, count] of Object.entries(passed)) expect(count, what).toBeGreaterThan(0)
  }, 120_000)

  it("second life: a database that was recovered goes on, is stopped, and is recovered again", async () => {
    const first = await run(14, { steps: 40, keys: 24, structureChance: 0.1 })
    let rewritten = 0
    for (const at of [0.35, 0.6, 0.85]) {
      const recorded = await secondLife(first, {
        at,
        seed: 14,
        steps: drawWorkload(15, { steps: 25, keys: 24, structureChance: 0.15, weights: { create: 0, drop: 0 } })
      })
      rewritten += sweep(recorded, { seed: 15, randomStates: 2, nestedEvery: 80 }).rewrittenGroups
    }
    expect(rewritten).toBeGreaterThan(0)
  })

  it("replay: a log larger than a memtable is flushed piece by piece", async () => {
    const first = await run(16, { steps: 60, keys: 60, structureChance: 0, largeChance: 0.5 }, { memtableBytes: 1 << 20, walSegmentBytes: 1 << 20 })
    const recorded = await secondLife(first, {
      at: 0.95,
      seed: 17,
      steps: drawWorkload(17, { steps: 12, keys: 60, structureChance: 0 }),
      settings: { memtableBytes: 65_536 }
    })
    expect(recorded.counts.flushes).toBeGreaterThan(1)
    sweep(recorded, { seed: 17, randomStates: 2, nestedEvery: 80 })
  })

  it("opens: each stopped at another of its operations, scores in a row lose nothing and leak no file", async () => {
    const recorded = await run(19, { steps: 30, keys: 30, structureChance: 0.15, weights: { reopen: 0 } })
    crashingOpens(recorded, { seed: longSeed, at: 0.9, opens: 50 })
    // Once an open has gone through, nothing is left to be written again: many short rows see more than a long one.
    for (let i = 1; i <= 120; i++) crashingOpens(recorded, { seed: longSeed + i, at: i / 120, opens: 6 })
  })

  it(
    "long: everything at once, as long as there is time",
    async () => {
      const total = {
        states: 0,
        flushes: 0,
        compactions: 0,
        rotations: 0,
        rollovers: 0,
        rangeDeletes: 0,
        keyspaceDrops: 0,
        rewritten: 0,
        torn: 0,
        nested: 0,
        snapshots: 0,
        atomics: 0,
        expired: 0,
        interactive: 0,
        cursorMoves: 0
      }
      const startMs = performance.now()
      const enough = () => {
        const seconds = (performance.now() - startMs) / 1000
        return seconds > secondsMax + patienceSeconds || (seconds > secondsMax && seen.size >= distinctMin)
      }
      for (let seed = longSeed; !enough(); seed++) {
        const { options, settings, shape } = everything(seed)
        const recorded = await run(seed, shape, settings)
        const report = sweep(recorded, { ...options, stride: 3, enough })
        total.states += report.states + report.nestedStates
        total.nested += report.nestedStates
        total.flushes += recorded.counts.flushes
        total.compactions += recorded.counts.compactions
        total.rangeDeletes += recorded.counts.rangeDeletes
        total.keyspaceDrops += recorded.counts.keyspaceDrops
        total.snapshots += recorded.counts.snapshotReads
        total.atomics += recorded.counts.atomics
        total.expired += recorded.counts.expired
        total.interactive += recorded.counts.interactive
        total.cursorMoves += recorded.counts.cursorMoves
        total.rotations += rotations(recorded)
        total.rollovers += rollovers(recorded)
        total.rewritten += report.rewrittenGroups
        total.torn += report.tornTails
      }
      console.log(`long sweep: ${JSON.stringify(total)}; all sweeps: ${seen.size} distinct crash states`)
      expect(seen.size, "distinct crash states").toBeGreaterThanOrEqual(distinctMin)
      for (const [what, count] of Object.entries(total)) expect(count, what).toBeGreaterThan(0)
    },
    (secondsMax + patienceSeconds + 60) * 1000
  )
})
