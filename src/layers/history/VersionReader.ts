import * as Effect from "effect/Effect"
import { type BlockNeed, CursorState, type EntryCursor } from "../../domain/EntryCursor.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import type { Damage, IoFailure } from "../../domain/failures.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { LevelCursor } from "../../domain/merge/LevelCursor.ts"
import { mergeCursors } from "../../domain/merge/MergeCursor.ts"
import type { FragmentedTombstones } from "../../domain/table/RangeTombstones.ts"
import { TableCursor } from "../../domain/table/TableCursor.ts"
import type { Tables, TableSlot } from "../../services/Tables.ts"
import type { View } from "../reading/View.ts"

const mayHold = ({ meta: { largest, smallest } }: TableSlot, keyspace: number, lower: Uint8Array, upper: Uint8Array): boolean => {
  if (smallest.keyspace > keyspace || largest.keyspace < keyspace) return false
  if (smallest.keyspace === keyspace && compareBytes(smallest.key, upper) >= 0) return false
  return largest.keyspace !== keyspace || compareBytes(largest.key, lower) >= 0
}

/**
 * All versions of the keys of a range of one keyspace, from every source of a view: also those that a reader of the present does not see. The view's version must stay pinned
 * while it is used. Move `cursor`, then `settle`.
 */
export class VersionReader {
  /** Whether a block that cannot be read just now may be `pending`, although blocking is allowed: who brings it can wait for it. */
  mayWait = false
  readonly cursor: EntryCursor
  /** Range tombstones of all sources that may touch the range. */
  readonly tombstones: ReadonlyArray<FragmentedTombstones>
  /** Set when `settle(false)` returned "pending": the block to bring, for `supply`. */
  pending: { readonly slot: TableSlot; readonly need: BlockNeed } | undefined = undefined
  private readonly tables: Tables["Service"]
  private readonly slots = new Map<number, TableSlot>()

  /** From `lower` (inclusive) to `upper` (exclusive). */
  constructor(tables: Tables["Service"], view: View, keyspace: number, lower: Uint8Array, upper: Uint8Array) {
    this.tables = tables
    const children: Array<EntryCursor> = []
    const tombstones: Array<FragmentedTombstones> = []
    for (const memtable of view.memtables) {
      if (memtable.isEmpty) continue
      children.push(memtable.cursor())
      tombstones.push(...memtable.tombstones())
    }
    const open = (slot: TableSlot): EntryCursor => new TableCursor(tables.reader(slot))
    view.version.levels.forEach((level, index) => {
      const inside = level.filter((slot) => mayHold(slot, keyspace, lower, upper))
      for (const slot of inside) {
        this.slots.set(slot.meta.fileId, slot)
        if (slot.meta.rangeTombstoneCount > 0) tombstones.push(tables.reader(slot).tombstones)
      }
      if (index === 0 || inside.length === 1) children.push(...inside.map(open))
      else if (inside.length > 1)
        children.push(
          new LevelCursor(
            inside.map((slot) => slot.meta),
            (meta) => open(this.slots.get(meta.fileId)!)
          )
        )
    })
    this.cursor = mergeCursors(children)
    this.tombstones = tombstones.filter((some) => !some.isEmpty)
  }

  /** Ends a move: what blocks it needs are supplied from the cache or, with `mayBlock`, read. Throws `Damage`, `IoFailure`. */
  settle(mayBlock: boolean): "entry" | "end" | "pending" {
    const { cursor, tables } = this
    while (cursor.state === CursorState.needsBlock) {
      const need = cursor.need!
      const slot = this.slots.get(need.tableId)!
      const block = tables.copyLeaf(need.tableId, need.leaf) ?? (mayBlock ? this.read(slot, need.leaf) : undefined)
      if (block === undefined) {
        this.pending = { slot, need }
        return "pending"
      }
      cursor.supply(block)
    }
    return cursor.state === CursorState.atEntry ? "entry" : "end"
  }

  private read(slot: TableSlot, leaf: number): Uint8Array | undefined {
    try {
      return this.tables.readLeaves(slot, leaf, leaf, true)[0]
    } catch (cause) {
      if (this.mayWait && mayPass(cause)) return undefined
      throw cause
    }
  }

  /** Brings what `settle` was stopped by, through the pool, into the cursor: settle again. */
  bring(): Effect.Effect<void, Damage | IoFailure> {
    const { need, slot } = this.pending!
    return Effect.map(this.tables.retried(this.tables.readLeafPooled(slot, need.leaf, true)), (block) => {
      this.pending = undefined
      this.cursor.supply(block)
    })
  }
}
