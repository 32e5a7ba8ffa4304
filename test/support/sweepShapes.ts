/**
 * What a crash sweep can be run over: a workload with the settings it needs to pass through one part of the engine often, and how densely its states are drawn. `npm run sweep` takes
 * them in turn, seed by seed.
 */
import type { SweepOptions } from "./crashSweep.ts"
import type { EngineSettings } from "./openEngine.ts"
import type { RecordedRun } from "./recordedRun.ts"
import { everyKind, type WorkloadShape } from "./workload.ts"

export interface SweepShape {
  readonly name: string
  readonly shape: WorkloadShape
  readonly settings: EngineSettings
  readonly options: SweepOptions
}

/** Everything at once. */
export const everything = (seed: number): SweepShape => ({
  name: "everything",
  shape: { steps: 220, keys: 90, burst: 10, ...everyKind },
  settings: { sequenceBlock: seed % 2 === 0 ? 24 : 4000, retention: { beforeImages: seed % 3 === 0 } },
  options: { seed, randomStates: 2, nestedEvery: 50 }
})

/** Groups, synced and not, over ends of segments: torn tails, groups written again. */
const log = (seed: number): SweepShape => ({
  name: "log",
  shape: {
    steps: 120,
    keys: 24,
    burst: 3,
    syncChance: 0.2,
    structureChance: 0.06,
    valueBytesMax: 600,
    weights: { flush: 0, compact: 0, flushBehind: 0, compactBehind: 0, create: 2, drop: 1, snapshot: 0, release: 0, reopen: 3 }
  },
  settings: {},
  options: { seed, randomStates: 6, nestedEvery: 40 }
})

/** Flush, compaction, manifest rollover, keyspaces made and dropped, sequences reserved in small blocks. */
const structure = (seed: number): SweepShape => ({
  name: "structure",
  shape: { steps: 120, keys: 60, structureChance: 0.3, syncChance: 0.15, burst: 5, largeChance: 0.3, ...everyKind },
  settings: { manifestRolloverBytes: 20_480, sequenceBlock: 30, retention: { beforeImages: seed % 2 === 0 } },
  options: { seed, randomStates: 3, nestedEvery: 50 }
})

/** A database that opens and closes all the time. */
const opens = (seed: number): SweepShape => ({
  name: "opens",
  shape: { steps: 100, keys: 40, structureChance: 0.35, syncChance: 0.3, burst: 4, weights: { reopen: 8 }, ...everyKind },
  settings: { manifestRolloverBytes: 20_480 },
  options: { seed, randomStates: 4, nestedEvery: 30 }
})

const all = [everything, log, structure, opens]

/** The same seed gives the same workload, settings and states. */
export const sweepShape = (seed: number): SweepShape => all[seed % all.length]!(seed)

const createdNames = (recorded: RecordedRun, pattern: RegExp): number =>
  recorded.trace.events.filter((event) => event.kind === "create" && pattern.test(event.name)).length

/** Each open makes one segment and one prepares the next; what goes beyond are ends of segments. */
export const rotations = (recorded: RecordedRun): number => createdNames(recorded, /\.log$/) - 2 * recorded.counts.reopens

/** Each open makes one manifest; what goes beyond are rollovers. */
export const rollovers = (recorded: RecordedRun): number => createdNames(recorded, /\.manifest$/) - recorded.counts.reopens
