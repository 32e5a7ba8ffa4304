import type { SegmentSealing } from "../../domain/manifest/SegmentMeta.ts"
import type { LogSegment, RetainedSegment } from "../../services/LogSegment.ts"

/** Where its last group ends in the file. */
export const endOffset = (segment: LogSegment): number => segment.headerBytes + (segment.position - segment.basePosition)

/** Bytes to the next multiple of the alignment. */
export const alignmentGap = (segment: LogSegment): number => {
  const { alignment } = segment.header
  return (alignment - (endOffset(segment) % alignment)) % alignment
}

/** A segment as it is once nothing more is written to it. */
export const retainedOf = (segment: LogSegment): RetainedSegment => ({
  fileId: segment.fileId,
  firstSequence: segment.firstSequence,
  lastSequence: segment.lastSequence,
  lastCommitMs: segment.lastCommitMs,
  bytes: endOffset(segment),
  lastSum: segment.lastSum,
  basePosition: segment.basePosition
})

/** What the manifest keeps of it. */
export const sealOf = (segment: LogSegment): SegmentSealing => {
  const { bytes, ...sealed } = retainedOf(segment)
  // One without a transaction: its first sequence is above its last.
  return { ...sealed, firstSequence: sealed.firstSequence === 0 ? sealed.lastSequence + 1 : sealed.firstSequence, lengthBytes: bytes }
}
