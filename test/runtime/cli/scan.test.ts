import { describe, expect, it } from "vitest"
import { textWidth } from "../../../src/runtime/cli/format/textWidth.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning } from "./inProcess.ts"

const storeOf = (entries: Iterable<readonly [key: string | Uint8Array, value: string | Uint8Array]>): MapStore => {
  const store = new MapStore()
  for (const [key, value] of entries) store.spaces.get("")!.put(Buffer.from(key), Buffer.from(value))
  return store
}

const people = () =>
  storeOf([
    ["user/1", "Ada"],
    ["user/2", "Grace\nHopper"],
    ["user/30", Uint8Array.from({ length: 20 }, (_, i) => i * 13)]
  ])

const scan = async (store: MapStore, args: ReadonlyArray<string>, options = {}) => {
  const run = await lightning(["scan", ...args], { store, ...options })
  expect({ code: run.code, err: run.err }).toEqual({ code: 0, err: "" })
  return run
}

describe("scan --format", () => {
  it("json is the same as --json", async () => {
    const store = people()
    const json = (await scan(store, ["--json"])).out
    expect((await scan(store, ["--format", "json"])).out).toBe(json)
    expect((await scan(store, ["--format", "json", "--json"])).out).toBe(json)
    expect(JSON.parse(json.split("\n")[0]!)).toEqual({ key: "user/1", value: "Ada" })
  })

  it("raw gives the bytes as they are, with separators that can be chosen", async () => {
    const store = people()
    const bytes = (args: ReadonlyArray<string>) => scan(store, ["--format", "raw", ...args]).then((run) => run.outBytes)
    const binary = Buffer.from(Uint8Array.from({ length: 20 }, (_, i) => i * 13))
    expect(await bytes([])).toEqual(Buffer.concat([Buffer.from("user/1\tAda\nuser/2\tGrace\nHopper\nuser/30\t"), binary, Buffer.from("\n")]))
    expect(await bytes(["--null", "--separator", "\\0", "--limit", "2"])).toEqual(Buffer.from("user/1\0Ada\0user/2\0Grace\nHopper\0"))
    expect(await bytes(["--separator", " \\x2d\\\\> ", "--limit", "1"])).toEqual(Buffer.from("user/1 -\\> Ada\n"))
    expect(await bytes(["--keys-only", "--null"])).toEqual(Buffer.from("user/1\0user/2\0user/30\0"))
    for (const wrong of ["\\q", "\\x1", "\\"]) {
      const run = await lightning(["scan", "--format", "raw", "--separator", wrong], { store })
      expect(run, wrong).toMatchObject({ code: 2, out: "", opens: [] })
      expect(run.err).toContain("is not understood")
    }
  })

  it("raw writes values of any size whole, in pieces", async () => {
    const store = storeOf(Array.from({ length: 300 }, (_, i) => [`k${String(i).padStart(3, "0")}`, Buffer.alloc(1000, i)] as const))
    const { outBytes } = await scan(store, ["--format", "raw", "--separator", ""])
    expect(outBytes.length).toBe(300 * (4 + 1000 + 1))
    expect(outBytes.subarray(-2)).toEqual(Buffer.from([299 & 0xff, 0x0a]))
  })

  it("hex dumps each value under its key", async () => {
    const { out } = await scan(people(), ["--format", "hex", "--gte", "user/2"])
    expect(out).toBe(
      [
        "user/2  12 B",
        "  00000000  47 72 61 63 65 0a 48 6f  70 70 65 72              |Grace.Hopper|",
        "user/30  20 B",
        "  00000000  00 0d 1a 27 34 41 4e 5b  68 75 82 8f 9c a9 b6 c3  |...'4AN[hu......|",
        "  00000010  d0 dd ea f7                                       |....|",
        ""
      ].join("\n")
    )
    const narrow = await scan(people(), ["--format", "hex"], { terminalColumns: 50 })
    for (const line of narrow.out.split("\n")) expect(textWidth(line)).toBeLessThanOrEqual(50)
  })

  it("table aligns columns, and fits a terminal of any width", async () => {
    const store = people()
    expect((await scan(store, ["--format", "table", "--limit", "2"])).out).toBe(
      ["key       bytes  value", "user/1      3 B  Ada", "user/2     12 B  Grace\\nHopper", ""].join("\n")
    )
    const wide = storeOf([
      ["short", "x".repeat(500)],
      ["名前/漢字", "値".repeat(200)],
      ["a key that is much longer than there is room for on such a line", "🙂".repeat(100)]
    ])
    for (const terminalColumns of [20, 33, 80, 200]) {
      const lines = (await scan(wide, ["--format", "table"], { terminalColumns })).out.split("\n")
      for (const line of lines) expect(textWidth(line), line).toBeLessThanOrEqual(terminalColumns)
      expect(lines).toHaveLength(5)
    }
    // In colours, the same text.
    const plain = (await scan(wide, ["--format", "table"], { terminalColumns: 60 })).out
    const coloured = (await scan(wide, ["--format", "table"], { terminalColumns: 60, colours: true })).out
    expect(coloured).not.toBe(plain)
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replaceAll(/\u001b\[\d+m/g, "")).toBe(plain)
  })

  it("table does not wait for the end to know its widths", async () => {
    const store = storeOf(Array.from({ length: 2000 }, (_, i) => [`${"k".repeat(i === 1999 ? 60 : 5)}${i}`, "v"] as const))
    const { out } = await scan(store, ["--format", "table"], { terminalColumns: 40 })
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(40)
    expect((await lightning(["scan", "--format", "table"], { store, closeAfterWrites: 1 })).code).toBe(0)
  })

  it("shows nothing of nothing, and no more than asked for", async () => {
    for (const format of ["table", "json", "raw", "hex"]) {
      expect((await scan(new MapStore(), ["--format", format])).out, format).toBe("")
      expect((await scan(people(), ["--format", format, "--limit", "0"])).out, format).toBe("")
    }
    expect((await scan(people(), ["--limit", "0"])).out).toBe("")
    expect((await scan(people(), ["--format", "table", "--keys-only"])).out).toBe("key\nuser/1\nuser/2\nuser/30\n")
  })

  it("refuses what contradicts itself before it opens anything", async () => {
    for (const args of [
      ["--format", "table", "--json"],
      ["--separator", ","],
      ["--null", "--format", "hex"],
      ["--format", "yaml"]
    ]) {
      const run = await lightning(["scan", ...args])
      expect(run, args.join(" ")).toMatchObject({ code: 2, out: "", opens: [] })
    }
  })
})

describe("count", () => {
  it("counts exactly, or estimates with the bytes", async () => {
    const store = people()
    expect((await lightning(["count", "--prefix", "user/"], { store })).out).toBe("3\n")
    expect((await lightning(["count", "--estimate"], { store })).out).toBe("3\n")
    expect((await lightning(["count", "--estimate"], { store, terminalColumns: 80 })).out).toBe("about 3, 54 B\n")
    expect(JSON.parse((await lightning(["count", "--estimate", "--json"], { store })).out)).toEqual({ count: 3, bytes: 54, estimated: true })
  })
})
