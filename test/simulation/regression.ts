/** Scripts that once failed, as files: a line that says what was wrong, and the script. `test/regression/simulated.test.ts` runs all there are. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { SimulationScript } from "./script.ts"

export interface RegressionScript {
  /** What was wrong, as it was found. */
  readonly found: string
  readonly script: SimulationScript
}

/** One step a line. */
export const formatScript = ({ found, script }: RegressionScript): string => {
  const { lives, ...rest } = script
  const indented = (text: string) => text.replace(/\n/g, "\n  ")
  const life = (one: SimulationScript["lives"][number]): string => {
    const { fibers, ...others } = one
    const steps = fibers.map((fiber) =>
      fiber.length === 0 ? "[]" : `[\n      ${fiber.map((step) => JSON.stringify(step)).join(",\n      ")}\n    ]`
    )
    const fields = Object.entries(others).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`)
    return `{\n  ${[...fields, `"fibers": [${steps.length === 0 ? "" : `\n    ${steps.join(",\n    ")}\n  `}]`].join(",\n  ")}\n}`
  }
  const fields = Object.entries(rest).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`)
  const body = `{\n  ${[...fields, `"lives": [\n    ${lives.map((one) => indented(indented(life(one)))).join(",\n    ")}\n  ]`].join(",\n  ")}\n}`
  return `{\n  "found": ${JSON.stringify(found)},\n  "script": ${indented(body)}\n}\n`
}

/** Throws where the text is no such script. */
export const parseScript = (text: string): RegressionScript => {
  const parsed: unknown = JSON.parse(text)
  const isScript = (value: unknown): value is RegressionScript =>
    typeof value === "object" &&
    value !== null &&
    "found" in value &&
    "script" in value &&
    typeof value.script === "object" &&
    value.script !== null &&
    "seed" in value.script &&
    "lives" in value.script &&
    Array.isArray(value.script.lives)
  if (!isScript(parsed)) throw new Error("this is no script of a simulation: it has no found, seed or lives")
  return parsed
}

export const readScripts = (directory: string): ReadonlyArray<{ readonly name: string } & RegressionScript> =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => ({ name, ...parseScript(readFileSync(join(directory, name), "utf8")) }))

/** Writes the script beside the others, under the name of its seed, and returns its path. */
export const writeScript = (directory: string, regression: RegressionScript): string => {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `seed-${regression.script.seed}.json`)
  writeFileSync(path, formatScript(regression))
  return path
}
