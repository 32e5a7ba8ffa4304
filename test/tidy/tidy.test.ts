import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import {
  clockAndRandom,
  consoleUse,
  domainIsPure,
  effectBarrel,
  fileLength,
  importDirection,
  importExtensions,
  leftovers,
  linesMax,
  workerEntry,
  workerReach
} from "./checks.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

const sources: ReadonlyMap<string, string> = new Map(
  readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `src/${name}`.replaceAll("\\", "/"))
    .sort()
    .map((path) => [path, readFileSync(root + path, "utf8")])
)

const tree = (files: Record<string, string>): ReadonlyMap<string, string> => new Map(Object.entries(files))

describe("the source tree", () => {
  it("is there to be looked at", () => {
    expect(sources.size).toBeGreaterThan(10)
  })
  it("imports one way: domain, services, layers, runtime", () => {
    expect(importDirection(sources)).toEqual([])
  })
  it("names files with their extension", () => {
    expect(importExtensions(sources)).toEqual([])
  })
  it("never loads the effect barrel", () => {
    expect(effectBarrel(sources)).toEqual([])
  })
  it("keeps Node, time and chance out of domain", () => {
    expect(domainIsPure(sources)).toEqual([])
  })
  it("asks only named files for time and chance", () => {
    expect(clockAndRandom(sources)).toEqual([])
  })
  it("writes to the console only in the command line", () => {
    expect(consoleUse(sources)).toEqual([])
  })
  it("has no leftovers and no silenced types", () => {
    expect(leftovers(sources)).toEqual([])
  })
  it(`has no file over ${linesMax} lines`, () => {
    expect(fileLength(sources)).toEqual([])
  })
  it("loads almost nothing of Effect in a worker", () => {
    const { reached, violations } = workerReach(sources)
    expect(violations).toEqual([])
    expect(reached.length).toBeGreaterThan(1)
  })
})

