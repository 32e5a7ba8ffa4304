/**
 * `npm run sweep -- --states 1000000 --seed 1`: the crash sweep for as long as it takes to judge so many distinct crash states, counted by the hash of the disk image.
 *
 * Each seed is a workload of its own (`test/support/sweepShapes.ts`), recorded once and then stopped at every one of its operations. Seeds are handed to `--workers` processes (by
 * default one per processor). A progress line every ten seconds; at the end the ledger, as JSON, on standard output and in `--ledger FILE`. A run that was stopped goes on from the
 * ledger it left (`--resume`): its counts are added, and its last seed is the first one of the new run; images of different seeds differ by their salts, so that they need not be
 * remembered. Ends with 1 where a state was not recovered as it must be, and prints all that is needed to see it again; `--seed S --seeds 1` repeats one seed.
 */
import { type ChildProcess, fork } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import { SimulatedDisk } from "../src/layers/disk/SimulatedDisk.ts"
import { crashSweep, SweepFailure } from "../test/support/crashSweep.ts"
import { recordRun } from "../test/support/recordedRun.ts"
import { rollovers, rotations, sweepShape } from "../test/support/sweepShapes.ts"
import { drawWorkload } from "../test/support/workload.ts"

type Counts = Record<string, number>

/** What a worker says of a seed: numbers to add up, and the images it saw, nine bytes of each hash. */
interface SeedReport {
  readonly seed: number
  readonly shape: string
  readonly counts: Counts
  readonly operations: Counts
  readonly images: ReadonlyArray<string>
  readonly violation?: string
}

interface Ledger {
  firstSeed: number
  /** Where to go on: every seed before it is done, and some after it. */
  nextSeed: number
  doneAhead: Array<number>
  distinct: number
  seconds: number
  violations: Array<string>
  /** By the name of the shape. */
  runs: Counts
  counts: Counts
  /** Of the recorded disks, by kind. */
  operations: Counts
}

const add = (into: Counts, counts: Counts): void => {
  for (const [name, count] of Object.entries(counts)) into[name] = (into[name] ?? 0) + count
}

const sweepSeed = async (seed: number): Promise<SeedReport> => {
  const { name, options, settings, shape } = sweepShape(seed)
  const operations: Counts = {}
  const seen = new Set<string>()
  const report = (counts: Counts, violation?: string): SeedReport => ({
    seed,
    shape: name,
    counts,
    operations,
    images: Array.from(seen, (image) => image.slice(0, 12)),
    ...(violation === undefined ? {} : { violation })
  })
  try {
    const recorded = await Effect.runPromise(recordRun({ disk: new SimulatedDisk({ record: true }), steps: drawWorkload(seed, shape), settings }))
    for (const { kind } of recorded.trace.events) operations[kind] = (operations[kind] ?? 0) + 1
    const { distinct: _distinct, milliseconds: _milliseconds, nestedStates, states, ...swept } = crashSweep(recorded, { ...options, seen })
    const recoveries = { states: states + nestedStates, recoveriesStoppedWithin: nestedStates }
    return report({ ...recorded.counts, ...swept, ...recoveries, rotations: rotations(recorded), rollovers: rollovers(recorded) })
  } catch (cause) {
    const kind = cause instanceof SweepFailure ? "" : "the workload itself failed: "
    return report({}, `seed ${seed} (${name}): ${kind}${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`)
  }
}

const serveSeeds = (): void => {
  process.on("message", (seed: number) => {
    void sweepSeed(seed).then((report) => process.send!(report))
  })
  process.on("disconnect", () => process.exit(0))
}

const emptyLedger = (firstSeed: number): Ledger => ({
  firstSeed,
  nextSeed: firstSeed,
  doneAhead: [],
  distinct: 0,
  seconds: 0,
  violations: [],
  runs: {},
  counts: {},
  operations: {}
})

const count = (text: string, name: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} must be a whole number from 1 on, not ${text}`)
  return value
}

const sweepSeeds = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      states: { type: "string", default: "1000000" },
      seed: { type: "string", default: "1" },
      seeds: { type: "string" },
      workers: { type: "string", default: String(availableParallelism()) },
      ledger: { type: "string" },
      resume: { type: "boolean", default: false }
    }
  })
  const wanted = count(values.states, "states")
  const seedsMax = values.seeds === undefined ? Infinity : count(values.seeds, "seeds")
  const file = values.ledger
  const left = values.resume && file !== undefined && existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Ledger) : undefined
  const ledger = left ?? emptyLedger(count(values.seed, "seed"))
  const distinctBefore = ledger.distinct
  const secondsBefore = ledger.seconds
  const startedMs = performance.now()
  const firstSeed = ledger.nextSeed
  let given = firstSeed
  const done = new Set(ledger.doneAhead)
  const seen = new Set<string>()

  const note = (report: SeedReport): void => {
    for (const image of report.images) seen.add(image)
    add(ledger.runs, { [report.shape]: 1 })
    add(ledger.counts, report.counts)
    add(ledger.operations, report.operations)
    if (report.violation !== undefined) {
      ledger.violations.push(report.violation)
      console.error(report.violation)
    }
    done.add(report.seed)
    while (done.delete(ledger.nextSeed)) ledger.nextSeed++
    ledger.doneAhead = [...done]
    ledger.distinct = distinctBefore + seen.size
    ledger.seconds = Math.round(secondsBefore + (performance.now() - startedMs) / 1000)
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(ledger, null, 2)}\n`)
  }
  const hasEnough = (): boolean => ledger.distinct >= wanted || given - firstSeed >= seedsMax
  const progress = (): void => {
    const { counts, distinct, nextSeed, violations } = ledger
    const perSecond = Math.round((distinct - distinctBefore) / ((performance.now() - startedMs) / 1000))
    const leftSeconds = perSecond === 0 ? "?" : String(Math.max(0, Math.round((wanted - distinct) / perSecond)))
    console.error(
      `${distinct} of ${wanted} distinct states (${counts["states"] ?? 0} drawn), ${perSecond}/s, next seed ${nextSeed}, ${violations.length} violations, about ${leftSeconds} s left`
    )
  }

  const workers: Array<ChildProcess> = []
  const timer = setInterval(progress, 10_000)
  try {
    await Promise.all(
      Array.from(
        { length: Math.min(count(values.workers, "workers"), seedsMax) },
        () =>
          new Promise<void>((resolve, reject) => {
            const worker = fork(fileURLToPath(import.meta.url), [], { env: { ...process.env, LIGHTNING_SWEEP_WORKER: "1" } })
            workers.push(worker)
            let ended = false
            const next = (): void => {
              while (done.has(given)) given++
              if (!hasEnough()) return void worker.send(given++)
              ended = true
              worker.disconnect()
              resolve()
            }
            worker.on("message", (report: SeedReport) => {
              note(report)
              next()
            })
            worker.once("exit", (code) => {
              if (!ended) reject(new Error(`a worker ended with ${code ?? "a signal"}; go on with --resume`))
            })
            next()
          })
      )
    )
  } finally {
    clearInterval(timer)
    for (const worker of workers) worker.kill()
  }
  progress()
  console.log(JSON.stringify(ledger, null, 2))
  return ledger.violations.length === 0 ? 0 : 1
}

if (process.env["LIGHTNING_SWEEP_WORKER"] === "1") serveSeeds()
else process.exitCode = await sweepSeeds()
