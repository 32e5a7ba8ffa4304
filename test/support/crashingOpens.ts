import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { recoverDisk } from "./crashSweep.ts"
import { directory } from "./openEngine.ts"
import { digestEverything, VerifiedFiles } from "./readEverything.ts"
import type { RecordedRun } from "./recordedRun.ts"

/**
 * Crashes a recorded run after the part `at` of its operations, and then one open after the other, each at another of its own operations; every tenth one ends, and what it has
 * shown has to stay. Throws where something is lost, wrong or left behind.
 */
export const crashingOpens = (run: RecordedRun, input: { readonly seed: number; readonly at: number; readonly opens: number }): void => {
  const { opens, seed } = input
  const prng = seededPrng(seed)
  const replayer = new CrashReplayer(run.trace)
  replayer.advanceTo(Math.floor(run.trace.events.length * input.at))
  let disk = replayer.crash(prng, { mode: "random", next: { record: true } })
  let shown = 0
  // What is named, and what a handful of crashed opens leave behind before one of them ends.
  const foundMax = (disk.stat(directory) === undefined ? 0 : disk.list(directory).length) + 60
  const files = new VerifiedFiles()
  for (let i = 0; i < opens; i++) {
    const where = `open ${i} of a run crashed at ${input.at}, seed ${seed}`
    const { manifest, memtables, visibleSequence } = (() => {
      try {
        return recoverDisk(disk, seed + i, 65_536)
      } catch (cause) {
        throw new Error(`refused: ${String(cause)} (${where})`, { cause })
      }
    })()
    if (visibleSequence < shown) throw new Error(`${shown} was shown and is lost, only ${visibleSequence} is there (${where})`)
    const digest = digestEverything({ disk, directory, state: manifest.state, memtables, sequence: visibleSequence }, files)
    if (digest !== run.oracle.digestAt(visibleSequence)) throw new Error(`the state is not the one after ${visibleSequence} (${where})`)
    const events = disk.trace!.events.length
    const ends = i % 10 === 9
    if (ends) shown = visibleSequence
    const inner = new CrashReplayer(disk.trace!)
    inner.advanceTo(ends ? events : drawInt(prng, events + 1))
    disk = inner.crash(prng, { mode: i % 3 === 0 ? "worst" : "random", next: { record: true } })
    const found = disk.stat(directory) === undefined ? 0 : disk.list(directory).length
    if (found > foundMax) throw new Error(`${found} files are there (${where})`)
  }
  recoverDisk(disk, seed, 65_536)
  const { state } = recoverDisk(disk, seed + 1, 65_536).manifest
  const named = 2 + state.segments.size + state.tables.size + state.valueFiles.size
  const left = disk.list(directory)
  if (left.length > named) throw new Error(`${left.length} files are there, and ${named} are named: ${left.join(" ")} (seed ${seed})`)
}
