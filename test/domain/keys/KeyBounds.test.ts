import { describe, expect, it } from "vitest"
import { InvalidRange } from "../../../src/domain/errors.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { keyBounds, prefixSuccessor } from "../../../src/domain/keys/KeyBounds.ts"

/** Every byte string of up to three bytes over an alphabet that has both ends of a byte. */
const alphabet = [0, 1, 0xff]
const strings = (lengthMax: number): Array<Uint8Array> => {
  const all: Array<Array<number>> = [[]]
  for (let i = 0; i < all.length; i++) if (all[i]!.length < lengthMax) for (const byte of alphabet) all.push([...all[i]!, byte])
  return all.map((bytes) => Uint8Array.from(bytes))
}
const keys = strings(3).filter((key) => key.length > 0)
const bounds = strings(2)

const startsWith = (key: Uint8Array, prefix: Uint8Array) => key.length >= prefix.length && prefix.every((byte, i) => key[i] === byte)

const within = (range: unknown): Array<Uint8Array> => {
  const { lower, upper } = keyBounds(range)
  if (lower !== undefined && upper !== undefined) expect(compareBytes(lower, upper)).toBeLessThanOrEqual(0)
  return keys.filter((key) => (lower === undefined || compareBytes(key, lower) >= 0) && (upper === undefined || compareBytes(key, upper) < 0))
}

const detailOf = (range: unknown): string => {
  try {
    keyBounds(range)
  } catch (e) {
    if (e instanceof InvalidRange) return e.detail
    throw e
  }
  return "accepted"
}

describe("keyBounds against brute force", () => {
  const lowers = [undefined, "gte", "gt"] as const
  const uppers = [undefined, "lte", "lt"] as const

  it("admits exactly the keys that the bounds say, or refuses an inverted range", () => {
    for (const low of lowers) {
      for (const high of uppers) {
        for (const from of low === undefined ? [bounds[0]!] : bounds) {
          for (const to of high === undefined ? [bounds[0]!] : bounds) {
            const range = { ...(low && { [low]: from }), ...(high && { [high]: to }) }
            if (low !== undefined && high !== undefined && compareBytes(from, to) > 0) {
              expect(detailOf(range)).toContain("lower bound is above its upper bound")
              continue
            }
            const expected = keys.filter(
              (key) =>
                (low === undefined || (low === "gte" ? compareBytes(key, from) >= 0 : compareBytes(key, from) > 0)) &&
                (high === undefined || (high === "lte" ? compareBytes(key, to) <= 0 : compareBytes(key, to) < 0))
            )
            expect(within(range)).toEqual(expected)
          }
        }
      }
    }
  })

  it("intersects a prefix with the bounds", () => {
    for (const prefix of bounds) {
      for (const low of lowers) {
        for (const bound of bounds) {
          const range = { prefix, ...(low && { [low]: bound }) }
          const expected = keys.filter(
            (key) => startsWith(key, prefix) && (low === undefined || (low === "gte" ? compareBytes(key, bound) >= 0 : compareBytes(key, bound) > 0))
          )
          expect(within(range)).toEqual(expected)
          const upper = { prefix, ...(low && { [low === "gte" ? "lt" : "lte"]: bound }) }
          expect(within(upper)).toEqual(
            keys.filter(
              (key) =>
                startsWith(key, prefix) && (low === undefined || (low === "gte" ? compareBytes(key, bound) < 0 : compareBytes(key, bound) <= 0))
            )
          )
        }
      }
    }
  })
})

