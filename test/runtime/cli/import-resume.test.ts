/** Imports that end before their end: they go on where they were, and what they count and store is the same as if nothing had happened. */
import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as zlib from "node:zlib"
import { DiskFull } from "../../../src/domain/errors.ts"
import { importsKeyspace } from "../../../src/runtime/cli/importing/position.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning, type RunOptions } from "./inProcess.ts"
import { scratchFiles } from "./scratchFiles.ts"

const { file, here } = scratchFiles()

/** Fails the write with this number, from 1. */
const failing = (nth: number): Pick<RunOptions, "beforeWrite"> => {
  let writes = 0
  return {
    beforeWrite: () => {
      if (++writes === nth) throw new DiskFull({ path: "./data", code: "ENOSPC" })
    }
  }
}

const lineOf = (i: number, value = "v"): string => `{"key":"${String(i).padStart(6, "0")}","value":"${value}${i}"}`
const linesOf = (n: number, value = "v"): string => Array.from({ length: n }, (_, i) => `${lineOf(i, value)}\n`).join("")
const csvOf = (n: number): string => `key,value\r\n${Array.from({ length: n }, (_, i) => `${i},"line\n${i}"\r\n`).join("")}`

/** Runs until it is done, each run failing at a later or earlier write. */
const inRuns = async (args: ReadonlyArray<string>, store: MapStore, failures: ReadonlyArray<number>) => {
  const notes: Array<string> = []
  for (const nth of failures) {
    const run = await lightning(args, { store, ...failing(nth) })
    expect(run.code).toBe(1)
    notes.push(run.err.split("\n")[0]!)
  }
  const last = await lightning([...args, "--json"], { store })
  expect(last.code).toBe(0)
  return { notes: [...notes, last.err.split("\n")[0]!], summary: JSON.parse(last.out) }
}

