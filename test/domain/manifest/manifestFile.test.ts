import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { Damage } from "../../../src/domain/failures.ts"
import type { ManifestEdit } from "../../../src/domain/manifest/ManifestEdit.ts"
import { encodeManifestEdit, readManifest } from "../../../src/domain/manifest/manifestFile.ts"
import { applyEdit } from "../../../src/domain/manifest/ManifestState.ts"
import { docExample } from "../bytes/hexDump.ts"
import { damageOf } from "../wal/segments.ts"
import { counting, crc32, fileOf, fresh, table, text, values } from "./states.ts"

const example = Uint8Array.from(docExample("manifest"))
const head = applyEdit(fresh, { addSegments: [{ fileId: 7, headerSum: 0x61c4_a0f4, epoch: 3, basePosition: 300 }] })
const flush: ManifestEdit = {
  engineTimeMs: 1002,
  flushedThrough: { sequence: 42, position: 888 },
  sealSegments: [{ fileId: 7, lengthBytes: 1100, lastSum: 0xd5b7_2221, basePosition: 300, lastSequence: 42, firstSequence: 40, lastCommitMs: 1001 }],
  addTables: [table(8, { valueRefs: [{ fileId: 9, bytes: 70_000 }] })],
  addValueFiles: [values(9)]
}
const flushed = applyEdit(head, flush)
const snapshotEnd = 4096 + 99
const editEnd = 8192 + 91

const read = (bytes: Uint8Array) => readManifest(crc32, "000006.manifest", bytes)

describe("the manifest's worked example", () => {
  it("is what the encoder writes", () => {
    expect(Buffer.from(fileOf(head, [flush]).bytes).toString("hex")).toBe(Buffer.from(example).toString("hex"))
  })

  it("is what the decoder reads", () => {
    const content = read(example)
    expect(content).toEqual({ fileId: 6, state: flushed, records: 2, lengthBytes: 0x3000, lastSum: 0xd464_7eb1, torn: false })
    expect(content.state.segments.get(7)).toEqual({
      fileId: 7,
      headerSum: 0x61c4_a0f4,
      epoch: 3,
      basePosition: 300,
      sealed: { lengthBytes: 1100, lastSum: 0xd5b7_2221, lastSequence: 42, firstSequence: 40, lastCommitMs: 1001 }
    })
  })

  it("at every prefix is the state before the edit, or damage in what was durable before the file was named", () => {
    for (let n = 0; n < example.length; n++) {
      const bytes = example.subarray(0, n)
      if (n < snapshotEnd) {
        const { offsetBytes, reason } = damageOf(() => read(bytes))
        expect([offsetBytes, reason]).toEqual([n < 4096 ? 0 : 4096, n <= 4096 ? "Truncated" : "ChecksumMismatch"])
        continue
      }
      const content = read(bytes)
      expect(content.state, `prefix ${n}`).toEqual(n < editEnd ? head : flushed)
      expect(content.torn, `prefix ${n}`).toBe(n > 8192 && n < editEnd)
    }
  })

  it("with any bit flipped is the same, the state before a torn last edit, or damage", () => {
    for (let bit = 0; bit < example.length * 8; bit++) {
      const at = bit >> 3
      // The long zeros after the records differ only in where they are: one in 37 is enough.
      if (((at >= 4096 + 200 && at < 8192) || at > editEnd + 100) && bit % 37 !== 0) continue
      const bytes = example.slice()
      bytes[at]! ^= 1 << (bit & 7)
      let outcome: unknown
      try {
        outcome = read(bytes).state
      } catch (error) {
        outcome = error instanceof Damage ? "damage" : error
      }
      const expected = at < snapshotEnd ? "damage" : at >= 8192 && at < editEnd ? head : flushed
      if (expected === "damage") expect(outcome, `bit ${bit}`).toBe("damage")
      else expect(outcome, `bit ${bit}`).toEqual(expected)
    }
  }, 20_000)
})

describe("what follows the last valid record", () => {
  const edits: ReadonlyArray<ManifestEdit> = [{ engineTimeMs: 1001 }, { engineTimeMs: 1002 }, { engineTimeMs: 1003 }]
  const { bytes, tail } = fileOf(fresh, edits)
  const recordAt = (index: number): number => 8192 + 4096 * index

  it("is the place of the next one", () => {
    expect(read(bytes)).toMatchObject({ ...tail, records: 4, torn: false })
    const next = encodeManifestEdit(crc32, read(bytes), { engineTimeMs: 1004 })
    expect(next.bytes.length).toBe(4096)
    expect(read(Buffer.concat([bytes, next.bytes])).state.engineTimeMs).toBe(1004)
  })

  it("is cut as torn when nothing valid comes after it, and clean when it is zeros", () => {
    const damaged = bytes.slice()
    damaged[recordAt(2) + 25]! ^= 1
    expect(read(damaged)).toMatchObject({ lengthBytes: recordAt(2), records: 3, torn: true })
    expect(read(damaged).state.engineTimeMs).toBe(1002)
    expect(read(Buffer.concat([bytes, new Uint8Array(9000)]))).toMatchObject({ ...tail, torn: false })
    expect(read(Buffer.concat([bytes, new Uint8Array(5000), Uint8Array.of(1)]))).toMatchObject({ ...tail, torn: true })
  })

  it("is damage when a valid record comes after it, however many are gone", () => {
    for (const lost of [[0], [1], [0, 1]]) {
      const damaged = bytes.slice()
      for (const index of lost) damaged.fill(0, recordAt(index), recordAt(index + 1))
      expect(
        damageOf(() => read(damaged)),
        String(lost)
      ).toMatchObject({ reason: "ChecksumMismatch", offsetBytes: recordAt(lost[0]!) })
    }
  })

  it("is damage when it is a record of another chain", () => {
    const other = fileOf(fresh, [{ engineTimeMs: 1001 }, { engineTimeMs: 1002 }, { engineTimeMs: 7 }], 5).bytes
    const mixed = bytes.slice()
    mixed.set(other.subarray(recordAt(2)), recordAt(2))
    expect(damageOf(() => read(mixed))).toMatchObject({ reason: "ChecksumMismatch", offsetBytes: recordAt(2) })
    // A copy of a record in the wrong place is nothing at all.
    const copied = bytes.slice()
    copied.copyWithin(recordAt(2), recordAt(1), recordAt(2))
    expect(read(copied)).toMatchObject({ records: 3, torn: true })
  })
})

