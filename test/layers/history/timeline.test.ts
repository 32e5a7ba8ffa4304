/** Which commits bring a mark, and which marks go. */
import { describe, expect, it } from "vitest"
import { TimeMarks } from "../../../src/domain/history/TimeMarks.ts"
import { decodeMarkRow } from "../../../src/domain/keys/catalogRows.ts"
import { make } from "../../../src/layers/Timeline.ts"

describe("Timeline", () => {
  it("asks the first commit of each second for a mark, where history is kept, and one more when it no longer is", () => {
    let keeps = false
    const timeline = make(
      new TimeMarks(),
      () => keeps,
      () => 0
    )
    expect(timeline.due(5_000)).toBeUndefined()
    keeps = true
    const first = timeline.due(5_999)!
    expect(decodeMarkRow(first.key, first.value)).toEqual({ second: 5, isLast: false })
    // Not noted: the commit was refused.
    expect(timeline.due(5_999)).toMatchObject({ second: 5 })
    timeline.noted(first, 7)
    expect(timeline.due(5_999)).toBeUndefined()
    keeps = false
    expect(timeline.due(5_999)).toBeUndefined()
    const last = timeline.due(6_000)!
    expect(decodeMarkRow(last.key, last.value)).toEqual({ second: 6, isLast: true })
    const takeBack = timeline.noted(last, 9)
    expect(timeline.due(7_000)).toBeUndefined()
    takeBack()
    expect(timeline.due(6_500)).toMatchObject({ second: 6, isLast: true })
    expect([timeline.timeOf(7), timeline.timeOf(8)]).toEqual([5_000, 5_000])
  })

  it("deletes the marks that nobody can ask for, a few with each new one, and keeps the one that history begins with", () => {
    let historyFrom = 0
    const marks = new TimeMarks()
    const timeline = make(
      marks,
      () => true,
      () => historyFrom
    )
    for (let second = 1; second <= 20; second++) timeline.noted(timeline.due(second * 1000)!, second * 10)
    historyFrom = 95
    const gone: Array<number> = []
    for (let second = 21; second <= 30; second++) {
      const due = timeline.due(second * 1000)!
      expect(due.obsolete.length).toBeLessThanOrEqual(4)
      gone.push(...due.obsolete.map((key) => decodeMarkRow(key, new Uint8Array(1))!.second))
      timeline.noted(due, second * 10)
    }
    expect(gone.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(timeline.timeOf(95)).toBe(9_000)
    expect(timeline.timeOf(100)).toBe(10_000)
  })
})
