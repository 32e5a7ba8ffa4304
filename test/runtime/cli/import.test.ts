import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { DiskFull } from "../../../src/domain/errors.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning } from "./inProcess.ts"
import { scratchFiles } from "./scratchFiles.ts"

const { file, here } = scratchFiles()

/** Without the times and rates, which differ from run to run. */
const stable = (text: string): string =>
  text
    .replace(/[\d.]+ m?s$/m, "<time>")
    .replace(/rate .*/, "rate <rate>")
    .replaceAll(here(), "<dir>")

describe("JSON lines", () => {
  it("stores keys and values of every kind", async () => {
    const lines = file(
      "a.jsonl",
      [
        '{"key":"text","value":"Ada"}',
        "",
        '{"key":7,"value":{"b":[1,2]}}',
        '{"key":"none","value":null}\r',
        "  \t",
        '{"keyBase64":"/w==","valueBase64":"AIA="}',
        '{"keyHex":"00ff","value":true}',
        '{"key":"last, without a line break","value":""}'
      ].join("\n")
    )
    const { code, err, out, store } = await lightning(["import", lines])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(stable(out)).toBe("imported 6 entries, 62 B, in <time>\n  rate <rate>\n  batches  1, sync\n")
    expect(store.entries().slice(1, 5)).toEqual([
      ["7", '{"b":[1,2]}'],
      ["last, without a line break", ""],
      ["none", "null"],
      ["text", "Ada"]
    ])
    expect(store.spaces.get("")!.rows[0]!.key).toEqual(Buffer.from([0, 0xff]))
    expect(store.spaces.get("")!.rows[5]).toEqual({ key: Buffer.from([0xff]), value: Buffer.from([0, 0x80]) })
  })

  it("takes a field as the key and the line as the value", async () => {
    const lines = file("orders.jsonl", '{"order":{"id":17},"total": 3}\n{"order":{"id":"x"},"total": 4}\r\n{"order.id":"flat"}\n')
    const { code, store } = await lightning(["import", lines, "--key-field", "order.id"])
    expect(code).toBe(0)
    expect(store.entries()).toEqual([
      ["17", '{"order":{"id":17},"total": 3}'],
      ["flat", '{"order.id":"flat"}'],
      ["x", '{"order":{"id":"x"},"total": 4}']
    ])
  })

  it("keeps the later of two entries with one key, over many batches", async () => {
    const lines = file("twice.jsonl", Array.from({ length: 2_500 }, (_, i) => `{"key":"${i % 1250}","value":"${i}"}`).join("\n"))
    const { out, store } = await lightning(["import", lines, "--json"])
    expect(JSON.parse(out)).toMatchObject({ entries: 2_500, batches: 3, sequence: 3 })
    expect(store.entries()).toHaveLength(1_250)
    expect(store.entries().every(([key, value]) => Number(value) === Number(key) + 1_250)).toBe(true)
  })

  const malformed = [
    ["not json at all", /^not JSON: Unexpected token/],
    ['{"key":"cut","val', /^not JSON: /],
    ["[1,2]", /^a list, not an object$/],
    ["null", /^null, not an object$/],
    ['{"value":"v"}', /^no "key" \(name another field with --key-field\)$/],
    ['{"key":"k"}', /^no "value"$/],
    ['{"key":["k"],"value":1}', /^"key" is a list, not a string$/],
    ['{"key":"","value":1}', /^the key is empty$/],
    ['{"key":"\\ud800","value":1}', /^the key holds half of a surrogate pair$/],
    ['{"key":"k","value":"\\udc00"}', /^the value holds half of a surrogate pair$/],
    [`{"key":"${"k".repeat(65_537)}","value":1}`, /^the key has 65,537 bytes; at most 65,536 are allowed$/],
    ['{"key":"k","valueBase64":"*"}', /^"valueBase64" is not base64$/],
    ['{"key":"k","valueBase64":7}', /^"valueBase64" is a number, not a string$/],
    ['{"keyHex":"abc","value":1}', /^"keyHex" is not hexadecimal$/],
    ['{"keyHex":{},"value":1}', /^"keyHex" is an object, not a string$/]
  ] as const

  it.each(malformed)("names line and reason of %s, after storing what comes before it", async (line, reason) => {
    const lines = file("bad.jsonl", `{"key":"first","value":"1"}\n\n${line}\n{"key":"last","value":"2"}\n`)
    const run = await lightning(["import", lines, "--json"])
    expect(run).toMatchObject({ code: 1, out: "" })
    const { error } = JSON.parse(run.err)
    expect(error).toMatchObject({ tag: "MalformedInput", file: lines, line: 3, entries: 1, exitCode: 1 })
    expect(error.reason).toMatch(reason)
    expect(run.store.entries()).toEqual([["first", "1"]])
  })

  it("tells a person the same", async () => {
    const lines = file("bad.jsonl", '{"key":"first","value":"1"}\n[]\n')
    expect(stable((await lightning(["import", lines])).err)).toBe(
      "error: <dir>/bad.jsonl:2: a list, not an object\n" +
        "  1 entry before it is stored. Correct the input and run the command again, or leave out what cannot be read with --on-error skip.\n"
    )
  })

  it("skips with --on-error skip, says what, and counts", async () => {
    const lines = file("bad.jsonl", malformed.map(([line], i) => `${line}\n{"key":"k${i}","value":"v"}\n`).join(""))
    const run = await lightning(["import", lines, "--on-error", "skip"])
    expect(run.code).toBe(0)
    expect(run.store.entries()).toHaveLength(malformed.length)
    const notes = run.err.trimEnd().split("\n")
    expect(notes).toHaveLength(11)
    expect(stable(notes[2]!)).toBe("skipped <dir>/bad.jsonl:5: a list, not an object")
    expect(notes[10]).toBe(`… and ${malformed.length - 10} more`)
    expect(run.out).toContain(`skipped  ${malformed.length} entries that could not be read\n`)
    const json = await lightning(["import", lines, "--on-error", "skip", "--json"])
    expect(json.err).toBe("")
    expect(JSON.parse(json.out)).toMatchObject({
      entries: malformed.length,
      skipped: malformed.length,
      problems: expect.arrayContaining([{ file: lines, line: 5, reason: "a list, not an object" }])
    })
  })

  it("refuses bytes that are not UTF-8 in place of storing replacement characters", async () => {
    const lines = file("latin1.jsonl", Buffer.from('{"key":"k","value":"\xe9"}\n', "latin1"))
    expect((await lightning(["import", lines])).err).toContain("latin1.jsonl:1: not UTF-8\n")
  })

  it("reports what stopped the database, and where it can go on", async () => {
    const lines = file("a.jsonl", Array.from({ length: 1_500 }, (_, i) => `{"key":"${i}","value":"${i}"}`).join("\n"))
    let writes = 0
    const run = await lightning(["import", lines], {
      beforeWrite: () => {
        if (++writes === 2) throw new DiskFull({ path: "./data", code: "ENOSPC" })
      }
    })
    expect(run.code).toBe(1)
    expect(run.err).toContain("error: No space is left for ./data (ENOSPC)\n  Free space on that disk, then run the command again")
    expect(run.store.entries()).toHaveLength(1_000)
  })
})

