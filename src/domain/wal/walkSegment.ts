import { alignUp, isZero, readU32 } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import { type GroupHeader, groupHeaderBytes, readGroupHeader, verifyGroup } from "./GroupHeader.ts"
import type { VerifiedGroup } from "./LoggedTransaction.ts"
import {
  segmentAlignmentDefault,
  segmentAlignmentMax,
  segmentAlignmentMin,
  type SegmentHeader,
  segmentHeaderFieldBytes,
  segmentMagic
} from "./SegmentHeader.ts"
import { type SegmentSource, SegmentWindow } from "./SegmentSource.ts"

/** What of a header is needed to find groups. */
export type SegmentFrame = Pick<SegmentHeader, "alignment" | "epoch" | "saltSum">

/** What a header that cannot be believed says all the same; `undefined` where there is none. Groups that it finds prove it right. */
export const frameOfDamaged = (crc32: Crc32, bytes: Uint8Array): SegmentFrame | undefined => {
  if (bytes.length < segmentHeaderFieldBytes || bytes.every((byte) => byte === 0)) return undefined
  const alignment = readU32(bytes, 16)
  const isAlignment = alignment >= segmentAlignmentMin && alignment <= segmentAlignmentMax && (alignment & (alignment - 1)) === 0
  return {
    alignment: isAlignment ? alignment : segmentAlignmentDefault,
    epoch: readU32(bytes, 56),
    saltSum: crc32(bytes.subarray(128, 144))
  }
}

export type SegmentPart =
  | {
      readonly type: "group"
      readonly index: number
      /** Its bytes are good until the next part is asked for. */
      readonly group: VerifiedGroup
      /** False: the bytes are not what was written. Header and position agree with what stands before, so it is still the group of this place. */
      readonly sumHolds: boolean
      /** What is wrong although the sum holds. */
      readonly problem: Damage | undefined
      /** Whether it names the group before as its previous one; true for the first. */
      readonly follows: boolean
      /** Whether only zeros lie between it and what was before it: in a sealed segment there is nothing else. */
      readonly paddingIsZero: boolean
    }
  /** No group begins here. Ends at the next group or, with `laterGroups` false, at the end of the file. */
  | { readonly type: "gap"; readonly offset: number; readonly lengthBytes: number; readonly laterGroups: boolean }
  /** Only zeros up to the end of the file: the room that was prepared for groups. */
  | { readonly type: "zeros"; readonly offset: number; readonly lengthBytes: number }

/** Whether the bytes begin as a segment does. */
export const isSegment = (bytes: Uint8Array): boolean => segmentMagic.every((byte, i) => bytes[i] === byte)

/**
 * Every group of a segment and what lies between them, in file order, for looking at what recovery would cut or refuse. Unlike `scanSegment` it decides nothing: it goes on behind
 * damage, with the next group at the alignment, and never throws `Damage`. Throws `IoFailure` where reading fails.
 *
 * A group whose sum is wrong is shown as such where its epoch, position and previous sum are those of its place; where they are not, its length means nothing either. Nor does a
 * length that would cover a later group.
 */
export function* walkSegment(
  crc32: Crc32,
  frame: SegmentFrame,
  source: SegmentSource,
  options: { readonly basePosition?: number | undefined; readonly limit?: number | undefined } = {}
): Generator<SegmentPart, void, void> {
  const { path } = source
  const limit = Math.min(options.limit ?? Number.MAX_SAFE_INTEGER, source.sizeBytes())
  if (limit <= frame.alignment) return
  const window = new SegmentWindow(source, limit)
  let base = options.basePosition
  let lastSum: number | undefined
  let index = 0

  interface Found {
    readonly header: GroupHeader
    readonly sumHolds: boolean
    readonly problem: Damage | undefined
  }
  const groupAt = (offset: number, isExpected: boolean): Found | undefined => {
    if (offset + groupHeaderBytes > limit) return undefined
    const header = readGroupHeader(window.bytes, window.load(offset, groupHeaderBytes))
    if (header === undefined || offset + header.lengthBytes > limit) return undefined
    if (base === undefined ? header.position < offset - frame.alignment : header.position !== base + offset - frame.alignment) return undefined
    const at = window.load(offset, header.lengthBytes)
    try {
      if (verifyGroup(crc32, frame.saltSum, path, offset, window.bytes, at, header)) return { header, sumHolds: true, problem: undefined }
    } catch (cause) {
      if (!(cause instanceof Damage)) throw cause
      return { header, sumHolds: true, problem: cause }
    }
    const isOfThisPlace = isExpected && header.epoch === frame.epoch && (lastSum === undefined || header.previousSum === lastSum)
    return isOfThisPlace && !holdsGroup(offset, header.lengthBytes) ? { header, sumHolds: false, problem: undefined } : undefined
  }
  /** Whether a group stands where only one should: then a length that says so is wrong, and would hide it. */
  const holdsGroup = (offset: number, lengthBytes: number): boolean => {
    for (let at = alignUp(offset + 1, frame.alignment); at < offset + lengthBytes; at += frame.alignment) {
      if (groupAt(at, false) !== undefined) return true
    }
    return false
  }

  let end = frame.alignment
  for (;;) {
    let offset = end
    let paddingFrom = end
    let found = groupAt(offset, true)
    if (found === undefined) {
      offset = alignUp(end, frame.alignment)
      if (offset !== end) found = groupAt(offset, true)
      // Bytes before a group that follows another one are no padding: what is missing stood there.
      if (found !== undefined && lastSum !== undefined && found.header.previousSum !== lastSum && window.firstNonZero(end) < offset) found = undefined
    }
    if (found === undefined) {
      const firstNonZero = window.firstNonZero(end)
      if (firstNonZero >= limit) {
        if (end < limit) yield { type: "zeros", offset: end, lengthBytes: limit - end }
        return
      }
      for (offset = alignUp(end + 1, frame.alignment); offset < limit; offset += frame.alignment) {
        found = groupAt(offset, false)
        if (found !== undefined) break
      }
      const until = Math.min(offset, limit)
      yield { type: "gap", offset: end, lengthBytes: until - end, laterGroups: found !== undefined }
      if (found === undefined) return
      paddingFrom = offset
    }
    const { header, problem, sumHolds } = found
    // A position that is itself damaged would put every later group in a wrong place.
    if (sumHolds && problem === undefined) base ??= header.position - (offset - frame.alignment)
    const paddingAt = window.load(paddingFrom, offset - paddingFrom)
    const paddingIsZero = isZero(window.bytes, paddingAt, paddingAt + offset - paddingFrom)
    const at = window.load(offset, header.lengthBytes)
    const follows = lastSum === undefined || header.previousSum === lastSum
    yield { type: "group", index: index++, group: { path, offset, bytes: window.bytes, at, header }, sumHolds, problem, follows, paddingIsZero }
    lastSum = header.sum
    end = offset + header.lengthBytes
  }
}
