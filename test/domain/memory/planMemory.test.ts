import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { heldBytes, type HeldMemory, planMemory } from "../../../src/domain/memory/planMemory.ts"

const mib = 1 << 20
const none: HeldMemory = { memtables: 0, spareMemtables: 0, validation: 0, readMemtables: 0, pendingLog: 0, tableIndexes: 0, jobs: 0, snapshots: 0 }
const plan = (budget: number, held: Partial<HeldMemory>, memtable = 16 * mib, caches = 64 * mib) =>
  planMemory(budget, caches, { ...none, ...held }, memtable)

describe("what a budget leaves to the caches", () => {
  it("is all they were given, while there is room", () => {
    expect(plan(128 * mib, { memtables: 48 * mib })).toEqual({ pressure: "none", cacheBytes: 64 * mib, tableIndexBytes: 0, dropSpares: false })
  })

  it("is less, in steps, before anything else gives way; the next memtable is reserved", () => {
    expect(plan(128 * mib, { memtables: 80 * mib, tableIndexes: mib })).toEqual({
      pressure: "caches",
      cacheBytes: 28 * mib,
      tableIndexBytes: mib,
      dropSpares: false
    })
    // What is kept for the next one stands for it; what is kept for later ones goes first.
    expect(plan(128 * mib, { memtables: 64 * mib, spareMemtables: 16 * mib })).toMatchObject({ cacheBytes: 48 * mib, dropSpares: false })
    expect(plan(128 * mib, { memtables: 64 * mib, spareMemtables: 32 * mib })).toMatchObject({ cacheBytes: 48 * mib, dropSpares: true })
    expect(plan(128 * mib, { memtables: 48 * mib, spareMemtables: 32 * mib })).toMatchObject({
      pressure: "none",
      cacheBytes: 64 * mib,
      dropSpares: true
    })
  })

  it("is nothing where indexes of tables go, and only then writers are slowed", () => {
    expect(plan(100 * mib, { memtables: 64 * mib, tableIndexes: 30 * mib })).toEqual({
      pressure: "caches",
      cacheBytes: 0,
      tableIndexBytes: 20 * mib,
      dropSpares: false
    })
    expect(plan(100 * mib, { memtables: 90 * mib, tableIndexes: mib })).toMatchObject({ pressure: "writers", cacheBytes: 0, tableIndexBytes: 0 })
  })

  it("fits, together with all that is held, or writers are told", () => {
    const bytes = fc.nat(200 * mib)
    fc.assert(
      fc.property(
        bytes,
        fc.record({
          memtables: bytes,
          spareMemtables: bytes,
          validation: bytes,
          readMemtables: bytes,
          pendingLog: bytes,
          tableIndexes: bytes,
          jobs: bytes,
          snapshots: bytes
        }),
        fc.integer({ min: 1, max: 32 * mib }),
        bytes,
        (budget, held, memtable, caches) => {
          const { cacheBytes, dropSpares, pressure, tableIndexBytes } = planMemory(budget, caches, held, memtable)
          expect(cacheBytes).toBeLessThanOrEqual(caches)
          expect(cacheBytes).toBeGreaterThanOrEqual(0)
          if (pressure === "writers") {
            expect(cacheBytes).toBe(0)
            return
          }
          const spareMemtables = dropSpares ? Math.min(held.spareMemtables, memtable) : held.spareMemtables
          const left = heldBytes({ ...held, spareMemtables, tableIndexes: tableIndexBytes }) + Math.max(0, memtable - spareMemtables)
          expect(left + cacheBytes).toBeLessThanOrEqual(budget)
          if (pressure === "none") expect(cacheBytes).toBe(caches)
        }
      ),
      { numRuns: 2000 }
    )
  })
})
