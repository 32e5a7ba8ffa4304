import { compareRanges } from "../../domain/keys/compareBytes.ts"
import { Kind } from "../../domain/keys/kinds.ts"
import { Lookup, LookupResult } from "../../domain/table/leaf.ts"
import type { BlockSource } from "../../domain/table/TableReader.ts"
import type { Tables, TableSlot } from "../../services/Tables.ts"
import type { View } from "./View.ts"

/** `missing`: the key has no visible version. `pending`: a block must be brought first. */
export const PointState = { missing: 0, value: 1, pointer: 2, pending: 3 } as const
export type PointState = (typeof PointState)[keyof typeof PointState]

const noBytes = new Uint8Array(0)

/** Leaves for lookups, from the cache or by a synchronous read; one that may not read answers "not here". */
class LeafSource implements BlockSource {
  bytes: Uint8Array = noBytes
  start = 0
  slot: TableSlot | undefined = undefined
  mayBlock = true
  /** Blocks brought for this lookup, for when the cache has no room for them. */
  brought: ReadonlyMap<string, Uint8Array> | undefined = undefined
  private readonly tables: Tables["Service"]

  constructor(tables: Tables["Service"]) {
    this.tables = tables
  }

  fetch(tableId: number, leaf: number): boolean {
    if (this.tables.findLeaf(this.slot!, leaf, this.mayBlock)) {
      const { found } = this.tables
      this.bytes = found.bytes
      this.start = found.start
      return true
    }
    const block = this.brought?.get(`${tableId}/${leaf}`)
    if (block === undefined) return false
    this.bytes = block
    this.start = 0
    return true
  }
}

/**
 * Finds the newest visible version of a key, newest source first: memtables, level 0, deeper levels. One object serves all lookups of a database: its fields describe the
 * last one, until the next. Throws what reading throws.
 */
export class PointReader {
  /** At `value` and `pointer`: the value (or the encoded pointer) is `bytes[start, end)`, valid within this synchronous step. */
  bytes: Uint8Array = noBytes
  start = 0
  end = 0
  sequence = 0
  expiresAt = 0
  /** At `pending`: the leaf that is missing. */
  slot: TableSlot | undefined = undefined
  leaf = -1

  private readonly tables: Tables["Service"]
  private readonly source: LeafSource
  private readonly result = new LookupResult()

  constructor(tables: Tables["Service"]) {
    this.tables = tables
    this.source = new LeafSource(tables)
  }

  lookup(
    view: View,
    keyspace: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    mayBlock: boolean,
    brought: ReadonlyMap<string, Uint8Array> | undefined
  ): PointState {
    const snapshot = view.sequence
    const memtables = view.memtables
    // The newest range tombstone over the key in the sources passed so far: it hides every older version.
    let tombstone = 0
    for (let i = 0; i < memtables.length; i++) {
      const memtable = memtables[i]!
      if (memtable.tombstoneCount > 0) tombstone = Math.max(tombstone, memtable.coveringTombstone(keyspace, key, keyStart, keyEnd, snapshot))
      const entry = memtable.find(keyspace, hash, key, keyStart, keyEnd, snapshot)
      if (entry === 0) continue
      const sequence = memtable.sequenceOf(entry)
      const expiresAt = memtable.expiresAtOf(entry)
      if (memtable.kindOf(entry) !== Kind.put || sequence < tombstone || (expiresAt !== 0 && expiresAt <= view.timeMs)) return PointState.missing
      this.bytes = memtable.bytes
      this.start = memtable.valueStartOf(entry)
      this.end = memtable.valueEndOf(entry)
      this.sequence = sequence
      this.expiresAt = expiresAt
      return PointState.value
    }
    const { levels } = view.version
    const { source } = this
    source.mayBlock = mayBlock
    source.brought = brought
    const result = this.result
    for (let level = 0; level < levels.length; level++) {
      const slots = levels[level]!
      // Level 0 tables overlap and are all asked; deeper down one table holds the key, if any does.
      let from = 0
      let to = slots.length
      if (level > 0) {
        from = firstNotBefore(slots, keyspace, key, keyStart, keyEnd)
        // The key may lie in a gap between tables: their bounds are at hand, where a filter's answer costs a walk to memory.
        if (from === to || isBefore(slots[from]!, keyspace, key, keyStart, keyEnd)) continue
        to = from + 1
      }
      for (let i = from; i < to; i++) {
        const slot = slots[i]!
        // None is opened for a key beyond its bounds: one that is damaged takes no other keys with it.
        if (slot.reader === undefined && isOutside(slot, keyspace, key, keyStart, keyEnd)) continue
        const reader = slot.reader ?? this.tables.reader(slot)
        slot.touched = true
        if (!reader.tombstones.isEmpty) tombstone = Math.max(tombstone, reader.coveringTombstone(keyspace, key, keyStart, keyEnd, snapshot))
        source.slot = slot
        const outcome = reader.get(keyspace, hash, key, keyStart, keyEnd, snapshot, source, result)
        if (outcome === Lookup.absent) continue
        if (outcome === Lookup.needsBlock) {
          this.slot = slot
          this.leaf = result.leaf
          return PointState.pending
        }
        if (result.kind !== Kind.put || result.sequence < tombstone || (result.expiresAt !== 0 && result.expiresAt <= view.timeMs))
          return PointState.missing
        this.bytes = result.bytes
        this.start = result.valueStart
        this.end = result.valueEnd
        this.sequence = result.sequence
        this.expiresAt = result.expiresAt
        return result.isPointer ? PointState.pointer : PointState.value
      }
    }
    return PointState.missing
  }
}

/** Whether the key lies before everything in the table. */
const isBefore = (slot: TableSlot, keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number): boolean => {
  const { smallest } = slot.meta
  return (keyspace - smallest.keyspace || compareRanges(key, keyStart, keyEnd, smallest.key, 0, smallest.key.length)) < 0
}

/** Whether the table's bounds, which cover its range tombstones too, leave the key out. */
const isOutside = (slot: TableSlot, keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number): boolean => {
  const { largest } = slot.meta
  if (isBefore(slot, keyspace, key, keyStart, keyEnd)) return true
  return (keyspace - largest.keyspace || compareRanges(key, keyStart, keyEnd, largest.key, 0, largest.key.length)) > 0
}

/** The first table of a level whose last key is not before the key. */
const firstNotBefore = (slots: ReadonlyArray<TableSlot>, keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number): number => {
  let low = 0
  let high = slots.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const { largest } = slots[middle]!.meta
    const d = largest.keyspace - keyspace || compareRanges(largest.key, 0, largest.key.length, key, keyStart, keyEnd)
    if (d < 0) low = middle + 1
    else high = middle
  }
  return low
}
