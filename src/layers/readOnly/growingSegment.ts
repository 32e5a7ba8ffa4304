import { alignUp } from "../../domain/bytes/fixed.ts"
import { type GroupHeader, groupHeaderBytes, readGroupHeader, verifyGroup } from "../../domain/wal/GroupHeader.ts"
import { segmentHeaderBytes } from "../../domain/wal/SegmentHeader.ts"
import { SegmentWindow } from "../../domain/wal/SegmentSource.ts"
import { crc32 } from "../crc32.ts"
import type { SegmentFile } from "../feed/LogReader.ts"

/** How far a segment was read that somebody else may still be writing. */
export interface SegmentEnd {
  /** Of its groups; 0 while it has none. */
  readonly firstSequence: number
  readonly lastSequence: number
  /** Logical position of the first group; 0 while there is none. */
  readonly basePosition: number
  /** End of the last group in the file; where groups start, while there is none. */
  readonly endOffset: number
  /** What the first group names as the sum of the one before it, and the sum of the last group. */
  readonly firstPreviousSum: number
  readonly lastSum: number
}

export const emptySegment = (file: SegmentFile): SegmentEnd => ({
  firstSequence: 0,
  lastSequence: 0,
  basePosition: 0,
  endOffset: segmentHeaderBytes(file.header),
  firstPreviousSum: 0,
  lastSum: 0
})

/**
 * Goes on over the whole groups that follow. What is no whole group is where the writer stands: it may be writing it right now, so it says nothing about damage. Throws `Damage` for a
 * group whose sum is right and whose content is not, `IoFailure`.
 */
export const readOn = (file: SegmentFile, known: SegmentEnd): SegmentEnd => {
  const { handle, header, path } = file
  const groupsFrom = segmentHeaderBytes(header)
  const limit = handle.sizeBytes()
  let { basePosition, endOffset, firstPreviousSum, firstSequence, lastSequence, lastSum } = known
  if (endOffset + groupHeaderBytes > limit) return known
  // Mostly nothing has come: a look at where it would begin is cheaper than a window.
  const probe = new Uint8Array(Math.min(alignUp(endOffset, header.alignment) + groupHeaderBytes, limit) - endOffset)
  if (handle.readAt(probe, endOffset) < probe.length) return known
  const aligned = probe.length - groupHeaderBytes
  if (readGroupHeader(probe, 0) === undefined && readGroupHeader(probe, aligned) === undefined) return known

  const window = new SegmentWindow(file.handle, limit)
  const groupAt = (offset: number): GroupHeader | undefined => {
    if (offset + groupHeaderBytes > limit) return undefined
    const found = readGroupHeader(window.bytes, window.load(offset, groupHeaderBytes))
    if (found === undefined || found.epoch !== header.epoch || offset + found.lengthBytes > limit) return undefined
    if (lastSequence !== 0 && (found.position !== basePosition + offset - groupsFrom || found.previousSum !== lastSum)) return undefined
    const at = window.load(offset, found.lengthBytes)
    return verifyGroup(crc32, header.saltSum, path, offset, window.bytes, at, found) ? found : undefined
  }
  for (;;) {
    let offset = endOffset
    let group = groupAt(offset)
    if (group === undefined) {
      offset = alignUp(endOffset, header.alignment)
      group = offset === endOffset ? undefined : groupAt(offset)
    }
    if (group === undefined) break
    if (lastSequence === 0) {
      firstSequence = group.firstSequence
      firstPreviousSum = group.previousSum
      basePosition = group.position - (offset - groupsFrom)
    }
    lastSequence = group.firstSequence + group.transactionCount - 1
    lastSum = group.sum
    endOffset = offset + group.lengthBytes
  }
  return { basePosition, endOffset, firstPreviousSum, firstSequence, lastSequence, lastSum }
}
