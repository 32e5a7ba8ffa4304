/**
 * Who is told how far a long recovery is. Replaying the log is one synchronous step, during which nothing else of the program runs: so this is a plain function, called in the middle of
 * it, at most once a second and not at all where it takes less.
 */
import * as Context from "effect/Context"

export interface RecoveryProgressed {
  readonly path: string
  /** Bytes of log replayed so far. */
  readonly replayedBytes: number
  readonly elapsedMs: number
}

/** Undefined, the default: a line at Info through the program's logger. */
export const RecoveryProgress = Context.Reference<((progress: RecoveryProgressed) => void) | undefined>("lightning-db/services/RecoveryProgress", {
  defaultValue: () => undefined
})
