import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ByteReader } from "../../../src/domain/bytes/ByteReader.ts"
import { ByteWriter } from "../../../src/domain/bytes/ByteWriter.ts"
import { alignUp, copyOf, isZero, readU64, writeU64 } from "../../../src/domain/bytes/fixed.ts"
import { MalformedBytes, readVarint, varintBytes, varintEnd, writeVarint } from "../../../src/domain/bytes/varint.ts"

const max = Number.MAX_SAFE_INTEGER
const encode = (n: number): Uint8Array => {
  const bytes = new Uint8Array(10)
  return bytes.slice(0, writeVarint(bytes, 0, n))
}

describe("varint", () => {
  it("has the published encoding", () => {
    expect([...encode(0)]).toEqual([0])
    expect([...encode(127)]).toEqual([0x7f])
    expect([...encode(128)]).toEqual([0x80, 1])
    expect([...encode(624_485)]).toEqual([0xe5, 0x8e, 0x26])
    expect([...encode(max)]).toEqual([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f])
  })

  it("round-trips at every power of two and every length", () => {
    for (let bit = 0; bit <= 53; bit++) {
      for (const n of [2 ** bit - 1, 2 ** bit, 2 ** bit + 1]) {
        if (n > max) continue
        const bytes = encode(n)
        expect(varintBytes(n), String(n)).toBe(bytes.length)
        expect(readVarint(bytes, 0, bytes.length), String(n)).toBe(n)
        expect(varintEnd()).toBe(bytes.length)
        for (let end = 0; end < bytes.length; end++) expect(() => readVarint(bytes, 0, end)).toThrow(MalformedBytes)
      }
    }
  })

  it("round-trips anything, in place", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(5), (n, at) => {
        const bytes = new Uint8Array(16).fill(0xff)
        const end = writeVarint(bytes, at, n)
        expect(end).toBe(at + varintBytes(n))
        expect(readVarint(bytes, at, end)).toBe(n)
        expect(bytes[end]).toBe(0xff)
      }),
      { seed: 20_261_120 }
    )
  })

  it("refuses a padded form, a number beyond 2^53 - 1 and one that never ends", () => {
    for (const bytes of [[0x80, 0], [0x81, 0x80, 0], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10], Array(9).fill(0x80)]) {
      expect(() => readVarint(Uint8Array.from(bytes), 0, bytes.length), bytes.join()).toThrow(MalformedBytes)
    }
  })
})

describe("ByteReader and ByteWriter", () => {
  it("round-trip every field", () => {
    const writer = new ByteWriter(1)
    writer.u8(255).u32(0xdead_beef).u64(max).varint(300).lengthPrefixed(Uint8Array.of(1, 2)).raw(Uint8Array.of(9))
    const reader = new ByteReader(writer.bytes)
    expect([reader.u8(), reader.u32(), reader.u64(), reader.varint()]).toEqual([255, 0xdead_beef, max, 300])
    expect([...reader.lengthPrefixed()]).toEqual([1, 2])
    expect(reader.remaining).toBe(1)
    expect([...reader.take(1)]).toEqual([9])
    expect(() => reader.u8()).toThrow(MalformedBytes)
    expect(writer.length).toBe(reader.end)
    writer.clear()
    expect(writer.length).toBe(0)
  })

  it("never read past the end, nor a number they cannot hold", () => {
    const bytes = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
    expect(() => new ByteReader(bytes).u64()).toThrow(MalformedBytes)
    expect(() => new ByteReader(bytes, 0, 3).u32()).toThrow(MalformedBytes)
    expect(() => new ByteReader(bytes, 5).take(4)).toThrow(MalformedBytes)
    expect(() => new ByteReader(bytes, 5, 9)).toThrow(RangeError)
  })

  it("never write what cannot be stored", () => {
    const writer = new ByteWriter()
    expect(() => writer.u8(256)).toThrow(RangeError)
    expect(() => writer.u32(-1)).toThrow(RangeError)
    expect(() => writer.u64(2 ** 53)).toThrow(RangeError)
    expect(() => writer.varint(1.5)).toThrow(RangeError)
    expect(() => writer.varint(Number.NaN)).toThrow(RangeError)
  })
})

describe("fixed", () => {
  it("keeps 64-bit numbers to 2^53 - 1 and shows those beyond", () => {
    const bytes = new Uint8Array(8)
    for (const n of [0, 1, 2 ** 32 - 1, 2 ** 32, max]) {
      writeU64(bytes, 0, n)
      expect(readU64(bytes, 0)).toBe(n)
    }
    bytes.fill(0)
    bytes[6] = 0x20
    bytes[0] = 1
    expect(readU64(bytes, 0)).toBeGreaterThan(max)
  })

  it("copies, whatever kind of array it is given", () => {
    const buffer = Buffer.from([1, 2, 3])
    const copy = copyOf(buffer.subarray(1))
    buffer[1] = 9
    expect(copy).toEqual(Uint8Array.of(2, 3))
  })

  it("aligns and finds zeros", () => {
    expect([0, 1, 512, 513].map((n) => alignUp(n, 512))).toEqual([0, 512, 512, 1024])
    expect(isZero(Uint8Array.of(1, 0, 0, 1), 1, 3)).toBe(true)
    expect(isZero(Uint8Array.of(1, 0, 0, 1), 1, 4)).toBe(false)
  })
})
