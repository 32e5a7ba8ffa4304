import * as Effect from "effect/Effect"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { recoverDisk } from "./crashSweep.ts"
import type { EngineSettings } from "./openEngine.ts"
import { type RecordedRun, recordRun } from "./recordedRun.ts"
import type { WorkloadStep } from "./workload.ts"

/**
 * Crashes a recorded run after the part `at` of its operations, opens what is left with the engine, and records another workload over it: its log begins with groups that were
 * written again, its sequences with a lost range.
 */
export const secondLife = (
  first: RecordedRun,
  input: { readonly at: number; readonly seed: number; readonly steps: ReadonlyArray<WorkloadStep>; readonly settings?: EngineSettings }
): Promise<RecordedRun> => {
  const replayer = new CrashReplayer(first.trace)
  replayer.advanceTo(Math.floor(first.trace.events.length * input.at))
  // Which commits survived is found out on a copy: recovering is what the engine itself does when it opens.
  const found = recoverDisk(replayer.crash(seededPrng(input.seed), { mode: "random" }), input.seed, 65_536).visibleSequence
  const disk = replayer.crash(seededPrng(input.seed), { mode: "random", next: { record: true } })
  return Effect.runPromise(recordRun({ disk, steps: input.steps, history: first.oracle.through(found), settings: input.settings }))
}
