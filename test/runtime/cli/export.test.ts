import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as zlib from "node:zlib"
import type { Options } from "../../../src/domain/options/Options.ts"
import { open } from "../../../src/runtime/LightningDb.ts"
import type { PlainDatabase } from "../../../src/runtime/plain/PlainDatabase.ts"
import { lightning as inMemory } from "./inProcess.ts"
import { onDisk } from "./onDisk.ts"

let directory: string
let db: string
beforeEach(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-export-")))
  db = path.join(directory, "data")
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

const at = (name: string): string => path.join(directory, name)
const read = (name: string): string => fs.readFileSync(at(name), "utf8")
const lightning = (...args: ReadonlyArray<string>) => onDisk(...args, "--path", db)
const within = async (work: (database: PlainDatabase) => Promise<unknown>, options: Partial<Options> = {}): Promise<void> => {
  const database = await open({ ...options, path: db })
  try {
    await work(database)
  } finally {
    await database.close()
  }
}
const some = () =>
  within(async (database) => {
    await database.put("a", "1")
    await database.put("b/c", 'two "2"')
    await database.put("d", new Uint8Array([255, 0]))
    await (await database.keyspace("more")).put("m", "3", { expiresAt: 4_102_444_800_000 })
  })
/** What is left of a directory, without the database. */
const files = (): Array<string> =>
  fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name !== "data" && !name.startsWith("data/"))
    .toSorted()

const lines = '{"key":"a","value":"1"}\n{"key":"b/c","value":"two \\"2\\""}\n{"key":"d","valueBase64":"/wA="}\n'

