/**
 * The file `RESTORE-POINT` in the directory of a restore point: what it is a copy of, and which manifest it was made with. docs/format/restore-point.md.
 *
 * ```
 * magic 8 | version u16 | zero u16 | incompatible u32 | length u32 | fields … | sum u32
 * field: tag varint | length varint | bytes
 * ```
 *
 * Fields stand in the order of their tags; a reader passes over tags it does not know, one that is missing has its default. The sum is the CRC-32 of everything before it.
 */
import { ByteReader } from "../bytes/ByteReader.ts"
import { ByteWriter } from "../bytes/ByteWriter.ts"
import { readU32, writeU32 } from "../bytes/fixed.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import { pointNameProblem } from "./pointName.ts"

export const pointFileName = "RESTORE-POINT"

export interface PointFile {
  readonly name: string
  /** From 1, per name. */
  readonly version: number
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  /** Of the restore point, which is a database of its own, 16 bytes. */
  readonly lineageId: Uint8Array
  /** Of the database when it was made, 16 bytes. */
  readonly sourceLineageId: Uint8Array
  /** The last commit in it. */
  readonly sequence: number
  /** Engine time when it was made. */
  readonly createdAtMs: number
  /** Why, in the words of whoever made it; may be empty. */
  readonly reason: string
  /** Without this one. */
  readonly files: number
  readonly bytes: number
  /** The manifest it was made with, and its whole content: whoever has opened the directory for writing has another one. */
  readonly manifestId: number
  readonly manifestBytes: number
  readonly manifestSum: number
}

/** "LDBPOINT", frozen. */
const magic = Uint8Array.of(0x4c, 0x44, 0x42, 0x50, 0x4f, 0x49, 0x4e, 0x54)
const pointFileVersion = 1
const headBytes = 20
/** Longer ones are refused before they are written. */
export const reasonBytesMax = 4096

/** On disk: never renumber, never reuse. */
const Tag = {
  name: 1,
  version: 2,
  uuid: 3,
  lineageId: 4,
  sourceLineageId: 5,
  sequence: 6,
  createdAtMs: 7,
  reason: 8,
  files: 9,
  bytes: 10,
  manifestId: 11,
  manifestBytes: 12,
  manifestSum: 13
} as const

const utf8 = new TextEncoder()

export const encodePointFile = (crc32: Crc32, point: PointFile): Uint8Array => {
  const fields = new ByteWriter()
  const raw = (tag: number, bytes: Uint8Array): void => {
    fields.varint(tag).lengthPrefixed(bytes)
  }
  const number = (tag: number, value: number): void => {
    if (value !== 0) raw(tag, new ByteWriter().varint(value).bytes)
  }
  raw(Tag.name, utf8.encode(point.name))
  number(Tag.version, point.version)
  raw(Tag.uuid, point.uuid)
  raw(Tag.lineageId, point.lineageId)
  raw(Tag.sourceLineageId, point.sourceLineageId)
  number(Tag.sequence, point.sequence)
  number(Tag.createdAtMs, point.createdAtMs)
  if (point.reason !== "") raw(Tag.reason, utf8.encode(point.reason))
  number(Tag.files, point.files)
  number(Tag.bytes, point.bytes)
  number(Tag.manifestId, point.manifestId)
  number(Tag.manifestBytes, point.manifestBytes)
  number(Tag.manifestSum, point.manifestSum >>> 0)
  const content = fields.bytes
  const bytes = new Uint8Array(headBytes + content.length + 4)
  bytes.set(magic, 0)
  bytes[8] = pointFileVersion
  writeU32(bytes, 16, content.length)
  bytes.set(content, headBytes)
  writeU32(bytes, bytes.length - 4, crc32(bytes.subarray(0, bytes.length - 4)))
  return bytes
}

/** The whole file. Throws `Damage`: nothing but what `encodePointFile` writes (and fields of a later version) is accepted. */
export const decodePointFile = (crc32: Crc32, path: string, bytes: Uint8Array): PointFile => {
  if (bytes.length < headBytes + 4) throw new Damage(path, 0, "Truncated", `${bytes.length} bytes`)
  for (let i = 0; i < magic.length; i++) if (bytes[i] !== magic[i]) throw new Damage(path, 0, "BadMagic", "not a restore point")
  const end = bytes.length - 4
  if (readU32(bytes, end) !== crc32(bytes.subarray(0, end))) throw new Damage(path, 0, "ChecksumMismatch", "restore point")
  const version = bytes[8]! | (bytes[9]! << 8)
  if (version !== pointFileVersion) throw new Damage(path, 0, "UnsupportedVersion", `restore point version ${version}`)
  const incompatible = readU32(bytes, 12)
  if (incompatible !== 0) throw new Damage(path, 0, "UnsupportedVersion", `restore point feature bits ${incompatible.toString(16)}`)
  try {
    if (readU32(bytes, 16) !== end - headBytes) throw new MalformedBytes("another length than its fields")
    return decodeFields(bytes.subarray(headBytes, end))
  } catch (cause) {
    if (cause instanceof MalformedBytes) throw new Damage(path, 0, "Malformed", cause.message)
    throw cause
  }
}

const decodeFields = (bytes: Uint8Array): PointFile => {
  const fields = new Map<number, Uint8Array>()
  const reader = new ByteReader(bytes)
  let last = 0
  while (reader.remaining > 0) {
    const tag = reader.varint()
    if (tag <= last) throw new MalformedBytes("fields out of order")
    fields.set(tag, reader.lengthPrefixed())
    last = tag
  }
  const number = (tag: number): number => {
    const field = fields.get(tag)
    if (field === undefined) return 0
    const content = new ByteReader(field)
    const value = content.varint()
    if (content.remaining > 0) throw new MalformedBytes(`field ${tag} is too long`)
    return value
  }
  const sixteen = (tag: number): Uint8Array => {
    const field = fields.get(tag)
    if (field?.length !== 16) throw new MalformedBytes(`field ${tag} has not 16 bytes`)
    return field.slice()
  }
  const text = (tag: number): string => {
    const field = fields.get(tag)
    if (field === undefined) return ""
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(field)
    } catch {
      throw new MalformedBytes(`field ${tag} is no UTF-8`)
    }
  }
  const point: PointFile = {
    name: text(Tag.name),
    version: number(Tag.version),
    uuid: sixteen(Tag.uuid),
    lineageId: sixteen(Tag.lineageId),
    sourceLineageId: sixteen(Tag.sourceLineageId),
    sequence: number(Tag.sequence),
    createdAtMs: number(Tag.createdAtMs),
    reason: text(Tag.reason),
    files: number(Tag.files),
    bytes: number(Tag.bytes),
    manifestId: number(Tag.manifestId),
    manifestBytes: number(Tag.manifestBytes),
    manifestSum: number(Tag.manifestSum)
  }
  if (pointNameProblem(point.name) !== undefined || point.version === 0 || point.manifestId === 0 || point.manifestSum > 0xffff_ffff)
    throw new MalformedBytes("a field that no restore point has")
  return point
}
