/** Crashes at the operations of a run that keeps versions by count: what is recovered is a prefix of what was committed, as without it. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { crashSweep } from "../support/crashSweep.ts"
import { recordRun } from "../support/recordedRun.ts"
import { drawWorkload } from "../support/workload.ts"

describe("crash sweep with retention by count", () => {
  it("recovers a prefix of the commit order at every state", async () => {
    const seed = 501
    const run = await Effect.runPromise(
      recordRun({
        disk: new SimulatedDisk({ record: true }),
        steps: drawWorkload(seed, {
          steps: 60,
          keys: 20,
          structureChance: 0.35,
          burst: 5,
          largeChance: 0.2,
          weights: { compact: 3, reopen: 2 },
          expiringChance: 0.2
        }),
        settings: { manifestRolloverBytes: 20_480, retention: { history: { versions: 2 } } }
      })
    )
    const report = crashSweep(run, { seed, stride: 3, nestedEvery: 60, randomStates: 1 })
    console.log(`crash sweep with versions: ${report.states} states, ${report.nestedStates} within a recovery, at ${report.events} operations`)
    expect(report.states).toBeGreaterThan(200)
    expect([run.counts.flushes > 3, run.counts.compactions > 1, run.counts.rangeDeletes > 5]).toEqual([true, true, true])
  }, 60_000)
})
