import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  annotationOf,
  applyAtomic,
  atomicNameOf,
  isAtomicType,
  readAtomic,
  type ValueAtomic,
  withVersionstamp
} from "../../../src/domain/transaction/atomic.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"

const max = 100
const bytes = (...list: ReadonlyArray<number>) => Uint8Array.from(list)
const utf8 = (text: string) => new TextEncoder().encode(text)
const int64 = (n: bigint) => {
  const into = new Uint8Array(8)
  for (let i = 0; i < 8; i++) into[i] = Number((BigInt.asUintN(64, n) >> BigInt(8 * i)) & 0xffn)
  return into
}
const least = -(2n ** 63n)
const most = 2n ** 63n - 1n

/** What an operation as an application writes it makes of a value. */
const applied = (type: string, operation: object, current: Uint8Array | undefined): unknown => {
  if (!isAtomicType(type)) throw new Error(type)
  const atomic = readAtomic(type, operation, 3, max)
  if (atomic.type === "versionstampedKey" || atomic.type === "versionstampedValue") throw new Error(type)
  try {
    return applyAtomic(atomic, current, 3)
  } catch (error) {
    return error
  }
}

const failed = (reason: string) => expect.objectContaining({ _tag: "AtomicOperationFailed", reason, index: 3 })

describe("applyAtomic", () => {
  it.each<readonly [string, bigint | number, bigint | undefined, bigint]>([
    ["add", 5, undefined, 5n],
    ["add", -7, 5n, -2n],
    ["add", 1n, most - 1n, most],
    ["add", -1n, least + 1n, least],
    ["add", most, least, -1n],
    ["add", 0, 300n, 300n],
    ["min", 5, undefined, 5n],
    ["min", 5, 4n, 4n],
    ["min", -5, 4n, -5n],
    ["min", least, most, least],
    ["max", -5, undefined, -5n],
    ["max", 5, 4n, 5n],
    ["max", -5, -4n, -4n],
    ["max", most, least, most]
  ])("%s %s to %s is %s", (type, value, current, expected) => {
    expect(applied(type, { value }, current === undefined ? undefined : int64(current))).toEqual(int64(expected))
  })

  it("finds a number wherever it lies in memory", () => {
    const around = bytes(9, 9, 9, ...int64(-3n), 9)
    expect(applied("add", { value: 1 }, around.subarray(3, 11))).toEqual(int64(-2n))
  })

  it("refuses what does not fit 64 bits, and what is no number", () => {
    expect(applied("add", { value: 1 }, int64(most))).toEqual(failed("Overflow"))
    expect(applied("add", { value: -1 }, int64(least))).toEqual(failed("Overflow"))
    for (const type of ["add", "min", "max"])
      for (const current of [bytes(), bytes(1, 2, 3), new Uint8Array(9)]) expect(applied(type, { value: 1 }, current)).toEqual(failed("NotANumber"))
  })

  it("and, or, xor: the shorter one is filled up with zeros", () => {
    const a = bytes(0b1100, 0xff, 0x0f)
    expect(applied("and", { value: bytes(0b1010, 0x3c) }, a)).toEqual(bytes(0b1000, 0x3c, 0))
    expect(applied("or", { value: bytes(0b1010, 0x00, 0xf0, 7) }, a)).toEqual(bytes(0b1110, 0xff, 0xff, 7))
    expect(applied("xor", { value: bytes(0b1010, 0xff, 0x0f, 7) }, a)).toEqual(bytes(0b0110, 0, 0, 7))
    expect(applied("and", { value: bytes(1, 2) }, undefined)).toEqual(bytes(0, 0))
    expect(applied("or", { value: "ab" }, undefined)).toEqual(utf8("ab"))
    expect(applied("xor", { value: bytes() }, undefined)).toEqual(bytes())
    expect(a).toEqual(bytes(0b1100, 0xff, 0x0f))
  })

  it("append: up to its limit and that of values", () => {
    expect(applied("append", { value: "cd" }, utf8("ab"))).toEqual(utf8("abcd"))
    expect(applied("append", { value: "cd" }, undefined)).toEqual(utf8("cd"))
    expect(applied("append", { value: "cd", bytesMax: 4 }, utf8("ab"))).toEqual(utf8("abcd"))
    expect(applied("append", { value: "cd", bytesMax: 3 }, utf8("ab"))).toEqual(failed("TooLarge"))
    expect(applied("append", { value: "cd", bytesMax: 1 }, undefined)).toEqual(failed("TooLarge"))
    expect(applied("append", { value: bytes(1) }, new Uint8Array(max - 1))).toHaveLength(max)
    expect(applied("append", { value: bytes(1), bytesMax: max + 50 }, new Uint8Array(max))).toEqual(failed("TooLarge"))
  })

  it("compareAndSet: puts and deletes, of a value and of none", () => {
    expect(applied("compareAndSet", { expected: "a", value: "b" }, utf8("a"))).toEqual(utf8("b"))
    expect(applied("compareAndSet", { expected: "a", value: undefined }, utf8("a"))).toBeUndefined()
    expect(applied("compareAndSet", { expected: undefined, value: "b" }, undefined)).toEqual(utf8("b"))
    expect(applied("compareAndSet", { value: "" }, undefined)).toEqual(bytes())
    for (const [expected, current] of [
      ["a", "b"],
      ["a", "ab"],
      ["ab", "a"],
      ["", undefined],
      [undefined, ""],
      [new Uint8Array(max + 1), "a"]
    ] as const)
      expect(applied("compareAndSet", { expected, value: "c" }, current === undefined ? undefined : utf8(current))).toEqual(failed("Compare"))
  })

  it("setOnce: leaves the very value that is there, an empty one too", () => {
    expect(applied("setOnce", { value: "a" }, undefined)).toEqual(utf8("a"))
    for (const current of [utf8("b"), bytes()]) expect(applied("setOnce", { value: "a" }, current)).toBe(current)
  })
})

