/**
 * What a table says about itself: enough to rebuild its record in the manifest when that is lost, and for repair not to resurrect what was deleted.
 *
 * Stored as fields {tag varint, length varint, bytes}, tags ascending; a reader skips tags it does not know, a field that is missing has its default.
 */
import { ByteReader } from "../bytes/ByteReader.ts"
import { ByteWriter } from "../bytes/ByteWriter.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import type { KeyPlace } from "../compaction/KeySpan.ts"
import type { ValueRef } from "../compaction/TableSummary.ts"

export interface TableProperties {
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  readonly fileId: number
  /** The level it was written for; a trivial move does not change it. */
  readonly level: number
  /** Engine time. */
  readonly createdAtMs: number
  /** Seed of `keyHash`, u32. */
  readonly hashSeed: number
  /** Point entries, deletes included. */
  readonly entryCount: number
  /** Distinct user keys among them. */
  readonly keyCount: number
  /** Entries of kind delete or expire. */
  readonly deleteCount: number
  /** Sequences of all tombstone fragments. */
  readonly rangeTombstoneCount: number
  readonly leafCount: number
  /** Bounds over entries and range tombstones; absent in an empty table. Where `largestIsExclusive`, the largest is a tombstone's end. */
  readonly smallest: KeyPlace | undefined
  readonly largest: KeyPlace | undefined
  readonly largestIsExclusive: boolean
  /** Over entries and range tombstones; an elided sequence counts as 0. */
  readonly smallestSequence: number
  readonly largestSequence: number
  /** User keys and inline values, before anything was saved. */
  readonly keyBytes: number
  readonly valueBytes: number
  /** Least and greatest `expiresAt`; 0 when nothing expires. */
  readonly firstExpiryMs: number
  readonly lastExpiryMs: number
  readonly blockBytes: number
  readonly filterBitsPerKey: number
  /** File ids of the tables this one replaced, and of those that its inputs had replaced and whose files were still there. */
  readonly replaced: ReadonlyArray<number>
  readonly valueRefs: ReadonlyArray<ValueRef>
}

/** On disk: never renumber, never reuse. */
const Tag = {
  uuid: 1,
  fileId: 2,
  level: 3,
  createdAtMs: 4,
  hashSeed: 5,
  entryCount: 6,
  keyCount: 7,
  deleteCount: 8,
  rangeTombstoneCount: 9,
  leafCount: 10,
  smallest: 11,
  largest: 12,
  largestIsExclusive: 13,
  smallestSequence: 14,
  largestSequence: 15,
  keyBytes: 16,
  valueBytes: 17,
  firstExpiryMs: 18,
  lastExpiryMs: 19,
  blockBytes: 20,
  filterBitsPerKey: 21,
  replaced: 22,
  valueRefs: 23
} as const

