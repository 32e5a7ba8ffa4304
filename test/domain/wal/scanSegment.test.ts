import { describe, expect, it } from "vitest"
import { IoFailure } from "../../../src/domain/failures.ts"
import { scanSegment } from "../../../src/domain/wal/scanSegment.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { crc32, damageOf, SegmentWriter, text } from "./segments.ts"

const torn = (laterGroups: number) => ({ kind: "torn", laterGroups })
const clean = { kind: "clean" }

/** Groups 0 and 1 packed, a datasync, group 2, a datasync, group 3 packed with 4: what was durable is told by 2 and 3. */
const synced = () => {
  const segment = new SegmentWriter({ base: 5000 }).group().group()
  segment.group({ aligned: true, durableThrough: segment.groups[1]!.endPosition })
  segment.group({ aligned: true, durableThrough: segment.groups[2]!.endPosition }).group({ durableThrough: segment.groups[2]!.endPosition })
  return segment
}
/** Nothing was ever synced, but the groups are aligned: what a power cut keeps of them is any subset. */
const unsynced = () => new SegmentWriter().group({ aligned: true }).group({ aligned: true }).group({ aligned: true }).group({ aligned: true })

describe("the tail rule", () => {
  it("ends clean at the end of the file, at zeros, and in an empty segment", () => {
    const segment = synced()
    const [, , , , last] = segment.groups
    for (const zeros of [0, 1, 63, 64, 5000, 3_000_000]) {
      const scan = segment.scan({}, synced().zeros(zeros).bytes)
      expect(scan).toMatchObject({
        tail: clean,
        endOffset: last!.end,
        endPosition: last!.endPosition,
        lastSum: last!.sum,
        nextSequence: 6,
        basePosition: 5000
      })
      expect([...scan.groups].map((group) => group.position)).toEqual(segment.groups.map((group) => group.position))
    }
    const empty = new SegmentWriter().zeros(100)
    expect(empty.scan({ basePosition: undefined })).toMatchObject({
      basePosition: undefined,
      endPosition: undefined,
      endOffset: 512,
      lastSum: undefined,
      nextSequence: undefined,
      durableFloor: 0,
      tail: clean
    })
    expect(empty.scan({ basePosition: 70, floorPosition: 70, expectedPreviousSum: 9 })).toMatchObject({
      endPosition: 70,
      firstPreviousSum: 9,
      lastSum: 9
    })
  })

  it("finds the base in the first group", () => {
    expect(synced().scan({ basePosition: undefined })).toMatchObject({ basePosition: 5000, durableFloor: synced().groups[2]!.endPosition })
  })

  it("cuts a torn last group, whatever part of it is missing", () => {
    const segment = synced()
    const { end, endPosition, offset, position } = segment.groups[4]!
    for (let length = offset + 1; length < end; length++) {
      expect(segment.scan({}, segment.bytes.subarray(0, length)), String(length)).toMatchObject({ endPosition: position, tail: torn(0) })
      const zeroed = segment.bytes.slice()
      zeroed.fill(0, offset, length)
      expect(segment.scan({}, zeroed), String(length)).toMatchObject({ endPosition: position, tail: torn(0) })
    }
    expect(segment.scan({ floorPosition: position }, segment.damaged(4)).endPosition).toBe(position)
    expect(damageOf(() => segment.scan({ floorPosition: position + 1 }, segment.damaged(4)))).toMatchObject({
      reason: "ChecksumMismatch",
      offsetBytes: offset
    })
    expect(damageOf(() => segment.scan({ floorPosition: endPosition + 1 }))).toMatchObject({ reason: "Truncated", offsetBytes: end })
  })

  it("cuts at a hole when no one says that it was durable, and counts what came after", () => {
    const segment = unsynced()
    expect(segment.scan({}, segment.damaged(1))).toMatchObject({ endPosition: segment.groups[0]!.endPosition, nextSequence: 2, tail: torn(2) })
    expect(segment.scan({}, segment.damaged(0))).toMatchObject({ endPosition: 0, tail: torn(3) })
    expect(segment.scan({}, segment.damaged(3)).tail).toEqual(torn(0))
    const zeroed = segment.bytes.slice()
    zeroed.fill(0, segment.groups[1]!.offset, segment.groups[2]!.offset)
    expect(segment.scan({}, zeroed)).toMatchObject({ endPosition: segment.groups[0]!.endPosition, tail: torn(2) })
  })

  it("finds the base in a later group when the first is gone", () => {
    const segment = synced()
    expect(damageOf(() => segment.scan({ basePosition: undefined }, segment.damaged(0))).offsetBytes).toBe(512)
    expect(unsynced().scan({ basePosition: undefined }, unsynced().damaged(0))).toMatchObject({ basePosition: 0, tail: torn(3) })
    const single = new SegmentWriter().group()
    expect(single.scan({ basePosition: undefined, floorPosition: 1000 }, single.damaged(0))).toMatchObject({
      basePosition: undefined,
      endPosition: undefined
    })
  })

  it("calls damage before any valid group's durableThrough by its name and place", () => {
    const segment = synced()
    for (const index of [0, 1, 2]) {
      const { end, offset } = segment.groups[index]!
      for (const at of [0, 5, 17, 25, 33, 37, 41, 49, 57, 61, 64, end - offset - 1]) {
        const previousEnd = index === 0 ? 512 : segment.groups[index - 1]!.end
        expect(
          damageOf(() => segment.scan({}, segment.damaged(index, at))),
          `group ${index}, byte ${at}`
        ).toMatchObject({ reason: "ChecksumMismatch", offsetBytes: previousEnd })
      }
    }
    // Group 3 tells of group 2, nobody tells of group 3.
    expect(segment.scan({}, segment.damaged(3)).endPosition).toBe(segment.groups[2]!.endPosition)
  })

  it("holds the segment to the floor known from elsewhere, but not beyond its end", () => {
    const segment = unsynced()
    const floorPosition = segment.groups[2]!.endPosition
    expect(damageOf(() => segment.scan({ floorPosition }, segment.damaged(2))).offsetBytes).toBe(segment.groups[1]!.end)
    expect(segment.scan({ floorPosition }, segment.damaged(3)).tail.kind).toBe("torn")
    const nextBasePosition = segment.groups[3]!.endPosition
    expect(segment.scan({ floorPosition: 1e9, nextBasePosition }).endPosition).toBe(nextBasePosition)
    expect(damageOf(() => segment.scan({ floorPosition: 1e9, nextBasePosition }, segment.damaged(3))).offsetBytes).toBe(segment.groups[2]!.end)
  })

  it("trusts the chain, not the padding, in an unsealed segment", () => {
    const segment = synced()
    const bytes = segment.bytes.slice()
    bytes[segment.groups[1]!.end + 3] = 1
    expect(segment.scan({}, bytes).groups.length).toBe(5)
    expect(damageOf(() => segment.scan({ sealed: { lengthBytes: bytes.length, lastSum: segment.lastSum } }, bytes))).toMatchObject({
      reason: "Malformed",
      offsetBytes: segment.groups[1]!.end
    })
  })
})

