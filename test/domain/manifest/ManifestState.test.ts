import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ByteWriter } from "../../../src/domain/bytes/ByteWriter.ts"
import { decodeEdit, encodeEdit } from "../../../src/domain/manifest/editCodec.ts"
import type { ManifestEdit } from "../../../src/domain/manifest/ManifestEdit.ts"
import type { ManifestState } from "../../../src/domain/manifest/ManifestState.ts"
import { applyEdit, blankState, sequenceBlock, snapshotOf } from "../../../src/domain/manifest/ManifestState.ts"
import { damageOf } from "../wal/segments.ts"
import { fresh, identity, table, text, values } from "./states.ts"

const number = fc.maxSafeNat()
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const id = fc.integer({ min: 1, max: 8192 })
const place = fc.record({ keyspace: u32, key: fc.uint8Array({ maxLength: 20 }) })
const some = <A>(item: fc.Arbitrary<A>) => fc.array(item, { minLength: 1, maxLength: 4 })
const keyspaceSequence = fc.record({ keyspace: u32, sequence: number })
const seal = { lengthBytes: number, lastSum: u32, lastSequence: number, firstSequence: number, lastCommitMs: number }
const arbitraryEdit: fc.Arbitrary<ManifestEdit> = fc.record(
  {
    engineTimeMs: number,
    fileIdsThrough: number,
    sequencesThrough: number,
    flushedThrough: fc.record({ sequence: number, position: number }),
    addLostRanges: some(fc.record({ from: number, to: number })),
    historyFrom: some(keyspaceSequence),
    removeSegments: some(id),
    addSegments: some(
      fc.record(
        { fileId: id, headerSum: u32, epoch: u32, basePosition: number, floorPosition: number, sealed: fc.record(seal) },
        { requiredKeys: ["fileId", "headerSum", "epoch"] }
      )
    ),
    sealSegments: some(fc.record({ fileId: id, basePosition: number, ...seal })),
    removeTables: some(id),
    addTables: some(
      fc.record({
        fileId: id,
        level: number,
        fileBytes: number,
        smallest: place,
        largest: place,
        smallestSequence: number,
        largestSequence: number,
        entryCount: number,
        deleteCount: number,
        rangeTombstoneCount: number,
        root: fc.record({ offset: number, storedLength: number, rawLength: number, codec: fc.nat(255), sum: u32 }),
        valueRefs: fc.array(fc.record({ fileId: id, bytes: number }), { maxLength: 3 })
      })
    ),
    removeValueFiles: some(id),
    addValueFiles: some(fc.record({ fileId: id, fileBytes: number, valueBytes: number })),
    dropKeyspaces: some(keyspaceSequence),
    forgetKeyspaces: some(u32),
    keepVersions: some(fc.record({ keyspace: u32, sequence: number, count: number }))
  },
  { requiredKeys: [] }
)

const decode = (payload: Uint8Array) => decodeEdit("m", 8192, payload)

