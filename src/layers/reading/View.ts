import type { Memtable } from "../../domain/memtable/Memtable.ts"
import type { Version } from "../../services/Tables.ts"

/** What a read reads from: one moment of the memtables and tables, and the snapshot within it. */
export interface View {
  /** Newest first. */
  readonly memtables: ReadonlyArray<Memtable>
  readonly version: Version
  readonly sequence: number
  /** Engine time of the snapshot, in ms: what expires at or before it is not seen. */
  readonly timeMs: number
}
