import { describe, expect, it } from "vitest"
import { retryDelayMs } from "../../../src/domain/breaker/retryDelay.ts"

const settings = { attempts: 5, firstDelayMs: 10, maxDelayMs: 100, factor: 3, jitter: 0.2 }

describe("retryDelayMs", () => {
  it("repeats once at once, then pauses from the first to the longest delay", () => {
    expect([0, 1, 2, 3, 4, 5, 6].map((failures) => retryDelayMs(settings, failures, 0.5))).toEqual([0, 0, 10, 30, 90, 100, 100])
  })
  it("spreads by its jitter, and not without", () => {
    expect([0, 0.5, 1].map((random) => retryDelayMs(settings, 2, random))).toEqual([8, 10, 12])
    expect([0, 1].map((random) => retryDelayMs({ ...settings, jitter: 0 }, 2, random))).toEqual([10, 10])
  })
})
