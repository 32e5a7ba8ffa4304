import { describe, expect, it } from "vitest"
import { Damage } from "../../../src/domain/failures.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { type SegmentExtent, type SegmentFacts, verifySegment } from "../../../src/domain/wal/verifySegment.ts"
import { crc32, SegmentWriter, text } from "./segments.ts"

const extentOf = (writer: SegmentWriter): SegmentExtent => ({ lengthBytes: writer.bytes.length, lastSum: writer.lastSum, basePosition: writer.base })

const verified = (
  writer: SegmentWriter,
  extent = extentOf(writer),
  bytes = writer.bytes
): { readonly facts: SegmentFacts; readonly read: number } | Damage => {
  try {
    const steps = verifySegment(crc32, new Map(), writer.header, bytesSource("segment", bytes), extent)
    let read = 0
    for (;;) {
      const step = steps.next()
      if (step.done === true) return { facts: step.value, read }
      read += step.value
    }
  } catch (cause) {
    if (cause instanceof Damage) return cause
    throw cause
  }
}

const sound = (): SegmentWriter =>
  new SegmentWriter({ base: 100 })
    .group()
    .group({ values: [text("a"), text("b")] })
    .group({ aligned: true })

describe("verifySegment", () => {
  it("reads all of it, and says what stands in it", () => {
    const writer = sound()
    expect(verified(writer)).toEqual({
      facts: {
        groups: 3,
        firstPreviousSum: 0x0102_0304,
        firstSequence: 1,
        lastSequence: 4,
        lastSum: writer.lastSum,
        endPosition: writer.groups.at(-1)!.endPosition,
        lastCommitMs: 1000,
        gaps: []
      },
      read: writer.bytes.length
    })
    // What comes behind the extent is not looked at.
    const extent = extentOf(writer)
    expect(verified(sound().group(), extent)).toMatchObject({ facts: { groups: 3 } })
    expect(verified(new SegmentWriter(), { lengthBytes: 512, lastSum: 0, basePosition: 0 })).toMatchObject({
      facts: { groups: 0, firstSequence: undefined }
    })
  })

  it("finds any flipped bit, at or before it", () => {
    const writer = sound()
    for (let at = 512; at < writer.bytes.length; at++) {
      const bytes = writer.bytes.slice()
      bytes[at]! ^= 1 << (at % 8)
      const damage = verified(writer, extentOf(writer), bytes)
      expect(damage, `byte ${at}`).toBeInstanceOf(Damage)
      if (damage instanceof Damage) expect(damage.offsetBytes).toBeLessThanOrEqual(at)
    }
  })

  it("pauses in a large one", () => {
    const writer = new SegmentWriter()
    for (let i = 0; i < 40; i++) writer.group({ values: [new Uint8Array(30_000)] })
    const steps = verifySegment(crc32, new Map(), writer.header, bytesSource("segment", writer.bytes), extentOf(writer))
    let pauses = 0
    while (steps.next().done !== true) pauses++
    expect(pauses).toBeGreaterThan(3)
  })

  for (const [what, make] of Object.entries({
    "a group of another epoch": () => sound().group({ epoch: 2 }),
    "a group in another place": () => sound().group({ position: 9999 }),
    "a group that does not follow": () => sound().group({ previousSum: 5 }),
    "a sequence twice": () => sound().group({ firstSequence: 4 }),
    "a hole in the sequences": () => sound().group({ firstSequence: 9 }),
    "bytes that are no group": () => {
      const writer = sound()
      writer.bytes = new Uint8Array([...writer.bytes, 1, 2, 3])
      return writer
    },
    "zeros where groups should be": () => sound().zeros(600)
  })) {
    it(`refuses ${what}, under right sums`, () => {
      expect(verified(make())).toBeInstanceOf(Damage)
    })
  }

  it("refuses another length and another last group than the extent says", () => {
    const writer = sound()
    const extent = extentOf(writer)
    expect(verified(writer, { ...extent, lastSum: 1 })).toMatchObject({ reason: "ChecksumMismatch" })
    expect(verified(writer, { ...extent, lengthBytes: extent.lengthBytes + 1 })).toMatchObject({ reason: "Truncated" })
    expect(verified(writer, { ...extent, lengthBytes: writer.groups[1]!.end })).toMatchObject({ reason: "ChecksumMismatch" })
    expect(verified(writer, { ...extent, lengthBytes: 100 })).toMatchObject({ reason: "Truncated" })
    expect(verified(writer, { ...extent, basePosition: 0 })).toBeInstanceOf(Damage)
  })

  it("tells the gaps after groups that were written again", () => {
    expect(verified(new SegmentWriter().group({ rewritten: true }).group({ firstSequence: 9 }))).toMatchObject({
      facts: { gaps: [{ from: 2, to: 9 }], lastSequence: 9 }
    })
  })
})
