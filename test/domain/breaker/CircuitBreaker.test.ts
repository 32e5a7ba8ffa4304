import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CircuitBreaker, doubling } from "../../../src/domain/breaker/CircuitBreaker.ts"

const make = (failureThreshold = 3, successThreshold = 2, openForMs = 100) =>
  new CircuitBreaker({ failureThreshold, successThreshold, openForMs: doubling(openForMs) })

const fail = (breaker: CircuitBreaker, nowMs: number, times = 1) => {
  for (let i = 0; i < times; i++) {
    expect(breaker.admit(nowMs)).toBe(true)
    breaker.failed(nowMs)
  }
}

describe("CircuitBreaker", () => {
  it("opens at as many failures in a row as it is told, and a success begins the count anew", () => {
    const breaker = make()
    fail(breaker, 0, 2)
    expect([breaker.state, breaker.failures]).toEqual(["closed", 2])
    breaker.succeeded()
    expect(breaker.failures).toBe(0)
    fail(breaker, 0, 2)
    expect(breaker.state).toBe("closed")
    fail(breaker, 0)
    expect([breaker.state, breaker.failures, breaker.retryAfterMs(30)]).toEqual(["open", 3, 70])
    expect(breaker.admit(99)).toBe(false)
  })

  it("lets one probe at a time through once its time is over, and closes after enough of them", () => {
    const breaker = make()
    fail(breaker, 0, 3)
    expect(breaker.admit(100)).toBe(true)
    expect(breaker.state).toBe("half-open")
    expect(breaker.retryAfterMs(100)).toBe(0)
    expect(breaker.admit(100)).toBe(false)
    breaker.succeeded()
    expect(breaker.state).toBe("half-open")
    expect(breaker.admit(100)).toBe(true)
    breaker.succeeded()
    expect([breaker.state, breaker.failures]).toEqual(["closed", 0])
  })

  it("opens again for twice as long with each probe that fails, up to 32 times, and from the beginning once it has closed", () => {
    const breaker = make(1, 1)
    let now = 0
    fail(breaker, now)
    for (const factor of [1, 2, 4, 8, 16, 32, 32, 32]) {
      expect(breaker.retryAfterMs(now)).toBe(100 * factor)
      expect(breaker.admit(now + 100 * factor - 1)).toBe(false)
      now += 100 * factor
      fail(breaker, now)
    }
    expect(breaker.failures).toBe(9)
    expect(breaker.admit(now + 3200)).toBe(true)
    breaker.succeeded()
    fail(breaker, now)
    expect(breaker.retryAfterMs(now)).toBe(100)
  })

  it("a probe that ended without an answer makes room for the next", () => {
    const breaker = make(1)
    fail(breaker, 0)
    expect(breaker.admit(100)).toBe(true)
    breaker.abandoned()
    expect(breaker.state).toBe("half-open")
    expect(breaker.admit(100)).toBe(true)
  })

  it("what was under way when it opened changes nothing", () => {
    const breaker = make(2)
    for (let i = 0; i < 4; i++) expect(breaker.admit(0)).toBe(true)
    breaker.failed(0)
    breaker.failed(10)
    expect(breaker.retryAfterMs(10)).toBe(100)
    breaker.failed(50)
    breaker.succeeded()
    expect([breaker.state, breaker.retryAfterMs(10)]).toEqual(["open", 100])
  })

  it("is hurried by who needs to know", () => {
    const breaker = make(1)
    breaker.hurry()
    expect(breaker.state).toBe("closed")
    fail(breaker, 0)
    breaker.hurry()
    expect(breaker.state).toBe("half-open")
    expect(breaker.admit(0)).toBe(true)
  })

  it("property: never more than one call through while it is not closed, none before its time, and always one after it", () => {
    const step = fc.record({ what: fc.constantFrom("call", "succeed", "fail", "abandon"), passMs: fc.integer({ min: 0, max: 150 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), (steps, failures, successes) => {
        const breaker = make(failures, successes)
        let now = 0
        let through = 0
        for (const { passMs, what } of steps) {
          now += passMs
          if (what === "call") {
            const before = breaker.state
            const due = breaker.retryAfterMs(now) === 0
            const admitted = breaker.admit(now)
            if (before === "closed") expect(admitted).toBe(true)
            else if (!due) expect(admitted).toBe(false)
            else if (before === "open") {
              expect(admitted).toBe(true)
              // Those of before it opened have had their say.
              through = 0
            }
            if (admitted) through++
            if (breaker.state === "half-open") expect(through).toBeLessThanOrEqual(1)
          } else if (through > 0) {
            through--
            if (what === "succeed") breaker.succeeded()
            else if (what === "fail") breaker.failed(now)
            else breaker.abandoned()
            if (breaker.state === "open") through = 0
          }
        }
        // Whatever happened: left alone for long enough, it lets somebody try.
        breaker.abandoned()
        expect(breaker.admit(now + 100 * 32)).toBe(true)
      })
    )
  })
})
