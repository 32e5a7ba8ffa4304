/** The actor that keeps the levels in shape: picks jobs, has workers run them, names their outputs and lets go of their inputs. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { FlushError } from "../domain/errors.ts"
import type { WorkOptions } from "./WorkProgress.ts"

export interface CompactionRange {
  readonly keyspace: number | undefined
  /** Inclusive; `undefined` is the beginning. */
  readonly lower: Uint8Array | undefined
  /** Exclusive; `undefined` is the end. */
  readonly upper: Uint8Array | undefined
}

export interface CompactorStats {
  readonly count: number
  readonly running: number
  readonly trivialMoves: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

export class Compactor extends Context.Service<
  Compactor,
  {
    /** Something changed (a flush, a drop, a released snapshot): look for work. */
    readonly nudge: () => void
    /** Rewrites the range down to its lowest level; returns when done. */
    readonly compact: (range: CompactionRange, options?: WorkOptions) => Effect.Effect<void, FlushError>
    /** Resolves when nothing is left to do. */
    readonly idle: Effect.Effect<void, FlushError>
    readonly stats: () => CompactorStats
  }
>()("lightning-db/services/Compactor") {}
