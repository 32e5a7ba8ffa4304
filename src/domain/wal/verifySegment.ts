import { Damage } from "../failures.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import { GroupFlag } from "./GroupHeader.ts"
import { type TransactionVisitor, visitTransactions } from "./LoggedTransaction.ts"
import type { SequenceGap } from "./scanSegment.ts"
import { type SegmentHeader, segmentHeaderBytes } from "./SegmentHeader.ts"
import type { SegmentSource } from "./SegmentSource.ts"
import { walkSegment } from "./walkSegment.ts"

/** How far a segment goes for certain: every byte of it up to there must be as it was written. */
export interface SegmentExtent {
  /** Of the file, to the end of the last group that counts. */
  readonly lengthBytes: number
  /** Of that group; where there is none, nothing is said of it. */
  readonly lastSum: number
  readonly basePosition: number
}

/** What stands in a segment that was verified. */
export interface SegmentFacts {
  readonly groups: number
  /** Undefined, like all that follows, where there is no group. */
  readonly firstPreviousSum: number | undefined
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
  readonly lastSum: number | undefined
  readonly endPosition: number
  readonly lastCommitMs: number
  /** Sequences that are jumped over, after groups that an open wrote again: legal where the manifest names them as lost. */
  readonly gaps: ReadonlyArray<SequenceGap>
}

/** After so many bytes a verification pauses. */
const pauseBytes = 256 * 1024

/**
 * Reads a segment from its header to exactly the end of the extent: groups with right sums, epoch, positions and chain, nothing but zeros between them, and transactions that follow
 * the grammar. Yields how many bytes it has read since it last did. Throws `Damage` with the offset of what is wrong, `IoFailure`.
 */
export function* verifySegment(
  crc32: Crc32,
  codecs: Codecs,
  header: SegmentHeader,
  source: SegmentSource,
  extent: SegmentExtent
): Generator<number, SegmentFacts, void> {
  const { path } = source
  const { basePosition, lengthBytes } = extent
  const groupsFrom = segmentHeaderBytes(header)
  const size = source.sizeBytes()
  if (size < lengthBytes) throw new Damage(path, size, "Truncated", `it goes on to byte ${lengthBytes}`)
  if (lengthBytes < groupsFrom) throw new Damage(path, lengthBytes, "Truncated", `${lengthBytes} bytes are shorter than the header`)
  const times = new CommitTimes()
  const gaps: Array<SequenceGap> = []
  let groups = 0
  let firstPreviousSum: number | undefined
  let firstSequence: number | undefined
  let nextSequence: number | undefined
  let lastSum: number | undefined
  let afterRewritten = false
  let end = groupsFrom
  let yielded = 0
  for (const part of walkSegment(crc32, header, source, { basePosition, limit: lengthBytes })) {
    if (part.type !== "group")
      throw new Damage(path, part.offset, "ChecksumMismatch", `no valid group in a segment that goes on to byte ${lengthBytes}`)
    const { group, problem } = part
    const { header: found, offset } = group
    if (problem !== undefined) throw problem
    if (!part.sumHolds) throw new Damage(path, offset, "ChecksumMismatch", "group")
    if (found.epoch !== header.epoch) throw new Damage(path, offset, "Unexpected", `a group of epoch ${found.epoch}`)
    if (found.position !== basePosition + offset - groupsFrom) throw new Damage(path, offset, "Unexpected", `a group of position ${found.position}`)
    if (!part.follows) throw new Damage(path, offset, "ChecksumMismatch", "a group that does not follow the one before")
    if (!part.paddingIsZero) throw new Damage(path, end, "Malformed", "padding is not zero")
    if (nextSequence !== undefined && found.firstSequence !== nextSequence) {
      if (found.firstSequence < nextSequence || !afterRewritten)
        throw new Damage(path, offset, "Malformed", `sequence ${found.firstSequence} follows ${nextSequence - 1}`)
      gaps.push({ from: nextSequence, to: found.firstSequence })
    }
    visitTransactions(group, times, codecs)
    firstPreviousSum ??= found.previousSum
    firstSequence ??= found.firstSequence
    nextSequence = found.firstSequence + found.transactionCount
    lastSum = found.sum
    afterRewritten = (found.flags & GroupFlag.rewritten) !== 0
    groups++
    end = offset + found.lengthBytes
    if (end - yielded >= pauseBytes) {
      yield end - yielded
      yielded = end
    }
  }
  if (end !== lengthBytes) throw new Damage(path, end, "ChecksumMismatch", `no valid group in a segment that goes on to byte ${lengthBytes}`)
  if (groups > 0 && lastSum !== extent.lastSum)
    throw new Damage(path, end, "ChecksumMismatch", "the last group is not the one that was written there")
  yield end - yielded
  return {
    groups,
    firstPreviousSum,
    firstSequence,
    lastSequence: nextSequence === undefined ? undefined : nextSequence - 1,
    lastSum,
    endPosition: basePosition + end - groupsFrom,
    lastCommitMs: times.last,
    gaps
  }
}

/** The latest commit time of all transactions it visits. */
export class CommitTimes implements TransactionVisitor {
  last = 0

  begin(_sequence: number, commitTimeMs: number): void {
    if (commitTimeMs > this.last) this.last = commitTimeMs
  }
  put(): void {}
  delete(): void {}
  rangeDelete(): void {}
  expire(): void {}
  end(): void {}
}
