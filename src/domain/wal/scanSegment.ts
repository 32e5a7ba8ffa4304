import { alignUp, isZero } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import type { GroupHeader } from "./GroupHeader.ts"
import { GroupFlag, groupHeaderBytes, readGroupHeader, verifyGroup } from "./GroupHeader.ts"
import { GroupList } from "./GroupList.ts"
import type { VerifiedGroup } from "./LoggedTransaction.ts"
import type { SegmentHeader } from "./SegmentHeader.ts"
import { segmentHeaderBytes } from "./SegmentHeader.ts"
import type { SegmentSource } from "./SegmentSource.ts"
import { SegmentWindow } from "./SegmentSource.ts"

export interface ScanOptions {
  /** The manifest's epoch for this segment; one with another epoch is `Damage` "Unexpected". Default: the header's. */
  readonly expectedEpoch?: number | undefined
  /**
   * What is known to be durable from elsewhere: the position of `flushedThrough`, the floor the manifest names for this segment, the floor found in a
   * newer segment. Default 0.
   */
  readonly floorPosition?: number | undefined
  /** Position of the first group: the end of the segment before, or what the manifest says. Give it wherever it is known: see `SegmentScan.basePosition`. */
  readonly basePosition?: number | undefined
  /** Position of the newer segment's first group, where there is one: this segment has to reach only there, whatever the floor. */
  readonly nextBasePosition?: number | undefined
  /** Start at the group at (or, after padding, next to) this position, the end of a group before it. Default: the first group. */
  readonly fromPosition?: number | undefined
  /** What the first scanned group must name as its previous sum. Default: whatever it names. */
  readonly expectedPreviousSum?: number | undefined
  /** The manifest's seal: bytes of the file up to the end of the last group, and the sum of that group. Nothing beyond is looked at. */
  readonly sealed?: { readonly lengthBytes: number; readonly lastSum: number } | undefined
  /** Receives every valid group in order; its bytes are valid during the call only. `Damage` may still follow: be ready to throw everything away. */
  readonly onGroup?: ((group: VerifiedGroup) => void) | undefined
}

/** `from` ≤ sequence < `to`. */
export interface SequenceGap {
  readonly from: number
  readonly to: number
}

export interface SegmentScan {
  /** Position of the first group; `undefined` where neither the options nor any group tells it. Without it the floor cannot be compared with the end. */
  readonly basePosition: number | undefined
  /** The valid groups, from `fromPosition` on. */
  readonly groups: GroupList
  /** The first scanned group's previous sum; that of `expectedPreviousSum` where there is no group. */
  readonly firstPreviousSum: number | undefined
  /** The sum of the last group: what the next group, here or in the next segment, names as its previous one. As `expectedPreviousSum` where there is no group. */
  readonly lastSum: number | undefined
  /** The sequence after the last transaction; `undefined` where there is no group. */
  readonly nextSequence: number | undefined
  /** The end of the last valid group: offset in the file, and position in the log. */
  readonly endOffset: number
  readonly endPosition: number | undefined
  /** The largest `durableThrough` of any valid group, of those after a hole too; 0 where there is none. */
  readonly durableFloor: number
  /** Jumps in the sequences, legal after rewritten groups if the manifest names them as lost: the caller compares. */
  readonly gaps: ReadonlyArray<SequenceGap>
  /** `clean`: nothing but zeros follows (of a sealed segment: nothing is looked at). `torn`: cut at `endOffset`, with what was found beyond. */
  readonly tail: { readonly kind: "clean" } | { readonly kind: "torn"; readonly laterGroups: number }
}

/**
 * Decides, by rule, how far a segment goes.
 *
 * Groups are valid while each has a right sum (seeded with the salt), the segment's epoch, the position at which it stands and the sum of the group before.
 * The next one stands right behind the last or, where a datasync lay between, on the next multiple of the alignment; the chained sum tells which, so the
 * padding itself proves nothing. Where no valid group follows, the log ends if that is at or after the *floor*, the largest position known to have been
 * durable: what is beyond was never acknowledged as synced, is cut, and later valid groups of this epoch, looked for at aligned positions only, are counted.
 * Before the floor it is damage. A sealed segment must consist of valid groups to exactly its sealed length.
 *
 * Throws `Damage` with the offset of the first byte that is not as it should be, `IoFailure` where reading failed: neither is ever taken for the other.
 */
