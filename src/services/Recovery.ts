/**
 * What opening the directory found and made: the lock is held, the manifest of the new epoch is the current one, the log is replayed into memtables, and a fresh segment is
 * ready for writing. The other subsystems start from here; closing it, last of all, gives the lock back.
 */
import * as Context from "effect/Context"
import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import type { Memtable } from "../domain/memtable/Memtable.ts"
import type { GroupPositions } from "../domain/wal/GroupPositions.ts"
import type { LogSegment, RetainedSegment } from "./LogSegment.ts"

export interface RecoveryReport {
  readonly replayedTransactions: number
  readonly replayedBytes: number
  /** Bytes of the torn tail that was cut, and complete groups found behind the cut: in "buffered" mode a power cut may keep a later group and lose an earlier one. */
  readonly cutBytes: number
  readonly laterGroupsCut: number
  readonly durationMs: number
}

export interface OpenManifest {
  readonly handle: FileHandle
  readonly fileId: number
  readonly state: ManifestState
  readonly lengthBytes: number
  readonly lastSum: number
  /** Inode of `CURRENT` as this open wrote it: every writable open replaces the file. */
  readonly currentInode: number
}

export class Recovery extends Context.Service<
  Recovery,
  {
    readonly directory: string
    readonly manifest: OpenManifest
    readonly segment: LogSegment
    readonly retainedSegments: ReadonlyArray<RetainedSegment>
    /** Newest first; the first one takes the writes. */
    readonly memtables: ReadonlyArray<Memtable>
    /** Everything up to here is visible, and durable. */
    readonly visibleSequence: number
    readonly nextSequence: number
    /** Where the groups of the replayed transactions end in the log. */
    readonly positions: GroupPositions
    readonly report: RecoveryReport
  }
>()("lightning-db/services/Recovery") {}
