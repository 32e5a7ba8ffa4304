import { describe, expect, it } from "vitest"
import { ValueCache, valueOverheadBytes } from "../../../src/domain/cache/ValueCache.ts"

const utf8 = new TextEncoder()
const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : new TextDecoder().decode(bytes))
const large = 1 << 20
/** Offers the value of a read. */
const fill = (
  cache: ValueCache,
  key: string,
  snapshot: number,
  value: string,
  more: { readonly hash?: number; readonly keyspace?: number; readonly expiresAt?: number } = {}
): boolean => {
  const bytes = utf8.encode(`<${value}>`)
  return cache.fill(more.keyspace ?? 1, key, more.hash ?? 5, snapshot, bytes, 1, bytes.length - 1, more.expiresAt ?? 0)
}

describe("ValueCache", () => {
  it("serves a value to snapshots at or after the one it was read at", () => {
    const cache = new ValueCache(large, 3)
    expect(cache.getBytes(1, "k", 9, 0)).toBeUndefined()
    expect(fill(cache, "k", 5, "v")).toBe(true)
    for (const snapshot of [5, 6, 1000]) {
      expect(text(cache.getBytes(1, "k", snapshot, 0))).toBe("v")
      expect(cache.getText(1, "k", snapshot, 0)).toBe("v")
      expect(cache.has(1, "k", snapshot, 0)).toBe(true)
    }
    expect(cache.getText(1, "k", 4, 0)).toBeUndefined()
    expect(cache.getText(2, "k", 5, 0)).toBeUndefined()
    expect(cache.getText(1, "K", 5, 0)).toBeUndefined()
    expect(cache).toMatchObject({ hits: 9, misses: 4, count: 1 })
    // The same version read at an earlier snapshot serves from there on.
    expect(fill(cache, "k", 4, "v")).toBe(true)
    expect(cache.getText(1, "k", 4, 0)).toBe("v")
    expect(fill(cache, "k", 8, "v")).toBe(true)
    expect(cache.getText(1, "k", 4, 0)).toBe("v")
  })

  it("checks the expiry at every hit", () => {
    const cache = new ValueCache(large, 0)
    fill(cache, "k", 5, "v", { expiresAt: 100 })
    expect(cache.getText(1, "k", 5, 99)).toBe("v")
    expect(cache.getText(1, "k", 5, 100)).toBeUndefined()
    expect(cache.getText(1, "k", 5, 99)).toBe("v")
  })

  it("is invalidated when a write of the bucket is sequenced, and refuses reads from before it", () => {
    const cache = new ValueCache(large, 0)
    fill(cache, "k", 5, "old")
    cache.noteWrite(5, 7)
    expect(cache.getText(1, "k", 5, 0)).toBeUndefined()
    expect(cache.getText(1, "k", 7, 0)).toBeUndefined()
    expect(fill(cache, "k", 6, "old")).toBe(false)
    expect(fill(cache, "k", 7, "new")).toBe(true)
    expect(cache.getText(1, "k", 7, 0)).toBe("new")
    expect(cache.getText(1, "k", 6, 0)).toBeUndefined()
    expect(cache.count).toBe(1)
  })

  it("takes over a write's own value, only for keys that are cached, only from its sequence on", () => {
    const cache = new ValueCache(large, 0)
    fill(cache, "k", 5, "old")
    cache.noteWrite(5, 7)
    cache.written(1, "k", 7, utf8.encode("new"), 0, 3, 0)
    cache.written(1, "other", 7, utf8.encode("new"), 0, 3, 0)
    expect(cache.getText(1, "k", 6, 0)).toBeUndefined()
    expect(cache.getText(1, "k", 7, 0)).toBe("new")
    expect(cache.getText(1, "other", 7, 0)).toBeUndefined()
    cache.noteWrite(5, 8)
    cache.written(1, "k", 8, undefined, 0, 0, 0)
    expect(cache.getText(1, "k", 8, 0)).toBeUndefined()
    expect(cache.bytes).toBe(0)
  })

  it("discards the values of writes that failed", () => {
    const cache = new ValueCache(large, 0)
    fill(cache, "kept", 5, "v", { hash: 1 })
    fill(cache, "k", 5, "old")
    cache.noteWrite(5, 7)
    cache.written(1, "k", 7, utf8.encode("lost"), 0, 4, 0)
    cache.discardAbove(6)
    // New sequences lie above the failed ones: a snapshot at 9 must not see them.
    expect(cache.getText(1, "k", 9, 0)).toBeUndefined()
    expect(cache.getText(1, "kept", 9, 0)).toBe("v")
    expect(cache.count).toBe(1)
  })

  it("serves nothing from below a floor", () => {
    const cache = new ValueCache(large, 4)
    expect(fill(cache, "k", 3, "v")).toBe(false)
    fill(cache, "k", 5, "v")
    fill(cache, "k", 5, "v", { keyspace: 2 })
    cache.raiseFloor(8, 1)
    cache.raiseFloor(6, 1)
    expect(cache.getText(1, "k", 9, 0)).toBeUndefined()
    expect(fill(cache, "k", 7, "v")).toBe(false)
    expect(cache.getText(2, "k", 9, 0)).toBe("v")
    expect(fill(cache, "k", 8, "v")).toBe(true)
    cache.raiseFloor(10)
    cache.raiseFloor(9)
    expect(cache.getText(1, "k", 11, 0)).toBeUndefined()
    expect(cache.getText(2, "k", 11, 0)).toBeUndefined()
    expect(fill(cache, "k", 9, "v", { keyspace: 3 })).toBe(false)
  })

  it("gives the memory of a dropped keyspace back, and takes nothing from snapshots before the drop", () => {
    const cache = new ValueCache(large, 0)
    for (let i = 0; i < 10; i++) fill(cache, `k${i}`, 5, "v", { keyspace: 16, hash: i })
    fill(cache, "k", 5, "v")
    cache.dropKeyspace(16, 9)
    expect(cache.count).toBe(1)
    expect(fill(cache, "k1", 8, "v", { keyspace: 16 })).toBe(false)
    expect(cache.getText(1, "k", 9, 0)).toBe("v")
  })

  it("copies values in and keeps none of the caller's strings", () => {
    const cache = new ValueCache(large, 0)
    const bytes = utf8.encode("value")
    cache.fill(1, "key-of-many-characters-é-\ufeff", 5, 5, bytes, 0, 5, 0)
    bytes.fill(0)
    expect(cache.getText(1, "key-of-many-characters-é-\ufeff", 5, 0)).toBe("value")
  })

  it("stays within its bytes, keeps what is hit, lets a newcomer in when it comes again", () => {
    const capacity = 200_000
    const cache = new ValueCache(capacity, 0)
    let n = 0
    while (fill(cache, `key${n}`, 5, "v".repeat(50), { hash: n })) n++
    const full = cache.bytes
    expect(full).toBeLessThanOrEqual(capacity)
    expect(full).toBeGreaterThan(capacity * 0.9)
    expect(full).toBe([...Array(n).keys()].reduce((total, i) => total + `key${i}`.length * 2 + 50 + valueOverheadBytes, 0))
    // Refused once, remembered, let in the second time. What was hit survives the hand, what was not makes room.
    cache.getBytes(1, "key0", 5, 0)
    for (let i = n; i < 2 * n - 1; i++) {
      if (i > n) expect(fill(cache, `key${i}`, 5, "v".repeat(50), { hash: i })).toBe(false)
      expect(fill(cache, `key${i}`, 5, "v".repeat(50), { hash: i })).toBe(true)
      expect(cache.bytes).toBeLessThanOrEqual(capacity)
      cache.getBytes(1, "key0", 5, 0)
    }
    expect(cache.getText(1, "key0", 5, 0)).toBe("v".repeat(50))
    expect(cache.getText(1, "key1", 5, 0)).toBeUndefined()
    // A decoded text counts too, and is not kept where there is no room.
    for (let i = 0; i < 2 * n; i++) cache.getText(1, `key${i}`, 5, 0)
    expect(cache.bytes).toBeLessThanOrEqual(capacity)
    cache.resize(capacity / 2)
    expect(cache.bytes).toBeLessThanOrEqual(capacity / 2)
    cache.resize(0)
    expect(cache).toMatchObject({ bytes: 0, count: 0 })
    expect(fill(cache, "k", 5, "v")).toBe(false)
  })

  it("takes what can never be served again first", () => {
    const cache = new ValueCache(100_000, 0)
    let n = 0
    while (fill(cache, `key${n}`, 5, "v", { hash: n })) n++
    for (let i = 0; i < n; i++) cache.has(1, `key${i}`, 5, 0)
    cache.noteWrite(3, 6)
    const count = cache.count
    expect(fill(cache, `key${n}`, 6, "v", { hash: n })).toBe(true)
    expect(cache.count).toBe(count)
    expect(cache.has(1, "key3", 6, 0)).toBe(false)
    for (const i of [0, 1, 2, 4, 5]) expect(cache.has(1, `key${i}`, 6, 0)).toBe(true)
  })

  it("does not keep a value that would fill it, not even a written one", () => {
    const cache = new ValueCache(100_000, 0)
    expect(fill(cache, "k", 5, "v".repeat(20_000))).toBe(false)
    fill(cache, "k", 5, "v")
    cache.noteWrite(5, 6)
    cache.written(1, "k", 6, new Uint8Array(20_000), 0, 20_000, 0)
    expect(cache.has(1, "k", 6, 0)).toBe(false)
    expect(cache.count).toBe(0)
  })
})

