import type { RetainedSegment } from "./LogSegment.ts"

/** The segment that is written, as far as it is visible. */
export interface LogTip {
  readonly fileId: number
  /** 0 while no group is in it. */
  readonly firstSequence: number
  readonly basePosition: number
  /** End of the last visible group in the file, and its sum; before the first one, where groups start and the sum of the group before in the log. */
  readonly endOffset: number
  readonly lastSum: number
}

/** Somebody reads the log from here on. */
export interface LogPin {
  /** The next sequence that is wanted: the log is kept from there. Its owner moves it forward. */
  next: number
  readonly release: () => void
}

/** The log as the change feed reads it, and what is kept of it. Synchronous: what it says holds for this step. */
export interface LogView {
  /** Those that are no longer written, oldest first: their bytes do not change any more. */
  readonly segments: () => ReadonlyArray<RetainedSegment>
  readonly tip: () => LogTip
  /** Keeps the log from `next` on, within `retention.cursorBytes`. `onDropped` runs once, when the oldest segment it needs goes all the same. */
  readonly pin: (next: number, onDropped: () => void) => LogPin
  /** Called after each group that became visible, and when readers have to look around for another reason. Returns what ends that. */
  readonly onMoved: (listener: () => void) => () => void
  readonly moved: () => void
  /**
   * `floor` tells the lowest sequence that a durable cursor needs (Infinity: there is none). Nothing is dropped before this was called: after an open the cursors are not known
   * yet. `onLess` runs when there may be something to drop.
   */
  readonly keepFor: (floor: () => number, onLess: () => void) => void
  /** A pin has moved on, or a segment is sealed: there may be something to drop. */
  readonly lessNeeded: () => void
  /**
   * The segments that may go: in tables up to `flushed`, out of `retention.log`, and neither pinned nor needed by a cursor (or beyond what those may keep). Always the oldest.
   */
  readonly droppable: (flushed: number, nowMs: number) => ReadonlyArray<number>
  /** The manifest names them no more. */
  readonly forget: (fileIds: ReadonlyArray<number>) => void
}
