import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { bigValue, contentOf, filesOf, lastOf, makeDatabase, run, withDatabase } from "./inspectSupport.ts"
import * as Effect from "effect/Effect"

vi.setConfig({ testTimeout: 120_000 })

let directory: string
let db: string
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-inspect-")))
  db = path.join(directory, "data")
  await makeDatabase(db)
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const start = (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const child = spawn(process.execPath, ["src/runtime/cli/main.ts", ...args], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  return { child, ended: once(child, "close").then(([code]) => ({ code: Number(code), out, err })) }
}

const typesOf = (objects: ReadonlyArray<Record<string, unknown>>): Array<unknown> => objects.map(({ type }) => type)

describe("inspect", () => {
  it("says what a database consists of, and changes nothing", async () => {
    const before = contentOf(db)
    const { code, err, out } = await start(["inspect", "--path", db]).ended
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toContain(`  CURRENT names ${lastOf(db, "manifest")}\n`)
    for (const name of [...filesOf(db, "table"), ...filesOf(db, "values"), ...filesOf(db, "log")]) expect(out).toContain(`  ${name}  `)
    expect(out).toMatch(/^level 1 {2}\d tables, /m)
    expect(out).toMatch(/filter 10 bits\n {4}1\/big\/0 \.\. 1\/row\/0599\n/)
    expect(out).toMatch(/\d k?B of values: \S+ k?B live, \S+ k?B dead\n/)
    expect(out).toMatch(/\.log {2}\S+ kB {2}epoch 2 {2}sealed {2}sequences \d+ to \d+ {2}ends at \d+\n/)
    expect(contentOf(db)).toEqual(before)
  })

  it("answers in objects, one a line", async () => {
    const { code, objects } = await run(["inspect", "--path", db, "--json"])
    expect(code).toBe(0)
    expect(typesOf(objects)).toEqual(expect.arrayContaining(["database", "current", "state", "log", "table", "values"]))
    expect(objects.find(({ file, type }) => type === "table" && file === lastOf(db, "table"))).toMatchObject({ level: 1, filterBitsPerKey: 10 })
    const lists = await run(["inspect", "table", "--path", db, "--json"])
    expect(lists.objects.filter(({ type }) => type === "table")).toHaveLength(filesOf(db, "table").length)
  })

  it("shows the manifest edit by edit, and one of them", async () => {
    const { objects } = await run(["inspect", "manifest", "--path", db, "--json"])
    const records = objects.filter(({ type }) => type === "record")
    expect(records[0]).toMatchObject({ record: 0, offset: 4096, kind: "snapshot", follows: true, edit: { identity: { epoch: 2 } } })
    expect(records.length).toBeGreaterThan(1)
    expect(records.slice(1).every(({ kind }) => kind === "edit")).toBe(true)
    const one = await run(["inspect", "manifest", "--record", "0", "--path", db])
    expect(one.out).toMatch(/^ {2}record 0 {2}offset 4096 {2}\d+ bytes {2}snapshot {2}sum ok\n {4}database [0-9a-f]{32}, lineage/m)
    expect(one.out).not.toContain("record 1")
    expect((await run(["inspect", "manifest", "--record", "99", "--path", db])).out).toContain("there is no record 99: they are numbered 0 to")
  })

  it("shows the log by group, transaction and operation", async () => {
    const { code, out } = await run(["inspect", "log", "--path", db])
    expect(code).toBe(0)
    expect(out).toContain('1 operation  annotated "why it was done"\n      put  1/annotated = with a remark  13 bytes\n')
    expect(out).toMatch(/ {6}put {2}1\/mortal = goes by itself {2}until 2100-01-01T00:00:00\.000Z {2}14 bytes\n/)
    expect(out).toMatch(/ {6}put {2}1\/counter = .* {2}by add {2}8 bytes\n/)
    expect(out).toContain("      deleteRange  1/row/0100 .. row/0200\n")
    expect(out).toContain("      delete  1/row/0001\n")
    expect(out).toMatch(
      / {2}group 0 {2}offset 4096 {2}\d+ bytes {2}sum ok {2}sequences \d+ to \d+\n {4}position \d+, epoch 2, sum [0-9a-f]{8} after [0-9a-f]{8}, durable through \d+\n/
    )
    expect(out).not.toContain("x".repeat(80))
    expect((await run(["inspect", "log", "--path", db, "--full"])).out).toContain("x".repeat(500))
  })

  it("shows transactions from a sequence on, and so many", async () => {
    const all = (await run(["inspect", "log", "--path", db, "--json"])).objects.filter(({ type }) => type === "transaction")
    const from = Number(all[1]?.["sequence"])
    const some = await run(["inspect", "log", "--path", db, "--json", "--from", String(from), "--limit", "2"])
    expect(some.objects.filter(({ type }) => type === "transaction").map(({ sequence }) => sequence)).toEqual([from, from + 1])
    const group = await run(["inspect", "log", lastOf(db, "log"), "--record", "1", "--path", db, "--json"])
    expect(group.objects.filter(({ type }) => type === "group").map(({ group }) => group)).toEqual([1])
  })

  it("shows a table: its parts, one block, one key, all entries", async () => {
    const table = lastOfDefault(db)
    const { code, out } = await run(["inspect", "table", String(Number.parseInt(table, 10)), "--path", db])
    expect(code).toBe(0)
    for (const part of ["header", "footer", "root", "properties", "filter", "fence page", "block 0"])
      expect(out).toMatch(new RegExp(`^ {2}${part} +offset \\d+ .*sum ok`, "m"))
    const block = await run(["inspect", table, "--block", "0", "--path", db, "--json"])
    const entries = block.objects.filter(({ type }) => type === "entry")
    expect(entries[0]).toMatchObject({
      block: 0,
      keyspace: 1,
      key: "big/0",
      kind: "put",
      pointer: { fileId: Number.parseInt(lastOf(db, "values"), 10) }
    })
    const key = await run(["inspect", "table", table, "--key", "row/0042", "--path", db])
    expect(key.out).toMatch(/ {4}\S+ {2}put {2}1\/row\/0042 = value of row 42\n$/)
    expect((await run(["inspect", "table", table, "--key", "row/0003", "--path", db])).out).toContain("there is no entry with the key row/0003\n")
    expect((await run(["inspect", "table", table, "--block", "4444", "--path", db])).out).toContain("there is no block 4444: they are numbered 0 to")
    const all = await run(["inspect", table, "--entries", "--path", db, "--json"])
    expect(all.objects.filter(({ type }) => type === "entry")).toHaveLength(611)
    const hex = await run(["inspect", table, "--key", "0x726f772f30303432", "--hex", "--path", db, "--json"])
    expect(hex.objects.at(-1)).toMatchObject({ keyHex: "726f772f30303432", value: "value of row 42" })
  })

  it("shows a value file record by record, also one that lies elsewhere", async () => {
    const copy = path.join(directory, "elsewhere.bin")
    fs.copyFileSync(path.join(db, lastOf(db, "values")), copy)
    const { code, objects } = await run(["inspect", copy, "--json", "--full"])
    expect(code).toBe(0)
    const records = objects.filter(({ type }) => type === "record")
    expect(records).toHaveLength(12)
    expect(records[1]).toMatchObject({ record: 1, keyspace: 1, key: "big/1", value: bigValue(1), headSumHolds: true, sumHolds: true })
    const cut = await run(["inspect", "values", lastOf(db, "values"), "--record", "3", "--path", db, "--json"])
    expect(cut.objects.at(-1)).toMatchObject({ record: 3, valueIsCut: true, key: "big/11", valueBytes: bigValue(11).length })
    expect(typesOf(cut.objects).filter((type) => type === "record")).toHaveLength(1)
  })

  it("knows a single file of each kind by what it begins with", async () => {
    for (const kind of ["log", "manifest", "table", "values"] as const) {
      const copy = path.join(directory, `some-${kind}`)
      fs.copyFileSync(path.join(db, lastOf(db, kind)), copy)
      const { code, err, objects } = await run(["inspect", copy, "--json"])
      expect({ kind, code, err }).toEqual({ kind, code: 0, err: "" })
      expect(objects[0]).toMatchObject({ type: "file", kind })
    }
    expect((await run(["inspect", path.join(db, "CURRENT")])).out).toContain(`  names ${lastOf(db, "manifest")}  sum ok\n`)
  })

  it("fits a narrow terminal, and is plain where colours are not wanted", async () => {
    const narrow = await run(["inspect", "log", "--path", db], { terminalColumns: 30 })
    expect(narrow.out).toMatch(/\n {8}x{21}…\n/)
    const [plain, coloured] = await Promise.all([
      start(["inspect", "--path", db], { NO_COLOR: "1", FORCE_COLOR: "1", COLUMNS: "20" }).ended,
      start(["inspect", "--path", db], { FORCE_COLOR: "1" }).ended
    ])
    expect(plain.code).toBe(0)
    expect(plain.out).not.toContain("\u001b")
    expect(coloured.out).toContain("\u001b[1m")
  })

  it("ends quietly when its reader goes away", async () => {
    const { child, ended } = start(["inspect", lastOfDefault(db), "--entries", "--full", "--path", db])
    await once(child.stdout, "data")
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, err: "" })
    const closed = await run(["inspect", "--path", db], { closeAfterWrites: 0 })
    expect(closed).toMatchObject({ code: 0, out: "", err: "" })
  })

  it("works beside a process that writes, and says so", async () => {
    const live = path.join(directory, "live")
    await withDatabase(live, (open) =>
      Effect.gen(function* () {
        yield* open.put("while", "it is open")
        const { code, out } = yield* Effect.promise(() => run(["inspect", "--path", live]))
        expect(code).toBe(0)
        expect(out).toContain(`process ${process.pid} has it open for writing`)
        expect(out).toMatch(/\.log {2}\S+ k?M?B {2}epoch 1 {2}open {2}sequences 1 to 1 {2}1 group\n/)
        const log = yield* Effect.promise(() => run(["inspect", "log", "--path", live]))
        expect(log.code).toBe(0)
        expect(log.out).toContain("put  1/while = it is open  10 bytes\n")
        expect(log.out).toContain("may be in the middle of being written")
      })
    )
  })
})

