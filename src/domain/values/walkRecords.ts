import { readU32 } from "../bytes/fixed.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import type { Crc32 } from "../seams.ts"
import { type SegmentSource, SegmentWindow } from "../wal/SegmentSource.ts"
import { decodeRecordHead, recordStartBytes, type ValueRecord } from "./valueFormat.ts"
import type { ValuePointer } from "./ValuePointer.ts"

export type ValueFilePart =
  | {
      readonly type: "record"
      /** Counted from 0; a gap counts as none. */
      readonly index: number
      readonly offset: number
      readonly headBytes: number
      /** False: the head is not what was written, but the next record stands where it says. */
      readonly headSumHolds: boolean
      readonly record: ValueRecord
      readonly pointer: ValuePointer
      /** The stored bytes, not verified; a view that is good until the next part is asked for. */
      readonly stored: () => Uint8Array
    }
  /** No record begins here, up to the next one or the end of the records. */
  | { readonly type: "gap"; readonly offset: number; readonly lengthBytes: number; readonly laterRecords: boolean }

/** The least a head takes, and more than the longest key needs. */
const headBytesMin = recordStartBytes + 10
const headBytesMax = 128 * 1024

interface Head {
  readonly headBytes: number
  readonly record: ValueRecord
  readonly sumHolds: boolean
}

/**
 * Every record of a value file from `from` up to `limit` (where its footer begins), and what lies between them. Goes on behind damage: with the next record, or where a head's
 * length cannot be believed, with the next place at which a right head stands. Values are read only where they are asked for. Throws `IoFailure` where reading fails.
 */
export function* walkRecords(crc32: Crc32, fileId: number, source: SegmentSource, from: number, limit: number): Generator<ValueFilePart, void, void> {
  const window = new SegmentWindow(source, limit)
  const headAt = (offset: number): Head | undefined => {
    if (offset + headBytesMin > limit) return undefined
    const headBytes = readU32(window.bytes, window.load(offset, headBytesMin) + 4)
    if (headBytes < headBytesMin || headBytes > headBytesMax || offset + headBytes > limit) return undefined
    const at = window.load(offset, headBytes)
    // The key outlives the window.
    const head = window.bytes.slice(at, at + headBytes)
    try {
      const record = decodeRecordHead(head)
      if (record.storedLength > limit - offset - headBytes) return undefined
      return { headBytes, record, sumHolds: crc32(head.subarray(4)) === readU32(head, 0) }
    } catch (cause) {
      if (cause instanceof MalformedBytes) return undefined
      throw cause
    }
  }
  const endOf = (offset: number, head: Head): number => offset + head.headBytes + head.record.storedLength

  let index = 0
  for (let offset = from; offset < limit;) {
    let head = headAt(offset)
    if (head !== undefined && !head.sumHolds) {
      const next = endOf(offset, head)
      if (next !== limit && headAt(next)?.sumHolds !== true) head = undefined
    }
    if (head === undefined) {
      let next = offset + 1
      while (next < limit && headAt(next)?.sumHolds !== true) next++
      yield { type: "gap", offset, lengthBytes: next - offset, laterRecords: next < limit }
      offset = next
      continue
    }
    const { headBytes, record, sumHolds } = head
    const { codec, rawLength, storedLength, sum } = record
    const pointer: ValuePointer = { fileId, offset: offset + headBytes, storedLength, rawLength, codec, sum }
    yield {
      type: "record",
      index: index++,
      offset,
      headBytes,
      headSumHolds: sumHolds,
      record,
      pointer,
      stored: () => {
        const at = window.load(pointer.offset, storedLength)
        return window.bytes.subarray(at, at + storedLength)
      }
    }
    offset = endOf(offset, head)
  }
}
