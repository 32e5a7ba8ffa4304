import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ColumnSurvey, fieldOf, parseFields } from "../../../src/runtime/cli/exporting/columns.ts"
import { delimited } from "../../../src/runtime/cli/exporting/delimited.ts"
import { byExtension } from "../../../src/runtime/cli/exporting/destination.ts"
import type { ExportEntry, LineEncoder } from "../../../src/runtime/cli/exporting/encoder.ts"
import { jsonLines } from "../../../src/runtime/cli/exporting/jsonLines.ts"
import { FileConflicts, pathOfKey } from "../../../src/runtime/cli/exporting/keyPath.ts"
import { TextBlock } from "../../../src/runtime/cli/exporting/TextBlock.ts"

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const entry = (key: string | Uint8Array, value: string | Uint8Array, rest: { expiresAt?: number; keyspace?: string } = {}): ExportEntry => ({
  key: typeof key === "string" ? bytes(key) : key,
  value: typeof value === "string" ? bytes(value) : value,
  expiresAt: rest.expiresAt,
  keyspace: rest.keyspace
})

const block = new TextBlock()

/** One line, the value in slices of `slice` bytes. */
const line = (encoder: LineEncoder, one: ExportEntry, slice = 3 * 1024): string => {
  block.clear()
  const refused = encoder.begin(block, one)
  if (refused !== undefined) return `refused: ${refused}`
  for (let from = 0; from < one.value.length; from += slice) encoder.value(block, one, from, Math.min(one.value.length, from + slice))
  encoder.end(block, one)
  return Buffer.from(block.view()).toString()
}

const random = { seed: Number(process.env["SEED"] ?? Date.now() % 1_000_000), numRuns: 200 }

describe(`JSON lines (seed ${random.seed})`, () => {
  it("are what JSON.stringify writes of the text, in whatever slices", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 9 }), (key, value, slice) => {
        expect(line(jsonLines(false), entry(key, value), slice)).toBe(`${JSON.stringify({ key, value })}\n`)
      }),
      random
    )
    const controls = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))
    expect(line(jsonLines(false), entry("k", controls))).toBe(`${JSON.stringify({ key: "k", value: controls })}\n`)
  })

  it("are base64 for bytes that are not UTF-8, and say the keyspace and the expiry", () => {
    const odd = new Uint8Array([0xff, 0xfe, 0x00, 0x41])
    expect(line(jsonLines(false), entry(odd, odd, { keyspace: 'é"', expiresAt: 17 }), 3)).toBe(
      '{"keyBase64":"//4AQQ==","valueBase64":"//4AQQ==","keyspace":"é\\"","expiresAt":17}\n'
    )
    expect(line(jsonLines(true), entry(odd, "v"))).toBe('{"keyHex":"fffe0041","value":"v"}\n')
    fc.assert(
      fc.property(fc.uint8Array(), (value) => {
        const text = line(jsonLines(false), entry("k", new Uint8Array([...value, 0xff])), 3)
        expect(Buffer.from(JSON.parse(text).valueBase64, "base64")).toEqual(Buffer.from([...value, 0xff]))
        expect(text).toContain(Buffer.from([...value, 0xff]).toString("base64"))
      }),
      random
    )
    // Cut at both ends of a character, of a long value.
    const long = `${"x".repeat(100)}漢`.repeat(1000)
    expect(line(jsonLines(false), entry("k", long), 102)).toBe(`${JSON.stringify({ key: "k", value: long })}\n`)
  })
})

