/**
 * How every source of entries (memtable, table, merge) is walked, in internal order (`keys/compareInternal.ts`).
 *
 * A cursor never does I/O. After a move, `state` is `atEntry`, `atEnd`, or `needsBlock`: then `need` names the block, the driver obtains it in whatever way suits it
 * (cache, synchronous read, pooled read, worker), calls `supply`, and looks at `state` again. Moves are complete when `state` is no longer `needsBlock`.
 *
 * The fields below `state` describe the current entry and are valid only at `atEntry`, until the next move. Bytes are given as (array, start, end) so that no
 * object is made per entry; they are views into a block or an arena: copy before handing them to a caller.
 */
export const CursorState = { atEnd: 0, atEntry: 1, needsBlock: 2 } as const
export type CursorState = (typeof CursorState)[keyof typeof CursorState]

export interface EntryCursor {
  state: CursorState
  /** The block that is missing, at `needsBlock`. */
  need: BlockNeed | undefined

  keyspace: number
  keyBytes: Uint8Array
  keyStart: number
  keyEnd: number
  sequence: number
  /** `Kind.put`, `Kind.delete` or `Kind.expire`; range tombstones are kept aside and never appear here. */
  kind: number
  /** Engine time in ms; 0 when the entry does not expire. */
  expiresAt: number
  /** When true, the value range holds an encoded pointer into a value file (`values/ValuePointer.ts`). */
  isPointer: boolean
  valueBytes: Uint8Array
  valueStart: number
  valueEnd: number

  /** To the first entry of all. */
  seekFirst(): void
  /** To the last entry of all. */
  seekLast(): void
  /** To the first entry at or after (keyspace, key, sequence) in internal order; `sequence` = sequenceMax finds the newest version of the key. */
  seek(keyspace: number, key: Uint8Array, sequence: number): void
  /** To the last entry strictly before (keyspace, key, sequence) in internal order. */
  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void
  next(): void
  prev(): void
  /** Answers `need`: the verified, decompressed content of that block. */
  supply(block: Uint8Array): void
}

/** A block of a table that a cursor waits for. `tableId` is the file id; the pointer fields say where it lies and how it is verified. */
export interface BlockNeed {
  readonly tableId: number
  /** Number of the block within its table: with the table's id, the key of caches. */
  readonly leaf: number
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
  readonly codec: number
  readonly sum: number
}

/** A fragment of range tombstones: every version of the keys in [start, end) with a sequence strictly below one of `sequences` is deleted as of it. */
export interface RangeTombstone {
  readonly keyspace: number
  readonly start: Uint8Array
  /** Exclusive. */
  readonly end: Uint8Array
  readonly sequence: number
}
