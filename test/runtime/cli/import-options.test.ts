/** What `lightning import` is told: --map, --dry-run, --format, --compress, --on-error; and what is wrong with compressed input. */
import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as zlib from "node:zlib"
import { parseMapping } from "../../../src/runtime/cli/importing/mapping.ts"
import { walkTree } from "../../../src/runtime/cli/importing/tree.ts"
import { lightning } from "./inProcess.ts"
import { scratchFiles } from "./scratchFiles.ts"

const { file, here } = scratchFiles()

const linesOf = (n: number): string => Array.from({ length: n }, (_, i) => `{"key":"${String(i).padStart(6, "0")}","value":"v${i}"}\n`).join("")

const orders =
  '{"order":{"id":17,"country":"de"},"payload":{"a":[1]},"until":1900000000000}\n' +
  '{"order":{"id":"x","country":"fr"},"payload":"text","until":"2030-01-31T12:00:00Z","keyspace":7}\n'

describe("--map", () => {
  const keys = async (...maps: ReadonlyArray<string>) => {
    const run = await lightning(["import", file("orders.jsonl", orders), ...maps.flatMap((map) => ["--map", map])])
    expect(run).toMatchObject({ code: 0, err: "" })
    return run.store
  }

  it("takes fields and templates for the key, and a field or the whole record for the value", async () => {
    expect((await keys("key=order.id", "value=payload")).entries()).toEqual([
      ["17", '{"a":[1]}'],
      ["x", "text"]
    ])
    const [first = "", second = ""] = orders.split("\n")
    expect((await keys("key=order/{order.country}/{order.id}")).entries()).toEqual([
      ["order/de/17", first],
      ["order/fr/x", second]
    ])
    expect((await keys("key={{{order.id}}}", "value=is {order.country}")).entries()).toEqual([
      ["{17}", "is de"],
      ["{x}", "is fr"]
    ])
  })

  it("takes keyspace and expiry from fields, and only from those it is told where the key is mapped", async () => {
    const store = await keys("key=order.id", "value=payload", "keyspace=orders-{order.country}", "expiresAt=until")
    expect(store.entries("orders-de")).toEqual([["17", '{"a":[1]}']])
    expect(store.entries("orders-fr")).toEqual([["x", "text"]])
    expect(store.entries()).toEqual([])
  })

  it.each([
    [["key=nr"], '1: no field "nr"'],
    [["key=order"], '1: "order" is an object, not a string or a number'],
    [["key=a/{order.nr}"], '1: no field "order.nr"'],
    [["key=order.id", "value=nr"], '1: no field "nr"'],
    [["key=order.id", "keyspace=nr"], '1: no field "nr"'],
    [["key=order.id", "expiresAt=order.country"], '1: "order.country" is not a time'],
    [["key=order.id", "expiresAt=nr"], '1: no field "nr"'],
    [["key=order.id", "keyspace={order.country}default{order.id}x"], undefined]
  ])("names line and field where a record has none: %j", async (maps, problem) => {
    const run = await lightning(["import", file("orders.jsonl", orders), ...maps.flatMap((map) => ["--map", map])])
    if (problem === undefined) expect(run.code).toBe(0)
    else expect(run).toMatchObject({ code: 1, err: expect.stringContaining(`orders.jsonl:${problem}`) })
  })

  it.each([
    ["id", "--map id does not begin with key=, value=, keyspace=, expiresAt="],
    ["name=id", "--map name=id does not begin with key=, value=, keyspace=, expiresAt="],
    ["key=", "--map key=: no field is named"],
    ["key=.", "--map key=.: only a value can be the whole record"],
    ["key=a/{id", "--map key=a/{id: a { is not closed"],
    ["key=a/{}", "--map key=a/{}: {} names no field"],
    ["key=a}", "--map key=a}: a } closes nothing"],
    ["expiresAt=a{b}", "--map expiresAt=a{b}: an expiry is a field, not a template"]
  ])("is refused where it says nothing: %s", async (map, message) => {
    expect(parseMapping([map])).toBe(message)
    const run = await lightning(["import", file("orders.jsonl", orders), "--map", map])
    expect(run).toMatchObject({ code: 2, opens: [], err: expect.stringContaining(message) })
  })

  it("is refused twice for one target, beside --key-field, and for directories", async () => {
    const source = file("orders.jsonl", orders)
    for (const args of [
      [source, "--map", "key=a", "--map", "key=b"],
      [source, "--map", "key=a", "--key-field", "b"],
      [here(), "--map", "key=a"],
      [here(), "--compress", "gzip"],
      [here(), "--format", "csv"],
      [source, "--format", "tree"],
      [source, "--keyspace", "lightning-imports"],
      [source, "--keyspace", ""]
    ])
      expect(await lightning(["import", ...args]), args.join(" ")).toMatchObject({ code: 2, opens: [] })
  })
})