describe("a directory tree", () => {
  const tree = (): string => {
    file("tree/b/deep/note.md", "# Note\n\ntext")
    file("tree/a.txt", "a")
    file("tree/b-side.md", "side\n")
    file("tree/b/x.md", "")
    file("tree/bytes.bin", new Uint8Array([0, 0xff]))
    fs.symlinkSync("a.txt", path.join(here(), "tree/link.md"))
    return path.join(here(), "tree")
  }

  it("stores path -> content in the order of the keys", async () => {
    const order: Array<string> = []
    const run = await lightning(["import", tree(), "--json"], {
      beforeWrite: (operations) => order.push(...operations.map((operation) => (operation.type === "put" ? String(operation.key) : "")))
    })
    expect(run.store.entries().map(([key]) => key)).toEqual(["a.txt", "b-side.md", "b/deep/note.md", "b/x.md", "bytes.bin"])
    expect(order).toEqual(run.store.entries().map(([key]) => key))
    expect(run.store.spaces.get("")!.rows[4]!.value).toEqual(Buffer.from([0, 0xff]))
    expect(JSON.parse(run.out)).toMatchObject({ entries: 5, skipped: 0, leftOut: { symbolicLink: 1 } })
  })

  it("filters by extension, adds a prefix, and stores metadata in the same write", async () => {
    const root = tree()
    fs.utimesSync(path.join(root, "b-side.md"), 1_700_000_000, 1_700_000_000)
    const batches: Array<number> = []
    const run = await lightning(["import", root, "--ext", "md", "--ext", ".bin", "--key-prefix", "docs/", "--metadata", "meta"], {
      beforeWrite: (operations) => batches.push(operations.length)
    })
    expect(run.code).toBe(0)
    expect(batches).toEqual([8])
    expect(run.store.entries().map(([key]) => key)).toEqual(["docs/b-side.md", "docs/b/deep/note.md", "docs/b/x.md", "docs/bytes.bin"])
    const metadata = new Map(run.store.entries("meta").map(([key, value]) => [key, JSON.parse(value)]))
    expect(metadata.get("docs/b-side.md")).toEqual({ size: 5, mtime: "2023-11-14T22:13:20.000Z", lines: 1 })
    expect(metadata.get("docs/b/deep/note.md")).toMatchObject({ size: 12, lines: 3 })
    expect(metadata.get("docs/b/x.md")).toMatchObject({ size: 0, lines: 0 })
    expect(metadata.get("docs/bytes.bin")).not.toHaveProperty("lines")
    expect(run.out).toContain("left out  1 file with another extension, 1 symbolic link\n")
  })

  it("leaves its own database out when that lies in the tree", async () => {
    const root = tree()
    file("tree/data/CURRENT", "x")
    const run = await lightning(["import", root, "--path", path.join(root, "data")])
    expect(run.store.entries().map(([key]) => key)).not.toContain("data/CURRENT")
    expect(run.out).toContain("1 excluded directory")
  })

  it("stops at, or skips, what cannot be read", async () => {
    const root = tree()
    fs.writeFileSync(Buffer.from(`${root}/\xff.md`, "latin1"), "x")
    const stopped = await lightning(["import", root, "--json"])
    expect(JSON.parse(stopped.err).error).toMatchObject({ tag: "MalformedInput", reason: "the name is not UTF-8" })
    expect(stopped.code).toBe(1)
    const skipped = await lightning(["import", root, "--on-error", "skip"])
    expect(skipped.code).toBe(0)
    expect(skipped.store.entries()).toHaveLength(5)
  })

  it("refuses a file that is too large for a value without reading it", async () => {
    const large = file("tree/large.bin", "")
    fs.truncateSync(large, 64 * 1024 * 1024 + 1)
    expect(stable((await lightning(["import", path.join(here(), "tree")])).err)).toContain(
      "<dir>/tree/large.bin: it has 67.1 MB; a value has at most 67.1 MB\n"
    )
  })
})