describe("the codec of edits", () => {
  it("round-trips any edit", () => {
    fc.assert(
      fc.property(arbitraryEdit, (edit) => {
        expect(decode(encodeEdit(edit))).toEqual(edit)
      }),
      { seed: 20_261_120 }
    )
  })

  it("refuses every shortened edit, unless a whole field is gone", () => {
    const edit: ManifestEdit = { engineTimeMs: 5, addTables: [table(8)], addSegments: [{ fileId: 1, headerSum: 2, epoch: 3 }] }
    const payload = encodeEdit(edit).slice()
    const whole: Array<number> = []
    for (let n = 0; n < payload.length; n++) {
      try {
        decode(payload.subarray(0, n))
        whole.push(n)
      } catch (error) {
        expect(error).toMatchObject({ _tag: "Damage", reason: "Malformed", offsetBytes: 8192 })
      }
    }
    expect(whole).toHaveLength(3)
  })

  it("refuses an unknown field unless its tag is odd", () => {
    const withTag = (tag: number) =>
      new ByteWriter()
        .raw(encodeEdit({ engineTimeMs: 5 }))
        .varint(tag)
        .lengthPrefixed(text("later")).bytes
    expect(damageOf(() => decode(withTag(38))).reason).toBe("UnsupportedVersion")
    expect(decode(withTag(33))).toEqual({ engineTimeMs: 5 })
  })

  it("refuses fields out of order, twice, or too long, and flags it does not know", () => {
    const fields = (...parts: ReadonlyArray<ManifestEdit>) => Buffer.concat(parts.map((part) => encodeEdit(part).slice()))
    expect(damageOf(() => decode(fields({ fileIdsThrough: 1 }, { engineTimeMs: 1 }))).reason).toBe("Malformed")
    expect(damageOf(() => decode(fields({ engineTimeMs: 1 }, { engineTimeMs: 1 }))).reason).toBe("Malformed")
    expect(damageOf(() => decode(fields({ fileIdsUsed: 1 }, { fileIdsUsed: 2 }))).reason).toBe("Malformed")
    expect(decode(fields({ removeTables: [1] }, { removeTables: [2] }))).toEqual({ removeTables: [1, 2] })
    expect(damageOf(() => decode(Uint8Array.of(4, 2, 1, 1))).reason).toBe("Malformed")
    const segment = encodeEdit({ addSegments: [{ fileId: 1, headerSum: 2, epoch: 3 }] }).slice()
    segment[segment.length - 1] = 8
    expect(damageOf(() => decode(segment)).reason).toBe("Malformed")
  })

  it("refuses to write what cannot be read", () => {
    expect(() => encodeEdit({ engineTimeMs: 1.5 })).toThrow(RangeError)
    expect(() => encodeEdit({ removeTables: [2 ** 53] })).toThrow(RangeError)
    expect(() => encodeEdit({ identity: { ...identity, uuid: new Uint8Array(15) } })).toThrow(RangeError)
    expect(() => encodeEdit({ identity: { ...identity, lineageId: new Uint8Array(17) } })).toThrow(RangeError)
  })
})

const segment = (fileId: number) => ({ fileId, headerSum: 1, epoch: 3 })
const seal7 = { fileId: 7, lengthBytes: 900, lastSum: 5, basePosition: 300, lastSequence: 42, firstSequence: 21, lastCommitMs: 1500 }
const full: ManifestState = applyEdit(fresh, {
  engineTimeMs: 2000,
  flushedThrough: { sequence: 42, position: 700 },
  addLostRanges: [{ from: 10, to: 20 }],
  historyFrom: [
    { keyspace: 1, sequence: 5 },
    { keyspace: 16, sequence: 30 }
  ],
  addSegments: [segment(7), { ...segment(8), floorPosition: 950 }],
  sealSegments: [seal7],
  addTables: [table(9, { valueRefs: [{ fileId: 11, bytes: 5 }] }), table(10, { level: 2 })],
  addValueFiles: [values(11)],
  dropKeyspaces: [{ keyspace: 16, sequence: 41 }],
  keepVersions: [{ keyspace: 17, sequence: 41, count: 3 }]
})

