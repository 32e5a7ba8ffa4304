import { alignUp, copyOf, isZero, readU32, readU64, writeU32, writeU64 } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import { decodeEdit, encodeEdit } from "./editCodec.ts"
import type { ManifestEdit } from "./ManifestEdit.ts"
import type { ManifestState, StateDraft } from "./ManifestState.ts"
import { applyToDraft, blankState, draftOf, snapshotOf } from "./ManifestState.ts"

/**
 * A manifest file: a header, a record that holds the whole state, and one record per edit since, each starting on the alignment, so that appending one
 * writes to no block that holds a durable one. Little-endian (docs/format/manifest.md):
 *
 *     header  magic 8 | sum u32 | version u32 | alignment u32 | compatible u32 | read-only compatible u32 | incompatible u32 | uuid 16 | file id u64 |
 *             key slot 256 | zeros to the alignment
 *     record  sum u32 | length u32 | previous sum u32 | type u8 | zero 3 | offset u64 | payload | zeros to the alignment
 *
 * The sum of a record is seeded with that of the one before it, the first with the header's.
 */
export const manifestMagic: Uint8Array = Uint8Array.of(0x4c, 0x44, 0x42, 0x4d, 0x41, 0x4e, 0x0d, 0x0a)
export const manifestVersion = 1
/** What a torn write is assumed to damage at most. Frozen: readers of version 1 expect exactly this. */
export const manifestAlignment = 4096
export const manifestRecordHeaderBytes = 24

/** Stored: never renumber, never reuse. */
export const RecordType = { snapshot: 1, edit: 2 } as const

const sumAt = 8
const coveredFrom = 12
const keySlotAt = 56
const keySlotBytes = 256

/** Where the next record of a manifest file goes, and what it is chained to. */
export interface ManifestTail {
  /** Length of the file up to the end of the last record's padding: the offset of the next one. */
  readonly lengthBytes: number
  readonly lastSum: number
}

/** A whole new manifest file: header and snapshot. Write it, datasync, and only then name it in `CURRENT`. */
export const encodeManifest = (crc32: Crc32, fileId: number, state: ManifestState): { readonly bytes: Uint8Array } & ManifestTail => {
  const header = new Uint8Array(manifestAlignment)
  header.set(manifestMagic, 0)
  writeU32(header, 12, manifestVersion)
  writeU32(header, 16, manifestAlignment)
  header.set(state.uuid, 32)
  writeU64(header, 48, fileId)
  const sum = crc32(header.subarray(coveredFrom))
  writeU32(header, sumAt, sum)
  const record = encodeRecord(crc32, { lengthBytes: header.length, lastSum: sum }, RecordType.snapshot, encodeEdit(snapshotOf(state)))
  const bytes = new Uint8Array(record.lengthBytes)
  bytes.set(header, 0)
  bytes.set(record.bytes, header.length)
  return { bytes, lengthBytes: record.lengthBytes, lastSum: record.lastSum }
}

/** The record of one edit, to be appended at `tail.lengthBytes` and datasynced, and the tail after it. Its bytes include the padding. */
export const encodeManifestEdit = (crc32: Crc32, tail: ManifestTail, edit: ManifestEdit): { readonly bytes: Uint8Array } & ManifestTail =>
  encodeRecord(crc32, tail, RecordType.edit, encodeEdit(edit))

const encodeRecord = (crc32: Crc32, tail: ManifestTail, type: number, payload: Uint8Array): { readonly bytes: Uint8Array } & ManifestTail => {
  const lengthBytes = manifestRecordHeaderBytes + payload.length
  const bytes = new Uint8Array(alignUp(lengthBytes, manifestAlignment))
  writeU32(bytes, 4, lengthBytes)
  writeU32(bytes, 8, tail.lastSum)
  bytes[12] = type
  writeU64(bytes, 16, tail.lengthBytes)
  bytes.set(payload, manifestRecordHeaderBytes)
  const lastSum = crc32(bytes.subarray(4, lengthBytes), tail.lastSum)
  writeU32(bytes, 0, lastSum)
  return { bytes, lengthBytes: tail.lengthBytes + bytes.length, lastSum }
}

export interface ManifestContent extends ManifestTail {
  readonly fileId: number
  readonly state: ManifestState
  /** Valid records, the snapshot included. */
  readonly records: number
  /** Whether something that is not a record was cut off at `lengthBytes`. Append to no such file: write a new one. */
  readonly torn: boolean
}

/**
 * Reads a whole manifest file. What follows the last valid record is cut as torn, because the last append may not have become durable; but damage that a
 * valid record follows, or in the header or the snapshot, which were durable before `CURRENT` named the file, is `Damage`. `UnsupportedVersion` is thrown
 * for what a newer version wrote (features that are only compatible with reading are refused unless `access` is "read"), `Malformed` for edits that
 * contradict one another.
 */
