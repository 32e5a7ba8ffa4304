import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { open } from "../../../src/runtime/LightningDb.ts"
import { onDisk } from "./onDisk.ts"

let directory: string
let db: string
beforeEach(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-export-")))
  db = path.join(directory, "data")
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

const at = (name: string): string => path.join(directory, name)
const lightning = (...args: ReadonlyArray<string>) => onDisk(...args, "--path", db)
const store = async (entries: ReadonlyArray<readonly [string | Uint8Array, string]>, keyspace?: string): Promise<void> => {
  const database = await open({ path: db })
  try {
    const space = keyspace === undefined ? database : await database.keyspace(keyspace)
    await space.batch(entries.map(([key, value]) => ({ type: "put", key, value })))
  } finally {
    await database.close()
  }
}
/** Files of a tree with their content; what is not a file is said. */
const tree = (root: string): Record<string, string> =>
  Object.fromEntries(
    fs
      .readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => {
        const name = path.join(entry.parentPath, entry.name)
        return [path.relative(root, name), entry.isFile() ? fs.readFileSync(name, "utf8") : "not a file"]
      })
  )

describe("a tree", () => {
  it("has a file for each entry, and its name only when it is complete", async () => {
    await store([
      ["readme.md", "hello"],
      ["guide/one.md", "1"],
      ["guide/deep/er/x", ""],
      ["guide-book", "2"]
    ])
    const run = await lightning("export", at("out/"), "--json")
    expect(JSON.parse(run.out)).toMatchObject({ format: "tree", path: `${at("out")}/`, entries: 4, bytes: 7, skipped: 0 })
    expect(tree(at("out"))).toEqual({ "readme.md": "hello", "guide/one.md": "1", "guide/deep/er/x": "", "guide-book": "2" })
    expect(fs.readdirSync(directory).toSorted()).toEqual(["data", "out"])
    // An empty directory is as good as none; one that is not needs a word.
    fs.mkdirSync(at("empty"))
    expect((await lightning("export", at("empty"))).code).toBe(0)
    expect(Object.keys(tree(at("empty")))).toHaveLength(4)
    expect(await lightning("export", at("empty"))).toMatchObject({ code: 1, err: expect.stringContaining("--overwrite") })
    expect((await lightning("export", at("none/"), "--prefix", "zzz", "--format", "tree")).code).toBe(0)
    expect(fs.readdirSync(at("none"))).toEqual([])
  })

  it("has a directory for each keyspace with --all", async () => {
    await store([["a", "1"]])
    await store([["a", "2"]], "users")
    await store([["a", "3"]], "../up")
    const run = await lightning("export", at("out/"), "--all", "--on-error", "skip", "--json")
    expect(tree(at("out"))).toEqual({ "default/a": "1", "users/a": "2" })
    expect(JSON.parse(run.out)).toMatchObject({
      entries: 2,
      problems: [{ keyspace: "../up", reason: expect.stringContaining("cannot be a directory") }]
    })
  })

  it("leads nowhere else, whatever the keys are", async () => {
    const bad = ["../up", "/abs", "a//b", "a/../../c", "./x", "nul\0", "end/", `long/${"x".repeat(256)}`, "..", "."]
    await store([...bad.map((key) => [key, "bad"] as const), [new Uint8Array([0xff]), "bad"], ["file", "1"], ["file/below", "bad"], ["good", "2"]])
    const before = fs.readdirSync(directory)
    const stopped = await lightning("export", at("out/"), "--json")
    expect(stopped.code).toBe(1)
    expect(JSON.parse(stopped.err).error).toMatchObject({ tag: "Unexportable", hint: expect.stringContaining("JSON lines") })
    expect(fs.readdirSync(directory)).toEqual(before)
    const dry = JSON.parse((await lightning("export", at("out/"), "--json", "--on-error", "skip", "--dry-run")).out)
    const run = await lightning("export", at("out/"), "--on-error", "skip")
    expect(run.code).toBe(0)
    expect(tree(at("out"))).toEqual({ file: "1", good: "2" })
    expect(fs.readdirSync(directory).toSorted()).toEqual(["data", "out"])
    expect(dry).toMatchObject({ entries: 2, skipped: 12 })
    expect(dry.problems).toHaveLength(10)
    // The first ten by name, the others by number.
    expect(run.err.split("\n").filter((line) => line.startsWith("skipped"))).toHaveLength(10)
    expect(run.err).toContain("… and 2 more\n")
    expect(run.out).toContain("skipped  12 entries that cannot be written\n")
  })

  it("tells what expires, which files do not", async () => {
    const database = await open({ path: db })
    await database.put("soon", "v", { expiresAt: 4_102_444_800_000 })
    await database.close()
    expect((await lightning("export", at("out/"))).err).toContain("it expires at 2100-01-01T00:00:00.000Z, which a file cannot; --ignore-expiry")
    expect((await lightning("export", at("out/"), "--ignore-expiry")).code).toBe(0)
    expect(tree(at("out"))).toEqual({ soon: "v" })
  })
})