describe("what proves nothing", () => {
  it("a copied group inside a value", () => {
    const copy = new SegmentWriter().group().bytes.subarray(512)
    // A value with the segment's own first group, copied to every aligned place.
    const valueAt = 512 + 64 + 4 + 3 + 3 + 3 + 2
    const value = new Uint8Array(2600)
    for (const at of [1024, 1536, 2048, 2560]) value.set(copy, at - valueAt)
    const segment = new SegmentWriter().group().group({ aligned: true })
    const holder = new SegmentWriter().group({ values: [value] })
    expect(holder.bytes.subarray(1536, 1536 + copy.length)).toEqual(copy)
    expect(segment.bytes.subarray(512, 512 + copy.length)).toEqual(copy)
    for (const basePosition of [0, undefined]) {
      expect(holder.scan({ basePosition })).toMatchObject({ nextSequence: 2, tail: clean })
      expect(holder.scan({ basePosition }, holder.damaged(0))).toMatchObject({ endOffset: 512, durableFloor: 0, tail: torn(0) })
    }
  })

  it("a group of another epoch, of another segment, of another place", () => {
    for (const options of [{ epoch: 2 }, { saltSum: 1 }, { position: 0 }, { previousSum: 1 }, { position: 2 ** 53 }]) {
      const segment = new SegmentWriter({ base: 100 }).group({ aligned: true }).group({ aligned: true, ...options })
      const later = "previousSum" in options ? 1 : 0
      expect(segment.scan(), JSON.stringify(options)).toMatchObject({
        endPosition: segment.groups[0]!.endPosition,
        nextSequence: 2,
        tail: torn(later)
      })
      // As the first group of a segment whose base is not known.
      const alone = new SegmentWriter({ base: 100 }).zeros(512).group({ ...options, position: 0, previousSum: 1 })
      expect(alone.scan({ basePosition: undefined }).tail).toEqual(torn(0))
    }
  })

  it("a file of another epoch", () => {
    expect(damageOf(() => synced().scan({ expectedEpoch: 4 }))).toMatchObject({ reason: "Unexpected", offsetBytes: 0 })
    expect(synced().scan({ expectedEpoch: 3 }).groups.length).toBe(5)
  })

  it("a first group that does not follow the segment before", () => {
    const segment = new SegmentWriter({ previousSum: 8 }).group()
    expect(segment.scan({ expectedPreviousSum: 8 })).toMatchObject({ firstPreviousSum: 8, tail: clean })
    expect(segment.scan({ expectedPreviousSum: 9 })).toMatchObject({ lastSum: 9, endPosition: 0, tail: torn(1) })
  })
})

