/** Which part of which file every byte of a closed database belongs to: what a judge of damage must know, from the files themselves. */
import type { SyncDisk } from "../../../src/domain/disk/SyncDisk.ts"
import { currentFileName, fileName } from "../../../src/domain/manifest/fileNames.ts"
import type { ManifestState } from "../../../src/domain/manifest/ManifestState.ts"
import type { TableMeta } from "../../../src/domain/manifest/TableMeta.ts"
import { walkManifest } from "../../../src/domain/manifest/walkManifest.ts"
import { SectionKind, tableFooterBytes, tableHeaderBytes } from "../../../src/domain/table/tableFormat.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { valueFooterBytes, valueHeaderBytes } from "../../../src/domain/values/valueFormat.ts"
import { walkRecords } from "../../../src/domain/values/walkRecords.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { decodeSegmentHeader, segmentHeaderBytes } from "../../../src/domain/wal/SegmentHeader.ts"
import { walkSegment } from "../../../src/domain/wal/walkSegment.ts"
import { codecs } from "../../../src/layers/codecs.ts"
import { crc32 } from "../../../src/layers/crc32.ts"
import { readCurrentManifest, readWhole } from "../../../src/layers/recovery/readState.ts"

export type Section =
  | "CURRENT"
  | "manifest header"
  | "manifest snapshot"
  | "manifest edit"
  | "manifest padding"
  | "log header"
  | "log group header"
  | "log group body"
  | "log padding"
  | "log beyond its seal"
  | "table header"
  | "table leaf"
  | "table fence page"
  | "table filter"
  | "table tombstones"
  | "table properties"
  | "table root"
  | "table footer"
  | "values header"
  | "values record head"
  | "values record body"
  | "values footer"

export interface Block {
  readonly path: string
  readonly section: Section
  /** `from` ≤ offset < `to`. */
  readonly from: number
  readonly to: number
  /** Where the unit begins that a sum covers: errors name this. Where a record, or the padding before one, is damaged, it may also be the end of what is right before. */
  readonly unitFrom: number
  /** Of a leaf: which one. */
  readonly leaf?: number
  readonly tableId?: number
}

const sectionNames = new Map<number, Section>([
  [SectionKind.fencePage, "table fence page"],
  [SectionKind.filter, "table filter"],
  [SectionKind.tombstones, "table tombstones"],
  [SectionKind.properties, "table properties"]
])

/** The table of a version, opened from its bytes. */
const openTable = (path: string, bytes: Uint8Array, meta: TableMeta): TableReader =>
  TableReader.open(crc32, codecs, meta.fileId, path, meta.fileBytes, meta.root, (offset, length) => bytes.slice(offset, offset + length))

const tableBlocks = (path: string, bytes: Uint8Array, meta: TableMeta): ReadonlyArray<Block> => {
  const table = openTable(path, bytes, meta)
  const block = (section: Section, from: number, to: number): Block => ({ path, section, from, to, unitFrom: from, tableId: meta.fileId })
  const blocks = [block("table header", 0, tableHeaderBytes)]
  for (let leaf = 0; leaf < table.leafCount; leaf++)
    blocks.push({ ...block("table leaf", table.leafOffset(leaf), table.leafOffset(leaf) + table.leafStoredLength(leaf)), leaf })
  for (const { kind, offset, storedLength } of table.sections) blocks.push(block(sectionNames.get(kind)!, offset, offset + storedLength))
  blocks.push(block("table root", meta.root.offset, meta.root.offset + meta.root.storedLength))
  blocks.push(block("table footer", bytes.length - tableFooterBytes, bytes.length))
  return blocks
}

const valueBlocks = (path: string, bytes: Uint8Array, fileId: number): ReadonlyArray<Block> => {
  const footerAt = bytes.length - valueFooterBytes
  const blocks: Array<Block> = [{ path, section: "values header", from: 0, to: valueHeaderBytes, unitFrom: 0 }]
  for (const part of walkRecords(crc32, fileId, bytesSource(path, bytes), valueHeaderBytes, footerAt)) {
    if (part.type === "gap") throw new Error(`${path} has a gap at ${part.offset}`)
    const bodyFrom = part.offset + part.headBytes
    blocks.push({ path, section: "values record head", from: part.offset, to: bodyFrom, unitFrom: part.offset })
    if (part.pointer.storedLength > 0)
      blocks.push({ path, section: "values record body", from: bodyFrom, to: bodyFrom + part.pointer.storedLength, unitFrom: part.offset })
  }
  blocks.push({ path, section: "values footer", from: footerAt, to: bytes.length, unitFrom: footerAt })
  return blocks
}

