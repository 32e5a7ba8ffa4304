import { describe, expect, it } from "vitest"
import { deletedRangesMax, deletedRangesOf, rangeHolds } from "../../../src/domain/compaction/deletedRanges.ts"

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const piece = (start: string, end: string, keyspace = 1, sequences = [5]) => ({ keyspace, start: text(start), end: text(end), sequences })
const show = (ranges: ReturnType<typeof deletedRangesOf>) =>
  ranges.map(({ end, keyspace, start }) => `${keyspace}:${Buffer.from(start).toString()}..${Buffer.from(end).toString()}`).join(" ")

describe("deletedRangesOf", () => {
  it("joins what touches within a keyspace, whatever its sequences", () => {
    expect(show(deletedRangesOf([piece("a", "c"), piece("c", "f", 1, [9, 5]), piece("g", "h"), piece("h", "k", 2)]))).toBe("1:a..f 1:g..h 2:h..k")
    expect(deletedRangesOf([])).toEqual([])
  })

  it("keeps the widest, in key order", () => {
    const narrow = Array.from({ length: 20 }, (_, i) => piece(`k${100 + i}a`, `k${100 + i}b`))
    const found = deletedRangesOf([
      ...narrow.slice(0, 10),
      piece("k115", "k117"),
      ...narrow.slice(17),
      piece("m", "q"),
      piece("x", "xxx", 2),
      piece("b", "y", 3)
    ])
    expect(found).toHaveLength(deletedRangesMax)
    expect(show(found)).toContain("1:k115..k117 1:m..q")
    expect(show(found)).toContain("3:b..y")
  })

  it("notes no long keys, and copies the others", () => {
    const start = text("a")
    const [range] = deletedRangesOf([{ keyspace: 1, start, end: text("b"), sequences: [1] }, piece("c", "d".repeat(300))])
    start[0] = 0
    expect(show([range!])).toBe("1:a..b")
    expect(deletedRangesOf([piece("c", "d".repeat(300))])).toEqual([])
  })
})

describe("rangeHolds", () => {
  it("means the whole span, and the end is exclusive", () => {
    const span = (from: string, to: string, keyspace = 1) => ({ smallest: { keyspace, key: text(from) }, largest: { keyspace, key: text(to) } })
    const range = piece("c", "m")
    expect(rangeHolds(range, span("c", "l"))).toBe(true)
    expect(rangeHolds(range, span("c", "m"))).toBe(false)
    expect(rangeHolds(range, span("b", "d"))).toBe(false)
    expect(rangeHolds(range, span("d", "e", 2))).toBe(false)
  })
})
