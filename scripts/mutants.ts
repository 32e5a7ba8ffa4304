/**
 * Mutants: shows that the tests of the invariants can fail. Each mutant is one exact replacement, applied to a copy of the repository; the test it names must
 * be green before and red after. The list is in test/mutants/mutants.ts.
 */
import { spawn } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { basename, delimiter, dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

export interface Mutant {
  /** Short, unique: "skip-sync". */
  readonly name: string
  /** The file it changes, from the root. */
  readonly file: string
  /** The exact text to replace; occurs exactly once in `file`. */
  readonly find: string
  readonly replace: string
  readonly test: {
    /** The test file, from the root. */
    readonly file: string
    /** What vitest's `-t` takes: a pattern of full test names ("suite > test"). All tests of the file when absent. */
    readonly name?: string
  }
  /** What it breaks: the number of the invariant or decision, and a few words. */
  readonly invariant: string
}

export interface Verdict {
  readonly mutant: Mutant
  /** `caught` is the only good one. */
  readonly outcome: "caught" | "survived" | "does not apply" | "test not green unmutated" | "no test ran"
  readonly detail: string
  readonly seconds: number
}

interface Run {
  readonly outcome: "green" | "red" | "hung" | "broken" | "none"
  readonly detail: string
}

/** A mutant may turn a loop into an endless one; that is noticed, too. */
const runMsMax = 180_000

const notCopied = new Set([".git", ".lightning", "coverage", "dist", "node_modules"])

/** A copy of the repository that shares its installed packages. */
const copyOf = (root: string): string => {
  const copy = mkdtempSync(join(tmpdir(), "lightning-mutants-"))
  cpSync(root, copy, { recursive: true, filter: (from) => dirname(relative(root, from)) !== "." || !notCopied.has(basename(from)) })
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "dir")
  return copy
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: ReadonlyArray<{
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly ancestorTitles: ReadonlyArray<string>; readonly title: string }>
  }>
}

const runTest = async (root: string, test: Mutant["test"]): Promise<Run> => {
  const output = join(root, ".mutant-report.json")
  rmSync(output, { force: true })
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST") && name !== "NODE_OPTIONS"))
  const pattern = test.name === undefined ? [] : ["-t", test.name]
  const child = spawn("vitest", ["run", "--root", root, "--bail=1", "--reporter=json", `--outputFile=${output}`, test.file, ...pattern], {
    cwd: root,
    env: { ...env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"]}` },
    stdio: ["ignore", "ignore", "pipe"],
    // A group of its own, so that the test processes of a hung run end with it.
    detached: true
  })
  let complaints = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text))
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
  }, runMsMax)
  await new Promise<void>((resolve, reject) => child.once("close", () => resolve()).once("error", reject))
  clearTimeout(timer)
  if (hung) return { outcome: "hung", detail: `no end after ${runMsMax / 1000} s` }
  if (!existsSync(output)) return { outcome: "broken", detail: complaints.trim().split("\n").at(-1) ?? "vitest gave no report" }
  const report = JSON.parse(readFileSync(output, "utf8")) as Report
  const failed = report.testResults.flatMap((file) => file.assertionResults).find((result) => result.status === "failed")
  if (failed !== undefined) return { outcome: "red", detail: [...failed.ancestorTitles, failed.title].join(" > ") }
  const unloadable = report.testResults.find((file) => file.message !== "")
  if (unloadable !== undefined) return { outcome: "broken", detail: unloadable.message.split("\n")[0] ?? "" }
  return report.numPassedTests === 0
    ? { outcome: "none", detail: `nothing in ${test.file} matches ${test.name ?? "*"}` }
    : { outcome: "green", detail: "" }
}

/** The file with the mutant in it, or why it does not apply. */
export const apply = (text: string, mutant: Mutant): { readonly text: string } | { readonly fault: string } => {
  const parts = text.split(mutant.find)
  if (mutant.find === "" || parts.length !== 2)
    return { fault: `the text to replace occurs ${mutant.find === "" ? 0 : parts.length - 1} times in ${mutant.file}` }
  return mutant.find === mutant.replace ? { fault: "the replacement changes nothing" } : { text: parts.join(mutant.replace) }
}

