import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { ReadParts } from "../reading/makeReads.ts"
import type { LockTable } from "./LockTable.ts"

/** What is counted over all transactions of a database. */
export interface TransactionCounts {
  open: number
  committed: number
  readOnly: number
  rolledBack: number
  conflicts: number
  retries: number
  abandoned: number
}

/** What all transactions of a database share. */
export interface TransactionShared {
  readonly reads: ReadParts
  readonly options: ResolvedOptions
  readonly clock: EngineClock["Service"]
  readonly catalog: Catalog["Service"]
  readonly memtables: Memtables["Service"]
  readonly transactions: TransactionManager["Service"]
  readonly locks: LockTable
  readonly counts: TransactionCounts
  /** Throws why nothing may be done any more. */
  readonly checkOpen: () => void
}
