import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { MalformedBytes } from "../../../src/domain/bytes/varint.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { checkLeaf } from "../../../src/domain/table/checkLeaf.ts"
import { EntryFlag, LeafFlag, leafHeaderBytes, leafOffset, leafOffsetsAt, leafPrefixLength } from "../../../src/domain/table/leaf.ts"
import { LeafBuilder } from "../../../src/domain/table/LeafBuilder.ts"
import { leafEntries } from "../../../src/domain/table/leafEntries.ts"
import { verifyStored } from "../../../src/domain/table/storedBlock.ts"
import { encodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { codecsOf, damageOf, describeEntry, type Entry, path, put, randomOf, sorted } from "./support.ts"

const leaf = (entries: ReadonlyArray<Entry>, tagged = true): Uint8Array => {
  const builder = new LeafBuilder(32 * 1024, tagged)
  builder.keyspace = 3
  for (const { key, sequence, kind, expiresAt, isPointer, value } of entries) {
    const flags = kind | (sequence === 0 ? 0 : EntryFlag.sequence) | (expiresAt === 0 ? 0 : EntryFlag.expiry) | (isPointer ? EntryFlag.pointer : 0)
    expect(builder.add(7, key, 0, key.length, sequence, flags, expiresAt, value, 0, value.length)).toBe(true)
  }
  const block = new Uint8Array(builder.sizeBound)
  return block.slice(0, builder.write(block, 0))
}

const entriesOf = (block: Uint8Array): Array<string> => Array.from(leafEntries(block), (entry) => describeEntry({ ...entry, keyspace: 3 }))

const pointer = encodeValuePointer({ fileId: 9, offset: 70_000, storedLength: 5000, rawLength: 9000, codec: 1, sum: 0x1234_5678 })
const mixed: ReadonlyArray<Entry> = [
  put(3, "app", 300, "1"),
  put(3, "app", 5, "", { kind: Kind.delete }),
  put(3, "apple", 0, pointer, { isPointer: true }),
  put(3, "apply", Number.MAX_SAFE_INTEGER, pointer, { isPointer: true, expiresAt: 1_700_000_000_000 }),
  put(3, `app${"x".repeat(200)}`, 2, "", { kind: Kind.expire }),
  put(3, "apz", 0, "z".repeat(150))
]
const uniform: ReadonlyArray<Entry> = [put(3, "a", 5, "1"), put(3, "ab", 4, "22"), put(3, "b", 300, "")]

const random = (seed: number): Array<Entry> => {
  const next = randomOf(seed)
  const entries = Array.from({ length: 1 + next(80) }, () => {
    const sequence = next(3) * next(100_000)
    return put(
      3,
      `k${"y".repeat(next(3) * 70)}${next(1000)}`,
      sequence,
      new Uint8Array(next(100)).map(() => next(256)),
      {
        kind: [Kind.put, Kind.delete, Kind.expire][next(3)]!,
        expiresAt: sequence === 0 ? 0 : next(2) * next(2 ** 31),
        isPointer: next(4) === 0
      }
    )
  })
  return sorted(Array.from(new Map(entries.map((entry) => [`${describeEntry(entry).split(" ")[0]}`, entry])).values()))
}

describe("entries of a leaf", () => {
  it("come out as they were put in: kinds, sequences, expiries, pointers, in order", () => {
    for (const tagged of [true, false]) {
      for (const [entries, flags] of [
        [mixed, 0],
        [uniform, LeafFlag.uniform]
      ] as const) {
        const block = leaf(entries, tagged)
        expect(block[0]).toBe(flags | (tagged ? LeafFlag.tagged : 0))
        expect(checkLeaf(block)).toBeUndefined()
        expect(entriesOf(block)).toEqual(entries.map(describeEntry))
      }
      for (let seed = 1; seed <= 100; seed++) {
        const entries = random(seed)
        const block = leaf(entries, tagged)
        expect(checkLeaf(block), `seed ${seed}`).toBeUndefined()
        expect(entriesOf(block), `seed ${seed}`).toEqual(entries.map(describeEntry))
      }
    }
  })

  it("come out of a leaf of one entry, of any size", () => {
    for (const [key, value] of [
      [0, 0],
      [1, 0],
      [0, 70_000],
      [65_535, 100],
      [70_000, 70_000]
    ] as const) {
      const entry = put(3, new Uint8Array(key).fill(1), 8, new Uint8Array(value).fill(2))
      const block = leaf([entry])
      expect((block[0]! & LeafFlag.wide) !== 0).toBe(key + value >= 65_535)
      expect(checkLeaf(block)).toBeUndefined()
      expect(entriesOf(block)).toEqual([describeEntry(entry)])
    }
  })

  it("own their keys; their values are views of the leaf", () => {
    const block = leaf(uniform)
    const entries = Array.from(leafEntries(block))
    block.fill(0xee)
    expect(entries.map(({ key, value }) => [Buffer.from(key).toString(), Array.from(value)])).toEqual([
      ["a", [0xee]],
      ["ab", [0xee, 0xee]],
      ["b", []]
    ])
  })

  for (const [name, entries] of [
    ["mixed", mixed],
    ["uniform", uniform]
  ] as const) {
    it(`never differ without a word where a bit flips (${name})`, () => {
      const block = leaf(entries)
      const expected = entriesOf(block)
      const stored = { offset: 40, storedLength: block.length, rawLength: block.length, codec: 0, sum: crc32(block) }
      const offsetsAt = leafOffsetsAt(block, 0)
      const starts = expected.map((_, i) => leafOffset(block, offsetsAt, false, i))
      const prefixAt = starts[0]! - leafPrefixLength(block, 0)
      for (let at = 0; at < block.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const where = `byte ${at} bit ${bit}`
          const changed = block.slice()
          changed[at]! ^= 1 << bit
          expect(
            damageOf(() => verifyStored(crc32, codecsOf(), path, stored, changed)),
            where
          ).toMatchObject({ offsetBytes: 40, reason: "ChecksumMismatch" })
          // Whoever looks at a leaf whose sum is wrong: what the layout cannot tell stays within the entry that was hit, or the two whose bound was.
          if (checkLeaf(changed) !== undefined) continue
          const found = entriesOf(changed)
          expect(found.length, where).toBe(expected.length)
          if (at >= starts[0]!) {
            const hit = starts.findLastIndex((start) => start <= at)
            expect(found.toSpliced(hit, 1), where).toEqual(expected.toSpliced(hit, 1))
            expect(found[hit], where).not.toBe(expected[hit])
          } else if (at >= 4 && at < 8) expect(found, where).toEqual(expected)
          else if (at >= leafHeaderBytes && at < offsetsAt) expect(found, where).toEqual(expected)
          else if (at >= offsetsAt && at < prefixAt) {
            const bound = (at - offsetsAt) >> 1
            expect(found.toSpliced(bound - 1, 2), where).toEqual(expected.toSpliced(bound - 1, 2))
            expect(bound > 0 && bound < expected.length, `${where}: the first and the last offset are checked`).toBe(true)
          } else expect(at < 2 || at >= prefixAt, `${where}: counts and lengths are checked`).toBe(true)
        }
      }
    })

    it(`are refused where the leaf is cut (${name})`, () => {
      const block = leaf(entries)
      for (let length = 0; length < block.length; length++) expect(checkLeaf(block.subarray(0, length)), `${length} bytes`).toBeTypeOf("string")
    })
  }

  it("are MalformedBytes, not wrong, where a number runs out of its entry and nobody checked the leaf", () => {
    for (const more of [{}, { expiresAt: 300 }]) {
      const block = leaf([put(3, "a", 300, "", more), put(3, "b", 300, "", more)])
      // The number's last byte says that more follow, and what follows is the next entry.
      block[leafOffset(block, leafOffsetsAt(block, 0), false, 1) - 1] = 0xff
      expect(checkLeaf(block)).toBeTypeOf("string")
      expect(() => entriesOf(block)).toThrow(MalformedBytes)
    }
  })
})
