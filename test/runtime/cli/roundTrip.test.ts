/** What `lightning export` writes and `lightning import` reads is the same database: keys, values, keyspaces, expiry. */
import * as fc from "fast-check"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { open } from "../../../src/runtime/LightningDb.ts"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"
import { onDisk } from "./onDisk.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let directory: string
beforeEach(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-round-")))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))
const at = (name: string): string => path.join(directory, name)

interface Stored {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly keyspace: string | undefined
  readonly expiresAt: number | undefined
}

const fill = async (db: string, entries: ReadonlyArray<Stored>): Promise<void> => {
  const database = await open({ path: db, durability: "buffered" })
  try {
    for (const keyspace of new Set(entries.map((entry) => entry.keyspace))) if (keyspace !== undefined) await database.keyspace(keyspace)
    await database.batch(entries.map((entry) => ({ type: "put", ...entry })))
  } finally {
    await database.close()
  }
}

/** Every entry of every keyspace, read by the engine itself; of the time of expiry the export knows alone. */
const contents = async (db: string): Promise<{ readonly entries: Array<string>; readonly expiry: Array<string> }> => {
  const database = await open({ path: db, readOnly: true })
  const entries: Array<string> = []
  try {
    const names = (await database.keyspaces()).map(({ name }) => name)
    for (const name of ["", ...names.toSorted()]) {
      const space = name === "" ? database : await database.keyspace(name)
      for (const [key, value] of space.entriesSync())
        entries.push(JSON.stringify([name, Buffer.from(key).toString("hex"), Buffer.from(value).toString("hex")]))
    }
  } finally {
    await database.close()
  }
  const { out } = await onDisk("export", "-", "--all", "--path", db)
  const expiry = out.split("\n").filter((line) => line.includes('"expiresAt":'))
  return { entries, expiry }
}

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)

/** Bytes of all kinds, and text that the formats have to quote, escape, or keep from being taken for something else. */
const data = (minLength: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({ minLength, maxLength: 40 }),
    fc.string({ unit: "grapheme", minLength, maxLength: 20 }).map((text) => new Uint8Array(Buffer.from(text))),
    fc
      .array(fc.constantFrom('"', ",", "\t", "\r", "\n", "\r\n", "\\", "\0", "\ufeff", " ", "#", "null", "1e5", "true", "key", "é", "\u2028"), {
        minLength,
        maxLength: 8
      })
      .map((parts) => new Uint8Array(Buffer.from(parts.join(""))))
  )
const stored: fc.Arbitrary<ReadonlyArray<Stored>> = fc.uniqueArray(
  fc.record({
    key: data(1),
    value: data(0),
    keyspace: fc.constantFrom(undefined, undefined, "users", 'a,"b"', "é\t1"),
    expiresAt: fc.option(fc.integer({ min: 4_102_444_800_000, max: 9_000_000_000_000 }), { nil: undefined, freq: 4 })
  }),
  { minLength: 1, maxLength: 40, selector: ({ key, keyspace }) => `${keyspace} ${Buffer.from(key).toString("hex")}` }
)
/** The same with text only, which other columns are made for. */
const texts = stored.map((entries) =>
  entries.flatMap((entry) => {
    const isText = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString()).equals(bytes)
    return isText(entry.key) && isText(entry.value) ? [entry] : []
  })
)

