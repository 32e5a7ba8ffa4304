import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { apply, runMutants, type Mutant } from "../../scripts/mutants.ts"
import { mutants } from "./mutants.ts"

/** A repository of two files, in which one behaviour is tested, one is not, and one test is red from the start. */
let root = ""
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "lightning-mutants-fixture-"))
  mkdirSync(join(root, "src"))
  mkdirSync(join(root, "test"))
  writeFileSync(join(root, "package.json"), `{ "type": "module" }`)
  writeFileSync(
    join(root, "src", "math.ts"),
    `export const add = (a: number, b: number): number => a + b\nexport const twice = (a: number): number => a * 2\n`
  )
  writeFileSync(
    join(root, "test", "math.test.ts"),
    `import { describe, expect, it } from "vitest"
import { add, twice } from "../src/math.ts"
describe("math", () => {
  it("adds", () => expect(add(2, 3)).toBe(5))
  it("doubles nothing", () => expect(twice(0)).toBe(0))
  it("is red", () => expect(add(1, 1)).toBe(3))
})
`
  )
  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(root, "node_modules"), "dir")
})
afterAll(() => rmSync(root, { recursive: true }))

const mutant = (name: string, find: string, replace: string, test: string): Mutant => ({
  name,
  file: "src/math.ts",
  find,
  replace,
  test: { file: "test/math.test.ts", name: test },
  invariant: "0"
})

describe("mutants", () => {
  it("tells a caught mutant from every other kind", async () => {
    // A folder of its own for the copies, to see that none stays.
    const copies = mkdtempSync(join(tmpdir(), "lightning-mutants-fixture-"))
    vi.stubEnv("TMPDIR", copies)
    const verdicts = await runMutants(root, [
      mutant("caught", "a + b", "a - b", "math > adds"),
      mutant("survived", "a * 2", "a * 3", "math > doubles nothing"),
      mutant("outgrown", "a ** b", "a", "math > adds"),
      mutant("red before", "a + b", "a - b", "math > is red"),
      mutant("no such test", "a + b", "a - b", "math > divides"),
      mutant("does not load", "a + b", "a + (", "math > adds")
    ])
    expect(
      Object.fromEntries(
        verdicts.map((verdict) => [verdict.mutant.name, `${verdict.outcome}: ${verdict.detail.replace(/does not load: .*/, "does not load")}`])
      )
    ).toEqual({
      caught: "caught: math > adds",
      survived: "survived: test/math.test.ts stays green",
      outgrown: "does not apply: the text to replace occurs 0 times in src/math.ts",
      "red before": "test not green unmutated: math > is red",
      "no such test": "no test ran: nothing in test/math.test.ts matches math > divides",
      "does not load": "does not apply: the mutated file does not load"
    })
    expect(readdirSync(copies)).toEqual([])
    vi.unstubAllEnvs()
    rmSync(copies, { recursive: true })
  }, 60_000)
  it("replaces exactly one place", () => {
    expect(apply("x y x", mutant("twice", "x", "z", ""))).toEqual({ fault: "the text to replace occurs 2 times in src/math.ts" })
    expect(apply("x y", mutant("same", "x", "x", ""))).toEqual({ fault: "the replacement changes nothing" })
    expect(apply("x y", mutant("none", "", "z", ""))).toEqual({ fault: "the text to replace occurs 0 times in src/math.ts" })
    expect(apply("x y", mutant("dollar", "x", "$&$1", ""))).toEqual({ text: "$&$1 y" })
  })
  it("has names of its own, and texts that would change something", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
    for (const { find, replace } of mutants) expect(find).not.toBe(replace)
  })
})
