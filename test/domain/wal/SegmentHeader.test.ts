import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  headerSum,
  segmentAlignmentDefault,
  segmentHeaderBytes
} from "../../../src/domain/wal/SegmentHeader.ts"
import { counting, crc32, damageOf } from "./segments.ts"

const fields = { uuid: counting(0x10), fileId: 2 ** 40, epoch: 0xffff_ffff, salt: counting(0xa0) }
const small = encodeSegmentHeader(crc32, { ...fields, alignment: 512 })
const decode = (bytes: Uint8Array) => decodeSegmentHeader(crc32, "a.log", bytes)
/** The header with some bytes changed and its sum made right again. */
const forged = (change: (bytes: Uint8Array) => void): Uint8Array => {
  const bytes = small.slice()
  change(bytes)
  writeU32(bytes, 8, crc32(bytes.subarray(12)))
  return bytes
}

describe("SegmentHeader", () => {
  it("round-trips, with the default alignment and with groups behind it", () => {
    const bytes = encodeSegmentHeader(crc32, fields)
    expect(bytes.length).toBe(segmentAlignmentDefault)
    const header = decode(Uint8Array.of(...bytes, 1, 2, 3))
    expect(header).toEqual({
      ...fields,
      alignment: 4096,
      keySlot: new Uint8Array(64),
      compatible: 0,
      incompatible: 0,
      sum: headerSum(bytes),
      saltSum: crc32(fields.salt)
    })
    expect(segmentHeaderBytes(header)).toBe(4096)
  })

  it("refuses fields it cannot store", () => {
    for (const alignment of [0, 256, 513, 131_072]) expect(() => encodeSegmentHeader(crc32, { ...fields, alignment })).toThrow(RangeError)
    expect(() => encodeSegmentHeader(crc32, { ...fields, salt: new Uint8Array(15) })).toThrow(RangeError)
    expect(() => encodeSegmentHeader(crc32, { ...fields, uuid: new Uint8Array(17) })).toThrow(RangeError)
  })

  it("is Truncated at every prefix", () => {
    for (let n = 0; n < small.length; n++) expect(damageOf(() => decode(small.subarray(0, n))).reason).toBe("Truncated")
  })

  it("notices every flipped bit", () => {
    for (let bit = 0; bit < small.length * 8; bit++) {
      const bytes = small.slice()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const { reason } = damageOf(() => decode(bytes))
      if (bit < 64) expect(reason).toBe("BadMagic")
      else expect(["ChecksumMismatch", "Truncated"]).toContain(reason)
    }
  })

  it("refuses what a newer version wrote, and ignores compatible features", () => {
    expect(damageOf(() => decode(forged((b) => (b[12] = 2)))).reason).toBe("UnsupportedVersion")
    expect(damageOf(() => decode(forged((b) => (b[24] = 1)))).reason).toBe("UnsupportedVersion")
    expect(damageOf(() => decode(forged((b) => (b[100] = 1)))).reason).toBe("UnsupportedVersion")
    expect(damageOf(() => decode(forged((b) => (b[54] = 0x20)))).reason).toBe("Malformed")
    expect(decode(forged((b) => (b[20] = 5))).compatible).toBe(5)
  })
})
