import { describe, expect, it } from "vitest"
import { Damage } from "../../../src/domain/failures.ts"
import { GroupBuilder } from "../../../src/domain/wal/GroupBuilder.ts"
import type { LoggedTransaction } from "../../../src/domain/wal/LoggedTransaction.ts"
import { decodeTransactions } from "../../../src/domain/wal/LoggedTransaction.ts"
import type { ScanOptions } from "../../../src/domain/wal/scanSegment.ts"
import { scanSegment } from "../../../src/domain/wal/scanSegment.ts"
import { decodeSegmentHeader, encodeSegmentHeader } from "../../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { docExample } from "../bytes/hexDump.ts"
import { counting, crc32, damageOf, text } from "./segments.ts"

const example = docExample("wal")
const firstEnd = 0x200 + 115
const secondEnd = 0x400 + 172
const lastSum = 0xb29c_6e5a
const number = (n: number) => Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 0)

const content: ReadonlyArray<LoggedTransaction> = [
  {
    sequence: 40,
    commitTimeMs: 1000,
    annotation: undefined,
    operations: [
      { type: "put", keyspace: 1, key: text("a"), value: text("1"), expiresAt: 0, annotation: undefined },
      { type: "delete", keyspace: 1, key: text("b"), annotation: undefined }
    ]
  },
  {
    sequence: 41,
    commitTimeMs: 1001,
    annotation: text("why"),
    operations: [
      { type: "put", keyspace: 16, key: text("k"), value: text("xyz"), expiresAt: 5000, annotation: undefined },
      { type: "rangeDelete", keyspace: 1, start: text("c"), end: text("e") },
      { type: "expire", keyspace: 16, key: text("o"), expiresAt: 900, version: 38 }
    ]
  },
  {
    sequence: 42,
    commitTimeMs: 1002,
    annotation: undefined,
    operations: [
      { type: "put", keyspace: 1, key: text("a"), value: new Uint8Array(0), expiresAt: 0, annotation: undefined },
      { type: "put", keyspace: 1, key: text("n"), value: number(7), expiresAt: 6000, annotation: Uint8Array.of(1, ...number(5)) },
      { type: "delete", keyspace: 1, key: text("b"), annotation: Uint8Array.of(8) },
      {
        type: "put",
        keyspace: 17,
        key: text("k"),
        value: number(7),
        expiresAt: 6000,
        annotation: Uint8Array.of(1, ...number(5)),
        before: number(2)
      },
      { type: "put", keyspace: 17, key: text("p"), value: text("1"), expiresAt: 0, annotation: undefined, before: null },
      { type: "delete", keyspace: 17, key: text("d"), annotation: undefined, before: text("old") },
      { type: "delete", keyspace: 17, key: text("f"), annotation: Uint8Array.of(8), before: text("x") },
      { type: "expire", keyspace: 17, key: text("o"), expiresAt: 900, version: 39, before: new Uint8Array(0) }
    ]
  }
]

/** Everything a reader gets out of a segment's bytes. */
const read = (bytes: Uint8Array, options: ScanOptions = {}) => {
  const header = decodeSegmentHeader(crc32, "000007.log", bytes)
  const transactions: Array<LoggedTransaction> = []
  const copy = (group: Parameters<NonNullable<ScanOptions["onGroup"]>>[0]) => ({ ...group, bytes: group.bytes.slice() })
  const scan = scanSegment(crc32, header, bytesSource("000007.log", bytes), {
    ...options,
    onGroup: (group) => transactions.push(...decodeTransactions(copy(group)))
  })
  return { header, transactions, scan }
}

const put = (into: Uint8Array, at: number, bytes: Uint8Array): void => into.set(bytes, at)

