import { describe, expect, it } from "vitest"
import { BlockCache, blockWeight } from "../../../src/domain/cache/BlockCache.ts"
import { BufferPool } from "../../../src/domain/cache/BufferPool.ts"

const random = (seed: number) => {
  let state = seed | 0
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
}
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

describe("BlockCache", () => {
  it("returns what was put, counts, and stays within its budget", () => {
    const cache = new BlockCache(10 * blockWeight(1000))
    expect(cache.get(1, 2)).toBeUndefined()
    const block = filled(1000, 7)
    cache.put(1, 2, block)
    expect(cache.get(1, 2)).toBe(block)
    expect(cache.get(2, 1)).toBeUndefined()
    expect(cache).toMatchObject({ hits: 1, misses: 2, count: 1, bytes: blockWeight(1000), capacityBytes: 10 * blockWeight(1000) })
    for (let i = 0; i < 50; i++) cache.put(3, i, filled(1000, i))
    expect(cache.count).toBe(10)
    expect(cache.bytes).toBe(cache.capacityBytes)
    expect(cache.get(1, 2)).toBe(block) // asked for twice: a scan does not push it out
    expect(cache.get(3, 0)).toBeUndefined()
    expect(cache.get(3, 49)).toEqual(filled(1000, 49))
  })

  it("keeps the first of two blocks put for one place", () => {
    const cache = new BlockCache(1 << 20)
    const first = filled(10, 1)
    cache.put(4_000_000_000, 4_294_967_295, first)
    cache.put(4_000_000_000, 4_294_967_295, filled(10, 1))
    expect(cache.get(4_000_000_000, 4_294_967_295)).toBe(first)
    expect(cache.count).toBe(1)
  })

  it("does not store what is larger than itself", () => {
    for (const capacity of [0, 1000]) {
      const cache = new BlockCache(capacity)
      cache.put(1, 1, filled(1000, 1))
      expect(cache.get(1, 1)).toBeUndefined()
      expect(cache.bytes).toBe(0)
    }
  })

  it.each([1, 2, 3, 4])("never gives a wrong block over random use (seed %i)", (seed) => {
    const next = random(seed)
    const capacity = 100 * blockWeight(500)
    const cache = new BlockCache(capacity)
    /** The only block that (table, block) may ever return while its table lives. */
    const written = new Map<string, { readonly length: number; readonly byte: number }>()
    for (let step = 0; step < 20_000; step++) {
      const action = next(1000)
      const table = next(6)
      if (action === 0) {
        cache.removeTable(table)
        for (const key of [...written.keys()]) if (key.startsWith(`${table}/`)) written.delete(key)
        for (let block = 0; block < 200; block++) expect(cache.get(table, block)).toBeUndefined()
        continue
      }
      if (action === 1) cache.resize(next(2) === 0 ? capacity / 4 : capacity)
      const block = next(next(2) === 0 ? 20 : 200)
      const key = `${table}/${block}`
      const found = cache.get(table, block)
      const expected = written.get(key)
      if (found !== undefined) {
        expect(found.length, `step ${step}`).toBe(expected!.length)
        expect(found.every((byte) => byte === expected!.byte), `step ${step}`).toBe(true)
      } else {
        const fresh = cache.takeBuffer(1 + next(900)).fill(step)
        cache.put(table, block, fresh)
        written.set(key, { length: fresh.length, byte: step & 0xff })
      }
      expect(cache.bytes).toBeLessThanOrEqual(cache.capacityBytes)
    }
    expect(cache.hits).toBeGreaterThan(1000)
  })

  it("reuses evicted buffers, but none that somebody may hold", () => {
    const capacity = 64 * blockWeight(512)
    const cache = new BlockCache(capacity)
    const fill = (table: number) => {
      for (let i = 0; i < 200; i++) cache.put(table, i, cache.takeBuffer(500).fill(i))
    }
    fill(1)
    // A reader that holds may keep what it got, whatever is evicted.
    cache.hold()
    cache.hold()
    cache.release()
    const held = cache.get(1, 199)!
    cache.removeTable(1)
    fill(2)
    fill(3)
    expect(cache.get(1, 199) === undefined).toBe(true)
    expect(held.every((byte) => byte === 199)).toBe(true)
    cache.release()
    // Without one, memory comes round again.
    const buffers = new Set<ArrayBufferLike>()
    for (let i = 0; i < 1000; i++) {
      const buffer = cache.takeBuffer(500)
      buffers.add(buffer.buffer)
      cache.put(4, i, buffer)
    }
    expect(buffers.size).toBeLessThan(150)
    expect(held.every((byte) => byte === 199)).toBe(true)
  })

  it("does not recycle a block that leaves while it is held, and does otherwise", () => {
    for (const isHeld of [true, false]) {
      const cache = new BlockCache(1 << 20)
      cache.put(1, 1, cache.takeBuffer(500).fill(7))
      if (isHeld) cache.hold()
      const block = cache.get(1, 1)!
      cache.removeTable(1)
      cache.takeBuffer(500).fill(0)
      expect(block[0]).toBe(isHeld ? 7 : 0)
    }
  })

  it("shrinks at once", () => {
    const cache = new BlockCache(1 << 20)
    for (let i = 0; i < 100; i++) cache.put(1, i, filled(1000, i))
    cache.resize(10 * blockWeight(1000))
    expect(cache.count).toBe(10)
    cache.resize(0)
    expect(cache).toMatchObject({ count: 0, bytes: 0 })
    cache.put(1, 1, filled(1000, 1))
    expect(cache.count).toBe(0)
  })
})

describe("BufferPool", () => {
  it("hands back buffers of the same size class, within its bound", () => {
    const pool = new BufferPool(1024)
    const a = pool.take(500)
    expect(a).toHaveLength(500)
    expect(a.buffer.byteLength).toBe(512)
    pool.give(a)
    expect(pool.take(100).buffer).toBe(a.buffer)
    const others = [pool.take(1), pool.take(2), pool.take(3)]
    for (const one of others) pool.give(one)
    expect(pool.take(4).buffer).toBe(others[1]!.buffer)
    expect(pool.take(4).buffer).toBe(others[0]!.buffer)
    expect(others.map(({ buffer }) => buffer)).not.toContain(pool.take(4).buffer)
  })

  it("refuses what it could not have made", () => {
    const pool = new BufferPool(1 << 20)
    const refused = [filled(100, 1), new Uint8Array(new SharedArrayBuffer(512)), new Uint8Array(0), pool.take(200_000), new Uint8Array(new ArrayBuffer(2048), 0, 100)]
    for (const one of refused) pool.give(one)
    for (const one of refused) expect(pool.take(Math.max(1, one.length)).buffer).not.toBe(one.buffer)
  })

  it("lets go of all when it shrinks below what it holds", () => {
    const pool = new BufferPool(4096)
    const a = pool.take(512)
    pool.give(a)
    pool.resize(512)
    expect(pool.take(512).buffer).toBe(a.buffer)
    pool.give(a)
    pool.resize(511)
    expect(pool.take(512).buffer).not.toBe(a.buffer)
  })
})