describe("each rule catches a violation", () => {
  it("direction of imports, of types too, and out of src", () => {
    const files = tree({
      "src/domain/a.ts": `import type { B } from "../services/B.ts"\nexport type { C } from "../layers/C.ts"\nexport type Q = import("../runtime/Q.ts").Q\n`,
      "src/services/B.ts": `import { C } from "../layers/C.ts"\nimport { d } from "../domain/d.ts"\nimport { S } from "./S.ts"\n`,
      "src/layers/C.ts": `export const load = () => import("../runtime/Q.ts")\nexport * from "../../scripts/x.ts"\n`,
      "src/runtime/Q.ts": `import { C } from "../layers/C.ts"\nimport * as D from "../domain/d.ts"\n`,
      "src/else/E.ts": ""
    })
    expect(importDirection(files)).toEqual([
      "src/domain/a.ts:1 domain must not import ../services/B.ts",
      "src/domain/a.ts:2 domain must not import ../layers/C.ts",
      "src/domain/a.ts:3 domain must not import ../runtime/Q.ts",
      "src/services/B.ts:1 services must not import ../layers/C.ts",
      "src/layers/C.ts:1 layers must not import ../runtime/Q.ts",
      "src/layers/C.ts:2 layers must not import ../../scripts/x.ts",
      "src/else/E.ts:1 is in none of domain, services, layers, runtime"
    ])
  })
  it("missing extensions and missing files", () => {
    const files = tree({
      "src/domain/a.ts": `import "./b"\nimport "./b.js"\nimport "./c.ts"\nimport "./b.ts"\nimport "effect/Result"\n`,
      "src/domain/b.ts": ""
    })
    expect(importExtensions(files)).toEqual([
      "src/domain/a.ts:1 ./b has no .ts extension",
      "src/domain/a.ts:2 ./b.js has no .ts extension",
      "src/domain/a.ts:3 ./c.ts does not exist"
    ])
  })
  it("the barrel", () => {
    const files = tree({ "src/domain/a.ts": `import * as Result from "effect/Result"\nimport { Effect } from "effect"\n// from "effect"\n` })
    expect(effectBarrel(files)).toEqual([`src/domain/a.ts:2 imports the "effect" barrel`])
  })
  it("Node and the outside in domain", () => {
    const impure = `import { readSync } from "node:fs"\nimport * as zlib from "zlib"\nsetTimeout(f, 1)\nglobalThis.performance.now()\nconst b = { process, Buffer: 1 }\nb.Buffer\nclass C { crypto = 1 }\n`
    const files = tree({ "src/domain/a.ts": impure, "src/layers/b.ts": impure })
    expect(domainIsPure(files)).toEqual([
      "src/domain/a.ts:1 domain imports node:fs",
      "src/domain/a.ts:2 domain imports zlib",
      "src/domain/a.ts:3 domain uses setTimeout",
      "src/domain/a.ts:4 domain uses performance",
      "src/domain/a.ts:5 domain uses process"
    ])
  })
  it("time and chance outside the list, and a list that is out of date", () => {
    const text = `Date.now()\nconst random = Math.random\nnew Date()\nnew Date(5)\n// Date.now is not used here\nMath["random"]()\n`
    const found = (path: string) => [
      `${path}:1 uses Date.now`,
      `${path}:3 uses the date of now`,
      `${path}:2 uses Math.random`,
      `${path}:6 uses Math.random`
    ]
    const files = tree({ "src/domain/a.ts": text, "src/layers/Clock.ts": text, "src/layers/b.ts": text, "src/runtime/c.ts": text })
    expect(clockAndRandom(files, ["src/layers/Clock.ts"])).toEqual([
      ...found("src/domain/a.ts"),
      ...found("src/layers/b.ts"),
      ...found("src/runtime/c.ts")
    ])
    expect(clockAndRandom(tree({ "src/domain/a.ts": text }), ["src/domain/a.ts", "src/layers/Gone.ts"])).toEqual([
      "src/layers/Gone.ts:1 is on the list of clocks and generators, and does not exist",
      "src/domain/a.ts:1 only layers may be on the list of clocks and generators"
    ])
  })
  it("console outside the command line", () => {
    const text = `// console.log\nconsole.log("a")\nconst { log } = console\n`
    expect(consoleUse(tree({ "src/runtime/cli/main.ts": text, "src/runtime/x.ts": text }))).toEqual([
      "src/runtime/x.ts:2 uses console",
      "src/runtime/x.ts:3 uses console"
    ])
  })
  it("markers, suppressions and casts", () => {
    // Put together here, so that a search for markers in the repository does not find this test.
    const marker = `${"TO"}DO`
    const files = tree({
      "src/domain/a.ts": `// ${marker} later\n// ${"@ts-"}ignore\nconst a = b as any\nconst c = b as unknown as string\nconst d = "MASTODON" as unknown\n/* ${"v8"} ignore next */\n`
    })
    expect(leftovers(files)).toEqual([
      `src/domain/a.ts:1 has a leftover marker ${marker}`,
      `src/domain/a.ts:2 has ${"@ts-"}ignore`,
      `src/domain/a.ts:6 hides from coverage: ${"v8"} ignore`,
      "src/domain/a.ts:3 casts to any",
      "src/domain/a.ts:4 casts through unknown"
    ])
  })
  it("long files", () => {
    const files = tree({ "src/domain/a.ts": "\n".repeat(linesMax), "src/domain/b.ts": "\n".repeat(linesMax + 1) })
    expect(fileLength(files)).toEqual([`src/domain/b.ts:${linesMax + 1} has more than ${linesMax} lines`])
  })
  it("Effect in a worker, however far away, but not through types", () => {
    const files = tree({
      [workerEntry]: `import { a } from "../../domain/a.ts"\nimport type { E } from "../../domain/errors.ts"\nimport * as Result from "effect/Result"\n`,
      "src/domain/a.ts": `export { b } from "./b.ts"\nimport type { Schema } from "effect/Schema"\n`,
      "src/domain/b.ts": `import { type E } from "./errors.ts"\nimport "./gone.ts"\nexport const later = () => import("@effect/platform-node/NodeRuntime")\n`,
      "src/domain/errors.ts": `import * as Schema from "effect/Schema"\nimport "./a.ts"\n`,
      "src/domain/unreached.ts": `import "effect/Effect"\n`
    })
    const { reached, violations } = workerReach(files)
    expect(reached).toEqual([workerEntry, "src/domain/a.ts", "src/domain/b.ts", "src/domain/errors.ts", "src/domain/gone.ts"])
    expect(violations).toEqual([
      "src/domain/b.ts:3 the worker would load @effect/platform-node/NodeRuntime",
      "src/domain/errors.ts:1 holds the public error classes, and the worker loads it through src/domain/b.ts",
      "src/domain/errors.ts:1 the worker would load effect/Schema",
      "src/domain/gone.ts:1 does not exist (reached by src/domain/b.ts)"
    ])
    expect(workerReach(tree({})).violations).toEqual([`${workerEntry}:1 does not exist (reached by itself)`])
  })
})
