import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { writeVarint } from "../../../src/domain/bytes/varint.ts"
import type { Codec } from "../../../src/domain/seams.ts"
import { GroupBuilder, putBytes } from "../../../src/domain/wal/GroupBuilder.ts"
import { groupBytesMax, groupHeaderBytes, readGroupHeader, verifyGroup } from "../../../src/domain/wal/GroupHeader.ts"
import type { LoggedOperation, LoggedTransaction, TransactionVisitor, VerifiedGroup } from "../../../src/domain/wal/LoggedTransaction.ts"
import { decodeTransactions, visitTransactions } from "../../../src/domain/wal/LoggedTransaction.ts"
import { crc32, damageOf, text } from "./segments.ts"

const place = { saltSum: 77, epoch: 1, position: 4096, firstSequence: 10, durableThrough: 0, previousSum: 5 }
const max = Number.MAX_SAFE_INTEGER

/** The group as a reader finds it, at some place in a larger array. */
const verified = (bytes: Uint8Array): VerifiedGroup => {
  const at = 3
  const file = new Uint8Array(bytes.length + 9).fill(0xee)
  file.set(bytes, at)
  const header = readGroupHeader(file, at)!
  expect(verifyGroup(crc32, place.saltSum, "log", 512, file, at, header)).toBe(true)
  return { path: "log", offset: 512, bytes: file, at, header }
}

const write = (
  builder: GroupBuilder,
  { annotation, commitTimeMs, operations }: Pick<LoggedTransaction, "annotation" | "commitTimeMs" | "operations">
): void => {
  builder.beginTransaction(commitTimeMs, annotation)
  for (const operation of operations) {
    if (operation.type === "put")
      builder.put(operation.keyspace, operation.key, operation.value, operation.expiresAt, operation.annotation, operation.before)
    else if (operation.type === "delete") builder.delete(operation.keyspace, operation.key, operation.annotation, operation.before)
    else if (operation.type === "rangeDelete") builder.rangeDelete(operation.keyspace, operation.start, operation.end)
    else builder.expire(operation.keyspace, operation.key, operation.expiresAt, operation.version, operation.before)
  }
  builder.endTransaction()
}

const keyspace = fc.integer({ min: 0, max: 0xffff_ffff })
const bytes = fc.uint8Array({ maxLength: 60 })
const annotation = fc.option(fc.uint8Array({ minLength: 1, maxLength: 50 }), { nil: undefined })
const before = fc.oneof(fc.constant(undefined), fc.constant(null), fc.uint8Array({ maxLength: 300 }))
const operation: fc.Arbitrary<LoggedOperation> = fc.oneof(
  fc.record({
    type: fc.constant("put" as const),
    keyspace,
    key: bytes,
    value: fc.uint8Array({ maxLength: 300 }),
    expiresAt: fc.oneof(fc.constant(0), fc.maxSafeNat()),
    annotation,
    before
  }),
  fc.record({ type: fc.constant("delete" as const), keyspace, key: bytes, annotation, before }),
  fc.record({ type: fc.constant("rangeDelete" as const), keyspace, start: bytes, end: bytes }),
  fc.record({ type: fc.constant("expire" as const), keyspace, key: bytes, expiresAt: fc.maxSafeNat(), version: fc.maxSafeNat(), before })
)
const transaction = fc.record({
  commitTimeMs: fc.maxSafeNat(),
  annotation,
  operations: fc.array(operation, { maxLength: 6 })
})