describe("a tree that is there", () => {
  it("gets the entries with --overwrite, keeps its other files, and no link is followed", async () => {
    await store([
      ["a", "new"],
      ["dir/b", "new"],
      ["link", "new"],
      ["linked/c", "new"],
      ["was/d", "new"],
      ["isdir", "new"]
    ])
    fs.mkdirSync(at("out/dir"), { recursive: true })
    fs.mkdirSync(at("out/isdir"))
    fs.mkdirSync(at("outside"))
    fs.writeFileSync(at("outside/target"), "safe")
    fs.writeFileSync(at("out/a"), "old")
    fs.writeFileSync(at("out/dir/other"), "kept")
    fs.writeFileSync(at("out/was"), "a file")
    fs.symlinkSync(at("outside/target"), at("out/link"))
    fs.symlinkSync(at("outside"), at("out/linked"))
    const run = await lightning("export", at("out"), "--overwrite", "--on-error", "skip", "--json")
    expect(JSON.parse(run.out).problems).toEqual([
      { key: "isdir", reason: "a directory of that name is there" },
      { key: "linked/c", reason: expect.stringContaining("is a symbolic link, which is not followed") },
      { key: "was/d", reason: expect.stringContaining("was is a file") }
    ])
    expect(tree(at("outside"))).toEqual({ target: "safe" })
    expect(tree(at("out"))).toEqual({
      a: "new",
      "dir/b": "new",
      "dir/other": "kept",
      link: "new",
      linked: "not a file",
      "linked/target": "safe",
      was: "a file"
    })
    expect(fs.readdirSync(directory).toSorted()).toEqual(["data", "out", "outside"])
  })

  it("may hold the database, which stays as it is", async () => {
    await store([
      ["data/CURRENT", "gone"],
      ["data", "gone"],
      ["data.part", "fine"]
    ])
    const run = await lightning("export", directory, "--overwrite", "--on-error", "skip")
    expect(run.err).toContain("skipped data/CURRENT: its file would lie within the database")
    expect(fs.readFileSync(at("data.part"), "utf8")).toBe("fine")
    expect((await lightning("verify")).code).toBe(0)
  })
})

describe("a tree that was stopped", () => {
  it.each([false, true])("goes on, over what was written after the last point that is known (into a tree that is there: %s)", async (into) => {
    const entries = Array.from({ length: 1_300 }, (_, i) => [`d${i % 7}/f${10_000 + i}`, `content ${i}`] as const)
    await store([...entries, ["d9//x", "stops it"]])
    if (into) {
      fs.mkdirSync(at("out/d3"), { recursive: true })
      fs.writeFileSync(at("out/d3/mine"), "kept")
    }
    const args = ["export", at("out/"), ...(into ? ["--overwrite"] : [])]
    expect((await lightning(...args)).code).toBe(1)
    // Back to an earlier point, as if the run had been killed at the end: what lies after it is there, the last of it in part.
    const state = JSON.parse(fs.readFileSync(at("out.part.json"), "utf8"))
    expect(state.position.entries).toBe(1_300)
    const sorted = entries.map(([key]) => key).toSorted()
    const position = { ...state.position, entries: 800, lastKeyBase64: Buffer.from(sorted[799]!).toString("base64") }
    fs.writeFileSync(at("out.part.json"), JSON.stringify({ ...state, position }))
    if (!into) fs.writeFileSync(path.join(at("out.part"), sorted.at(-1)!), "cont")
    const run = await lightning(...args, "--on-error", "skip", "--json")
    expect(run.err).toMatch(/^Going on after 800 entries/)
    expect(JSON.parse(run.out)).toMatchObject({ entries: 1_300, skipped: 1, resumedAfter: 800 })
    expect(tree(at("out"))).toEqual({ ...Object.fromEntries(entries), ...(into ? { "d3/mine": "kept" } : {}) })
    expect(fs.readdirSync(directory).toSorted()).toEqual(["data", "out"])
  })
})
