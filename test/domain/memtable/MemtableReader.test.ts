/** Counting and sampling the entries of a range, which estimates are made of. */
import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { Memtable } from "../../../src/domain/memtable/Memtable.ts"
import { MemtableReader } from "../../../src/domain/memtable/MemtableReader.ts"
import type { Entry } from "../merge/ArrayCursor.ts"
import { collidingKey, hashOf, Modelled, Prng } from "./model.ts"

const none = new Uint8Array(0)
const key = (n: number): Uint8Array => Uint8Array.of(n >>> 8, n)

const inRange = (e: Entry, keyspace: number, lower: Uint8Array | undefined, upper: Uint8Array | undefined): boolean =>
  e.keyspace === keyspace && (lower === undefined || compareBytes(lower, e.key) <= 0) && (upper === undefined || compareBytes(e.key, upper) < 0)

/** An entry of the memtable, in words that tell it from all others. */
const named = (memtable: MemtableReader, entry: number): string =>
  `${memtable.keyspaceOf(entry)}:${memtable.bytes.subarray(memtable.keyStartOf(entry), memtable.valueStartOf(entry))}@${memtable.sequenceOf(entry)}`
const nameOf = (e: Entry): string => `${e.keyspace}:${e.key}@${e.sequence}`

/** `count` keys in one sorted run: the order was not asked for in between. */
const ofKeys = (count: number): Memtable => {
  const memtable = new Memtable(1 << 20)
  for (let n = 0; n < count; n++) memtable.insert(1, hashOf(1, key(n)), key(n), 0, 2, Kind.put, n + 1, none, 0, 0, 0)
  return memtable
}
const numbersOf = (memtable: MemtableReader, entries: ReadonlyArray<number>): Array<number> => entries.map((entry) => memtable.sequenceOf(entry) - 1)