export const encodeTableProperties = (properties: TableProperties): Uint8Array => {
  const out = new ByteWriter()
  const field = new ByteWriter()
  const put = (tag: number): void => {
    out.varint(tag).lengthPrefixed(field.bytes)
    field.clear()
  }
  const number = (tag: number, value: number): void => {
    if (value === 0) return
    field.varint(value)
    put(tag)
  }
  const place = (tag: number, value: KeyPlace | undefined): void => {
    if (value === undefined) return
    field.varint(value.keyspace).raw(value.key)
    put(tag)
  }
  field.raw(properties.uuid)
  put(Tag.uuid)
  number(Tag.fileId, properties.fileId)
  number(Tag.level, properties.level)
  number(Tag.createdAtMs, properties.createdAtMs)
  number(Tag.hashSeed, properties.hashSeed >>> 0)
  number(Tag.entryCount, properties.entryCount)
  number(Tag.keyCount, properties.keyCount)
  number(Tag.deleteCount, properties.deleteCount)
  number(Tag.rangeTombstoneCount, properties.rangeTombstoneCount)
  number(Tag.leafCount, properties.leafCount)
  place(Tag.smallest, properties.smallest)
  place(Tag.largest, properties.largest)
  number(Tag.largestIsExclusive, properties.largestIsExclusive ? 1 : 0)
  number(Tag.smallestSequence, properties.smallestSequence)
  number(Tag.largestSequence, properties.largestSequence)
  number(Tag.keyBytes, properties.keyBytes)
  number(Tag.valueBytes, properties.valueBytes)
  number(Tag.firstExpiryMs, properties.firstExpiryMs)
  number(Tag.lastExpiryMs, properties.lastExpiryMs)
  number(Tag.blockBytes, properties.blockBytes)
  number(Tag.filterBitsPerKey, properties.filterBitsPerKey)
  if (properties.replaced.length > 0) {
    for (const id of properties.replaced) field.varint(id)
    put(Tag.replaced)
  }
  if (properties.valueRefs.length > 0) {
    for (const ref of properties.valueRefs) field.varint(ref.fileId).varint(ref.bytes)
    put(Tag.valueRefs)
  }
  return out.bytes
}

/** Copies what it keeps. Throws `MalformedBytes`. */
export const decodeTableProperties = (bytes: Uint8Array): TableProperties => {
  const fields = new Map<number, Uint8Array>()
  const reader = new ByteReader(bytes)
  let last = 0
  while (reader.remaining > 0) {
    const tag = reader.varint()
    if (tag <= last) throw new MalformedBytes("table properties out of order")
    fields.set(tag, reader.lengthPrefixed())
    last = tag
  }
  const number = (tag: number): number => {
    const field = fields.get(tag)
    if (field === undefined) return 0
    const numbers = new ByteReader(field)
    const value = numbers.varint()
    if (numbers.remaining > 0) throw new MalformedBytes(`table property ${tag} is too long`)
    return value
  }
  const place = (tag: number): KeyPlace | undefined => {
    const field = fields.get(tag)
    if (field === undefined) return undefined
    const parts = new ByteReader(field)
    return { keyspace: parts.varint(), key: parts.take(parts.remaining).slice() }
  }
  const uuid = fields.get(Tag.uuid)
  if (uuid === undefined || uuid.length !== 16) throw new MalformedBytes("table properties without uuid")
  const replaced: Array<number> = []
  const ids = new ByteReader(fields.get(Tag.replaced) ?? new Uint8Array(0))
  while (ids.remaining > 0) replaced.push(ids.varint())
  const valueRefs: Array<ValueRef> = []
  const refs = new ByteReader(fields.get(Tag.valueRefs) ?? new Uint8Array(0))
  while (refs.remaining > 0) valueRefs.push({ fileId: refs.varint(), bytes: refs.varint() })
  return {
    uuid: uuid.slice(),
    fileId: number(Tag.fileId),
    level: number(Tag.level),
    createdAtMs: number(Tag.createdAtMs),
    hashSeed: number(Tag.hashSeed),
    entryCount: number(Tag.entryCount),
    keyCount: number(Tag.keyCount),
    deleteCount: number(Tag.deleteCount),
    rangeTombstoneCount: number(Tag.rangeTombstoneCount),
    leafCount: number(Tag.leafCount),
    smallest: place(Tag.smallest),
    largest: place(Tag.largest),
    largestIsExclusive: number(Tag.largestIsExclusive) !== 0,
    smallestSequence: number(Tag.smallestSequence),
    largestSequence: number(Tag.largestSequence),
    keyBytes: number(Tag.keyBytes),
    valueBytes: number(Tag.valueBytes),
    firstExpiryMs: number(Tag.firstExpiryMs),
    lastExpiryMs: number(Tag.lastExpiryMs),
    blockBytes: number(Tag.blockBytes),
    filterBitsPerKey: number(Tag.filterBitsPerKey),
    replaced,
    valueRefs
  }
}