interface Version {
  readonly sequence: number
  readonly value: string | undefined
  readonly expiresAt: number
}

const random = (seed: number) => {
  let state = seed | 0
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
}

describe("ValueCache against a model of versions", () => {
  /** A database in a few lines: versions per key, a sequenced and a visible end; the cache is driven as the engine drives it. */
  const run = (seed: number, capacity: number): number => {
    const next = random(seed)
    const cache = new ValueCache(capacity, 0)
    const keys = ["a", "b", "c", "d", "key-longer-than-thirteen", "é", "f", "g"]
    const versions = new Map<string, Array<Version>>()
    const place = (keyspace: number, key: string) => `${keyspace}/${key}`
    /** Few buckets, so that keys share them. */
    const hashOf = (keyspace: number, key: string) => ((keyspace * 3 + keys.indexOf(key)) % 9) - 2
    let sequenced = 0
    let visible = 0
    let timeMs = 0
    let snapshots: Array<{ readonly sequence: number; readonly timeMs: number }> = []
    const seen = (keyspace: number, key: string, snapshot: { readonly sequence: number; readonly timeMs: number }): Version | undefined => {
      const version = versions.get(place(keyspace, key))?.findLast(({ sequence }) => sequence <= snapshot.sequence)
      return version?.value !== undefined && (version.expiresAt === 0 || version.expiresAt > snapshot.timeMs) ? version : undefined
    }
    const write = (keyspace: number, key: string, value: string | undefined, expiresAt: number): void => {
      const list = versions.get(place(keyspace, key)) ?? []
      versions.set(place(keyspace, key), list)
      list.push({ sequence: sequenced, value, expiresAt })
    }
    for (let step = 0; step < 3000; step++) {
      const keyspace = 1 + next(2)
      const key = keys[next(keys.length)]!
      const action = next(100)
      if (action < 6) {
        // One transaction of one to three keys, by string or by bytes.
        sequenced++
        for (const one of new Set([key, keys[next(keys.length)]!, keys[next(keys.length)]!].slice(next(3)))) {
          const value = next(4) === 0 ? undefined : `${step}${one}`
          const expiresAt = next(3) === 0 ? timeMs + next(20) : 0
          write(keyspace, one, value, expiresAt)
          cache.noteWrite(hashOf(keyspace, one), sequenced)
          if (next(2) === 0) {
            const bytes = value === undefined ? undefined : utf8.encode(value)
            cache.written(keyspace, one, sequenced, bytes, 0, bytes?.length ?? 0, expiresAt)
          }
        }
      } else if (action < 7) {
        sequenced++
        for (const one of keys.slice(next(4))) write(keyspace, one, undefined, 0)
        if (next(2) === 0) {
          for (const one of keys) write(keyspace, one, undefined, 0)
          cache.dropKeyspace(keyspace, sequenced)
        } else cache.raiseFloor(sequenced, keyspace)
      } else if (action < 20) visible = sequenced
      else if (action < 22) {
        // What was sequenced and is not visible fails; its sequences are not used again.
        for (const [at, list] of versions)
          versions.set(
            at,
            list.filter(({ sequence }) => sequence <= visible)
          )
        cache.discardAbove(visible)
      } else if (action < 26) {
        timeMs += next(8)
        snapshots = [...snapshots, { sequence: visible, timeMs }].slice(-5)
      } else {
        const snapshot = next(3) > 0 || snapshots.length === 0 ? { sequence: visible, timeMs } : snapshots[next(snapshots.length)]!
        const truth = seen(keyspace, key, snapshot)
        const served =
          next(2) === 0
            ? text(cache.getBytes(keyspace, key, snapshot.sequence, snapshot.timeMs))
            : cache.getText(keyspace, key, snapshot.sequence, snapshot.timeMs)
        if (served !== undefined) expect(served, `seed ${seed}, step ${step}`).toBe(truth?.value ?? "nothing")
        else if (truth?.value !== undefined) {
          const bytes = utf8.encode(truth.value)
          cache.fill(keyspace, key, hashOf(keyspace, key), snapshot.sequence, bytes, 0, bytes.length, truth.expiresAt)
        }
      }
      expect(cache.bytes).toBeLessThanOrEqual(capacity)
    }
    return cache.hits
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("never serves what a snapshot should not see (seed %i)", (seed) => {
    expect(run(seed, large)).toBeGreaterThan(150)
  })

  it.each([11, 12, 13, 14])("nor while it evicts (seed %i)", (seed) => {
    // Room for a dozen entries beside the buckets (1,024 × 12 bytes).
    expect(run(seed, 1024 * 12 + 16 * 340)).toBeGreaterThan(50)
  })
})
