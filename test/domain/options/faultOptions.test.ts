import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { breakerDefaults, retryDefaults } from "../../../src/domain/options/faultOptions.ts"
import { resolveOptions } from "../../../src/domain/options/Options.ts"

const read = (given: object) => {
  const result = resolveOptions({ path: "./d", ...given })
  return Result.isSuccess(result) ? result.success : result.failure.problems
}

describe("retry and breaker", () => {
  it("have defaults, whole and in part", () => {
    expect(read({})).toMatchObject({ retry: retryDefaults, breaker: breakerDefaults })
    expect(read({ retry: { attempts: 2, jitter: undefined }, breaker: {} })).toMatchObject({
      retry: { ...retryDefaults, attempts: 2 },
      breaker: breakerDefaults
    })
  })

  it("take durations in every form", () => {
    expect(
      read({
        retry: { firstDelay: "20 millis", maxDelay: Duration.seconds(3), factor: 1.5, jitter: 0 },
        breaker: { openFor: 250, failureThreshold: 1 }
      })
    ).toMatchObject({
      retry: { attempts: 5, firstDelayMs: 20, maxDelayMs: 3000, factor: 1.5, jitter: 0 },
      breaker: { openForMs: 250, failureThreshold: 1, successThreshold: 1 }
    })
  })

  it("tell every problem at once, with what is accepted and what was found", () => {
    const problems = read({
      retry: { attempts: 0, firstDelay: "soon", maxDelay: -1, factor: 0.5, jitter: 2, tries: 3 },
      breaker: { failureThreshold: 1.5, successThreshold: "1", openFor: 0, toString: 1 }
    })
    const parts = [
      "retry.attempts must be a whole number from 1 to 100, found 0",
      'retry.firstDelay must be a duration of at most an hour (a number of milliseconds, "5 seconds", a Duration), found "soon"',
      "retry.maxDelay must be a duration of at most a day",
      "retry.factor must be a number from 1 to 100, found 0.5",
      "retry.jitter must be a number from 0 to 1, found 2",
      '"retry.tries" is not an option; the options are attempts, firstDelay, maxDelay, factor, jitter',
      "breaker.failureThreshold must be a whole number from 1 to 1000, found 1.5",
      "breaker.successThreshold must be a whole number",
      "breaker.openFor must be a duration from 1 millisecond to a day",
      '"breaker.toString" is not an option'
    ]
    expect(problems).toHaveLength(parts.length)
    for (const [i, part] of parts.entries()) expect((problems as ReadonlyArray<string>)[i]).toContain(part)
  })

  it("are objects, and agree with themselves", () => {
    expect(read({ retry: 5, breaker: [] })).toEqual([
      "retry must be an object such as { attempts: 5 }, found 5",
      expect.stringContaining("breaker must be an object such as { failureThreshold: 3 }")
    ])
    expect(read({ retry: { firstDelay: 100, maxDelay: 50 } })).toEqual(["retry.firstDelay (100 ms) must not be above retry.maxDelay (50 ms)"])
  })
})
