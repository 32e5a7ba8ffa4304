import type { ByteReader } from "../bytes/ByteReader.ts"
import { copyOf } from "../bytes/fixed.ts"
import type { ByteWriter } from "../bytes/ByteWriter.ts"
import type { KeyPlace } from "../compaction/KeySpan.ts"
import type { DeletedRange } from "../compaction/deletedRanges.ts"
import type { TableSummary, ValueFileSummary, ValueRef } from "../compaction/TableSummary.ts"

/** Where a table's root lies and how it is verified: the manifest is the root's parent. */
export interface RootPointer {
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
  /** `CodecId`. */
  readonly codec: number
  /** CRC-32 of the stored bytes. */
  readonly sum: number
}

/** A table of the current version: what a reader needs to open it and the picker to choose it. Bounds cover entries and range tombstones. */
export interface TableMeta extends TableSummary {
  readonly level: number
  readonly smallestSequence: number
  readonly root: RootPointer
}

/** A value file of the current version. */
export interface ValueFileMeta extends ValueFileSummary {
  /** Stored bytes of all values in it, live or not: the tables' `valueRefs` tell how many are live. */
  readonly valueBytes: number
}

export const writeTableMeta = (writer: ByteWriter, table: TableMeta): void => {
  writer.varint(table.fileId).varint(table.level).varint(table.fileBytes)
  writePlace(writer, table.smallest)
  writePlace(writer, table.largest)
  writer.varint(table.smallestSequence).varint(table.largestSequence)
  writer.varint(table.entryCount).varint(table.deleteCount).varint(table.rangeTombstoneCount)
  const { root } = table
  writer.varint(root.offset).varint(root.storedLength).varint(root.rawLength).u8(root.codec).u32(root.sum)
  writer.varint(table.valueRefs.length)
  for (const ref of table.valueRefs) writer.varint(ref.fileId).varint(ref.bytes)
  if (table.rangeTombstoneCount === 0) return
  const { deletedRanges = [] } = table
  writer.varint(deletedRanges.length)
  for (const range of deletedRanges) writer.varint(range.keyspace).lengthPrefixed(range.start).lengthPrefixed(range.end)
}

/** Copies the keys: the result keeps no view of the reader's bytes. Throws `MalformedBytes`. */
export const readTableMeta = (reader: ByteReader): TableMeta => {
  const fileId = reader.varint()
  const level = reader.varint()
  const fileBytes = reader.varint()
  const smallest = readPlace(reader)
  const largest = readPlace(reader)
  const smallestSequence = reader.varint()
  const largestSequence = reader.varint()
  const entryCount = reader.varint()
  const deleteCount = reader.varint()
  const rangeTombstoneCount = reader.varint()
  const root = { offset: reader.varint(), storedLength: reader.varint(), rawLength: reader.varint(), codec: reader.u8(), sum: reader.u32() }
  const valueRefs: Array<ValueRef> = []
  for (let left = reader.varint(); left > 0; left--) valueRefs.push({ fileId: reader.varint(), bytes: reader.varint() })
  const deletedRanges: Array<DeletedRange> = []
  for (let left = rangeTombstoneCount === 0 ? 0 : reader.varint(); left > 0; left--)
    deletedRanges.push({ keyspace: reader.varint(), start: copyOf(reader.lengthPrefixed()), end: copyOf(reader.lengthPrefixed()) })
  return {
    fileId,
    level,
    fileBytes,
    smallest,
    largest,
    smallestSequence,
    largestSequence,
    entryCount,
    deleteCount,
    rangeTombstoneCount,
    root,
    valueRefs,
    ...(deletedRanges.length === 0 ? {} : { deletedRanges })
  }
}

const writePlace = (writer: ByteWriter, place: KeyPlace): void => {
  writer.varint(place.keyspace).lengthPrefixed(place.key)
}

const readPlace = (reader: ByteReader): KeyPlace => ({ keyspace: reader.varint(), key: copyOf(reader.lengthPrefixed()) })

export const writeValueFileMeta = (writer: ByteWriter, file: ValueFileMeta): void => {
  writer.varint(file.fileId).varint(file.fileBytes).varint(file.valueBytes)
}

export const readValueFileMeta = (reader: ByteReader): ValueFileMeta => ({
  fileId: reader.varint(),
  fileBytes: reader.varint(),
  valueBytes: reader.varint()
})
