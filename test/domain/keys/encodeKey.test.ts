import fc from "fast-check"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import { InvalidKey, InvalidValue } from "../../../src/domain/errors.ts"
import { describeType } from "../../../src/domain/keys/describeType.ts"
import { isBytes, KeyEncoder } from "../../../src/domain/keys/encodeKey.ts"

const utf8 = new TextEncoder()
const result = (encoder: KeyEncoder): Array<number> => [...encoder.bytes.subarray(encoder.start, encoder.end)]
const failure = (f: () => void): unknown => {
  try {
    f()
  } catch (e) {
    return e
  }
  return undefined
}

const texts = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 80 }),
  fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 120 }),
  fc.constantFrom(
    "a",
    "é",
    "日本",
    "😀",
    "x".repeat(24),
    "x".repeat(25),
    "x".repeat(23) + "é",
    "\0",
    "\ufeff",
    "a".repeat(3000) + "é",
    "é".repeat(9000)
  )
)

describe("KeyEncoder.encode", () => {
  it("encodes text as UTF-8", () => {
    const encoder = new KeyEncoder()
    fc.assert(
      fc.property(texts, (text) => {
        encoder.encode(text)
        expect(result(encoder)).toEqual([...utf8.encode(text)])
      }),
      { seed: 1, numRuns: 500 }
    )
  })

  it("uses bytes in place", () => {
    const encoder = new KeyEncoder()
    for (const key of [Uint8Array.of(1, 2), Buffer.from("abc"), new Uint8Array(10).subarray(3, 5)]) {
      encoder.encode(key)
      expect(encoder.bytes).toBe(key)
      expect([encoder.start, encoder.end]).toEqual([0, key.length])
    }
  })

  it("takes keys up to 65,536 bytes", () => {
    const encoder = new KeyEncoder()
    for (const key of ["k".repeat(65_536), "é".repeat(32_768), new Uint8Array(65_536)]) {
      encoder.encode(key)
      expect(encoder.end - encoder.start).toBe(65_536)
    }
    for (const [key, length] of [
      ["k".repeat(65_537), {}],
      ["é".repeat(32_769), { lengthBytes: 65_538 }],
      [new Uint8Array(65_537), { lengthBytes: 65_537 }]
    ] as const) {
      expect(failure(() => encoder.encode(key))).toMatchObject({ _tag: "InvalidKey", reason: "TooLong", ...length })
    }
  })

  it.each(["\ud800", "a\udc00b", "\udc00\ud800", "x".repeat(100) + "\ud83d"])("refuses lone surrogates: %j", (key) => {
    expect(failure(() => new KeyEncoder().encode(key))).toMatchObject({ _tag: "InvalidKey", reason: "LoneSurrogate" })
    expect(failure(() => new KeyEncoder().appendKey(key))).toMatchObject({ _tag: "InvalidKey", reason: "LoneSurrogate" })
    expect(failure(() => new KeyEncoder().appendValue(key, 1000))).toMatchObject({ _tag: "InvalidValue", reason: "LoneSurrogate" })
  })

  it("refuses the empty key", () => {
    for (const key of ["", new Uint8Array(0)]) expect(failure(() => new KeyEncoder().encode(key))).toMatchObject({ reason: "Empty" })
  })

  const wrong: ReadonlyArray<readonly [unknown, string]> = [
    [undefined, "undefined"],
    [null, "null"],
    [5, "a number"],
    [5n, "a bigint"],
    [true, "a boolean"],
    [Symbol("s"), "a symbol"],
    [[1], "an array"],
    [{}, "an object"],
    [Object.create(null), "an object"],
    [new Uint16Array(2), "a Uint16Array"],
    [new Uint8ClampedArray(2), "a Uint8ClampedArray"],
    [new DataView(new ArrayBuffer(2)), "a DataView"],
    [new ArrayBuffer(2), "an ArrayBuffer"],
    [new Int8Array(2), "an Int8Array"],
    [new String("s"), "a String"],
    [new (class {})(), "an object"],
    [() => 1, "a function"]
  ]
  it.each(wrong)("refuses the wrong type %#", (value, found) => {
    const encoder = new KeyEncoder()
    expect(describeType(value)).toBe(found)
    const asKey = failure(() => encoder.encode(value))
    expect(asKey).toBeInstanceOf(InvalidKey)
    expect(asKey).toMatchObject({ reason: "WrongType", found })
    expect(failure(() => encoder.appendKey(value))).toMatchObject({ _tag: "InvalidKey", reason: "WrongType", found })
    const asValue = failure(() => encoder.appendValue(value, 10))
    expect(asValue).toBeInstanceOf(InvalidValue)
    expect(asValue).toMatchObject({ reason: "WrongType", found })
  })

  it("knows the bytes of another realm", () => {
    const foreign: unknown = runInNewContext("Uint8Array.of(1, 2, 3)")
    expect(foreign instanceof Uint8Array).toBe(false)
    expect(isBytes(foreign)).toBe(true)
    const encoder = new KeyEncoder()
    encoder.encode(foreign)
    expect(result(encoder)).toEqual([1, 2, 3])
    expect(isBytes({ [Symbol.toStringTag]: "Uint8Array" })).toBe(false)
  })
})