describe("the log's worked example", () => {
  it("is what the encoder writes", () => {
    const file = new Uint8Array(0x500)
    const headerBytes = encodeSegmentHeader(crc32, { uuid: counting(0x10), fileId: 7, epoch: 3, salt: counting(0xa0), alignment: 512 })
    put(file, 0, headerBytes)
    const { saltSum } = decodeSegmentHeader(crc32, "000007.log", headerBytes)
    const builder = new GroupBuilder(crc32)
    builder.beginTransaction(1000)
    builder.put(1, text("a"), text("1"))
    builder.delete(1, text("b"))
    builder.endTransaction()
    builder.beginTransaction(1001, text("why"))
    builder.put(16, text("k"), text("xyz"), 5000)
    builder.rangeDelete(1, text("c"), text("e"))
    builder.expire(16, text("o"), 900, 38)
    builder.endTransaction()
    const first = builder.finish({ saltSum, epoch: 3, position: 300, firstSequence: 40, durableThrough: 300, previousSum: 0x0102_0304 })
    put(file, 512, first.bytes)
    builder.reset()
    builder.beginTransaction(1002)
    builder.put(1, text("a"), new Uint8Array(0))
    builder.put(1, text("n"), number(7), 6000, Uint8Array.of(1, ...number(5)))
    builder.delete(1, text("b"), Uint8Array.of(8))
    builder.put(17, text("k"), number(7), 6000, Uint8Array.of(1, ...number(5)), number(2))
    builder.put(17, text("p"), text("1"), 0, undefined, null)
    builder.delete(17, text("d"), undefined, text("old"))
    builder.delete(17, text("f"), Uint8Array.of(8), text("x"))
    builder.expire(17, text("o"), 900, 39, new Uint8Array(0))
    builder.endTransaction()
    const second = builder.finish({ saltSum, epoch: 3, position: 812, firstSequence: 42, durableThrough: 415, previousSum: first.sum })
    put(file, 1024, second.bytes)
    expect(Buffer.from(file).toString("hex")).toBe(Buffer.from(example).toString("hex"))
  })

  it("is what the decoder reads", () => {
    const { header, scan, transactions } = read(example)
    expect(header).toMatchObject({ fileId: 7, epoch: 3, alignment: 512, uuid: counting(0x10), salt: counting(0xa0), sum: 0x61c4a0f4 })
    expect(transactions).toEqual(content)
    expect(scan).toMatchObject({
      basePosition: 300,
      firstPreviousSum: 0x0102_0304,
      lastSum,
      nextSequence: 43,
      endOffset: secondEnd,
      endPosition: 984,
      durableFloor: 415,
      gaps: [],
      tail: { kind: "clean" }
    })
    expect([...scan.groups]).toEqual([
      { offset: 512, lengthBytes: 115, position: 300, firstSequence: 40, count: 2, durableThrough: 300, sum: 0xec13cfe7, epoch: 3, rewritten: false },
      { offset: 1024, lengthBytes: 172, position: 812, firstSequence: 42, count: 1, durableThrough: 415, sum: lastSum, epoch: 3, rewritten: false }
    ])
    expect(read(example, { sealed: { lengthBytes: secondEnd, lastSum } }).transactions).toEqual(content)
  })

  it("at every prefix is a prefix of the transactions, or damage where that was durable", () => {
    for (let n = 0; n < example.length; n++) {
      const bytes = example.subarray(0, n)
      if (n < 512) {
        expect(damageOf(() => read(bytes)).reason).toBe("Truncated")
        continue
      }
      const expected = n >= secondEnd ? content : n >= firstEnd ? content.slice(0, 2) : []
      const { scan, transactions } = read(bytes, { basePosition: 300 })
      expect(transactions, `prefix ${n}`).toEqual(expected)
      // Zeros may be cut as well as written ahead.
      const clean = n >= secondEnd || (n >= firstEnd && n <= 1024) || n === 512
      expect(scan.tail.kind, `prefix ${n}`).toBe(clean ? "clean" : "torn")
      if (n < firstEnd) expect(damageOf(() => read(bytes, { basePosition: 300, floorPosition: 415 })).offsetBytes).toBe(512)
      if (n < secondEnd) expect(damageOf(() => read(bytes, { sealed: { lengthBytes: secondEnd, lastSum } })).reason).toBe("Truncated")
    }
  })

  it("with any bit flipped is the same, a legal prefix, or damage; sealed, only the same or damage", () => {
    for (let bit = 0; bit < example.length * 8; bit++) {
      const bytes = example.slice()
      const at = bit >> 3
      bytes[at]! ^= 1 << (bit & 7)
      const outcome = (options: ScanOptions) => {
        try {
          return read(bytes, options).transactions
        } catch (error) {
          if (error instanceof Damage) return "damage"
          throw error
        }
      }
      const inFirst = at >= 512 && at < firstEnd
      const inSecond = at >= 1024 && at < secondEnd
      // The second group says that the first one was durable.
      const expected = at < 512 || inFirst ? "damage" : inSecond ? content.slice(0, 2) : content
      expect(outcome({}), `bit ${bit}`).toEqual(expected)
      expect(outcome({ sealed: { lengthBytes: secondEnd, lastSum } }), `bit ${bit}, sealed`).toEqual(at < secondEnd ? "damage" : content)
    }
  })
})
