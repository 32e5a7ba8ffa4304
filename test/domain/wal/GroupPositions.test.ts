import { describe, expect, it } from "vitest"
import { GroupPositions } from "../../../src/domain/wal/GroupPositions.ts"

describe("GroupPositions", () => {
  it("answers with the end of the last group that holds nothing newer", () => {
    const positions = new GroupPositions(100)
    positions.push(3, 200)
    positions.push(7, 350)
    positions.push(9, 500)
    expect(positions.after(2)).toBe(100)
    expect(positions.after(3)).toBe(200)
    // Sequence 8 is in the group that ends at 500: that group must be read again.
    expect(positions.after(8)).toBe(350)
    expect(positions.after(9)).toBe(500)
    expect(positions.after(1000)).toBe(500)
  })

  it("forgets what is behind it, and goes on", () => {
    const positions = new GroupPositions(0)
    for (let i = 1; i <= 10_000; i++) positions.push(i, i * 10)
    for (let i = 1; i <= 10_000; i += 7) expect(positions.after(i)).toBe(i * 10)
    positions.push(10_001, 200_000)
    expect(positions.after(10_001)).toBe(200_000)
  })
})
