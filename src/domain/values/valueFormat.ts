/**
 * A value file: header 64 B | record … | footer 96 B. docs/format/values.md.
 *
 * ```
 * record: head sum u32 | head length u32 | codec u8 | keyspace, sequence, expiresAt, stored length, raw length: varints | sum u32 | key | stored value
 * ```
 *
 * The head is everything before the stored value; its sum covers it from the length on. A pointer names the stored value itself, so that a read takes exactly that; the
 * head is for repair and verification, which walk the file.
 */
import { ByteReader } from "../bytes/ByteReader.ts"
import { readU32, readU64, writeU32, writeU64 } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"

/** "LDBVALUE", frozen. */
const magic = Uint8Array.of(0x4c, 0x44, 0x42, 0x56, 0x41, 0x4c, 0x55, 0x45)
export const valueFileVersion = 1
export const valueHeaderBytes = 64
export const valueFooterBytes = 96
/** Sum and length of a record's head. */
export const recordStartBytes = 8

/** Whether the bytes begin as a value file does. */
export const isValueFile = (bytes: Uint8Array): boolean => magic.every((byte, i) => bytes[i] === byte)

export interface ValueFileIdentity {
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  readonly fileId: number
}

export interface ValueFileTotals {
  readonly recordCount: number
  /** Stored values, without their heads. */
  readonly valueBytes: number
}

const start = (identity: ValueFileIdentity, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  bytes.set(magic, 0)
  bytes[8] = valueFileVersion
  bytes.set(identity.uuid, 16)
  writeU64(bytes, 32, identity.fileId)
  return bytes
}

const check = (crc32: Crc32, bytes: Uint8Array, path: string, offset: number): ValueFileIdentity => {
  for (let i = 0; i < magic.length; i++) if (bytes[i] !== magic[i]) throw new Damage(path, offset, "BadMagic", "not a value file")
  if (readU32(bytes, bytes.length - 4) !== crc32(bytes.subarray(0, bytes.length - 4)))
    throw new Damage(path, offset, "ChecksumMismatch", "value file header or footer")
  const version = bytes[8]! | (bytes[9]! << 8)
  if (version !== valueFileVersion) throw new Damage(path, offset, "UnsupportedVersion", `value file version ${version}`)
  const incompatible = readU32(bytes, 12)
  if (incompatible !== 0) throw new Damage(path, offset, "UnsupportedVersion", `value file feature bits ${incompatible.toString(16)}`)
  return { uuid: bytes.slice(16, 32), fileId: readU64(bytes, 32) }
}

export const encodeValueHeader = (crc32: Crc32, identity: ValueFileIdentity): Uint8Array => {
  const bytes = start(identity, valueHeaderBytes)
  writeU32(bytes, valueHeaderBytes - 4, crc32(bytes.subarray(0, valueHeaderBytes - 4)))
  return bytes
}

/** `bytes` are the first 64 of the file. Throws `Damage`. */
export const decodeValueHeader = (crc32: Crc32, bytes: Uint8Array, path: string): ValueFileIdentity => check(crc32, bytes, path, 0)

export const encodeValueFooter = (crc32: Crc32, footer: ValueFileIdentity & ValueFileTotals): Uint8Array => {
  const bytes = start(footer, valueFooterBytes)
  writeU64(bytes, 40, footer.recordCount)
  writeU64(bytes, 48, footer.valueBytes)
  writeU32(bytes, valueFooterBytes - 4, crc32(bytes.subarray(0, valueFooterBytes - 4)))
  return bytes
}

/** `bytes` are the last 96 of the file, from `offset`. Throws `Damage`. */
export const decodeValueFooter = (crc32: Crc32, bytes: Uint8Array, path: string, offset: number): ValueFileIdentity & ValueFileTotals => ({
  ...check(crc32, bytes, path, offset),
  recordCount: readU64(bytes, 40),
  valueBytes: readU64(bytes, 48)
})

/** The head of a record. */
export interface ValueRecord {
  readonly keyspace: number
  readonly key: Uint8Array
  readonly sequence: number
  /** 0 when the entry did not expire. */
  readonly expiresAt: number
  readonly codec: number
  readonly storedLength: number
  readonly rawLength: number
  readonly sum: number
}

/** Reads a record's head whose sum was verified; the key is a view. Throws `MalformedBytes`. */
export const decodeRecordHead = (head: Uint8Array): ValueRecord => {
  const reader = new ByteReader(head, recordStartBytes)
  const codec = reader.u8()
  const keyspace = reader.varint()
  const sequence = reader.varint()
  const expiresAt = reader.varint()
  const storedLength = reader.varint()
  const rawLength = reader.varint()
  const sum = reader.u32()
  return { codec, keyspace, sequence, expiresAt, storedLength, rawLength, sum, key: reader.take(reader.remaining) }
}
