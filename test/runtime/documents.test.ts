/** The code in the documents runs, prints what it says it prints, and has no type errors. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { examplesOf, programOf, runExamples } from "../support/documentExamples.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const read = (path: string): string => readFileSync(root + path, "utf8")

describe("the examples of", () => {
  it.each([
    ["docs/transactions.md", false, "{}"],
    ["docs/time.md", false, `{ retention: { history: "1 day", log: "1 day" } } as const`],
    ["README.md", true, "{}"],
    ["docs/testing.md", true, "{}"]
  ])(
    "%s",
    (path, marked, options) => {
      const examples = examplesOf(read(path), marked)
      expect(examples.length).toBeGreaterThan(1)
      expect(runExamples(root, examples, options)).toBe("")
    },
    120_000
  )
})

describe("the check of examples", () => {
  const fence = "```"
  it("finds the blocks with their lines, and the marked ones among them", () => {
    const markdown = `# Title\n\n${fence}sh\nls\n${fence}\n\n${fence}ts\na()\n${fence}\n\n<!-- runs -->\n${fence}js\nb()\n\nc()\n${fence}\n`
    expect(examplesOf(markdown)).toEqual([
      { line: 8, code: "a()\n" },
      { line: 13, code: "b()\n\nc()\n" }
    ])
    expect(examplesOf(markdown, true)).toEqual([{ line: 13, code: "b()\n\nc()\n" }])
  })
  it("tells what fails, prints something else, or has wrong types", () => {
    const failing = runExamples(root, [{ line: 7, code: `await db.put("", "1")\n` }], "{}")
    expect(failing).toContain("line-7")
    expect(failing).toContain("InvalidKey")
    const other = [{ line: 8, code: `yield* db.put("a", "1")\nconsole.log(yield* db.getText("a")) // 2\n` }]
    expect(runExamples(root, other, "{}")).toContain("printed 1, and the document says 2")
    const types = [{ line: 9, code: `const never: string = 5\nvoid [never, db]\n` }]
    expect(runExamples(root, types, "{}")).toContain("TS2322")
  }, 120_000)
  it("puts imports where they were", () => {
    expect(programOf({ line: 1, code: `import { a } from "b"\na()\n` }, "{}")).not.toContain("LightningDb")
  })
})