export const readManifest = (crc32: Crc32, path: string, bytes: Uint8Array, access: "read" | "write" = "write"): ManifestContent => {
  const { fileId, sum, uuid } = readHeader(crc32, path, bytes, access)
  let lengthBytes = manifestAlignment
  let lastSum = sum
  let records = 0
  let state: StateDraft | undefined
  for (;;) {
    const record = recordAt(crc32, bytes, lengthBytes)
    if (record === undefined || record.previousSum !== lastSum) break
    const edit = decodeEdit(path, lengthBytes, bytes.subarray(lengthBytes + manifestRecordHeaderBytes, lengthBytes + record.length))
    const isHead = state === undefined
    if (record.type !== (isHead ? RecordType.snapshot : RecordType.edit))
      throw new Damage(path, lengthBytes, "Malformed", `record type ${record.type}`)
    if ((edit.identity !== undefined) !== isHead) throw new Damage(path, lengthBytes, "Malformed", "an identity, or none, out of place")
    if (edit.identity !== undefined) state = draftOf(blankState(edit.identity))
    applyToDraft(state!, edit, path, lengthBytes)
    records++
    lastSum = record.sum
    lengthBytes = alignUp(lengthBytes + record.length, manifestAlignment)
  }
  if (state === undefined) throw new Damage(path, lengthBytes, lengthBytes >= bytes.length ? "Truncated" : "ChecksumMismatch", "no snapshot")
  if (uuid.some((byte, i) => byte !== state.uuid[i])) throw new Damage(path, manifestAlignment, "Malformed", "the snapshot is of another database")
  for (let offset = lengthBytes; offset < bytes.length; offset += manifestAlignment) {
    if (recordAt(crc32, bytes, offset) === undefined) continue
    throw new Damage(path, lengthBytes, "ChecksumMismatch", `a valid record follows at ${offset}`)
  }
  return { fileId, state, records, lengthBytes, lastSum, torn: bytes.length > lengthBytes && !isZero(bytes, lengthBytes, bytes.length) }
}

export interface ManifestRecord {
  readonly length: number
  readonly sum: number
  readonly previousSum: number
  readonly type: number
}

/** The record at `offset`, if a whole and right one of this place is there; whether it follows the one before is for the caller to see. */
export const recordAt = (crc32: Crc32, bytes: Uint8Array, offset: number): ManifestRecord | undefined => {
  if (offset + manifestRecordHeaderBytes > bytes.length) return undefined
  const sum = readU32(bytes, offset)
  const length = readU32(bytes, offset + 4)
  const previousSum = readU32(bytes, offset + 8)
  if (length < manifestRecordHeaderBytes || length > bytes.length - offset || readU64(bytes, offset + 16) !== offset) return undefined
  if (crc32(bytes.subarray(offset + 4, offset + length), previousSum) !== sum) return undefined
  return { length, sum, previousSum, type: readU32(bytes, offset + 12) }
}

export const readHeader = (
  crc32: Crc32,
  path: string,
  bytes: Uint8Array,
  access: "read" | "write"
): { readonly fileId: number; readonly sum: number; readonly uuid: Uint8Array } => {
  if (bytes.length < manifestAlignment) throw new Damage(path, 0, "Truncated", `${bytes.length} bytes`)
  for (let i = 0; i < manifestMagic.length; i++) if (bytes[i] !== manifestMagic[i]) throw new Damage(path, 0, "BadMagic")
  const sum = readU32(bytes, sumAt)
  if (crc32(bytes.subarray(coveredFrom, manifestAlignment)) !== sum) throw new Damage(path, 0, "ChecksumMismatch", "header")
  const version = readU32(bytes, 12)
  const alignment = readU32(bytes, 16)
  const readOnlyCompatible = access === "read" ? 0 : readU32(bytes, 24)
  const incompatible = readU32(bytes, 28)
  if (version !== manifestVersion || alignment !== manifestAlignment || readOnlyCompatible !== 0 || incompatible !== 0) {
    throw new Damage(path, 0, "UnsupportedVersion", `version ${version}, alignment ${alignment}, features ${readOnlyCompatible} and ${incompatible}`)
  }
  if (!isZero(bytes, keySlotAt, keySlotAt + keySlotBytes)) throw new Damage(path, 0, "UnsupportedVersion", "the key slot is in use")
  const fileId = readU64(bytes, 48)
  if (fileId > Number.MAX_SAFE_INTEGER) throw new Damage(path, 0, "Malformed", "file id")
  return { fileId, sum, uuid: copyOf(bytes.subarray(32, 48)) }
}
