/** The documents against what they describe: options with their defaults, errors, links, tests and mutants. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import * as errors from "../../src/domain/errors.ts"
import { optionSpecs } from "../../src/domain/options/Options.ts"
import { mutants } from "../mutants/mutants.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), "utf8")

const section = (markdown: string, heading: string): string => {
  const [, rest = ""] = markdown.split(`\n## ${heading}\n`)
  return rest.split("\n## ")[0]!
}

/** Cells of the rows of the first table in a section, without its head. */
const rows = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((cell) => cell.trim())
    )

const units = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, minutes: 60_000, minute: 60_000, seconds: 1000 } as const

/** What a default looks like in the table; undefined where it is in words. */
const valueIn = (cell: string): unknown => {
  const literal = /^`(?:"(.*)"|(true|false))`$/.exec(cell)
  if (literal !== null) return literal[1] ?? literal[2] === "true"
  const number = /^([\d,]+)(?: (KiB|MiB|GiB|minutes?|seconds))?$/.exec(cell)
  if (number === null) return undefined
  return Number(number[1]!.replaceAll(",", "")) * (number[2] === undefined ? 1 : units[number[2] as keyof typeof units])
}

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name))
]

const anchorsOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .trim()
      .replaceAll(" ", "-")
  )

describe("the documents", () => {
  it("list every option, with its default", () => {
    const listed = rows(section(read("README.md"), "Options")).map(([name, fallback]) => [name!.replaceAll("`", ""), valueIn(fallback!)])
    const actual = Object.entries(optionSpecs).map(([name, spec]) => [name, name === "batchBytesMax" ? undefined : spec.default])
    expect(listed).toEqual(actual)
  })

  it("list every error", () => {
    const listed = rows(section(read("README.md"), "Errors")).flatMap(([tags]) => [...tags!.matchAll(/`(\w+)`/g)].map(([, tag]) => tag!))
    const classes = Object.entries(errors)
      .filter(([name, value]) => /^[A-Z]/.test(name) && typeof value === "function")
      .map(([name]) => name)
    expect(listed.toSorted()).toEqual(classes.toSorted())
  })

  it("link to what is there", () => {
    const broken = documents.flatMap((document) =>
      [
        ...read(document)
          .replace(/```[\s\S]*?```/g, "")
          .matchAll(/\]\(([^)\s]+)\)/g)
      ].flatMap(([, link]) => {
        if (/^https?:/.test(link!)) return []
        const [path, anchor] = link!.split("#")
        const target = path === "" ? document : join(dirname(document), path!)
        const isThere = existsSync(join(root, target)) && (anchor === undefined || anchorsOf(read(target)).includes(anchor))
        return isThere ? [] : [`${document}: ${link}`]
      })
    )
    expect(broken).toEqual([])
  })

  it("name tests and mutants that exist", () => {
    const text = read("ARCHITECTURE.md")
    const tests = [...text.matchAll(/`((?:contracts|domain|fault|layers|model|regression|runtime)\/[\w/-]+)`/g)].map(([, name]) => name!)
    const named = tests.filter((name) => !existsSync(join(root, "src", name)))
    expect(named.length).toBeGreaterThan(20)
    const missing = named.filter((name) => ![".test.ts", ".contract.ts", ".ts", ""].some((ending) => existsSync(join(root, "test", name + ending))))
    expect(missing).toEqual([])
    const known = new Set(mutants.map(({ name }) => name))
    const listed = rows(section(text, "Invariants")).flatMap((cells) => [...cells[3]!.matchAll(/[a-z]+(?:-[a-z]+)+/g)].map(([name]) => name))
    expect(listed.length).toBeGreaterThan(10)
    expect(listed.filter((name) => !known.has(name))).toEqual([])
  })
})
