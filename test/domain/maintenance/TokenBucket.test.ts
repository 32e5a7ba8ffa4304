import { describe, expect, it } from "vitest"
import { TokenBucket } from "../../../src/domain/maintenance/TokenBucket.ts"

describe("TokenBucket", () => {
  it("lets the burst through at once, then the rate", () => {
    const bucket = new TokenBucket(1000, 100, 0)
    expect(bucket.take(60, 0)).toBe(0)
    expect(bucket.take(40, 0)).toBe(0)
    expect(bucket.take(50, 0)).toBe(50)
    expect(bucket.take(0, 20)).toBe(30)
    expect(bucket.take(10, 50)).toBe(10)
  })

  it("holds the rate over any time, whatever the sizes", () => {
    const bucket = new TokenBucket(4096, 1000, 0)
    let now = 0
    let taken = 0
    for (let i = 0; i < 500; i++) {
      const size = (i * 7919) % 3000
      now += bucket.take(size, now)
      taken += size
    }
    expect(taken).toBeLessThanOrEqual(1000 + (now / 1000) * 4096)
    expect(taken).toBeGreaterThan((now / 1000) * 4096 - 3000)
  })

  it("allows one take larger than the burst, and saves up no more than the burst", () => {
    const bucket = new TokenBucket(1000, 100, 0)
    expect(bucket.take(1100, 0)).toBe(1000)
    expect(bucket.take(0, 1_000_000)).toBe(0)
    expect(bucket.take(101, 1_000_000)).toBe(1)
  })

  it("gains nothing from a clock that goes back", () => {
    const bucket = new TokenBucket(1000, 100, 1000)
    expect(bucket.take(100, 0)).toBe(0)
    expect(bucket.take(10, 500)).toBe(10)
    expect(bucket.take(0, 1005)).toBe(5)
  })
})
