import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { TombstoneRuns } from "../../../src/domain/memtable/TombstoneRuns.ts"
import { collidingKey, Modelled, Prng } from "./model.ts"

describe("TombstoneRuns", () => {
  it("answers as a look through all of them does, in between adding them", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const prng = new Prng(seed)
      const runs = new TombstoneRuns()
      const model = new Modelled(256)
      for (let sequence = 1; sequence <= 150; sequence++) {
        const keyspace = prng.below(3)
        const [start, end] = [collidingKey(prng), collidingKey(prng)].sort(compareBytes) as [Uint8Array, Uint8Array]
        if (compareBytes(start, end) === 0) continue
        runs.add({ keyspace, start, end, sequence })
        model.tombstones.push({ keyspace, start, end, sequence })
        if (prng.below(seed) > 3) continue
        for (let n = 0; n < 5; n++) {
          const key = collidingKey(prng)
          const snapshot = prng.below(2) === 0 ? sequenceMax : prng.below(sequence + 2)
          const expected = model.covering(keyspace, key, snapshot)
          const what = `seed ${seed}, at ${sequence}, key ${key}, snapshot ${snapshot}`
          expect(runs.covering(keyspace, key, 0, key.length, snapshot), what).toBe(expected)
          let fromFragments = 0
          for (const f of runs.fragments()) fromFragments = Math.max(fromFragments, f.covering(keyspace, key, 0, key.length, snapshot))
          expect(fromFragments, what).toBe(expected)
          const upper = prng.below(3) === 0 ? undefined : collidingKey(prng)
          expect(runs.newestOverlapping(keyspace, key, upper, snapshot), what).toBe(model.maxInRange(keyspace, key, upper, snapshot))
        }
      }
    }
  })

  it("keeps what it handed out as it was", () => {
    const runs = new TombstoneRuns()
    expect(runs.fragments()).toEqual([])
    runs.add({ keyspace: 1, start: new Uint8Array([1]), end: new Uint8Array([5]), sequence: 3 })
    const before = runs.fragments()
    expect(runs.fragments()).toBe(before)
    runs.add({ keyspace: 1, start: new Uint8Array([1]), end: new Uint8Array([5]), sequence: 4 })
    const sequences = (all: typeof before) => all.map((f) => f.covering(1, new Uint8Array([2]), 0, 1, sequenceMax))
    expect(sequences(before)).toEqual([3])
    expect(sequences(runs.fragments())).toEqual([4])
    for (let sequence = 5; sequence < 40; sequence++) runs.add({ keyspace: 1, start: new Uint8Array([1]), end: new Uint8Array([5]), sequence })
    expect(sequences(runs.fragments())).toEqual([39])
    expect(sequences(before)).toEqual([3])
  })

  it("does not let tombstones nested in each other grow by their square", () => {
    const runs = new TombstoneRuns()
    const edge = (n: number) => new Uint8Array([n >>> 8, n])
    const count = 2000
    for (let i = 0; i < count; i++) {
      runs.add({ keyspace: 1, start: edge(i), end: edge(10_000 - i), sequence: i + 1 })
      if (i % 100 === 0) runs.covering(1, edge(5000), 0, 2, sequenceMax)
    }
    expect(runs.covering(1, edge(5000), 0, 2, sequenceMax)).toBe(count)
    expect(runs.covering(1, edge(5000), 0, 2, 77)).toBe(77)
    expect(runs.covering(1, edge(0), 0, 2, sequenceMax)).toBe(1)
    expect(runs.covering(1, edge(10_000), 0, 2, sequenceMax)).toBe(0)
    // All in one run would be 4,000,000 pieces of 8 B.
    expect(runs.memoryBytes).toBeLessThan(12 << 20)
    expect(runs.fragments().length).toBeLessThan(32)
  })
})