describe("a wrong command line", () => {
  it("is answered with what to do, and nothing is shown", async () => {
    const table = lastOf(db, "table")
    for (const [args, message] of [
      [["inspect", "tabel"], 'There is no file "tabel"'],
      [["inspect", "table", "999999"], 'There is no table file "999999"'],
      [["inspect", "--record", "1"], "--record means nothing for a whole database"],
      [["inspect", table, "--from", "1"], "--from means nothing for a file of kind table"],
      [["inspect", "manifest", "--block", "1"], "--block means nothing for a file of kind manifest"],
      [["inspect", "manifest", "--record", "-1"], "--record is negative"],
      [["inspect", "elsewhere", "1"], '"elsewhere" is none of manifest, log, table and values']
    ] as const) {
      const { code, err, out } = await run([...args, "--path", db])
      expect({ args, code, out }).toEqual({ args, code: 2, out: "" })
      expect(err).toContain(`error: ${message}`)
    }
  })

  it("says that a directory is no database, and that a file is none of ours", async () => {
    const empty = path.join(directory, "empty")
    fs.mkdirSync(empty)
    const text = path.join(directory, "notes.txt")
    fs.writeFileSync(text, "no database\n")
    expect(await run(["inspect", "--path", empty])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringMatching(/^error: .*empty is not a database: it has no file CURRENT\n/)
    })
    expect(await run(["inspect", "--path", path.join(directory, "nowhere")])).toMatchObject({
      code: 1,
      err: expect.stringContaining("it does not exist")
    })
    expect(await run(["inspect", text])).toMatchObject({ code: 1, out: "", err: expect.stringContaining("is not a file of a Lightning DB database") })
    const json = await run(["inspect", "--path", empty, "--json"])
    expect(JSON.parse(json.err)).toMatchObject({ error: { tag: "NotADatabase", exitCode: 1 } })
  })
})

/** The table of the default keyspace is the largest. */
const lastOfDefault = (of: string): string => {
  const [largest] = filesOf(of, "table").toSorted((a, b) => fs.statSync(path.join(of, b)).size - fs.statSync(path.join(of, a)).size)
  if (largest === undefined) throw new Error("no table")
  return largest
}
