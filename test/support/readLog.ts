import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { decodeTransactions, type LoggedTransaction, type VerifiedGroup } from "../../src/domain/wal/LoggedTransaction.ts"
import { scanSegment } from "../../src/domain/wal/scanSegment.ts"
import { decodeSegmentHeader } from "../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../src/domain/wal/SegmentSource.ts"
import { codecs } from "../../src/layers/codecs.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"

/** The transactions in the log segments that are there, in commit order, each once. Segments that are being prepared hold none. */
export const readLog = (disk: SimulatedDisk): ReadonlyArray<LoggedTransaction> => {
  const bySequence = new Map<number, LoggedTransaction>()
  for (const [path, bytes] of disk.files()) {
    if (parseFileName(path.slice(path.lastIndexOf("/") + 1))?.kind !== "log" || bytes.length === 0 || bytes[0] === 0) continue
    const own = (group: VerifiedGroup) => ({ ...group, bytes: group.bytes.slice() })
    scanSegment(crc32, decodeSegmentHeader(crc32, path, bytes), bytesSource(path, bytes), {
      onGroup: (group) => {
        for (const transaction of decodeTransactions(own(group), codecs)) bySequence.set(transaction.sequence, transaction)
      }
    })
  }
  return [...bySequence.values()].sort((a, b) => a.sequence - b.sequence)
}
