import type { MemoryStats } from "../../services/MemoryBudget.ts"

/** What a read-only open holds: it has no budget over all, since nothing of it grows but its caches and indexes, which have their own. */
export const readerMemory = (parts: {
  readonly memtables: number
  readonly tableIndexes: number
  readonly blockCache: number
  readonly valueCache: number
  readonly cacheCapacity: number
}): MemoryStats => {
  const { blockCache, cacheCapacity, memtables, tableIndexes, valueCache } = parts
  const used = {
    memtables,
    spareMemtables: 0,
    validation: 0,
    readMemtables: 0,
    pendingLog: 0,
    tableIndexes,
    jobs: 0,
    snapshots: 0,
    blockCache,
    valueCache
  }
  return { budget: undefined, used: { ...used, total: memtables + tableIndexes + blockCache + valueCache }, cacheCapacity, pressure: "none" }
}
