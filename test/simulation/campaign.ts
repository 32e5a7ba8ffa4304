/** Runs scripts one after the other, from one seed on, until the time is over: what `npm run simulate` and the short run of `npm test` do. */
import { type Goal, drawScript, goals } from "./drawScript.ts"
import { Ledger } from "./Ledger.ts"
import type { SimulationScript } from "./script.ts"
import { shrink, type Shrunk } from "./shrink.ts"
import { simulate } from "./simulate.ts"

export interface CampaignFailure extends Shrunk {
  /** The seed that was found to fail, and what it failed with before it was made small. */
  readonly seed: number
  readonly first: string
}

export interface Campaign {
  readonly seeds: number
  readonly operations: number
  readonly seconds: number
  readonly ledger: Ledger
  readonly failures: ReadonlyArray<CampaignFailure>
}

export interface CampaignProgress {
  readonly seed: number
  readonly seeds: number
  readonly seconds: number
  readonly ledger: Ledger
  readonly failures: number
}

export interface CampaignOptions {
  readonly seed: number
  readonly deadlineMs?: number
  readonly seedsMax?: number
  /** Ends as soon as the ledger has no zero left. */
  readonly untilComplete?: boolean
  readonly run?: (script: SimulationScript) => ReturnType<typeof simulate>
  /** After so many different failures it ends. Default 3. */
  readonly failuresMax?: number
  readonly shrinkMs?: number
  readonly onSeed?: (progress: CampaignProgress) => void
}

/** Every other script aims at a cell of the ledger, one after the other. */
const goalOf = (nth: number): Goal | undefined => (nth % 2 === 0 ? undefined : goals[((nth - 1) / 2) % goals.length])

/** The nth script of a campaign that began with this seed. */
export const scriptOf = (seed: number, nth: number): SimulationScript => drawScript(seed + nth, { goal: goalOf(nth) })

/** Without the numbers: two failures of one kind are shown once. */
const kindOf = (violation: string): string => violation.replace(/\d+/g, "#").slice(0, 80)

export const runCampaign = (options: CampaignOptions): Campaign => {
  const {
    deadlineMs = Infinity,
    failuresMax = 3,
    onSeed,
    run = simulate,
    seed,
    seedsMax = Infinity,
    shrinkMs = 60_000,
    untilComplete = false
  } = options
  const startedMs = performance.now()
  const ledger = new Ledger()
  const failures: Array<CampaignFailure> = []
  const kinds = new Set<string>()
  let seeds = 0
  let operations = 0
  const seconds = () => (performance.now() - startedMs) / 1000
  while (
    seeds < seedsMax &&
    seconds() * 1000 < deadlineMs &&
    failures.length < failuresMax &&
    !(untilComplete && seeds > 0 && ledger.missing().length === 0)
  ) {
    const script = scriptOf(seed, seeds++)
    const verdict = run(script)
    operations += verdict.operations
    ledger.add(verdict.ledger)
    if (verdict.violation !== undefined && !kinds.has(kindOf(verdict.violation))) {
      kinds.add(kindOf(verdict.violation))
      failures.push({ seed: script.seed, first: verdict.violation, ...shrink(script, (smaller) => run(smaller).violation, { deadlineMs: shrinkMs }) })
    }
    onSeed?.({ seed: script.seed, seeds, seconds: seconds(), ledger, failures: failures.length })
  }
  return { seeds, operations, seconds: seconds(), ledger, failures }
}
