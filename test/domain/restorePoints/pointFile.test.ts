import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { Damage } from "../../../src/domain/failures.ts"
import { decodePointFile, encodePointFile, type PointFile } from "../../../src/domain/restorePoints/pointFile.ts"
import { docExample } from "../bytes/hexDump.ts"

const counting = (from: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => from + i)
const example: PointFile = {
  name: "nightly",
  version: 2,
  uuid: counting(0x10),
  lineageId: counting(0x30),
  sourceLineageId: counting(0x50),
  sequence: 300,
  createdAtMs: 1000,
  reason: "import",
  files: 3,
  bytes: 5000,
  manifestId: 9,
  manifestBytes: 8192,
  manifestSum: 0x01020304
}
const read = (bytes: Uint8Array): PointFile | Damage => {
  try {
    return decodePointFile(crc32, "points/nightly@2/RESTORE-POINT", bytes)
  } catch (cause) {
    if (cause instanceof Damage) return cause
    throw cause
  }
}
/** The fields replaced, under a right sum. */
const withFields = (fields: ReadonlyArray<number>, head: ReadonlyArray<readonly [number, number]> = []): Uint8Array => {
  const bytes = new Uint8Array(24 + fields.length)
  bytes.set(encodePointFile(crc32, example).subarray(0, 16))
  writeU32(bytes, 16, fields.length)
  bytes.set(fields, 20)
  for (const [at, value] of head) bytes[at] = value
  writeU32(bytes, bytes.length - 4, crc32(bytes.subarray(0, bytes.length - 4)))
  return bytes
}
const fieldsOf = (point: PointFile): Array<number> => [...encodePointFile(crc32, point).slice(20, -4)]

describe("the file of a restore point", () => {
  it("is written as the document's example says, and read back", () => {
    expect([...encodePointFile(crc32, example)]).toEqual([...docExample("restore-point")])
    expect(read(docExample("restore-point"))).toEqual(example)
    const bare = { ...example, reason: "", sequence: 0, createdAtMs: 0, files: 0, bytes: 0, manifestSum: 0 }
    expect(read(encodePointFile(crc32, bare))).toEqual(bare)
    const long = { ...example, reason: "ü".repeat(2000), manifestSum: 0xffff_ffff, bytes: 2 ** 50 }
    expect(read(encodePointFile(crc32, long))).toEqual(long)
  })

  it("is refused at every prefix, with every flipped bit, and with more behind it", () => {
    const bytes = encodePointFile(crc32, example)
    for (let length = 0; length < bytes.length; length++) expect(read(bytes.slice(0, length)), `${length}`).toBeInstanceOf(Damage)
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = bytes.slice()
        flipped[at]! ^= 1 << bit
        expect(read(flipped), `byte ${at} bit ${bit}`).toMatchObject({ _tag: "Damage", offsetBytes: 0 })
      }
    }
    expect(read(Uint8Array.of(...bytes, 0))).toBeInstanceOf(Damage)
  })

  it("passes over what a later version adds, and refuses what it must know", () => {
    expect(read(withFields([...fieldsOf(example), 99, 2, 1, 2]))).toEqual(example)
    expect(read(withFields(fieldsOf(example), [[8, 2]]))).toMatchObject({ reason: "UnsupportedVersion" })
    expect(read(withFields(fieldsOf(example), [[12, 1]]))).toMatchObject({ reason: "UnsupportedVersion" })
  })

  it("is refused with impossible fields, under a right sum", () => {
    for (const wrong of [
      [],
      [1, 1, 97],
      [...fieldsOf(example), 1, 1, 97],
      fieldsOf({ ...example, name: "../evil" }),
      fieldsOf({ ...example, version: 0 }),
      fieldsOf({ ...example, manifestId: 0 }),
      fieldsOf({ ...example, uuid: counting(0).slice(1) }),
      [...fieldsOf(example).slice(0, 9), 2, 2, 2, 0],
      [...fieldsOf(example).slice(0, 9), 2, 200],
      [1, 2, 0xff, 0xff, ...fieldsOf(example).slice(9)]
    ])
      expect(read(withFields(wrong)), JSON.stringify(wrong.slice(0, 12))).toMatchObject({ reason: "Malformed" })
    const length = encodePointFile(crc32, example)
    writeU32(length, 16, 3)
    writeU32(length, length.length - 4, crc32(length.subarray(0, length.length - 4)))
    expect(read(length)).toMatchObject({ reason: "Malformed" })
  })
})
