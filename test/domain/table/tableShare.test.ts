import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import type { RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import { leafEntries } from "../../../src/domain/table/leafEntries.ts"
import { tableShare } from "../../../src/domain/table/tableShare.ts"
import { build, type Entry, hex, leafOf, open, put, randomOf, sorted, text } from "./support.ts"

type Bound = Uint8Array | undefined

const seeds = [1, 2, 3, 4, 5, 6]

/** A table, its shares, and what its leaves really hold. */
const table = (entries: ReadonlyArray<Entry>, blockBytes = 256, tombstones: ReadonlyArray<RangeTombstone> = []) => {
  const built = build(sorted(entries), { blockBytes }, tombstones)
  const { meta } = built
  if (meta === undefined) throw new Error("an empty table")
  const reader = open(built)
  const { fences } = reader
  const leaves = Array.from({ length: fences.leafCount }, (_, leaf) => ({
    keyspace: fences.keyspace(leaf),
    bytes: fences.storedLength(leaf),
    keys: Array.from(leafEntries(leafOf(reader, built.file, leaf)), (entry) => entry.key)
  }))
  const total = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0)
  return {
    leaves,
    /** The largest leaf, as a share. */
    leafShare: Math.max(...leaves.map((leaf) => leaf.bytes)) / total,
    share: (keyspace: number, lower: Bound, upper: Bound) => tableShare(fences, meta, keyspace, lower, upper),
    /** The share by the entries themselves, each taking the same part of its leaf. */
    exact: (keyspace: number, lower: Bound, upper: Bound) => {
      let bytes = 0
      for (const leaf of leaves) {
        if (leaf.keyspace !== keyspace) continue
        const inside = leaf.keys.filter(
          (key) => (lower === undefined || compareBytes(key, lower) >= 0) && (upper === undefined || compareBytes(key, upper) < 0)
        )
        bytes += (leaf.bytes * inside.length) / leaf.keys.length
      }
      return bytes / total
    }
  }
}

const randomKey = (random: (below: number) => number): Uint8Array => {
  const prefix = ["", "user/", "user/0000000", "user/\0\0\0\0\0\0\0\0"][random(4)]!
  return Uint8Array.of(...text(prefix), ...Array.from({ length: random(9) }, () => (random(3) === 0 ? random(256) : 48 + random(3))))
}

/** Three keyspaces, the second by far the largest; some keys have many versions. */
const randomTable = (seed: number) => {
  const random = randomOf(seed)
  const entries = new Map<string, Entry>()
  const add = (keyspace: number, key: Uint8Array, sequence: number): void => {
    entries.set(`${keyspace}/${hex(key)}@${sequence}`, put(keyspace, key, sequence, "v".repeat(random(30))))
  }
  for (let i = 0; i < 600; i++) {
    const key = randomKey(random)
    const keyspace = random(10) === 0 ? 1 : random(10) === 1 ? 20 : 16
    for (let versions = random(40) === 0 ? 60 : 1; versions > 0; versions--) add(keyspace, key, versions)
  }
  return { random, ...table([...entries.values()]) }
}

const boundsOf = (random: (below: number) => number, leaves: ReadonlyArray<{ readonly keys: ReadonlyArray<Uint8Array> }>): Array<Uint8Array> => {
  const keys = leaves.flatMap((leaf) => leaf.keys)
  return Array.from({ length: 60 }, () => (random(2) === 0 ? randomKey(random) : keys[random(keys.length)]!)).sort(compareBytes)
}

