import { describe, expect, it } from "vitest"
import { ReadAhead } from "../../../src/domain/compaction/ReadAhead.ts"

/** Runs the machine of one read over files whose bytes are their number. */
const read = (reads: ReadAhead, fileId: number, offset: number, length: number, end: number): Uint8Array => {
  const machine = reads.read("table", fileId, offset, length, end)
  const step = machine.next()
  if (step.done === true || step.value.step !== "read") throw new Error("it asked for no read")
  const answered = machine.next(new Uint8Array(step.value.length).fill(fileId))
  if (answered.done !== true) throw new Error("it asked for more than one read")
  return answered.value
}

describe("ReadAhead", () => {
  it("serves what it has read with what was asked for, and nothing else", () => {
    const reads = new ReadAhead(100)
    expect(read(reads, 7, 40, 10, 1000)).toEqual(new Uint8Array(10).fill(7))
    expect(reads.held(7, 50, 90)).toEqual(new Uint8Array(90).fill(7))
    expect(reads.held(7, 50, 91)).toBe(undefined)
    expect(reads.held(7, 39, 1)).toBe(undefined)
    expect(reads.held(8, 50, 10)).toBe(undefined)
    read(reads, 7, 900, 10, 950)
    expect(reads.held(7, 50, 10)).toBe(undefined)
    expect(reads.bytesRead).toBe(150)
  })

  it("holds a few windows, however many inputs there are", () => {
    const reads = new ReadAhead(100)
    for (let fileId = 1; fileId <= 200; fileId++) read(reads, fileId, 0, 10, 1000)
    const held = Array.from({ length: 200 }, (_, i) => i + 1).filter((fileId) => reads.held(fileId, 0, 10) !== undefined)
    expect(held).toEqual(Array.from({ length: 32 }, (_, i) => 169 + i))
    // Filled again, it is the last to go.
    read(reads, 169, 100, 10, 1000)
    read(reads, 1, 0, 10, 1000)
    expect([reads.held(169, 100, 10) === undefined, reads.held(170, 0, 10) === undefined]).toEqual([false, true])
  })
})
