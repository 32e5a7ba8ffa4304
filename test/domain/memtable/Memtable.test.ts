import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { Kind, keyBytesMax, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { entryBytes, Memtable, memtableHeaderBytes } from "../../../src/domain/memtable/Memtable.ts"
import { MemtableReader } from "../../../src/domain/memtable/MemtableReader.ts"
import { collidingKey, hashOf, Modelled, Prng, standsOn } from "./model.ts"

const bytes = (...values: Array<number>): Uint8Array => new Uint8Array(values)
const none = new Uint8Array(0)

const put = (memtable: Memtable, keyspace: number, key: Uint8Array, sequence: number, value: Uint8Array = none): number =>
  memtable.insert(keyspace, hashOf(keyspace, key), key, 0, key.length, Kind.put, sequence, value, 0, value.length, 0)

const sequenceFound = (memtable: Memtable, keyspace: number, key: Uint8Array, snapshot: number): number => {
  const entry = memtable.find(keyspace, hashOf(keyspace, key), key, 0, key.length, snapshot)
  return entry === 0 ? 0 : memtable.sequenceOf(entry)
}

describe("Memtable", () => {
  it("answers as plain arrays do: versions, snapshots, tombstones, ranges", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const prng = new Prng(seed)
      const keyspaces = seed % 2 === 0 ? [1] : [0, 1, 0xffff_fffe]
      const modelled = new Modelled(512 * 1024)
      const { memtable } = modelled
      const first = seed % 3 === 0 ? 2 ** 33 - 20 : 1
      let sequence = first
      for (let n = 0; n < (seed % 5 === 0 ? 700 : 60); n++, sequence += 1 + prng.below(2)) modelled.transaction(prng, sequence, keyspaces, 10)
      for (let n = 0; n < 150; n++) {
        const keyspace = keyspaces[prng.below(keyspaces.length)]!
        const key = prng.below(2) === 0 ? collidingKey(prng) : modelled.entries[prng.below(modelled.entries.length)]!.key
        const snapshot = prng.below(4) === 0 ? sequenceMax : first - 1 + prng.below(sequence - first + 3)
        const what = `seed ${seed}, question ${n}`
        const expected = modelled.find(keyspace, key, snapshot)
        const entry = memtable.find(keyspace, hashOf(keyspace, key), key, 0, key.length, snapshot)
        if (expected === undefined) expect(entry, what).toBe(0)
        else {
          expect(memtable.sequenceOf(entry), what).toBe(expected.sequence)
          expect(memtable.kindOf(entry), what).toBe(expected.kind)
          expect(memtable.keyspaceOf(entry), what).toBe(keyspace)
          expect(memtable.hashOf(entry), what).toBe(hashOf(keyspace, key))
          expect(memtable.expiresAtOf(entry), what).toBe(expected.expiresAt)
          expect(Array.from(memtable.bytes.subarray(memtable.valueStartOf(entry), memtable.valueEndOf(entry))), what).toEqual(
            Array.from(expected.value)
          )
        }
        expect(memtable.coveringTombstone(keyspace, key, 0, key.length, snapshot), what).toBe(modelled.covering(keyspace, key, snapshot))
        expect(memtable.newestSequenceOf(keyspace, hashOf(keyspace, key), key, 0, key.length, snapshot), what).toBe(
          modelled.newestOf(keyspace, key, snapshot)
        )
        const end = prng.below(4) === 0 ? undefined : collidingKey(prng)
        expect(memtable.maxSequenceInRange(keyspace, key, end, snapshot), what).toBe(modelled.maxInRange(keyspace, key, end, snapshot))
      }
      const reader = new MemtableReader(memtable.buffer)
      for (let n = 0; n < 50; n++) {
        const key = collidingKey(prng)
        const snapshot = first + prng.below(sequence - first + 2)
        expect(reader.coveringTombstone(1, key, 0, key.length, snapshot), `seed ${seed}, reader`).toBe(modelled.covering(1, key, snapshot))
      }
      expect(reader.tombstones().length > 0).toBe(modelled.tombstones.length > 0)
    }
  })

  it("lays an entry out as documented", () => {
    const memtable = new Memtable(4096)
    expect(memtable.isEmpty).toBe(true)
    const entry = memtable.insert(5, -2, bytes(9, 1, 2, 3), 1, 4, Kind.expire, 2 ** 32 * 3 + 0x80000001, bytes(7, 8, 9), 1, 3, 1.5)
    expect(entry).toBe(16)
    expect(Array.from(memtable.words.subarray(16, 25))).toEqual([0, 5, 0x80000001 | 0, 3, Kind.expire | (1 << 8) | (3 << 15), 2, -2, 0, 0x3ff80000])
    expect(Array.from(memtable.bytes.subarray(100, 108))).toEqual([1, 2, 3, 8, 9, 0, 0, 0])
    const next = memtable.insert(5, -2, bytes(1, 2, 3), 0, 3, Kind.delete, 2 ** 32 * 3 + 0x80000001 + 1, undefined, 0, 0, 0)
    expect(next).toBe(27)
    expect(memtable.previousOf(next)).toBe(entry)
    memtable.addRangeTombstone(5, bytes(1), bytes(2, 2), 2 ** 33 * 3)
    expect(Array.from(memtable.words.subarray(0, 9))).toEqual([0x314d424c, 43, 2, 1, 35, 0x80000001 | 0, 3, 0, 6])
    expect(memtable.usedBytes).toBe(memtableHeaderBytes + entryBytes(3, 2, true) + entryBytes(3, 0, false) + entryBytes(1, 2, false))
    expect(memtable.isEmpty).toBe(false)
    expect(memtable.lowestSequence).toBe(2 ** 32 * 3 + 0x80000001)
    expect(memtable.highestSequence).toBe(2 ** 33 * 3)
  })

  it("can be filled to the last byte, and refuses what does not fit before anything is written", () => {
    const each = entryBytes(4, 5, false)
    const memtable = new Memtable(memtableHeaderBytes + 3 * each)
    for (let i = 1; i <= 3; i++) {
      expect(memtable.reserve(each, 1)).toBe(true)
      put(memtable, 1, bytes(0, 0, 0, i), i, bytes(1, 2, 3, 4, i))
    }
    expect(memtable.freeBytes).toBe(0)
    expect(memtable.usedBytes).toBe(memtable.capacityBytes)
    expect(memtable.reserve(1)).toBe(false)
    expect(memtable.reserve(0)).toBe(true)
    const before = memtable.bytes.slice()
    expect(() => put(memtable, 1, bytes(1), 4)).toThrow("without reserve")
    expect(memtable.bytes.slice()).toEqual(before)
    expect(memtable.entryCount).toBe(3)
    const cursor = new MemtableReader(memtable.buffer).cursor()
    cursor.seekLast()
    expect(cursor.state).toBe(CursorState.atEntry)
    expect(cursor.valueBytes[cursor.valueEnd - 1]).toBe(3)
  })

  it("refuses broken rules of its caller rather than to lose data", () => {
    const memtable = new Memtable(1 << 20)
    put(memtable, 1, bytes(1), 10)
    expect(() => put(memtable, 1, bytes(2), 9)).toThrow("descend")
    expect(() => put(memtable, 1, new Uint8Array(131_072), 10)).toThrow("too long")
    expect(() => new MemtableReader(new SharedArrayBuffer(64))).toThrow("not a memtable's")
    expect(memtable.entryCount).toBe(1)
  })

  it("holds keys of every length up to the greatest", () => {
    const modelled = new Modelled(4 << 20)
    let sequence = 0
    for (const length of [1, 2, 3, 4, 5, 63, 64, 65, 255, 4096, 65_535, keyBytesMax]) {
      const key = new Uint8Array(length).fill(length & 0xff)
      expect(modelled.insert(1, key, Kind.put, ++sequence, new Uint8Array(length * 2).fill(sequence))).toBe(true)
      const value = new Uint8Array(length + 2).fill(9)
      modelled.memtable.insert(2, hashOf(2, key), key, 0, length, Kind.put, sequence, value, 1, length + 1, 0)
      modelled.entries.push({ keyspace: 2, key, sequence, kind: Kind.put, expiresAt: 0, value: value.slice(1, length + 1) })
    }
    const cursor = modelled.memtable.cursor()
    cursor.seekFirst()
    for (const e of modelled.sorted()) {
      expect(standsOn(cursor, e)).toBe(true)
      expect(sequenceFound(modelled.memtable, e.keyspace, e.key, sequenceMax)).toBe(e.sequence)
      cursor.next()
    }
  })

  it("finds every key while its hash table grows, also where all hashes are equal", () => {
    const memtable = new Memtable(4 << 20)
    const key = (i: number) => bytes(i >>> 16, i >>> 8, i)
    const memoryBefore = memtable.memoryBytes
    for (let i = 0; i < 20_000; i++) put(memtable, 1, key(i), i + 1)
    expect(memtable.keyCount).toBe(20_000)
    expect(memtable.memoryBytes).toBeGreaterThan(memoryBefore)
    for (let i = 0; i < 20_000; i++) if (sequenceFound(memtable, 1, key(i), sequenceMax) !== i + 1) expect.fail(`key ${i}`)
    expect(sequenceFound(memtable, 1, key(20_000), sequenceMax)).toBe(0)
    expect(sequenceFound(memtable, 2, key(1), sequenceMax)).toBe(0)

    const colliding = new Memtable(1 << 20)
    for (let i = 0; i < 600; i++) colliding.insert(1 + (i % 2), 77, key(i), 0, 3, Kind.put, i + 1, undefined, 0, 0, 0)
    for (let i = 0; i < 600; i++) expect(colliding.sequenceOf(colliding.find(1 + (i % 2), 77, key(i), 0, 3, sequenceMax))).toBe(i + 1)
    expect(colliding.find(1, 77, key(600), 0, 3, sequenceMax)).toBe(0)
    expect(colliding.find(2, 77, key(0), 0, 3, sequenceMax)).toBe(0)
    expect(colliding.find(1, 77, key(0), 0, 2, sequenceMax)).toBe(0)
  })

  it("grows its hash table when room is reserved, not when it inserts", () => {
    const memtable = new Memtable(1 << 20)
    expect(memtable.reserve(600 * entryBytes(2, 0, false), 600)).toBe(true)
    const reserved = memtable.memoryBytes
    for (let i = 0; i < 600; i++) put(memtable, 1, bytes(i >>> 8, i), i + 1)
    expect(memtable.memoryBytes - reserved).toBeLessThan(1024)
  })

  it("finds an old version of a key with thousands of them", () => {
    const memtable = new Memtable(1 << 20)
    const key = bytes(5, 5)
    put(memtable, 1, bytes(5), 1)
    for (let sequence = 10; sequence < 5000; sequence++) put(memtable, 1, key, sequence)
    put(memtable, 1, bytes(5, 5, 0), 5000)
    for (const snapshot of [10, 11, 500, 4900, 4999, sequenceMax]) expect(sequenceFound(memtable, 1, key, snapshot)).toBe(Math.min(snapshot, 4999))
    expect(sequenceFound(memtable, 1, key, 9)).toBe(0)
    // Where the key is the last one, the search in order ends at the end.
    for (let sequence = 5001; sequence < 5200; sequence++) put(memtable, 2, key, sequence)
    expect(sequenceFound(memtable, 2, key, 5000)).toBe(0)
    expect(sequenceFound(memtable, 2, key, 5001)).toBe(5001)
  })

  it("tells what changed in a range, however much came after", () => {
    const modelled = new Modelled(1 << 20)
    const prng = new Prng(3)
    for (let sequence = 1; sequence <= 2000; sequence++) modelled.insert(1 + prng.below(2), prng.bytes(2), Kind.put, sequence, none)
    for (let n = 0; n < 400; n++) {
      const start = prng.bytes(1 + prng.below(2))
      const end = prng.below(3) === 0 ? undefined : prng.bytes(1)
      const above = prng.below(2100)
      expect(modelled.memtable.maxSequenceInRange(1, start, end, above), `question ${n}`).toBe(modelled.maxInRange(1, start, end, above))
    }
    expect(modelled.memtable.maxSequenceInRange(1, bytes(0), undefined, 0)).toBeGreaterThan(1990)
    const onlyTombstones = new Memtable(4096)
    expect(onlyTombstones.maxSequenceInRange(1, none, undefined, 0)).toBe(0)
    onlyTombstones.addRangeTombstone(1, bytes(3), bytes(4), 8)
    expect(onlyTombstones.maxSequenceInRange(1, none, undefined, 7)).toBe(8)
    expect(onlyTombstones.maxSequenceInRange(1, none, undefined, 8)).toBe(0)
    expect(onlyTombstones.maxSequenceInRange(1, bytes(4), undefined, 0)).toBe(0)
  })

  it("is rebuilt up to a sequence, without what came later", () => {
    for (const last of [0, 1, 30, 77, 100]) {
      const all = new Modelled(256 * 1024)
      const some = new Modelled(256 * 1024)
      const prng = new Prng(9)
      for (let sequence = 1; sequence <= 100; sequence++) all.transaction(prng, sequence, [1, 16], 20)
      const again = new Prng(9)
      for (let sequence = 1; sequence <= last; sequence++) some.transaction(again, sequence, [1, 16], 20)
      const rebuilt = new Memtable(256 * 1024)
      all.memtable.copyInto(rebuilt, last)
      const used = some.memtable.usedBytes
      expect(rebuilt.usedBytes).toBe(used)
      expect(rebuilt.bytes.slice(0, used)).toEqual(some.memtable.bytes.slice(0, used))
      for (const e of all.entries)
        expect(sequenceFound(rebuilt, e.keyspace, e.key, sequenceMax)).toBe(some.find(e.keyspace, e.key, sequenceMax)?.sequence ?? 0)
      expect(rebuilt.coveringTombstone(1, bytes(0, 0), 0, 2, sequenceMax)).toBe(some.covering(1, bytes(0, 0), sequenceMax))
      expect(put(rebuilt, 1, bytes(1), 200)).toBeGreaterThan(0)
    }
  })

  it("is the same in memory that held another one", () => {
    const used = new Modelled(64 * 1024)
    const before = new Prng(5)
    for (let sequence = 1; sequence <= 60; sequence++) used.transaction(before, sequence, [1, 16], 20)
    const again = new Memtable(64 * 1024, used.memtable.buffer)
    expect([again.isEmpty, again.entryCount, again.tombstoneCount, again.lowestSequence, again.highestSequence]).toEqual([true, 0, 0, 0, 0])
    const fresh = new Modelled(64 * 1024)
    const after = new Prng(6)
    for (let sequence = 1; sequence <= 40; sequence++) fresh.transaction(after, sequence, [1, 16], 20)
    fresh.memtable.copyInto(again, sequenceMax)
    expect(again.usedBytes).toBe(fresh.memtable.usedBytes)
    for (const e of fresh.entries) expect(sequenceFound(again, e.keyspace, e.key, 20)).toBe(fresh.find(e.keyspace, e.key, 20)?.sequence ?? 0)
    expect(sequenceFound(again, 1, used.entries[0]!.key, 0)).toBe(0)
    const walked = (memtable: Memtable) => {
      const cursor = memtable.cursor()
      const seen: Array<string> = []
      for (cursor.seekFirst(); cursor.state === CursorState.atEntry; cursor.next())
        seen.push(`${cursor.keyspace}/${cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd).join()}@${cursor.sequence}`)
      return seen
    }
    expect(walked(again)).toEqual(walked(fresh.memtable))
  })

  it("counts its memory", () => {
    const memtable = new Memtable(64 * 1024)
    expect(memtable.capacityBytes).toBe(64 * 1024)
    expect(new Memtable(1).capacityBytes).toBe(memtableHeaderBytes)
    expect(new Memtable(101).capacityBytes).toBe(104)
    const empty = memtable.memoryBytes
    expect(empty).toBeGreaterThan(64 * 1024)
    for (let i = 0; i < 100; i++) put(memtable, 1, bytes(i), i + 1)
    memtable.cursor()
    const sorted = memtable.memoryBytes
    expect(sorted - empty).toBeGreaterThanOrEqual(400)
    memtable.addRangeTombstone(1, bytes(1), bytes(2), 200)
    expect(memtable.memoryBytes).toBeGreaterThan(sorted + 100)
  })
})
