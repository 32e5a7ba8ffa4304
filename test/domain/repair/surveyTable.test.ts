import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { defaultOutputPolicy } from "../../../src/domain/compaction/JobSpec.ts"
import { Damage } from "../../../src/domain/failures.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { holdsKey } from "../../../src/domain/repair/Loss.ts"
import { RepairedValues } from "../../../src/domain/repair/RepairedValues.ts"
import { rewriteTable } from "../../../src/domain/repair/rewriteTable.ts"
import { surveyTable, type TableSurvey } from "../../../src/domain/repair/surveyTable.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { SectionKind } from "../../../src/domain/table/tableFormat.ts"
import { verifyTable } from "../../../src/domain/table/verifyTable.ts"
import { ValueFileWriter } from "../../../src/domain/values/ValueFileWriter.ts"
import { encodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { MemoryFiles } from "../compaction/MemoryFiles.ts"
import { build, type BuiltTable, type Entry, hashSeed, path, put, text, uuid } from "../table/support.ts"

const codecs = new Map()
const policy = { ...defaultOutputPolicy, uuid, hashSeed, codec: 0, blockBytes: 512 }

const survey = (file: Uint8Array, built: BuiltTable, trust: "manifest" | "footer" = "manifest"): TableSurvey => {
  const files = new MemoryFiles()
  files.files.set(7, file)
  const root = trust === "manifest" ? built.root : undefined
  return files.run(surveyTable({ crc32, codecs, fileId: 7, path, fileBytes: file.length, root, uuid }))
}

const readerOf = (built: BuiltTable) =>
  TableReader.open(crc32, codecs, 7, path, built.file.length, built.root, (offset, length) => built.file.slice(offset, offset + length))

const entriesOf = (files: MemoryFiles, fileId: number, fileBytes: number, root: BuiltTable["root"]): ReadonlyArray<Entry> => {
  const read = (offset: number, length: number) => files.read(fileId, offset, length)
  const reader = TableReader.open(crc32, codecs, fileId, path, fileBytes, root, read, uuid)
  files.run(verifyTable(crc32, reader))
  const cursor = new TableCursor(reader)
  const found: Array<Entry> = []
  for (cursor.seekFirst(); cursor.state !== CursorState.atEnd;) {
    if (cursor.state === CursorState.needsBlock) {
      cursor.supply(reader.verifyLeaf(cursor.need!.leaf, read(cursor.need!.offset, cursor.need!.storedLength)))
      continue
    }
    const { expiresAt, isPointer, keyBytes, keyEnd, keyspace, kind, sequence, valueBytes, valueEnd, valueStart } = cursor
    found.push({ keyspace, key: keyBytes.slice(0, keyEnd), sequence, kind, expiresAt, isPointer, value: valueBytes.slice(valueStart, valueEnd) })
    cursor.next()
  }
  return found
}

const rewrite = (file: Uint8Array, built: BuiltTable) => {
  const files = new MemoryFiles()
  files.files.set(7, file)
  const found = files.run(surveyTable({ crc32, codecs, fileId: 7, path, fileBytes: file.length, root: built.root, uuid }))
  let nextId = 20
  const takeId = () => nextId++
  const values = new RepairedValues(new Map(), takeId, policy, { crc32, codecs })
  const output = files.run(rewriteTable({ fileId: 7, path, level: 0, survey: found }, takeId, policy, { crc32, codecs }, 5, values))
  return { found, output, entries: output.meta === undefined ? [] : entriesOf(files, output.meta.fileId, output.meta.fileBytes, output.meta.root) }
}

/** Two keyspaces, many leaves, versions of one key over several leaves, deletes, range tombstones. */
const many = (): ReadonlyArray<Entry> => [
  ...Array.from({ length: 60 }, (_, i) => put(1, `key ${String(i).padStart(3, "0")}`, 100 + i, "v".repeat(40))),
  ...Array.from({ length: 40 }, (_, i) => put(1, "many versions", 400 - i, "w".repeat(40))),
  ...Array.from({ length: 20 }, (_, i) =>
    put(16, `other ${String(i).padStart(3, "0")}`, 50 + i, i % 3 === 0 ? "" : "x".repeat(30), i % 3 === 0 ? { kind: Kind.delete } : {})
  )
]
const tombstones = [{ keyspace: 1, start: text("b"), end: text("c"), sequence: 99 }]

describe("what is left of a damaged table", () => {
  it("is everything where nothing is damaged, by the manifest and by the footer", () => {
    const built = build(many(), { blockBytes: 512 }, tombstones)
    for (const trust of ["manifest", "footer"] as const) {
      const found = survey(built.file, built, trust)
      expect(found.unreadable).toBeUndefined()
      expect(found.gaps).toEqual([])
      expect(found.leaves).toHaveLength(readerOf(built).leafCount)
      expect(found.properties).toEqual(built.properties)
    }
    expect(rewrite(built.file, built).entries).toEqual(many())
  })

  it("each bit of each block: what is gone lies in the ranges that are told, what is left is exactly what was written, deletes and range tombstones stay", () => {
    const entries = many()
    const built = build(entries, { blockBytes: 512 }, tombstones)
    const places = [...Array(built.file.length).keys()].filter((at) => at % 97 === 0)
    let gone = 0
    for (const at of places) {
      const file = built.file.slice()
      file[at]! ^= 1 << (at % 8)
      const { entries: left, found, output } = rewrite(file, built)
      if (found.unreadable !== undefined) {
        expect(found.unreadable).toBeInstanceOf(Damage)
        continue
      }
      const idOf = (entry: Entry) =>
        `${entry.keyspace}/${Buffer.from(entry.key).toString()}@${entry.sequence}=${Buffer.from(entry.value).toString()}/${entry.kind}`
      const there = new Set(left.map(idOf))
      for (const entry of left) expect(entries.map(idOf)).toContain(idOf(entry))
      for (const entry of entries) {
        if (there.has(idOf(entry))) continue
        gone++
        const range = found.gaps.find((gap) => gap.kind === "block" && holdsKey(gap.range!, { keyspace: entry.keyspace, key: entry.key }))
        expect(range, `${idOf(entry)} is gone, byte ${at}`).toBeDefined()
      }
      const lostTombstones = found.gaps.some(({ kind }) => kind === "tombstones")
      expect([...found.tombstones.fragments()].length).toBe(lostTombstones ? 0 : 1)
      expect(output.meta?.rangeTombstoneCount).toBe(lostTombstones ? 0 : 1)
    }
    expect(gone).toBeGreaterThan(30)
  })

  it("a leaf in the middle of a key's versions: the older ones are left, and that they may show through is told", () => {
    const entries = many()
    const built = build(entries, { blockBytes: 512 }, tombstones)
    const reader = readerOf(built)
    const leaf = Array.from({ length: reader.leafCount }, (_, i) => i).find(
      (i) => reader.fences.fenceSequence(i) >= 0 && reader.fences.fenceSequence(i + 1) >= 0
    )!
    const file = built.file.slice()
    file[reader.leafOffset(leaf) + 20]! ^= 1
    const { found } = rewrite(file, built)
    expect(found.gaps).toHaveLength(1)
    expect(found.gaps[0]).toMatchObject({ kind: "block", versionsGoOn: true })
    expect(holdsKey(found.gaps[0]!.range!, { keyspace: 1, key: text("many versions") })).toBe(true)
  })

  it("a damaged fence page hides the leaves beneath it, and the range that is told covers them", () => {
    const entries = Array.from({ length: 6000 }, (_, i) => put(1, `key ${String(i).padStart(6, "0")}`, i + 1, "v".repeat(600)))
    const built = build(entries, { blockBytes: 512 })
    const pages = readerOf(built).sections.filter(({ kind }) => kind === SectionKind.fencePage)
    expect(pages.length).toBeGreaterThan(1)
    for (const page of pages) {
      const file = built.file.slice()
      file[page.offset + 9]! ^= 4
      const { entries: left, found } = rewrite(file, built)
      expect(found.gaps).toHaveLength(1)
      const kept = new Set(left.map(({ sequence }) => sequence))
      const lost = entries.filter(({ sequence }) => !kept.has(sequence))
      expect(lost.length).toBeGreaterThan(500)
      for (const { key, keyspace } of lost) expect(holdsKey(found.gaps[0]!.range!, { key, keyspace })).toBe(true)
    }
  })

  it("nothing, where the root, the footer or the whole is not this table's", () => {
    const built = build(many(), { blockBytes: 512 })
    const root = built.file.slice()
    root[built.root.offset]! ^= 1
    expect(survey(root, built).unreadable).toMatchObject({ offsetBytes: built.root.offset, reason: "ChecksumMismatch" })
    expect(survey(built.file.slice(0, 100), built).unreadable).toMatchObject({ reason: "Truncated" })
    expect(survey(built.file.slice(0, built.file.length - 200), built).unreadable).toBeDefined()
    const other = build(many(), { blockBytes: 512, fileId: 8 })
    expect(survey(other.file, other).unreadable).toMatchObject({ reason: "Unexpected" })
    expect(survey(other.file, other, "footer").unreadable).toMatchObject({ reason: "Unexpected" })
    const foreign = build(many(), { blockBytes: 512, uuid: new Uint8Array(16) })
    expect(survey(foreign.file, foreign).unreadable).toMatchObject({ reason: "Unexpected" })
    const noFooter = built.file.slice()
    noFooter[built.file.length - 50]! ^= 1
    expect(survey(noFooter, built, "footer").unreadable).toBeDefined()
    expect(survey(noFooter, built).unreadable).toBeUndefined()
    const noMagic = root.slice()
    noMagic[0]! ^= 1
    expect(survey(noMagic, built).unreadable).toMatchObject({ reason: "BadMagic" })
  })

  it("a table of which nothing is left is not written", () => {
    const built = build([put(1, "a", 1, "b")])
    const file = built.file.slice()
    file[70]! ^= 1
    const { output } = rewrite(file, built)
    expect(output).toMatchObject({ meta: undefined, entries: 0 })
  })
})

describe("values of damaged value files", () => {
  const writeValues = (fileId: number, count: number) => {
    const writer = new ValueFileWriter({ crc32, uuid, fileId })
    const pointers = Array.from({ length: count }, (_, i) => {
      const value = text(`value ${i} `.padEnd(200, "."))
      return writer.add(1, text(`key ${i}`), 0, `key ${i}`.length, i + 1, 0, value, 0, value.length)
    })
    const { buffers } = writer.finish()
    return { file: new Uint8Array(Buffer.concat(buffers)), pointers }
  }

  it("move to a new file where they can be read, and are told in runs where not", () => {
    const { file, pointers } = writeValues(30, 10)
    const entries = pointers.map((pointer, i) => put(1, `key ${i}`, i + 1, encodeValuePointer(pointer), { isPointer: true }))
    const built = build(entries)
    for (const i of [2, 3, 7]) file[pointers[i]!.offset + 5]! ^= 1
    const files = new MemoryFiles()
    files.files.set(7, built.file)
    files.files.set(30, file)
    const found = files.run(surveyTable({ crc32, codecs, fileId: 7, path, fileBytes: built.file.length, root: built.root, uuid }))
    let nextId = 40
    const takeId = () => nextId++
    const damaged = new Map([
      [30, { path: "db/000030.values", fileBytes: file.length, damage: new Damage("db/000030.values", 0, "ChecksumMismatch") }]
    ])
    const values = new RepairedValues(damaged, takeId, { ...policy, valueFileBytesMax: 600 }, { crc32, codecs })
    const output = files.run(rewriteTable({ fileId: 7, path, level: 2, survey: found }, takeId, policy, { crc32, codecs }, 5, values))
    files.run(values.end())
    expect(values.count).toBe(7)
    expect(values.done.length).toBeGreaterThan(1)
    expect(files.unfinished).toBe(0)
    expect(output.entries).toBe(7)
    expect(output.meta).toMatchObject({ level: 2, entryCount: 7 })
    expect(output.lostValues.map(({ entries: n, firstSequence, lastSequence }) => [n, firstSequence, lastSequence])).toEqual([
      [2, 3, 4],
      [1, 8, 8]
    ])
    expect(holdsKey(output.lostValues[0]!.range, { keyspace: 1, key: text("key 3") })).toBe(true)
    expect(holdsKey(output.lostValues[0]!.range, { keyspace: 1, key: text("key 4") })).toBe(false)
    for (const ref of output.meta!.valueRefs) expect(ref.fileId).toBeGreaterThanOrEqual(40)
  })

  it("more than a thousand runs of one table are told as one", () => {
    const { pointers } = writeValues(30, 1)
    const entries = Array.from({ length: 2400 }, (_, i) =>
      i % 2 === 0
        ? put(1, `key ${String(i).padStart(5, "0")}`, i + 1, encodeValuePointer(pointers[0]!), { isPointer: true })
        : put(1, `key ${String(i).padStart(5, "0")}`, i + 1, "inline")
    )
    const built = build(entries)
    const files = new MemoryFiles()
    files.files.set(7, built.file)
    const found = files.run(surveyTable({ crc32, codecs, fileId: 7, path, fileBytes: built.file.length, root: built.root, uuid }))
    const damaged = new Map([[30, { path: "db/000030.values", fileBytes: 0, damage: new Damage("db/000030.values", 0, "Missing") }]])
    const values = new RepairedValues(damaged, () => 41, policy, { crc32, codecs })
    const output = files.run(rewriteTable({ fileId: 7, path, level: 0, survey: found }, () => 40, policy, { crc32, codecs }, 5, values))
    expect(output.entries).toBe(1200)
    expect(output.lostValues).toHaveLength(1)
    expect(output.lostValues[0]).toMatchObject({ entries: 1200, firstSequence: 1, lastSequence: 2399 })
  })

  it("large ones are written as they come", () => {
    const writer = new ValueFileWriter({ crc32, uuid, fileId: 30 })
    const value = new Uint8Array(400_000).fill(7)
    const pointers = [0, 1].map((i) => writer.add(1, text(`k${i}`), 0, 2, i + 1, 0, value, 0, value.length))
    const file = new Uint8Array(Buffer.concat(writer.finish().buffers))
    const files = new MemoryFiles()
    files.files.set(30, file)
    const damaged = new Map([
      [30, { path: "db/000030.values", fileBytes: file.length, damage: new Damage("db/000030.values", 0, "ChecksumMismatch") }]
    ])
    const values = new RepairedValues(damaged, () => 50, policy, { crc32, codecs })
    pointers.forEach((pointer, i) => {
      const entry = { key: text(`k${i}`), sequence: i + 1, kind: Kind.put, expiresAt: 0, isPointer: true, value: new Uint8Array(0) }
      expect(files.run(values.moved(pointer, 1, entry))).toMatchObject({ fileId: 50, storedLength: 400_000 })
    })
    files.run(values.end())
    expect(values.done).toEqual([{ fileId: 50, fileBytes: files.files.get(50)!.length, valueBytes: 800_000 }])
  })

  it("a failure of the disk is not taken for a value that is gone", () => {
    const { file, pointers } = writeValues(30, 1)
    const files = new MemoryFiles()
    files.files.set(30, file)
    files.beforeRead = () => {
      throw new Error("the disk")
    }
    const entry = { key: text("k"), sequence: 1, kind: Kind.put, expiresAt: 0, isPointer: true, value: new Uint8Array(0) }
    const damaged = new Map([[30, { path: "p", fileBytes: file.length, damage: new Damage("p", 0, "ChecksumMismatch") }]])
    expect(() => files.run(new RepairedValues(damaged, () => 50, policy, { crc32, codecs }).moved(pointers[0]!, 1, entry))).toThrow("the disk")
  })

  it("of a file that is missing or cut short are all told", () => {
    const { file, pointers } = writeValues(30, 4)
    const damage = new Damage("db/000030.values", 0, "Missing")
    const entry = { key: text("k"), sequence: 1, kind: Kind.put, expiresAt: 0, isPointer: true, value: new Uint8Array(0) }
    const files = new MemoryFiles()
    files.files.set(30, file)
    const moved = (fileBytes: number, i: number) =>
      files.run(
        new RepairedValues(new Map([[30, { path: "db/000030.values", fileBytes, damage }]]), () => 50, policy, { crc32, codecs }).moved(
          pointers[i]!,
          1,
          entry
        )
      )
    expect(moved(0, 0)).toBe(damage)
    expect(moved(pointers[2]!.offset, 2)).toMatchObject({ reason: "Truncated", offsetBytes: pointers[2]!.offset })
    expect(files.run(new RepairedValues(new Map(), () => 50, policy, { crc32, codecs }).moved(pointers[1]!, 1, entry))).toBe(pointers[1])
  })
})