describe("GroupBuilder", () => {
  it("writes what the decoder reads, whatever it grew from and was used for before", () => {
    const builder = new GroupBuilder(crc32, 1)
    fc.assert(
      fc.property(fc.array(transaction, { maxLength: 5 }), transaction, (transactions, withdrawn) => {
        builder.reset()
        for (const each of transactions) {
          builder.beginTransaction(withdrawn.commitTimeMs)
          builder.put(1, text("never"), text("seen"))
          builder.abortTransaction()
          write(builder, each)
        }
        expect(builder.transactions).toBe(transactions.length)
        const { bytes, sum } = builder.finish(place)
        expect(bytes.length).toBe(groupHeaderBytes + builder.payloadBytes)
        const group = verified(bytes)
        expect(group.header).toMatchObject({ ...withoutSalt, sum, transactionCount: transactions.length })
        expect(decodeTransactions(group)).toEqual(transactions.map((each, i) => ({ ...each, sequence: 10 + i })))
      }),
      { seed: 20_261_120 }
    )
  })

  it("grows for a value that was replaced", () => {
    const before = new Uint8Array(100_000).fill(7)
    for (const operation of [
      { type: "put", keyspace: 1, key: text("a"), value: text("b"), expiresAt: 0, annotation: undefined, before },
      { type: "delete", keyspace: 1, key: text("a"), annotation: undefined, before },
      { type: "expire", keyspace: 1, key: text("a"), expiresAt: 5, version: 1, before }
    ] satisfies ReadonlyArray<LoggedOperation>) {
      const builder = new GroupBuilder(crc32, 1)
      write(builder, { annotation: undefined, commitTimeMs: 1, operations: [operation] })
      expect(decodeTransactions(verified(builder.finish(place).bytes))[0]!.operations).toEqual([operation])
    }
  })

  it("says beforehand what a put takes", () => {
    const builder = new GroupBuilder(crc32)
    for (const [space, key, value, expiresAt] of [
      [1, 16, 100, 0],
      [300, 200, 20_000, 5000]
    ] as const) {
      builder.beginTransaction(0)
      const before = builder.payloadBytes
      builder.put(space, new Uint8Array(key), new Uint8Array(value), expiresAt)
      expect(builder.payloadBytes - before).toBe(putBytes(space, key, value, expiresAt))
      builder.endTransaction()
    }
  })

  it("refuses calls in the wrong order", () => {
    const builder = new GroupBuilder(crc32)
    expect(() => builder.put(1, text("a"), text("b"))).toThrow("no transaction")
    expect(() => builder.endTransaction()).toThrow("no transaction")
    expect(() => builder.abortTransaction()).toThrow("no transaction")
    builder.beginTransaction(1)
    expect(() => builder.beginTransaction(1)).toThrow("a transaction is open")
    expect(() => builder.finish(place)).toThrow("a transaction is open")
    builder.reset()
    expect(builder.payloadBytes).toBe(0)
    expect(builder.finish(place).bytes.length).toBe(groupHeaderBytes)
  })

  it("refuses a group that is too long, and one beyond the last sequence, and goes on", () => {
    const builder = new GroupBuilder(crc32)
    const huge = Object.defineProperty(new Uint8Array(0), "length", { value: groupBytesMax })
    builder.beginTransaction(1)
    expect(() => builder.put(1, text("a"), huge)).toThrow(RangeError)
    builder.abortTransaction()
    expect(builder.payloadBytes).toBe(0)
    builder.beginTransaction(1)
    builder.endTransaction()
    expect(() => builder.finish({ ...place, firstSequence: max + 1 })).toThrow(RangeError)
    expect(verified(builder.finish({ ...place, firstSequence: max }).bytes).header.firstSequence).toBe(max)
  })

  it("gives back the buffer of a huge transaction", () => {
    const builder = new GroupBuilder(crc32, 1024)
    builder.beginTransaction(1)
    builder.put(1, text("a"), new Uint8Array(9 * 1024 * 1024))
    builder.endTransaction()
    expect(builder.finish(place).bytes.buffer.byteLength).toBeGreaterThan(9 * 1024 * 1024)
    builder.reset()
    expect(builder.finish(place).bytes.buffer.byteLength).toBe(1024)
  })

  it("compresses where that is shorter", () => {
    /** One byte per run of 16 equal bytes. */
    const runs: Codec = {
      id: 1,
      compress: (raw) => (raw.length % 16 === 0 && raw.every((byte, i) => byte === raw[i - (i % 16)]) ? raw.filter((_, i) => i % 16 === 0) : raw),
      decompress: (stored, rawLength) => Uint8Array.from({ length: rawLength }, (_, i) => stored[i >> 4]!)
    }
    const builder = new GroupBuilder(crc32)
    builder.beginTransaction(1)
    builder.put(1, text("a"), text("b"))
    builder.endTransaction()
    expect(verified(builder.finish({ ...place, codec: runs }).bytes).header.codec).toBe(0)
    const payload = builder.finish(place).bytes.slice(groupHeaderBytes)
    const shorter: Codec = { id: 1, compress: () => Uint8Array.of(42), decompress: () => payload }
    const group = verified(builder.finish({ ...place, codec: shorter }).bytes)
    expect(group.header).toMatchObject({ codec: 1, lengthBytes: groupHeaderBytes + 1, rawBytes: payload.length })
    expect(decodeTransactions(group, new Map([[1, shorter]]))).toHaveLength(1)
    expect(damageOf(() => decodeTransactions(group)).reason).toBe("UnsupportedVersion")
  })
})

const { saltSum: _, ...withoutSalt } = place