describe("an import that was stopped", () => {
  const sources = [
    ["lines", "a.jsonl", () => Buffer.from(linesOf(3_500)), 3_500],
    ["gzip lines", "a.jsonl.gz", () => Buffer.concat([zlib.gzipSync(linesOf(2_000)), zlib.gzipSync(linesOf(1_500, "w"))]), 3_500],
    ["CSV", "a.csv", () => Buffer.from(csvOf(3_500)), 3_500],
    ["zstd CSV", "a.csv.zst", () => zlib.zstdCompressSync(csvOf(3_500)), 3_500]
  ] as const
  it.each(sources)("goes on: %s", async (_, name, content, entries) => {
    const source = file(name, content())
    const whole = await lightning(["import", source, "--json"])
    const store = new MapStore()
    const { notes, summary } = await inRuns(["import", source], store, [2, 1, 2])
    expect(store.entries()).toEqual(whole.store.entries())
    expect(summary).toMatchObject({ entries, bytes: JSON.parse(whole.out).bytes, skipped: 0, resumed: { entries: 2_000 } })
    const line = name.includes("csv") ? [2_002, 4_002] : [1_001, 2_001]
    const shown = (n: number) => n.toLocaleString("en")
    expect(notes).toEqual([
      expect.stringMatching(/^error: No space/),
      `resuming at line ${shown(line[0]!)} of ${source} (1,000 entries are stored); --restart begins again`,
      `resuming at line ${shown(line[0]!)} of ${source} (1,000 entries are stored); --restart begins again`,
      `resuming at line ${shown(line[1]!)} of ${source} (2,000 entries are stored); --restart begins again`
    ])
    // Nothing is left of it.
    expect([...store.spaces.keys()]).toEqual([""])
  })

  it("goes on over several files, and counts what was skipped once", async () => {
    const withBad = (lines: string): string => lines.replace(/\n/g, (end, at: number) => (at % 37 === 0 ? `\nbad${end}` : end))
    const args = ["import", file("a.jsonl", withBad(linesOf(1_500))), file("b.jsonl", withBad(linesOf(1_500, "w"))), "--on-error", "skip"]
    const whole = await lightning([...args, "--json"])
    const expected = JSON.parse(whole.out)
    expect(expected.skipped).toBeGreaterThan(20)
    const store = new MapStore()
    const { summary } = await inRuns(args, store, [2, 2, 1])
    expect(summary).toMatchObject({ entries: expected.entries, skipped: expected.skipped, bytes: expected.bytes })
    expect(store.entries()).toEqual(whole.store.entries())
  })

  it("goes on in a tree", async () => {
    for (let i = 0; i < 40; i++) file(`tree/${i % 4}/${i}.md`, "x".repeat(30_000) + i)
    fs.symlinkSync("0", path.join(here(), "tree/link"))
    const root = path.join(here(), "tree")
    const args = ["import", root, "--metadata", "meta"]
    const whole = await lightning([...args, "--json"])
    const store = new MapStore()
    const { notes, summary } = await inRuns(args, store, [2, 2])
    expect(notes[1]).toBe(`resuming at ${root}, after its first 8 files (8 entries are stored); --restart begins again`)
    expect(summary).toMatchObject({ entries: 40, leftOut: { symbolicLink: 1 }, bytes: JSON.parse(whole.out).bytes })
    expect(store.entries()).toEqual(whole.store.entries())
    expect(store.entries("meta")).toEqual(whole.store.entries("meta"))

    // What was stored has changed meanwhile: begin again, or the old content would stay.
    const changed = new MapStore()
    expect((await lightning(args, { store: changed, ...failing(3) })).code).toBe(1)
    file("tree/0/0.md", "new")
    const again = await lightning([...args, "--json"], { store: changed })
    expect(again.err).toBe(`beginning again: ${root} has changed since\n`)
    expect(JSON.parse(again.out)).toMatchObject({ entries: 40 })
    expect(changed.entries()).toContainEqual(["0/0.md", "new"])
    expect([...changed.spaces.keys()].toSorted()).toEqual(["", "meta"])
  })

  it("goes on after a malformed line with --on-error skip", async () => {
    const source = file("a.jsonl", `${linesOf(1_200)}bad\n${lineOf(9_999)}\n`)
    const store = new MapStore()
    const stopped = await lightning(["import", source], { store })
    expect(stopped.err).toMatch(/a\.jsonl:1201: not JSON.*\n {2}1,200 entries before it are stored\..*skip, which goes on from here\.\n/)
    const run = await lightning(["import", source, "--on-error", "skip", "--json"], { store })
    expect(JSON.parse(run.out)).toMatchObject({ entries: 1_201, skipped: 1, resumed: { line: 1_201 } })
    expect(store.entries()).toHaveLength(1_201)
  })

  it("begins again when its source or its options are others, or when it is told to, and says so", async () => {
    const source = file("a.jsonl", linesOf(2_500))
    const store = new MapStore()
    const stop = async () => expect((await lightning(["import", source], { store, ...failing(2) })).code).toBe(1)
    const again = async (...flags: ReadonlyArray<string>) => {
      const run = await lightning(["import", source, "--json", ...flags], { store })
      const { entries, resumed } = JSON.parse(run.out)
      expect([...store.spaces.keys()]).toEqual([""])
      return { err: run.err, entries, resumed }
    }
    await stop()
    expect(await again("--restart")).toEqual({ err: "", entries: 2_500 })
    await stop()
    expect(await again("--map", "key=value")).toEqual({ err: "beginning again: the last run had other options\n", entries: 2_500 })
    await stop()
    fs.writeFileSync(source, linesOf(10, "w"))
    expect(await again()).toEqual({ err: `beginning again: ${source} has changed since\n`, entries: 10 })
    expect(store.entries().filter(([, value]) => value.startsWith("w"))).toHaveLength(10)
  })

  it("takes no notice of what another version noted", async () => {
    const source = file("a.jsonl", linesOf(1_500))
    const store = new MapStore()
    await lightning(["import", source], { store, ...failing(2) })
    const space = store.spaces.get(importsKeyspace)!
    space.put(space.rows[0]!.key, Buffer.from('{"version":2}'))
    const run = await lightning(["import", source, "--json"], { store })
    expect(run.err).toBe("beginning again: what the last run noted cannot be read\n")
    expect(JSON.parse(run.out).entries).toBe(1_500)
  })
})

describe("the place of an import", () => {
  it("is not kept for one batch, nor for standard input's kind of source", async () => {
    const names: Array<string | undefined> = []
    const beforeWrite: RunOptions["beforeWrite"] = (operations) => names.push(...operations.map((operation) => operation.keyspace))
    expect((await lightning(["import", file("a.jsonl", linesOf(1_000))], { beforeWrite })).store.spaces.has(importsKeyspace)).toBe(false)
    expect(names.every((name) => name === undefined)).toBe(true)
  })

  it("goes with each batch, in the same write, and away with the last", async () => {
    const kinds: Array<string> = []
    await lightning(["import", file("a.jsonl", linesOf(2_500))], {
      beforeWrite: (operations) => {
        const own = operations.filter((operation) => operation.keyspace === importsKeyspace)
        kinds.push(`${operations.length} ${own.map(({ type }) => type).join()}`)
      }
    })
    expect(kinds).toEqual(["1001 put", "1001 put", "501 delete"])
  })

  it("leaves those of other imports alone", async () => {
    const store = new MapStore()
    const [one, two] = [file("a.jsonl", linesOf(1_500)), file("b.jsonl", linesOf(1_500))]
    await lightning(["import", one], { store, ...failing(2) })
    await lightning(["import", two], { store })
    expect(store.entries(importsKeyspace)).toHaveLength(1)
    expect(JSON.parse((await lightning(["import", one, "--json"], { store })).out)).toMatchObject({ entries: 1_500, resumed: { line: 1_001 } })
    expect(store.spaces.has(importsKeyspace)).toBe(false)
  })
})
