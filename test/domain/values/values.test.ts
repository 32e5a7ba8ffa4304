import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { MalformedBytes } from "../../../src/domain/bytes/varint.ts"
import { Damage } from "../../../src/domain/failures.ts"
import type { Codec } from "../../../src/domain/seams.ts"
import { readValue } from "../../../src/domain/values/readValue.ts"
import { ValueFileWriter } from "../../../src/domain/values/ValueFileWriter.ts"
import { valueFooterBytes } from "../../../src/domain/values/valueFormat.ts"
import { decodeValuePointer, encodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import type { ValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { walkValueFile } from "../../../src/domain/values/walkValueFile.ts"
import { docExample } from "../bytes/hexDump.ts"
import { codecsOf, damageOf, hex, randomOf, run, runLength, text, uuid } from "../table/support.ts"

const path = "db/000008.values"

const write = (
  records: ReadonlyArray<{ readonly key: string; readonly value: Uint8Array; readonly sequence?: number; readonly expiresAt?: number }>,
  codec?: Codec
) => {
  const writer = new ValueFileWriter({ crc32, uuid, fileId: 8, codec })
  const pieces: Array<Uint8Array> = []
  const pointers: Array<ValuePointer> = []
  let position = 0
  for (const { key, value, sequence = 5, expiresAt = 0 } of records) {
    pointers.push(writer.add(1, text(`<${key}>`), 1, 1 + key.length, sequence, expiresAt, value, 0, value.length))
    expect(writer.outputPosition).toBe(position)
    expect(writer.pendingBytes).toBe(writer.estimatedBytes - position)
    for (const piece of writer.takeOutput()) {
      pieces.push(piece)
      position += piece.length
    }
  }
  const finished = writer.finish()
  expect(finished.position).toBe(position)
  const file = new Uint8Array(Buffer.concat([...pieces, ...finished.buffers]))
  expect(finished.meta).toEqual({ fileId: 8, fileBytes: file.length, valueBytes: pointers.reduce((sum, pointer) => sum + pointer.storedLength, 0) })
  return { file, pointers }
}

const walk = (
  file: Uint8Array,
  each?: Parameters<typeof walkValueFile>[1],
  more: { readonly fileId?: number; readonly uuid?: Uint8Array } = { uuid }
) => run(walkValueFile({ crc32, codecs: codecsOf(runLength), fileId: 8, path, fileBytes: file.length, ...more }, each), file)

describe("value file", () => {
  it("is written as the document's example says, and read back", () => {
    const { file, pointers } = write([{ key: "k", value: text("hello") }])
    expect(hex(file)).toBe(hex(docExample("values")))
    expect(hex(encodeValuePointer(pointers[0]!))).toBe("085305050086a61036")
    expect(decodeValuePointer(Uint8Array.of(1, ...encodeValuePointer(pointers[0]!), 9), 1, 10)).toEqual(pointers[0])
    expect(Buffer.from(readValue(crc32, codecsOf(), path, pointers[0]!, file.subarray(0x53, 0x58))).toString()).toBe("hello")
    expect(walk(file)).toEqual({ recordCount: 1, valueBytes: 5 })
  })

  it("gives back what was put in, whatever the sizes, and moves what is stored as it is", () => {
    const random = randomOf(11)
    const records = Array.from({ length: 600 }, (_, i) => ({
      key: `key ${i}`,
      value: new Uint8Array(i % 97 === 0 ? 100_000 + random(300_000) : random(3000)).map((_, at) => (i % 2 === 0 ? 7 : at * i)),
      sequence: 1 + random(1000),
      expiresAt: random(3) * 1000
    }))
    const { file, pointers } = write(records, runLength)
    expect(pointers.some((p) => p.codec === runLength.id) && pointers.some((p) => p.codec === 0)).toBe(true)
    const moved = new ValueFileWriter({ crc32, uuid, fileId: 9 })
    let index = 0
    const totals = walk(file, (record, pointer, value) => {
      const expected = records[index]!
      expect(pointer).toEqual(pointers[index])
      expect([Buffer.from(record.key).toString(), record.keyspace, record.sequence, record.expiresAt]).toEqual([
        expected.key,
        1,
        expected.sequence,
        expected.expiresAt
      ])
      expect(hex(value)).toBe(hex(expected.value))
      const stored = file.subarray(pointer.offset, pointer.offset + pointer.storedLength)
      expect(hex(readValue(crc32, codecsOf(runLength), path, pointer, stored))).toBe(hex(expected.value))
      const to = moved.addStored(
        record.keyspace,
        record.key,
        0,
        record.key.length,
        record.sequence,
        record.expiresAt,
        stored,
        record.rawLength,
        record.codec,
        record.sum
      )
      expect(to).toEqual({ ...pointer, fileId: 9, offset: pointer.offset })
      index++
    })
    expect(totals.recordCount).toBe(600)
    expect(moved.finish().meta.valueBytes).toBe(totals.valueBytes)
  })

  it("notices every flipped bit and every cut, naming the file and where the damaged part begins", () => {
    const { file, pointers } = write(
      [
        { key: "k", value: text("hello") },
        { key: "long", value: new Uint8Array(40).fill(3) }
      ],
      runLength
    )
    const starts = [0, 64, pointers[0]!.offset, pointers[0]!.offset + 5, pointers[1]!.offset, file.length - valueFooterBytes]
    for (let at = 0; at < file.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = file.slice()
        changed[at]! ^= 1 << bit
        const damage = damageOf(() => walk(changed))
        expect([damage?.file, damage?.offsetBytes], `byte ${at} bit ${bit}`).toEqual([path, Math.max(...starts.filter((start) => start <= at))])
        // A read by pointer notices what it reads.
        for (const pointer of pointers) {
          const inside = at >= pointer.offset && at < pointer.offset + pointer.storedLength
          const stored = changed.subarray(pointer.offset, pointer.offset + pointer.storedLength)
          expect(damageOf(() => readValue(crc32, codecsOf(runLength), path, pointer, stored))?.offsetBytes).toBe(inside ? pointer.offset : undefined)
        }
      }
    }
    for (let length = 0; length < file.length; length++) expect(damageOf(() => walk(file.slice(0, length)))?.file).toBe(path)
  })

  it("refuses other files, newer versions and totals that differ", () => {
    const { file } = write([{ key: "k", value: text("hello") }])
    expect(walk(file, undefined, {}).recordCount).toBe(1)
    expect(damageOf(() => walk(file, undefined, { fileId: 9 }))?.reason).toBe("Unexpected")
    expect(damageOf(() => walk(file, undefined, { uuid: new Uint8Array(16) }))?.reason).toBe("Unexpected")
    const changed = (at: number, value: number, from: number, length: number): Uint8Array => {
      const copy = file.slice()
      copy[at] = value
      writeU32(copy, from + length - 4, crc32(copy.subarray(from, from + length - 4)))
      return copy
    }
    const footer = file.length - valueFooterBytes
    for (const [at, value, from, length, reason] of [
      [8, 2, 0, 64, "UnsupportedVersion"],
      [12, 1, 0, 64, "UnsupportedVersion"],
      [footer + 16, 1, footer, 96, "Unexpected"],
      [footer + 32, 1, footer, 96, "Unexpected"],
      [footer + 40, 2, footer, 96, "Unexpected"],
      [footer + 48, 6, footer, 96, "Unexpected"]
    ] as const)
      expect(
        damageOf(() => walk(changed(at, value, from, length))),
        `${at}`
      ).toMatchObject({ offsetBytes: from, reason })
    // A head whose sum is right and whose content is not.
    const head = file.slice()
    head[0x49] = 0xff
    head.fill(0xff, 0x49, 0x52)
    writeU32(head, 0x40, crc32(head.subarray(0x44, 0x53)))
    expect(damageOf(() => walk(head))).toMatchObject({ offsetBytes: 0x40, reason: "Malformed" })
    expect(() => decodeValuePointer(Uint8Array.of(1, 2, 3, 4, 5, 6), 0, 6)).toThrow(MalformedBytes)
    expect(() =>
      run(
        walkValueFile({
          crc32: () => {
            throw new TypeError("not bytes")
          },
          codecs: codecsOf(),
          fileId: 8,
          path,
          fileBytes: file.length
        }),
        file
      )
    ).toThrow(TypeError)
    expect(damageOf(() => walk(new Uint8Array(100)))).toBeInstanceOf(Damage)
  })
})
