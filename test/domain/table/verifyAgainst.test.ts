/**
 * Pieces that contradict one another under right sums: what a wrong writer would produce, and no disk. One test for each thing that verification compares: in a table, between a
 * table and the manifest, between a table and the value files it points into.
 */
import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import type { Damage } from "../../../src/domain/failures.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import type { TableMeta } from "../../../src/domain/manifest/TableMeta.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import type { TableExpectation } from "../../../src/domain/table/TableExpectation.ts"
import { encodeRoot, encodeTableFooter, type Section, SectionKind } from "../../../src/domain/table/tableFormat.ts"
import { encodeTableProperties, type TableProperties } from "../../../src/domain/table/TableProperties.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { verifyTable } from "../../../src/domain/table/verifyTable.ts"
import { PointerCheck } from "../../../src/domain/values/PointerCheck.ts"
import { encodeValuePointer, type ValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { ValueFileWriter } from "../../../src/domain/values/ValueFileWriter.ts"
import { build, type BuiltTable, codecsOf, damageOf, type Entry, hashSeed, open, path, put, readerOf, text, uuid } from "./support.ts"

const tombstones = [{ keyspace: 1, start: text("b"), end: text("c"), sequence: 9 }]

interface File {
  readonly file: Uint8Array
  readonly root: BuiltTable["root"]
}

/** The table with sections replaced (or left out) and its only leaf edited, laid out and summed as a builder would. */
const remade = (
  table: BuiltTable,
  change: { readonly properties?: TableProperties; readonly without?: number; readonly leaf?: (leaf: Uint8Array) => void }
): File => {
  const reader = open(table)
  const parts: Array<Uint8Array> = [table.file.slice(0, reader.sections[0]!.offset)]
  if (change.leaf !== undefined) change.leaf(parts[0]!.subarray(64))
  const sections: Array<Section> = []
  let offset = parts[0]!.length
  const add = (kind: number, leafCount: number, raw: Uint8Array) => {
    sections.push({ kind, leafCount, offset, storedLength: raw.length, rawLength: raw.length, codec: 0, sum: crc32(raw) })
    parts.push(raw)
    offset += raw.length
  }
  for (const section of reader.sections) {
    if (section.kind === change.without) continue
    const raw = table.file.slice(section.offset, section.offset + section.storedLength)
    if (section.kind === SectionKind.fencePage && change.leaf !== undefined) writeU32(raw, raw.length - 4, crc32(parts[0]!.subarray(64)))
    add(
      section.kind,
      section.leafCount,
      section.kind === SectionKind.properties && change.properties !== undefined ? encodeTableProperties(change.properties) : raw
    )
  }
  const rootBytes = encodeRoot(sections)
  const root = { offset, storedLength: rootBytes.length, rawLength: rootBytes.length, codec: 0, sum: crc32(rootBytes) }
  parts.push(rootBytes, encodeTableFooter(crc32, { uuid, fileId: 7, root }))
  return { file: new Uint8Array(Buffer.concat(parts)), root }
}

/** Runs a machine over a table and value files in memory. */
const drive = <A>(machine: StepMachine<A>, file: Uint8Array, values: ReadonlyMap<number, Uint8Array> = new Map()): A => {
  let step = machine.next()
  while (step.done !== true) {
    const request = step.value
    const from = request.step === "read" && request.kind === "values" ? values.get(request.fileId)! : file
    step = machine.next(request.step === "read" ? readerOf(from)(request.offset, request.length) : undefined)
  }
  return step.value
}

const opened = ({ file, root }: File): TableReader => TableReader.open(crc32, codecsOf(), 7, path, file.length, root, readerOf(file), uuid)

const found = (
  file: File,
  expected?: TableExpectation,
  pointers?: { readonly check: PointerCheck; readonly values: ReadonlyMap<number, Uint8Array> }
): Damage | undefined => damageOf(() => drive(verifyTable(crc32, opened(file), { expected, pointers: pointers?.check }), file.file, pointers?.values))

const small = (): BuiltTable =>
  build(
    [
      put(1, "app", 5, "1", { expiresAt: 77 }),
      put(1, "apple", 3, "22"),
      put(1, "apricot", 4, "", { kind: Kind.delete }),
      put(1, "avocado", 0, "333")
    ],
    { level: 1 },
    tombstones
  )

describe("a table whose properties say something else than its content", () => {
  const table = small()
  const { properties } = table

  it("is sound as it was built", () => {
    expect(found(remade(table, {}))).toBeUndefined()
    expect(found(remade(table, { properties }))).toBeUndefined()
  })

  for (const name of [
    "entryCount",
    "keyCount",
    "deleteCount",
    "rangeTombstoneCount",
    "leafCount",
    "smallestSequence",
    "largestSequence",
    "keyBytes",
    "valueBytes",
    "firstExpiryMs",
    "lastExpiryMs"
  ] as const) {
    it(`is found by its ${name}`, () => {
      const damage = found(remade(table, { properties: { ...properties, [name]: properties[name] + 1 } }))
      expect(damage).toMatchObject({ file: path, reason: "Unexpected", detail: expect.stringContaining(name) })
    })
  }

  it("is found by its bounds", () => {
    for (const wrong of [
      { smallest: { keyspace: 1, key: text("ap") } },
      { smallest: { keyspace: 0, key: text("app") } },
      { largest: { keyspace: 1, key: text("b") } },
      { largestIsExclusive: false }
    ]) {
      expect(found(remade(table, { properties: { ...properties, ...wrong } }))).toMatchObject({
        reason: "Unexpected",
        detail: expect.stringContaining("est key")
      })
    }
  })

  it("is found by its references to value files", () => {
    expect(found(remade(table, { properties: { ...properties, valueRefs: [{ fileId: 3, bytes: 10 }] } }))).toMatchObject({
      reason: "Unexpected",
      detail: "pointers refer to no value file, the properties say 10 bytes of value file 3"
    })
  })

  it("is found by its missing filter", () => {
    expect(found(remade(table, { without: SectionKind.filter }))).toMatchObject({ reason: "Unexpected", detail: "the filter is missing" })
    const none = build([put(1, "a", 1, "x")], { filterBitsPerKey: 0 })
    expect(found(remade(none, {}))).toBeUndefined()
  })
})

describe("entries that no writer makes", () => {
  const one = (entry: Entry): File => remade(build([entry]), {})

  it("are found by their kind", () => {
    for (const kind of [Kind.rangeDelete, Kind.mergeOperand, 6, 7])
      expect(found(one(put(1, "a", 5, "x", { kind }))), `${kind}`).toMatchObject({ reason: "Malformed", offsetBytes: 64 })
  })

  it("are found where a delete has a pointer, or a pointer is none", () => {
    const pointer = encodeValuePointer({ fileId: 3, offset: 100, storedLength: 10, rawLength: 10, codec: 0, sum: 1 })
    expect(found(one(put(1, "a", 5, pointer, { kind: Kind.delete, isPointer: true })))).toMatchObject({ reason: "Malformed" })
    const table = build([put(1, "a", 5, pointer, { isPointer: true })])
    // Its last varint goes on beyond its end.
    expect(found(remade(table, { leaf: (leaf) => leaf.fill(0xff, leaf.length - pointer.length) }))).toMatchObject({ reason: "Malformed" })
  })

  it("are found without their sequence where they expire, or where history is whole", () => {
    const expected = (table: BuiltTable, floors: ReadonlyArray<readonly [number, number]>): TableExpectation => ({
      meta: table.meta!,
      state: { hashSeed, historyFrom: new Map(floors) }
    })
    const expiring = build([put(1, "a", 0, "x", { expiresAt: 77 })])
    expect(found(expiring, expected(expiring, [[1, 9]]))).toMatchObject({ detail: "an entry that expires, without its sequence" })
    const plain = build([put(1, "a", 0, "x")])
    expect(found(plain, expected(plain, [[1, 9]]))).toBeUndefined()
    expect(found(plain, expected(plain, []))).toMatchObject({ detail: "an entry without its sequence, where history is whole" })
  })
})

describe("a table that the manifest describes otherwise", () => {
  const table = small()
  const meta = { ...table.meta!, largest: { keyspace: 1, key: text("c") } }
  const state = { hashSeed, historyFrom: new Map([[1, 9]]) }
  const against = (wrong: Partial<TableMeta>, other: Partial<TableExpectation["state"]> = {}) =>
    found(table, { meta: { ...meta, ...wrong }, state: { ...state, ...other } })

  it("is sound with its own record, also after it was moved down", () => {
    expect(against({})).toBeUndefined()
    expect(against({ level: 3 })).toBeUndefined()
  })

  for (const [name, wrong] of Object.entries({
    fileBytes: { fileBytes: 1 },
    entryCount: { entryCount: 3 },
    deleteCount: { deleteCount: 0 },
    rangeTombstoneCount: { rangeTombstoneCount: 2 },
    smallestSequence: { smallestSequence: 1 },
    largestSequence: { largestSequence: 8 },
    "written for level": { level: 0 },
    "smallest key": { smallest: { keyspace: 1, key: text("a") } },
    "largest key": { largest: { keyspace: 1, key: text("b") } },
    "refers to": { valueRefs: [{ fileId: 3, bytes: 9 }] },
    "delete other ranges": { deletedRanges: [] }
  } satisfies { readonly [detail: string]: Partial<TableMeta> })) {
    it(`is found by: ${name}`, () => {
      expect(against(wrong)).toMatchObject({
        file: path,
        reason: "Unexpected",
        detail: expect.stringContaining(name === "fileBytes" ? "bytes, the manifest" : name)
      })
    })
  }

  it("is found by its root, which its footer names", () => {
    expect(against({ root: { ...meta.root, sum: 1 } })).toMatchObject({ detail: expect.stringContaining("root") })
  })

  it("is found by the seed of its hashes", () => {
    expect(against({}, { hashSeed: 1 })).toMatchObject({ detail: expect.stringContaining("hash seed") })
  })
})

describe("a pointer", () => {
  const writer = new ValueFileWriter({ crc32, uuid, fileId: 3 })
  const add = (key: string, sequence: number, expiresAt: number, value: string): ValuePointer =>
    writer.add(1, text(key), 0, key.length, sequence, expiresAt, text(value), 0, value.length)
  const first = add("a", 5, 0, "the value of a")
  const second = add("b", 300, 77, "the value of b")
  const long = add("k".repeat(300), 2 ** 40, 0, "the value of a long key")
  const { buffers } = writer.finish()
  const file = new Uint8Array(Buffer.concat(buffers))
  const values = new Map([[3, file]])

  const follow = (pointer: ValuePointer, key: string, sequence: number, expiresAt = 0, isPassedOver?: (id: number) => boolean) => {
    const table = build([put(1, key, sequence, encodeValuePointer(pointer), { isPointer: true, expiresAt })])
    const check = new PointerCheck(crc32, path, new Map([[3, { fileBytes: file.length }]]), isPassedOver)
    return found(table, undefined, { check, values })
  }

  it("leads to the record of its own key, sequence and expiry, also where the table gave the sequence up", () => {
    expect(follow(first, "a", 5)).toBeUndefined()
    expect(follow(first, "a", 0)).toBeUndefined()
    expect(follow(second, "b", 300, 77)).toBeUndefined()
    expect(follow(long, "k".repeat(300), 2 ** 40)).toBeUndefined()
    expect(follow(long, "k".repeat(300), 0)).toBeUndefined()
  })

  for (const [what, wrong] of Object.entries({
    "another key's record": () => follow(second, "a", 300, 77),
    "another sequence": () => follow(first, "a", 6),
    "another expiry": () => follow(second, "b", 300, 78),
    "another stored length": () => follow({ ...first, storedLength: first.storedLength - 1 }, "a", 5),
    "another length": () => follow({ ...first, rawLength: first.rawLength + 1 }, "a", 5),
    "another codec": () => follow({ ...first, codec: 1 }, "a", 5),
    "another sum": () => follow({ ...first, sum: first.sum ^ 1 }, "a", 5),
    "no record's begin": () => follow({ ...first, offset: first.offset + 1 }, "a", 5),
    "the header": () => follow({ ...first, offset: 10 }, "a", 5),
    "beyond the records": () => follow({ ...first, offset: file.length - 20 }, "a", 5),
    "a file that is not named": () => follow({ ...first, fileId: 4 }, "a", 5)
  })) {
    it(`to ${what} is found, in the leaf that holds it`, () => {
      expect(wrong()).toMatchObject({ file: path, offsetBytes: 64, reason: "Unexpected", detail: expect.stringContaining("a pointer to byte") })
    })
  }

  it("into a file that is known to be damaged is not followed", () => {
    expect(follow({ ...first, sum: 0 }, "a", 5, 0, (id) => id === 3)).toBeUndefined()
  })

  it("is followed wherever it is in a large table", () => {
    const many = new ValueFileWriter({ crc32, uuid, fileId: 3 })
    const keys = Array.from({ length: 10_000 }, (_, i) => `key${String(i).padStart(6, "0")}`)
    const entries = keys.map((key, i) =>
      put(1, key, i + 1, encodeValuePointer(many.add(1, text(key), 0, key.length, i + 1, 0, text("v"), 0, 1)), { isPointer: true })
    )
    const pieces: Array<Uint8Array> = [...many.takeOutput(), ...many.finish().buffers]
    const bytes = new Uint8Array(Buffer.concat(pieces))
    const verify = (wrongAt: number | undefined) => {
      const table = build(entries.map((entry, i) => (i === wrongAt ? { ...entry, value: entries[i - 1]!.value } : entry)))
      return found(table, undefined, {
        check: new PointerCheck(crc32, path, new Map([[3, { fileBytes: bytes.length }]])),
        values: new Map([[3, bytes]])
      })
    }
    expect(verify(undefined)).toBeUndefined()
    for (const at of [1, 5000, 9999]) expect(verify(at)?.reason, `${at}`).toBe("Unexpected")
  })
})
