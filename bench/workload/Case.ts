import type * as Effect from "effect/Effect"
import type {
  BatchError,
  ChangesError,
  MaintenanceError,
  ReadError,
  ScanError,
  TransactionError,
  TransactionReadError,
  TransactionWriteError
} from "../../src/domain/errors.ts"
import type { Options } from "../../src/domain/options/Options.ts"
import type { DatabaseShape, Durability } from "../../src/services/Database.ts"
import type { Inputs, KeyStyle } from "./Inputs.ts"
import type { Latency } from "./Latency.ts"

export type CaseError =
  | BatchError
  | ReadError
  | ScanError
  | MaintenanceError
  | TransactionError
  | TransactionReadError
  | TransactionWriteError
  | ChangesError

/** What a case works with. */
export interface Run {
  readonly db: DatabaseShape
  readonly inputs: Inputs
  /** How many operations to do. */
  readonly operations: number
  /** Where a case records how long single operations took. */
  readonly latency: Latency
}

/** One row of the workload: named as LevelDB's `db_bench` names it, where that has such a row. */
export interface Case {
  readonly name: string
  /** What one operation is. */
  readonly about: string
  readonly durability: Durability
  readonly keys: KeyStyle
  readonly valueBytes: number
  /** `empty`: the case starts with nothing. `loaded`: with all entries, flushed, compacted and reopened, so that reads come from tables. */
  readonly start: "empty" | "loaded"
  /** How the entries are loaded. Default: in batches of 1,000. */
  readonly load?: (db: DatabaseShape, inputs: Inputs) => Effect.Effect<void, CaseError>
  /** Writers' time counts until everything is in tables and compaction is idle, too. */
  readonly writes: boolean
  /** Operations for so many entries. */
  readonly operations: (entries: number) => number
  /** Options of opening beside those that all cases share. */
  readonly options?: Partial<Options>
  /** What is timed. Answers with what it counted, for `validate`. */
  readonly run: (run: Run) => Effect.Effect<number, CaseError>
  /** Dies when the results are wrong. Runs after the database was closed and opened again. */
  readonly validate: (run: Run, counted: number) => Effect.Effect<void, CaseError>
}
