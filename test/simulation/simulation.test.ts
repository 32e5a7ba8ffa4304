/** The engine in whole, simulated: what one seed decides, what a run has to cover, and that a broken engine is found. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { withoutDatasync, withoutDirectorySync } from "./brokenDisks.ts"
import { runCampaign, scriptOf } from "./campaign.ts"
import { drawScript } from "./drawScript.ts"
import { Ledger, required } from "./Ledger.ts"
import { formatScript, parseScript, readScripts, writeScript } from "./regression.ts"
import type { SimulationScript } from "./script.ts"
import { shrink, weigh } from "./shrink.ts"
import { simulate } from "./simulate.ts"

/** Seconds that the run below may take at most; it ends when its ledger is complete. */
const seconds = Number(process.env["LIGHTNING_SIMULATION_SECONDS"] ?? 120)

describe("a short simulation", () => {
  it(
    "covers every cell of its ledger, and finds nothing",
    () => {
      const { failures, ledger, seeds } = runCampaign({ seed: 1, deadlineMs: seconds * 1000, untilComplete: true, failuresMax: 1, shrinkMs: 30_000 })
      expect(failures.map((failure) => `${failure.first}\n${formatScript({ found: failure.violation, script: failure.script })}`)).toEqual([])
      expect(ledger.missing()).toEqual([])
      expect(ledger.distinctStates).toBeGreaterThan(seeds)
    },
    (seconds + 60) * 1000
  )
})

describe("a seed", () => {
  const seeds = [1, 2, 3, 4, 5, 6]
  it("gives the same script, the same operations, answers and crash states, each time and in every process", () => {
    const traces = seeds.map((seed) => simulate(scriptOf(seed, 1)).trace)
    expect(new Set(traces).size).toBe(seeds.length)
    expect(seeds.map((seed) => simulate(scriptOf(seed, 1)).trace)).toEqual(traces)
    const child = spawnSync(process.execPath, [fileURLToPath(new URL("traceChild.ts", import.meta.url)), ...seeds.map(String)], { encoding: "utf8" })
    expect(child.stderr).toBe("")
    expect(child.stdout.trim().split("\n")).toEqual(traces)
  }, 60_000)

  it("decides the order of fibers: the same script with another one is another history", () => {
    const script = drawScript(11, { crashes: 0 })
    const traces = new Set([1, 2, 3, 4].map((seed) => simulate({ ...script, seed }).trace))
    expect(traces.size).toBe(4)
  }, 60_000)
})

describe("a broken engine", () => {
  const firstFailure = (fails: (script: SimulationScript) => string | undefined): SimulationScript => {
    for (let nth = 0; nth < 60; nth++) if (fails(scriptOf(1, nth)) !== undefined) return scriptOf(1, nth)
    throw new Error("nothing was found")
  }

  it.each([
    ["syncs nothing", withoutDatasync, /^\d+ was promised to be durable, and/],
    ["makes no name durable", withoutDirectorySync, /^\d+ was promised to be durable, and|opening/]
  ])(
    "that %s is found, shrunk to a few lines, and fails again from the file they are written to",
    (_, engineOn, what) => {
      const fails = (script: SimulationScript) => simulate(script, { engineOn }).violation
      const found = firstFailure(fails)
      const { script, violation } = shrink(found, fails, { runsMax: 400, deadlineMs: 20_000 })
      expect(violation).toMatch(what)
      expect(weigh(script)).toBeLessThan(weigh(found) / 4)
      const folder = mkdtempSync(join(tmpdir(), "lightning-simulation-"))
      try {
        const path = writeScript(folder, { found: violation, script })
        expect(parseScript(readFileSync(path, "utf8"))).toEqual({ found: violation, script })
        expect(readScripts(folder).map((written) => fails(written.script))).toEqual([violation])
        // The engine as it is holds.
        expect(readScripts(folder).map((written) => simulate(written.script).violation)).toEqual([undefined])
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    60_000
  )

  it("is not looked for in a file that holds no script", () => {
    expect(() => parseScript("{}")).toThrow("no script of a simulation")
    expect(() => parseScript("{")).toThrow()
  })
})

describe("the ledger", () => {
  it("names what was never met, and nothing else", () => {
    const ledger = new Ledger()
    expect(ledger.missing()).toHaveLength(Object.values(required).flat().length)
    for (const [area, cells] of Object.entries(required)) for (const cell of cells) ledger.count(area, cell)
    expect(ledger.missing()).toEqual([])
    expect(ledger.print()).not.toContain("<-- never")
    const other = new Ledger()
    for (const [area, cells] of Object.entries(required)) for (const cell of cells) if (cell !== "torn tail") other.count(area, cell)
    expect(other.missing()).toEqual(["recoveries: torn tail"])
    expect(other.print()).toMatch(/0 {2}torn tail {3}<-- never/)
    other.add(ledger)
    expect(other.missing()).toEqual([])
  })
})