const judge = async (
  copy: string,
  mutant: Mutant,
  unmutated: (test: Mutant["test"]) => Promise<Run>
): Promise<Omit<Verdict, "mutant" | "seconds">> => {
  const path = join(copy, mutant.file)
  if (!existsSync(path)) return { outcome: "does not apply", detail: `${mutant.file} does not exist` }
  const original = readFileSync(path, "utf8")
  const applied = apply(original, mutant)
  if ("fault" in applied) return { outcome: "does not apply", detail: applied.fault }
  const before = await unmutated(mutant.test)
  if (before.outcome === "none") return { outcome: "no test ran", detail: before.detail }
  if (before.outcome !== "green") return { outcome: "test not green unmutated", detail: before.detail }
  writeFileSync(path, applied.text)
  const after = await runTest(copy, mutant.test)
  writeFileSync(path, original)
  if (after.outcome === "red" || after.outcome === "hung") return { outcome: "caught", detail: after.detail }
  // A file that no longer loads fails every test, which says nothing about this one.
  if (after.outcome === "broken") return { outcome: "does not apply", detail: `the mutated file does not load: ${after.detail}` }
  return { outcome: "survived", detail: `${mutant.test.file} stays green` }
}

/** Judges every mutant of the repository at `root`, as many at a time as there are processors; the verdicts come in the order of the list. */
export const runMutants = async (
  root: string,
  mutants: ReadonlyArray<Mutant>,
  report: (verdict: Verdict) => void = () => undefined
): Promise<ReadonlyArray<Verdict>> => {
  const doubled = mutants.find((mutant, index) => mutants.findIndex((other) => other.name === mutant.name) !== index)
  if (doubled !== undefined) throw new Error(`two mutants are named ${doubled.name}`)
  const known = new Map<string, Promise<Run>>()
  const verdicts = new Map<string, Verdict>()
  const queue = [...mutants]
  const work = async (): Promise<void> => {
    const copy = copyOf(root)
    const unmutated = (test: Mutant["test"]): Promise<Run> => {
      const key = `${test.file}\n${test.name ?? ""}`
      const run = known.get(key) ?? runTest(copy, test)
      known.set(key, run)
      return run
    }
    try {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const from = performance.now()
        const found = await judge(copy, mutant, unmutated)
        const verdict = { mutant, ...found, seconds: (performance.now() - from) / 1000 }
        verdicts.set(mutant.name, verdict)
        report(verdict)
      }
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), mutants.length) }, work))
  return mutants.flatMap((mutant) => verdicts.get(mutant.name) ?? [])
}

const row = ({ mutant, outcome, detail, seconds }: Verdict): string =>
  `${outcome.padEnd(9)} ${mutant.name.padEnd(32)} ${seconds.toFixed(1).padStart(6)} s  ${mutant.invariant}\n${" ".repeat(10)}${outcome === "caught" ? "by" : "because"}: ${detail}`

if (import.meta.main) {
  const { mutants } = await import("../test/mutants/mutants.ts")
  const wanted = process.argv[2]
  const chosen = wanted === undefined ? mutants : mutants.filter((mutant) => mutant.name.includes(wanted))
  const verdicts = await runMutants(fileURLToPath(new URL("../", import.meta.url)), chosen, (verdict) => console.log(row(verdict)))
  const bad = verdicts.filter((verdict) => verdict.outcome !== "caught")
  console.log(
    `\n${verdicts.length} mutants: ${verdicts.length - bad.length} caught, ${bad.length} not${bad.length === 0 ? "" : ` (${bad.map((verdict) => verdict.mutant.name).join(", ")})`}`
  )
  if (bad.length > 0 || (wanted !== undefined && verdicts.length === 0)) process.exitCode = 1
}
