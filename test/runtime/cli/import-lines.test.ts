/** Lines of JSON: the quick way of reading them gives what JSON.parse gives, wherever the chunks are cut. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ImportEvent } from "../../../src/runtime/cli/importing/batches.ts"
import { jsonLineEvents } from "../../../src/runtime/cli/importing/jsonLines.ts"
import { parseKeyValueLine } from "../../../src/runtime/cli/importing/jsonLine.ts"
import { EntryScanner } from "../../../src/runtime/cli/importing/scanEntry.ts"

const valueBytesMax = 1_000_000

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve()
    // As a reader would hand it on: memory of its own.
    yield Buffer.from(bytes.subarray(at, at + size))
  }
}

const read = async (text: string | Uint8Array, options: { size?: number; standard?: boolean; lineBytesMax?: number } = {}) => {
  const bytes = typeof text === "string" ? Buffer.from(text) : text
  const events: Array<ImportEvent> = []
  const source = jsonLineEvents(inChunks(bytes, options.size ?? 64 * 1024), {
    file: "f",
    from: { end: 0, line: 0 },
    limits: { valueBytesMax },
    parse: parseKeyValueLine,
    standard: options.standard ?? true,
    ...(options.lineBytesMax === undefined ? {} : { lineBytesMax: options.lineBytesMax })
  })
  for await (const group of source) events.push(...group)
  return events.map((event) => {
    if (event.type !== "item") return event
    const [put] = event.operations
    if (put?.type !== "put") throw new Error("no put")
    return { ...event, operations: [{ ...put, key: Buffer.from(put.key), value: Buffer.from(put.value) }] }
  })
}

const textOf = (data: Uint8Array | string): string => Buffer.from(data).toString()

const put = (key: string, value: string, end: number, lines: number) => ({
  type: "item",
  operations: [{ type: "put", key: Buffer.from(key), value: Buffer.from(value) }],
  bytes: Buffer.byteLength(key) + Buffer.byteLength(value),
  end,
  lines
})

/** Characters that JSON treats in different ways, as they may stand in a string of a line. */
const escaped = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("a", "é", "€", "😀", " ", "/", "{", "}", ":", ",", "\u2028", "\u007f") },
  {
    weight: 4,
    arbitrary: fc.constantFrom('\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\u0000")
  },
  { weight: 1, arbitrary: fc.constantFrom("\\ud800", "\\udc00", "\\ud83d\\u0041", "\\x", "\\u12", "\\u12g4", "\t", "\u0001", '"', "\\") }
)
const string = fc.array(escaped, { maxLength: 8 }).map((parts) => parts.join(""))
const space = fc.constantFrom("", "", "", " ", "\t", "  ")
const line = fc
  .tuple(fc.array(space, { minLength: 9, maxLength: 9 }), string, string, fc.constantFrom("", "", "", "", '"', "x", ',"a":1', "}"))
  .map(([s, key, value, after]) => `${s[0]}{${s[1]}"key"${s[2]}:${s[3]}"${key}"${s[4]},${s[5]}"value"${s[6]}:${s[7]}"${value}"${s[8]}}${after}`)

describe("the quick reader", () => {
  const scanner = new EntryScanner(valueBytesMax)

  it("gives the bytes that JSON.parse gives, or nothing", () => {
    let taken = 0
    fc.assert(
      fc.property(line, fc.constantFrom("", "\n", "\r\n", "\nrest"), (text, end) => {
        const bytes = Uint8Array.from(Buffer.from(text + end))
        const next = scanner.scan(bytes, 0)
        if (next < 0) return
        taken++
        const parsed: { key: string; value: string } = JSON.parse(text)
        expect([textOf(scanner.key), textOf(scanner.value)]).toEqual([parsed.key, parsed.value])
        expect(Object.keys(parsed)).toEqual(["key", "value"])
        expect(parsed.key.isWellFormed() && parsed.value.isWellFormed()).toBe(true)
        expect(next).toBe(Buffer.byteLength(text) + (end.startsWith("\r") ? 2 : end === "" ? 0 : 1))
      }),
      { numRuns: 3_000 }
    )
    expect(taken).toBeGreaterThan(100)
  })

  it("takes what export writes, escapes and all", () => {
    for (const [key, value] of [
      ["k", ""],
      ['a\n\t"\\\u0000\u001f', '{"nested":"\\"yes\\""}'],
      ["é€😀\u2028", "\ud83d\ude00"]
    ] as const) {
      const bytes = Uint8Array.from(Buffer.from(JSON.stringify({ key, value })))
      expect(scanner.scan(bytes, 0)).toBe(bytes.length)
      expect([textOf(scanner.key), textOf(scanner.value)]).toEqual([key, value])
    }
  })

  it("makes no difference to what is imported", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.integer({ min: 1, max: 40 }), fc.boolean(), async (lines, size, isBroken) => {
        const bytes = Buffer.from(lines.join("\n"))
        // Half of a character somewhere: the block is no UTF-8 any more.
        if (isBroken && bytes.length > 0) bytes[bytes.length >> 1] = 0xe9
        expect(await read(bytes, { size })).toEqual(await read(bytes, { standard: false }))
      }),
      { numRuns: 300 }
    )
  })
})

