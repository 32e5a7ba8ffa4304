/** What a budget of memory leaves to the caches, and what is to be done where it does not suffice: caches shrink first, then writers are slowed, at last they wait. */

/**
 * - `none`: everything has what it was given.
 * - `caches`: the caches have less than they were given, or indexes of tables were let go.
 * - `writers`: nothing is left to give back, and the next memtable would not fit: writers are slowed.
 * - `full`: it does not fit: writers wait for memory.
 */
export type MemoryPressure = "none" | "caches" | "writers" | "full"

/** Bytes by what holds them. The caches are not among them: they get what is left. */
export interface HeldMemory {
  /** Those that are filled or wait for their flush, with their indexes. */
  readonly memtables: number
  /** Memory of earlier memtables, kept for later ones. */
  readonly spareMemtables: number
  /** Memtables in tables already, kept to validate open transactions. */
  readonly validation: number
  /** Memtables in tables already that long reads hold. */
  readonly readMemtables: number
  /** Encoded and not written yet. */
  readonly pendingLog: number
  /** Filters and fences of open tables. */
  readonly tableIndexes: number
  /** Of running flushes and compactions, estimated. */
  readonly jobs: number
  /** Of open snapshots and transactions, estimated. */
  readonly snapshots: number
}

export interface MemoryPlan {
  readonly pressure: Exclude<MemoryPressure, "full">
  /** For both caches together. */
  readonly cacheBytes: number
  /** What the indexes of tables may take: below what they take now, idle tables are closed. */
  readonly tableIndexBytes: number
  /** Whether memory kept for later memtables is to be given back, but for one. */
  readonly dropSpares: boolean
}

/** What lasts until something large ends, which is a moment to look again; the rest comes and goes by itself. */
export const firmBytes = (held: HeldMemory): number => held.memtables + held.spareMemtables + held.validation + held.readMemtables + held.tableIndexes

export const heldBytes = (held: HeldMemory): number =>
  held.memtables + held.spareMemtables + held.validation + held.readMemtables + held.pendingLog + held.tableIndexes + held.jobs + held.snapshots

/**
 * `memtableBytes`: what the next memtable takes; where one is kept for it already, that counts. The capacity of the caches changes in steps of a sixteenth, so that a little more or
 * less moves nothing.
 */
export const planMemory = (budgetBytes: number, cacheBytesMax: number, held: HeldMemory, memtableBytes: number): MemoryPlan => {
  const { spareMemtables, tableIndexes } = held
  const room = budgetBytes - heldBytes(held) - Math.max(0, memtableBytes - spareMemtables)
  if (room >= cacheBytesMax) return { pressure: "none", cacheBytes: cacheBytesMax, tableIndexBytes: tableIndexes, dropSpares: false }
  const spared = Math.max(0, spareMemtables - memtableBytes)
  const dropSpares = spared > 0
  const left = room + spared
  if (left >= cacheBytesMax) return { pressure: "none", cacheBytes: cacheBytesMax, tableIndexBytes: tableIndexes, dropSpares }
  const step = Math.max(1, Math.floor(cacheBytesMax / 16))
  if (left > 0) return { pressure: "caches", cacheBytes: Math.floor(left / step) * step, tableIndexBytes: tableIndexes, dropSpares }
  if (-left < tableIndexes) return { pressure: "caches", cacheBytes: 0, tableIndexBytes: tableIndexes + left, dropSpares }
  return { pressure: "writers", cacheBytes: 0, tableIndexBytes: 0, dropSpares }
}
