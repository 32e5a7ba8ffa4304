import { describe, expect, it } from "vitest"
import { AdaptiveCompression } from "../../../src/domain/table/AdaptiveCompression.ts"
import type { Codec } from "../../../src/domain/seams.ts"

/** Shrinks what starts with 1, and notes which blocks it was tried on. */
const noting = () => {
  const tried: Array<number> = []
  const codec: Codec = {
    id: 9,
    compress: (raw) => {
      tried.push(raw[1]!)
      return raw[0] === 1 ? raw.subarray(0, raw.length >>> 1) : raw.slice()
    },
    decompress: (stored) => stored
  }
  const compression = new AdaptiveCompression(codec)
  return { tried, add: (n: number, shrinks: boolean) => compression.compress(Uint8Array.of(shrinks ? 1 : 0, n, 0, 0, 0, 0, 0, 0))?.length }
}

describe("AdaptiveCompression", () => {
  it("tries every block while some shrink", () => {
    const { add, tried } = noting()
    for (let n = 0; n < 100; n++) expect(add(n, n % 8 === 7)).toBe(n % 8 === 7 ? 4 : undefined)
    expect(tried.length).toBe(100)
  })

  it("tries fewer and fewer of those that do not", () => {
    const { add, tried } = noting()
    for (let n = 0; n < 250; n++) expect(add(n, false)).toBe(undefined)
    expect(tried).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 15, 31, 63, 127, 191])
  })

  it("comes back when one shrinks", () => {
    const { add, tried } = noting()
    for (let n = 0; n < 15; n++) add(n, false)
    expect(add(15, true)).toBe(4)
    for (let n = 16; n < 24; n++) expect(add(n, true)).toBe(4)
    expect(tried.slice(8)).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23])
  })

  it("does nothing without a codec", () => {
    const compression = new AdaptiveCompression(undefined)
    for (let n = 0; n < 20; n++) expect(compression.compress(new Uint8Array(8))).toBe(undefined)
  })
})
