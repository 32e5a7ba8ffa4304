/** What the figures of `bench` mean, in words. */
import { formatCount, formatDuration } from "../format/numbers.ts"
import type { Measured } from "./Latencies.ts"

export interface BenchResults {
  /** A block of 4 KiB appended and synced, without the database. */
  readonly sync: Measured
  readonly commits: Measured
  readonly callers: Measured
  readonly batches: Measured
  readonly gets: Measured
  readonly scan: Measured
}

/** What the figures of the README come from does: two virtual cores, a fast SSD, Node 24, nothing else running. Somewhat below is no reason to worry, much below is worth a look. */
export const reference: { readonly [Name in keyof BenchResults]: { readonly perSecond: number } } = {
  sync: { perSecond: 7000 },
  commits: { perSecond: 4000 },
  callers: { perSecond: 160_000 },
  batches: { perSecond: 600_000 },
  gets: { perSecond: 340_000 },
  scan: { perSecond: 1_800_000 }
}

export interface Machine {
  /** Load of the last minute, per processor; 0 where that is not known. */
  readonly load: number
  readonly isMemory: boolean
}

/** Less than this share of the reference is slow. */
const slowShare = 0.35

/** Sentences, the most important first. There is always at least one. */
export const verdictOf = (results: BenchResults, machine: Machine): ReadonlyArray<string> => {
  const sentences: Array<string> = [ofSync(results.sync, machine)]
  const { callers, commits, sync } = results
  if (sync.p99Ms > 10 * sync.p50Ms && sync.p99Ms > 5)
    sentences.push(
      `One sync in a hundred takes ${formatDuration(sync.p99Ms)} or more, against ${formatDuration(sync.p50Ms)} in the middle: something else is writing to this disk, or it pauses by itself.`
    )
  if (callers.perSecond > 4 * commits.perSecond)
    sentences.push(
      `Commits at the same time share their syncs: ${formatCount(callers.perSecond)}/s by many callers, ${formatCount(commits.perSecond)}/s by one that waits for each. Batch writes, or make them side by side.`
    )
  const slow = (["batches", "gets", "scan"] as const).filter((name) => results[name].perSecond < slowShare * reference[name].perSecond)
  const names = { batches: "batched puts", gets: "random gets", scan: "scans" }
  const crowded = machine.load > 1.2
  if (slow.length > 0)
    sentences.push(
      `${sentenceCase(slow.map((name) => names[name]).join(" and "))} are slower than the reference: ${
        crowded ? "other processes have the processors, so measure again when it is quiet" : "the processor is slow, or shared with others"
      }.`
    )
  else if (crowded) sentences.push("The machine was busy with something else: it can do more than this.")
  else sentences.push("Puts, gets and scans are as fast as they should be.")
  return sentences
}

const sentenceCase = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const ofSync = ({ p50Ms }: Measured, { isMemory }: Machine): string => {
  const took = `A sync takes ${formatDuration(p50Ms)}`
  if (isMemory) return `${took}, because this file system is in memory: nothing on it survives a power cut. Give a directory on a disk with --dir.`
  if (p50Ms < 0.02)
    return `${took}: no disk is that fast. Something between here and the disk says that bytes are stored before they are, and a power cut may lose them.`
  if (p50Ms < 0.5) return `${took}: this is a fast SSD, or one whose cache is safe from power cuts.`
  if (p50Ms < 3)
    return `${took}: this is an ordinary SSD. One caller that waits for each commit makes at most ${formatCount(Math.floor(1000 / p50Ms))} a second.`
  return `${took}: this is a spinning or a networked disk. Durable commits wait for it, at most ${formatCount(Math.max(1, Math.floor(1000 / p50Ms)))} a second by one caller: batch writes, make them side by side, or take durability buffered where a power cut may cost the last ones.`
}