describe("what was asked", () => {
  it("must make sense, before anything is opened", async () => {
    const lines = file("a.jsonl", "")
    file("tree/a", "")
    const root = path.join(here(), "tree")
    for (const args of [
      [lines, "--ext", ".md"],
      [lines, "--metadata", "m"],
      [lines, "--key-prefix", "p"],
      [root, "--key-field", "id"],
      [root, lines],
      [root, "--metadata", "same", "--keyspace", "same"],
      [lines, "--on-error", "retry"],
      [lines, "--hex"],
      []
    ]) {
      const run = await lightning(["import", ...args])
      expect(run.code, args.join(" ")).toBe(2)
      expect(run.opens).toEqual([])
    }
    expect(await lightning(["import", path.join(here(), "missing")])).toMatchObject({
      code: 1,
      opens: [],
      err: expect.stringContaining("missing cannot be read: no such file or directory\n")
    })
  })

  it("takes several files and keyspaces, and repeats without harm", async () => {
    const store = new MapStore()
    const args = [
      "import",
      file("a.jsonl", '{"key":"a","value":1}\n'),
      file("b.jsonl", '{"key":"b","value":2}'),
      "--keyspace",
      "numbers",
      "--durability",
      "buffered",
      "--json"
    ]
    for (let run = 0; run < 2; run++) expect(JSON.parse((await lightning(args, { store })).out)).toMatchObject({ entries: 2, durability: "buffered" })
    expect(store.entries("numbers")).toEqual([
      ["a", "1"],
      ["b", "2"]
    ])
    expect(store.entries()).toEqual([])
  })

  it("imports nothing from nothing", async () => {
    const run = await lightning(["import", file("empty.jsonl", "")])
    expect(run).toMatchObject({ code: 0 })
    expect(run.out).toMatch(/^imported 0 entries, 0 B/)
  })
})
