/**
 * The budget over everything the engine holds in memory (`memoryBytes`). The parts count for themselves; the sum is asked for where something large begins or ends (a memtable, a
 * flush, a table opened), never by an operation. As it runs short the caches shrink, then writers are slowed, then they wait, and fail with `WriteStalled` after `waitTimeout`.
 *
 * Without a budget nothing is counted, and each part keeps the one of its own.
 */
import * as Context from "effect/Context"
import type { HeldMemory, MemoryPressure } from "../domain/memory/planMemory.ts"

/** What is counted, and what can be given back. All synchronous. */
export interface MemoryParts {
  readonly held: () => HeldMemory
  /** What both caches hold: their memory, not what they may take. */
  readonly caches: () => { readonly blockCache: number; readonly valueCache: number }
  readonly resizeCaches: (bytes: number) => void
  /** Closes idle tables until their indexes take so much at most. */
  readonly trimTables: (bytes: number) => void
  readonly dropSpareMemtables: () => void
  /** Gives up memtables kept for open transactions until they take so much at most. */
  readonly trimValidation: (bytes: number) => void
  /** Whether something large ends by itself: a flush, or a read that holds what is in tables already. Where nothing does, whoever waited for memory would wait for ever. */
  readonly awaited: () => boolean
  /** Writers that wait may look again. */
  readonly freed: () => void
}

export interface MemoryStats {
  /** Undefined: no budget over all. */
  readonly budget: number | undefined
  readonly used: HeldMemory & { readonly blockCache: number; readonly valueCache: number; readonly total: number }
  /** What both caches may take at present. */
  readonly cacheCapacity: number
  readonly pressure: MemoryPressure
}

export class MemoryBudget extends Context.Service<
  MemoryBudget,
  {
    /** Once, when all parts are there. */
    readonly watch: (parts: MemoryParts) => void
    /** Something large has begun or ended: what the caches may take is seen to after the present step. */
    readonly changed: () => void
    /** Whether so many bytes more fit, now that they are needed. Where not, whoever asks waits for `freed`. */
    readonly admits: (bytes: number) => boolean
    /** Whether writers are to give way, or to wait until something is freed. */
    readonly level: () => "none" | "slow" | "stop"
    /** What the memory is held by, in words, for those who are refused. */
    readonly describe: () => string
    readonly stats: () => MemoryStats
  }
>()("lightning-db/services/MemoryBudget") {}
