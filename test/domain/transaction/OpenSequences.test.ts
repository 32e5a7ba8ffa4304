import { describe, expect, it } from "vitest"
import { OpenSequences } from "../../../src/domain/transaction/OpenSequences.ts"
import { Prng } from "../memtable/model.ts"

describe("OpenSequences", () => {
  it("knows the oldest, whatever begins and ends, in whatever order", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const prng = new Prng(seed)
      const open: Array<number> = []
      const sequences = new OpenSequences()
      let newest = 100
      for (let n = 0; n < 500; n++) {
        const what = `seed ${seed}, step ${n}`
        if (open.length === 0 || prng.below(100) < 52) {
          newest += prng.below(3)
          // Now and then one that is older than the youngest.
          const sequence = prng.below(10) === 0 ? newest - prng.below(20) : newest
          open.push(sequence)
          sequences.add(sequence)
        } else sequences.remove(open.splice(prng.below(open.length), 1)[0]!)
        expect(sequences.size, what).toBe(open.length)
        expect(sequences.oldest, what).toBe(Math.min(...open))
      }
    }
  })

  it("refuses the end of what was never begun", () => {
    const sequences = new OpenSequences()
    sequences.add(5)
    expect(() => sequences.remove(4)).toThrow("no open transaction")
    sequences.remove(5)
    expect(() => sequences.remove(5)).toThrow("no open transaction")
    expect(sequences.oldest).toBe(Infinity)
  })

  it("a hundred thousand ends cost no scan over a hundred thousand that are open", () => {
    const sequences = new OpenSequences()
    for (let i = 0; i < 100_000; i++) sequences.add(i)
    const start = performance.now()
    for (let i = 0; i < 100_000; i++) {
      sequences.add(100_000 + i)
      sequences.remove(100_000 + i)
    }
    for (let i = 99_999; i >= 0; i--) sequences.remove(i)
    expect(sequences.size).toBe(0)
    // A scan per step would take minutes.
    expect(performance.now() - start).toBeLessThan(5000)
  })
})
