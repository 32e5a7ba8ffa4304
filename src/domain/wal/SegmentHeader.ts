import { copyOf, isZero, readU32, readU64, writeU32, writeU64 } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"

/**
 * The first block of every segment of the write-ahead log: who wrote it, for which database, and the salt every group's sum is seeded with.
 * Its layout, little-endian, padded with zeros to `alignment` bytes, is told in docs/format/wal.md:
 *
 *     magic 8 | sum u32 | version u32 | alignment u32 | compatible u32 | incompatible u32 | zero u32 | uuid 16 | file id u64 | epoch u32 | zero u32 |
 *     key slot 64 | salt 16 | zeros to the alignment
 */
export interface SegmentHeader {
  /** The database, 16 bytes. */
  readonly uuid: Uint8Array
  readonly fileId: number
  /** Of the open that wrote the segment: u32. A segment holds groups of one epoch only. */
  readonly epoch: number
  /**
   * What a torn write is assumed to damage at most: a power of two in 512 .. 65536. It is also the length of the header; the first group after a
   * datasync starts on a multiple of it, so that no write touches a block that holds durable bytes.
   */
  readonly alignment: number
  /** 16 random bytes, new for every segment. */
  readonly salt: Uint8Array
  /** Room for the wrapped file key: 64 bytes, zeros while files are not encrypted. */
  readonly keySlot: Uint8Array
  /** A reader ignores bits it does not know. */
  readonly compatible: number
  /** A reader refuses bits it does not know. */
  readonly incompatible: number
  /** The sum of the header itself: what the manifest records. */
  readonly sum: number
  /** The sum of the salt: the seed of every group's sum. */
  readonly saltSum: number
}

/** Frozen: on disk. "LDBWAL\r\n": the line ending finds a file mangled by a text transfer. */
export const segmentMagic: Uint8Array = Uint8Array.of(0x4c, 0x44, 0x42, 0x57, 0x41, 0x4c, 0x0d, 0x0a)
export const segmentVersion = 1
export const segmentAlignmentDefault = 4096
export const segmentAlignmentMin = 512
export const segmentAlignmentMax = 65_536
/** The bytes of the header that hold fields; the rest up to the alignment is zeros. */
export const segmentHeaderFieldBytes = 144

const sumAt = 8
const coveredFrom = 12
const knownIncompatible = 0

/** Where the groups of a segment start. */
export const segmentHeaderBytes = (header: SegmentHeader): number => header.alignment

/** The sum stored in an encoded header, which the manifest records: a stale or foreign segment under the right name is found by it. */
export const headerSum = (bytes: Uint8Array): number => readU32(bytes, sumAt)

const isAlignment = (n: number): boolean => n >= segmentAlignmentMin && n <= segmentAlignmentMax && (n & (n - 1)) === 0

/** Encodes the header of a new segment into `alignment` new bytes. Throws `RangeError` for a field out of its limits. */
export const encodeSegmentHeader = (
  crc32: Crc32,
  fields: {
    readonly uuid: Uint8Array
    readonly fileId: number
    readonly epoch: number
    readonly salt: Uint8Array
    readonly alignment?: number
  }
): Uint8Array => {
  const alignment = fields.alignment ?? segmentAlignmentDefault
  if (!isAlignment(alignment)) throw new RangeError(`alignment ${alignment}`)
  if (fields.uuid.length !== 16 || fields.salt.length !== 16) throw new RangeError("uuid and salt are 16 bytes each")
  const bytes = new Uint8Array(alignment)
  bytes.set(segmentMagic, 0)
  writeU32(bytes, 12, segmentVersion)
  writeU32(bytes, 16, alignment)
  bytes.set(fields.uuid, 32)
  writeU64(bytes, 48, fields.fileId)
  writeU32(bytes, 56, fields.epoch)
  bytes.set(fields.salt, 128)
  writeU32(bytes, sumAt, crc32(bytes.subarray(coveredFrom)))
  return bytes
}

/**
 * Decodes the header at the start of `bytes`, which may go on with groups. Nothing but the alignment is used before the sum is right.
 * Throws `Damage`: `Truncated`, `BadMagic`, `ChecksumMismatch`, `UnsupportedVersion`, or `Malformed` for a number beyond 2^53 - 1.
 */
export const decodeSegmentHeader = (crc32: Crc32, path: string, bytes: Uint8Array): SegmentHeader => {
  if (bytes.length < segmentHeaderFieldBytes) throw new Damage(path, 0, "Truncated", `${bytes.length} bytes`)
  for (let i = 0; i < segmentMagic.length; i++) if (bytes[i] !== segmentMagic[i]) throw new Damage(path, 0, "BadMagic")
  const alignment = readU32(bytes, 16)
  if (!isAlignment(alignment)) throw new Damage(path, 0, "ChecksumMismatch", `alignment ${alignment}`)
  if (bytes.length < alignment) throw new Damage(path, 0, "Truncated", `${bytes.length} bytes of a header of ${alignment}`)
  const sum = headerSum(bytes)
  if (crc32(bytes.subarray(coveredFrom, alignment)) !== sum) throw new Damage(path, 0, "ChecksumMismatch", "header")
  const version = readU32(bytes, 12)
  const incompatible = readU32(bytes, 24)
  if (version !== segmentVersion || (incompatible & ~knownIncompatible) !== 0) {
    throw new Damage(path, 0, "UnsupportedVersion", `version ${version}, features ${incompatible}`)
  }
  const fileId = readU64(bytes, 48)
  if (fileId > Number.MAX_SAFE_INTEGER) throw new Damage(path, 0, "Malformed", "file id")
  if (!isZero(bytes, 64, 128)) throw new Damage(path, 0, "UnsupportedVersion", "the key slot is in use")
  const salt = copyOf(bytes.subarray(128, 144))
  return {
    uuid: copyOf(bytes.subarray(32, 48)),
    fileId,
    epoch: readU32(bytes, 56),
    alignment,
    salt,
    keySlot: copyOf(bytes.subarray(64, 128)),
    compatible: readU32(bytes, 20),
    incompatible,
    sum,
    saltSum: crc32(salt)
  }
}
