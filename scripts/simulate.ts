/**
 * `npm run simulate -- --minutes N --seed S`: the whole engine, simulated, for as long as it is told; see docs/testing.md.
 *
 * Ends with the ledger of what was covered. Exit code 1: something was wrong (a script of it is printed, and written to `test/regression/simulated` with `--write`), or a cell of the
 * ledger that is required was never met.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Campaign, type CampaignProgress, runCampaign } from "../test/simulation/campaign.ts"
import { formatScript, parseScript, writeScript } from "../test/simulation/regression.ts"
import { requiredReal, runRealWorkers } from "../test/simulation/realWorkers.ts"
import { simulate } from "../test/simulation/simulate.ts"

const help = `npm run simulate -- [options]

Runs the engine on a simulated machine, through crashes and faults, and holds it against an oracle. Everything follows from the seed.

  --minutes N       how long; default 1, fractions are fine
  --seeds N         or how many scripts
  --seed S          the first seed; default 1
  --script FILE     runs that script alone (a file of test/regression/simulated)
  --write           writes the scripts of failures to test/regression/simulated
  --real-workers    on the real file system with worker threads, in processes that are killed: not deterministic
  --json            the result as JSON on standard output; progress goes to standard error
  --help            this text

Exit code: 0 nothing was wrong and the ledger is complete; 1 something was wrong, or a required cell of the ledger is zero; 2 wrong usage.
`

const folder = fileURLToPath(new URL("../test/regression/simulated", import.meta.url))
const intervalMs = 5000

interface Wanted {
  readonly minutes: number
  readonly seeds: number | undefined
  readonly seed: number
  readonly script: string | undefined
  readonly write: boolean
  readonly realWorkers: boolean
  readonly json: boolean
}

const readArguments = (args: ReadonlyArray<string>): Wanted | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string" },
      seeds: { type: "string" },
      seed: { type: "string" },
      script: { type: "string" },
      write: { type: "boolean" },
      "real-workers": { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean" }
    }
  })
  if (values.help === true) return "help"
  const number = (name: "minutes" | "seeds" | "seed", isWhole: boolean): number | undefined => {
    const text = values[name]
    if (text === undefined) return undefined
    const value = Number(text)
    if (text === "" || !(value >= 0) || value === Infinity || (isWhole && !Number.isSafeInteger(value)))
      throw new Error(`--${name} takes a ${isWhole ? "whole " : ""}number, found ${JSON.stringify(text)}`)
    return value
  }
  return {
    minutes: number("minutes", false) ?? (values.seeds === undefined ? 1 : Infinity),
    seeds: number("seeds", true),
    seed: number("seed", true) ?? 1,
    script: values.script,
    write: values.write === true,
    realWorkers: values["real-workers"] === true,
    json: values.json === true
  }
}

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else process.stderr.write(`${text}\n`)
}

const progressLine = ({ failures, ledger, seconds, seed, seeds }: CampaignProgress): string =>
  `${seconds.toFixed(0)} s  ${seeds} scripts (seed ${seed})  ${ledger.distinctStates} crash states  ${ledger.missing().length} cells never met  ${failures} failures`

const report = (campaign: Campaign, { json, seed, write }: Wanted): boolean => {
  const { failures, ledger, operations, seconds, seeds } = campaign
  const missing = ledger.missing()
  const scripts = failures.map(({ script, violation }) => ({ found: violation, script }))
  const written = write ? scripts.map((script) => writeScript(folder, script)) : []
  if (json) {
    const failed = failures.map(({ first, runs, script, seed: at, violation }) => ({ seed: at, first, violation, runs, script }))
    console.log(JSON.stringify({ seed, seeds, seconds, operations, missing, failures: failed, written, ledger: ledger.toRecord() }, undefined, 2))
  } else {
    for (const { first, seed: at } of failures) console.log(`\nseed ${at}: ${first}`)
    for (const script of scripts) console.log(`\nas small as it could be made; keep it in test/regression/simulated:\n${formatScript(script)}`)
    for (const path of written) console.log(`written to ${path}`)
    console.log(`\n${seeds} scripts from seed ${seed} on, ${operations} operations of the disk, in ${seconds.toFixed(1)} s\n${ledger.print()}`)
    if (missing.length > 0) console.log(`\nnever met: ${missing.join(", ")}`)
    console.log(failures.length > 0 ? `\n${failures.length} failures` : missing.length > 0 ? "\nthe ledger is not complete" : "\nnothing was wrong")
  }
  return failures.length === 0 && missing.length === 0
}

const runSimulated = (wanted: Wanted): boolean => {
  let shownMs = 0
  const campaign = runCampaign({
    seed: wanted.seed,
    deadlineMs: wanted.minutes * 60_000,
    ...(wanted.seeds === undefined ? {} : { seedsMax: wanted.seeds }),
    onSeed: (at) => {
      if (at.seconds * 1000 - shownMs < intervalMs) return
      shownMs = at.seconds * 1000
      progress(progressLine(at))
    }
  })
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K")
  return report(campaign, wanted)
}

const runReal = async ({ json, minutes, seed, seeds }: Wanted): Promise<boolean> => {
  const { histories, ledger, seconds, violations } = await runRealWorkers({
    seed,
    deadlineMs: minutes * 60_000,
    ...(seeds === undefined ? {} : { historiesMax: seeds }),
    onHistory: (done, ledger) => progress(`${done} histories  ${ledger.get("kills", "while running")} kills while running`)
  })
  const missing = ledger.missing(requiredReal)
  if (json) console.log(JSON.stringify({ seed, histories, seconds, missing, violations, ledger: ledger.toRecord(requiredReal) }, undefined, 2))
  else {
    for (const violation of violations) console.log(`\n${violation}`)
    console.log(`\n${histories} histories from seed ${seed} on, in ${seconds.toFixed(1)} s\n${ledger.print(requiredReal)}`)
    if (missing.length > 0) console.log(`\nnever met: ${missing.join(", ")}`)
  }
  return violations.length === 0 && missing.length === 0
}

const runScript = (path: string): boolean => {
  const { script } = parseScript(readFileSync(path, "utf8"))
  const { trace, violations } = simulate(script)
  for (const violation of violations) console.log(violation)
  console.log(violations.length === 0 ? `nothing was wrong; trace ${trace}` : `trace ${trace}`)
  return violations.length === 0
}

if (import.meta.main) {
  try {
    const wanted = readArguments(process.argv.slice(2))
    if (wanted === "help") console.log(help)
    else {
      const isRight = wanted.script !== undefined ? runScript(wanted.script) : wanted.realWorkers ? await runReal(wanted) : runSimulated(wanted)
      process.exitCode = isRight ? 0 : 1
    }
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    process.stderr.write(`${cause.message}\n\n${help}`)
    process.exitCode = 2
  }
}
