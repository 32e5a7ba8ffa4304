/**
 * Stops a recorded run at every operation from the begin of a checkpoint to its answer and some beyond, and judges what a crash there may leave of the target: a database that is
 * whole, or a directory that is refused.
 */
import { Damage } from "../../src/domain/failures.ts"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import type { CrashMode } from "../../src/layers/disk/crashImage.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { NoDatabase, openReadOnly } from "../../src/layers/readOnly/openReadOnly.ts"
import { ForeignDirectory, type Recovered } from "../../src/layers/recovery/recover.ts"
import { recoverDisk } from "./crashSweep.ts"
import { differences } from "./Oracle.ts"
import { digestEverything, listEverything, VerifiedFiles } from "./readEverything.ts"
import type { RecordedCheckpoint, RecordedRun } from "./recordedRun.ts"

export interface CheckpointSweepReport {
  states: number
  /** Nothing is there, or an empty directory: it might as well never have begun. */
  untouched: number
  refused: number
  whole: number
}

/** What a writable open makes of the target. */
const targetAfterCrash = (disk: SimulatedDisk, path: string, seed: number): "untouched" | "refused" | Recovered => {
  if (disk.stat(path) === undefined || disk.list(path).length === 0) return "untouched"
  try {
    return recoverDisk(disk, seed, 65_536, path)
  } catch (cause) {
    if (cause instanceof ForeignDirectory || cause instanceof Damage) return "refused"
    throw cause
  }
}

const isRefusedToReaders = (disk: SimulatedDisk, path: string): boolean => {
  try {
    openReadOnly(disk, path, 65_536, () => undefined)
    return false
  } catch (cause) {
    if (cause instanceof NoDatabase || cause instanceof Damage) return true
    throw cause
  }
}

export const checkpointSweep = (
  run: RecordedRun,
  checkpoint: RecordedCheckpoint,
  options: { readonly seed: number; readonly randomStates: number; readonly beyond: number }
): CheckpointSweepReport => {
  const { oracle, trace } = run
  const { path, sequence } = checkpoint
  const replayer = new CrashReplayer(trace)
  const files = new VerifiedFiles()
  const report: CheckpointSweepReport = { states: 0, untouched: 0, refused: 0, whole: 0 }
  const until = Math.min(trace.events.length, checkpoint.until + options.beyond)
  for (let at = checkpoint.from; at <= until; at++) {
    replayer.advanceTo(at)
    const modes: ReadonlyArray<CrashMode> = ["worst", "all", ...Array.from({ length: options.randomStates }, () => "random" as const)]
    modes.forEach((mode, i) => {
      const stateSeed = options.seed * 1_000_003 + at * 64 + i
      const fail = (what: string): never => {
        throw new Error(`${path}: ${what}\n  crash after ${at} of ${trace.events.length} operations, mode ${mode}, state seed ${stateSeed}`)
      }
      const disk = replayer.crash(seededPrng(stateSeed), { mode })
      report.states++
      // Readers first: they change nothing.
      const readable = disk.stat(path) !== undefined && !isRefusedToReaders(disk, path)
      const target = targetAfterCrash(disk, path, stateSeed)
      if (target === "untouched" || target === "refused") {
        report[target]++
        if (readable) fail("a reader opens what a writer refuses")
        if (at >= checkpoint.until) fail(`the checkpoint was answered and is ${target}`)
        return
      }
      report.whole++
      if (!readable) fail("a writer opens what a reader refuses")
      if (target.visibleSequence !== sequence) fail(`it holds everything through ${target.visibleSequence}, not ${sequence}`)
      const everything = { disk, directory: path, state: target.manifest.state, memtables: target.memtables, sequence }
      if (digestEverything(everything, files) !== oracle.digestAt(sequence))
        fail(`it is not the state after ${sequence}: ${differences(oracle.stateAt(sequence), listEverything(everything, files))}`)
    })
  }
  return report
}

/** What a user does with a checkpoint that was cut short. */
export const removeTarget = (disk: SimulatedDisk, path: string): void => {
  if (disk.stat(path) === undefined) return
  for (const name of disk.list(path)) disk.remove(`${path}/${name}`)
  disk.remove(path)
}
