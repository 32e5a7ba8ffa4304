import { describe, expect, it } from "vitest"
import { readScrub, scrubRateDefault } from "../../../src/domain/options/scrubOption.ts"

describe("the option scrub", () => {
  it("is off without, and needs only how often", () => {
    expect(readScrub(undefined)).toEqual({ problems: [], settings: undefined })
    expect(readScrub({ every: "7 days" })).toEqual({ problems: [], settings: { everyMs: 7 * 86_400_000, bytesPerSecond: scrubRateDefault } })
    expect(readScrub({ every: 60_000, bytesPerSecond: 1 << 20 }).settings).toEqual({ everyMs: 60_000, bytesPerSecond: 1 << 20 })
    expect(readScrub({ every: "1 hour", bytesPerSecond: undefined }).settings?.bytesPerSecond).toBe(scrubRateDefault)
  })

  it("says what is wrong with it", () => {
    for (const [given, words] of [
      [true, "must be an object"],
      [null, "must be an object"],
      [[], "must be an object"],
      [{}, "every is missing"],
      [{ every: 10 }, "1 second to 365 days"],
      [{ every: "soon" }, "1 second to 365 days"],
      [{ every: "400 days" }, "1 second to 365 days"],
      [{ every: "1 day", bytesPerSecond: 10 }, "from 65536"],
      [{ every: "1 day", bytesPerSecond: 1.5e6 + 0.5 }, "whole number"],
      [{ every: "1 day", rate: 1 }, "is not an option"]
    ] as const) {
      const { problems, settings } = readScrub(given)
      expect(problems.join(), JSON.stringify(given)).toContain(words)
      expect(settings).toBeUndefined()
    }
  })
})
