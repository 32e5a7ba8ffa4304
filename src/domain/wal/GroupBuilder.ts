import { writeU32 } from "../bytes/fixed.ts"
import { varintBytes, varintBytesMax, writeVarint } from "../bytes/varint.ts"
import { Kind, sequenceMax } from "../keys/kinds.ts"
import type { Codec, Crc32 } from "../seams.ts"
import { CodecId } from "../seams.ts"
import type { BeforeImage } from "./beforeImage.ts"
import { groupBytesMax, GroupFlag, groupHeaderBytes, writeGroupHeader } from "./GroupHeader.ts"
import { OperationFlag, TransactionFlag } from "./LoggedTransaction.ts"

/** Where a group goes and what it follows: see `GroupHeader`. */
export interface GroupPlacement {
  /** `SegmentHeader.saltSum` of the segment it is written to. */
  readonly saltSum: number
  readonly epoch: number
  readonly position: number
  readonly firstSequence: number
  readonly durableThrough: number
  readonly previousSum: number
  /** Set by an open that writes the groups of an older segment again. */
  readonly rewritten?: boolean
  /** Compresses the payload, where that makes it shorter. */
  readonly codec?: Codec
}

const noBytes = new Uint8Array(0)

/** A key or value no longer than this is copied by a loop: the call of `set` costs more. */
const loopCopyBytesMax = 40
/** What a group keeps of a buffer that one huge transaction made grow. */
const retainedBytesMax = 8 * 1024 * 1024
/** Kind and flags, keyspace, four lengths and expiry (or two lengths, expiry and version) at their longest. */
const operationOverheadBytesMax = 1 + 6 * varintBytesMax

/**
 * Builds one group of the log at a time, in one buffer that it owns and that grows: the encoding of a transaction is the one in the group, nothing is
 * copied twice and nothing is allocated per operation.
 *
 *     builder.beginTransaction(time); builder.put(1, key, value); builder.endTransaction()
 *     const { bytes } = builder.finish(placement)   // a view: write it, then
 *     builder.reset()
 *
 * A builder whose group is being written must not be changed; the committer alternates between two. Calls in the wrong order throw `Error` (a bug of the
 * caller); a group beyond `groupBytesMax` throws `RangeError` before anything of that operation is written, and `abortTransaction` withdraws the rest.
 */
export class GroupBuilder {
  readonly #crc32: Crc32
  readonly #initialBytes: number
  #bytes: Uint8Array
  #end = groupHeaderBytes
  /** Commit time of the transaction begun last, in ms. */
  lastCommitMs = 0
  /** Where the open transaction starts; -1 between transactions. */
  #start = -1
  #transactions = 0

  constructor(crc32: Crc32, initialBytes = 64 * 1024) {
    this.#crc32 = crc32
    this.#initialBytes = Math.max(initialBytes, groupHeaderBytes)
    this.#bytes = new Uint8Array(this.#initialBytes)
  }

  /** Complete transactions in the group. */
  get transactions(): number {
    return this.#transactions
  }

  /** Bytes of the payload so far, those of an open transaction included. */
  get payloadBytes(): number {
    return this.#end - groupHeaderBytes
  }

