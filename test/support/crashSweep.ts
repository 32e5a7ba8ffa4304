/**
 * Stops a recorded run at its operations, recovers what a crash there may leave, and judges it against the oracle: invariants 1 to 3. Then stops that recovery at each of its
 * own operations and recovers again. No layer is built for a state; everything is synchronous.
 */
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import type { CrashMode } from "../../src/layers/disk/crashImage.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { DurabilityEvent } from "../../src/layers/disk/DurableState.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { recover, type Recovered } from "../../src/layers/recovery/recover.ts"
import { differences } from "./Oracle.ts"
import { directory } from "./openEngine.ts"
import { digestEverything, listEverything, VerifiedFiles } from "./readEverything.ts"
import type { RecordedRun } from "./recordedRun.ts"

export interface SweepOptions {
  readonly seed: number
  /** Crash after every so many events; 1 is every one. */
  readonly stride?: number
  /** Random states drawn at each stop, beside the worst one and the one of a killed process. */
  readonly randomStates?: number
  /** The recovery of every so many states is itself stopped at each of its operations; 0: never. */
  readonly nestedEvery?: number
  /** Stops early, between two states. */
  readonly deadlineMs?: number
  /** The same, by something else than time. */
  readonly enough?: () => boolean
  readonly memtableBytes?: number
  /** Hashes of the disk images that were judged, by all sweeps that share it. */
  readonly seen?: Set<string>
}

export interface SweepReport {
  states: number
  nestedStates: number
  /** Disk images among them, by the hash of all names and bytes, that were not in `seen` before. An image that comes again in the same run is recovered once. */
  distinct: number
  /** Events of the run, and at how many of them it was stopped. */
  readonly events: number
  stops: number
  /** States in which recovery did each of these. */
  rewrittenGroups: number
  tornTails: number
  laterGroups: number
  replayed: number
  freshDatabases: number
  milliseconds: number
}

/** What the recovery of an image came to: all that a second look at the same image has to ask. */
interface Judged {
  readonly visibleSequence: number
  readonly nextSequence: number
}

/** A crash state that recovery did not get right, with all that is needed to see it again. */
export class SweepFailure extends Error {}

/** A rename rests on several names at once: what may be left of it is drawn more often. */
const renameFactor = 8

const pseudoRandomBytes = (seed: number) => {
  const prng = seededPrng(seed)
  return (count: number): Uint8Array => Uint8Array.from({ length: count }, () => Math.floor(prng() * 256))
}

/** The synchronous recovery of what a crash left. The directory itself may have been lost with its name: a first open makes it again. */
export const recoverDisk = (disk: SimulatedDisk, seed: number, memtableBytes: number, path = directory): Recovered => {
  if (disk.stat(path) === undefined) {
    disk.makeDirectory(path)
    disk.syncDirectory("/")
  }
  let time = 1_700_000_000_000
  return recover({
    disk,
    directory: path,
    memtableBytes,
    randomBytes: pseudoRandomBytes(seed),
    raiseTime: (ms) => (time = Math.max(time, ms)),
    monotonicMs: () => 0
  })
}

const describeEvent = (event: DurabilityEvent | undefined): string => {
  if (event === undefined) return "the start"
  const { kind } = event
  switch (kind) {
    case "write":
      return `write of ${event.bytes.length} bytes at ${event.position} of inode ${event.inode}`
    case "truncate":
    case "datasync":
      return `${kind} of inode ${event.inode}`
    case "syncDirectory":
      return kind
    default:
      return `${kind} of ${event.name} (inode ${event.inode})`
  }
}

/** For each number of events, the least sequence that must have survived. */
export const requiredAfter = (run: RecordedRun, durability: "sync" | "any"): Float64Array => {
  const required = new Float64Array(run.trace.events.length + 1)
  for (const { durability: promised, events, sequence } of run.promises) {
    if ((durability === "any" || promised === "sync") && sequence > required[events]!) required[events] = sequence
  }
  for (let i = 1; i < required.length; i++) required[i] = Math.max(required[i]!, required[i - 1]!)
  return required
}