describe("files and standard output", () => {
  it("hold every entry of the range, and say what they are of", async () => {
    await some()
    const run = await lightning("export", at("x.jsonl"), "--json")
    expect(run).toMatchObject({ code: 0, err: "" })
    expect(JSON.parse(run.out)).toMatchObject({
      format: "jsonl",
      path: at("x.jsonl"),
      entries: 3,
      bytes: lines.length,
      dataBytes: 15,
      skipped: 0,
      dryRun: false
    })
    const { sequence } = JSON.parse(run.out)
    expect(JSON.parse((await lightning("stats", "--json")).out).visibleSequence ?? sequence).toBe(sequence)
    expect(read("x.jsonl")).toBe(lines)
    expect(files()).toEqual(["x.jsonl"])
    expect((await lightning("export", "-")).out).toBe(lines)
    expect((await lightning("export", "-", "--prefix", "b")).out).toBe(lines.split("\n")[1] + "\n")
    expect((await lightning("export", "-", "--gt", "a", "--lt", "c", "--hex")).code).toBe(2)
    expect((await lightning("export", "-", "--gt", "61", "--lt", "63", "--hex")).out).toBe('{"keyHex":"622f63","value":"two \\"2\\""}\n')
    expect((await lightning("export", "-", "--keyspace", "more")).out).toBe('{"key":"m","value":"3","expiresAt":4102444800000}\n')
    // The result has standard error where standard output carries the entries.
    expect(JSON.parse((await lightning("export", "-", "--json")).err)).toMatchObject({ entries: 3, path: "-" })
  })

  it("hold every keyspace with --all, and the expiry", async () => {
    await some()
    // Where imports keep their place is no data.
    expect((await lightning("put", "place", "{}", "--keyspace", "lightning-imports")).code).toBe(0)
    expect((await lightning("export", "-", "--all")).out).toBe(`${lines}{"key":"m","value":"3","keyspace":"more","expiresAt":4102444800000}\n`)
    expect((await lightning("export", "-", "--all", "--format", "csv")).out).toBe(
      "key,value:base64,keyspace,expiresAt\r\na,MQ==,,\r\nb/c,dHdvICIyIg==,,\r\nd,/wA=,,\r\nm,Mw==,more,4102444800000\r\n"
    )
    expect((await lightning("export", "-", "--format", "tsv", "--lt", "d")).out).toBe('key\tvalue\na\t1\nb/c\t"two ""2"""\n')
  })

  it("have the columns that all entries need, wherever the one is that needs them", async () => {
    await within((database) =>
      database.batch(
        Array.from({ length: 3_000 }, (_, i) => ({ type: "put", key: `k${10_000 + i}`, value: i === 500 ? new Uint8Array([255]) : "v" }))
      )
    )
    const header = async (...args: ReadonlyArray<string>): Promise<string> =>
      (await lightning("export", "-", "--format", "csv", ...args)).out.split("\r\n", 1)[0]!
    expect(await header()).toBe("key,value:base64")
    expect((await lightning("export", "-", "--format", "csv")).out.split("\r\n")).toHaveLength(3_002)
    await within((database) => database.put("k12999", "v", { expiresAt: 4_102_444_800_000 }))
    expect(await header()).toBe("key,value:base64,expiresAt")
    await within((database) => database.put(new Uint8Array([0xfe]), "v"))
    expect(await header("--gte", "k")).toBe("key:base64,value:base64,expiresAt")
    expect(await header("--lt", "k10500")).toBe("key,value")
    expect(await header("--fields", "value,key")).toBe("value:base64,key:base64")
    expect(await header("--fields", "key")).toBe("key:base64")
  })

  it("are compressed by extension, or as told", async () => {
    await some()
    for (const [name, decompress] of [
      ["x.jsonl.gz", zlib.gunzipSync],
      ["x.jsonl.zst", zlib.zstdDecompressSync],
      ["x.jsonl.br", zlib.brotliDecompressSync]
    ] as const) {
      expect(await lightning("export", at(name), "--level", "3")).toMatchObject({ code: 0 })
      expect(decompress(fs.readFileSync(at(name))).toString()).toBe(lines)
    }
    expect(zlib.gunzipSync((await lightning("export", "-", "--compress", "gzip")).outBytes).toString()).toBe(lines)
    // Nothing at all is a valid file, too.
    expect(zlib.gunzipSync((await lightning("export", "-", "--compress", "gzip", "--prefix", "none")).outBytes)).toHaveLength(0)
  })

  it("are not written by --dry-run, which says what would be", async () => {
    await some()
    const run = await lightning("export", at("tree/"), "--all", "--dry-run", "--json", "--on-error", "skip")
    expect(JSON.parse(run.out)).toMatchObject({
      entries: 3,
      skipped: 1,
      problems: [{ key: "m", keyspace: "more", reason: expect.stringContaining("expires at 2100-01-01") }]
    })
    expect((await lightning("export", at("x.csv"), "--dry-run")).out).toContain("would export 3 entries, 15 B; nothing was written\n")
    expect(files()).toEqual([])
  })

  it("replace nothing unless told to, and leave nothing behind when they fail", async () => {
    await some()
    fs.writeFileSync(at("x.jsonl"), "mine")
    expect(await lightning("export", at("x.jsonl"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("x.jsonl exists\n  Give another name, or --overwrite")
    })
    expect(read("x.jsonl")).toBe("mine")
    expect((await lightning("export", at("x.jsonl"), "--overwrite")).code).toBe(0)
    expect(read("x.jsonl")).toBe(lines)
    const run = await lightning("export", at("y.csv"), "--fields", "key,value:text", "--json")
    expect(JSON.parse(run.err).error).toMatchObject({ tag: "Unexportable", reason: expect.stringContaining("--fields value:base64") })
    expect(await lightning("export", at("none/y.csv"))).toMatchObject({ code: 1, err: expect.stringContaining("there is no directory") })
    fs.writeFileSync(at("z.jsonl.part"), "mine")
    expect(await lightning("export", at("z.jsonl"))).toMatchObject({ code: 1, err: expect.stringContaining("z.jsonl.part is in the way") })
    expect(files()).toEqual(["x.jsonl", "z.jsonl.part"])
  })

  it("end well where nobody reads on, and badly where there is no space", async () => {
    await some()
    expect((await inMemory(["export", "-"], { closeAfterWrites: 0 })).code).toBe(0)
    if (!fs.existsSync("/dev/full")) return
    const run = await lightning("export", "/dev/full", "--format", "jsonl", "--json")
    expect(run.code).toBe(1)
    expect(JSON.parse(run.err).error).toMatchObject({ tag: "DiskFull", code: "ENOSPC", path: "/dev/full" })
  })
})

describe("a moment", () => {
  it("of the past is taken where history is kept, with the keyspaces of then", async () => {
    const retention = { history: "unlimited" } as const
    await within(
      async (database) => {
        const first = (await database.put("a", "old")).sequence
        await database.put("a", "new")
        await (await database.keyspace("later")).put("l", "1")
        for (const moment of [String(first), `00${first}`]) {
          expect((await lightning("export", "-", "--at", moment, "--all")).out, moment).toBe('{"key":"a","value":"old"}\n')
        }
      },
      { retention }
    )
    expect((await lightning("export", "-", "--at", "2999-01-01")).code).toBe(1)
    expect((await lightning("export", "-", "--at", "1999-01-01T00:00:00Z")).out).toBe("")
    expect((await lightning("export", "-", "--at", "yesterday")).err).toContain("neither a sequence nor a time")
  })

  it("of the past is refused where it is gone", async () => {
    await within(async (database) => {
      await database.put("a", "old")
      await database.put("a", "new")
      await database.compact()
    })
    const run = await lightning("export", at("x.jsonl"), "--at", "1", "--json")
    expect({ code: run.code, tag: JSON.parse(run.err).error.tag, files: files() }).toEqual({ code: 1, tag: "HistoryGone", files: [] })
  })

  it("is one, whatever is written meanwhile", async () => {
    await within(async (database) => {
      await database.batch(Array.from({ length: 5_000 }, (_, i) => ({ type: "put", key: `k${10_000 + i}`, value: "x".repeat(200) })))
      const running = lightning("export", at("x.jsonl"))
      // Whichever of the two comes first: an export of one moment holds all of the keys' old values, or all of the new ones.
      await database.batch(Array.from({ length: 5_000 }, (_, i) => ({ type: "put", key: `k${10_000 + i}`, value: "y" })))
      await database.compact()
      expect((await running).code).toBe(0)
    })
    const values = new Set(
      read("x.jsonl")
        .trimEnd()
        .split("\n")
        .map((text) => JSON.parse(text).value)
    )
    expect(values.size).toBe(1)
  })
})

describe("an export that was stopped", () => {
  const names = ["x.csv", "x.csv.part", "x.csv.part.json"]
  const fields = ["--fields", "key,value:text"]
  /** 20 MB of text, and at the end an entry that stops the export: what is left is what a killed one leaves. */
  const stopped = async (options: Partial<Options> = {}): Promise<void> => {
    await within(async (database) => {
      for (let i = 0; i < 20; i++) await database.put(`k${100 + i}`, String(i % 10).repeat(1_000_000))
      await database.put("z", new Uint8Array([255]))
    }, options)
    expect((await lightning("export", at("x.csv"), ...fields)).err).toMatch(/^error: The entry z: its value is not UTF-8/)
    expect(files()).toEqual(names.slice(1))
    // As if it had been killed in the middle of a line.
    fs.appendFileSync(at("x.csv.part"), "k999,half of a li")
  }
  const whole = async (): Promise<Buffer> => {
    expect((await lightning("export", at("whole.csv"), ...fields, "--on-error", "skip")).code).toBe(0)
    return fs.readFileSync(at("whole.csv"))
  }

  it("goes on where it stopped, and the result is the same", async () => {
    await stopped()
    const run = await lightning("export", at("x.csv"), ...fields, "--on-error", "skip", "--json")
    expect(run).toMatchObject({ code: 0, err: expect.stringMatching(/^Going on after 20 entries, as of sequence \d+\.\n$/) })
    expect(JSON.parse(run.out)).toMatchObject({ entries: 20, skipped: 1, resumedAfter: 20 })
    expect(files()).toEqual(["x.csv"])
    expect(fs.readFileSync(at("x.csv")).equals(await whole())).toBe(true)
  })

  it("starts again, and says why, where its moment is gone or it is not the same export", async () => {
    await stopped()
    const skip = [...fields, "--on-error", "skip"]
    const state = fs.readFileSync(at("x.csv.part.json"), "utf8")
    const again = async (...args: ReadonlyArray<string>): Promise<string> => {
      const { code, err } = await lightning("export", at("x.csv"), ...args)
      expect({ code, files: files() }).toEqual({ code: 0, files: ["x.csv"] })
      fs.renameSync(at("x.csv"), at("x.csv.part"))
      fs.writeFileSync(at("x.csv.part.json"), state)
      return err.split("\n")[0]!
    }
    expect(await again(...skip, "--prefix", "k")).toBe(
      "Starting again: what was stopped was another export: of another database, or with other flags."
    )
    expect(await again(...skip, "--restart")).toMatch(/^skipped z: /)
    fs.truncateSync(at("x.csv.part"), 1000)
    expect(await again(...skip)).toBe("Starting again: its output is gone.")
    await within(async (database) => {
      await database.put("k100", "changed")
      await database.compact()
    })
    expect(await again(...skip)).toMatch(/^Starting again: sequence \d+ can no longer be read: the database has changed since\.$/)
    fs.writeFileSync(at("x.csv.part.json"), "{")
    expect((await lightning("export", at("x.csv"), ...skip)).err).toMatch(/^Starting again: its state cannot be read\.\n/)
    expect(read("x.csv")).toMatch(/^key,value\r\nk100,changed\r\n/)
  })

  it("goes on as of its moment after later commits, where history is kept", async () => {
    await stopped({ retention: { history: "1 day" } })
    await within(
      (database) =>
        database.batch([
          { type: "put", key: "k119", value: "later" },
          { type: "put", key: "zz", value: "later" }
        ]),
      {
        retention: { history: "1 day" }
      }
    )
    const { code, err } = await lightning("export", at("x.csv"), ...fields, "--on-error", "skip")
    expect(code).toBe(0)
    expect(err).toMatch(/^Going on after 20 entries/)
    expect(read("x.csv")).not.toContain("later")
    expect(read("x.csv").split("\r\n")).toHaveLength(22)
  })

  it("is left alone while its process runs", async () => {
    await stopped()
    const state = JSON.parse(read("x.csv.part.json"))
    fs.writeFileSync(at("x.csv.part.json"), JSON.stringify({ ...state, writer: { pid: process.ppid, started: null } }))
    const run = await lightning("export", at("x.csv"), ...fields, "--json")
    expect(JSON.parse(run.err).error).toMatchObject({ tag: "ExportRunning", pid: process.ppid })
    expect(files()).toEqual(names.slice(1))
  })
})

describe("the database", () => {
  it("is opened for reading only, under a lease that no export outlasts", async () => {
    const run = await inMemory(["export", at("x.jsonl")])
    expect(run.code).toBe(0)
    expect(run.opens).toEqual([expect.objectContaining({ readOnly: true, snapshotLeaseMs: 365 * 24 * 3_600_000 })])
  })
})

describe("what was asked", () => {
  it("must make sense, before anything is opened", async () => {
    for (const args of [
      [],
      [""],
      [at("x.txt")],
      [at("x.jsonl"), "--compress", "gzip"],
      [at("x.jsonl"), "--level", "3"],
      [at("x.jsonl.gz"), "--level", "10"],
      [at("x.jsonl"), "--fields", "a"],
      [at("x.csv"), "--fields", "a,a"],
      [at("x.jsonl"), "--ignore-expiry"],
      ["-", "--restart"],
      ["-", "--format", "tree"],
      [at("t/"), "--compress", "gzip"],
      [at("x.jsonl"), "--all", "--keyspace", "k"],
      [at("x.jsonl"), "--gte", "a", "--gt", "a"],
      [path.join(db, "x.jsonl")],
      [db]
    ]) {
      const run = await inMemory(["export", ...args, "--path", db])
      expect({ args, code: run.code, opens: run.opens }).toEqual({ args, code: 2, opens: [] })
    }
    expect(files()).toEqual([])
  })
})