describe("a sample of a memtable's range", () => {
  it("counts exactly and stays within the bounds, whatever they are", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const prng = new Prng(seed)
      const keyspaces = [0, 1, 0xffff_fffe]
      const modelled = new Modelled(256 * 1024)
      for (let round = 0, sequence = 1; round < 6; round++) {
        // Asking between writes makes several runs, which the range is then spread over.
        for (let n = 3 + prng.below(round === 0 ? 200 : 20); n > 0; n--) modelled.transaction(prng, sequence++, keyspaces, 10)
        for (let question = 0; question < 40; question++) {
          const keyspace = [...keyspaces, 2][prng.below(4)]!
          const lower = prng.below(3) === 0 ? undefined : collidingKey(prng)
          const upper = prng.below(3) === 0 ? undefined : collidingKey(prng)
          const sampleMax = 1 + prng.below(prng.below(2) === 0 ? 8 : 500)
          const what = `seed ${seed}, round ${round}, question ${question}`
          const expected = modelled.entries.filter((e) => inRange(e, keyspace, lower, upper)).map(nameOf)
          const { count, entries } = modelled.memtable.sample(keyspace, lower, upper, sampleMax)
          const sampled = entries.map((entry) => named(modelled.memtable, entry))
          expect(count, what).toBe(expected.length)
          expect(new Set(sampled).size, what).toBe(sampled.length)
          expect(sampled.length, what).toBe(Math.min(count, sampleMax))
          const known = new Set(expected)
          for (const name of sampled) expect(known.has(name), `${what}: ${name}`).toBe(true)
          if (count <= sampleMax) expect(sampled.slice().sort(), what).toEqual(expected.slice().sort())
        }
      }
      // Whoever has only the buffer sees the same.
      const everything = new MemtableReader(modelled.memtable.buffer).sample(1, undefined, undefined, 7)
      expect(everything.count, `seed ${seed}`).toBe(modelled.entries.filter((e) => e.keyspace === 1).length)
    }
  })

  it("is everything up to its bound, and so many above it", () => {
    const memtable = ofKeys(100)
    expect(memtable.sample(1, undefined, undefined, 100).entries).toHaveLength(100)
    expect(numbersOf(memtable, memtable.sample(1, key(10), key(14), 4).entries)).toEqual([10, 11, 12, 13])
    for (const sampleMax of [1, 2, 3, 7, 30, 64, 99]) {
      const { count, entries } = memtable.sample(1, undefined, undefined, sampleMax)
      expect(count).toBe(100)
      expect(entries).toHaveLength(sampleMax)
    }
  })

  it("is taken at equal distances", () => {
    const memtable = ofKeys(1000)
    expect(numbersOf(memtable, memtable.sample(1, undefined, undefined, 4).entries)).toEqual([0, 250, 500, 750])
    expect(numbersOf(memtable, memtable.sample(1, key(100), key(110), 4).entries)).toEqual([100, 102, 105, 107])
    const numbers = numbersOf(memtable, memtable.sample(1, key(13), key(990), 64).entries)
    const distances = numbers.slice(1).map((n, i) => n - numbers[i]!)
    expect(Math.min(...distances)).toBe(15)
    expect(Math.max(...distances)).toBe(16)
  })

  it("is spread over all runs by what lies in each", () => {
    const memtable = ofKeys(800)
    expect(memtable.sample(1, undefined, undefined, 8).count).toBe(800)
    for (let n = 800; n < 880; n++) memtable.insert(1, hashOf(1, key(n)), key(n), 0, 2, Kind.put, n + 1, none, 0, 0, 0)
    const numbers = numbersOf(memtable, memtable.sample(1, undefined, undefined, 88).entries)
    expect(numbers).toEqual(Array.from({ length: 88 }, (_, i) => i * 10))
    // A run with nothing of the range takes no part.
    expect(memtable.sample(1, key(795), key(800), 3).count).toBe(5)
    expect(numbersOf(memtable, memtable.sample(1, key(860), key(863), 9).entries)).toEqual([860, 861, 862])
  })

  it("counts every version of a key, deletes among them, and no range tombstone", () => {
    const memtable = new Memtable(4096)
    for (const [kind, sequence] of [
      [Kind.put, 1],
      [Kind.put, 2],
      [Kind.delete, 4],
      [Kind.expire, 5]
    ] as const)
      memtable.insert(1, hashOf(1, key(5)), key(5), 0, 2, kind, sequence, none, 0, 0, 0)
    memtable.addRangeTombstone(1, key(0), key(9), 6)
    const { count, entries } = memtable.sample(1, key(5), key(6), 10)
    expect(count).toBe(4)
    expect(entries.map((entry) => memtable.sequenceOf(entry))).toEqual([5, 4, 2, 1])
    expect(memtable.sample(1, key(6), undefined, 10)).toEqual({ count: 0, entries: [] })
  })

  it("takes the lower bound in, leaves the upper one out, and is empty where they cross or meet", () => {
    const memtable = ofKeys(10)
    expect(numbersOf(memtable, memtable.sample(1, key(3), key(5), 10).entries)).toEqual([3, 4])
    expect(memtable.sample(1, key(3), undefined, 10).count).toBe(7)
    expect(memtable.sample(1, undefined, key(3), 10).count).toBe(3)
    // Between two keys.
    expect(memtable.sample(1, Uint8Array.of(0, 3, 0), Uint8Array.of(0, 5, 0), 10).count).toBe(2)
    for (const [lower, upper] of [
      [5, 5],
      [5, 3],
      [20, 30]
    ] as const)
      expect(memtable.sample(1, key(lower), key(upper), 10)).toEqual({ count: 0, entries: [] })
  })

  it("is empty in an empty memtable and in other keyspaces", () => {
    expect(new Memtable(4096).sample(1, undefined, undefined, 10)).toEqual({ count: 0, entries: [] })
    const memtable = ofKeys(10)
    for (const keyspace of [0, 2, 0xffff_ffff]) expect(memtable.sample(keyspace, undefined, undefined, 10)).toEqual({ count: 0, entries: [] })
  })
})
