import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { didYouMean } from "../../../src/domain/options/didYouMean.ts"
import { breakerDefaults, retryDefaults } from "../../../src/domain/options/faultOptions.ts"
import { type ConfigOf, type Options, optionSpecs, resolveOptions } from "../../../src/domain/options/Options.ts"

const problemsOf = (input: unknown): ReadonlyArray<string> => {
  const result = resolveOptions(input)
  return Result.isFailure(result) ? result.failure.problems : []
}
const resolved = (input: unknown) => Result.getOrThrow(resolveOptions(input))

describe("resolveOptions", () => {
  it("fills in the defaults", () => {
    expect(resolved({ path: "./d" })).toEqual({
      path: "./d",
      durability: "sync",
      readOnly: false,
      salvage: false,
      memtableBytes: 16 << 20,
      writeBufferCount: 3,
      cacheBytes: 64 << 20,
      valueCacheBytes: 16 << 20,
      maxOpenTables: 1000,
      blockBytes: 2048,
      tableBytes: 32 << 20,
      compression: "lz4",
      valueThresholdBytes: 1024,
      valueBytesMax: 64 << 20,
      batchBytesMax: 256 << 20,
      walSegmentBytes: 64 << 20,
      reserveBytes: 4 << 20,
      compactionWorkers: 1,
      level0CompactTrigger: 4,
      level0SlowTrigger: 8,
      level0StopTrigger: 16,
      levelBytesBase: 64 << 20,
      levelBytesFactor: 10,
      memoryBytes: Infinity,
      maxPendingWrites: 100_000,
      waitTimeoutMs: 60_000,
      watchdogMs: 10_000,
      maxTransactions: 10_000,
      snapshotLeaseMs: 600_000,
      retention: { historyMs: 0, logMs: 0, cursorBytes: 1 << 30, beforeImages: false },
      retry: retryDefaults,
      breaker: breakerDefaults,
      validationBytes: 64 << 20
    })
  })

  it("takes a retention of its parts, and names every problem of it", () => {
    expect(resolved({ path: "./d", retention: { history: "2 hours", log: "unlimited", beforeImages: true } }).retention).toEqual({
      historyMs: 7_200_000,
      logMs: Infinity,
      cursorBytes: 1 << 30,
      beforeImages: true
    })
    expect(resolved({ path: "./d", retention: { cursorBytes: 1 << 20, history: undefined } }).retention.cursorBytes).toBe(1 << 20)
    expect(problemsOf({ path: "./d", retention: "1 day" })[0]).toContain("retention must be an object")
    const problems = problemsOf({ path: "./d", retention: { history: "soon", log: -1, cursorBytes: 5, versions: 3, beforeImages: "yes" } })
    expect(problems).toHaveLength(5)
    for (const [i, part] of ["retention.history", "retention.log", "retention.cursorBytes", "retention.versions", "retention.beforeImages"].entries())
      expect(problems[i]).toContain(part)
  })

  it("has defaults that it accepts itself", () => {
    for (const [name, spec] of Object.entries(optionSpecs)) if (spec.default !== undefined) expect(spec.accepts(spec.default), name).toBe(true)
  })

  it("takes undefined for absent", () => {
    expect(resolved({ path: "./d", durability: undefined, cacheBytes: undefined })).toEqual(resolved({ path: "./d" }))
  })

  it("takes what is given", () => {
    const given = {
      path: "x",
      durability: "buffered",
      readOnly: true,
      memtableBytes: 65_536,
      cacheBytes: 0,
      compression: "none",
      compactionWorkers: 0
    } as const
    expect(resolved(given)).toMatchObject({ ...given, valueCacheBytes: 0 })
    expect(resolved({ path: "x", valueBytesMax: 1 << 30 }).batchBytesMax).toBe(1 << 30)
  })

  it.each([
    [5000, 5000],
    ["5 minutes", 300_000],
    [Duration.hours(1), 3_600_000],
    [{ seconds: 2 }, 2000]
  ])("reads the duration %s", (snapshotLease, ms) => {
    expect(resolved({ path: "x", snapshotLease }).snapshotLeaseMs).toBe(ms)
  })

  it.each([0, -5, Number.NaN, "soon", Infinity, "Infinity", {}, null, true])("refuses the duration %s", (snapshotLease) => {
    const problems = problemsOf({ path: "x", snapshotLease })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^snapshotLease must be a duration/)
  })

  it("reports all problems at once", () => {
    const problems = problemsOf({
      memtablebytes: 1,
      durability: "fsync",
      cacheBytes: 1.5,
      blockBytes: 100,
      readOnly: "yes",
      zzzzzzzzzz: 1,
      maxOpenTables: [1]
    })
    expect(problems).toHaveLength(8)
    const text = problems.join("\n")
    expect(text).toContain("path is missing")
    expect(text).toContain('"memtablebytes" is not an option; did you mean memtableBytes?')
    expect(text).toContain('"zzzzzzzzzz" is not an option; the options are path, durability')
    expect(text).toContain('durability must be one of "sync", "buffered", found "fsync"')
    expect(text).toContain("cacheBytes must be a whole number from 0 to 68719476736, found 1.5")
    expect(text).toContain("blockBytes must be a whole number from 512 to 32768, found 100")
    expect(text).toContain('readOnly must be true or false, found "yes"')
    expect(text).toContain("maxOpenTables must be a whole number from 16 to 100000, found an array")
  })

  it.each([
    ["", 'found ""'],
    ["a\0b", "found"],
    [7, "found 7"],
    [new URL("file:///x"), "found a URL"],
    ["x".repeat(60) + "\0", "…"]
  ])("refuses the path %s", (path, part) => {
    expect(problemsOf({ path })[0]).toContain("path must be a path as a string, not empty")
    expect(problemsOf({ path })[0]).toContain(part)
  })

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    ["./d", '"./d"'],
    [[], "an array"],
    [() => 1, "a function"]
  ])("refuses %s for options", (input, found) => {
    expect(problemsOf(input)).toEqual([`options must be an object such as { path: "./data" }, found ${found}`])
  })

  it("compares options with each other, but only those that stand", () => {
    expect(problemsOf({ path: "x", cacheBytes: 10, valueCacheBytes: 11 })).toEqual(["valueCacheBytes (11) must not be above cacheBytes (10)"])
    expect(problemsOf({ path: "x", level0SlowTrigger: 20 })).toEqual(["level0SlowTrigger (20) must not be above level0StopTrigger (16)"])
    expect(problemsOf({ path: "x", level0CompactTrigger: 9 })).toEqual(["level0CompactTrigger (9) must not be above level0SlowTrigger (8)"])
    expect(problemsOf({ path: "x", valueBytesMax: 2000, batchBytesMax: 65_536 })).toEqual([])
    expect(problemsOf({ path: "x", batchBytesMax: 65_536 })).toEqual(["valueBytesMax (67108864) must not be above batchBytesMax (65536)"])
    expect(problemsOf({ path: "x", cacheBytes: "10", valueCacheBytes: 1 << 30 })).toHaveLength(1)
    expect(problemsOf({ path: "x", level0SlowTrigger: "x", level0StopTrigger: 5 })).toHaveLength(1)
  })

  it("is not fooled by names of Object.prototype", () => {
    expect(problemsOf({ path: "x", constructor: 1 })[0]).toContain('"constructor" is not an option')
  })

  it("can be read from configuration", () => {
    const config: ConfigOf = {
      path: Config.String("path"),
      durability: Config.Literals(["sync", "buffered"], "durability"),
      cacheBytes: Config.Int("cacheBytes"),
      snapshotLease: Config.Duration("lease")
    }
    const read: Options = Effect.runSync(
      Config.unwrap<Options>(config).parse(ConfigProvider.fromUnknown({ path: "/d", durability: "buffered", cacheBytes: 4096, lease: "2 seconds" }))
    )
    expect(resolved(read)).toMatchObject({ path: "/d", durability: "buffered", cacheBytes: 4096, snapshotLeaseMs: 2000 })
  })
})

describe("didYouMean", () => {
  const known = ["memtableBytes", "cacheBytes", "gt", "path"]
  it.each([
    ["memtable_bytes", "memtableBytes"],
    ["cachebyte", "cacheBytes"],
    ["Path", "path"],
    ["pth", "path"],
    ["gte", undefined],
    ["somethingElse", undefined],
    ["", undefined]
  ])("%s", (name, meant) => {
    expect(didYouMean(name, known)).toBe(meant)
  })
})
