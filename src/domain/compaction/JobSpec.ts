import { defaultTableBlockBytes } from "../table/TableBuilder.ts"
import type { TableMeta, ValueFileMeta } from "../manifest/TableMeta.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import type { KeyRange, KeySpan } from "./KeySpan.ts"
import type { Horizon } from "./stripes.ts"
import type { ValueFileSummary } from "./TableSummary.ts"

/*
 * What a flush or compaction is asked to do. A spec is plain data (it is posted to a worker thread as it is); the functions it needs come as `JobTools`.
 */

export interface OutputPolicy {
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  /** Seed of `keyHash`, from the manifest. */
  readonly hashSeed: number
  /** `CodecId` of table blocks and values. */
  readonly codec: number
  /** Target of a leaf before compression. */
  readonly blockBytes: number
  /** Below level 0: a table is ended at the first new key beyond it. */
  readonly tableBytesMax: number
  /** Below level 0: a table is ended before it overlaps more bytes of the next level. */
  readonly grandparentBytesMax: number
  /** A flush puts values of at least this many bytes into a value file. */
  readonly valueThresholdBytes: number
  readonly valueFileBytesMax: number
  /** A flush writes one table per keyspace as long as there are no more than this many keyspaces, else one for all of them. */
  readonly flushTablesMax: number
  readonly readAheadBytes: number
}

export const defaultOutputPolicy: Omit<OutputPolicy, "uuid" | "hashSeed" | "codec"> = {
  blockBytes: defaultTableBlockBytes,
  tableBytesMax: 16 * 1024 * 1024,
  grandparentBytesMax: 160 * 1024 * 1024,
  valueThresholdBytes: 1024,
  valueFileBytesMax: 256 * 1024 * 1024,
  flushTablesMax: 4,
  readAheadBytes: 256 * 1024
}

interface JobSpec {
  /** Live snapshots ascending, ending with the visible sequence when the job was built. */
  readonly snapshots: ReadonlyArray<number>
  readonly horizons: ReadonlyArray<Horizon>
  /** Engine time. */
  readonly nowMs: number
  /** File ids for the outputs, in the order of use; the job fails when it needs more. */
  readonly outputIds: ReadonlyArray<number>
  readonly policy: OutputPolicy
}

export interface FlushSpec extends JobSpec {
  /** The buffers of frozen memtables, newest first. */
  readonly memtables: ReadonlyArray<SharedArrayBuffer>
}

export interface CompactionSpec extends JobSpec {
  /** By level, shallow first; level 0 newest first, deeper ones in key order (as `MergePlan.inputs`). */
  readonly inputs: ReadonlyArray<{ readonly level: number; readonly tables: ReadonlyArray<TableMeta> }>
  readonly targetLevel: number
  /** Only this part of the inputs: one of several jobs over the same plan (`splitMerge`). */
  readonly range?: KeyRange | undefined
  /** What lies beneath the target level. */
  readonly deeper: ReadonlyArray<KeySpan>
  readonly grandparents: ReadonlyArray<KeySpan & { readonly fileBytes: number }>
  readonly rewriteValueFiles: ReadonlyArray<ValueFileSummary>
  /** Tables that were dropped and whose files are still there: those an input had replaced are listed as replaced by the outputs too. */
  readonly lingering: ReadonlyArray<number>
}

export interface JobTools {
  readonly crc32: Crc32
  readonly codecs: Codecs
}

export interface JobStats {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly entriesRead: number
  readonly entriesWritten: number
  readonly sequencesElided: number
  /** Values copied from one value file to another. */
  readonly valuesMoved: number
}

/** All outputs are written and datasynced when a job returns this; nothing names them yet. */
export interface JobResult {
  /** At the target level, in key order; a flush: level 0, all of the same age. */
  readonly tables: ReadonlyArray<TableMeta>
  readonly valueFiles: ReadonlyArray<ValueFileMeta>
  readonly stats: JobStats
}
