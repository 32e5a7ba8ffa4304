import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { expiresAtOf } from "../../../src/domain/batch/expiry.ts"
import { InvalidOptions } from "../../../src/domain/errors.ts"
import type { KeyspaceSettings } from "../../../src/domain/keys/catalogRows.ts"
import { historyExpects, readHistory } from "../../../src/domain/options/historyOption.ts"
import { isConfiguredAs, keyspaceSettings, withSettings } from "../../../src/domain/options/keyspaceOptions.ts"
import { resolveOptions } from "../../../src/domain/options/Options.ts"

const byTime = (historyMs: number) => ({ historyMs, historyVersions: undefined })
const byCount = (historyVersions: number) => ({ historyMs: 0, historyVersions })

const goodHistories: ReadonlyArray<readonly [unknown, { readonly historyMs: number; readonly historyVersions: number | undefined }]> = [
  ["unlimited", byTime(Infinity)],
  [Infinity, byTime(Infinity)],
  ["Infinity", byTime(Infinity)],
  [Duration.infinity, byTime(Infinity)],
  [{ hours: Infinity }, byTime(Infinity)],
  [0, byTime(0)],
  [1.5, byTime(1.5)],
  [7_000_000n, byTime(7)],
  ["5 minutes", byTime(300_000)],
  ["1.5 hours", byTime(5_400_000)],
  [[2, 500_000_000], byTime(2500)],
  [Duration.days(1), byTime(86_400_000)],
  [Duration.zero, byTime(0)],
  [{ weeks: 1, days: 1, hours: 1, minutes: 1, seconds: 1, milliseconds: 1, microseconds: 1000, nanoseconds: 1_000_000 }, byTime(694_861_003)],
  [{ hours: 1, minutes: undefined }, byTime(3_600_000)],
  [{ seconds: 0 }, byTime(0)],
  [{ versions: 1 }, byCount(1)],
  [{ versions: 1_000_000 }, byCount(1_000_000)]
]

/** What is none, and how an error calls it. */
const badHistories: ReadonlyArray<readonly [unknown, string]> = [
  [null, "null"],
  [true, "true"],
  [Number.NaN, "NaN"],
  [-1, "-1"],
  [-Infinity, "-Infinity"],
  [-1n, "a bigint"],
  ["soon", '"soon"'],
  ["5", '"5"'],
  ["", '""'],
  ["Unlimited", '"Unlimited"'],
  ["-5 minutes", '"-5 minutes"'],
  ["x".repeat(50), `"${"x".repeat(40)}…"`],
  [[], "an array"],
  [[1], "an array"],
  [[1, 2, 3], "an array"],
  [["1", "2"], "an array"],
  [[Number.NaN, 0], "an array"],
  [[0, -1], "an array"],
  [{}, "an object"],
  [{ hour: 1 }, "an object"],
  [{ hours: 1, minuets: 30 }, "an object"],
  [{ hours: undefined }, "an object"],
  [{ hours: null }, "an object"],
  [{ hours: "1" }, "an object"],
  [{ hours: Number.NaN }, "an object"],
  [{ hours: Infinity, days: -Infinity }, "an object"],
  [{ days: -1 }, "an object"],
  [{ versions: 0 }, "an object"],
  [{ versions: -1 }, "an object"],
  [{ versions: 1.5 }, "an object"],
  [{ versions: 1_000_001 }, "an object"],
  [{ versions: "3" }, "an object"],
  [{ versions: undefined }, "an object"],
  [{ versions: 3, days: 1 }, "an object"],
  [Duration.millis(-1), "an object"],
  [new Date(0), "a Date"],
  [new Map(), "a Map"],
  [new Uint8Array(2), "a Uint8Array"],
  [() => 1, "a function"],
  [Symbol("1 day"), "a symbol"]
]

const problemsOf = (given: unknown): ReadonlyArray<string> => {
  try {
    keyspaceSettings(given)
  } catch (cause) {
    if (cause instanceof InvalidOptions) return cause.problems
    throw cause
  }
  return []
}

describe("history", () => {
  it.each(goodHistories)("%o is one", (given, expected) => {
    expect(readHistory(given)).toEqual(expected)
    expect(keyspaceSettings({ history: given })).toEqual({ ...expected, historyMs: Math.ceil(expected.historyMs), beforeImages: undefined })
  })

  it.each(badHistories)("%o is none", (given, shown) => {
    expect(readHistory(given)).toBeUndefined()
    expect(problemsOf({ history: given })).toEqual([`history must be ${historyExpects}, found ${shown}`])
  })

  it("is read as every duration is: none of these is no time at all", () => {
    for (const given of [{}, { hour: 1 }, { hours: 1, minuets: 30 }, { hours: Number.NaN }, { hours: "1" }, [Number.NaN, 0], new Date(0)]) {
      expect(expiresAtOf({ ttl: given }, 50_000)).toMatch(/^ttl is an? /)
      const opened = resolveOptions({ path: "./d", retention: { log: given } })
      expect(Result.isFailure(opened) && opened.failure.problems[0]).toContain("retention.log must be a duration")
    }
  })

  it("undefined is none, and no problem of a keyspace", () => {
    expect(readHistory(undefined)).toBeUndefined()
    expect(keyspaceSettings({ history: undefined })).toEqual({})
  })

  it("is described with its bounds", () => {
    expect(historyExpects).toBe(
      'a duration (a number of milliseconds, "5 minutes", a Duration), "unlimited", or { versions: a whole number from 1 to 1000000 }'
    )
  })
})

