import { isDeepStrictEqual } from "node:util"
import { describe, expect, it } from "vitest"
import { alignUp, isZero, writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { Damage, IoFailure } from "../../../src/domain/failures.ts"
import { GroupBuilder } from "../../../src/domain/wal/GroupBuilder.ts"
import { decodeTransactions, type LoggedTransaction } from "../../../src/domain/wal/LoggedTransaction.ts"
import { decodeSegmentHeader, encodeSegmentHeader } from "../../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { frameOfDamaged, isSegment, type SegmentFrame, walkSegment } from "../../../src/domain/wal/walkSegment.ts"
import { docExample } from "../bytes/hexDump.ts"
import { counting, crc32, SegmentWriter } from "./segments.ts"

interface Shown {
  readonly type: "group" | "gap" | "zeros"
  readonly offset: number
  readonly end: number
  readonly index?: number
  readonly sound?: boolean
  readonly follows?: boolean
  readonly paddingIsZero?: boolean
  readonly problem?: string | undefined
  readonly laterGroups?: boolean
  /** Of sound groups only. */
  readonly transactions?: ReadonlyArray<LoggedTransaction> | undefined
}
type Options = Parameters<typeof walkSegment>[3]

const frameOf = (bytes: Uint8Array): SegmentFrame | undefined => {
  try {
    return decodeSegmentHeader(crc32, "segment", bytes)
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    return frameOfDamaged(crc32, bytes)
  }
}

/** Everything a walk shows. Whatever the bytes are, the parts and the padding before groups cover each byte behind the header exactly once. */
const show = (bytes: Uint8Array, options: Options = {}): ReadonlyArray<Shown> => {
  const shown: Array<Shown> = []
  const frame = frameOf(bytes)
  if (frame === undefined) return shown
  let end = frame.alignment
  for (const part of walkSegment(crc32, frame, bytesSource("segment", bytes), options)) {
    if (part.type !== "group") {
      if (part.offset !== end || part.lengthBytes <= 0) throw new Error(`${part.type} at ${part.offset}, not ${end}`)
      end += part.lengthBytes
      if ((part.type === "zeros") !== isZero(bytes, part.offset, end) && !(part.type === "gap" && part.laterGroups)) throw new Error("zeros")
      shown.push({ type: part.type, offset: part.offset, end, ...(part.type === "gap" ? { laterGroups: part.laterGroups } : {}) })
      continue
    }
    const { group, index, paddingIsZero, problem, sumHolds } = part
    const { offset } = group
    if (offset !== end && offset !== alignUp(end, frame.alignment)) throw new Error(`group at ${offset} after ${end}`)
    if (paddingIsZero !== isZero(bytes, end, offset)) throw new Error(`padding before ${offset}`)
    end = offset + group.header.lengthBytes
    const stored = group.bytes.subarray(group.at, group.at + group.header.lengthBytes)
    if (Buffer.compare(stored, bytes.subarray(offset, end)) !== 0) throw new Error(`bytes of the group at ${offset}`)
    const transactions = sumHolds && problem === undefined ? decodeTransactions({ ...group, bytes: group.bytes.slice() }) : undefined
    shown.push({ type: "group", offset, end, index, sound: sumHolds, follows: part.follows, paddingIsZero, problem: problem?.reason, transactions })
  }
  const limit = Math.min(options?.limit ?? bytes.length, bytes.length)
  if (end !== Math.max(limit, frame.alignment)) throw new Error(`ends at ${end}, not ${limit}`)
  return shown
}
const brief = (parts: ReadonlyArray<Shown>): ReadonlyArray<string> =>
  parts.map(({ end, follows, laterGroups, offset, problem, sound, type }) =>
    [type, offset, end, sound === false && "damaged", follows === false && "unchained", problem, laterGroups === true && "later"]
      .filter((word) => word !== false && word !== undefined)
      .join(" ")
  )
const group = (segment: SegmentWriter, index: number, ...words: ReadonlyArray<string>): string =>
  ["group", segment.groups[index]!.offset, segment.groups[index]!.end, ...words].join(" ")

const example = Uint8Array.from(docExample("wal"))
const firstEnd = 0x200 + 115
const secondEnd = 0x400 + 172
const bases: ReadonlyArray<{ readonly basePosition?: number }> = [{ basePosition: 300 }, {}]

describe("the worked example", () => {
  const sound = show(example)
  const [first, second, zeros] = sound

  it("is shown in order, whole", () => {
    expect(brief(sound)).toEqual([`group 512 ${firstEnd}`, `group 1024 ${secondEnd}`, `zeros ${secondEnd} ${example.length}`])
    expect(sound.flatMap((part) => part.transactions ?? []).map(({ sequence }) => sequence)).toEqual([40, 41, 42])
    expect(show(example, { basePosition: 300 })).toEqual(sound)
    expect(show(example, { limit: secondEnd })).toEqual([first, second])
    expect(show(example, { limit: firstEnd })).toEqual([first])
    // A base of another place: none of it is a group.
    expect(brief(show(example, { basePosition: 301 }))).toEqual([`gap 512 ${example.length}`])
  })

  it("at every prefix is what is whole of it, and one part for the rest", () => {
    for (let n = 0; n <= example.length; n++) {
      const expected: Array<unknown> = []
      if (n >= firstEnd) expected.push(first)
      else if (n > 512) expected.push({ type: "gap", offset: 512, end: n, laterGroups: false })
      if (n >= secondEnd) expected.push(second)
      else if (n > 1024) expected.push({ type: "gap", offset: firstEnd, end: n, laterGroups: false })
      else if (n > firstEnd) expected.push({ type: "zeros", offset: firstEnd, end: n })
      if (n > secondEnd) expected.push({ ...zeros, end: n })
      for (const base of bases) expect(show(example.subarray(0, n), base), `prefix ${n}`).toEqual(expected)
    }
  })

  it("with any bit flipped is the same outside, and the damage is at its place", () => {
    for (let bit = 0; bit < example.length * 8; bit++) {
      const at = bit >> 3
      // The alignment of a damaged header is a guess: see below.
      if (at >= 16 && at < 20) continue
      // Long zeros differ only in where they are: one bit in 7 is enough.
      if (((at >= 144 && at < 512) || (at >= firstEnd && at < 1024) || at >= secondEnd) && bit % 7 !== 0) continue
      const bytes = example.slice()
      bytes[at]! ^= 1 << (bit & 7)
      for (const base of bases) {
        const parts = show(bytes, base)
        const same = (shown: unknown, expected: unknown): void => {
          if (!isDeepStrictEqual(shown, expected))
            expect(shown, `bit ${bit}, base ${base.basePosition}: ${brief(parts).join(", ")}`).toEqual(expected)
        }
        const [one, two, ...rest] = parts
        if (at >= 128 && at < 144) same(brief(parts), [`${brief(sound)[0]} damaged`, `${brief(sound)[1]} damaged`, brief(sound)[2]])
        else if (at < 512) same(parts, sound)
        else if (at < firstEnd) {
          if (one?.type === "group") same([one.offset, one.sound], [512, false])
          else same(one, { type: "gap", offset: 512, end: 1024, laterGroups: true })
          same([two?.offset, two?.sound, two?.transactions, rest], [1024, true, second?.transactions, [zeros]])
        } else if (at < 1024) same(parts, [first, { ...second, paddingIsZero: false }, zeros])
        else if (at < secondEnd) {
          same(one, first)
          if (two?.type === "group") same([two.offset, two.sound], [1024, false])
          else same(parts, [first, { type: "gap", offset: firstEnd, end: example.length, laterGroups: false }])
        } else same(parts, [first, second, { type: "gap", offset: secondEnd, end: example.length, laterGroups: false }])
      }
    }
  })
})

describe("behind damage", () => {
  /** Two packed, two aligned. */
  const segment = new SegmentWriter({ base: 5000 }).group().group().group({ aligned: true }).group({ aligned: true })
  const [, , third] = segment.groups

  it("a damaged group is shown as such, with all the others", () => {
    for (const index of [0, 1, 2, 3])
      expect(brief(show(segment.damaged(index)))).toEqual([0, 1, 2, 3].map((i) => (i === index ? group(segment, i, "damaged") : group(segment, i))))
    expect(show(segment.damaged(1)).map(({ index }) => index)).toEqual([0, 1, 2, 3])
  })

  it("a length that would cover later groups hides none of them", () => {
    for (const lengthBytes of [third!.end - 512, segment.bytes.length - 512]) {
      const bytes = segment.bytes.slice()
      writeU32(bytes, 512 + 16, lengthBytes)
      for (const base of [{}, { basePosition: 5000 }])
        expect(brief(show(bytes, base))).toEqual([`gap 512 ${third!.offset} later`, group(segment, 2), group(segment, 3)])
    }
  })

  it("a damaged position of the first group misplaces no other", () => {
    expect(brief(show(segment.damaged(0, 25)))).toEqual([group(segment, 0, "damaged"), ...[1, 2, 3].map((i) => group(segment, i))])
    // With the base known, it is the group of another place, and the next one is found at the alignment.
    const parts = brief(show(segment.damaged(0, 25), { basePosition: 5000 }))
    expect(parts).toEqual([`gap 512 ${third!.offset} later`, group(segment, 2), group(segment, 3)])
  })

  it("a group after a gap, or of another chain, says that it does not follow", () => {
    expect(brief(show(segment.damaged(1, 33)))).toEqual([
      group(segment, 0),
      `gap ${segment.groups[0]!.end} ${third!.offset} later`,
      group(segment, 2, "unchained"),
      group(segment, 3)
    ])
    expect(brief(show(new SegmentWriter().group().group({ previousSum: 1 }).bytes))[1]).toMatch(/unchained/)
  })

  it("a whole group with impossible numbers is named, and what follows goes on", () => {
    const odd = new SegmentWriter({ base: 100 }).group().group({ durableThrough: 1e6 }).group()
    expect(brief(show(odd.bytes))).toEqual([group(odd, 0), group(odd, 1, "Malformed"), group(odd, 2)])
    // As the first one, it does not decide where the others stand.
    const far = new SegmentWriter({ base: 100 }).group({ position: 2 ** 53 }).group()
    expect(brief(show(far.bytes))).toEqual([group(far, 0, "Malformed"), group(far, 1)])
  })

  it("a copy of a group, in a place that is not its own, is none", () => {
    const bytes = segment.bytes.slice()
    bytes.copyWithin(third!.offset, 512, segment.groups[0]!.end)
    expect(brief(show(bytes)).slice(0, 2)).toEqual([group(segment, 0), group(segment, 1)])
    expect(show(bytes)[2]).toMatchObject({ type: "gap", offset: segment.groups[1]!.end, end: segment.groups[3]!.offset })
  })

  it("groups larger than what is read at a time, and long zeros between", () => {
    const large = new SegmentWriter().group({ values: [new Uint8Array(1_300_000).fill(7)] }).group()
    large.zeros(2_000_000).group({ aligned: true })
    const gap = `gap ${large.groups[1]!.end} ${large.groups[2]!.offset} later`
    expect(brief(show(large.bytes))).toEqual([group(large, 0), group(large, 1), gap, group(large, 2)])
    expect(brief(show(large.damaged(0, 1_000_000))).slice(0, 2)).toEqual([group(large, 0, "damaged"), group(large, 1)])
  })
})

describe("the header", () => {
  const header = new SegmentWriter().bytes

  it("alone, an empty file, and zeros show nothing", () => {
    expect(show(header)).toEqual([])
    expect(show(new Uint8Array(0))).toEqual([])
    expect(show(new Uint8Array(9000))).toEqual([])
    expect(frameOfDamaged(crc32, header.subarray(0, 143))).toBeUndefined()
    expect(brief(show(new SegmentWriter().zeros(700).bytes))).toEqual(["zeros 512 1212"])
    expect(isSegment(new Uint8Array(0))).toBe(false)
  })

  it("with a wrong magic still tells where groups are", () => {
    const bytes = example.slice()
    bytes[0]! ^= 1
    expect([isSegment(example), isSegment(bytes), isSegment(example.subarray(0, 7))]).toEqual([true, false, false])
    expect(show(bytes)).toEqual(show(example))
  })

  it("with a damaged alignment is taken for one of the default", () => {
    const headerBytes = encodeSegmentHeader(crc32, { uuid: counting(1), fileId: 7, epoch: 3, salt: counting(2) })
    const { saltSum } = decodeSegmentHeader(crc32, "segment", headerBytes)
    const builder = new GroupBuilder(crc32)
    builder.beginTransaction(1000)
    builder.put(1, counting(3), counting(4))
    builder.endTransaction()
    const group = builder.finish({ saltSum, epoch: 3, position: 0, firstSequence: 1, durableThrough: 0, previousSum: 0 })
    const file = Uint8Array.of(...headerBytes, ...group.bytes)
    const sound = show(file)
    expect(brief(sound)).toEqual([`group 4096 ${file.length}`])
    for (let bit = 0; bit < 32; bit++) {
      const damaged = file.slice()
      damaged[16 + (bit >> 3)]! ^= 1 << (bit & 7)
      expect(frameOfDamaged(crc32, damaged)).toEqual({ alignment: 4096, epoch: 3, saltSum })
      expect(show(damaged)).toEqual(sound)
    }
  })
})

describe("a failure that is no damage", () => {
  it("is thrown", () => {
    const frame = frameOf(example)!
    const short = { ...bytesSource("a.log", example), sizeBytes: () => example.length + 10 }
    expect(() => [...walkSegment(crc32, frame, short)]).toThrow(IoFailure)
    const failing = (): number => new Uint8Array(-1).length
    expect(() => [...walkSegment(failing, frame, bytesSource("a.log", example))]).toThrow(RangeError)
  })
})
