import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import {
  decodeExpiryRow,
  expiryRowOverhead,
  expiryRowsFrom,
  readU64BigEndian,
  writeExpiryRowHead,
  writeU64BigEndian
} from "../../../src/domain/keys/expiryRows.ts"

const expiryRowKey = (expiresAt: number, keyspace: number, key: Uint8Array): Uint8Array => {
  const row = new Uint8Array(expiryRowOverhead + key.length)
  writeExpiryRowHead(row, 0, expiresAt, keyspace)
  row.set(key, expiryRowOverhead)
  return row
}

const row = fc.record({
  expiresAt: fc.maxSafeNat(),
  keyspace: fc.integer({ min: 0, max: 0xffff_ffff }),
  key: fc.uint8Array({ minLength: 1, maxLength: 8 })
})

describe("expiry rows", () => {
  it("are expiry, keyspace and key, big-endian", () => {
    const bytes = expiryRowKey(0x0001_0203_0405_0607, 0x0809_0a0b, Uint8Array.of(12, 13))
    expect(bytes).toEqual(Uint8Array.from({ length: 14 }, (_, i) => i))
    expect(decodeExpiryRow(bytes)).toEqual({ expiresAt: 0x0001_0203_0405_0607, keyspace: 0x0809_0a0b, key: Uint8Array.of(12, 13) })
  })

  it("are in the order of time, and begin where one looks for them", () => {
    fc.assert(
      fc.property(row, row, (a, b) => {
        const bytes = expiryRowKey(a.expiresAt, a.keyspace, a.key)
        expect(decodeExpiryRow(bytes)).toEqual(a)
        const expected = Math.sign(a.expiresAt - b.expiresAt) || Math.sign(a.keyspace - b.keyspace) || Math.sign(compareBytes(a.key, b.key))
        expect(Math.sign(compareBytes(bytes, expiryRowKey(b.expiresAt, b.keyspace, b.key)))).toBe(expected)
        expect(compareBytes(bytes, expiryRowsFrom(b.expiresAt)) > 0).toBe(a.expiresAt >= b.expiresAt)
      }),
      { seed: 20_261_123 }
    )
  })

  it("hold numbers up to the last safe one", () => {
    const bytes = new Uint8Array(9)
    for (const n of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      writeU64BigEndian(bytes, 1, n)
      expect(readU64BigEndian(bytes, 1)).toBe(n)
    }
  })
})