describe("sequences", () => {
  it("may jump after rewritten groups, which the caller checks", () => {
    const segment = new SegmentWriter().group({ rewritten: true }).group({ rewritten: true }).group({ firstSequence: 100 }).group()
    const scan = segment.scan()
    expect(scan.gaps).toEqual([{ from: 3, to: 100 }])
    expect(scan.nextSequence).toBe(102)
    expect([...scan.groups].map((group) => group.rewritten)).toEqual([true, true, false, false])
  })

  it("never have a hole or a repetition elsewhere", () => {
    expect(damageOf(() => new SegmentWriter().group().group({ firstSequence: 3 }).scan()).reason).toBe("Malformed")
    expect(damageOf(() => new SegmentWriter().group({ rewritten: true }).group({ firstSequence: 1 }).scan()).reason).toBe("Malformed")
  })
})

describe("a sealed segment", () => {
  const segment = synced()
  const lengthBytes = segment.bytes.length
  const sealed = { lengthBytes, lastSum: segment.lastSum }

  it("is read to its length, whatever lies beyond", () => {
    const longer = Uint8Array.of(...segment.bytes, ...segment.bytes.subarray(512), 1, 2, 3)
    expect(segment.scan({ sealed }, longer)).toMatchObject({ endOffset: lengthBytes, tail: clean })
    const { end, sum } = segment.groups[2]!
    expect(segment.scan({ sealed: { lengthBytes: end, lastSum: sum } }).groups.length).toBe(3)
  })

  it("with a wrong length or a wrong sum is damaged", () => {
    for (const length of [0, 511, 512, 513, lengthBytes - 1, lengthBytes + 1, segment.groups[2]!.end + 1]) {
      const failure = length === 512 ? undefined : damageOf(() => segment.scan({ sealed: { lengthBytes: length, lastSum: segment.lastSum } }))
      expect(failure === undefined ? "fine" : failure.reason, String(length)).toBe(
        length === 512 ? "fine" : length > lengthBytes || length < 512 ? "Truncated" : "ChecksumMismatch"
      )
    }
    expect(damageOf(() => segment.scan({ sealed: { lengthBytes, lastSum: 1 } })).reason).toBe("ChecksumMismatch")
    expect(damageOf(() => segment.scan({ sealed: { lengthBytes: segment.groups[2]!.end, lastSum: segment.lastSum } })).reason).toBe(
      "ChecksumMismatch"
    )
  })

  it("has no tail to cut", () => {
    const last = segment.groups[4]!
    expect(damageOf(() => segment.scan({ sealed }, segment.damaged(4))).offsetBytes).toBe(last.offset)
  })
})

