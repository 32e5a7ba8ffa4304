/** The workload benchmark: see `--help`. */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Case } from "./workload/Case.ts"
import { cases } from "./workload/cases.ts"
import { type Figures, tableOf } from "./workload/Figures.ts"
import { prepare, runCase, type Settings } from "./workload/runCase.ts"

const engineOptions = [
  "memtableBytes",
  "cacheBytes",
  "valueCacheBytes",
  "blockBytes",
  "tableBytes",
  "compression",
  "compactionWorkers",
  "walSegmentBytes"
] as const

const usage = `The workload benchmark.

  npm run bench                                                every case, each in a process and a directory of its own; prints a table
  npm run bench -- --runs 5 --cases fillbatch,readseq          some cases, five alternating runs of each: medians and spread
  npm run bench -- --entries 100000 --cases txnupdate          with fewer entries than 1,000,000, for example as many as the caches hold
  npm run bench -- --case readrandom                           one case in this process; prints one line of JSON

Writes are timed from an empty (or loaded and reopened) database; reads after a warm-up of a quarter of their operations.

  --entries N      how many entries (default 1,000,000; fill1gb 1,048,576)
  --directory D    an empty or missing one, kept (default: a new one in the system's folder for temporary files, removed)
  --json           JSON lines instead of the table
  --prepare-only, then --run-only --no-validation, both with --directory: for profiles
  ${engineOptions.map((name) => `--${name}`).join(", ")}: as when opening

The cases:
${cases.map(({ about, name }) => `  ${name.padEnd(14)} ${about}`).join("\n")}
`

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    case: { type: "string" },
    cases: { type: "string" },
    runs: { type: "string", default: "1" },
    entries: { type: "string" },
    directory: { type: "string" },
    json: { type: "boolean", default: false },
    "prepare-only": { type: "boolean", default: false },
    "run-only": { type: "boolean", default: false },
    "no-validation": { type: "boolean", default: false },
    ...Object.fromEntries(engineOptions.map((name) => [name, { type: "string" as const }]))
  }
})

if (values.help) {
  process.stdout.write(usage)
  process.exit(0)
}

const caseNamed = (name: string): Case => {
  const found = cases.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no case ${name}; the cases are ${cases.map((one) => one.name).join(", ")}`)
  return found
}

const given: Record<string, unknown> = values
const options: Settings["options"] = Object.fromEntries(
  engineOptions.flatMap((name) => {
    const value = given[name]
    return value === undefined ? [] : [[name, Number.isNaN(Number(value)) ? value : Number(value)]]
  })
)
const settingsOf = (one: Case, directory: string): Settings => ({
  directory,
  entries: values.entries !== undefined ? Number(values.entries) : one.name === "fill1gb" ? 1 << 20 : 1_000_000,
  options
})

const child = (args: ReadonlyArray<string>, directory: string): string => {
  const passed = process.argv
    .slice(2)
    .filter((arg, i, all) => !["--runs", "--cases", "--directory", "--case"].some((name) => arg === name || all[i - 1] === name) && arg !== "--json")
  const { status, stdout } = spawnSync(
    process.execPath,
    [...process.execArgv.filter((arg) => !arg.includes("prof")), fileURLToPath(import.meta.url), ...passed, ...args, "--directory", directory],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"]
    }
  )
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}`)
  return stdout
}

const inDirectory = async <A>(use: (directory: string) => A | Promise<A>): Promise<A> => {
  if (values.directory !== undefined) return use(values.directory)
  const directory = mkdtempSync(join(tmpdir(), "lightning-bench-"))
  try {
    return await use(join(directory, "db"))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (values.case !== undefined) {
  const found = caseNamed(values.case)
  const one: Case = values["no-validation"] ? { ...found, validate: () => Effect.void } : found
  await inDirectory(async (directory) => {
    if (values["prepare-only"]) return Effect.runPromise(prepare(one, settingsOf(one, directory)))
    if (one.start === "loaded" && !values["run-only"]) child(["--case", one.name, "--prepare-only"], directory)
    console.log(JSON.stringify(await Effect.runPromise(runCase(one, settingsOf(one, directory)))))
  })
} else {
  const chosen = values.cases === undefined ? cases : values.cases.split(",").map(caseNamed)
  const figures: Array<Figures> = []
  // Alternating: what else the machine does meanwhile meets all cases alike.
  for (let run = 0; run < Number(values.runs); run++) {
    for (const one of chosen) {
      const line = await inDirectory((directory) => child(["--case", one.name], join(directory, one.name)))
      if (values.json) process.stdout.write(line)
      else process.stderr.write(`${one.name} `)
      figures.push(JSON.parse(line) as Figures)
    }
  }
  if (!values.json) console.log(`\n${tableOf(figures)}`)
}
