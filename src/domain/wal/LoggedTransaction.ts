import { readU32 } from "../bytes/fixed.ts"
import { MalformedBytes, readVarint, varintEnd } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import { Kind } from "../keys/kinds.ts"
import type { Codecs } from "../seams.ts"
import { CodecId } from "../seams.ts"
import { type BeforeImage, beforeImageEnd, beforeImageView, ImagePlace, readBeforeImage } from "./beforeImage.ts"
import type { GroupHeader } from "./GroupHeader.ts"
import { groupHeaderBytes } from "./GroupHeader.ts"

/**
 * The transactions of a group's payload, one after the other (docs/format/wal.md):
 *
 *     transaction  length u32 of what follows | flags u8 | commit time varint | [annotation: length varint, bytes] | operation*
 *     operation    kind and flags u8 | keyspace varint | key: length varint, bytes | rest by kind
 *     put          [expiresAt varint] | [annotation: length varint, bytes] | [before-image] | value: length varint, bytes
 *     delete       [annotation: length varint, bytes] | [before-image]
 *     rangeDelete  end: length varint, bytes
 *     expire       expiresAt varint | version varint | [before-image]
 */
export interface LoggedTransaction {
  readonly sequence: number
  readonly commitTimeMs: number
  readonly annotation: Uint8Array | undefined
  readonly operations: ReadonlyArray<LoggedOperation>
}

/**
 * Bytes are views of the payload. The annotation of an operation is the atomic operation it is the result of: see `domain/transaction/atomic.ts`. `before` is the value it replaced:
 * see `beforeImage.ts`.
 */
export type LoggedOperation =
  | {
      readonly type: "put"
      readonly keyspace: number
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly expiresAt: number
      readonly annotation: Uint8Array | undefined
      readonly before?: BeforeImage
    }
  | {
      readonly type: "delete"
      readonly keyspace: number
      readonly key: Uint8Array
      readonly annotation: Uint8Array | undefined
      readonly before?: BeforeImage
    }
  /** Deletes the keys in [start, end). */
  | { readonly type: "rangeDelete"; readonly keyspace: number; readonly start: Uint8Array; readonly end: Uint8Array }
  /** `version` is the sequence of the version that expired. */
  | {
      readonly type: "expire"
      readonly keyspace: number
      readonly key: Uint8Array
      readonly expiresAt: number
      readonly version: number
      readonly before?: BeforeImage
    }

/** Stored: never renumber, never reuse. */
export const TransactionFlag = {
  annotation: 0x01
} as const

/** The kind takes the low four bits. Stored: never renumber, never reuse. */
export const OperationFlag = {
  expiresAt: 0x10,
  /** On puts and deletes: the atomic operation this one is the result of. */
  annotation: 0x20,
  /** On puts, deletes and expires: the value this operation replaced. */
  beforeImage: 0x40
} as const
const kindMask = 0x0f

/**
 * Receives the operations of verified transactions in order, as ranges of one array, so that nothing is allocated per operation. `begin` opens each
 * transaction. Where the start of an annotation equals its end there is none; the start of a before-image may be one of `ImagePlace`.
 */
export interface TransactionVisitor {
  begin(sequence: number, commitTimeMs: number, bytes: Uint8Array, annotationStart: number, annotationEnd: number): void
  put(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    expiresAt: number,
    annotationStart: number,
    annotationEnd: number,
    beforeStart: number,
    beforeEnd: number
  ): void
  delete(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    annotationStart: number,
    annotationEnd: number,
    beforeStart: number,
    beforeEnd: number
  ): void
  /** Deletes the keys in [bytes[startStart, startEnd), bytes[endStart, endEnd)). */
  rangeDelete(keyspace: number, bytes: Uint8Array, startStart: number, startEnd: number, endStart: number, endEnd: number): void
  expire(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    expiresAt: number,
    version: number,
    beforeStart: number,
    beforeEnd: number
  ): void
  end(): void
}

/** A verified group in memory: `bytes[at, at + header.lengthBytes)`. `path` and `offset` say where it was read, for errors. */
export interface VerifiedGroup {
  readonly path: string
  readonly offset: number
  readonly bytes: Uint8Array
  readonly at: number
  readonly header: GroupHeader
}

const noCodecs: Codecs = new Map()

