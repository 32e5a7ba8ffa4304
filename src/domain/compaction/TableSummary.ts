import type { DeletedRange } from "./deletedRanges.ts"
import type { KeySpan } from "./KeySpan.ts"

/** How much of a value file a table refers to. */
export interface ValueRef {
  readonly fileId: number
  /** Sum of the stored lengths of its pointers into that file. */
  readonly bytes: number
}

/** What the picker needs to know of a table; the manifest's record has at least this. The span covers entries and range tombstones. */
export interface TableSummary extends KeySpan {
  readonly fileId: number
  readonly fileBytes: number
  readonly largestSequence: number
  /** Point entries, deletes included. */
  readonly entryCount: number
  readonly deleteCount: number
  readonly rangeTombstoneCount: number
  /** The widest ranges its range tombstones cover; absent where there is none. */
  readonly deletedRanges?: ReadonlyArray<DeletedRange>
  readonly valueRefs: ReadonlyArray<ValueRef>
}

/** What the picker needs to know of a value file. */
export interface ValueFileSummary {
  readonly fileId: number
  readonly fileBytes: number
  /** Stored bytes of all values in it, live or not. What is live is measured against this, not the file: of a file with long keys the values may be the smaller part. */
  readonly valueBytes: number
}