describe("the options of a keyspace", () => {
  it("say nothing where there are none", () => {
    for (const given of [undefined, {}, { history: undefined, beforeImages: undefined }]) expect(keyspaceSettings(given)).toEqual({})
  })

  it("are kept in whole milliseconds, and never for less than was asked", () => {
    expect(keyspaceSettings({ history: 0.25, beforeImages: true })).toEqual({ ...byTime(1), beforeImages: true })
    expect(keyspaceSettings({ history: "unlimited" }).historyMs).toBe(Infinity)
  })

  it("take before-images alone", () => {
    expect(keyspaceSettings({ beforeImages: true })).toEqual({ beforeImages: true })
    expect(keyspaceSettings({ beforeImages: false })).toEqual({ beforeImages: false })
  })

  it.each([
    [null, "null"],
    [5, "5"],
    ["1 day", '"1 day"'],
    [[], "an array"],
    [() => 1, "a function"]
  ])("must be an object: %o", (given, shown) => {
    expect(problemsOf(given)).toEqual([`the options of a keyspace must be an object such as { history: "1 day" }, found ${shown}`])
  })

  it.each([
    ["yes", '"yes"'],
    [1, "1"],
    [null, "null"],
    [{}, "an object"]
  ])("have before-images or not: %o", (given, shown) => {
    expect(problemsOf({ beforeImages: given })).toEqual([`beforeImages must be true or false, found ${shown}`])
  })

  it("are told their names", () => {
    expect(problemsOf({ History: 1 })).toEqual(['"History" is not an option of a keyspace; did you mean history?'])
    expect(problemsOf({ before_image: true })).toEqual(['"before_image" is not an option of a keyspace; did you mean beforeImages?'])
    expect(problemsOf({ ttl: 1 })).toEqual(['"ttl" is not an option of a keyspace; there are history, beforeImages'])
    // Also one that says nothing: it was meant for something.
    expect(problemsOf({ histry: undefined })).toEqual(['"histry" is not an option of a keyspace; did you mean history?'])
  })

  it("are told all their problems at once", () => {
    const problems = problemsOf({ histry: 1, ttl: 2, history: "soon", beforeImages: "yes" })
    expect(problems).toEqual([
      '"histry" is not an option of a keyspace; did you mean history?',
      '"ttl" is not an option of a keyspace; there are history, beforeImages',
      `history must be ${historyExpects}, found "soon"`,
      'beforeImages must be true or false, found "yes"'
    ])
    expect(new InvalidOptions({ problems }).message).toContain("4 options are invalid. Correct them: ")
  })
})

describe("a keyspace opened with options", () => {
  const kept: ReadonlyArray<KeyspaceSettings> = [
    {},
    { ...byTime(0) },
    { ...byTime(1000), beforeImages: false },
    { ...byTime(Infinity), beforeImages: true },
    { ...byCount(3), beforeImages: true },
    { beforeImages: false }
  ]

  it("takes over what they name, and keeps the rest", () => {
    const own: KeyspaceSettings = { ...byCount(3), beforeImages: true }
    expect(withSettings(own, {})).toEqual(own)
    expect(withSettings(own, byTime(1000))).toEqual({ ...byTime(1000), beforeImages: true })
    expect(withSettings(own, { beforeImages: false })).toEqual({ ...byCount(3), beforeImages: false })
    expect(withSettings({ ...byTime(1000) }, byCount(2))).toEqual({ ...byCount(2), beforeImages: undefined })
    expect(withSettings({}, { ...byTime(0), beforeImages: false })).toEqual({ ...byTime(0), beforeImages: false })
  })

  it("is as it was exactly where they change nothing", () => {
    for (const own of kept) {
      expect(isConfiguredAs(own, {})).toBe(true)
      for (const wanted of kept) {
        const after = withSettings(own, wanted)
        const same = after.historyMs === own.historyMs && after.historyVersions === own.historyVersions && after.beforeImages === own.beforeImages
        expect(isConfiguredAs(own, wanted), JSON.stringify({ own, wanted })).toBe(same)
        expect(isConfiguredAs(after, wanted)).toBe(true)
      }
    }
    expect(isConfiguredAs(byCount(3), byTime(0))).toBe(false)
    expect(isConfiguredAs(byCount(3), byCount(4))).toBe(false)
  })
})