describe("CSV", () => {
  const plain = delimited("csv", [
    { name: "key", type: "text" },
    { name: "value", type: "text" },
    { name: "keyspace", type: "text" },
    { name: "expiresAt", type: "number" }
  ])

  it("quotes what it must, and an empty text, and leaves out what is absent", () => {
    expect(plain.header).toBe("key,value,keyspace,expiresAt\r\n")
    expect(line(plain, entry("a", "b"))).toBe("a,b,,\r\n")
    expect(line(plain, entry("a,b", 'say "x"', { keyspace: "s", expiresAt: 5 }))).toBe('"a,b","say ""x""",s,5\r\n')
    expect(line(plain, entry("a\r", "1\n2"))).toBe('"a\r","1\n2",,\r\n')
    expect(line(plain, entry("a\tb", ""))).toBe('a\tb,"",,\r\n')
    const tsv = delimited("tsv", [
      { name: "value", type: "base64" },
      { name: "key", type: "hex" }
    ])
    expect(tsv.header).toBe("value:base64\tkey:hex\n")
    expect(line(tsv, entry("a\tb", new Uint8Array([255, 1, 2, 3])), 3)).toBe("/wECAw==\t610962\n")
    expect(line(tsv, entry("a", ""))).toBe('""\t61\n')
  })

  it("refuses a text column for bytes, and names the way out", () => {
    expect(line(plain, entry("a", new Uint8Array([255])))).toBe(
      "refused: its value is not UTF-8; give the column another type: --fields value:base64"
    )
  })

  it("takes columns from fields of values", () => {
    const columns = parseFields("key,a,b.c,n,list,none")
    if (typeof columns === "string") throw new Error(columns)
    const survey = new ColumnSurvey(columns, false, false)
    const one = entry("k1", '{"a":"x","b":{"c":true},"n":1.5,"list":[1,"2"],"d.e":1}')
    const two = entry("k2", '{"a":"","b":{"c":false},"n":2}')
    survey.add(one)
    survey.add(two)
    const table = delimited("csv", survey.columns())
    expect(table.header).toBe("key,a,b.c:boolean,n:number,list:json,none\r\n")
    expect(line(table, one)).toBe('k1,x,true,1.5,"[1,""2""]",\r\n')
    expect(line(table, two)).toBe('k2,"",false,2,,\r\n')
    for (const value of ["[1]", "text", '"x"', "", "null"])
      expect(line(table, entry("k", value)), value).toMatch(/^refused: its value is not a JSON object/)
    expect(line(table, entry("k", '{"n":"1"}'))).toBe('refused: its field "n" is no number; give the column the type json')
    expect(fieldOf({ "a.b": 1, a: { b: 2 } }, "a.b", ["a", "b"])).toBe(1)
    expect(fieldOf({ a: { b: 2 } }, "a.__proto__", ["a", "__proto__"])).toBeUndefined()
    // A line of nothing would be passed over.
    expect(line(delimited("csv", [{ name: "x", type: "text" }]), entry("k", "{}"))).toBe('""\r\n')
  })

  it("types columns by all entries", () => {
    const columnsOf = (entries: ReadonlyArray<ExportEntry>, all = false, hex = false) => {
      const survey = new ColumnSurvey(undefined, all, hex)
      for (const one of entries) survey.add(one)
      return delimited("csv", survey.columns()).header.trimEnd()
    }
    const odd = new Uint8Array([0x80])
    expect(columnsOf([])).toBe("key,value")
    expect(columnsOf([entry("a", "b"), entry("a", odd)])).toBe("key,value:base64")
    expect(columnsOf([entry(odd, "b"), entry("a", "b", { expiresAt: 3 })], true)).toBe("key:base64,value,keyspace,expiresAt")
    expect(columnsOf([entry("a", "b")], false, true)).toBe("key:hex,value")
    for (const [text, wrong] of [
      ["a,,b", "--fields has an empty name"],
      ["a,a:json", '--fields names "a" twice'],
      ["key:json", '--fields gives "key" the type "json"; use text, base64, hex'],
      ["a:float", '--fields gives "a" the type "float"; use text, json, number, boolean']
    ] as const) {
      expect(parseFields(text)).toBe(wrong)
    }
  })
})

describe("keys as paths", () => {
  it("are refused where they cannot be one, or lead elsewhere", () => {
    const reasonOf = (key: string | Uint8Array, windows = false) => {
      const found = pathOfKey(typeof key === "string" ? bytes(key) : key, windows)
      return "path" in found ? undefined : found.reason
    }
    for (const key of ["a", "a/b/c.txt", "...", "a..b/.hidden", "é/漢", "a\\b", "con", "x:y", "a ", "n".repeat(255), `${"n".repeat(255)}/x`]) {
      expect(reasonOf(key), key).toBeUndefined()
    }
    for (const [key, reason] of [
      ["/etc/passwd", "it begins with a slash"],
      ["a/", "it ends with a slash"],
      ["a//b", "it has an empty segment"],
      ["..", 'it has the segment ".."'],
      ["a/../../b", 'it has the segment ".."'],
      ["./a", 'it has the segment "."'],
      ["a\0b", "it holds a NUL"],
      [`a/${"é".repeat(128)}`, "it has a segment of more than 255 bytes"]
    ] as const) {
      expect(reasonOf(key), key).toBe(reason)
    }
    expect(reasonOf(new Uint8Array([0x61, 0xff]))).toBe("it is not UTF-8")
    for (const key of ["..\\x", "C:x", "a/nul.txt", "a.", "a /b"]) expect(reasonOf(key, true), key).toMatch(/Windows|space/)
  })

  it("conflict where one is a file and the other needs a directory there", () => {
    const conflicts = new FileConflicts()
    expect(["a", "a-b", "a.c/x", "a/b", "a/b/c", "ab/c", "b/c", "b/c/d", "bc"].map((path) => conflicts.add(path))).toEqual([
      undefined,
      undefined,
      undefined,
      "a",
      "a",
      undefined,
      undefined,
      "b/c",
      undefined
    ])
  })

  it("are told by their names' extensions", () => {
    expect(byExtension("a/orders.CSV.gz")).toEqual({ format: "csv", compression: "gzip" })
    expect(byExtension("x.ndjson.zst")).toEqual({ format: "jsonl", compression: "zstd" })
    expect(byExtension("x.gz")).toEqual({ format: undefined, compression: "gzip" })
    expect(byExtension("x.tsv")).toEqual({ format: "tsv", compression: undefined })
  })
})
