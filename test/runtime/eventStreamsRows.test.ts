/** The rows of event streams and the versionstamp: bytes worked out by hand, order, and names that try to collide. */
import { describe, expect, it } from "vitest"
import { InvalidKey, InvalidValue } from "../../src/domain/errors.ts"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { decodeRow, encodeRow } from "../../src/runtime/streams/eventRow.ts"
import { decodeEventKey, decodeRevision, encodeRevision, eventKey, eventPrefix, headKey, nameBytes } from "../../src/runtime/streams/streamKeys.ts"
import * as Versionstamp from "../../src/runtime/streams/Versionstamp.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const keyOf = (stream: string, revision: number): Uint8Array => eventKey(eventPrefix(nameBytes(stream)), revision)

describe("keys", () => {
  it("are as documented", () => {
    expect(hex(headKey(nameBytes("ab")))).toBe("016162")
    expect(hex(keyOf("ab", 258))).toBe("0261620000" + "0000000000000102")
    expect(hex(keyOf("a\0b", 0))).toBe("026100ff620000" + "0000000000000000")
    expect(hex(encodeRevision(2 ** 40 + 1))).toBe("0000010000000001")
    expect(decodeRevision(encodeRevision(2 ** 53 - 1))).toBe(2 ** 53 - 1)
    expect(decodeRevision(new Uint8Array(7))).toBeUndefined()
    expect(decodeRevision(new Uint8Array(8).fill(255))).toBeUndefined()
  })

  it("keep streams apart, events in order, and are read back, whatever the names", () => {
    const seed = 20_261_121
    const prng = seededPrng(seed)
    const alphabet = ["\0", "\u0001", "a", "b", "ÿ", "\uffff", "😀"]
    const names = new Set<string>()
    while (names.size < 200) names.add(Array.from({ length: 1 + drawInt(prng, 4) }, () => alphabet[drawInt(prng, alphabet.length)]!).join(""))
    const places = [...names].flatMap((stream) => [0, 1, 255, 256, 2 ** 33, 2 ** 53 - 1].map((revision) => ({ stream, revision })))
    const found = places.map((place) => ({ place, key: keyOf(place.stream, place.revision) })).sort((a, b) => compareBytes(a.key, b.key))
    for (const { place, key } of found) expect(decodeEventKey(key), `seed ${seed}`).toEqual(place)
    const expected = [...places].sort((a, b) => compareBytes(nameBytes(a.stream), nameBytes(b.stream)) || a.revision - b.revision)
    expect(
      found.map(({ place }) => place),
      `seed ${seed}`
    ).toEqual(expected)
    // Nobody's prefix is that of another one's rows.
    for (const a of names) {
      for (const b of names) {
        if (a !== b) expect(hex(keyOf(b, 0)).startsWith(hex(eventPrefix(nameBytes(a)))), `seed ${seed}: ${a} and ${b}`).toBe(false)
      }
    }
  })

  it("are not read out of anything else", () => {
    for (const bytes of [[], [2], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 97, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 97, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]]) {
      expect(decodeEventKey(Uint8Array.from(bytes))).toBeUndefined()
    }
    expect(decodeEventKey(Uint8Array.from([2, 0, 97, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))).toBeUndefined()
    expect(decodeEventKey(Uint8Array.from([2, 97, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0]))).toBeUndefined()
  })

  it("refuse names that cannot be", () => {
    expect(() => nameBytes("")).toThrow(InvalidKey)
    expect(() => nameBytes("a\ud800")).toThrow(InvalidKey)
    expect(() => nameBytes(7)).toThrow(InvalidKey)
    expect(eventPrefix(nameBytes("a".repeat(65_525))).length + 8).toBe(65_536)
    expect(() => eventPrefix(nameBytes("a".repeat(65_526)))).toThrow(InvalidKey)
    expect(() => eventPrefix(nameBytes("\0".repeat(32_763)))).toThrow(InvalidKey)
  })
})

describe("rows", () => {
  const stamp = Versionstamp.encode({ sequence: 515, index: 7 })
  const stored = (row: Uint8Array) => Uint8Array.from([...row, ...stamp])

  it("are as documented", () => {
    const row = encodeRow({ type: "T", metadata: Uint8Array.of(9), timeMs: 300, data: Uint8Array.of(1, 2) })
    expect(hex(row)).toBe("03" + "ac02" + "0154" + "0109" + "0102")
    expect(hex(stamp)).toBe("0000000000000203" + "0007")
    expect(decodeRow(stored(row))).toEqual({
      type: "T",
      metadata: Uint8Array.of(9),
      timeMs: 300,
      data: Uint8Array.of(1, 2),
      position: { sequence: 515, index: 7 }
    })
    const bare = encodeRow({ type: undefined, metadata: undefined, timeMs: 0, data: new Uint8Array(0) })
    expect(hex(bare)).toBe("0000")
    expect(decodeRow(stored(bare))).toMatchObject({ type: undefined, metadata: undefined, data: new Uint8Array(0) })
  })

  it("are refused where they end early, or have flags nobody knows", () => {
    const row = stored(encodeRow({ type: "Type", metadata: Uint8Array.of(9, 9, 9), timeMs: 300, data: new Uint8Array(0) }))
    for (let length = 0; length < row.length; length++) {
      // Cut from the front of the stamp: what is left is too short for the fields, or its last bytes are taken for the stamp.
      expect(
        decodeRow(Uint8Array.from([...row.subarray(0, Math.max(0, length - 10)), ...row.subarray(row.length - Math.min(10, length))]))
      ).toBeUndefined()
    }
    expect(decodeRow(Uint8Array.from([4, 0, ...stamp]))).toBeUndefined()
  })
})

describe("Versionstamp", () => {
  it("orders as its bytes do, and reads back", () => {
    const stamps = [0, 1, 255, 256, 2 ** 32, 2 ** 53 - 1].flatMap((sequence) => [0, 1, 256, 65_535].map((index) => ({ sequence, index })))
    for (const a of stamps) {
      expect(Versionstamp.decode(Versionstamp.encode(a))).toEqual(a)
      for (const b of stamps) {
        expect(Math.sign(Versionstamp.compare(a, b))).toBe(Math.sign(compareBytes(Versionstamp.encode(a), Versionstamp.encode(b))))
      }
    }
  })

  it("is read at an offset, and refuses what it cannot be", () => {
    const bytes = Uint8Array.from([9, ...Versionstamp.encode({ sequence: 3, index: 4 })])
    expect(Versionstamp.decode(bytes, 1)).toEqual({ sequence: 3, index: 4 })
    expect(() => Versionstamp.decode(bytes, 2)).toThrow(InvalidValue)
    expect(() => Versionstamp.decode(bytes, -1)).toThrow(InvalidValue)
    for (const wrong of [
      { sequence: -1, index: 0 },
      { sequence: 0.5, index: 0 },
      { sequence: 2 ** 53, index: 0 },
      { sequence: 0, index: 65_536 }
    ])
      expect(() => Versionstamp.encode(wrong)).toThrow(RangeError)
  })
})
