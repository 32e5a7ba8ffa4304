import { describe, expect, it } from "vitest"
import { isEmptyRange, ReadSet, WalkedRange } from "../../../src/domain/transaction/ReadSet.ts"

const bytes = (...values: ReadonlyArray<number>) => new Uint8Array(values)

describe("ReadSet", () => {
  it("notes each key once, also where there are many, and where hashes meet", () => {
    const reads = new ReadSet()
    const has = (keyspace: number, key: Uint8Array, hash: number) => reads.hasPoint(keyspace, hash, key, 0, key.length)
    for (let n = 0; n < 40; n++) {
      const key = bytes(n)
      expect(has(1, key, n % 7)).toBe(false)
      reads.addPoint(1, n % 7, key)
      expect(has(1, key, n % 7)).toBe(true)
      expect(has(2, key, n % 7)).toBe(false)
      expect(has(1, bytes(n, 0), n % 7)).toBe(false)
    }
    expect(reads.points).toHaveLength(40)
  })

  it("a walk has read as far as it came: [lower, key‖00) forwards, [key, upper) backwards, all of it at its end", () => {
    const reads = new ReadSet()
    const forwards = new WalkedRange(reads, 1, bytes(2), bytes(9), false)
    const backwards = new WalkedRange(reads, 1, bytes(2), undefined, true)
    const [first, second] = reads.ranges
    expect([first, second].every((range) => isEmptyRange(range!))).toBe(true)
    forwards.advance(bytes(5))
    expect(first).toMatchObject({ start: bytes(2), end: bytes(5, 0) })
    const key = bytes(7)
    backwards.advance(key)
    key[0] = 99
    expect(second).toMatchObject({ start: bytes(7), end: undefined })
    expect(isEmptyRange(second!)).toBe(false)
    forwards.finish()
    backwards.finish()
    expect(first).toMatchObject({ start: bytes(2), end: bytes(9) })
    expect(second).toMatchObject({ start: bytes(2), end: undefined })
  })

  it("remembers what expires first", () => {
    const reads = new ReadSet()
    expect(reads.expiring).toBeUndefined()
    reads.noteExpiry(50, 1, bytes(1))
    reads.noteExpiry(40, 2, bytes(2))
    reads.noteExpiry(60, 3, bytes(3))
    expect(reads.expiring).toEqual({ expiresAt: 40, keyspace: 2, key: bytes(2) })
  })

  it("is bounded in bytes", () => {
    const reads = new ReadSet(1000)
    expect(() => {
      for (let n = 0; n < 100; n++) reads.addPoint(1, n, bytes(n))
    }).toThrow("reads")
    expect(reads.points.length).toBeGreaterThan(5)
    const ranges = new ReadSet(1000)
    expect(() => {
      for (let n = 0; n < 100; n++) ranges.addRange(1, bytes(n), bytes(n, 1))
    }).toThrow("reads")
  })
})