const logBlocks = (path: string, bytes: Uint8Array, lengthBytes: number, basePosition: number | undefined): ReadonlyArray<Block> => {
  const header = decodeSegmentHeader(crc32, path, bytes.subarray(0, 65_536))
  const groupsFrom = segmentHeaderBytes(header)
  const blocks: Array<Block> = [{ path, section: "log header", from: 0, to: groupsFrom, unitFrom: 0 }]
  let end = groupsFrom
  for (const part of walkSegment(crc32, header, bytesSource(path, bytes), { basePosition, limit: lengthBytes })) {
    if (part.type !== "group") continue
    const { at: _, header: group, offset } = part.group
    if (offset > end) blocks.push({ path, section: "log padding", from: end, to: offset, unitFrom: end })
    blocks.push({ path, section: "log group header", from: offset, to: offset + 64, unitFrom: end })
    if (group.lengthBytes > 64) blocks.push({ path, section: "log group body", from: offset + 64, to: offset + group.lengthBytes, unitFrom: end })
    end = offset + group.lengthBytes
  }
  if (end < bytes.length) blocks.push({ path, section: "log beyond its seal", from: end, to: bytes.length, unitFrom: end })
  return blocks
}

const manifestBlocks = (path: string, bytes: Uint8Array): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let end = 0
  for (const part of walkManifest(crc32, path, bytes)) {
    if (part.type === "header") {
      blocks.push({ path, section: "manifest header", from: 0, to: 4096, unitFrom: 0 })
      end = 4096
    } else if (part.type === "record") {
      if (part.offset > end) blocks.push({ path, section: "manifest padding", from: end, to: part.offset, unitFrom: end })
      end = part.offset + part.lengthBytes
      blocks.push({ path, section: part.isSnapshot ? "manifest snapshot" : "manifest edit", from: part.offset, to: end, unitFrom: part.offset })
    } else throw new Error(`${path} is damaged already`)
  }
  if (end < bytes.length) blocks.push({ path, section: "manifest padding", from: end, to: bytes.length, unitFrom: end })
  return blocks
}

/** Every byte of every file of a closed database, in blocks without gaps, and its state.  */
export const mapBlocks = (disk: SyncDisk, directory: string): { readonly state: ManifestState; readonly blocks: ReadonlyArray<Block> } => {
  const { fileId, state } = readCurrentManifest(disk, directory, "write")!
  const of = (name: string) => ({ path: `${directory}/${name}`, bytes: readWhole(disk, `${directory}/${name}`) })
  const current = of(currentFileName)
  const manifest = of(fileName("manifest", fileId))
  const blocks: Array<Block> = [
    { path: current.path, section: "CURRENT", from: 0, to: current.bytes.length, unitFrom: 0 },
    ...manifestBlocks(manifest.path, manifest.bytes)
  ]
  for (const { basePosition, fileId: id, sealed } of state.segments.values()) {
    const { bytes, path } = of(fileName("log", id))
    blocks.push(...logBlocks(path, bytes, sealed?.lengthBytes ?? bytes.length, basePosition))
  }
  for (const meta of state.tables.values()) {
    const { bytes, path } = of(fileName("table", meta.fileId))
    blocks.push(...tableBlocks(path, bytes, meta))
  }
  for (const meta of state.valueFiles.values()) {
    const { bytes, path } = of(fileName("values", meta.fileId))
    blocks.push(...valueBlocks(path, bytes, meta.fileId))
  }
  // A map with a hole would leave bytes that nobody tries.
  const ends = new Map<string, number>()
  for (const { from, path, to } of blocks) {
    if (from !== (ends.get(path) ?? 0)) throw new Error(`${path}: the map goes on at ${from} after ${ends.get(path) ?? 0}`)
    ends.set(path, to)
  }
  for (const [path, end] of ends) if (disk.stat(path)!.sizeBytes !== end) throw new Error(`${path}: the map ends at ${end}`)
  return { state, blocks }
}