describe("lines", () => {
  it("are the same wherever the chunks are cut", async () => {
    const text = '\ufeff{"key":"one","value":"1"}\r\n\n{"key":"two é","value":"2"}\n[]\n{"key":"last","value":"3"}'
    const expected = [
      put("one", "1", 30, 1),
      put("two é", "2", 60, 3),
      { type: "problem", file: "f", line: 4, reason: "a list, not an object", end: 63, lines: 4 },
      put("last", "3", 89, 5)
    ]
    for (let size = 1; size <= 100; size++) expect(await read(text, { size }), `chunks of ${size}`).toEqual(expected)
  })

  it("that are too long are named and left out", async () => {
    const long = `{"key":"k","value":"${"v".repeat(60)}"}`
    const text = `${long}\n{"key":"k","value":"v"}\n${long}`
    for (const size of [1, 7, 50]) {
      const reason = "the line is longer than 50 B"
      expect(await read(text, { size, lineBytesMax: 50 })).toEqual([
        { type: "problem", file: "f", line: 1, reason, end: long.length + 1, lines: 1 },
        put("k", "v", long.length + 25, 2),
        { type: "problem", file: "f", line: 3, reason, end: text.length, lines: 3 }
      ])
    }
    expect(await read("")).toEqual([])
  })

  it("of 100 MB are refused for their value, and the next one is read", async () => {
    const text = Buffer.concat([Buffer.from('{"key":"k","value":"'), Buffer.alloc(100_000_000, "v"), Buffer.from('"}\n{"key":"k","value":"v"}\n')])
    const events = await read(text, { size: 4_000_000 })
    expect(events).toMatchObject([{ reason: "the value has 100 MB; at most 1.00 MB are allowed", line: 1 }, { lines: 2 }])
  })
})

describe("what goes with an entry", () => {
  const one = async (fields: object) => (await read(JSON.stringify(fields)))[0]

  it("is its keyspace and its expiry", async () => {
    expect(await one({ key: "k", value: "v", keyspace: "users", expiresAt: 1_900_000_000_000 })).toMatchObject({
      operations: [{ keyspace: "users", expiresAt: 1_900_000_000_000 }]
    })
    expect(await one({ key: "k", value: "v", expiresAt: "2030-01-31T12:00:00Z" })).toMatchObject({
      operations: [{ expiresAt: Date.UTC(2030, 0, 31, 12) }]
    })
    expect(await one({ key: "k", value: "v", keyspace: null, expiresAt: null })).toEqual({ ...put("k", "v", 56, 1) })
  })

  it.each([
    [{ keyspace: 7 }, '"keyspace" is a number, not the name of a keyspace'],
    [{ keyspace: "" }, '"" cannot name a keyspace: it is empty'],
    [{ keyspace: "default" }, /cannot name a keyspace: it stands for/],
    [{ keyspace: "x".repeat(300) }, /longer than 255 bytes/],
    [{ keyspace: "lightning-imports" }, 'the keyspace "lightning-imports" belongs to lightning import itself'],
    [{ expiresAt: "soon" }, /^"expiresAt" is not a time/],
    [{ expiresAt: 1.5 }, /^"expiresAt" is not a time/],
    [{ expiresAt: -1 }, /^"expiresAt" is not a time/]
  ] as const)("is refused where it makes no sense: %j", async (fields, reason) => {
    const event = await one({ key: "k", value: "v", ...fields })
    expect(event).toMatchObject({ type: "problem", line: 1, reason: typeof reason === "string" ? reason : expect.stringMatching(reason) })
  })
})
