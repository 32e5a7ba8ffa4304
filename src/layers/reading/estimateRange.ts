/**
 * About how many entries a range holds: what memtables hold of it, counted or sampled, and of each table the part that its fences say. Reads no leaf. Model: RocksDB's
 * `GetApproximateSizes`, with the number of entries taken the same way as the bytes.
 */
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import type { KeyBounds } from "../../domain/keys/KeyBounds.ts"
import { Kind } from "../../domain/keys/kinds.ts"
import type { Memtable } from "../../domain/memtable/Memtable.ts"
import type { FragmentedTombstones } from "../../domain/table/RangeTombstones.ts"
import { tableShare } from "../../domain/table/tableShare.ts"
import type { RangeEstimate } from "../../services/Database.ts"
import type { Tables, TableSlot } from "../../services/Tables.ts"
import type { View } from "./View.ts"

/** Entries of a memtable that are looked at: all of them, where there are no more. */
const sampleMax = 4096
/** Tables that are opened for a better answer, beside those that a bound falls into: opening one reads its fences and its filter. */
const opensMax = 32

/** A part of the range in which everything up to `sequence` was deleted at once. */
interface Cover {
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
  readonly sequence: number
}

/** Synchronous; the view must be of this moment, or its version pinned. Throws `Damage`, `IoFailure`. */
export const estimateRange = (tables: Tables["Service"], view: View, keyspace: number, bounds: KeyBounds): RangeEstimate => {
  const { lower, upper } = bounds
  if (bounds.limit === 0 || (lower !== undefined && upper !== undefined && compareBytes(lower, upper) >= 0)) return { entries: 0, bytes: 0 }
  let opensLeft = opensMax
  /** The table's reader, as long as not too many had to be opened for it. */
  const readerOf = (slot: TableSlot) => (slot.reader !== undefined || opensLeft-- > 0 ? tables.reader(slot) : undefined)

  const inside = view.version.levels.map((level) => level.filter((slot) => overlaps(slot, keyspace, lower, upper)))
  const covers = coversOf(tables, view, inside, keyspace, lower, upper)

  let entries = 0
  let bytes = 0
  // Newest data first: a delete takes one key off what is older, so that in the oldest source it takes off nothing.
  let deletes = 0
  const sources = inside.flatMap((level, index) => (index === 0 ? level.map((slot) => [slot]) : level.length === 0 ? [] : [level]))
  sources.forEach((source, index) => {
    let puts = 0
    let deleted = 0
    let keyed = 0
    let counted = 0
    for (const slot of source) {
      const part = partOf(tables, slot, keyspace, lower, upper, covers)
      bytes += part.bytes
      puts += part.share * (slot.meta.entryCount - slot.meta.deleteCount)
      deleted += part.share * slot.meta.deleteCount
      if (part.share === 0) continue
      const properties = readerOf(slot)?.properties
      if (properties === undefined) continue
      keyed += properties.keyCount
      counted += properties.entryCount
    }
    // Of several versions of a key one counts.
    entries += counted === 0 ? puts : Math.min(puts, ((puts + deleted) * keyed) / counted)
    if (index < sources.length - 1) deletes += deleted
  })

  const memory = memoryOf(view, keyspace, lower, upper, (hash, key) => keyIsInTables(inside, readerOf, keyspace, hash, key))
  entries = Math.max(0, entries - deletes - memory.hidden) + memory.entries
  return { entries: Math.min(bounds.limit, Math.round(entries)), bytes: Math.round(bytes + memory.bytes) }
}

const overlaps = ({ meta }: TableSlot, keyspace: number, lower: Uint8Array | undefined, upper: Uint8Array | undefined): boolean => {
  const { largest, smallest } = meta
  if (smallest.keyspace > keyspace || largest.keyspace < keyspace) return false
  if (upper !== undefined && smallest.keyspace === keyspace && compareBytes(smallest.key, upper) >= 0) return false
  return !(lower !== undefined && largest.keyspace === keyspace && compareBytes(largest.key, lower) < 0)
}

/** Range deletes over the range, of the sources that have any. */
const coversOf = (
  tables: Tables["Service"],
  view: View,
  inside: ReadonlyArray<ReadonlyArray<TableSlot>>,
  keyspace: number,
  lower: Uint8Array | undefined,
  upper: Uint8Array | undefined
): ReadonlyArray<Cover> => {
  const fragmented: Array<FragmentedTombstones> = []
  for (const memtable of view.memtables) if (memtable.tombstoneCount > 0) fragmented.push(...memtable.tombstones())
  for (const level of inside) for (const slot of level) if (slot.meta.rangeTombstoneCount > 0) fragmented.push(tables.reader(slot).tombstones)
  const covers: Array<Cover> = []
  for (const tombstones of fragmented) {
    for (const fragment of tombstones.fragments()) {
      const sequence = fragment.sequences.find((candidate) => candidate <= view.sequence)
      if (fragment.keyspace !== keyspace || sequence === undefined) continue
      const start = lower === undefined || compareBytes(fragment.start, lower) > 0 ? fragment.start : lower
      const end = upper === undefined || compareBytes(fragment.end, upper) < 0 ? fragment.end : upper
      if (compareBytes(start, end) < 0) covers.push({ start, end, sequence })
    }
  }
  return covers.sort((a, b) => compareBytes(a.start!, b.start!))
}

