import { describe, expect, it } from "vitest"
import { compactViews } from "../../../src/layers/jobs/compactViews.ts"

describe("compactViews", () => {
  it("gives views memory of their own, at any depth, and leaves whole arrays as they are", () => {
    const whole = Uint8Array.of(1, 2, 3)
    const view = new Uint8Array(1 << 20).fill(9).subarray(10, 14)
    const shared = new Uint8Array(new SharedArrayBuffer(64))
    const pooled = Buffer.from("abc")
    const { list, a } = compactViews({ a: { whole, view }, list: [shared, [pooled]] as const })
    expect(a.whole).toBe(whole)
    expect([a.view, a.view.buffer.byteLength]).toEqual([Uint8Array.of(9, 9, 9, 9), 4])
    expect([list[0].length, list[0].buffer instanceof ArrayBuffer]).toEqual([64, true])
    expect([list[1][0], list[1][0].constructor, list[1][0].buffer.byteLength]).toEqual([new Uint8Array(pooled), Uint8Array, 3])
  })

  it("passes shared buffers and everything else through", () => {
    const memtable = new SharedArrayBuffer(64)
    const value = { memtables: [memtable], none: undefined, nothing: null, count: 1, name: "x", flag: true }
    const result = compactViews(value)
    expect(result).toEqual(value)
    expect(result.memtables[0]).toBe(memtable)
    expect(structuredClone(result).memtables[0]!.byteLength).toBe(64)
  })
})
