import { describe, expect, it } from "vitest"
import lz4 from "lz4-napi"
import { Kind, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { compareInternal } from "../../../src/domain/keys/compareInternal.ts"
import type { Codec } from "../../../src/domain/seams.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import type { TableBuilderOptions } from "../../../src/domain/table/TableBuilder.ts"
import { encodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { build, codecsOf, current, describeEntry, get, modelGet, open, put, randomOf, runLength, settle, sorted } from "./support.ts"
import type { Entry } from "./support.ts"

const lz4Codec: Codec = {
  id: 1,
  compress: (raw) => lz4.compressSync(Buffer.from(raw)),
  decompress: (stored) => lz4.uncompressSync(Buffer.from(stored))
}

/** A few hundred entries over colliding keys: many versions, several keyspaces, all flags, keys that are prefixes of each other, an occasional huge one. */
const randomEntries = (seed: number, count: number): Array<Entry> => {
  const random = randomOf(seed)
  const seen = new Map<string, Entry>()
  const style = random(4)
  for (let i = 0; i < count; i++) {
    const keyspace = [0, 1, 16, 17, 70_000, 0xffff_ffff][random(style === 0 ? 1 : 6)]!
    const length = random(200) === 0 ? 300 + random(70_000) : 1 + random(style === 1 ? 3 : 12)
    const key = new Uint8Array(length)
    const common = style === 2 ? 6 : 0
    for (let j = 0; j < length; j++) key[j] = j < common ? 0x61 : style === 3 ? random(256) : 0x61 + random(3)
    const value = new Uint8Array(random(100) === 0 ? random(5_000) : random(40)).fill(random(256))
    const sequence = random(10) === 0 ? 0 : 1 + random(style === 1 ? 1_000_000_000 : 40)
    const isPointer = random(12) === 0
    const entry = put(
      keyspace,
      key,
      sequence,
      isPointer ? encodeValuePointer({ fileId: 3, offset: 64, storedLength: 10, rawLength: 10, codec: 0, sum: 1 }) : value,
      {
        kind: [Kind.put, Kind.put, Kind.delete, Kind.expire][random(4)]!,
        expiresAt: random(5) === 0 ? 1 + random(2 ** 40) : 0,
        isPointer
      }
    )
    seen.set(`${keyspace}/${key.join()}/${sequence}`, entry)
  }
  return sorted([...seen.values()])
}

const variants: ReadonlyArray<{ readonly name: string; readonly options: Partial<TableBuilderOptions> }> = [
  { name: "defaults", options: {} },
  { name: "no filter, no hash index, tiny leaves", options: { filterBitsPerKey: 0, hashIndex: false, blockBytes: 96 } },
  { name: "tiny leaves", options: { blockBytes: 100 } },
  { name: "one entry per leaf", options: { blockBytes: 1 } },
  { name: "run lengths", options: { codec: runLength, blockBytes: 300 } },
  { name: "lz4", options: { codec: lz4Codec, blockBytes: 4096 } }
]

describe("table", () => {
  for (const { name, options } of variants) {
    for (let seed = 1; seed <= 8; seed++) {
      it(`agrees with a sorted array (${name}, seed ${seed})`, () => {
        const entries = randomEntries(seed, 300)
        const table = build(entries, options)
        const reader = open(table, table.file, codecsOf(runLength, lz4Codec))
        const cursor = new TableCursor(reader)
        // Forward and backward.
        const forward: Array<string> = []
        cursor.seekFirst()
        while (settle(cursor, reader, table.file)) {
          forward.push(describeEntry(current(cursor)))
          cursor.next()
        }
        expect(forward).toEqual(entries.map(describeEntry))
        const backward: Array<string> = []
        cursor.seekLast()
        while (settle(cursor, reader, table.file)) {
          backward.push(describeEntry(current(cursor)))
          cursor.prev()
        }
        expect(backward.reverse()).toEqual(forward)
        // Lookups and seeks at, around and between what is there.
        const random = randomOf(seed + 1000)
        for (let i = 0; i < 300; i++) {
          const near = entries[random(entries.length)]!
          const key = near.key.slice(0, Math.max(1, near.key.length - random(3)))
          if (random(3) === 0) key[random(key.length)]! ^= 1 + random(3)
          const keyspace = random(8) === 0 ? random(20) : near.keyspace
          const sequence = [near.sequence, near.sequence + 1, Math.max(0, near.sequence - 1), 0, sequenceMax][random(5)]!
          const expected = modelGet(entries, keyspace, key, sequence)
          const found = get(reader, table.file, keyspace, key, sequence)
          expect(found === undefined ? undefined : describeEntry({ keyspace, key, ...found })).toBe(
            expected === undefined ? undefined : describeEntry(expected)
          )
          const at = entries.findIndex(
            (e) => compareInternal(e.keyspace, e.key, 0, e.key.length, e.sequence, keyspace, key, 0, key.length, sequence) >= 0
          )
          cursor.seek(keyspace, key, sequence)
          expect(settle(cursor, reader, table.file)).toBe(at >= 0)
          if (at >= 0) {
            expect(describeEntry(current(cursor))).toBe(forward[at])
            cursor.prev()
            expect(settle(cursor, reader, table.file)).toBe(at > 0)
            if (at > 0) expect(describeEntry(current(cursor))).toBe(forward[at - 1])
          }
          const before = (at < 0 ? entries.length : at) - 1
          cursor.seekBefore(keyspace, key, sequence)
          expect(settle(cursor, reader, table.file)).toBe(before >= 0)
          if (before >= 0) {
            expect(describeEntry(current(cursor))).toBe(forward[before])
            cursor.next()
            expect(settle(cursor, reader, table.file)).toBe(before + 1 < entries.length)
            if (before + 1 < entries.length) expect(describeEntry(current(cursor))).toBe(forward[before + 1])
          }
        }
        // Every entry that is there is found, at its own sequence.
        for (const e of entries) expect(get(reader, table.file, e.keyspace, e.key, e.sequence)?.sequence).toBe(e.sequence)
      })
    }
  }
})