export const crashSweep = (run: RecordedRun, options: SweepOptions): SweepReport => {
  const {
    deadlineMs = Infinity,
    enough = () => false,
    memtableBytes = 65_536,
    nestedEvery = 0,
    randomStates = 2,
    seed,
    seen = new Set(),
    stride = 1
  } = options
  const { oracle, trace } = run
  const { events } = trace
  const synced = requiredAfter(run, "sync")
  const written = requiredAfter(run, "any")
  const replayer = new CrashReplayer(trace)
  const files = new VerifiedFiles()
  const startedMs = performance.now()
  const report: SweepReport = {
    states: 0,
    nestedStates: 0,
    distinct: 0,
    events: events.length,
    stops: 0,
    rewrittenGroups: 0,
    tornTails: 0,
    laterGroups: 0,
    replayed: 0,
    freshDatabases: 0,
    milliseconds: 0
  }

  const fails =
    (where: string, stateSeed: number) =>
    (what: string, cause?: unknown): never => {
      throw new SweepFailure(`${what}\n  ${where}\n  sweep seed ${seed}, state seed ${stateSeed}`, { cause })
    }

  /** What was promised, and what was given to somebody: it grows with the run, so an image seen before is asked again. */
  const checkPromises = ({ nextSequence, visibleSequence }: Judged, required: number, given: number, fail: (what: string) => never): void => {
    if (visibleSequence < required) fail(`a commit that was acknowledged is lost: recovered through ${visibleSequence}, promised through ${required}`)
    if (nextSequence <= Math.max(visibleSequence, given)) fail(`the next sequence is ${nextSequence}, but ${given} was given to somebody already`)
  }

  const judge = (disk: SimulatedDisk, required: number, given: number, stateSeed: number, where: string): Recovered => {
    const fail = fails(where, stateSeed)
    let recovered: Recovered
    try {
      recovered = recover0(disk, stateSeed)
    } catch (cause) {
      return fail(`recovery refused a state that a crash may leave: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
    }
    const { manifest, memtables, visibleSequence } = recovered
    checkPromises(recovered, required, given, fail)
    const expected = oracle.digestAt(visibleSequence)
    if (expected === undefined) return fail(`recovered through ${visibleSequence}, which nobody committed`)
    const everything = { disk, directory, state: manifest.state, memtables, sequence: visibleSequence }
    let found: string
    try {
      found = digestEverything(everything, files)
    } catch (cause) {
      return fail(`a file that the manifest names cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
    }
    if (found !== expected)
      fail(`the state is not the one after ${visibleSequence}: ${differences(oracle.stateAt(visibleSequence), listEverything(everything, files))}`)
    return recovered
  }

  /** Images of this run: the oracle is the same for all of them. */
  const known = new Map<string, Judged>()
  /** The image as it is found, before recovery changes it. */
  const noteImage = (disk: SimulatedDisk): string => {
    const image = disk.hash()
    if (!seen.has(image)) {
      seen.add(image)
      report.distinct++
    }
    return image
  }
  const noteJudged = (image: string, { nextSequence, visibleSequence }: Judged): void => void known.set(image, { nextSequence, visibleSequence })
  const recover0 = (disk: SimulatedDisk, stateSeed: number) => recoverDisk(disk, stateSeed, memtableBytes)

  /** Stops a recovery that was recorded at each of its operations: whatever it had shown when it was done must stay. */
  const nested = (first: Recovered, disk: SimulatedDisk, required: number, given: number, stateSeed: number, where: string) => {
    const steps = disk.trace!.events.length
    const inner = new CrashReplayer(disk.trace!)
    for (let at = 0; at <= steps; at++) {
      inner.advanceTo(at)
      const modes: ReadonlyArray<CrashMode> = at === 0 ? ["all"] : ["worst", "random", "all"]
      for (const mode of modes) {
        const drawn = stateSeed * 31 + at * 3 + modes.indexOf(mode)
        const crashed = inner.crash(seededPrng(drawn), { mode })
        const inside = `${where}\n  and recovery itself stopped after ${at} of ${steps} (${describeEvent(disk.trace!.events[at - 1])}), mode ${mode}`
        const promised = at === steps ? first.visibleSequence : required
        const image = noteImage(crashed)
        let again = known.get(image)
        if (again === undefined) noteJudged(image, (again = judge(crashed, promised, given, drawn, inside)))
        else checkPromises(again, promised, given, fails(inside, drawn))
        report.nestedStates++
        if (at === steps && again.visibleSequence !== first.visibleSequence) {
          throw new SweepFailure(`recovering twice gives ${first.visibleSequence}, then ${again.visibleSequence}\n  ${inside}\n  sweep seed ${seed}`)
        }
      }
    }
  }

  for (let at = 0; at <= events.length && performance.now() - startedMs < deadlineMs && !enough(); at += stride) {
    replayer.advanceTo(at)
    report.stops++
    const last = events[at - 1]
    const isSync = last === undefined || last.kind === "datasync" || last.kind === "syncDirectory"
    // What is lost at worst changes only where something became durable, and what a killed process leaves only where something was done.
    const modes: Array<CrashMode> = []
    if (isSync || stride > 1) modes.push("worst")
    if (!isSync || stride > 1) modes.push("all")
    for (let i = 0; i < (last?.kind === "rename" ? randomStates * renameFactor : randomStates); i++) modes.push("random")
    modes.forEach((mode, i) => {
      const stateSeed = seed * 1_000_003 + at * 64 + i
      const nests = nestedEvery > 0 && report.states % nestedEvery === 0
      const disk = replayer.crash(seededPrng(stateSeed), { mode, next: { record: nests } })
      const required = (mode === "all" ? written : synced)[at]!
      const where = `crash after ${at} of ${events.length} operations (last: ${describeEvent(last)}), mode ${mode}`
      // An acknowledged sequence may be lost with a power cut, but never comes back as another transaction.
      const given = written[at]!
      const image = noteImage(disk)
      const before = nests ? undefined : known.get(image)
      report.states++
      if (before !== undefined) return checkPromises(before, required, given, fails(where, stateSeed))
      const recovered = judge(disk, required, given, stateSeed, where)
      noteJudged(image, recovered)
      if (recovered.segment.position > recovered.segment.basePosition) report.rewrittenGroups++
      if (recovered.report.cutBytes > 0) report.tornTails++
      if (recovered.report.laterGroupsCut > 0) report.laterGroups++
      if (recovered.report.replayedTransactions > 0) report.replayed++
      if (recovered.visibleSequence === 0) report.freshDatabases++
      if (nests) nested(recovered, disk, required, given, stateSeed, where)
    })
  }
  report.milliseconds = performance.now() - startedMs
  return report
}