describe("KeyEncoder appending", () => {
  it("keeps all keys and values alive while the scratch grows, and encodes between them", () => {
    const operation = fc.tuple(fc.constantFrom("appendKey", "appendValue", "encode"), fc.oneof(texts, fc.uint8Array({ minLength: 1, maxLength: 80 })))
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const encoder = new KeyEncoder()
        const kept: Array<{
          readonly bytes: Uint8Array
          readonly start: number
          readonly end: number
          readonly expected: Array<number>
          readonly isKey: boolean
        }> = []
        for (const [how, input] of operations) {
          if (how === "appendValue") encoder.appendValue(input, 1e6)
          else if (how === "appendKey") encoder.appendKey(input)
          else encoder.encode(input)
          const expected = [...(typeof input === "string" ? utf8.encode(input) : input)]
          expect(result(encoder)).toEqual(expected)
          if (how !== "encode") kept.push({ bytes: encoder.bytes, start: encoder.start, end: encoder.end, expected, isKey: how === "appendKey" })
        }
        for (const { bytes, start, end, expected, isKey } of kept) {
          expect([...bytes.subarray(start, end)]).toEqual(expected)
          if (isKey) expect([...encoder.scratch.subarray(start, end)]).toEqual(expected)
        }
      }),
      { seed: 2, numRuns: 150 }
    )
  })

  it("copies key bytes, uses value bytes in place", () => {
    const encoder = new KeyEncoder()
    const bytes = Uint8Array.of(1, 2, 3)
    encoder.appendKey(bytes)
    expect(encoder.bytes).toBe(encoder.scratch)
    bytes[0] = 9
    expect(result(encoder)).toEqual([1, 2, 3])
    encoder.appendValue(bytes, 3)
    expect(encoder.bytes).toBe(bytes)
    expect(encoder.position).toBe(3)
  })

  it("bounds values by bytes, not chars", () => {
    const encoder = new KeyEncoder()
    encoder.appendValue("", 0)
    expect(result(encoder)).toEqual([])
    encoder.appendValue(new Uint8Array(0), 0)
    expect(result(encoder)).toEqual([])
    encoder.appendValue("éé", 4)
    expect(failure(() => encoder.appendValue("ééé", 4))).toMatchObject({ reason: "TooLarge", lengthBytes: 6, bytesMax: 4 })
    expect(failure(() => encoder.appendValue("abcde", 4))).toMatchObject({ reason: "TooLarge", bytesMax: 4 })
    expect(failure(() => encoder.appendValue(new Uint8Array(5), 4))).toMatchObject({ reason: "TooLarge", lengthBytes: 5, bytesMax: 4 })
    expect(failure(() => encoder.appendValue("é".repeat(9000), 10_000))).toMatchObject({ reason: "TooLarge", lengthBytes: 18_000 })
    expect(failure(() => encoder.appendValue("é".repeat(9000) + "\ud800", 100_000))).toMatchObject({ reason: "LoneSurrogate" })
    expect(encoder.position).toBe(4)
  })

  it("starts over, and gives a large scratch up", () => {
    const encoder = new KeyEncoder()
    for (let i = 0; i < 20; i++) encoder.appendKey(new Uint8Array(65_536))
    expect(encoder.scratch.length).toBeGreaterThan(1 << 20)
    encoder.clear()
    expect(encoder.scratch.length).toBe(1024)
    encoder.appendKey("a")
    expect([encoder.start, encoder.end]).toEqual([0, 1])
    const scratch = encoder.scratch
    encoder.clear()
    expect(encoder.scratch).toBe(scratch)
  })
})
