import { describe, expect, it } from "vitest"
import { Arc } from "../../../src/domain/cache/Arc.ts"
import { BlockCache } from "../../../src/domain/cache/BlockCache.ts"

const random = (seed: number) => {
  let state = seed | 0
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
}
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)
const frame = 1000
const weight = new BlockCache(0, frame).weightOf(frame)

describe("BlockCache", () => {
  it("returns what was put, counts, and stays within its budget", () => {
    const cache = new BlockCache(10 * weight, frame)
    expect(cache.find(1, 2)).toBe(false)
    cache.put(1, 2, filled(900, 7))
    expect(cache.find(1, 2)).toBe(true)
    expect(cache.bytes.subarray(cache.start, cache.start + cache.length)).toEqual(filled(900, 7))
    expect(cache.copy(1, 2)).toEqual(filled(900, 7))
    expect(cache.find(2, 1)).toBe(false)
    expect(cache).toMatchObject({ hits: 2, misses: 2, count: 1, bytesUsed: weight, capacityBytes: 10 * weight })
    for (let i = 0; i < 50; i++) cache.put(3, i, filled(1000, i))
    expect(cache.count).toBe(10)
    expect(cache.bytesUsed).toBe(cache.capacityBytes)
    expect(cache.copy(1, 2)).toEqual(filled(900, 7)) // asked for twice: a scan does not push it out
    expect(cache.copy(3, 0)).toBeUndefined()
    expect(cache.copy(3, 49)).toEqual(filled(1000, 49))
  })

  it("takes a block back that turned out bad", () => {
    const cache = new BlockCache(10 * weight, frame)
    expect(cache.place(1, 1, 500)).toBe(true)
    cache.remove(1, 1)
    cache.remove(1, 2)
    expect(cache.find(1, 1)).toBe(false)
    expect(cache).toMatchObject({ count: 0, bytesUsed: 0 })
  })

  it("gives the caller copies that nothing changes", () => {
    const cache = new BlockCache(2 * weight, frame)
    cache.put(1, 1, filled(1000, 1))
    const copy = cache.copy(1, 1)!
    for (let i = 2; i < 20; i++) cache.put(1, i, filled(1000, i))
    expect(copy).toEqual(filled(1000, 1))
    copy.fill(9)
    cache.put(5, 5, filled(1000, 5))
    cache.copy(5, 5)!.fill(6)
    expect(cache.copy(5, 5)).toEqual(filled(1000, 5))
  })

  it("keeps blocks larger than a frame, by their own weight", () => {
    const cache = new BlockCache(10_000, frame)
    cache.put(1, 1, filled(5000, 3))
    expect(cache.copy(1, 1)).toEqual(filled(5000, 3))
    expect(cache.bytesUsed).toBe(cache.weightOf(5000))
    cache.put(1, 2, filled(5000, 4))
    expect(cache.count).toBe(1)
    cache.removeTable(1)
    expect(cache).toMatchObject({ count: 0, bytesUsed: 0 })
  })

  it("keeps the first of two blocks put for one place", () => {
    const cache = new BlockCache(1 << 20, frame)
    cache.put(4_000_000_000, 100_000, filled(10, 1))
    expect(cache.place(4_000_000_000, 100_000, 10)).toBe(true)
    expect(cache.copy(4_000_000_000, 100_000)).toEqual(filled(10, 1))
    expect(cache.copy(4_000_000_000, 100_001)).toBeUndefined()
    expect(cache.count).toBe(1)
  })

  it("does not store what is larger than itself", () => {
    for (const capacity of [0, 1000]) {
      const cache = new BlockCache(capacity, frame)
      cache.put(1, 1, filled(1000, 1))
      expect(cache.copy(1, 1)).toBeUndefined()
      expect(cache.bytesUsed).toBe(0)
    }
  })

  it("forgets a table it never had", () => {
    const cache = new BlockCache(10 * weight, frame)
    cache.put(1, 1, filled(10, 1))
    cache.removeTable(2)
    expect(cache.count).toBe(1)
  })

  it.each([1, 2, 3, 4])("never gives a wrong block over random use (seed %i)", (seed) => {
    const next = random(seed)
    const capacity = 100 * weight
    const cache = seed % 2 === 0 ? new BlockCache(capacity, frame) : new BlockCache(capacity, frame, (bytes, contents) => new Arc(bytes, contents))
    const written = new Map<string, { readonly length: number; readonly byte: number }>()
    for (let step = 0; step < 20_000; step++) {
      const action = next(1000)
      const table = next(6)
      const block = next(200)
      const key = `${table}/${block}`
      if (action === 0) {
        cache.removeTable(table)
        for (const known of [...written.keys()]) if (known.startsWith(`${table}/`)) written.delete(known)
      } else if (action === 1) cache.resize(next(2) === 0 ? capacity : capacity / 2)
      else if (action < 400) {
        const found = cache.copy(table, block)
        const expected = written.get(key)
        if (found !== undefined) expect(found, key).toEqual(filled(expected!.length, expected!.byte))
      } else {
        const known = written.get(key) ?? { length: 1 + next(1400), byte: step & 0xff }
        written.set(key, known)
        cache.put(table, block, filled(known.length, known.byte))
      }
      expect(cache.bytesUsed).toBeLessThanOrEqual(cache.capacityBytes)
    }
  })

  it("gives the memory of what it lets go back, and keeps what is asked for, with its bytes", () => {
    const frameBytes = 1024
    const cache = new BlockCache(16 << 20, frameBytes)
    const count = 15_000
    for (let i = 0; i < count; i++) cache.put(1, i, filled(frameBytes, i & 0xff))
    cache.put(2, 0, filled(100_000, 7))
    const hot = Array.from({ length: 200 }, (_, i) => i * 70)
    for (let round = 0; round < 3; round++) for (const block of hot) expect(cache.find(1, block)).toBe(true)
    const full = cache.bytesAllocated
    expect(full).toBeGreaterThan(14 << 20)
    cache.resize(2 << 20)
    expect(cache.bytesUsed).toBeLessThanOrEqual(2 << 20)
    // A segment of frames may be filled in part; the tables of slots stay.
    expect(cache.bytesAllocated).toBeLessThan(full - (12 << 20))
    for (const block of hot) expect(cache.copy(1, block), `block ${block}`).toEqual(filled(frameBytes, block & 0xff))
    for (let i = 0; i < count; i++) {
      const found = cache.copy(1, i)
      if (found !== undefined) expect(found).toEqual(filled(frameBytes, i & 0xff))
    }
    // Grown back it fills again.
    cache.resize(16 << 20)
    for (let i = 0; i < count; i++) cache.put(1, i, filled(frameBytes, i & 0xff))
    for (let i = 0; i < count; i += 7) expect(cache.copy(1, i)).toEqual(filled(frameBytes, i & 0xff))
    cache.resize(0)
    expect(cache.count).toBe(0)
    expect(cache.bytesAllocated).toBeLessThan(1 << 20)
  })
})
