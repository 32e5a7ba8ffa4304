import { isZero, readU32, readU64, writeU32, writeU64 } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import { sequenceMax } from "../keys/kinds.ts"
import type { Crc32 } from "../seams.ts"

/**
 * What stands before the transactions that were written together, 64 bytes, little-endian (docs/format/wal.md):
 *
 *     sum u32 | zero 12 | length u32 | codec u8 | flags u8 | zero u16 | position u64 | epoch u32 | previous sum u32 | first sequence u64 |
 *     durable through u64 | transaction count u32 | raw payload length u32
 *
 * The sum covers everything after its own 16-byte slot and is seeded with the sum of the segment's salt. The position is covered and compared with where
 * the group stands, so a group copied into a value, or a block written to the wrong place, proves nothing.
 */
export interface GroupHeader {
  /** The whole group, header included. */
  readonly lengthBytes: number
  readonly sum: number
  /** `CodecId` of the payload. */
  readonly codec: number
  readonly flags: number
  /** Of the group's first byte in the logical log: the segment's base + the offset in the file after the header. */
  readonly position: number
  readonly epoch: number
  /** The sum of the group before this one, in the same segment or the one before. */
  readonly previousSum: number
  /** The i-th transaction has sequence `firstSequence + i`. */
  readonly firstSequence: number
  /** All groups that end at or before this position were durable when this one was written: always the end of a group, or 0. */
  readonly durableThrough: number
  readonly transactionCount: number
  /** The payload's length when decompressed. */
  readonly rawBytes: number
}

export const groupHeaderBytes = 64
/** The sum's slot: 4 bytes are used, 16 are the room of an authentication tag. */
export const groupSumSlotBytes = 16
/** A group never exceeds this, header included. */
export const groupBytesMax = 0x4000_0000

/** Stored: never renumber, never reuse. */
export const GroupFlag = {
  /** An open wrote the group again, with the sequences and times it had in an older segment. */
  rewritten: 1
} as const
const knownFlags: number = GroupFlag.rewritten

/** Writes the fields of a group's header at the start of `bytes`, the sum last, over the whole of `bytes`; returns the sum. */
export const writeGroupHeader = (crc32: Crc32, saltSum: number, bytes: Uint8Array, header: Omit<GroupHeader, "sum" | "lengthBytes">): number => {
  bytes.fill(0, 0, groupSumSlotBytes)
  writeU32(bytes, 16, bytes.length)
  bytes[20] = header.codec
  bytes[21] = header.flags
  bytes[22] = 0
  bytes[23] = 0
  writeU64(bytes, 24, header.position)
  writeU32(bytes, 32, header.epoch)
  writeU32(bytes, 36, header.previousSum)
  writeU64(bytes, 40, header.firstSequence)
  writeU64(bytes, 48, header.durableThrough)
  writeU32(bytes, 56, header.transactionCount)
  writeU32(bytes, 60, header.rawBytes)
  const sum = crc32(bytes.subarray(groupSumSlotBytes), saltSum)
  writeU32(bytes, 0, sum)
  return sum
}

/**
 * The header at `bytes[at, at + 64)`, whose presence the caller guarantees. Nothing in it can be trusted before {@link verifyGroup}; numbers of 64 bits may
 * even be inexact. `undefined` where the bytes cannot be a group's header, such as zeros.
 */
export const readGroupHeader = (bytes: Uint8Array, at: number): GroupHeader | undefined => {
  const lengthBytes = readU32(bytes, at + 16)
  if (lengthBytes < groupHeaderBytes || lengthBytes > groupBytesMax || !isZero(bytes, at + 4, at + groupSumSlotBytes)) return undefined
  return {
    lengthBytes,
    sum: readU32(bytes, at),
    codec: bytes[at + 20]!,
    flags: bytes[at + 21]! | (bytes[at + 22]! << 8) | (bytes[at + 23]! << 16),
    position: readU64(bytes, at + 24),
    epoch: readU32(bytes, at + 32),
    previousSum: readU32(bytes, at + 36),
    firstSequence: readU64(bytes, at + 40),
    durableThrough: readU64(bytes, at + 48),
    transactionCount: readU32(bytes, at + 56),
    rawBytes: readU32(bytes, at + 60)
  }
}

/**
 * Whether `bytes[at, at + lengthBytes)` (all present: the caller has compared the length with what there is) is what was written. Throws `Damage` where the
 * sum is right and the content is not: `UnsupportedVersion` for flags this reader does not know, `Malformed` for numbers that contradict one another.
 */
export const verifyGroup = (
  crc32: Crc32,
  saltSum: number,
  path: string,
  offset: number,
  bytes: Uint8Array,
  at: number,
  header: GroupHeader
): boolean => {
  if (crc32(bytes.subarray(at + groupSumSlotBytes, at + header.lengthBytes), saltSum) !== header.sum) return false
  if ((header.flags & ~knownFlags) !== 0) throw new Damage(path, offset, "UnsupportedVersion", `group flags ${header.flags}`)
  if (header.position > Number.MAX_SAFE_INTEGER) throw new Damage(path, offset, "Malformed", "position beyond 2^53 - 1")
  // Subtracted, because a sum beyond 2^53 would be rounded back to it.
  if (header.firstSequence > sequenceMax || header.transactionCount - 1 > sequenceMax - header.firstSequence) {
    throw new Damage(path, offset, "Malformed", "sequence beyond 2^53 - 1")
  }
  if (header.durableThrough > header.position) throw new Damage(path, offset, "Malformed", "durable beyond its own position")
  if (header.codec === 0 && header.rawBytes !== header.lengthBytes - groupHeaderBytes) throw new Damage(path, offset, "Malformed", "raw length")
  return true
}