  /** Opens a transaction. `commitTimeMs` is engine time, `annotation` opaque bytes for the change feed (copied; empty is none). */
  beginTransaction(commitTimeMs: number, annotation: Uint8Array = noBytes): void {
    if (this.#start !== -1) throw new Error("a transaction is open")
    this.lastCommitMs = commitTimeMs
    this.#reserve(4 + 1 + 2 * varintBytesMax + annotation.length)
    this.#start = this.#end
    const bytes = this.#bytes
    bytes[this.#end + 4] = annotation.length === 0 ? 0 : TransactionFlag.annotation
    let at = writeVarint(bytes, this.#end + 5, commitTimeMs)
    if (annotation.length > 0) {
      at = writeVarint(bytes, at, annotation.length)
      at = copy(bytes, at, annotation)
    }
    this.#end = at
  }

  /**
   * `expiresAt` is engine time in whole ms; 0: never. `annotation` is the atomic operation that this is the result of, `before` the value it replaces, where that is to be kept.
   * All bytes are copied.
   */
  put(keyspace: number, key: Uint8Array, value: Uint8Array, expiresAt = 0, annotation: Uint8Array = noBytes, before?: BeforeImage): void {
    this.putRange(keyspace, key, 0, key.length, value, 0, value.length, expiresAt, annotation, before)
  }

  /** `put` of ranges of larger arrays: what a batch of a thousand keys in one array calls, without a view per key. */
  putRange(
    keyspace: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    expiresAt = 0,
    annotation: Uint8Array = noBytes,
    before: BeforeImage = undefined
  ): void {
    this.#open(keyEnd - keyStart + valueEnd - valueStart + annotation.length + imageBytes(before))
    const bytes = this.#bytes
    const flagsAt = this.#end
    bytes[flagsAt] = Kind.put
    let at = writeVarint(bytes, flagsAt + 1, keyspace)
    at = writeVarint(bytes, at, keyEnd - keyStart)
    at = copyRange(bytes, at, key, keyStart, keyEnd)
    if (expiresAt !== 0) {
      bytes[flagsAt]! |= OperationFlag.expiresAt
      at = writeVarint(bytes, at, expiresAt)
    }
    if (annotation.length > 0) {
      bytes[flagsAt]! |= OperationFlag.annotation
      at = copy(bytes, writeVarint(bytes, at, annotation.length), annotation)
    }
    if (before !== undefined) at = this.#before(flagsAt, at, before)
    at = writeVarint(bytes, at, valueEnd - valueStart)
    this.#end = copyRange(bytes, at, value, valueStart, valueEnd)
  }

  /** `annotation` and `before` as in `put`. */
  delete(keyspace: number, key: Uint8Array, annotation: Uint8Array = noBytes, before?: BeforeImage): void {
    this.#open(key.length + annotation.length + imageBytes(before))
    const flagsAt = this.#end
    let at: number
    if (annotation.length === 0) at = this.#key(Kind.delete, keyspace, key)
    else {
      at = writeVarint(this.#bytes, this.#key(Kind.delete | OperationFlag.annotation, keyspace, key), annotation.length)
      at = copy(this.#bytes, at, annotation)
    }
    this.#end = before === undefined ? at : this.#before(flagsAt, at, before)
  }

  /** Deletes the keys in [start, end). */
  rangeDelete(keyspace: number, start: Uint8Array, end: Uint8Array): void {
    this.#open(start.length + end.length)
    const at = writeVarint(this.#bytes, this.#key(Kind.rangeDelete, keyspace, start), end.length)
    this.#end = copy(this.#bytes, at, end)
  }

  /** The version of `key` written at sequence `version`, which expired at `expiresAt` (not 0), is gone; `before` is its value, where that is to be kept. */
  expire(keyspace: number, key: Uint8Array, expiresAt: number, version: number, before?: BeforeImage): void {
    this.#open(key.length + imageBytes(before))
    const flagsAt = this.#end
    let at = writeVarint(this.#bytes, this.#key(Kind.expire | OperationFlag.expiresAt, keyspace, key), expiresAt)
    at = writeVarint(this.#bytes, at, version)
    this.#end = before === undefined ? at : this.#before(flagsAt, at, before)
  }

  /** Closes the transaction. Its sequence will be the group's first plus the number of transactions before it. */
  endTransaction(): void {
    if (this.#start === -1) throw new Error("no transaction is open")
    writeU32(this.#bytes, this.#start, this.#end - this.#start - 4)
    this.#start = -1
    this.#transactions++
  }

  /** Withdraws the open transaction: the group is as it was before `beginTransaction`. */
  abortTransaction(): void {
    if (this.#start === -1) throw new Error("no transaction is open")
    this.#end = this.#start
    this.#start = -1
  }

  /**
   * Writes the header and returns the whole group: a view of the builder's buffer, valid until `reset`, and the sum that the next group names as its
   * previous one. May be called again with another placement; a group of no transactions is legal (it carries `durableThrough`).
   */
  finish(placement: GroupPlacement): { readonly bytes: Uint8Array; readonly sum: number } {
    if (this.#start !== -1) throw new Error("a transaction is open")
    // Subtracted, because a sum beyond 2^53 would be rounded back to it.
    if (this.#transactions - 1 > sequenceMax - placement.firstSequence) throw new RangeError("sequence beyond 2^53 - 1")
    const rawBytes = this.#end - groupHeaderBytes
    let bytes = this.#bytes.subarray(0, this.#end)
    let codec: number = CodecId.none
    if (placement.codec !== undefined) {
      const stored = placement.codec.compress(bytes.subarray(groupHeaderBytes))
      if (stored.length < rawBytes) {
        codec = placement.codec.id
        bytes = new Uint8Array(groupHeaderBytes + stored.length)
        bytes.set(stored, groupHeaderBytes)
      }
    }
    const sum = writeGroupHeader(this.#crc32, placement.saltSum, bytes, {
      codec,
      flags: placement.rewritten === true ? GroupFlag.rewritten : 0,
      position: placement.position,
      epoch: placement.epoch,
      previousSum: placement.previousSum,
      firstSequence: placement.firstSequence,
      durableThrough: placement.durableThrough,
      transactionCount: this.#transactions,
      rawBytes
    })
    return { bytes, sum }
  }

  /** Empties the group for the next one; an open transaction is withdrawn. Views returned by `finish` are no longer valid. */
  reset(): void {
    this.#end = groupHeaderBytes
    this.#start = -1
    this.#transactions = 0
    if (this.#bytes.length > retainedBytesMax) this.#bytes = new Uint8Array(this.#initialBytes)
  }

  #key(kind: number, keyspace: number, key: Uint8Array): number {
    const bytes = this.#bytes
    bytes[this.#end] = kind
    let at = writeVarint(bytes, this.#end + 1, keyspace)
    at = writeVarint(bytes, at, key.length)
    return copy(bytes, at, key)
  }

  /** The image at `at` of the operation whose flags are at `flagsAt`; returns the offset after it. */
  #before(flagsAt: number, at: number, before: Uint8Array | null): number {
    const bytes = this.#bytes
    bytes[flagsAt]! |= OperationFlag.beforeImage
    return before === null ? writeVarint(bytes, at, 0) : copy(bytes, writeVarint(bytes, at, before.length + 1), before)
  }

  /** Before an operation of this many bytes of keys and values. */
  #open(contentBytes: number): void {
    if (this.#start === -1) throw new Error("no transaction is open")
    this.#reserve(contentBytes + operationOverheadBytesMax)
  }

  #reserve(moreBytes: number): void {
    const needed = this.#end + moreBytes
    if (needed <= this.#bytes.length) return
    if (needed > groupBytesMax) throw new RangeError(`a group of ${needed} bytes exceeds ${groupBytesMax}`)
    const grown = new Uint8Array(Math.min(Math.max(needed, this.#bytes.length * 2), groupBytesMax))
    grown.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = grown
  }
}

const imageBytes = (before: BeforeImage): number => before?.length ?? 0

const copy = (into: Uint8Array, at: number, from: Uint8Array): number => {
  const n = from.length
  if (n <= loopCopyBytesMax) for (let i = 0; i < n; i++) into[at + i] = from[i]!
  else into.set(from, at)
  return at + n
}

const copyRange = (into: Uint8Array, at: number, from: Uint8Array, start: number, end: number): number => {
  if (end - start > loopCopyBytesMax) {
    into.set(start === 0 && end === from.length ? from : from.subarray(start, end), at)
    return at + end - start
  }
  for (let i = start; i < end; i++) into[at++] = from[i]!
  return at
}

/** The bytes a put takes in the log, for accounting before it is written. */
export const putBytes = (keyspace: number, keyLength: number, valueLength: number, expiresAt = 0): number =>
  1 +
  varintBytes(keyspace) +
  varintBytes(keyLength) +
  keyLength +
  (expiresAt === 0 ? 0 : varintBytes(expiresAt)) +
  varintBytes(valueLength) +
  valueLength
