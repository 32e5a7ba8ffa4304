import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import { formatHex, formatLine, formatLineCut } from "../../../src/runtime/cli/format/bytesText.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun, formatRate } from "../../../src/runtime/cli/format/numbers.ts"
import { formatTable } from "../../../src/runtime/cli/format/table.ts"
import { prefetch } from "../../../src/runtime/cli/importing/prefetch.ts"
import { wantsColours } from "../../../src/runtime/cli/Output.ts"
import { formatProgress, ProgressRates, withProgress } from "../../../src/runtime/cli/progress.ts"
import { version } from "../../../src/runtime/cli/version.ts"
import { captureOutput } from "./inProcess.ts"

const bytes = (text: string): Uint8Array => Buffer.from(text)

async function* stream<A>(items: Iterable<A>): AsyncGenerator<A, void, undefined> {
  for (const item of items) {
    await Promise.resolve()
    yield item
  }
}

describe("numbers", () => {
  it("groups digits and keeps three significant ones", () => {
    expect([0, 7, 999, 1_000, 1_234_567, -12_345].map(formatCount)).toEqual(["0", "7", "999", "1,000", "1,234,567", "-12,345"])
    expect([0, 999, 1_000, 1_234, 9_994, 9_996, 12_345, 123_456, 999_499, 999_500, 1e9, 1e18].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "1.23 kB",
      "9.99 kB",
      "10.0 kB",
      "12.3 kB",
      "123 kB",
      "999 kB",
      "1.00 MB",
      "1.00 GB",
      "1000 PB"
    ])
    expect([0.421, 12.4, 999, 1_234, 59_900, 59_960, 125_000, 3_720_000].map(formatDuration)).toEqual([
      "0.42 ms",
      "12 ms",
      "999 ms",
      "1.23 s",
      "59.9 s",
      "1 m 00 s",
      "2 m 05 s",
      "1 h 02 m"
    ])
    expect([formatRate(5, 0), formatRate(1_000, 500), formatByteRate(5, 0), formatByteRate(1_000_000, 500)]).toEqual([
      "-",
      "2,000/s",
      "-",
      "2.00 MB/s"
    ])
    expect([formatNoun(1, "file"), formatNoun(2, "file"), formatNoun(0, "entry", "entries")]).toEqual(["1 file", "2 files", "0 entries"])
  })
})

describe("text of bytes", () => {
  it("stays on one line and cannot steer a terminal", () => {
    expect(formatLine(bytes("a\n\t\\\u001b[2J\u009b\u202e\u2028é😀"))).toBe("a\\n\\t\\\\\\x1b[2J\\x9b\\u202e\\u2028é😀")
    expect(formatLine(new Uint8Array([0xff, 0x0a]))).toBe("0xff0a")
    expect(formatHex(new Uint8Array(4), 2)).toBe("0x0000…")
  })

  it("is cut to a width without breaking characters or decoding what is not shown", () => {
    expect(formatLineCut(bytes("abcdef"), 6)).toBe("abcdef")
    expect(formatLineCut(bytes("abcdefg"), 6)).toBe("abcde…")
    expect(formatLineCut(bytes("ab😀cdef"), 4)).toBe("ab…")
    for (let length = 0; length < 40; length++) expect(formatLineCut(bytes("€".repeat(length)), 5)).not.toContain("0x")
    const large = new Uint8Array(50_000_000).fill(0x61)
    expect(formatLineCut(large, 20)).toBe(`${"a".repeat(19)}…`)
  })

  it("aligns columns", () => {
    expect(
      formatTable(
        [
          ["a", "1", "x"],
          ["long", "100", ""]
        ],
        ["left", "right"],
        "  "
      )
    ).toEqual(["  a       1  x", "  long  100  "])
  })
})

describe("prefetch", () => {
  it("keeps the order and both bounds, and lets a large item go alone", async () => {
    const sizes = [3, 1, 4, 1, 5, 100, 9, 2, 6, 5, 3, 5]
    let running = 0
    let runningBytes = 0
    let itemsPeak = 0
    let bytesPeak = 0
    const results: Array<number> = []
    const work = async ([i, size]: readonly [number, number]): Promise<number> => {
      running++
      runningBytes += size
      itemsPeak = Math.max(itemsPeak, running)
      if (size < 100) bytesPeak = Math.max(bytesPeak, runningBytes)
      else expect(running).toBe(1)
      // Later items finish before earlier ones.
      for (let turn = 0; turn < 1 + ((i * 7) % 5); turn++) await new Promise(setImmediate)
      running--
      runningBytes -= size
      return i
    }
    for await (const result of prefetch(stream(sizes.entries()), work, { itemsMax: 3, bytesMax: 10, bytesOf: ([, size]) => size }))
      results.push(result)
    expect(results).toEqual(sizes.map((_, i) => i))
    expect(itemsPeak).toBe(3)
    expect(bytesPeak).toBeLessThanOrEqual(10)
  })

  it("hands a failure to whoever takes it", async () => {
    const results = prefetch(stream([1, 2]), (n) => (n === 2 ? Promise.reject(new Error("two")) : Promise.resolve(n)), {
      itemsMax: 4,
      bytesMax: 4,
      bytesOf: () => 1
    })
    expect((await results.next()).value).toBe(1)
    await expect(results.next()).rejects.toThrow("two")
  })
})

