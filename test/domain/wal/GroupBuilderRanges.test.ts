import { describe, expect, it } from "vitest"
import { crc32 } from "node:zlib"
import { GroupBuilder } from "../../../src/domain/wal/GroupBuilder.ts"

const placement = { saltSum: 7, epoch: 1, position: 0, firstSequence: 1, durableThrough: 0, previousSum: 0 }

describe("GroupBuilder.putRange", () => {
  it("writes what put writes, whatever the lengths and wherever the ranges lie", () => {
    const arena = Uint8Array.from({ length: 600 }, (_, i) => (i * 37) & 0xff)
    for (const [keyLength, valueLength] of [
      [1, 0],
      [16, 39],
      [16, 40],
      [40, 41],
      [41, 100],
      [200, 300]
    ] as const) {
      const key = arena.subarray(5, 5 + keyLength)
      const value = arena.subarray(250, 250 + valueLength)
      const whole = value.slice()
      const expected = new GroupBuilder(crc32)
      const actual = new GroupBuilder(crc32)
      for (const builder of [expected, actual]) builder.beginTransaction(1000)
      expected.put(300, key, value)
      expected.put(1, key, whole)
      actual.putRange(300, arena, 5, 5 + keyLength, arena, 250, 250 + valueLength)
      actual.putRange(1, arena, 5, 5 + keyLength, whole, 0, whole.length)
      for (const builder of [expected, actual]) builder.endTransaction()
      expect(actual.finish(placement).bytes).toEqual(expected.finish(placement).bytes)
    }
  })

  it("belongs into a transaction", () => {
    expect(() => new GroupBuilder(crc32).putRange(1, new Uint8Array(1), 0, 1, new Uint8Array(0), 0, 0)).toThrow("no transaction is open")
  })
})
