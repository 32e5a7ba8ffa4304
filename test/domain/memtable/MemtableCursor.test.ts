import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { Kind, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { Memtable } from "../../../src/domain/memtable/Memtable.ts"
import type { MemtableCursor } from "../../../src/domain/memtable/MemtableCursor.ts"
import { MemtableReader } from "../../../src/domain/memtable/MemtableReader.ts"
import { type Entry, compareEntries } from "../merge/ArrayCursor.ts"
import { collidingKey, Modelled, Prng, standsOn } from "./model.ts"

/** `index` outside of the array means atEnd. */
const expectAt = (cursor: MemtableCursor, expected: ReadonlyArray<Entry>, index: number, what: string): void => {
  const entry = expected[index]
  if (cursor.state !== (entry === undefined ? CursorState.atEnd : CursorState.atEntry) || (entry !== undefined && !standsOn(cursor, entry))) {
    expect.fail(
      `${what}: expected ${index} of ${expected.length}, ${JSON.stringify(entry)}; found state ${cursor.state}, keyspace ${cursor.keyspace}, sequence ${cursor.sequence}`
    )
  }
}

const expectWalks = (cursor: MemtableCursor, expected: ReadonlyArray<Entry>, what: string): void => {
  cursor.seekFirst()
  for (let i = 0; i < expected.length; i++, cursor.next()) expectAt(cursor, expected, i, `${what}, forward`)
  expectAt(cursor, expected, -1, `${what}, after the last`)
  cursor.next()
  cursor.prev()
  expectAt(cursor, expected, -1, `${what}, still after the last`)
  cursor.seekLast()
  for (let i = expected.length - 1; i >= 0; i--, cursor.prev()) expectAt(cursor, expected, i, `${what}, backward`)
  expectAt(cursor, expected, -1, `${what}, before the first`)
}

const expectSeeks = (cursor: MemtableCursor, expected: ReadonlyArray<Entry>, prng: Prng, keyspaces: ReadonlyArray<number>, what: string): void => {
  for (let n = 0; n < 40; n++) {
    const near = prng.below(2) === 0 ? expected[prng.below(expected.length)] : undefined
    const keyspace = near?.keyspace ?? keyspaces[prng.below(keyspaces.length)]!
    const key = near?.key ?? collidingKey(prng)
    const sequence = prng.below(3) === 0 ? sequenceMax : near === undefined ? prng.below(500) : near.sequence + prng.below(3) - 1
    const target: Entry = { keyspace, key, sequence, kind: Kind.put, expiresAt: 0, value: key }
    let at = expected.findIndex((e) => compareEntries(e, target) >= 0)
    if (at < 0) at = expected.length
    if (prng.below(2) === 0) {
      cursor.seek(keyspace, key, sequence)
    } else {
      cursor.seekBefore(keyspace, key, sequence)
      at--
    }
    expectAt(cursor, expected, at, `${what}, seek ${n}`)
    for (let moves = prng.below(12); moves > 0 && expected[at] !== undefined; moves--) {
      if (prng.below(2) === 0) {
        cursor.next()
        at++
      } else {
        cursor.prev()
        at--
      }
      expectAt(cursor, expected, at, `${what}, move after seek ${n}`)
    }
  }
}

describe("MemtableCursor", () => {
  it("is at the end of an empty memtable, whichever way it is asked", () => {
    const cursor = new Memtable(4096).cursor()
    expectWalks(cursor, [], "empty")
    cursor.seek(1, new Uint8Array([1]), sequenceMax)
    expect(cursor.state).toBe(CursorState.atEnd)
    cursor.seekBefore(1, new Uint8Array([1]), sequenceMax)
    expect(cursor.state).toBe(CursorState.atEnd)
    cursor.supply(new Uint8Array(0))
    expect(cursor.need).toBeUndefined()
  })

  it("walks and seeks as over a sorted array, while inserts go on", () => {
    for (let seed = 1; seed <= 25; seed++) {
      const prng = new Prng(seed)
      const keyspaces = seed % 2 === 0 ? [1] : [0, 1, 17, 0xffff_ffff]
      const modelled = new Modelled(256 * 1024)
      let sequence = seed % 3 === 0 ? 2 ** 40 : 1
      const opened: Array<{ readonly cursor: MemtableCursor; readonly expected: ReadonlyArray<Entry>; readonly what: string }> = []
      for (let round = 0; round < 8; round++) {
        // Rounds of very different sizes, so that there is one run, or several.
        for (let n = prng.below(round === 0 ? 200 : 30); n >= 0; n--, sequence += prng.below(3)) {
          sequence++
          modelled.transaction(prng, sequence, keyspaces, 5)
        }
        opened.push({ cursor: modelled.memtable.cursor(), expected: modelled.sorted(), what: `seed ${seed}, round ${round}` })
      }
      for (const { cursor, expected, what } of opened) {
        expectWalks(cursor, expected, what)
        expectSeeks(cursor, expected, prng, keyspaces, what)
      }
      const reader = new MemtableReader(modelled.memtable.buffer)
      expectWalks(reader.cursor(), modelled.sorted(), `seed ${seed}, reader`)
      expect(reader.entryCount).toBe(modelled.entries.length)
      expect(reader.tombstoneCount).toBe(modelled.tombstones.length)
      expect([reader.lowestSequence, reader.highestSequence]).toEqual([modelled.memtable.lowestSequence, modelled.memtable.highestSequence])
      expect(reader.usedBytes).toBe(modelled.memtable.usedBytes)
    }
  })
})
