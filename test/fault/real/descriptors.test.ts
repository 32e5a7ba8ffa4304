/** Few file descriptors: a process may have less of them than the database has tables. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { realTest, shell } from "../../support/real/means.ts"
import { withRemote } from "../../support/real/startRemote.ts"

const manyTables = {
  memtableBytes: 65_536,
  walSegmentBytes: 262_144,
  tableBytes: 65_536,
  levelBytesBase: 65_536,
  compactionWorkers: 0,
  cacheBytes: 0
} as const
const rows = { prefix: "k", from: 0, bytes: 1000, random: true } as const

/** `step` goes through all of them in an order that jumps between tables. */
const all = { ...rows, count: 6000, step: 997 } as const

describe("file descriptors", () => {
  realTest("ulimit -n: what needs one too many is refused with EMFILE and passes; nothing acknowledged is lost", shell(), async () => {
    const root = mkdtempSync(join(tmpdir(), "lightning-files-"))
    const path = join(root, "db")
    try {
      const tables = await withRemote({}, async (remote) => {
        await remote.open({ path, ...manyTables })
        expect(await remote.fill({ ...all, together: 20 })).toEqual({ written: 6000 })
        await remote.demand({ op: "compact" })
        const { levels } = await remote.stats()
        await remote.close()
        return levels.reduce((sum, level) => sum + level.tables, 0)
      })
      expect(tables).toBeGreaterThan(60)
      const outcomes = new Set<string>()
      // From hopeless to comfortable: node itself takes some twenty.
      for (const files of [23, 26, 32, 48]) {
        const limited = ["sh", "-c", `ulimit -n ${files} && exec "$@"`, "sh"]
        await withRemote({ before: limited }, async (remote) => {
          const opened = await remote.ask({ op: "open", options: { path, ...manyTables, maxOpenTables: 512 } })
          if ("error" in opened) {
            outcomes.add(`open ${opened.error.tag} ${opened.error.fields["code"]}`)
            expect([opened.error.tag, opened.error.fields["code"]]).toEqual(["DiskError", "EMFILE"])
            return
          }
          const checked = await remote.check(all)
          expect([checked.wrong, checked.missing]).toEqual([[], 0])
          for (const { fields, tag } of checked.failed) {
            outcomes.add(`get ${tag} ${fields["code"]}`)
            expect([tag, fields["code"]]).toEqual(["DiskError", "EMFILE"])
          }
          const written = await remote.fill({ ...rows, prefix: `n${files}.`, count: 300 })
          if (written.stopped !== undefined) outcomes.add(`put ${written.stopped.tag}`)
          // No write is unknown, or refused for good, for want of a descriptor.
          expect([undefined, "DiskError", "WriteStalled"]).toContain(written.stopped?.tag)
          const flushed = await remote.ask({ op: "flush" })
          if ("error" in flushed) {
            outcomes.add(`flush ${flushed.error.tag} ${flushed.error.fields["code"]}`)
            expect([flushed.error.tag, flushed.error.fields["code"]]).toEqual(["DiskError", "EMFILE"])
          }
          expect(["healthy", "degraded"]).toContain((await remote.health()).state)
          await remote.close()
        })
      }
      console.log(`ulimit -n, ${tables} tables: ${[...outcomes].join(", ")}`)
      expect([...outcomes].some((outcome) => outcome.endsWith("EMFILE"))).toBe(true)
      // Few files by its own option, it never asks for more.
      await withRemote({ before: ["sh", "-c", 'ulimit -n 90 && exec "$@"', "sh"] }, async (remote) => {
        await remote.open({ path, ...manyTables, maxOpenTables: 16 })
        expect(await remote.check(all)).toEqual({ wrong: [], missing: 0, failed: [] })
        expect(await remote.fill({ ...rows, prefix: "z", count: 300 })).toEqual({ written: 300 })
        await remote.demand({ op: "flush" })
        await remote.demand({ op: "compact" })
        await remote.demand({ op: "verify" })
        expect((await remote.figures()).descriptors).toBeLessThan(80)
      })
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
})