describe("--dry-run", () => {
  it("shows what would be stored, and opens nothing", async () => {
    const lines = file("a.jsonl", `${linesOf(7)}bad\n{"key":"k","value":"a\\nb","keyspace":"users"}\n`)
    const run = await lightning(["import", lines, "--dry-run", "--on-error", "skip"], { absent: true })
    expect(run).toMatchObject({ code: 0, opens: [], err: `skipped ${lines}:8: not JSON: Unexpected token 'b'\n` })
    expect(run.out).toBe(
      "would import 8 entries, 60 B; nothing was written\n" +
        "  keyspaces   users\n" +
        "  would skip  1 entry that could not be read\n" +
        `first entries\n${[0, 1, 2, 3, 4].map((i) => `  00000${i}  v${i}\n`).join("")}`
    )
    expect(run.store.entries()).toEqual([])
    const json = await lightning(["import", file("b.csv", "key,value:hex\na,ff\n"), "--dry-run", "--json"])
    expect(JSON.parse(json.out)).toEqual({
      dryRun: true,
      entries: 1,
      bytes: 2,
      keyspaces: [],
      first: [{ key: "a", valueBytes: 1, valueBase64: "/w==" }],
      skipped: 0,
      problems: [],
      leftOut: {}
    })
  })

  it("stops where the import would", async () => {
    const run = await lightning(["import", file("a.jsonl", `${linesOf(3)}bad\n`), "--dry-run"])
    expect(run).toMatchObject({ code: 1, out: "", opens: [] })
    expect(run.err).toContain("a.jsonl:4: not JSON")
    expect(run.err).toContain("3 entries before it would be stored. Correct the input, or leave out")
  })

  it("counts a tree", async () => {
    file("tree/a.md", "a")
    file("tree/b.txt", "b")
    const run = await lightning(["import", path.join(here(), "tree"), "--ext", ".md", "--metadata", "meta", "--dry-run"])
    expect(run.out).toBe(
      "would import 1 entry, 5 B; nothing was written\n  keyspaces  meta\n  left out   1 file with another extension\nfirst entries\n  a.md  a\n"
    )
  })
})

describe("keyspaces that records name", () => {
  it("are made, and --keyspace is for those that name none", async () => {
    const run = await lightning([
      "import",
      file("a.jsonl", '{"key":"a","value":"1","keyspace":"one"}\n{"key":"b","value":"2","keyspace":"two"}\n{"key":"c","value":"3"}\n'),
      "--keyspace",
      "rest"
    ])
    expect(run.code).toBe(0)
    expect(["", "one", "two", "rest"].map((name) => run.store.entries(name))).toEqual([[], [["a", "1"]], [["b", "2"]], [["c", "3"]]])
  })

  it("that cannot be names are problems of their lines", async () => {
    const lines = file(
      "a.jsonl",
      `{"key":"a","value":"1","keyspace":"${"x".repeat(256)}"}\n{"key":"b","value":"2","keyspace":"default"}\n${linesOf(1)}`
    )
    const run = await lightning(["import", lines, "--on-error", "skip", "--json"])
    expect(JSON.parse(run.out)).toMatchObject({ entries: 1, skipped: 2 })
  })

  it("that are too many are a mistake", async () => {
    const lines = Array.from({ length: 1_100 }, (_, i) => `{"key":"k","value":"v","keyspace":"k${i}"}\n`).join("")
    expect((await lightning(["import", file("a.jsonl", lines)])).err).toContain("The input names more than 1,000 keyspaces\n")
  })
})

