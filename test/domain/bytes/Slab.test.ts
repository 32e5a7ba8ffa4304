import { describe, expect, it } from "vitest"
import { decodeText } from "../../../src/domain/bytes/decodeText.ts"
import { Slab } from "../../../src/domain/bytes/Slab.ts"

describe("Slab", () => {
  const source = Uint8Array.from({ length: 4096 }, (_, i) => i * 31)

  it("copies exactly, at every size, and never hands out a byte twice", () => {
    const slab = new Slab()
    const given: Array<{ readonly copy: Uint8Array; readonly start: number; readonly end: number }> = []
    for (let i = 0; i < 3000; i++) {
      const start = (i * 37) % 2000
      const end = start + ((i * 13) % 1300)
      given.push({ copy: slab.copy(source, start, end), start, end })
    }
    for (const { copy, start, end } of given) expect(Buffer.compare(copy, source.subarray(start, end))).toBe(0)
    // Scribbling over one changes no other.
    for (const { copy } of given) copy.fill(0xee)
    const again = slab.copy(source, 0, 100)
    for (const { copy } of given) copy.fill(0x11)
    expect(Buffer.compare(again, source.subarray(0, 100))).toBe(0)
    const ranges = new Map<ArrayBufferLike, Array<readonly [number, number]>>()
    for (const { copy } of given) ranges.set(copy.buffer, [...(ranges.get(copy.buffer) ?? []), [copy.byteOffset, copy.byteOffset + copy.length]])
    for (const list of ranges.values()) {
      list.sort((a, b) => a[0] - b[0] || a[1] - b[1])
      for (let i = 1; i < list.length; i++) expect(list[i]![0]).toBeGreaterThanOrEqual(list[i - 1]![1])
    }
  })

  it("shares at most 16 KiB below 1 KiB, and nothing above", () => {
    const slab = new Slab()
    const small = slab.copy(source, 0, 1023)
    expect(small.buffer.byteLength).toBe(16 * 1024)
    expect(slab.copy(source, 0, 10).buffer).toBe(small.buffer)
    const large = slab.copy(source, 5, 5 + 1024)
    expect(large.buffer.byteLength).toBe(1024)
    expect(Buffer.compare(large, source.subarray(5, 5 + 1024))).toBe(0)
    expect(slab.copy(source, 3, 3)).toHaveLength(0)
  })

  it("copies out of shared memory and out of views into ordinary memory", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(9)
    expect(new Slab().copy(shared, 8, 40).buffer).toBeInstanceOf(ArrayBuffer)
    expect([...new Slab().copy(source.subarray(100), 1, 3)]).toEqual([...source.subarray(101, 103)])
  })
})

describe("decodeText", () => {
  it("keeps a byte order mark, and marks what is no UTF-8", () => {
    expect(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa")
    expect(decodeText(Uint8Array.of(0x61, 0xff))).toBe("a\ufffd")
  })
})
