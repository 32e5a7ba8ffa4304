import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { decodeTransactions, type LoggedTransaction } from "../../src/domain/wal/LoggedTransaction.ts"
import { scanSegment } from "../../src/domain/wal/scanSegment.ts"
import { decodeSegmentHeader } from "../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../src/domain/wal/SegmentSource.ts"
import { codecs } from "../../src/layers/codecs.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import type { DiskTrace } from "../../src/layers/disk/SimulatedDisk.ts"

/**
 * Every transaction that a recorded run ever wrote to a log, by sequence, whatever became of the segment: the engine's own commits (what expires, cursors) are told nowhere else.
 */
export const loggedCommits = (trace: DiskTrace): ReadonlyMap<number, LoggedTransaction> => {
  const segments = new Map<number, { readonly path: string; parts: Array<{ readonly position: number; readonly bytes: Uint8Array }> }>()
  for (const event of trace.events) {
    if (event.kind === "create" && parseFileName(event.name)?.kind === "log") segments.set(event.inode, { path: event.name, parts: [] })
    else if (event.kind === "write") segments.get(event.inode)?.parts.push(event)
  }
  const commits = new Map<number, LoggedTransaction>()
  for (const { parts, path } of segments.values()) {
    const length = parts.reduce((end, { bytes, position }) => Math.max(end, position + bytes.length), 0)
    if (length === 0) continue
    const content = new Uint8Array(length)
    for (const { bytes, position } of parts) content.set(bytes, position)
    scanSegment(crc32, decodeSegmentHeader(crc32, path, content), bytesSource(path, content), {
      onGroup: (group) => {
        for (const transaction of decodeTransactions({ ...group, bytes: group.bytes.slice() }, codecs)) commits.set(transaction.sequence, transaction)
      }
    })
  }
  return commits
}