describe("progress", () => {
  const state = { verb: "importing", done: 12_345, noun: ["entry", "entries"], bytes: 50_000_000 } as const
  const rates = { donePerMs: 12, bytesPerMs: 10_000 }

  it("shows rate, share and time left where they are known, in one line", () => {
    expect(formatProgress(state, rates, 80)).toBe("importing  12,345 entries  50.0 MB  10.0 MB/s")
    expect(formatProgress({ ...state, bytesTotal: 200_000_000 }, rates, 80)).toBe("importing  12,345 entries  50.0 MB  10.0 MB/s  25 %  15 s left")
    expect(formatProgress({ ...state, bytesTotal: 2_000_000_000 }, rates, 80)).toBe(
      "importing  12,345 entries  50.0 MB  10.0 MB/s  2 %  3 m 15 s left"
    )
    expect(formatProgress({ ...state, bytesTotal: 50_000_000 }, rates, 80)).toBe("importing  12,345 entries  50.0 MB  10.0 MB/s  100 %")
    expect(formatProgress({ ...state, bytes: 0, done: 1 }, rates, 80)).toBe("importing  1 entry  12,000/s")
    expect(formatProgress(state, rates, 20)).toBe("importing  12,345 e")
  })

  it("takes rates over the last ten seconds", () => {
    const measured = new ProgressRates()
    expect(measured.sample(0, 0, 0)).toEqual({ donePerMs: 0, bytesPerMs: 0 })
    expect(measured.sample(1_000, 100, 5_000)).toEqual({ donePerMs: 0.1, bytesPerMs: 5 })
    expect(new ProgressRates().sample(1_000, 100, 5_000)).toEqual({ donePerMs: 0.1, bytesPerMs: 5 })
    for (let second = 2; second <= 60; second++) measured.sample(second * 1_000, 100, 5_000)
    expect(measured.sample(61_000, 100, 5_000).bytesPerMs).toBe(0)
  })

  it("redraws on a terminal and takes the line away at the end", async () => {
    const captured = captureOutput({ terminalColumns: 60 })
    await Effect.runPromise(
      withProgress(() => ({ ...state, bytesTotal: 100_000_000 }), false, Effect.sleep(350)).pipe(Effect.provide(captured.layer))
    )
    expect(captured.statuses.length).toBeGreaterThanOrEqual(1)
    expect(captured.statuses[0]).toMatch(/^importing {2}12,345 entries {2}50\.0 MB .* 50 %/)
    expect(captured.err()).toBe("")
  })

  it("shows nothing for work that is over at once, and nothing to a program", async () => {
    const captured = captureOutput()
    expect(await Effect.runPromise(withProgress(() => state, false, Effect.succeed(1)).pipe(Effect.provide(captured.layer)))).toBe(1)
    expect(await Effect.runPromise(withProgress(() => state, true, Effect.succeed(2)).pipe(Effect.provide(captured.layer)))).toBe(2)
    expect(captured.err()).toBe("")
  })
})

describe("the rest", () => {
  it("respects NO_COLOR, FORCE_COLOR and dumb terminals", () => {
    expect(wantsColours(true, {})).toBe(true)
    expect(wantsColours(false, {})).toBe(false)
    expect(wantsColours(true, { NO_COLOR: "1", FORCE_COLOR: "1" })).toBe(false)
    expect(wantsColours(true, { NO_COLOR: "" })).toBe(true)
    expect(wantsColours(false, { FORCE_COLOR: "1" })).toBe(true)
    expect(wantsColours(true, { FORCE_COLOR: "0" })).toBe(false)
    expect(wantsColours(true, { TERM: "dumb" })).toBe(false)
  })

  it("knows the version of the package", () => {
    expect(version).toBe(JSON.parse(fs.readFileSync("package.json", "utf8")).version)
  })

  it("has a launcher without static imports, so that an old Node gets a sentence", () => {
    expect(fs.readFileSync("src/runtime/cli/launcher.ts", "utf8")).not.toMatch(/^\s*import\s/m)
  })
})
