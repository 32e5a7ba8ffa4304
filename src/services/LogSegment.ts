import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import type { SegmentHeader } from "../domain/wal/SegmentHeader.ts"

/** A log segment this process writes: it is named in the manifest before its first group. */
export interface LogSegment {
  readonly fileId: number
  readonly handle: FileHandle
  readonly header: SegmentHeader
  /** Where groups start in the file: the length of the header. */
  readonly headerBytes: number
  /** Logical position of the byte at `headerBytes`. Known when the first group is written. */
  basePosition: number
  /** Logical position of the next group. */
  position: number
  /** Sum of the last group written here; before the first one, that of the group before it in the log. */
  lastSum: number
  /** The last sequence in it; 0 while it is empty. */
  lastSequence: number
  /** The first one; 0 while it is empty. */
  firstSequence: number
  /** Engine time of its last commit, in ms; 0 while it is empty. */
  lastCommitMs: number
}

/** A segment that is no longer written, but still there: some of it is not in tables yet, or the change feed may show it. */
export interface RetainedSegment {
  readonly fileId: number
  readonly firstSequence: number
  readonly lastSequence: number
  /** Engine time in ms that no commit in it is later than. */
  readonly lastCommitMs: number
  /** Of the file, to the end of its last group. */
  readonly bytes: number
  /** Sum of its last group. */
  readonly lastSum: number
  /** Logical position of its first group. */
  readonly basePosition: number
}