describe("readAtomic", () => {
  const error = (type: string, operation: object): unknown => {
    if (!isAtomicType(type)) return "no such type"
    try {
      return readAtomic(type, operation, 3, max)
    } catch (thrown) {
      return thrown
    }
  }

  it.each<readonly [string, object, object]>([
    ["add", { value: 1.5 }, { _tag: "InvalidBatch", index: 3, detail: expect.stringContaining("1.5") }],
    ["add", { value: 2 ** 53 }, { _tag: "InvalidBatch" }],
    ["add", { value: most + 1n }, { _tag: "InvalidBatch" }],
    ["min", { value: least - 1n }, { _tag: "InvalidBatch" }],
    ["max", { value: "1" }, { _tag: "InvalidBatch", detail: expect.stringContaining("a string") }],
    ["add", {}, { _tag: "InvalidBatch" }],
    ["or", { value: 1 }, { _tag: "InvalidValue", reason: "WrongType" }],
    ["or", { value: new Uint8Array(max + 1) }, { _tag: "InvalidValue", reason: "TooLarge", lengthBytes: max + 1, bytesMax: max }],
    ["append", { value: "a", bytesMax: -1 }, { _tag: "InvalidBatch", detail: expect.stringContaining("-1") }],
    ["append", { value: "a", bytesMax: 1.5 }, { _tag: "InvalidBatch" }],
    ["append", { value: "a", bytesMax: "9" }, { _tag: "InvalidBatch" }],
    ["append", {}, { _tag: "InvalidValue" }],
    ["compareAndSet", { expected: 1, value: "a" }, { _tag: "InvalidValue" }],
    ["compareAndSet", { expected: "a", value: "\ud800" }, { _tag: "InvalidValue", reason: "LoneSurrogate" }],
    ["setOnce", {}, { _tag: "InvalidValue" }],
    ["versionstampedKey", { value: "a", suffix: 5 }, { _tag: "InvalidBatch" }],
    ["versionstampedKey", { value: "a", suffix: "\udc00" }, { _tag: "InvalidBatch", detail: expect.stringContaining("surrogate") }],
    ["versionstampedValue", { value: new Uint8Array(max - 9) }, { _tag: "InvalidValue", reason: "TooLarge" }]
  ])("%s refuses %o", (type, operation, expected) => {
    expect(error(type, operation)).toMatchObject(expected)
  })

  it("holds a versionstamp's index within its two bytes", () => {
    expect(readAtomic("versionstampedValue", { value: "" }, 65_535, max)).toMatchObject({ type: "versionstampedValue" })
    expect(() => readAtomic("versionstampedValue", { value: "" }, 65_536, max)).toThrow("65535")
  })

  it("knows no others", () => {
    for (const type of ["put", "increment", "toString", "constructor", "", undefined, 1]) expect(isAtomicType(type)).toBe(false)
  })
})

describe("versionstamps", () => {
  it("ascend with the sequence, then with the index, whatever the numbers", () => {
    const place = fc.tuple(fc.maxSafeNat(), fc.integer({ min: 0, max: 65_535 }))
    fc.assert(
      fc.property(place, place, ([a, i], [b, j]) => {
        const order = Math.sign(a - b) || Math.sign(i - j)
        expect(Math.sign(compareBytes(withVersionstamp(utf8("k"), a, i), withVersionstamp(utf8("k"), b, j)))).toBe(order)
      }),
      { seed: 20_261_121 }
    )
  })

  it("stand between what comes before and after them", () => {
    expect(withVersionstamp(bytes(7), 0x0001_0203_0405_0607, 0x0809, bytes(8))).toEqual(bytes(7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8))
  })
})

describe("annotations", () => {
  it("name the operation, with the operand where the result does not tell it", () => {
    const all: ReadonlyArray<readonly [ValueAtomic["type"] | "versionstampedKey" | "versionstampedValue", object, Uint8Array]> = [
      ["add", { value: -2 }, bytes(1, ...int64(-2n))],
      ["min", { value: 7 }, bytes(2, ...int64(7n))],
      ["max", { value: 7 }, bytes(3, ...int64(7n))],
      ["and", { value: "m" }, bytes(4, 109)],
      ["or", { value: "m" }, bytes(5, 109)],
      ["xor", { value: "m" }, bytes(6, 109)],
      ["append", { value: "m" }, bytes(7)],
      ["compareAndSet", { expected: "a", value: "m" }, bytes(8)],
      ["setOnce", { value: "m" }, bytes(9)],
      ["versionstampedKey", { value: "m" }, bytes(10)],
      ["versionstampedValue", { value: "m" }, bytes(11)]
    ]
    for (const [type, operation, expected] of all) {
      const annotation = annotationOf(readAtomic(type, operation, 0, max))
      expect(annotation, type).toEqual(expected)
      expect(atomicNameOf(annotation)).toBe(type)
    }
  })

  it("of a later version name nothing", () => {
    for (const annotation of [undefined, bytes(), bytes(0), bytes(12), bytes(255, 1)]) expect(atomicNameOf(annotation)).toBeUndefined()
  })
})