/**
 * Walks the transactions of a group that `verifyGroup` accepted. Throws `Damage`: `Malformed` where the bytes do not follow the grammar (the sum was right,
 * so a writer was wrong), `UnsupportedVersion` for a codec that is not in `codecs` and for reserved flags and kinds. What the visitor received before must
 * then be thrown away.
 */
export const visitTransactions = (group: VerifiedGroup, visitor: TransactionVisitor, codecs: Codecs = noCodecs): void => {
  const { header } = group
  let bytes = group.bytes
  let at = group.at + groupHeaderBytes
  let end = group.at + header.lengthBytes
  if (header.codec !== CodecId.none) {
    const codec = codecs.get(header.codec)
    if (codec === undefined) throw new Damage(group.path, group.offset, "UnsupportedVersion", `codec ${header.codec}`)
    bytes = codec.decompress(bytes.subarray(at, end), header.rawBytes)
    at = 0
    end = bytes.length
  }
  try {
    for (let i = 0; i < header.transactionCount; i++) at = visitTransaction(group, bytes, at, end, header.firstSequence + i, visitor)
  } catch (error) {
    // The readers of numbers know no file.
    if (error instanceof MalformedBytes) throw new Damage(group.path, group.offset, "Malformed", error.message)
    throw error
  }
  if (at !== end) throw new Damage(group.path, group.offset, "Malformed", `${end - at} bytes after the last transaction`)
}

/** The end of a field of `length` bytes at `at`; throws where it lies beyond `end`. */
const fieldEnd = (at: number, length: number, end: number): number => {
  if (length > end - at) throw new MalformedBytes(`a field of ${length} bytes runs past the end of its transaction`)
  return at + length
}

const unknownOperation = (group: VerifiedGroup, kindAndFlags: number): Damage =>
  new Damage(group.path, group.offset, "UnsupportedVersion", `operation kind ${kindAndFlags & kindMask}, flags ${kindAndFlags & ~kindMask}`)

const visitTransaction = (
  group: VerifiedGroup,
  bytes: Uint8Array,
  from: number,
  payloadEnd: number,
  sequence: number,
  visitor: TransactionVisitor
): number => {
  const body = fieldEnd(from, 5, payloadEnd) - 1
  const end = fieldEnd(body, readU32(bytes, from), payloadEnd)
  const flags = bytes[body]!
  if ((flags & ~TransactionFlag.annotation) !== 0) throw new Damage(group.path, group.offset, "UnsupportedVersion", `transaction flags ${flags}`)
  const commitTimeMs = readVarint(bytes, body + 1, end)
  let at = varintEnd()
  let annotationStart = at
  if ((flags & TransactionFlag.annotation) !== 0) {
    const length = readVarint(bytes, at, end)
    annotationStart = varintEnd()
    at = fieldEnd(annotationStart, length, end)
  }
  visitor.begin(sequence, commitTimeMs, bytes, annotationStart, at)
  while (at < end) {
    const kindAndFlags = bytes[at]!
    const keyspace = readVarint(bytes, at + 1, end)
    if (keyspace > 0xffff_ffff) throw new MalformedBytes(`keyspace ${keyspace}`)
    const keyLength = readVarint(bytes, varintEnd(), end)
    const keyStart = varintEnd()
    const keyEnd = fieldEnd(keyStart, keyLength, end)
    const hasImage = (kindAndFlags & OperationFlag.beforeImage) !== 0
    let beforeStart: number = ImagePlace.notKept
    switch (kindAndFlags & ~OperationFlag.beforeImage) {
      case Kind.put:
      case Kind.put | OperationFlag.expiresAt:
      case Kind.put | OperationFlag.annotation:
      case Kind.put | OperationFlag.expiresAt | OperationFlag.annotation: {
        let expiresAt = 0
        at = keyEnd
        if ((kindAndFlags & OperationFlag.expiresAt) !== 0) {
          expiresAt = readVarint(bytes, at, end)
          at = varintEnd()
        }
        let ownStart = at
        if ((kindAndFlags & OperationFlag.annotation) !== 0) {
          const length = readVarint(bytes, at, end)
          ownStart = varintEnd()
          at = fieldEnd(ownStart, length, end)
        }
        const ownEnd = at
        if (hasImage) {
          beforeStart = readBeforeImage(bytes, at, end)
          at = beforeImageEnd()
        }
        const beforeEnd = at
        const valueLength = readVarint(bytes, at, end)
        const valueStart = varintEnd()
        at = fieldEnd(valueStart, valueLength, end)
        visitor.put(keyspace, bytes, keyStart, keyEnd, valueStart, at, expiresAt, ownStart, ownEnd, beforeStart, beforeEnd)
        break
      }
      case Kind.delete:
      case Kind.delete | OperationFlag.annotation: {
        let ownStart = keyEnd
        at = keyEnd
        if ((kindAndFlags & OperationFlag.annotation) !== 0) {
          const length = readVarint(bytes, at, end)
          ownStart = varintEnd()
          at = fieldEnd(ownStart, length, end)
        }
        const ownEnd = at
        if (hasImage) {
          beforeStart = readBeforeImage(bytes, at, end)
          at = beforeImageEnd()
        }
        visitor.delete(keyspace, bytes, keyStart, keyEnd, ownStart, ownEnd, beforeStart, at)
        break
      }
      case Kind.rangeDelete: {
        if (hasImage) throw unknownOperation(group, kindAndFlags)
        const endLength = readVarint(bytes, keyEnd, end)
        const endStart = varintEnd()
        at = fieldEnd(endStart, endLength, end)
        visitor.rangeDelete(keyspace, bytes, keyStart, keyEnd, endStart, at)
        break
      }
      case Kind.expire | OperationFlag.expiresAt: {
        const expiresAt = readVarint(bytes, keyEnd, end)
        const version = readVarint(bytes, varintEnd(), end)
        at = varintEnd()
        if (hasImage) {
          beforeStart = readBeforeImage(bytes, at, end)
          at = beforeImageEnd()
        }
        visitor.expire(keyspace, bytes, keyStart, keyEnd, expiresAt, version, beforeStart, at)
        break
      }
      default:
        throw unknownOperation(group, kindAndFlags)
    }
  }
  visitor.end()
  return end
}

