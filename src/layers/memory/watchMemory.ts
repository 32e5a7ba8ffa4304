import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { BlockCache } from "../../services/BlockCache.ts"
import type { Compactor } from "../../services/Compactor.ts"
import type { MemoryBudget } from "../../services/MemoryBudget.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Tables } from "../../services/Tables.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { ValueCache } from "../../services/ValueCache.ts"
import type { Wal } from "../../services/Wal.ts"
import { jobBytes, snapshotBytes } from "./estimates.ts"

/** Gives the budget its parts. */
export const watchMemory = (parts: {
  readonly memory: MemoryBudget["Service"]
  readonly options: ResolvedOptions
  readonly blockCache: BlockCache["Service"]
  readonly valueCache: ValueCache["Service"]
  readonly compactor: Compactor["Service"]
  readonly memtables: Memtables["Service"]
  readonly tables: Tables["Service"]
  readonly transactions: TransactionManager["Service"]
  readonly wal: Wal["Service"]
}): void => {
  const { blockCache, compactor, memory, memtables, options, tables, transactions, valueCache, wal } = parts
  memory.watch({
    held: () => ({
      memtables: memtables.bytes(),
      spareMemtables: memtables.spareBytes(),
      validation: memtables.validationBytes(),
      readMemtables: memtables.heldBytes(),
      pendingLog: wal.pendingBytes(),
      tableIndexes: tables.indexBytes(),
      jobs: (compactor.stats().running + (memtables.frozenCount() > 0 ? 1 : 0)) * jobBytes(options.memtableBytes),
      snapshots: transactions.snapshots().open * snapshotBytes
    }),
    caches: () => ({ blockCache: blockCache.bytesAllocated, valueCache: valueCache.bytesAllocated }),
    resizeCaches: (bytes) => {
      const values = options.cacheBytes === 0 ? 0 : Math.floor((bytes / options.cacheBytes) * options.valueCacheBytes)
      valueCache.resize(values)
      blockCache.resize(bytes - values)
    },
    trimTables: tables.trimIndexes,
    dropSpareMemtables: memtables.dropSpares,
    trimValidation: memtables.trimValidation,
    awaited: () => memtables.frozenCount() > 0 || memtables.heldBytes() > 0,
    freed: transactions.roomChanged
  })
}
