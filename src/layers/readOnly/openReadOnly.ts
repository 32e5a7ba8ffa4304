import { currentFileName } from "../../domain/manifest/fileNames.ts"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { Memtable } from "../../domain/memtable/Memtable.ts"
import { fittingState, readCurrentManifest } from "../recovery/readState.ts"
import { replayed } from "../recovery/recover.ts"
import { Replay } from "../recovery/Replay.ts"
import { scanLog } from "../recovery/scanLog.ts"

/** One moment of a database that another process may be writing. */
export interface ReadOnlyState {
  readonly state: ManifestState
  readonly manifestId: number
  /** Newest first. */
  readonly memtables: ReadonlyArray<Memtable>
  readonly sequence: number
  /** Of the log: the segments with something that is not in tables, oldest first, each as far as it belongs to this moment. */
  readonly segments: ReadonlyArray<{ readonly fileId: number; readonly lengthBytes: number }>
  readonly replayedTransactions: number
  readonly replayedBytes: number
}

/** There is no database in the directory. */
export class NoDatabase extends Error {}

/** What it means that a database which was there is not: its first file is missing. */
export const goneDatabase = (directory: string): Damage => new Damage(`${directory}/${currentFileName}`, 0, "Missing", "it names the manifest")

/** Whether both are states of one database and one lineage, and not of a copy, or of another one that was put in its place. */
export const isSameDatabase = (a: ManifestState, b: ManifestState): boolean =>
  compareBytes(a.uuid, b.uuid) === 0 && compareBytes(a.lineageId, b.lineageId) === 0

/** How often an open starts again because the writer moved on between two of its steps. Each takes milliseconds; a writer rolls over far more rarely. */
const attemptsMax = 100

/**
 * Reads CURRENT, the manifest and the log, and takes the files of that version, without a lock and without writing anything.
 *
 * The writer goes on meanwhile: a file that is gone (it was replaced, and its edit is durable) means that this view is old, so the open starts again. So does damage, once: bytes
 * that are being written may look like it, and only the same damage in the same place, read twice, is believed.
 *
 * `take` opens every file of the version; it throws `IoFailure` ENOENT where one is gone. `onReplay` hears how much of the log is replayed.
 */
export const openReadOnly = (
  disk: SyncDisk,
  directory: string,
  memtableBytes: number,
  take: (state: ManifestState) => void,
  onReplay?: (replayedBytes: number) => void
): ReadOnlyState => {
  let believed: string | undefined
  let last: unknown
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    try {
      const content = readCurrentManifest(disk, directory, "read")
      if (content === undefined) throw new NoDatabase(directory)
      const { state } = content
      take(state)
      const replay = new Replay(memtableBytes, state.hashSeed, state.flushedThrough.sequence)
      const log = fittingState(directory, content, () => scanLog(disk, directory, state, replayed(replay, onReplay)))
      let sequence = state.flushedThrough.sequence
      for (const { handle, scan } of log.segments) {
        handle.close()
        if (scan.nextSequence !== undefined) sequence = Math.max(sequence, scan.nextSequence - 1)
      }
      return {
        state,
        manifestId: content.fileId,
        memtables: replay.memtables(),
        sequence: Math.max(sequence, replay.lastSequence),
        segments: log.segments.map(({ meta, scan }) => ({ fileId: meta.fileId, lengthBytes: scan.endOffset })),
        replayedTransactions: replay.transactions,
        replayedBytes: replay.bytes
      }
    } catch (cause) {
      last = cause
      if (cause instanceof IoFailure && cause.code === "ENOENT") continue
      if (cause instanceof Damage) {
        const seen = `${cause.file} ${cause.offsetBytes} ${cause.reason}`
        // A missing file is what a moving writer looks like; it is believed only when it stays so.
        if (cause.reason === "Missing" || seen !== believed) {
          believed = seen
          continue
        }
      }
      throw cause
    }
  }
  // Every time it was named, and every time it was not there.
  throw last instanceof IoFailure ? new Damage(last.path, 0, "Missing", "the manifest names this file") : last
}