describe("visitTransactions", () => {
  const ignore: TransactionVisitor = { begin() {}, put() {}, delete() {}, rangeDelete() {}, expire() {}, end() {} }
  /** A group with this payload and a right sum. */
  const groupOf = (payload: ReadonlyArray<number>, change: (bytes: Uint8Array) => void = () => {}): Uint8Array => {
    const builder = new GroupBuilder(crc32)
    const group = Uint8Array.of(...builder.finish(place).bytes, ...payload)
    writeU32(group, 16, group.length)
    writeU32(group, 56, 1)
    writeU32(group, 60, payload.length)
    change(group)
    writeU32(group, 0, crc32(group.subarray(16), place.saltSum))
    return group
  }
  const transactionOf = (...body: ReadonlyArray<number>): Array<number> => [body.length, 0, 0, 0, ...body]

  it("accepts the shortest transaction", () => {
    visitTransactions(verified(groupOf(transactionOf(0, 5))), ignore)
  })

  it("refuses bytes that follow no grammar", () => {
    const tooLarge = new Uint8Array(8)
    writeVarint(tooLarge, 0, 2 ** 32)
    for (const [name, payload] of [
      ["no transaction", []],
      ["half a length", [1, 0]],
      ["a length past the end", [3, 0, 0, 0, 0, 5]],
      ["an empty body", transactionOf()],
      ["bytes after the last transaction", [...transactionOf(0, 5), 0]],
      ["no commit time", transactionOf(0)],
      ["an annotation past the end", transactionOf(1, 5, 9)],
      ["the annotation of a put past the end", transactionOf(0, 5, 0x21, 1, 1, 65, 3, 66, 0)],
      ["the annotation of a delete past the end", transactionOf(0, 5, 0x22, 1, 1, 65, 3, 66)],
      ["a key past the end", transactionOf(0, 5, 1, 1, 3, 65)],
      ["no value", transactionOf(0, 5, 1, 1, 1, 65)],
      ["a value past the end", transactionOf(0, 5, 1, 1, 1, 65, 2, 66)],
      ["a keyspace beyond 2^32 - 1", transactionOf(0, 5, 2, ...tooLarge.subarray(0, 5), 0)],
      ["a before-image past the end", transactionOf(0, 5, 0x41, 1, 1, 65, 4, 66, 0)],
      ["the before-image of a delete past the end", transactionOf(0, 5, 0x42, 1, 1, 65, 3, 66)],
      ["the before-image of an expire past the end", transactionOf(0, 5, 0x54, 1, 1, 65, 9, 9, 2)],
      ["no before-image, where there should be one", transactionOf(0, 5, 0x42, 1, 1, 65)],
      ["no value after the before-image", transactionOf(0, 5, 0x41, 1, 1, 65, 2, 66)],
      ["a padded number", transactionOf(0, 0x85, 0)]
    ] as const)
      expect(
        damageOf(() => visitTransactions(verified(groupOf(payload)), ignore)),
        name
      ).toMatchObject({ reason: "Malformed", offsetBytes: 512 })
  })

  it("refuses what it does not know", () => {
    for (const [name, payload] of [
      ["a flag of the transaction", transactionOf(2, 5)],
      ["a merge operand", transactionOf(0, 5, 5, 1, 0)],
      ["kind 0", transactionOf(0, 5, 0, 1, 0)],
      ["a delete that expires", transactionOf(0, 5, 0x12, 1, 0)],
      ["an expire without its time", transactionOf(0, 5, 4, 1, 0)],
      ["an annotated range delete", transactionOf(0, 5, 0x23, 1, 0, 0)],
      ["an annotated expire", transactionOf(0, 5, 0x34, 1, 0, 0, 0, 0)],
      ["a range delete with a before-image", transactionOf(0, 5, 0x43, 1, 1, 65, 1, 66, 0)],
      ["a merge operand with a before-image", transactionOf(0, 5, 0x45, 1, 0, 0)],
      ["a flag of an operation", transactionOf(0, 5, 0x81, 1, 0, 0)]
    ] as const)
      expect(damageOf(() => visitTransactions(verified(groupOf(payload)), ignore)).reason, name).toBe("UnsupportedVersion")
  })

  it("passes on what the visitor throws", () => {
    const full = {
      ...ignore,
      begin: () => {
        throw new RangeError("full")
      }
    }
    expect(() => visitTransactions(verified(groupOf(transactionOf(0, 5))), full)).toThrow("full")
  })

  it("is only reached by groups whose numbers agree", () => {
    const reasonOf = (change: (bytes: Uint8Array) => void) => damageOf(() => verified(groupOf(transactionOf(0, 5), change))).reason
    expect(reasonOf((b) => (b[21] = 2))).toBe("UnsupportedVersion")
    expect(reasonOf((b) => (b[23] = 1))).toBe("UnsupportedVersion")
    expect(reasonOf((b) => (b[30] = 0x20))).toBe("Malformed")
    expect(reasonOf((b) => (b[46] = 0x20))).toBe("Malformed")
    expect(reasonOf((b) => b.fill(0xff, 40, 46) && (b[46] = 0x1f) && writeU32(b, 56, 2))).toBe("Malformed")
    expect(reasonOf((b) => (b[54] = 1))).toBe("Malformed")
    expect(reasonOf((b) => (b[60] = 7))).toBe("Malformed")
  })
})