/** What of the table lies in the range and is not deleted as a whole, as a share of its entries; and the bytes that all of it takes. */
const partOf = (
  tables: Tables["Service"],
  slot: TableSlot,
  keyspace: number,
  lower: Uint8Array | undefined,
  upper: Uint8Array | undefined,
  covers: ReadonlyArray<Cover>
): { readonly share: number; readonly bytes: number } => {
  const { meta } = slot
  const { largest, smallest } = meta
  const isWhole =
    smallest.keyspace === keyspace &&
    largest.keyspace === keyspace &&
    (lower === undefined || compareBytes(lower, smallest.key) <= 0) &&
    (upper === undefined || compareBytes(upper, largest.key) > 0)
  const shareOf = (from: Uint8Array | undefined, to: Uint8Array | undefined) => tableShare(tables.reader(slot).fences, meta, keyspace, from, to)
  let share = isWhole ? 1 : shareOf(lower, upper)
  let valueBytes = 0
  for (const ref of meta.valueRefs) valueBytes += ref.bytes
  const bytes = share * (meta.fileBytes + valueBytes)
  let through: Uint8Array | undefined
  for (const { end, sequence, start } of covers) {
    // Only where the delete is newer than all of the table is nothing left of what it covers.
    if (sequence < meta.largestSequence) continue
    const from = through !== undefined && compareBytes(start!, through) < 0 ? through : start!
    if (compareBytes(from, end!) >= 0) continue
    share -= shareOf(from, end)
    through = end
  }
  // A difference of sums may leave a trace of what is not there.
  return { share: share < 1e-9 ? 0 : share, bytes }
}

/** Whether a table of the range may hold the key, by its filter; undefined where that is not in memory. */
const keyIsInTables = (
  inside: ReadonlyArray<ReadonlyArray<TableSlot>>,
  readerOf: (slot: TableSlot) => { readonly mayContain: (hash: number) => boolean } | undefined,
  keyspace: number,
  hash: number,
  key: Uint8Array
): boolean | undefined => {
  let unknown = false
  for (const level of inside) {
    for (const slot of level) {
      const { largest, smallest } = slot.meta
      if (smallest.keyspace === keyspace && compareBytes(key, smallest.key) < 0) continue
      if (largest.keyspace === keyspace && compareBytes(key, largest.key) > 0) continue
      const reader = readerOf(slot)
      if (reader === undefined) unknown = true
      else if (reader.mayContain(hash)) return true
    }
  }
  return unknown ? undefined : false
}

/** What the memtables add, and how many keys of tables they overwrite or delete. */
const memoryOf = (
  view: View,
  keyspace: number,
  lower: Uint8Array | undefined,
  upper: Uint8Array | undefined,
  isInTables: (hash: number, key: Uint8Array) => boolean | undefined
): { readonly entries: number; readonly hidden: number; readonly bytes: number } => {
  let entries = 0
  let hidden = 0
  let bytes = 0
  view.memtables.forEach((memtable, index) => {
    if (memtable.isEmpty) return
    const { count, entries: sampled } = memtable.sample(keyspace, lower, upper, sampleMax)
    if (sampled.length === 0) return
    const newer = view.memtables.slice(0, index + 1)
    let live = 0
    let hits = 0
    let known = 0
    let newest = 0
    let sampledBytes = 0
    for (const entry of sampled) {
      sampledBytes += memtable.keyLengthOf(entry) + memtable.valueLengthOf(entry)
      if (!isNewest(newer, view, keyspace, memtable, entry)) continue
      newest++
      if (isLive(newer, view, keyspace, memtable, entry)) live++
      const keyStart = memtable.keyStartOf(entry)
      const isIn = isInTables(memtable.hashOf(entry), memtable.bytes.subarray(keyStart, memtable.valueStartOf(entry)))
      if (isIn === undefined) continue
      known++
      if (isIn) hits++
    }
    const scale = count / sampled.length
    entries += live * scale
    bytes += sampledBytes * scale
    if (known > 0) hidden += (hits / known) * newest * scale
  })
  return { entries, hidden, bytes }
}

/** Whether the entry is what a read at the view finds in the memtables: its last one, and the newer ones. */
const isNewest = (newer: ReadonlyArray<Memtable>, view: View, keyspace: number, memtable: Memtable, entry: number): boolean => {
  const keyStart = memtable.keyStartOf(entry)
  const keyEnd = memtable.valueStartOf(entry)
  const hash = memtable.hashOf(entry)
  for (const candidate of newer) {
    const found = candidate.find(keyspace, hash, memtable.bytes, keyStart, keyEnd, view.sequence)
    if (found !== 0) return candidate === memtable && found === entry
  }
  return false
}

const isLive = (newer: ReadonlyArray<Memtable>, view: View, keyspace: number, memtable: Memtable, entry: number): boolean => {
  if (memtable.kindOf(entry) !== Kind.put) return false
  const expiresAt = memtable.expiresAtOf(entry)
  if (expiresAt !== 0 && expiresAt <= view.timeMs) return false
  const keyStart = memtable.keyStartOf(entry)
  const keyEnd = memtable.valueStartOf(entry)
  const sequence = memtable.sequenceOf(entry)
  return newer.every((candidate) => candidate.coveringTombstone(keyspace, memtable.bytes, keyStart, keyEnd, view.sequence) <= sequence)
}
