/** A reader beside a writer that goes on, or that has crashed, sees a prefix of the commit order, and never takes what is being written for damage. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import type { CrashMode } from "../../src/layers/disk/crashImage.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { recoverDisk, requiredAfter } from "../support/crashSweep.ts"
import { MovingDisk } from "../support/MovingDisk.ts"
import { directory } from "../support/openEngine.ts"
import { VerifiedFiles } from "../support/readEverything.ts"
import { readerShows } from "../support/readOnlyOpens.ts"
import { type RecordedRun, recordRun } from "../support/recordedRun.ts"
import { drawWorkload, everyKind } from "../support/workload.ts"

const record = (seed: number): Promise<RecordedRun> =>
  Effect.runPromise(
    recordRun({
      disk: new SimulatedDisk({ record: true }),
      steps: drawWorkload(seed, { steps: 70, keys: 60, structureChance: 0.3, burst: 5, largeChance: 0.3, weights: { reopen: 2 }, ...everyKind }),
      settings: { manifestRolloverBytes: 20_480 }
    })
  )

describe("crash sweep of read-only opens", () => {
  it("at every crash state a reader sees what a writer would recover", async () => {
    const run = await record(81)
    const { events } = run.trace
    const synced = requiredAfter(run, "sync")
    const written = requiredAfter(run, "any")
    const replayer = new CrashReplayer(run.trace)
    const files = new VerifiedFiles()
    let states = 0
    let duringRecovery = 0
    for (let at = 0; at <= events.length; at++) {
      replayer.advanceTo(at)
      const modes: ReadonlyArray<CrashMode> = ["worst", "all", "random"]
      modes.forEach((mode, i) => {
        const seed = at * 64 + i
        const nests = states % 150 === 0
        const disk = replayer.crash(seededPrng(seed), { mode, next: { record: nests } })
        if (disk.stat(directory) === undefined) return
        const required = (mode === "all" ? written : synced)[at]!
        const where = () => `crash after ${at} of ${events.length} operations, mode ${mode}, state seed ${seed}`
        const shown = readerShows(disk, run.oracle, required, files, where)
        states++
        const recovered = recoverDisk(disk, seed, 65_536).visibleSequence
        if ((shown ?? 0) !== recovered) throw new Error(`a reader sees ${shown}, the writer recovers ${recovered}\n  ${where()}`)
        if (!nests) return
        // The recovery itself, stopped anywhere, and still running.
        const inner = new CrashReplayer(disk.trace!)
        for (let step = 0; step <= disk.trace!.events.length; step++) {
          inner.advanceTo(step)
          for (const innerMode of ["all", "worst", "random"] as const) {
            const crashed = inner.crash(seededPrng(seed + step), { mode: innerMode })
            readerShows(crashed, run.oracle, required, files, () => `${where()}\n  and recovery stopped after ${step}, mode ${innerMode}`)
            duringRecovery++
          }
          const moving = new MovingDisk(disk.trace!, { prng: seededPrng(seed + step), at: step, pace: 1, directory })
          readerShows(moving, run.oracle, required, files, () => `${where()}\n  and beside a recovery from ${step} on, now at ${moving.at}`)
          duringRecovery++
        }
      })
    }
    console.log(`read-only sweep: ${states} states, ${duringRecovery} within or beside a recovery, at ${events.length} operations`)
    expect(states).toBeGreaterThan(1000)
    expect(duringRecovery).toBeGreaterThan(100)
  }, 120_000)

  it("beside a writer that moves on between any two of its reads, and in the midst of a write", async () => {
    let opens = 0
    let moved = 0
    for (const seed of [82, 83]) {
      const run = await record(seed)
      const written = requiredAfter(run, "any")
      const files = new VerifiedFiles()
      const prng = seededPrng(seed)
      for (let i = 0; i < 250; i++) {
        const from = drawInt(prng, run.trace.events.length)
        const pace = [1, 2, 8, 40][i % 4]!
        const moving = new MovingDisk(run.trace, { prng: seededPrng(seed * 1000 + i), at: from, pace, directory })
        readerShows(
          moving,
          run.oracle,
          written[from]!,
          files,
          () => `open ${i} of seed ${seed}, begun after ${from} operations, now at ${moving.at}, pace ${pace}`
        )
        opens++
        if (moving.at > from + 10) moved++
      }
    }
    console.log(`read-only sweep: ${opens} opens beside a writer, ${moved} of which it overtook`)
    expect(moved).toBeGreaterThan(200)
  }, 120_000)
})
