import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Case } from "../../bench/workload/Case.ts"
import { cases } from "../../bench/workload/cases.ts"
import { type Figures, median, tableOf } from "../../bench/workload/Figures.ts"
import { Inputs } from "../../bench/workload/Inputs.ts"
import { prepare, runCase, type Settings } from "../../bench/workload/runCase.ts"

/** Small memtables and tables, so that every case reaches the tables and most a compaction. */
const options = {
  memtableBytes: 64 << 10,
  walSegmentBytes: 256 << 10,
  tableBytes: 256 << 10,
  levelBytesBase: 256 << 10,
  cacheBytes: 1 << 20,
  compactionWorkers: 0
} as const

const entriesOf = (one: Case): number => (one.valueBytes > 1000 ? 1000 : 5000)

const run = (one: Case): Effect.Effect<Figures, unknown> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "lightning-bench-test-"))),
    (directory) => {
      const settings: Settings = { directory: join(directory, "db"), entries: entriesOf(one), options }
      return Effect.andThen(prepare(one, settings), runCase(one, settings))
    },
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

describe("the workload benchmark, at a small size", () => {
  for (const one of cases) {
    it.live(one.name, () =>
      Effect.gen(function* () {
        const figures = yield* run(one)
        expect(figures.operations).toBe(one.operations(entriesOf(one)))
        expect(figures.operationsPerSecond).toBeGreaterThan(0)
        expect(figures.peakResidentBytes).toBeGreaterThan(0)
        // The entries must have gone to tables, or the figures would be those of a memtable.
        expect(figures.levels.reduce((sum, level) => sum + level.tables, 0)).toBeGreaterThan(0)
        if (one.writes) expect(figures.flushes).toBeGreaterThan(0)
        expect(JSON.parse(JSON.stringify(figures))).toEqual(figures)
        expect(tableOf([figures, figures])).toContain(one.name)
      })
    )
  }

  it.live("tells wrong results from right ones", () =>
    Effect.gen(function* () {
      const one = cases.find(({ name }) => name === "fillbatch")!
      // Loses one entry in a thousand, and says nothing of it.
      const forgetful: Case = { ...one, run: (given) => one.run({ ...given, operations: given.operations - 5 }) }
      const exit = yield* Effect.exit(run(forgetful))
      expect(exit._tag).toBe("Failure")
    })
  )
})

describe("the inputs", () => {
  it("never repeat a key, and visit every index once", () => {
    for (const style of ["random", "sequential", "text"] as const) {
      const inputs = new Inputs(2000, style, 100)
      const keys = Array.from({ length: 4000 }, (_, index) => inputs.key(index).join())
      expect(new Set(keys).size).toBe(4000)
      expect(new Set(Array.from({ length: 2000 }, (_, i) => inputs.permuted(i))).size).toBe(2000)
    }
  })
  it("are the same on every run", () => {
    const draw = () => {
      const inputs = new Inputs(1000, "text", 100)
      return [inputs.random(), inputs.random(10), inputs.text(7), inputs.value(3).join(), inputs.value(3, 1).join()]
    }
    expect(draw()).toEqual(draw())
    expect(draw()[3]).not.toBe(draw()[4])
  })
  it("are summed up by their median", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5])
  })
})