export const scanSegment = (crc32: Crc32, header: SegmentHeader, source: SegmentSource, options: ScanOptions = {}): SegmentScan => {
  const { path } = source
  const { sealed } = options
  const groupsFrom = segmentHeaderBytes(header)
  if (options.expectedEpoch !== undefined && header.epoch !== options.expectedEpoch) {
    throw new Damage(path, 0, "Unexpected", `epoch ${header.epoch}, not ${options.expectedEpoch}`)
  }
  const sizeBytes = source.sizeBytes()
  const limit = sealed === undefined ? sizeBytes : sealed.lengthBytes
  if (limit < groupsFrom) throw new Damage(path, limit, "Truncated", `${limit} bytes are shorter than the header`)
  if (sizeBytes < limit) throw new Damage(path, sizeBytes, "Truncated", `sealed at ${limit} bytes`)

  const window = new SegmentWindow(source, limit)
  let base = options.basePosition
  /** The group at `offset`, if there is one of this segment in that very place. Its bytes are in the window until the next load. */
  const groupAt = (offset: number): GroupHeader | undefined => {
    if (offset + groupHeaderBytes > limit) return undefined
    const found = readGroupHeader(window.bytes, window.load(offset, groupHeaderBytes))
    if (found === undefined || found.epoch !== header.epoch || offset + found.lengthBytes > limit) return undefined
    if (base === undefined ? found.position < offset - groupsFrom : found.position !== base + offset - groupsFrom) return undefined
    const at = window.load(offset, found.lengthBytes)
    return verifyGroup(crc32, header.saltSum, path, offset, window.bytes, at, found) ? found : undefined
  }

  const groups = new GroupList(header.epoch)
  const gaps: Array<SequenceGap> = []
  let firstPreviousSum = options.expectedPreviousSum
  let lastSum = options.expectedPreviousSum
  let nextSequence: number | undefined
  let afterRewritten = false
  let durableFloor = 0
  const accept = (offset: number, group: GroupHeader): void => {
    if (nextSequence === undefined) firstPreviousSum = group.previousSum
    else if (group.firstSequence !== nextSequence) {
      // The sum and the chain are right: this was written so, and it is a hole or a repetition. Cutting here would hide it.
      if (group.firstSequence < nextSequence || !afterRewritten) {
        throw new Damage(path, offset, "Malformed", `sequence ${group.firstSequence} follows ${nextSequence - 1}`)
      }
      gaps.push({ from: nextSequence, to: group.firstSequence })
    }
    groups.push(offset, group)
    lastSum = group.sum
    nextSequence = group.firstSequence + group.transactionCount
    afterRewritten = (group.flags & GroupFlag.rewritten) !== 0
    durableFloor = Math.max(durableFloor, group.durableThrough)
    options.onGroup?.({ path, offset, bytes: window.bytes, at: window.load(offset, group.lengthBytes), header: group })
  }
  const follows = (group: GroupHeader | undefined): group is GroupHeader =>
    group !== undefined && (lastSum === undefined || group.previousSum === lastSum)

  if (base === undefined) {
    const first = groupAt(groupsFrom)
    if (first !== undefined) base = first.position
  }
  let end = groupsFrom
  if (options.fromPosition !== undefined && base !== undefined) {
    end = groupsFrom + options.fromPosition - base
    if (end < groupsFrom) throw new RangeError(`position ${options.fromPosition} is before the segment's first, ${base}`)
    if (end > limit) throw new Damage(path, limit, "Truncated", `position ${options.fromPosition} is beyond the end`)
  }
  for (;;) {
    let offset = end
    let group = groupAt(offset)
    if (!follows(group)) {
      offset = alignUp(end, header.alignment)
      group = offset === end ? undefined : groupAt(offset)
      if (!follows(group)) break
      if (sealed !== undefined && !isPadding(window, end, offset)) throw new Damage(path, end, "Malformed", "padding is not zero")
    }
    accept(offset, group)
    end = offset + group.lengthBytes
  }

  if (sealed !== undefined) {
    if (end !== limit) throw new Damage(path, end, "ChecksumMismatch", `no valid group in a segment sealed at ${limit} bytes`)
    if (nextSequence !== undefined && lastSum !== sealed.lastSum)
      throw new Damage(path, end, "ChecksumMismatch", "the last group is not the sealed one")
  }
  let tail: SegmentScan["tail"] = { kind: "clean" }
  const firstNonZero = window.firstNonZero(end)
  if (firstNonZero < limit) {
    let laterGroups = 0
    // A later group starts on the alignment, at or after the cut; nothing but zeros lies before the first byte that is not one.
    let offset = Math.max(alignUp(end, header.alignment), alignUp(firstNonZero + 1, header.alignment) - header.alignment)
    while (offset < limit) {
      const later = groupAt(offset)
      if (later === undefined) offset += header.alignment
      else {
        laterGroups++
        if (base === undefined) base = later.position - (offset - groupsFrom)
        durableFloor = Math.max(durableFloor, later.durableThrough)
        offset = alignUp(offset + later.lengthBytes, header.alignment)
      }
    }
    tail = { kind: "torn", laterGroups }
  }
  const endPosition = base === undefined ? undefined : base + end - groupsFrom
  const floor = Math.min(Math.max(durableFloor, options.floorPosition ?? 0), options.nextBasePosition ?? Number.MAX_SAFE_INTEGER)
  if (sealed === undefined && endPosition !== undefined && endPosition < floor) {
    const reason = tail.kind === "clean" ? "Truncated" : "ChecksumMismatch"
    const later = tail.kind === "clean" ? "" : `, ${tail.laterGroups} valid groups after it`
    throw new Damage(path, end, reason, `the log ends at position ${endPosition}, but was durable through ${floor}${later}`)
  }
  return { basePosition: base, groups, firstPreviousSum, lastSum, nextSequence, endOffset: end, endPosition, durableFloor, gaps, tail }
}

const isPadding = (window: SegmentWindow, from: number, to: number): boolean => {
  const at = window.load(from, to - from)
  return isZero(window.bytes, at, at + to - from)
}
