import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { IoFailure } from "../../../src/domain/failures.ts"
import { ValueFileWriter } from "../../../src/domain/values/ValueFileWriter.ts"
import { valueFooterBytes, valueHeaderBytes } from "../../../src/domain/values/valueFormat.ts"
import type { ValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { type ValueFilePart, walkRecords } from "../../../src/domain/values/walkRecords.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { hex, randomOf, runLength, text, uuid } from "../table/support.ts"

const path = "db/000008.values"

interface Written {
  readonly keyspace: number
  readonly key: string
  readonly sequence: number
  readonly expiresAt: number
  readonly value: Uint8Array
}

const record = (key: string, value: string | Uint8Array, more: Partial<Written> = {}): Written => ({
  keyspace: 1,
  key,
  sequence: 5,
  expiresAt: 0,
  value: typeof value === "string" ? text(value) : value,
  ...more
})

const write = (records: ReadonlyArray<Written>) => {
  const writer = new ValueFileWriter({ crc32, uuid, fileId: 8, codec: runLength })
  const starts: Array<number> = []
  const pointers: Array<ValuePointer> = []
  for (const { key, keyspace, sequence, expiresAt, value } of records) {
    starts.push(writer.estimatedBytes)
    const bytes = text(key)
    pointers.push(writer.add(keyspace, bytes, 0, bytes.length, sequence, expiresAt, value, 0, value.length))
  }
  const limit = writer.estimatedBytes
  const file = new Uint8Array(Buffer.concat(writer.finish().buffers))
  expect(file.length).toBe(limit + valueFooterBytes)
  return { file, starts, pointers, limit }
}

const small = () =>
  write([
    record("first", "hello"),
    record("run", new Uint8Array(40).fill(3), { sequence: 300, expiresAt: 77_000 }),
    record("", "", { keyspace: 16 }),
    record("last", "the end")
  ])

/** What is said of each part, with whether the stored bytes are what their sum says. */
const partsOf = (file: Uint8Array, limit: number, from = valueHeaderBytes): Array<ValueFilePart & { readonly isSound: boolean }> => {
  const parts: Array<ValueFilePart & { readonly isSound: boolean }> = []
  for (const part of walkRecords(crc32, 8, bytesSource(path, file), from, limit))
    parts.push({ ...part, isSound: part.type === "record" && part.headSumHolds && crc32(part.stored()) === part.record.sum })
  return parts
}

const describePart = (part: ValueFilePart): string =>
  part.type === "gap" ? `gap ${part.offset}` : `${part.offset} ${hex(part.record.key)} ${JSON.stringify(part.pointer)} ${part.record.sequence}`

describe("records of a value file", () => {
  it("come in order, with what was written and the pointers that were given out", () => {
    const seed = 21
    const random = randomOf(seed)
    const records = Array.from({ length: 300 }, (_, i) =>
      record(
        `key ${i}`.padEnd(random(4) === 0 ? 300 : 6),
        new Uint8Array(i % 60 === 58 ? 900_000 : random(2000)).fill(i).map((b, at) => (i % 2 ? b : at * i)),
        {
          keyspace: 1 + random(300),
          sequence: random(2 ** 31),
          expiresAt: random(2) * 1_700_000_000_000
        }
      )
    )
    const { file, starts, pointers, limit } = write(records)
    let count = 0
    const keys: Array<Uint8Array> = []
    for (const part of walkRecords(crc32, 8, bytesSource(path, file), valueHeaderBytes, limit)) {
      const expected = records[count]!
      const pointer = pointers[count]!
      if (part.type === "gap") throw new Error(`a gap at ${part.offset}, seed ${seed}`)
      expect([part.index, part.offset, part.headSumHolds, part.headBytes]).toEqual([count, starts[count], true, pointer.offset - part.offset])
      expect(part.pointer).toEqual(pointer)
      const { key, keyspace, sequence, expiresAt, rawLength } = part.record
      keys.push(key)
      expect([keyspace, sequence, expiresAt, rawLength]).toEqual([expected.keyspace, expected.sequence, expected.expiresAt, expected.value.length])
      const stored = part.stored()
      expect(Buffer.compare(pointer.codec === 0 ? stored : runLength.decompress(stored, rawLength), expected.value)).toBe(0)
      count++
    }
    // Keys outlive the walk.
    expect(keys.map((key) => Buffer.from(key).toString())).toEqual(records.map(({ key }) => key))
    expect(new Set(pointers.map((pointer) => pointer.codec)).size).toBe(2)
    expect(partsOf(file, valueHeaderBytes)).toEqual([])
  })

  it("say which of them a flipped bit hit, and are all found behind it", () => {
    const { file, starts, pointers, limit } = small()
    const sound = partsOf(file, limit).map(describePart)
    expect(sound).toHaveLength(4)
    for (let at = valueHeaderBytes; at < limit; at++) {
      const hit = starts.findLastIndex((start) => start <= at)
      for (let bit = 0; bit < 8; bit++) {
        const where = `byte ${at} bit ${bit}`
        const changed = file.slice()
        changed[at]! ^= 1 << bit
        const parts = partsOf(changed, limit)
        expect(parts.length, where).toBe(4)
        parts.forEach((part, i) => {
          expect([part.offset, part.isSound], where).toEqual([starts[i], i !== hit])
          if (i !== hit) expect(describePart(part), where).toBe(sound[i])
        })
        const part = parts[hit]!
        // The value's bytes are not the head's business.
        if (part.type === "record") expect(part.headSumHolds, where).toBe(at >= pointers[hit]!.offset)
        else expect([part.lengthBytes, part.laterRecords], where).toEqual([(starts[hit + 1] ?? limit) - part.offset, hit < 3])
      }
    }
  })

  it("are shown with a wrong head where the next one stands where it says, and are a gap where not", () => {
    const { file, starts, limit } = small()
    const changed = file.slice()
    changed[starts[1]!]! ^= 1
    changed[starts[3]!]! ^= 1
    expect(partsOf(changed, limit).map((part) => (part.type === "gap" ? "gap" : part.headSumHolds))).toEqual([true, false, true, false])
    // Two in a row: the first has no witness.
    changed[starts[2]!]! ^= 1
    expect(partsOf(changed, limit).map((part) => [part.type, part.offset])).toEqual([
      ["record", starts[0]],
      ["gap", starts[1]]
    ])
    const restored = changed.slice()
    restored[starts[3]!]! ^= 1
    expect(partsOf(restored, limit).map((part) => [part.type, part.offset])).toEqual([
      ["record", starts[0]],
      // Behind damage only a right head counts.
      ["gap", starts[1]],
      ["record", starts[3]]
    ])
  })

  it("are as many as a cut file holds whole, then a gap to its end; nothing is thrown", () => {
    const { file, starts, pointers, limit } = small()
    const sound = partsOf(file, limit).map(describePart)
    for (let length = 0; length <= limit; length++) {
      const parts = partsOf(file.subarray(0, length), length)
      const whole = pointers.filter((pointer) => pointer.offset + pointer.storedLength <= length).length
      expect(parts.slice(0, whole).map(describePart), `${length} bytes`).toEqual(sound.slice(0, whole))
      const rest = starts[whole] ?? limit
      expect(parts.slice(whole), `${length} bytes`).toMatchObject(
        length <= rest ? [] : [{ type: "gap", offset: rest, lengthBytes: length - rest, laterRecords: false }]
      )
    }
  })

  it("are found from any place on, and in a file overwritten with noise", () => {
    const { file, starts, limit } = small()
    for (let from = valueHeaderBytes; from < limit; from++) {
      const found = partsOf(file, limit, from).filter((part) => part.type === "record")
      expect(found.map((part) => part.offset)).toEqual(starts.filter((start) => start >= from))
    }
    for (let seed = 1; seed <= 100; seed++) {
      const random = randomOf(seed)
      const noise = file.map((byte, i) => (i >= starts[1]! && i < starts[2]! ? random(256) : byte))
      expect(
        partsOf(noise, limit).map((part) => [part.type, part.offset, part.isSound]),
        `seed ${seed}`
      ).toEqual([
        ["record", starts[0], true],
        ["gap", starts[1], false],
        ["record", starts[2], true],
        ["record", starts[3], true]
      ])
    }
  })

  it("are none where the head's sum holds and its fields do not, and failures of reading are not damage", () => {
    const { file, starts, pointers, limit } = small()
    const head = file.slice()
    const [at, end] = [starts[1]!, pointers[1]!.offset]
    head.fill(0xff, at + 9, end)
    writeU32(head, at, crc32(head.subarray(at + 4, end)))
    expect(partsOf(head, limit).map((part) => [part.type, part.offset])).toEqual([
      ["record", starts[0]],
      ["gap", at],
      ["record", starts[2]],
      ["record", starts[3]]
    ])
    const source = bytesSource(path, file.subarray(0, limit - 1))
    expect(() => Array.from(walkRecords(crc32, 8, source, valueHeaderBytes, limit))).toThrow(IoFailure)
    const broken = () => {
      throw new TypeError("not bytes")
    }
    expect(() => Array.from(walkRecords(broken, 8, bytesSource(path, file), valueHeaderBytes, limit))).toThrow(TypeError)
  })
})