describe("compressed input", () => {
  it("is recognised by its name, by its bytes, or as it is said", async () => {
    const text = linesOf(2_500)
    const half = text.length >> 1
    const plain = await lightning(["import", file("a.jsonl", text)])
    for (const [name, content, ...flags] of [
      ["a.jsonl.gz", zlib.gzipSync(text)],
      ["members.jsonl.gz", Buffer.concat([zlib.gzipSync(text.slice(0, half)), zlib.gzipSync(text.slice(half))])],
      ["padded.jsonl.gz", Buffer.concat([zlib.gzipSync(text), Buffer.alloc(100)])],
      ["a.ndjson.zst", zlib.zstdCompressSync(text)],
      ["frames.jsonl.zst", Buffer.concat([zlib.zstdCompressSync(text.slice(0, half)), zlib.zstdCompressSync(text.slice(half))])],
      ["a.jsonl.br", zlib.brotliCompressSync(text)],
      ["no-ending", zlib.gzipSync(text)],
      ["no-ending", zlib.zstdCompressSync(text)],
      ["said", zlib.brotliCompressSync(text), "--compress", "brotli"],
      ["wrong.gz", Buffer.from(text), "--compress", "none"]
    ] as const) {
      const run = await lightning(["import", file(name, content), ...flags])
      expect(run.code, name).toBe(0)
      expect(run.store.entries(), name).toEqual(plain.store.entries())
    }
  })

  it.each([
    ["a.jsonl.gz", zlib.gzipSync(linesOf(40_000)), -5, /the gzip stream ends too early, at byte ([\d,]+)$/],
    ["a.jsonl.zst", zlib.zstdCompressSync(linesOf(40_000)), -5, /the zstd stream ends too early, at byte ([\d,]+)$/],
    ["a.jsonl.br", zlib.brotliCompressSync(linesOf(40_000)), -5, /the brotli stream ends too early, at byte ([\d,]+)$/],
    [
      "b.csv.gz",
      zlib.gzipSync(`key,value\n${Array.from({ length: 40_000 }, (_, i) => `${i},${i}\n`).join("")}`),
      -5,
      /ends too early, at byte ([\d,]+)$/
    ]
  ])("that is cut off stops the import with --on-error skip too: %s", async (name, whole, cut, reason) => {
    const content = whole.subarray(0, cut)
    for (const mode of ["stop", "skip"]) {
      const run = await lightning(["import", file(name, content), "--on-error", mode, "--dry-run", "--json"])
      expect(run.code).toBe(1)
      const { error } = JSON.parse(run.err)
      expect(error.reason).toMatch(reason)
      expect(Number(reason.exec(error.reason)![1]!.replaceAll(",", ""))).toBe(content.length)
      expect(error.hint).toMatch(/entries before it would be stored\. Nothing after it can be read\. Correct or restore the input\.$/)
      expect(error.entries).toBeGreaterThan(0)
    }
  })

  it("that is damaged says between which bytes, and keeps what came before", async () => {
    const content = zlib.gzipSync(Array.from({ length: 4_000 }, (_, i) => `{"key":"${i}","value":"${Math.sin(i)}"}\n`).join(""))
    expect(content.length).toBeGreaterThan(40_000)
    content[content.length - 6]! ^= 1
    const run = await lightning(["import", file("a.jsonl.gz", content), "--on-error", "skip"])
    expect(run.code).toBe(1)
    expect(run.err).toMatch(
      /the gzip stream is damaged between bytes 32,768 and [\d,]+ \(incorrect data check\)\n {2}[\d,]+ entries before it are stored\. Nothing/
    )
    expect(run.store.entries().length).toBeGreaterThan(500)
    expect((await lightning(["import", file("b.gz", linesOf(1))])).err).toContain("it is no gzip stream (incorrect header check at byte 0)\n")
    expect((await lightning(["import", file("empty.jsonl.zst", "")])).err).toContain("the zstd stream ends too early, at byte 0\n")
  })
})

describe("a source that goes wrong meanwhile", () => {
  it("is a problem where a directory or a file has vanished", async () => {
    for (const name of ["a/1", "b/2", "c/3", "c/4"]) file(`tree/${name}`, name)
    const root = path.join(here(), "tree")
    const found: Array<string> = []
    for await (const entry of walkTree(root, { extensions: [], exclude: [] })) {
      found.push(entry.type === "problem" ? `${entry.name}: ${entry.reason}` : entry.name)
      if (entry.name === "a/1") fs.rmSync(path.join(root, "b"), { recursive: true })
      if (entry.name === "c/3") fs.rmSync(path.join(root, "c/4"))
    }
    expect(found).toEqual(["a/1", "b: no such file or directory", "c/3", "c/4: no such file or directory"])
  })
})

describe("CSV and TSV", () => {
  it("are recognised by name or --format, and their faults name the line", async () => {
    const csv = 'key,value\na,"1\n2"\nb,2\n'
    const expected = [
      ["a", "1\n2"],
      ["b", "2"]
    ]
    expect((await lightning(["import", file("a.CSV", csv)])).store.entries()).toEqual(expected)
    expect((await lightning(["import", file("a.tsv", csv.replaceAll(",", "\t"))])).store.entries()).toEqual(expected)
    expect((await lightning(["import", file("a.txt", csv), "--format", "csv"])).store.entries()).toEqual(expected)
    const stopped = await lightning(["import", file("bad.csv", `${csv}c\nd,4\n`)])
    expect(stopped).toMatchObject({
      code: 1,
      err: expect.stringContaining("bad.csv:5: the row has 1 field, and the header 2\n  2 entries before it are stored.")
    })
    const skipped = await lightning(["import", file("bad.csv", `${csv}c\nd,4\n`), "--on-error", "skip", "--json"])
    expect(JSON.parse(skipped.out)).toMatchObject({ entries: 3, skipped: 1, problems: [{ line: 5 }] })
    const header = await lightning(["import", file("bad.csv", "a,b\n1,2\n"), "--on-error", "skip"])
    expect(header).toMatchObject({ code: 1, err: expect.stringContaining('bad.csv:1: the header has no column "key" but "a", "b"; say with --map') })
  })
})
