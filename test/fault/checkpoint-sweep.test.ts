/** A checkpoint that is cut short anywhere harms nothing: the source goes on, and the target is a whole database, or is refused and can be made again. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { checkpointSweep, removeTarget } from "../support/checkpointSweep.ts"
import { crashSweep } from "../support/crashSweep.ts"
import { openOn, openSimulated } from "../support/openEngine.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { type RecordedRun, recordRun } from "../support/recordedRun.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { drawWorkload, everyKind, type WorkloadStep } from "../support/workload.ts"
import { visibleKeys } from "../support/visibleKeys.ts"

const path = "/backups/monday"

const record = (steps: ReadonlyArray<WorkloadStep>): Promise<RecordedRun> =>
  Effect.runPromise(recordRun({ disk: new SimulatedDisk({ record: true }), steps }))

const withCheckpoint = async (seed: number, kinds: Partial<typeof everyKind>): Promise<RecordedRun> => {
  const drawn = drawWorkload(seed, {
    steps: 40,
    keys: 50,
    structureChance: 0.2,
    burst: 5,
    largeChance: 0.2,
    weights: { reopen: 0, create: 6 },
    ...kinds
  })
  return record([...drawn.slice(0, 25), { step: "checkpoint", path }, ...drawn.slice(25)])
}

describe("crash sweep of checkpoint", () => {
  it("the target is whole or refused, at every operation of its making", async () => {
    const total = { states: 0, untouched: 0, refused: 0, whole: 0 }
    for (const seed of [71, 72, 73]) {
      const run = await withCheckpoint(seed, everyKind)
      const [checkpoint] = run.checkpoints
      expect(checkpoint).toBeDefined()
      const report = checkpointSweep(run, checkpoint!, { seed, randomStates: 8, beyond: 20 })
      for (const key of ["states", "untouched", "refused", "whole"] as const) total[key] += report[key]
    }
    console.log(`checkpoint sweep: ${JSON.stringify(total)}`)
    for (const [what, count] of Object.entries(total)) expect(count, what).toBeGreaterThan(10)
  }, 120_000)

  it("an empty database, too: what was cut short is not taken for a new one", async () => {
    const run = await record([{ step: "checkpoint", path }])
    const report = checkpointSweep(run, run.checkpoints[0]!, { seed: 74, randomStates: 30, beyond: 0 })
    for (const count of Object.values(report)) expect(count).toBeGreaterThan(0)
  })

  it("the source is unharmed, and its checkpoint can be removed and made again", async () => {
    const run = await withCheckpoint(75, {})
    crashSweep(run, { seed: 75, randomStates: 1, stride: 1, deadlineMs: 5000 })
    const { from, until } = run.checkpoints[0]!
    const replayer = new CrashReplayer(run.trace)
    let removed = 0
    for (let at = from; at <= until; at += 3) {
      replayer.advanceTo(at)
      const disk = replayer.crash(seededPrng(at), { mode: at % 2 === 0 ? "random" : "all" })
      if (disk.stat(path) !== undefined && disk.list(path).length > 0) removed++
      removeTarget(disk, path)
      const { copied, live } = await Effect.runPromise(
        withSimulatedClock(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openSimulated(disk)
              const { sequence } = yield* db.checkpoint(path)
              const stats = yield* db.stats
              expect(stats.visibleSequence).toBe(sequence)
              const copy = yield* openOn(DiskSimulated.layer(disk), path)
              yield* copy.verify
              return { copied: yield* visibleKeys(copy), live: yield* visibleKeys(db) }
            })
          )
        )
      )
      expect(copied).toEqual(live)
      expect(live.length).toBeGreaterThan(5)
    }
    expect(removed).toBeGreaterThan(3)
  }, 120_000)
})
