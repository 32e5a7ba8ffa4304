/**
 * A small heap and much data: `--max-old-space-size=96`, and the most memory the process ever had (VmHWM) at most 256 MB. A quarter of that is what node and the engine's code take;
 * `--max-semi-space-size=4` is asked for because node's young generation otherwise holds another 48 MB beside the heap that was limited. `LIGHTNING_MEMORY_MB` makes it more data than
 * in every run:
 *
 *     LIGHTNING_MEMORY_MB=1024 npm test -- test/fault/real/memory.test.ts
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { procStatus, realTest } from "../../support/real/means.ts"
import { withRemote } from "../../support/real/startRemote.ts"

const megabytes = Number(process.env["LIGHTNING_MEMORY_MB"] ?? "64")
const valueBytes = 1000
const count = Math.floor((megabytes * 2 ** 20) / valueBytes)
const rows = { prefix: "k", from: 0, bytes: valueBytes, random: true } as const

/** What an application with little memory asks for: everything else is as it is. */
const modest = {
  memtableBytes: 2 << 20,
  writeBufferCount: 2,
  cacheBytes: 4 << 20,
  tableBytes: 8 << 20,
  walSegmentBytes: 8 << 20,
  compactionWorkers: 0
} as const

const mb = (bytes: number): number => Math.round(bytes / 2 ** 20)

describe("memory", () => {
  realTest(
    `${megabytes} MB written, read at random, scanned and compacted in a heap of 96 MB: never more than 256 MB`,
    procStatus(),
    async () => {
      const path = mkdtempSync(join(tmpdir(), "lightning-memory-"))
      try {
        await withRemote({ nodeArguments: ["--max-old-space-size=96", "--max-semi-space-size=4"] }, async (remote) => {
          const peaks: Array<string> = []
          const startedMs = performance.now()
          const passed = async (what: string): Promise<void> => {
            const { heapBytes, outsideHeapBytes, peakBytes } = await remote.figures()
            peaks.push(
              `${what} ${mb(peakBytes)} MB (heap ${mb(heapBytes)}, outside ${mb(outsideHeapBytes)}) at ${((performance.now() - startedMs) / 1000).toFixed(0)} s`
            )
            expect(peakBytes, peaks.join("; ")).toBeLessThanOrEqual(256 * 2 ** 20)
          }
          await remote.open({ path, ...modest })
          await passed("opened")
          expect(await remote.fill({ ...rows, count, together: 20, durability: "buffered" })).toEqual({ written: count })
          await passed("written")
          const read = Math.min(count, 50_000)
          expect(await remote.check({ ...rows, from: count - read, count: read, step: 7919 })).toEqual({ wrong: [], missing: 0, failed: [] })
          await passed("read")
          expect(await remote.demand({ op: "scan" })).toEqual({ entries: count, bytes: count * (valueBytes + 10) })
          await passed("scanned")
          await remote.demand({ op: "compact" })
          await passed("compacted")
          await remote.close()
          await remote.open({ path, ...modest })
          expect(await remote.check({ ...rows, count: Math.min(count, 5000), step: 7919 })).toEqual({ wrong: [], missing: 0, failed: [] })
          await passed("reopened")
          await remote.close()
          expect(await remote.end()).toBe(0)
          console.log(`memory: ${megabytes} MB in ${count} entries: ${peaks.join("; ")}`)
        })
      } finally {
        rmSync(path, { recursive: true, force: true })
      }
    },
    1_800_000
  )
})