const viewOf = (bytes: Uint8Array, start: number, end: number): Uint8Array | undefined => (start === end ? undefined : bytes.subarray(start, end))

/** The transactions of a verified group as objects, for the change feed and for dumps: see {@link visitTransactions} for what it throws. */
export const decodeTransactions = (group: VerifiedGroup, codecs: Codecs = noCodecs): Array<LoggedTransaction> => {
  const transactions: Array<LoggedTransaction> = []
  let operations: Array<LoggedOperation> = []
  visitTransactions(
    group,
    {
      begin(sequence, commitTimeMs, bytes, annotationStart, annotationEnd) {
        operations = []
        transactions.push({ sequence, commitTimeMs, annotation: viewOf(bytes, annotationStart, annotationEnd), operations })
      },
      put(keyspace, bytes, keyStart, keyEnd, valueStart, valueEnd, expiresAt, annotationStart, annotationEnd, beforeStart, beforeEnd) {
        const annotation = viewOf(bytes, annotationStart, annotationEnd)
        operations.push({
          type: "put",
          keyspace,
          key: bytes.subarray(keyStart, keyEnd),
          value: bytes.subarray(valueStart, valueEnd),
          expiresAt,
          annotation,
          before: beforeImageView(bytes, beforeStart, beforeEnd)
        })
      },
      delete(keyspace, bytes, keyStart, keyEnd, annotationStart, annotationEnd, beforeStart, beforeEnd) {
        operations.push({
          type: "delete",
          keyspace,
          key: bytes.subarray(keyStart, keyEnd),
          annotation: viewOf(bytes, annotationStart, annotationEnd),
          before: beforeImageView(bytes, beforeStart, beforeEnd)
        })
      },
      rangeDelete(keyspace, bytes, startStart, startEnd, endStart, endEnd) {
        operations.push({ type: "rangeDelete", keyspace, start: bytes.subarray(startStart, startEnd), end: bytes.subarray(endStart, endEnd) })
      },
      expire(keyspace, bytes, keyStart, keyEnd, expiresAt, version, beforeStart, beforeEnd) {
        const before = beforeImageView(bytes, beforeStart, beforeEnd)
        operations.push({ type: "expire", keyspace, key: bytes.subarray(keyStart, keyEnd), expiresAt, version, before })
      },
      end() {}
    },
    codecs
  )
  return transactions
}
