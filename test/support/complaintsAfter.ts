import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { recoverDisk } from "./crashSweep.ts"
import { type FaultRun, judgeMarks, marksIn } from "./faultRun.ts"

/** After the run the power is cut; or, last because it writes to the disk itself, the process has ended and another one opens what can still be read. */
export const complaintsAfter = (disk: SimulatedDisk, run: FaultRun, seed: number): ReadonlyArray<string> => {
  // Another process may have a disk that others have made room on.
  disk.capacityBytes = undefined
  const complaints = (["all", "worst", "random", "random"] as const).flatMap((mode, i) => {
    const left = disk.crashState(seededPrng(seed * 10 + i), { mode })
    return judgeMarks(run, marksIn(left, recoverDisk(left, seed, 65_536)), true).map((complaint) => `power cut, ${mode}: ${complaint}`)
  })
  return [...complaints, ...judgeMarks(run, marksIn(disk, recoverDisk(disk, seed, 65_536)), false).map((complaint) => `reopened: ${complaint}`)]
}