describe("applyEdit", () => {
  it("leaves the state it was given as it was", () => {
    const before = structuredClone(full)
    const after = applyEdit(full, { removeTables: [9], removeValueFiles: [11], removeSegments: [7], forgetKeyspaces: [16], engineTimeMs: 2001 })
    expect(full).toEqual(before)
    expect([[...after.tables.keys()], after.valueFiles.size, [...after.segments.keys()], after.engineTimeMs]).toEqual([[10], 0, [8], 2001])
    expect([...after.historyFrom]).toEqual([[1, 5]])
    expect(after.droppedKeyspaces.size).toBe(0)
  })

  it("gives the same state again from its snapshot", () => {
    expect(applyEdit(blankState(identity), snapshotOf(full))).toEqual(full)
    expect(applyEdit(blankState(identity), decode(encodeEdit(snapshotOf(full))))).toEqual(full)
    expect(applyEdit(full, {})).toEqual(full)
  })

  it("moves a table by removing and adding it", () => {
    const moved = applyEdit(full, { removeTables: [10], addTables: [table(10, { level: 3 })] })
    expect(moved.tables.get(10)!.level).toBe(3)
  })

  it("remembers the highest id that was ever named, over a new file too", () => {
    expect(full.fileIdsUsed).toBe(11)
    const gone = applyEdit(full, { removeTables: [9, 10], removeValueFiles: [11] })
    expect(gone.fileIdsUsed).toBe(11)
    expect(snapshotOf(full).fileIdsUsed).toBeUndefined()
    expect(snapshotOf(gone).fileIdsUsed).toBe(11)
    expect(applyEdit(blankState(identity), decode(encodeEdit(snapshotOf(gone))))).toEqual(gone)
    expect(applyEdit(blankState(identity), decode(encodeEdit(snapshotOf(full))))).toEqual(full)
  })

  it("keeps a seal's base and takes back what a clean close did not use", () => {
    const { basePosition, fileId: _fileId, ...sealed } = seal7
    expect(full.segments.get(7)).toEqual({ ...segment(7), basePosition, sealed })
    expect(applyEdit(full, { sequencesThrough: 42 }).sequencesThrough).toBe(42)
    const known = applyEdit(fresh, { addSegments: [{ ...segment(7), basePosition: 300 }] })
    expect(applyEdit(known, { sealSegments: [seal7] }).segments.get(7)!.basePosition).toBe(300)
    expect(damageOf(() => applyEdit(known, { sealSegments: [{ ...seal7, basePosition: 301 }] })).reason).toBe("Malformed")
  })

  it.each<[string, ManifestEdit]>([
    ["removes a segment that is not there", { removeSegments: [6] }],
    ["removes a table that is not there", { removeTables: [7] }],
    ["removes a table twice", { removeTables: [10, 10] }],
    ["removes a value file that is not there", { removeValueFiles: [9] }],
    ["removes a value file that a table refers to", { removeValueFiles: [11] }],
    ["adds a table twice", { addTables: [table(10)] }],
    ["adds a table with a segment's id", { addTables: [table(7)] }],
    ["adds a segment with a table's id", { addSegments: [segment(9)] }],
    ["adds a value file with another's id", { addValueFiles: [values(11)] }],
    ["adds a file beyond the reserved ids", { addTables: [table(8193)] }],
    ["adds file 0", { addTables: [table(0)] }],
    ["adds a table with bounds the wrong way round", { addTables: [table(20, { smallest: { keyspace: 17, key: text("a") } })] }],
    ["adds a table with sequences the wrong way round", { addTables: [table(20, { smallestSequence: 43 })] }],
    ["adds a table with unreserved sequences", { addTables: [table(20, { largestSequence: sequenceBlock + 1 })] }],
    ["adds a table that refers to no value file", { addTables: [table(20, { valueRefs: [{ fileId: 12, bytes: 1 }] })] }],
    ["seals a segment that is not there", { sealSegments: [{ ...seal7, fileId: 6 }] }],
    ["seals a segment twice", { sealSegments: [seal7] }],
    ["seals with a sequence that is not reserved", { sealSegments: [{ ...seal7, fileId: 8, lastSequence: sequenceBlock + 1 }] }],
    ["turns engine time back", { engineTimeMs: 1999 }],
    ["turns file ids back", { fileIdsThrough: 8191 }],
    ["turns used file ids back", { fileIdsUsed: 10 }],
    ["uses file ids that are not reserved", { fileIdsUsed: 8193 }],
    ["turns sequences back below a seal", { sequencesThrough: 41 }],
    ["reserves sequences that are no numbers", { sequencesThrough: 2 ** 53 }],
    ["turns the flushed sequence back", { flushedThrough: { sequence: 41, position: 700 } }],
    ["turns the flushed position back", { flushedThrough: { sequence: 42, position: 699 } }],
    ["flushes what is not reserved", { flushedThrough: { sequence: sequenceBlock + 1, position: 700 } }],
    ["loses an empty range", { addLostRanges: [{ from: 30, to: 30 }] }],
    ["loses a range before another", { addLostRanges: [{ from: 19, to: 30 }] }],
    ["lets history grow backwards", { historyFrom: [{ keyspace: 1, sequence: 4 }] }],
    ["drops a keyspace twice", { dropKeyspaces: [{ keyspace: 16, sequence: 42 }] }],
    ["forgets a keyspace that was not dropped", { forgetKeyspaces: [1] }]
  ])("refuses an edit that %s", (_, edit) => {
    expect(damageOf(() => applyEdit(full, edit, "m", 4096))).toMatchObject({ reason: "Malformed", file: "m", offsetBytes: 4096 })
  })
})