describe("share of a table", () => {
  it("is everything without bounds, and nothing for empty ranges and keyspaces that are not there", () => {
    for (const seed of seeds) {
      const { random, share, exact, leaves } = randomTable(seed)
      expect(leaves.length).toBeGreaterThan(50)
      let sum = 0
      for (const keyspace of [1, 16, 20]) {
        const whole = share(keyspace, undefined, undefined)
        expect(whole, `seed ${seed}`).toBeCloseTo(exact(keyspace, undefined, undefined), 12)
        expect(share(keyspace, new Uint8Array(0), undefined)).toBe(whole)
        sum += whole
        for (const key of boundsOf(random, leaves)) {
          expect(share(keyspace, key, key), `seed ${seed}`).toBe(0)
          expect(share(keyspace, Uint8Array.of(...key, 1), key), `seed ${seed}`).toBe(0)
        }
      }
      expect(sum, `seed ${seed}`).toBeCloseTo(1, 12)
      for (const keyspace of [0, 2, 17, 21, 0xffff_ffff]) expect(share(keyspace, undefined, undefined)).toBe(0)
    }
    const single = table([put(16, "a", 1, "1"), put(16, "b", 1, "2")])
    expect(single.leaves).toHaveLength(1)
    expect(single.share(16, undefined, undefined)).toBe(1)
    expect(single.share(16, text("a"), text("b\0"))).toBe(1)
  })

  it("is off by at most a leaf at each bound", () => {
    for (const seed of seeds) {
      const { random, share, exact, leafShare, leaves } = randomTable(seed)
      const bounds = boundsOf(random, leaves)
      for (const keyspace of [1, 16, 20]) {
        const whole = exact(keyspace, undefined, undefined)
        const below = bounds.map((bound) => exact(keyspace, undefined, bound))
        for (let i = 0; i < bounds.length; i++) {
          const where = `seed ${seed}, keyspace ${keyspace}, from ${hex(bounds[i]!)}`
          const off = (upper: Bound, expected: number) => Math.abs(share(keyspace, bounds[i], upper) - expected) / leafShare
          expect(off(undefined, whole - below[i]!), where).toBeLessThan(1 + 1e-9)
          expect(Math.abs(share(keyspace, undefined, bounds[i]) - below[i]!) / leafShare, where).toBeLessThan(1 + 1e-9)
          for (let j = i; j < bounds.length; j += 7)
            expect(off(bounds[j], below[j]! - below[i]!), `${where} to ${hex(bounds[j]!)}`).toBeLessThan(2 + 1e-9)
        }
      }
    }
  })

  it("grows with the bounds, and is the sum of its parts wherever a range is split", () => {
    for (const seed of seeds) {
      const { random, share, leaves } = randomTable(seed)
      const bounds = boundsOf(random, leaves)
      for (const keyspace of [1, 16, 20]) {
        const whole = share(keyspace, undefined, undefined)
        let before = 0
        let parts = 0
        bounds.forEach((bound, i) => {
          const below = share(keyspace, undefined, bound)
          expect(below, `seed ${seed}, ${hex(bound)}`).toBeGreaterThanOrEqual(before)
          expect(below + share(keyspace, bound, undefined), `seed ${seed}, ${hex(bound)}`).toBeCloseTo(whole, 12)
          parts += share(keyspace, bounds[i - 1], bound)
          expect(parts, `seed ${seed}, ${hex(bound)}`).toBeCloseTo(below, 12)
          before = below
        })
        expect(before).toBeLessThanOrEqual(whole)
      }
    }
  })

  it("is about right within one leaf whose keys lie evenly", () => {
    const key = (i: number) => `user/${String(i).padStart(3, "0")}`
    const { share, leaves } = table(
      Array.from({ length: 100 }, (_, i) => put(16, key(i), 1, "v")),
      32 * 1024
    )
    expect(leaves).toHaveLength(1)
    for (let i = 0; i < 100; i += 10) expect(share(16, undefined, text(key(i))), key(i)).toSatisfy((part: number) => Math.abs(part - i / 100) < 0.1)
    // Before and behind what all keys have in common, and within it.
    expect(share(16, text("a"), text("z"))).toBe(1)
    expect(share(16, text("user"), text("user0"))).toBe(1)
    expect(share(16, undefined, text("user/"))).toBe(0)
    expect(share(16, text("user0"), undefined)).toBe(0)
  })

  it("takes a range from the first key of all, or of a leaf, with the leaf's entries", () => {
    const one = table([put(16, "k", 2, "1"), put(16, "k", 1, "2")])
    expect(one.share(16, text("k"), undefined)).toBe(1)
    expect(one.share(16, undefined, text("k"))).toBe(0)
    expect(one.share(16, text("k\0"), undefined)).toBe(0)
    expect(one.share(16, text("k"), text("k\0"))).toBe(1)
    // Versions of one key over several leaves; the same with a key that only a zero byte tells from the next.
    const many = table(Array.from({ length: 100 }, (_, i) => put(16, "k", 1 + i, "v".repeat(20))))
    expect(many.leaves.length).toBeGreaterThan(5)
    expect(many.share(16, text("k"), text("k\0"))).toBe(1)
    const zero = table(
      ["a", "a\0", "a\0\0"].flatMap((key) => [put(16, key, 1, "v".repeat(200))]),
      64
    )
    expect(zero.leaves).toHaveLength(3)
    for (const [lower, upper] of [
      ["a", "a\0"],
      ["a\0", "a\0\0"]
    ] as const)
      expect(zero.share(16, text(lower), text(upper))).toBeCloseTo(zero.exact(16, text(lower), text(upper)), 12)
  })

  it("takes half of a leaf where nothing says how far its keys go, and counts no range tombstone", () => {
    const { share, leaves } = table([put(1, "k", 1, "same"), put(2, "k", 1, "same")])
    expect(leaves.map((leaf) => leaf.bytes / leaves[0]!.bytes)).toEqual([1, 1])
    expect(share(1, undefined, text("k"))).toBe(0)
    expect(share(1, text("k"), undefined)).toBe(0.5)
    expect(share(1, undefined, text("l"))).toBe(0.25)
    expect(share(1, text("l"), undefined)).toBe(0.25)
    const deleted = [{ keyspace: 1, start: text("a"), end: text("z"), sequence: 9 }]
    expect(table([put(16, "k", 1, "v")], 256, deleted).share(1, undefined, undefined)).toBe(0)
    const onlyDeleted = table([], 256, deleted)
    expect(onlyDeleted.leaves).toEqual([])
    expect(onlyDeleted.share(1, undefined, undefined)).toBe(0)
  })
})