describe("reading from a position", () => {
  const segment = synced()

  it("starts behind what is in tables", () => {
    const { endPosition, sum } = segment.groups[1]!
    const scan = segment.scan({ fromPosition: endPosition, floorPosition: endPosition, expectedPreviousSum: sum })
    expect([...scan.groups].map((group) => group.firstSequence)).toEqual([3, 4, 5])
    // Without a base it is found in the first group.
    expect(segment.scan({ basePosition: undefined, fromPosition: endPosition }).groups.length).toBe(3)
    expect(segment.scan({ fromPosition: segment.groups[4]!.endPosition })).toMatchObject({ tail: clean, nextSequence: undefined })
    // Damage before it is not this reader's affair.
    expect(segment.scan({ fromPosition: endPosition }, segment.damaged(0)).groups.length).toBe(3)
  })

  it("outside the segment is a mistake, or damage", () => {
    expect(() => segment.scan({ fromPosition: 4999 })).toThrow(RangeError)
    expect(damageOf(() => segment.scan({ fromPosition: segment.groups[4]!.endPosition + 1 })).reason).toBe("Truncated")
  })
})

describe("the list of groups", () => {
  it("grows, and finds how many end at or before a position", () => {
    const segment = new SegmentWriter({ base: 10 })
    for (let i = 0; i < 200; i++) segment.group({ values: [text("v"), text("w")] })
    const { groups } = segment.scan()
    expect(groups.length).toBe(200)
    expect(groups.at(199)).toMatchObject({ firstSequence: 399, count: 2, offset: segment.groups[199]!.offset, rewritten: false, epoch: 3 })
    expect(groups.endingThrough(9)).toBe(0)
    for (const i of [0, 77, 199]) {
      expect(groups.endingThrough(segment.groups[i]!.endPosition - 1)).toBe(i)
      expect(groups.endingThrough(segment.groups[i]!.endPosition)).toBe(i + 1)
    }
    expect(() => groups.at(200)).toThrow(RangeError)
  })
})

describe("reading a file", () => {
  it("hands every group over once, in order, across windows and groups larger than one", () => {
    const segment = new SegmentWriter()
    const sizes = [400_000, 700_000, 30, 2_500_000, 10, 600_000]
    for (const size of sizes) segment.group({ values: [new Uint8Array(size).fill(size & 0xff)], aligned: size > 500_000 })
    const seen: Array<number> = []
    segment.scan({
      onGroup: ({ at, bytes, header }) => {
        seen.push(header.firstSequence)
        expect(crc32(bytes.subarray(at + 16, at + header.lengthBytes), segment.header.saltSum)).toBe(header.sum)
      }
    })
    expect(seen).toEqual([1, 2, 3, 4, 5, 6])
  })

  it("takes a short read for a failure of the disk, never for the end of the log", () => {
    const { bytes, header } = synced()
    const source = { ...bytesSource("a.log", bytes), sizeBytes: () => bytes.length + 10 }
    expect(() => scanSegment(crc32, header, source)).toThrow(IoFailure)
  })

  it("finds a lone byte behind long zeros", () => {
    const segment = synced()
    const bytes = synced().zeros(2_500_003).bytes
    for (const at of [bytes.length - 1, bytes.length - 2, segment.bytes.length, segment.bytes.length + 1_048_576, 2_000_000]) {
      const copy = bytes.slice()
      copy[at] = 1
      expect(segment.scan({}, copy).tail, String(at)).toEqual(torn(0))
    }
  })
})
