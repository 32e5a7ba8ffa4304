import { CursorState } from "../EntryCursor.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import { compareRanges } from "../keys/compareBytes.ts"
import { CurrentEntry } from "./CurrentEntry.ts"

/** Bounds of a table, inclusive; see `compaction/KeySpan.ts`. */
interface Span {
  readonly smallest: { readonly keyspace: number; readonly key: Uint8Array }
  readonly largest: { readonly keyspace: number; readonly key: Uint8Array }
}

/**
 * A level below 0, or any run of tables in key order that do not overlap, as one source: a merge over a level costs one child, not one per table, and only the tables that
 * are walked over are opened.
 *
 * A table's bounds cover its range tombstones too, so a table may hold no entry where its bounds say so: the cursor then goes on into the neighbour.
 */
export class LevelCursor<T extends Span> extends CurrentEntry implements EntryCursor {
  readonly #tables: ReadonlyArray<T>
  readonly #open: (table: T) => EntryCursor
  #at = 0
  #child: EntryCursor | undefined = undefined
  #step: 1 | -1 = 1

  /** `open` may do I/O and throw; it is called for each table entered, again each time. */
  constructor(tables: ReadonlyArray<T>, open: (table: T) => EntryCursor) {
    super()
    this.#tables = tables
    this.#open = open
  }

  seekFirst(): void {
    this.#step = 1
    if (this.#enter(0)) this.#child!.seekFirst()
    this.#settle()
  }

  seekLast(): void {
    this.#step = -1
    if (this.#enter(this.#tables.length - 1)) this.#child!.seekLast()
    this.#settle()
  }

  seek(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#step = 1
    // The first table that ends at or after the key.
    let low = 0
    let high = this.#tables.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const largest = this.#tables[middle]!.largest
      if ((largest.keyspace - keyspace || compareRanges(largest.key, 0, largest.key.length, key, 0, key.length)) < 0) low = middle + 1
      else high = middle
    }
    if (this.#enter(low)) this.#child!.seek(keyspace, key, sequence)
    this.#settle()
  }

  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#step = -1
    // The last table that starts at or before the key.
    let low = 0
    let high = this.#tables.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const smallest = this.#tables[middle]!.smallest
      if ((smallest.keyspace - keyspace || compareRanges(smallest.key, 0, smallest.key.length, key, 0, key.length)) <= 0) low = middle + 1
      else high = middle
    }
    if (this.#enter(low - 1)) this.#child!.seekBefore(keyspace, key, sequence)
    this.#settle()
  }

  next(): void {
    this.#step = 1
    this.#child!.next()
    this.#settle()
  }

  prev(): void {
    this.#step = -1
    this.#child!.prev()
    this.#settle()
  }

  supply(block: Uint8Array): void {
    this.#child!.supply(block)
    this.#settle()
  }

  #enter(at: number): boolean {
    const table = this.#tables[at]
    if (table === undefined) this.#child = undefined
    else if (this.#child === undefined || at !== this.#at) this.#child = this.#open(table)
    this.#at = at
    return table !== undefined
  }

  #settle(): void {
    while (this.#child !== undefined && this.#child.state === CursorState.atEnd) {
      if (!this.#enter(this.#at + this.#step)) break
      if (this.#step > 0) this.#child.seekFirst()
      else this.#child.seekLast()
    }
    this.show(this.#child)
  }
}
