import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { BloomFilter } from "../../../src/domain/table/BloomFilter.ts"
import { leafTag, Lookup, LookupResult } from "../../../src/domain/table/leaf.ts"
import { verifyStored } from "../../../src/domain/table/storedBlock.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import { BlockSourceOf } from "../../../src/domain/table/TableReader.ts"
import { encodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { build, codecsOf, damageOf, get, hashOf, leafOf, open, path, put, randomOf, runLength, text } from "./support.ts"

describe("lookups", () => {
  it("asks for the leaf it lacks, and for the next one where versions go on", () => {
    const table = build(
      Array.from({ length: 20 }, (_, i) => put(1, "key", 40 - i, `version ${i}`)),
      { blockBytes: 64 }
    )
    const reader = open(table)
    expect(reader.leafCount).toBeGreaterThan(5)
    const key = text("key")
    const result = new LookupResult()
    const blocks = new Map<number, Uint8Array>()
    const fenceSequences = new Set(Array.from({ length: reader.leafCount }, (_, leaf) => reader.fences.fenceSequence(leaf)))
    expect(fenceSequences.size).toBe(reader.leafCount)
    const source = new BlockSourceOf((tableId, leaf) => (expect(tableId).toBe(7), blocks.get(leaf)))
    for (let snapshot = 20; snapshot <= 41; snapshot++) {
      blocks.clear()
      let brought = 0
      for (;;) {
        const outcome = reader.get(1, hashOf(reader, 1, key), key, 0, 3, snapshot, source, result)
        if (outcome !== Lookup.needsBlock) {
          expect(outcome).toBe(snapshot === 20 ? Lookup.absent : Lookup.found)
          break
        }
        brought++
        blocks.set(result.leaf, leafOf(reader, table.file, result.leaf))
      }
      if (snapshot > 20) expect(result.sequence).toBe(Math.min(40, snapshot))
      // However many versions there are, the fences lead to the right one: straight to it, where it begins a leaf.
      expect(brought).toBeLessThanOrEqual(fenceSequences.has(snapshot) ? 1 : 2)
    }
  })

  it("tells keys apart whose tags are equal, in a leaf found by candidateLeaf", () => {
    const random = randomOf(5)
    const keys: Array<string> = []
    while (keys.length < 12) {
      const candidate = `k${random(100_000)}`
      if (leafTag(keyHash(0x1234_5678 + 0x9e3779b9, text(candidate), 0, candidate.length)) === 7 && !keys.includes(candidate)) keys.push(candidate)
    }
    keys.sort()
    const table = build(
      keys.filter((_, i) => i % 2 === 0).map((key) => put(1, key, 3, `of ${key}`)),
      { filterBitsPerKey: 0 }
    )
    const reader = open(table)
    const result = new LookupResult()
    keys.forEach((key, i) => {
      const bytes = text(key)
      const leaf = reader.candidateLeaf(1, 7, bytes, 0, bytes.length, sequenceMax)
      expect(leaf).toBe(0)
      const outcome = reader.searchLeaf(leaf, leafOf(reader, table.file, 0), 0, hashOf(reader, 1, bytes), bytes, 0, bytes.length, sequenceMax, result)
      expect(outcome, key).toBe(i % 2 === 0 ? Lookup.found : Lookup.absent)
      if (i % 2 === 0) expect(Buffer.from(result.bytes.subarray(result.valueStart, result.valueEnd)).toString()).toBe(`of ${key}`)
    })
  })

  it("tells keys apart that differ in the leaf's prefix only, whatever their tags", () => {
    const table = build(
      Array.from({ length: 40 }, (_, i) => put(1, `pre/${i + 10}`, 3, "")),
      { filterBitsPerKey: 0, blockBytes: 4096 }
    )
    const reader = open(table)
    expect(reader.leafCount).toBe(1)
    for (let c = 0; c < 100; c++)
      for (let i = 0; i < 40; i++)
        expect(get(reader, table.file, 1, text(`${String.fromCharCode(33 + c)}re/${i + 10}`), 9) === undefined).toBe(c !== 79)
  })

  it("reads a leaf in the middle of a larger array", () => {
    for (const hashIndex of [true, false]) {
      const table = build(
        [put(1, "aa", 3, "1"), put(1, "ab", 9, "2"), put(1, "ab", 4, "3"), put(1, `ac${"x".repeat(200)}`, 4, "4", { expiresAt: 12 })],
        { hashIndex }
      )
      const reader = open(table)
      const leaf = leafOf(reader, table.file, 0)
      const slab = new Uint8Array(leaf.length + 100).fill(0x61)
      slab.set(leaf, 37)
      const source = { bytes: slab, start: 37, fetch: () => true }
      const result = new LookupResult()
      for (const [key, snapshot, sequence] of [
        ["aa", 5, 3],
        ["ab", 99, 9],
        ["ab", 8, 4],
        ["ab", 3, -1],
        ["a", 9, -1],
        ["b", 9, -1],
        [`ac${"x".repeat(200)}`, 9, 4],
        ["ac", 9, -1]
      ] as const) {
        const outcome = reader.searchLeaf(0, slab, source.start, hashOf(reader, 1, text(key)), text(key), 0, key.length, snapshot, result)
        expect(outcome === Lookup.found ? result.sequence : -1, `${key}@${snapshot}`).toBe(sequence)
      }
      expect(reader.get(1, hashOf(reader, 1, text("aa")), text("aa"), 0, 2, 9, source, result)).toBe(Lookup.found)
    }
  })

  it("knows what is certainly absent, and covering tombstones all the same", () => {
    const table = build([put(1, "a", 5, "")], {}, [{ keyspace: 1, start: text("b"), end: text("c"), sequence: 9 }])
    const reader = open(table)
    expect(get(reader, table.file, 2, text("a"), 9)).toBeUndefined()
    expect(reader.candidateLeaf(2, hashOf(reader, 1, text("a")), text("a"), 0, 1, 9)).toBe(-1)
    expect(reader.get(2, hashOf(reader, 1, text("a")), text("a"), 0, 1, 9, new BlockSourceOf(() => undefined), new LookupResult())).toBe(
      Lookup.absent
    )
    expect([
      reader.mayContain(hashOf(reader, 1, text("a"))),
      reader.coveringTombstone(1, text("bb"), 0, 2, 9),
      reader.coveringTombstone(1, text("bb"), 0, 2, 8)
    ]).toEqual([true, 9, 0])
    const absent = Array.from({ length: 1000 }, (_, i) => text(`no ${i}`)).filter(
      (key) => reader.candidateLeaf(1, hashOf(reader, 1, key), key, 0, key.length, 9) >= 0
    )
    expect(absent.length).toBeLessThan(100)
  })

  it("finds its way among many leaves of alike and of spread keys", () => {
    for (const name of [
      (i: number) => `tenant/0000/user/${String(i * 7).padStart(6, "0")}`,
      (i: number) => Buffer.from([i >> 6, (i << 2) & 255, 5]).toString("latin1"),
      (i: number) => `${"p".repeat(i % 9)}${i}`
    ]) {
      const keys = Array.from({ length: 3000 }, (_, i) => Buffer.from(name(i), "latin1")).sort(Buffer.compare)
      const table = build(
        keys.map((key) => put(1, new Uint8Array(key), 0, "value")),
        { blockBytes: 80 }
      )
      const reader = open(table)
      expect(reader.leafCount).toBeGreaterThan(500)
      for (const key of keys) expect(get(reader, table.file, 1, key, 0)?.sequence).toBe(0)
      for (const key of ["", "a", "tenant", "tenant/0000/user/", "tenant/0000/user/0000001", "zzz", "\xff\xff\xff\xff"])
        expect(get(reader, table.file, 1, text(key), 9)).toBeUndefined()
    }
  })

  it("describes leaves for whoever reads them", () => {
    const table = build(
      Array.from({ length: 50 }, (_, i) => put(1, `key${i + 10}`, 0, "a".repeat(200))),
      { codec: runLength, blockBytes: 512 }
    )
    const reader = open(table)
    const need = reader.leafNeed(1)
    expect([need.tableId, need.leaf, need.codec, need.offset, need.storedLength, need.rawLength]).toEqual([
      7,
      1,
      runLength.id,
      reader.leafOffset(1),
      reader.leafStoredLength(1),
      reader.leafRawLength(1)
    ])
    expect(need.rawLength).toBeGreaterThan(need.storedLength)
    expect(reader.lastLeafWithin(0, 1)).toBe(0)
    expect(reader.lastLeafWithin(0, reader.leafStoredLength(0) + reader.leafStoredLength(1))).toBe(1)
    expect(reader.lastLeafWithin(0, 1e9)).toBe(reader.leafCount - 1)
    expect(reader.sizeBytes).toBeGreaterThan(0)
    expect(reader.verifyLeaf(1, table.file.subarray(need.offset, need.offset + need.storedLength)).length).toBe(need.rawLength)
    expect(reader.fences.keyspace(99)).toBe(-1)
  })

  it("keeps account of expiry and of value files", () => {
    const pointer = (fileId: number, storedLength: number): Uint8Array =>
      encodeValuePointer({ fileId, offset: 100, storedLength, rawLength: storedLength, codec: 0, sum: 1 })
    const table = build([
      put(1, "a", 3, pointer(9, 2000), { isPointer: true }),
      put(1, "b", 3, pointer(4, 5000), { isPointer: true, expiresAt: 70 }),
      put(1, "c", 3, pointer(9, 1000), { isPointer: true, expiresAt: 50 })
    ])
    expect(table.meta!.valueRefs).toEqual([
      { fileId: 4, bytes: 5000 },
      { fileId: 9, bytes: 3000 }
    ])
    expect([table.properties.firstExpiryMs, table.properties.lastExpiryMs]).toEqual([50, 70])
    expect(open(table).properties).toEqual(table.properties)
    expect(get(open(table), table.file, 1, text("b"), 3)).toMatchObject({ isPointer: true, expiresAt: 70 })
  })
})

describe("TableCursor", () => {
  it("is at its end in an empty table and where nothing lies beyond", () => {
    const reader = open(build([]))
    const cursor = new TableCursor(reader)
    for (const move of [
      () => cursor.seekFirst(),
      () => cursor.seekLast(),
      () => cursor.seek(1, text("k"), 0),
      () => cursor.seekBefore(1, text("k"), 0)
    ]) {
      move()
      expect([cursor.state, cursor.need]).toEqual([CursorState.atEnd, undefined])
    }
  })

  it("keeps its own copy of a target while it waits", () => {
    const table = build([put(1, "a", 1, ""), put(1, "b", 1, "")])
    const reader = open(table)
    const cursor = new TableCursor(reader)
    const target = text("b")
    cursor.seek(1, target, 9)
    target[0] = 0x61
    cursor.supply(leafOf(reader, table.file, 0))
    expect(Buffer.from(cursor.keyBytes.subarray(0, cursor.keyEnd)).toString()).toBe("b")
    // The leaf is held: another seek needs no block.
    cursor.seek(1, text("a"), 9)
    expect(cursor.state).toBe(CursorState.atEntry)
  })
})

describe("BloomFilter", () => {
  it("denies about 99 of 100 absent keys at 10 bits, and none that was added", () => {
    const filter = BloomFilter.withRoomFor(20_000, 10)
    const random = randomOf(3)
    const hashes = Array.from({ length: 20_000 }, () => random(2 ** 32) | 0)
    for (const hash of hashes) filter.add(hash)
    const read = BloomFilter.decode(filter.encode())!
    expect(hashes.every((hash) => read.mayContain(hash))).toBe(true)
    let wrong = 0
    for (let i = 0; i < 20_000; i++) if (read.mayContain(random(2 ** 32))) wrong++
    expect(wrong).toBeLessThan(20_000 * 0.02)
    expect(BloomFilter.withRoomFor(0, 10).sizeBytes).toBe(32)
  })
})

describe("verifyStored", () => {
  it("refuses what is not what the pointer says", () => {
    const stored = Uint8Array.of(3, 7)
    const block = { offset: 50, storedLength: 2, rawLength: 3, codec: 9, sum: crc32(stored) }
    expect([...verifyStored(crc32, codecsOf(runLength), path, block, stored)]).toEqual([7, 7, 7])
    const refused = (change: Partial<typeof block>, bytes = stored) =>
      damageOf(() => verifyStored(crc32, codecsOf(runLength, throwing), path, { ...block, ...change }, bytes))
    const throwing = {
      ...runLength,
      id: 10,
      decompress: () => {
        throw new Error("no such length")
      }
    }
    expect(refused({}, Uint8Array.of(3))).toMatchObject({ file: path, offsetBytes: 50, reason: "Truncated" })
    expect(refused({ sum: 1 })).toMatchObject({ offsetBytes: 50, reason: "ChecksumMismatch" })
    expect(refused({ codec: 0 })).toMatchObject({ reason: "Malformed" })
    expect(refused({ codec: 11 })).toMatchObject({ reason: "UnsupportedVersion", detail: "codec 11" })
    expect(refused({ codec: 10 })).toMatchObject({ reason: "Malformed", detail: "codec 10: Error: no such length" })
    expect(refused({ rawLength: 4 })).toMatchObject({ reason: "Malformed", detail: "codec 9 gave 3 of 4 bytes" })
  })
})
