import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { resolveOptions } from "../../../src/domain/options/Options.ts"

const problems = (given: object): ReadonlyArray<string> => {
  const result = resolveOptions({ path: "/db", ...given })
  return Result.isFailure(result) ? result.failure.problems : []
}
const resolved = (given: object = {}) => Result.getOrThrow(resolveOptions({ path: "/db", ...given }))
const mib = 1 << 20

describe("options of pressure", () => {
  it("have defaults: no budget over all, a minute for every wait, ten seconds for a step", () => {
    expect(resolved()).toMatchObject({ memoryBytes: Infinity, maxPendingWrites: 100_000, waitTimeoutMs: 60_000, watchdogMs: 10_000 })
    expect(resolved({ waitTimeout: "5 seconds", watchdog: 250, maxPendingWrites: 1 })).toMatchObject({
      waitTimeoutMs: 5000,
      watchdogMs: 250,
      maxPendingWrites: 1
    })
    expect(resolved({ waitTimeout: "unlimited", watchdog: "unlimited" })).toMatchObject({ waitTimeoutMs: Infinity, watchdogMs: Infinity })
  })

  it("hold memtables, their indexes and everything else in the budget", () => {
    expect(resolved({ memoryBytes: 96 * mib })).toMatchObject({ memoryBytes: 96 * mib })
    expect(problems({ memoryBytes: 96 * mib - 1 })).toEqual([
      expect.stringMatching(/^memoryBytes \(100663295\) must be at least twice memtableBytes × writeBufferCount \(100663296\)/)
    ])
    expect(problems({ memoryBytes: 4 * mib, memtableBytes: mib, writeBufferCount: 2 })).toEqual([])
    // What was refused is not measured against.
    expect(problems({ memoryBytes: 4 * mib, memtableBytes: "much" })).toHaveLength(1)
    expect(problems({ memoryBytes: "all of it" })).toHaveLength(1)
  })

  it("leave room for the rest beside the largest batch", () => {
    expect(resolved({ memoryBytes: 256 * mib })).toMatchObject({ batchBytesMax: 64 * mib, valueBytesMax: 64 * mib })
    expect(resolved({ memoryBytes: 96 * mib })).toMatchObject({ batchBytesMax: 24 * mib, valueBytesMax: 24 * mib })
    expect(problems({ memoryBytes: 128 * mib, batchBytesMax: 65 * mib })).toEqual([
      expect.stringContaining("batchBytesMax (68157440) must not be above half of memoryBytes")
    ])
    expect(problems({ memoryBytes: 128 * mib, batchBytesMax: 64 * mib, valueBytesMax: mib })).toEqual([])
  })

  it.each([
    ["memoryBytes", [0, mib - 1, 1.5 * mib + 0.5, "1 GiB", null, {}, Number.NaN, Infinity]],
    ["maxPendingWrites", [0, -1, 0.5, 10_000_001, "many", null, [], Number.NaN]],
    ["waitTimeout", [0, 9, -1, "forever", "a minute", null, {}, [], Number.NaN, "366 days", Infinity]],
    ["watchdog", [0, 9, -1, "never", null, {}, Number.NaN, "366 days"]]
  ] as const)("%s: bad input is named, with what is expected", (name, given) => {
    for (const value of given) expect(problems({ [name]: value }), String(value)).toEqual([expect.stringMatching(new RegExp(`^${name} must be `))])
  })
})
