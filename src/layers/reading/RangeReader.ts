import type * as Effect from "effect/Effect"
import { Damage, type IoFailure } from "../../domain/failures.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import { CursorState, type BlockNeed, type EntryCursor } from "../../domain/EntryCursor.ts"
import type { KeyBounds } from "../../domain/keys/KeyBounds.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import type { Slab } from "../../domain/bytes/Slab.ts"
import { LevelCursor } from "../../domain/merge/LevelCursor.ts"
import { mergeCursors } from "../../domain/merge/MergeCursor.ts"
import { VisibleCursor } from "../../domain/merge/VisibleCursor.ts"
import type { FragmentedTombstones } from "../../domain/table/RangeTombstones.ts"
import { TableCursor } from "../../domain/table/TableCursor.ts"
import type { Tables, TableSlot } from "../../services/Tables.ts"
import type { View } from "./View.ts"

const mayHold = (slot: TableSlot, keyspace: number, lower: Uint8Array | undefined, upper: Uint8Array | undefined): boolean => {
  const { largest, smallest } = slot.meta
  if (smallest.keyspace > keyspace || largest.keyspace < keyspace) return false
  if (upper !== undefined && smallest.keyspace === keyspace && compareBytes(smallest.key, upper) >= 0) return false
  return !(lower !== undefined && largest.keyspace === keyspace && compareBytes(largest.key, lower) < 0)
}

const noBytes = new Uint8Array(0)
const keptBlocks = 16
/** Blocks read together at most. */
const runBlocksMax = 32

/** What a reader that may not block was stopped by. */
export interface PendingBlock {
  readonly slot: TableSlot
  readonly need: BlockNeed
}

/**
 * Walks the visible entries of a range of one keyspace in a view. The view's version must stay pinned while it is used. Never blocks unless told to: `advance(false)` stops
 * at a block that is not cached, for the caller to bring through the pool.
 */
export class RangeReader {
  /** Set when `advance(false)` returned "pending". */
  pending: PendingBlock | undefined = undefined
  /** Whether a block that cannot be read just now may be `pending`, although blocking is allowed: who brings it can wait for it. */
  mayWait = false
  private blocksRead = 0
  /** Per table, the blocks read last. */
  private readonly runs = new Map<number, { readonly first: number; readonly blocks: ReadonlyArray<Uint8Array> }>()
  private readonly reverse: boolean
  private readonly keysOnly: boolean
  private readonly tables: Tables["Service"]
  private readonly slots: Map<number, TableSlot>
  private readonly cursor: VisibleCursor

  constructor(tables: Tables["Service"], view: View, keyspace: number, bounds: KeyBounds) {
    this.tables = tables
    this.slots = new Map()
    this.reverse = bounds.reverse
    this.keysOnly = bounds.keysOnly === true
    const children: Array<EntryCursor> = []
    const tombstones: Array<FragmentedTombstones> = []
    for (const memtable of view.memtables) {
      if (memtable.isEmpty) continue
      children.push(memtable.cursor())
      tombstones.push(...memtable.tombstones())
    }
    view.version.levels.forEach((level, index) => {
      const inside = level.filter((slot) => mayHold(slot, keyspace, bounds.lower, bounds.upper))
      for (const slot of inside) {
        this.slots.set(slot.meta.fileId, slot)
        if (slot.meta.rangeTombstoneCount > 0) tombstones.push(tables.reader(slot).tombstones)
      }
      if (index === 0 || inside.length === 1) for (const slot of inside) children.push(this.open(slot))
      else if (inside.length > 1)
        children.push(
          new LevelCursor(
            inside.map((slot) => slot.meta),
            (meta) => this.open(this.slots.get(meta.fileId)!)
          )
        )
    })
    this.cursor = new VisibleCursor(mergeCursors(children), {
      keyspace,
      bounds: { gte: bounds.lower, lt: bounds.upper },
      sequence: view.sequence,
      timeMs: view.timeMs,
      reverse: bounds.reverse,
      limit: bounds.limit,
      tombstones
    })
  }

