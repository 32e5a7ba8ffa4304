/**
 * Reads through all files of the database, slowly, to find damage while there is still a copy to restore from. A pass pins no version: it holds at most two files open, so what
 * compaction gives up meanwhile gives its space back.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { FileReadError, InvalidOptions } from "../domain/errors.ts"
import type { WorkOptions } from "./WorkProgress.ts"

export interface ScrubOptions extends WorkOptions {
  /** How fast it reads at most. Default: as the option `scrub` says, or 8 MiB. */
  readonly bytesPerSecond?: number | undefined
}

export interface ScrubReport {
  /** Tables and value files that were read. Those that a compaction has replaced meanwhile are passed over, and so are the new ones. */
  readonly files: number
  /** Read, of tables, value files and the log. */
  readonly bytes: number
  /** The first thing that is wrong in each file that is damaged, or cannot be read. */
  readonly damaged: ReadonlyArray<FileReadError>
}

/** Times are engine time: ms since 1970. */
export interface ScrubStats {
  readonly running: boolean
  readonly lastStarted: number | undefined
  /** Of the last pass that went through to its end. */
  readonly lastFinished: number | undefined
  /** Read by all passes since the database was opened. */
  readonly bytes: number
  /** Files that the last pass which has ended found damaged or could not read, or, where the present one has found more, so many. */
  readonly damaged: number
}

export class Scrubber extends Context.Service<
  Scrubber,
  {
    /** One pass, after the one that is under way. Damage is no failure: it is in the report, in `health` and in `stats`. */
    readonly run: (options?: ScrubOptions) => Effect.Effect<ScrubReport, InvalidOptions>
    readonly stats: () => ScrubStats
  }
>()("lightning-db/services/Scrubber") {}
