import type { DamageReason } from "../failures.ts"
import type { Loss } from "./Loss.ts"

/** What was found, what could be done about it, and what is lost: nothing else is. */
export interface SalvageReport {
  /** An open without `salvage` accepts it, every byte is what was written, and nothing is lost. */
  readonly healthy: boolean
  /** Everything up to this sequence is there, but what `losses` names. */
  readonly sequence: number
  /** One for each damaged place; several places of one run of blocks count as one. */
  readonly losses: ReadonlyArray<Loss>
  /** Committed transactions that can be read and are left out, because earlier ones are missing. */
  readonly laterTransactions: number
  /** What was read to find out. */
  readonly read: { readonly tables: number; readonly valueFiles: number; readonly logSegments: number; readonly bytes: number }
  readonly made: {
    /** Tables and value files that were taken as they are. */
    readonly keptFiles: number
    /** Damaged tables whose sound part was written again. */
    readonly rewrittenTables: number
    /** Tables that were merged into one run, because their order was not known any more. */
    readonly mergedTables: number
    /** Large values moved out of damaged value files. */
    readonly movedValues: number
    /** Transactions of the log that were written to tables. */
    readonly replayedTransactions: number
    /** The first sequence that was taken from the log although it was in tables, because of damage to these. */
    readonly rebuiltFrom: number | undefined
  }
  /** Keyspaces that had lost their names, with the new ones. */
  readonly namedKeyspaces: ReadonlyArray<{ readonly id: number; readonly name: string }>
}

/** A file that is not part of the repaired database. */
export interface QuarantinedFile {
  readonly name: string
  readonly bytes: number
  readonly offsetBytes: number
  readonly reason: DamageReason
  readonly detail: string
}

export interface RepairReport extends SalvageReport {
  readonly path: string
  /** `healthy`: nothing was to be done and nothing was changed. `planned`: a dry run. */
  readonly outcome: "healthy" | "planned" | "repaired"
  /** The directory of the repaired database; undefined where there is none. */
  readonly into: string | undefined
  /** Where the directory was copied before it was changed. */
  readonly backup: string | undefined
  readonly quarantined: ReadonlyArray<QuarantinedFile>
}
