import { describe, expect, it } from "vitest"
import { TimeMarks } from "../../../src/domain/history/TimeMarks.ts"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"

const marksOf = (...rows: ReadonlyArray<readonly [second: number, sequence: number, isLast?: boolean]>): TimeMarks => {
  const marks = new TimeMarks()
  for (const [second, sequence, isLast = false] of rows) marks.add(second, sequence, isLast)
  return marks
}

describe("TimeMarks", () => {
  it("tells the sequence before a second, and the second of a sequence", () => {
    const marks = marksOf([100, 1], [101, 4], [103, 5])
    expect([99, 100, 101, 102, 103, 104].map((second) => marks.sequenceBefore(second, 9))).toEqual([0, 0, 3, 4, 4, 9])
    expect([0, 1, 3, 4, 5, 9].map((sequence) => marks.secondAt(sequence))).toEqual([100, 100, 100, 101, 103, 103])
    expect([99, 101, 102, 104].map((second) => marks.floorAt(second, 9))).toEqual([0, 3, 4, 9])
  })

  it("knows nothing of what lies before the first mark, unless that is the first commit of all", () => {
    const marks = marksOf([100, 7])
    expect(marks.sequenceBefore(100, 9)).toBeUndefined()
    expect(marks.sequenceBefore(101, 9)).toBe(9)
    // The time of what has none is that of what follows: what had expired by then is gone.
    expect(marks.secondAt(3)).toBe(100)
    const none = new TimeMarks()
    expect(none.sequenceBefore(100, 9)).toBeUndefined()
    expect(none.sequenceBefore(100, 0)).toBe(0)
    expect(none.secondAt(9)).toBeUndefined()
    expect(none.isOpen).toBe(false)
  })

  it("knows nothing of what lies between a last mark and the next one", () => {
    const marks = marksOf([100, 1], [140, 8, true])
    expect(marks.isOpen).toBe(false)
    expect(marks.sequenceBefore(140, 11)).toBe(7)
    expect(marks.sequenceBefore(141, 11)).toBeUndefined()
    expect(marks.secondAt(9)).toBeUndefined()
    marks.add(240, 12, false)
    expect([140, 141, 240, 241].map((second) => marks.sequenceBefore(second, 15))).toEqual([7, undefined, undefined, 15])
    expect([7, 8, 11, 12].map((sequence) => marks.secondAt(sequence))).toEqual([100, 240, 240, 240])
  })

  it("takes back what failed, and forgets what nobody asks for", () => {
    const marks = marksOf([100, 1], [101, 4], [103, 5], [110, 20])
    marks.removeFrom(5)
    expect(marks.newestSecond).toBe(101)
    marks.add(105, 6, false)
    expect([0, 1, 3, 4, 5, 6, 99].map((sequence) => marks.countBefore(sequence))).toEqual([0, 0, 0, 1, 1, 2, 2])
    marks.forget(1)
    expect(marks.count).toBe(2)
    expect(marks.secondOf(0)).toBe(101)
    expect(marks.secondAt(5)).toBe(101)
    expect(marks.sequenceBefore(101, 9)).toBeUndefined()
  })

  it("agrees with a list of all commits", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const prng = seededPrng(seed)
      const marks = new TimeMarks()
      const seconds: Array<number> = [0]
      for (let sequence = 1, second = 1000; sequence <= 300; sequence++) {
        second += drawInt(prng, 3)
        if (second > marks.newestSecond) marks.add(second, sequence, false)
        seconds.push(second)
      }
      for (let second = 995; second < seconds[300]! + 5; second++) {
        let expected = 300
        while (seconds[expected]! >= second) expected--
        expect(marks.sequenceBefore(second, 300), `seed ${seed}, second ${second}`).toBe(expected)
      }
      for (let sequence = 1; sequence <= 300; sequence++)
        expect(marks.secondAt(sequence), `seed ${seed}, sequence ${sequence}`).toBe(seconds[sequence])
    }
  })
})
