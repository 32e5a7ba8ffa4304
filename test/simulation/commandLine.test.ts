/** `npm run simulate`, and its variant with real threads, files and kills. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { requiredReal, runRealWorkers } from "./realWorkers.ts"

const simulateWith = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [fileURLToPath(new URL("../../scripts/simulate.ts", import.meta.url)), ...args], {
    encoding: "utf8"
  })
  return { status, stderr, stdout }
}

it("says how it is used", () => {
  expect(simulateWith("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("--real-workers") })
  expect(simulateWith("--minutes", "ten")).toMatchObject({ status: 2, stderr: expect.stringContaining('--minutes takes a number, found "ten"') })
  expect(simulateWith("--sed", "1")).toMatchObject({ status: 2, stderr: expect.stringContaining("--sed") })
})

it("fails where its ledger has a zero, and says which", () => {
  const { status, stdout } = simulateWith("--seeds", "1", "--seed", "5", "--json")
  const report = JSON.parse(stdout) as { readonly seeds: number; readonly missing: ReadonlyArray<string>; readonly failures: ReadonlyArray<unknown> }
  expect({ status, seeds: report.seeds, failures: report.failures }).toEqual({ status: 1, seeds: 1, failures: [] })
  expect(report.missing).toContain("crashes: during closing")
})

it("runs one script of a file", () => {
  const script = fileURLToPath(new URL("../regression/simulated/directory-name.json", import.meta.url))
  expect(simulateWith("--script", script)).toMatchObject({ status: 0, stdout: expect.stringContaining("nothing was wrong") })
})

it("holds with real threads on real files, in processes that are killed", async () => {
  const { ledger, violations } = await runRealWorkers({ seed: 1, historiesMax: 1 })
  expect(violations).toEqual([])
  expect(ledger.get("recoveries", "opened")).toBeGreaterThan(2)
  expect(ledger.missing(requiredReal)).not.toContain("recoveries: opened")
}, 120_000)
