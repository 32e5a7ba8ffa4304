import { describe, expect, it } from "vitest"
import { KeptCounter, keptOf, type KeptVersions, withKept } from "../../../src/domain/history/keptVersions.ts"
import { random } from "../merge/ArrayCursor.ts"

const counted = (limits: ReadonlyArray<KeptVersions>, versions: number, sequences: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counter = new KeptCounter(limits, versions)
  return sequences.filter((sequence) => counter.takes(sequence))
}

describe("what is kept by count", () => {
  it("is the drawing of the header", () => {
    const limits = [
      { sequence: 40, count: 0 },
      { sequence: 70, count: 3 }
    ]
    expect(counted(limits, 9, [90, 81, 66, 60, 52, 45, 38, 20])).toEqual([90, 81, 66, 60, 52])
    expect(counted(limits, 2, [90, 81, 66])).toEqual([90, 81])
    expect(counted(limits, 9, [45, 40, 38])).toEqual([45])
    expect(counted([], 2, [3, 2, 1])).toEqual([3, 2])
  })

  it("begins where history does, before anything was counted", () => {
    expect(keptOf(new Map(), new Map([[1, 40]]), 1)).toEqual([{ sequence: 40, count: 0 }])
    expect(keptOf(new Map(), new Map(), 1)).toEqual([])
    expect(keptOf(new Map([[1, [{ sequence: 70, count: 3 }]]]), new Map([[1, 90]]), 1)).toEqual([{ sequence: 70, count: 3 }])
  })

  it("says the same in whatever order it was noted, and in few words", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const next = random(seed)
      const noted = Array.from({ length: 1 + next(8) }, () => ({ sequence: 10 * next(10), count: next(5) }))
      const fold = (limits: ReadonlyArray<KeptVersions>) => limits.reduce<ReadonlyArray<KeptVersions>>(withKept, [])
      const limits = fold(noted)
      expect(fold(noted.slice().reverse()), `seed ${seed}`).toEqual(limits)
      expect(fold([...noted, ...noted]), `seed ${seed}`).toEqual(limits)
      for (let i = 1; i < limits.length; i++) {
        expect(limits[i]!.sequence, `seed ${seed}`).toBeGreaterThan(limits[i - 1]!.sequence)
        expect(limits[i]!.count, `seed ${seed}`).toBeGreaterThan(limits[i - 1]!.count)
      }
      const sequences = Array.from({ length: 12 }, (_, i) => 100 - 7 * i)
      const versions = 1 + next(9)
      const all = sequences.filter((_, rank) =>
        sequences
          .slice(0, rank + 1)
          .every((_, at) => at < versions && noted.every((one) => sequences.slice(0, at + 1).filter((s) => s <= one.sequence).length <= one.count))
      )
      expect(counted(limits, versions, sequences), `seed ${seed}`).toEqual(all)
    }
  })
})
