/** Simulated histories that once failed, as `npm run simulate -- --write` left them. Each file says what was wrong. */
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { readScripts } from "../simulation/regression.ts"
import { simulate } from "../simulation/simulate.ts"

const scripts = readScripts(fileURLToPath(new URL("simulated", import.meta.url)))

it.each(scripts)("$name: $found", ({ script }) => {
  const { trace, violations } = simulate(script)
  expect(violations).toEqual([])
  expect(simulate(script).trace).toBe(trace)
})

it("has scripts to run", () => {
  expect(scripts.length).toBeGreaterThan(0)
})