  /** To the next visible entry. Throws `Damage`, `IoFailure`. */
  advance(mayBlock: boolean): "entry" | "end" | "pending" {
    return this.settle(this.cursor.advance(), mayBlock)
  }

  /** Answers `pending`, and goes on with the move that it interrupted. */
  supply(block: Uint8Array, mayBlock: boolean): "entry" | "end" | "pending" {
    this.pending = undefined
    return this.settle(this.cursor.supply(block), mayBlock)
  }

  /** The current key, copied: it belongs to the caller. */
  key(slab: Slab): Uint8Array {
    return slab.copy(this.cursor.keyBytes, this.cursor.keyStart, this.cursor.keyEnd)
  }

  /** Engine time in ms; 0 where the current entry does not expire. */
  get expiresAt(): number {
    return this.cursor.expiresAt
  }

  /** Whether the value has to be read from a value file. */
  get isPointer(): boolean {
    return this.cursor.isPointer && !this.keysOnly
  }

  /** The current value, copied; one that stands in a value file is read from there. Empty where only keys are wanted. Throws. */
  value(slab: Slab): Uint8Array {
    if (this.keysOnly) return noBytes
    const { cursor } = this
    if (cursor.isPointer) return this.tables.readValue(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
    return slab.copy(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
  }

  /** The value of an entry that is a pointer, through the pool. */
  valuePooled(): Effect.Effect<Uint8Array, IoFailure | Damage> {
    const { cursor } = this
    return this.tables.readValuePooled(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
  }

  /** The first blocks of a scan are what short ranges come back to; the rest of a long one would only push out what is warm. */
  keepsBlock(): boolean {
    return this.blocksRead++ < keptBlocks
  }

  /** A block of its own, which nothing changes: cursors hold it over their moves. Blocks that follow one another are read together, twice as many each time. */
  private block(slot: TableSlot, leaf: number, mayBlock: boolean): Uint8Array | undefined {
    const id = slot.meta.fileId
    const run = this.runs.get(id)
    if (run !== undefined && leaf >= run.first && leaf < run.first + run.blocks.length) return run.blocks[leaf - run.first]
    const cached = this.tables.copyLeaf(id, leaf)
    if (cached !== undefined || !mayBlock) return cached
    const follows = run !== undefined && leaf === (this.reverse ? run.first - 1 : run.first + run.blocks.length)
    const count = follows ? Math.min(run.blocks.length * 2, runBlocksMax) : 1
    const first = this.reverse ? Math.max(0, leaf - count + 1) : leaf
    const last = this.reverse ? leaf : Math.min(leaf + count, this.tables.reader(slot).leafCount) - 1
    const keeps = this.keepsBlock()
    try {
      return this.read(slot, leaf, first, last, keeps)
    } catch (cause) {
      if (this.mayWait && mayPass(cause)) return undefined
      // Of blocks that are read ahead, one may be damaged that is never needed.
      if (!(cause instanceof Damage) || first === last) throw cause
    }
    return this.read(slot, leaf, leaf, leaf, keeps)
  }

  /** The block of `leaf`, out of those from `first` to `last`, which are read together. */
  private read(slot: TableSlot, leaf: number, first: number, last: number, keeps: boolean): Uint8Array | undefined {
    const blocks = this.tables.readLeaves(slot, first, last, keeps)
    this.runs.set(slot.meta.fileId, { first, blocks })
    return blocks[leaf - first]
  }

  private open(slot: TableSlot): EntryCursor {
    return new TableCursor(this.tables.reader(slot))
  }

  private settle(first: CursorState, mayBlock: boolean): "entry" | "end" | "pending" {
    let state = first
    while (state === CursorState.needsBlock) {
      const need = this.cursor.need!
      const slot = this.slots.get(need.tableId)!
      const block = this.block(slot, need.leaf, mayBlock)
      if (block === undefined) {
        this.pending = { slot, need }
        return "pending"
      }
      state = this.cursor.supply(block)
    }
    return state === CursorState.atEntry ? "entry" : "end"
  }
}