describe("what is refused", () => {
  const header = (change: (bytes: Uint8Array) => void) => {
    const bytes = example.slice()
    change(bytes)
    writeU32(bytes, 8, crc32(bytes.subarray(12, 4096)))
    return bytes
  }
  const record = (change: (bytes: Uint8Array) => void, at = 8192, length = 91) => {
    const bytes = example.slice()
    change(bytes.subarray(at))
    writeU32(bytes, at, crc32(bytes.subarray(at + 4, at + length), new DataView(bytes.buffer).getUint32(at + 8, true)))
    return bytes
  }

  it("what a newer version wrote", () => {
    expect(damageOf(() => read(header((b) => (b[0] = 0)))).reason).toBe("BadMagic")
    for (const at of [12, 16, 24, 28, 60, 311])
      expect(damageOf(() => read(header((b) => (b[at]! ^= 4)))).reason, String(at)).toBe("UnsupportedVersion")
    expect(damageOf(() => read(header((b) => (b[54] = 0x20)))).reason).toBe("Malformed")
  })

  it("compatible features by nobody, those compatible with reading by writers", () => {
    // The header's sum seeds the snapshot's: the chain is broken here, which only shows that the header was accepted.
    for (const [at, access] of [
      [20, "write"],
      [24, "read"]
    ] as const) {
      const bytes = header((b) => (b[at] = 1))
      expect(
        damageOf(() => readManifest(crc32, "m", bytes, access)),
        String(at)
      ).toMatchObject({ reason: "ChecksumMismatch", offsetBytes: 4096 })
    }
  })

  it("records of a wrong kind or place", () => {
    expect(damageOf(() => read(record((b) => (b[12] = 1))))).toMatchObject({ reason: "Malformed", offsetBytes: 8192 })
    expect(damageOf(() => read(record((b) => (b[13] = 1)))).reason).toBe("Malformed")
    expect(damageOf(() => read(record((b) => (b[12] = 2), 4096, 99)))).toMatchObject({ reason: "Malformed", offsetBytes: 4096 })
    // A snapshot without identity: its tag becomes one that may be skipped.
    expect(damageOf(() => read(record((b) => (b[24] = 1), 4096, 99))).reason).toBe("Malformed")
    // A snapshot of another database.
    const other = fileOf({ ...head, uuid: counting(1) }, []).bytes.slice()
    const mine = fileOf(head, []).bytes
    other.set(mine.subarray(0, 4096))
    const chained = other.slice()
    writeU32(chained, 4096 + 8, new DataView(mine.buffer, mine.byteOffset).getUint32(8, true))
    writeU32(chained, 4096, crc32(chained.subarray(4100, snapshotEnd), new DataView(chained.buffer).getUint32(8, true)))
    expect(damageOf(() => read(chained)).reason).toBe("Malformed")
  })

  it("an edit that contradicts the state, at its record", () => {
    expect(damageOf(() => read(fileOf(fresh, [{ removeTables: [4] }]).bytes))).toMatchObject({
      reason: "Malformed",
      offsetBytes: 8192,
      file: "000006.manifest"
    })
  })
})

describe("a large manifest", () => {
  it("is read back whole, edit by edit", () => {
    let state = fresh
    const edits: Array<ManifestEdit> = []
    for (let id = 1; id <= 300; id++) {
      const edit: ManifestEdit =
        id <= 3
          ? { addTables: [table(id)] }
          : {
              addTables: [
                table(id, { level: id % 7, smallest: { keyspace: 1, key: text(`k${"x".repeat(id * 20)}`) }, largest: { keyspace: 2, key: text("") } })
              ],
              removeTables: [id - 3],
              engineTimeMs: 1000 + id
            }
      edits.push(edit)
      state = applyEdit(state, edit)
    }
    const content = read(fileOf(fresh, edits).bytes)
    expect(content.state).toEqual(state)
    expect([...content.state.tables.keys()]).toEqual([298, 299, 300])
    // And a new file that begins with it.
    expect(read(fileOf(state, []).bytes).state).toEqual(state)
  })
})
