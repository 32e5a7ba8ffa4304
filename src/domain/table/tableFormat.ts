/**
 * The fixed parts of a table file and the root block. Layout and reasons: docs/format/table.md.
 *
 * ```
 * header 64 B | leaf … leaf | fence page … | filter? | tombstones? | properties | root | footer 96 B
 * ```
 */
import { ByteReader } from "../bytes/ByteReader.ts"
import { readU32, readU64, writeU32, writeU64 } from "../bytes/fixed.ts"
import { varintBytesMax, writeVarint } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import type { RootPointer } from "../manifest/TableMeta.ts"
import type { Crc32 } from "../seams.ts"

/** "LDBTABLE", frozen. */
const magic = Uint8Array.of(0x4c, 0x44, 0x42, 0x54, 0x41, 0x42, 0x4c, 0x45)
export const tableVersion = 1
export const tableHeaderBytes = 64
export const tableFooterBytes = 96
/** How block sums are made; 1 is reserved for 16-byte authentication tags. */
export const SumKind = { crc32: 0 } as const
/** What a section of the root is; a reader skips kinds it does not know. */
export const SectionKind = { fencePage: 1, filter: 2, tombstones: 3, properties: 4 } as const

/** Where a block lies and how it is verified. */
export type BlockPointer = RootPointer

export interface TableIdentity {
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  readonly fileId: number
}

/** Whether the bytes begin as a table does. */
export const isTable = (bytes: Uint8Array): boolean => magic.every((byte, i) => bytes[i] === byte)

const checkStart = (bytes: Uint8Array, path: string, offset: number): void => {
  for (let i = 0; i < magic.length; i++) if (bytes[i] !== magic[i]) throw new Damage(path, offset, "BadMagic", "not a table")
}

/** Version and feature bits, after the sum is known to be right: what a newer writer has set on purpose. */
const checkVersion = (bytes: Uint8Array, path: string, offset: number): void => {
  const version = bytes[8]! | (bytes[9]! << 8)
  if (version !== tableVersion) throw new Damage(path, offset, "UnsupportedVersion", `table version ${version}`)
  const incompatible = readU32(bytes, 12)
  if (incompatible !== 0) throw new Damage(path, offset, "UnsupportedVersion", `table feature bits ${incompatible.toString(16)}`)
}

const startOf = (identity: TableIdentity, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  bytes.set(magic, 0)
  bytes[8] = tableVersion
  bytes.set(identity.uuid, 16)
  writeU64(bytes, 32, identity.fileId)
  return bytes
}

const identityOf = (bytes: Uint8Array): TableIdentity => ({ uuid: bytes.slice(16, 32), fileId: readU64(bytes, 32) })

export const encodeTableHeader = (crc32: Crc32, identity: TableIdentity): Uint8Array => {
  const bytes = startOf(identity, tableHeaderBytes)
  writeU32(bytes, tableHeaderBytes - 4, crc32(bytes.subarray(0, tableHeaderBytes - 4)))
  return bytes
}

/** Throws `Damage`. `bytes` are the first 64 of the file. */
export const decodeTableHeader = (crc32: Crc32, bytes: Uint8Array, path: string): TableIdentity => {
  checkStart(bytes, path, 0)
  if (readU32(bytes, tableHeaderBytes - 4) !== crc32(bytes.subarray(0, tableHeaderBytes - 4)))
    throw new Damage(path, 0, "ChecksumMismatch", "table header")
  checkVersion(bytes, path, 0)
  return identityOf(bytes)
}

export interface TableFooter extends TableIdentity {
  readonly root: BlockPointer
}

export const encodeTableFooter = (crc32: Crc32, footer: TableFooter): Uint8Array => {
  const bytes = startOf(footer, tableFooterBytes)
  writeU64(bytes, 40, footer.root.offset)
  writeU32(bytes, 48, footer.root.storedLength)
  writeU32(bytes, 52, footer.root.rawLength)
  bytes[56] = footer.root.codec
  bytes[57] = SumKind.crc32
  writeU32(bytes, 60, footer.root.sum)
  writeU32(bytes, tableFooterBytes - 4, crc32(bytes.subarray(0, tableFooterBytes - 4)))
  return bytes
}

/** Throws `Damage` that names `offset`, where the footer stands: 96 bytes before the file's end. */
export const decodeTableFooter = (crc32: Crc32, bytes: Uint8Array, path: string, offset: number): TableFooter => {
  checkStart(bytes, path, offset)
  if (readU32(bytes, tableFooterBytes - 4) !== crc32(bytes.subarray(0, tableFooterBytes - 4)))
    throw new Damage(path, offset, "ChecksumMismatch", "table footer")
  checkVersion(bytes, path, offset)
  return {
    ...identityOf(bytes),
    root: { offset: readU64(bytes, 40), storedLength: readU32(bytes, 48), rawLength: readU32(bytes, 52), codec: bytes[56]!, sum: readU32(bytes, 60) }
  }
}

/** A child of the root. */
export interface Section extends BlockPointer {
  readonly kind: number
  /** Leaves under a fence page; 0 for other sections. */
  readonly leafCount: number
}

const sectionBytesMax = 6 * varintBytesMax + 4

/** Root block: version u8 | sum kind u8 | section count varint | sections {kind, leaf count, offset, stored length, raw length, codec: varints; sum u32}. */
export const encodeRoot = (sections: ReadonlyArray<Section>): Uint8Array => {
  const bytes = new Uint8Array(2 + varintBytesMax + sections.length * sectionBytesMax)
  bytes[0] = tableVersion
  bytes[1] = SumKind.crc32
  let at = writeVarint(bytes, 2, sections.length)
  for (const section of sections) {
    at = writeVarint(bytes, at, section.kind)
    at = writeVarint(bytes, at, section.leafCount)
    at = writeVarint(bytes, at, section.offset)
    at = writeVarint(bytes, at, section.storedLength)
    at = writeVarint(bytes, at, section.rawLength)
    at = writeVarint(bytes, at, section.codec)
    writeU32(bytes, at, section.sum)
    at += 4
  }
  return bytes.subarray(0, at)
}

/** Reads a verified root block. Throws `Damage` or `MalformedBytes` (which the reader turns into `Damage`). */
export const decodeRoot = (bytes: Uint8Array, path: string, offset: number): Array<Section> => {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  const sumKind = reader.u8()
  if (version !== tableVersion || sumKind !== SumKind.crc32) {
    throw new Damage(path, offset, "UnsupportedVersion", `table root version ${version}, sum kind ${sumKind}`)
  }
  const count = reader.varint()
  const sections: Array<Section> = []
  for (let i = 0; i < count; i++) {
    sections.push({
      kind: reader.varint(),
      leafCount: reader.varint(),
      offset: reader.varint(),
      storedLength: reader.varint(),
      rawLength: reader.varint(),
      codec: reader.varint(),
      sum: reader.u32()
    })
  }
  if (reader.remaining !== 0) throw new Damage(path, offset, "Malformed", "bytes after the root's sections")
  return sections
}
