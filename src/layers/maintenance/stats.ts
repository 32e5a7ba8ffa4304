import { retentionOf } from "../history/moment.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { BlockCache } from "../../services/BlockCache.ts"
import type { Breakers } from "../../services/Breakers.ts"
import type { Compactor } from "../../services/Compactor.ts"
import type { DatabaseStats } from "../../services/Database.ts"
import type { Flusher } from "../../services/Flusher.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { MemoryBudget } from "../../services/MemoryBudget.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Recovery } from "../../services/Recovery.ts"
import type { Scrubber } from "../../services/Scrubber.ts"
import type { SpaceKeeper } from "../../services/SpaceKeeper.ts"
import type { Tables, Version } from "../../services/Tables.ts"
import type { TransactionStats } from "../../services/Transaction.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { ValueCache } from "../../services/ValueCache.ts"
import type { Wal } from "../../services/Wal.ts"

/** What lies on each level. */
export const levelStats = ({ levels }: Version): DatabaseStats["levels"] =>
  levels.map((level, index) => ({
    level: index,
    tables: level.length,
    bytes: level.reduce((sum, slot) => sum + slot.meta.fileBytes, 0),
    entries: level.reduce((sum, slot) => sum + slot.meta.entryCount, 0)
  }))

/** Gathers what the subsystems count. Plain numbers, copied when asked for: nothing of this is on the path of an operation. */
export const makeStats =
  (parts: {
    readonly blockCache: BlockCache["Service"]
    readonly breakers: Breakers["Service"]
    readonly compactor: Compactor["Service"]
    readonly flusher: Flusher["Service"]
    readonly manifest: Manifest["Service"]
    readonly memory: MemoryBudget["Service"]
    readonly memtables: Memtables["Service"]
    readonly options: ResolvedOptions
    readonly recovery: Recovery["Service"]
    readonly scrubber: Scrubber["Service"]
    readonly space: SpaceKeeper["Service"]
    readonly tables: Tables["Service"]
    readonly transactions: TransactionManager["Service"]
    readonly transactionStats: () => TransactionStats
    readonly valueCache: ValueCache["Service"]
    readonly wal: Wal["Service"]
  }) =>
  (): DatabaseStats => {
    const {
      blockCache,
      breakers,
      compactor,
      flusher,
      manifest,
      memory,
      memtables,
      options,
      recovery,
      scrubber,
      space,
      tables,
      transactions,
      transactionStats,
      valueCache,
      wal
    } = parts
    const state = manifest.state()
    const flushes = flusher.stats()
    const compactions = compactor.stats()
    const commits = wal.stats()
    let tableBytes = 0
    let valueBytes = 0
    let liveBytes = 0
    for (const table of state.tables.values()) {
      tableBytes += table.fileBytes
      for (const ref of table.valueRefs) liveBytes += ref.bytes
    }
    for (const file of state.valueFiles.values()) valueBytes += file.fileBytes
    const logBytes = wal.diskBytes()
    const manifestBytes = manifest.diskBytes()
    const userBytes = transactions.userBytes()
    return {
      path: options.path,
      visibleSequence: wal.visibleSequence(),
      durableSequence: wal.durableSequence(),
      flushedSequence: state.flushedThrough.sequence,
      levels: levelStats(tables.current()),
      disk: {
        tables: tableBytes,
        valueFiles: valueBytes,
        valueFilesLive: liveBytes,
        log: logBytes,
        manifest: manifestBytes,
        total: tableBytes + valueBytes + logBytes + manifestBytes
      },
      retention: retentionOf(state),
      memory: memory.stats(),
      memtables: { active: 1, frozen: memtables.frozenCount(), bytes: memtables.bytes(), entries: memtables.entries() },
      blockCache: { bytes: blockCache.bytesUsed, capacityBytes: blockCache.capacityBytes, hits: blockCache.hits, misses: blockCache.misses },
      valueCache: { bytes: valueCache.bytes, capacityBytes: valueCache.capacityBytes, hits: valueCache.hits, misses: valueCache.misses },
      commits,
      flushes,
      compactions,
      writeAmplification: userBytes === 0 ? 0 : (commits.logBytes + flushes.bytes + compactions.bytesWritten) / userBytes,
      space: space.stats(),
      breakers: breakers.stats(),
      stalls: transactions.stalls(),
      transactions: transactionStats(),
      snapshots: transactions.snapshots(),
      scrub: scrubber.stats(),
      recovery: recovery.report
    }
  }