describe("keyBounds", () => {
  it("gives the exact bounds", () => {
    expect(keyBounds({ gt: "a", lte: "b" })).toEqual({ lower: Uint8Array.of(97, 0), upper: Uint8Array.of(98, 0), reverse: false, limit: Infinity })
    expect(keyBounds({ prefix: "é", reverse: true, limit: 3 })).toEqual({
      lower: Uint8Array.of(0xc3, 0xa9),
      upper: Uint8Array.of(0xc3, 0xaa),
      reverse: true,
      limit: 3
    })
    expect(keyBounds({ prefix: Uint8Array.of(1, 0xff, 0xff) }).upper).toEqual(Uint8Array.of(2))
    expect(keyBounds({ prefix: Uint8Array.of(0xff, 0xff) })).toMatchObject({ lower: Uint8Array.of(0xff, 0xff), upper: undefined })
    expect(keyBounds({ gt: new Uint8Array(65_536) }).lower).toHaveLength(65_537)
  })

  it.each([
    undefined,
    {},
    { prefix: "" },
    { prefix: new Uint8Array(0) },
    { gte: "" },
    { gte: undefined, lt: undefined, prefix: undefined, reverse: undefined, limit: undefined }
  ])("takes %j for everything", (range) => {
    expect(keyBounds(range)).toEqual({ lower: undefined, upper: undefined, reverse: false, limit: Infinity })
  })

  it.each([
    { gte: "a", lt: "a" },
    { gt: "a", lte: "a" },
    { gt: "a", lt: "a" },
    { prefix: "b", lt: "a" },
    { prefix: "a", gte: "b" },
    { lt: "" },
    { gte: "", lt: "" }
  ])("takes %j for nothing", (range) => {
    const { lower, upper } = keyBounds(range)
    expect(lower).toBeDefined()
    expect(lower).toEqual(upper)
  })

  it("copies its bounds", () => {
    const gte = Uint8Array.of(1, 2)
    const prefix = Uint8Array.of(1)
    const found = keyBounds({ gte, prefix })
    gte[0] = prefix[0] = 9
    expect(found).toMatchObject({ lower: Uint8Array.of(1, 2), upper: Uint8Array.of(2) })
    const first = keyBounds({ gte: "abc" }).lower
    keyBounds({ gte: "xyz" })
    expect(first).toEqual(Uint8Array.of(97, 98, 99))
  })

  it.each([
    [{ gte: "a", gt: "b" }, "both gte and gt"],
    [{ lte: "a", lt: "b" }, "both lt and lte"],
    [{ gte: "b", lt: "a" }, "reverse: true"],
    [{ limit: -1 }, "limit is -1"],
    [{ limit: 1.5 }, "limit is 1.5"],
    [{ limit: Number.NaN }, "limit is NaN"],
    [{ limit: "3" }, "limit is a string"],
    [{ limit: null }, "limit is null"],
    [{ limit: -Infinity }, "limit is -Infinity"],
    [{ reverse: 1 }, "reverse is a number"],
    [{ gte: 5 }, "gte is a number"],
    [{ lt: null }, "lt is null"],
    [{ prefix: ["a"] }, "prefix is an array"],
    [{ gt: "\ud800" }, "gt holds a lone surrogate"],
    [{ lte: "x".repeat(65_537) }, "lte is longer than any key"],
    [{ prefx: "a" }, "did you mean prefix?"],
    [{ start: "a" }, "use gte, gt"],
    ["abc", "it is a string"],
    [null, "it is null"],
    [[], "it is an array"],
    [Uint8Array.of(1), "it is a Uint8Array"],
    [7, "it is a number"]
  ])("refuses %j", (range, part) => {
    expect(detailOf(range)).toContain(part)
  })

  it("takes limits from nothing to Infinity", () => {
    for (const limit of [0, 1, 2 ** 40, Infinity]) expect(keyBounds({ limit }).limit).toBe(limit)
  })

  it("lets a failure of the caller's own objects through", () => {
    const failure = new Error("theirs")
    expect(() =>
      keyBounds({
        get gte(): string {
          throw failure
        }
      })
    ).toThrow(failure)
    expect(() =>
      keyBounds({
        gte: new Proxy(
          {},
          {
            getPrototypeOf: () => {
              throw failure
            }
          }
        )
      })
    ).toThrow(failure)
  })
})

describe("prefixSuccessor", () => {
  it("is the least string above all that start with the prefix", () => {
    for (const prefix of bounds) {
      const end = prefixSuccessor(prefix)
      for (const key of strings(3)) {
        const below = end === undefined || compareBytes(key, end) < 0
        expect(startsWith(key, prefix)).toBe(below && compareBytes(key, prefix) >= 0)
      }
    }
  })
})