describe(`any bytes (seed ${seed})`, () => {
  const formats = ["jsonl", "csv", "tsv", "jsonl.gz", "csv.zst", "tsv.br"]

  it("come back from a file of each format and compression", async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.oneof(stored, texts), async (entries) => {
        const from = at(`from${run}`)
        await fill(from, entries)
        const expected = await contents(from)
        expect(expected.entries).toHaveLength(entries.length)
        const format = formats[run++ % formats.length]!
        const file = at(`file${run}.${format}`)
        expect(await onDisk("export", file, "--all", "--path", from)).toMatchObject({ code: 0, err: "" })
        expect(await onDisk("import", file, "--path", at(`to${run}`))).toMatchObject({ code: 0 })
        expect(await contents(at(`to${run}`)), format).toEqual(expected)
      }),
      { seed, numRuns: 12, endOnFailure: true }
    )
  })

  it("come back through hexadecimal keys, and of one keyspace alone", async () => {
    const [entries] = fc.sample(stored, { seed, numRuns: 1 }) as [ReadonlyArray<Stored>]
    await fill(at("from"), [...entries, { key: new Uint8Array([1]), value: new Uint8Array([2]), keyspace: "users", expiresAt: undefined }])
    for (const format of ["jsonl", "csv"]) {
      expect((await onDisk("export", at(`x.${format}`), "--hex", "--keyspace", "users", "--path", at("from"))).code).toBe(0)
      expect((await onDisk("import", at(`x.${format}`), "--keyspace", "users", "--path", at(`to-${format}`))).code).toBe(0)
      const ofUsers = ({ entries: all }: { entries: Array<string> }) => all.filter((entry) => entry.startsWith('["users"'))
      expect(await contents(at(`to-${format}`)).then(ofUsers)).toEqual(ofUsers(await contents(at("from"))))
    }
  })
})

describe("a directory", () => {
  it("is the same after import and export", async () => {
    const tree = at("tree")
    for (const [name, content] of [
      ["readme.md", "# hello\n"],
      ["a/b/c.txt", ""],
      ["a/b-1", "x"],
      ["a b/ü 漢 😀.txt", "text"],
      ["a/.hidden", new Uint8Array([0, 255, 10])],
      ["large.bin", Buffer.alloc(300_000, "0123456789abcdef\xff", "latin1")]
    ] as const) {
      fs.mkdirSync(path.dirname(path.join(tree, name)), { recursive: true })
      fs.writeFileSync(path.join(tree, name), content)
    }
    expect((await onDisk("import", tree, "--path", at("db"))).code).toBe(0)
    expect((await onDisk("export", at("again/"), "--path", at("db"))).code).toBe(0)
    const { status, stdout } = spawnSync("diff", ["-r", tree, at("again")], { encoding: "utf8" })
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" })
  })
})

describe("a pipe", () => {
  let commandLine: CommandLine
  beforeAll(async () => {
    commandLine = await makeCommandLine()
  })
  afterAll(() => commandLine.remove())

  const pipe = async (exportArgs: ReadonlyArray<string>, importArgs: ReadonlyArray<string>): Promise<Array<number | null>> => {
    const run = (args: ReadonlyArray<string>, stdin: "ignore" | "pipe") =>
      spawn(process.execPath, [commandLine.launcher, ...args], { env: commandLine.env, stdio: [stdin, "pipe", "ignore"] })
    const source = run(["export", "-", ...exportArgs], "ignore")
    const sink = run(["import", "-", ...importArgs], "pipe")
    source.stdout!.pipe(sink.stdin!)
    sink.stdout!.resume()
    return (await Promise.all([once(source, "close"), once(sink, "close")])).map(([code]) => code as number | null)
  }

  it("copies a database, in any format and compression", async () => {
    const sample = fc.sample(fc.oneof(stored, texts), { seed, numRuns: 3 })
    for (const [i, [format, compression]] of (
      [
        ["jsonl", "none"],
        ["csv", "gzip"],
        ["tsv", "zstd"]
      ] as const
    ).entries()) {
      await fill(at(`from${i}`), sample[i]!)
      const codes = await pipe(
        ["--all", "--format", format, "--compress", compression, "--path", at(`from${i}`)],
        ["--format", format, "--path", at(`to${i}`)]
      )
      expect(codes, format).toEqual([0, 0])
      expect(await contents(at(`to${i}`)), format).toEqual(await contents(at(`from${i}`)))
    }
  })
})
