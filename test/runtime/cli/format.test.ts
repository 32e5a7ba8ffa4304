import { describe, expect, it } from "vitest"
import { Latencies } from "../../../src/runtime/cli/benching/Latencies.ts"
import { reference, verdictOf } from "../../../src/runtime/cli/benching/verdict.ts"
import { hexdump } from "../../../src/runtime/cli/format/hexdump.ts"
import { formatTable } from "../../../src/runtime/cli/format/table.ts"
import { cutToWidth, padToWidth, textWidth } from "../../../src/runtime/cli/format/textWidth.ts"
import { durationMs, momentOf } from "../../../src/runtime/cli/timeText.ts"
import { fitLines } from "../../../src/runtime/cli/watching/screen.ts"

describe("widths", () => {
  it("are those of a terminal", () => {
    expect(["", "abc", "é", "e\u0301", "漢字", "🙂", "ｱ", "한"].map(textWidth)).toEqual([0, 3, 1, 1, 4, 2, 1, 2])
    expect([cutToWidth("abcdef", 6), cutToWidth("abcdef", 4), cutToWidth("漢字漢字", 6), cutToWidth("漢字漢字", 5), cutToWidth("abc", 0)]).toEqual([
      "abcdef",
      "abc…",
      "漢字…",
      "漢字…",
      ""
    ])
    expect(padToWidth("漢", 4)).toBe("漢  ")
    expect(
      formatTable(
        [
          ["漢字", "1"],
          ["abc", "22"]
        ],
        ["left", "right"]
      )
    ).toEqual(["漢字   1", "abc   22"])
  })

  it("fit a screen in both directions", () => {
    const lines = Array.from({ length: 30 }, (_, i) => `\u001b[1mline ${i} ${"x".repeat(i)}\u001b[22m`)
    const fitted = fitLines(lines, 12, 10)
    expect(fitted).toHaveLength(9)
    expect(fitted[0]).toBe(lines[0])
    expect(fitted.at(-2)).toBe("line 7 xxxx…")
    expect(fitted.at(-1)).toBe("… 22 more l…")
    expect(fitLines(lines, 80, 40)).toEqual(lines)
  })
})

describe("hexdump", () => {
  it("has nothing to show of nothing, and ends in the middle of a line", () => {
    expect([...hexdump(new Uint8Array(0), 80)]).toEqual([])
    expect([...hexdump(Buffer.from("0123456789"), 40)]).toEqual([
      "00000000  30 31 32 33 34 35 36 37  |01234567|",
      "00000008  38 39                    |89|"
    ])
  })
})

describe("times on the command line", () => {
  it("are durations with a unit", () => {
    expect(["500ms", "30s", "5m", "1h", "7d", "2w", "1h30m", "1.5h", "5 minutes", "1 day"].map(durationMs)).toEqual([
      500, 30_000, 300_000, 3_600_000, 604_800_000, 1_209_600_000, 5_400_000, 5_400_000, 300_000, 86_400_000
    ])
    expect(["", "5", "h", "5x", "-5s", "5 parsecs", "unlimited"].map(durationMs)).toEqual(Array.from({ length: 7 }))
  })

  it("are moments: a sequence, a date, some time ago", () => {
    const now = Date.UTC(2026, 10, 21, 18)
    expect(momentOf("42", now)).toBe(42)
    expect(momentOf("2026-11-21T17:00:00Z", now)).toEqual(new Date(now - 3_600_000))
    expect(momentOf("10m ago", now)).toEqual(new Date(now - 600_000))
    expect(["yesterday", "", "2026-13-45", "x ago", "1.5"].map((text) => momentOf(text, now))).toEqual(Array.from({ length: 5 }))
  })
})

describe("what bench says", () => {
  const measured = (perSecond: number, p50Ms = 1000 / perSecond, p99Ms = 2 * p50Ms) => ({ count: 100, perSecond, p50Ms, p99Ms })
  const good = {
    sync: measured(8000),
    commits: measured(6000),
    callers: measured(100_000, 2),
    batches: measured(500_000),
    gets: measured(800_000),
    scan: measured(2_000_000)
  }
  const calm = { load: 0.2, isMemory: false }
  const said = (results: typeof good, machine = calm) => verdictOf(results, machine).join(" ")

  it("takes percentiles of steps, and a rate of all", () => {
    const latencies = new Latencies()
    for (let i = 1; i <= 100; i++) latencies.add(i, 10)
    expect(latencies.measured()).toEqual({ count: 1000, perSecond: (1000 * 1000) / 5050, p50Ms: 51, p99Ms: 100 })
    const each = new Latencies()
    each.add(500, 1000, true)
    expect(each.measured()).toEqual({ count: 1000, perSecond: 2000, p50Ms: 0.5, p99Ms: 0.5 })
    expect(new Latencies().measured()).toEqual({ count: 0, perSecond: 0, p50Ms: 0, p99Ms: 0 })
    const many = new Latencies()
    for (let i = 0; i < 200_000; i++) many.add(i < 100_000 ? 1 : 3)
    expect(many.measured().p99Ms).toBe(3)
    expect(many.measured().count).toBe(200_000)
  })

  it("names the disk by the time of a sync", () => {
    expect(said({ ...good, sync: measured(125) })).toContain("A sync takes 8.00 ms: this is a spinning or a networked disk")
    expect(said({ ...good, sync: measured(1000) })).toContain("an ordinary SSD")
    expect(said(good)).toContain("a fast SSD")
    expect(said({ ...good, sync: measured(1_000_000) })).toContain("no disk is that fast")
    expect(said(good, { ...calm, isMemory: true })).toContain("in memory")
    expect(said({ ...good, sync: measured(4000, 0.25, 40) })).toContain("something else is writing to this disk")
  })

  it("says what is slow and why", () => {
    expect(said(good)).toContain("as fast as they should be")
    const slow = { ...good, gets: measured(reference.gets.perSecond * 0.3), scan: measured(1000) }
    expect(said(slow)).toContain("Random gets and scans are slower than the reference: the processor is slow")
    expect(said(slow, { ...calm, load: 3 })).toContain("measure again when it is quiet")
    expect(said(good, { ...calm, load: 3 })).toContain("The machine was busy")
    expect(said({ ...good, commits: measured(300) })).toContain("share their syncs: 100,000/s by many callers, 300/s by one")
  })
})
