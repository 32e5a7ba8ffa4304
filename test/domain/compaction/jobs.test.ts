import { describe, expect, it } from "vitest"
import { compactionJob } from "../../../src/domain/compaction/compactionJob.ts"
import { claimOf } from "../../../src/domain/compaction/CompactionPlan.ts"
import { flushJob } from "../../../src/domain/compaction/flushJob.ts"
import { defaultOutputPolicy } from "../../../src/domain/compaction/JobSpec.ts"
import { Damage } from "../../../src/domain/failures.ts"
import { smallPolicy, tools, World } from "./World.ts"

const asText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const key = (i: number): string => `k${String(i).padStart(4, "0")}`

/** A world with `count` keys in level 1, so many tables as its policy makes of them. */
const filled = (count: number, valueBytes = 10, policy = smallPolicy): World => {
  const world = new World()
  world.policy = policy
  world.memtableBytes = 64 * 1024 + count * (valueBytes + 60)
  world.freeze()
  for (let i = 0; i < count; i++) world.commit({ type: "put", keyspace: 1, key: key(i), value: String(i % 10).repeat(valueBytes) })
  world.flush()
  world.apply(world.pickManual()!)
  return world
}

describe("flushJob", () => {
  it("writes a table per keyspace, or one for all of them where there are many", () => {
    const flushed = (flushTablesMax: number) => {
      const world = new World()
      world.policy = { ...smallPolicy, flushTablesMax }
      for (const keyspace of [0, 1, 16]) world.commit({ type: "put", keyspace, key: "a", value: "1" })
      world.commit({ type: "deleteRange", keyspace: 17, start: "a", end: "b" })
      world.flush()
      return world.levels[0]!.map((table) => `${table.smallest.keyspace}..${table.largest.keyspace}`)
    }
    expect(flushed(4)).toEqual(["0..0", "1..1", "16..16", "17..17"])
    expect(flushed(3)).toEqual(["0..17"])
  })

  it("keeps what is above the visible sequence, and separates large values", () => {
    const world = new World()
    for (let i = 1; i <= 4; i++) world.commit({ type: "put", keyspace: 1, key: "a", value: String(i).repeat(i * 20) })
    const [table] = world.files.run(
      flushJob(
        {
          memtables: [world.memtable.buffer],
          snapshots: [2],
          horizons: [],
          nowMs: 0,
          outputIds: [7, 8],
          policy: smallPolicy
        },
        tools
      )
    ).tables
    expect(world.dump([table!]).map((entry) => entry.split(" ")[0])).toEqual(["1/a@4", "1/a@3", "1/a@2"])
    expect(table!.valueRefs).toEqual([{ fileId: 7, bytes: 80 + 60 + 40 }])
  })

  it("writes values as they come, and to several files where they are many", () => {
    const world = new World()
    world.memtableBytes = 4_000_000
    world.freeze()
    world.policy = { ...smallPolicy, valueFileBytesMax: 700_000 }
    for (let i = 0; i < 100; i++) world.commit({ type: "put", keyspace: 1, key: key(i), value: String(i % 10).repeat(10_000) })
    world.flush()
    expect(world.valueFiles.length).toBe(2)
    expect(world.files.writes).toBe(3 + 1 + 2)
    expect(world.scan(1, 100)).toEqual(world.truth(1, 100))
  })

  it("makes nothing of nothing", () => {
    const world = new World()
    expect(
      world.files.run(
        flushJob({ memtables: [world.memtable.buffer], snapshots: [0], horizons: [], nowMs: 0, outputIds: [], policy: smallPolicy }, tools)
      )
    ).toMatchObject({
      tables: [],
      valueFiles: [],
      stats: { entriesRead: 0, entriesWritten: 0, bytesWritten: 0 }
    })
  })

  it("fails when it was given too few ids", () => {
    const world = new World()
    world.commit({ type: "put", keyspace: 0, key: "a", value: "1" }, { type: "put", keyspace: 1, key: "a", value: "1" })
    const job = flushJob({ memtables: [world.memtable.buffer], snapshots: [1], horizons: [], nowMs: 0, outputIds: [7], policy: smallPolicy }, tools)
    expect(() => world.files.run(job)).toThrow("more than the 1 output ids")
  })
})

describe("compactionJob", () => {
  it("cuts outputs by size, between keys, with bounds that never touch", () => {
    const world = filled(100)
    const tables = world.levels[1]!
    expect(tables.length).toBeGreaterThan(3)
    for (const table of tables) expect(table.fileBytes).toBeLessThan(3 * smallPolicy.tableBytesMax)
    world.commit({ type: "deleteRange", keyspace: 1, start: key(5), end: key(95) })
    world.snapshots = [100, 101]
    for (let i = 0; i < 100; i++) world.commit({ type: "put", keyspace: 1, key: key(i), value: "new" })
    world.flush()
    world.apply(world.pickManual()!)
    expect(world.levels[1]!.filter((table) => table.rangeTombstoneCount === 1).length).toBeGreaterThan(3)
    const spans = world.levels[1]!.map((table) => [asText(table.smallest.key), asText(table.largest.key)])
    for (let i = 1; i < spans.length; i++) expect(spans[i]![0]! > spans[i - 1]![1]!, spans.join(" ")).toBe(true)
    for (const sequence of world.stripes()) expect(world.scan(1, sequence)).toEqual(world.truth(1, sequence))
  })

  it("cuts outputs where they would overlap too much of the next level", () => {
    const world = filled(60)
    const whole = { ...smallPolicy, tableBytesMax: 1_000_000 }
    const plan = world.pickManual()!
    const bytes = world.levels[1]!.map((table) => table.fileBytes)
    const run = (grandparentBytesMax: number) =>
      world.files.run(
        compactionJob(
          {
            ...world.spec(plan),
            policy: { ...whole, grandparentBytesMax },
            grandparents: world.levels[1]!
          },
          tools
        )
      ).tables.length
    expect(run(1_000_000)).toBe(1)
    expect(run(bytes[0]! + bytes[1]!)).toBeGreaterThan(1)
  })

  it("elides sequences at the bottom, and drops what was deleted", () => {
    const world = filled(20)
    world.commit({ type: "delete", keyspace: 1, key: key(3) }, { type: "put", keyspace: 1, key: key(4), value: "x", expiresAt: 99 })
    world.flush()
    world.apply(world.pickManual()!)
    const dump = world.dump(world.levels[1]!)
    expect(dump.length).toBe(19)
    expect(dump.filter((entry) => !entry.includes("@0 "))).toEqual([`1/${key(4)}@21 1 99 x`])
    world.commit({ type: "deleteRange", keyspace: 1, start: "a", end: "z" })
    world.flush()
    const result = world.merge(world.pickManual()!)
    expect(result).toMatchObject({ tables: [], valueFiles: [], stats: { entriesRead: 19, entriesWritten: 0, sequencesElided: 0, bytesWritten: 0 } })
  })

  it("reads leaves in runs, pauses on the way, and writes as it goes", () => {
    const world = filled(3_000, 100, {
      ...smallPolicy,
      blockBytes: 2_048,
      tableBytesMax: 10_000_000,
      valueThresholdBytes: 1_000_000,
      readAheadBytes: 64 * 1024
    })
    const [table] = world.levels[1]!
    const leaves = world.reader(table!).leafCount
    expect(leaves).toBeGreaterThan(100)
    Object.assign(world.files, { reads: 0, pauses: 0, writes: 0 })
    const { stats } = world.merge(world.pickManual()!)
    expect(world.files.reads).toBeLessThan(20)
    expect(world.files.pauses).toBe(2)
    expect(world.files.writes).toBe(2)
    expect(stats).toMatchObject({ entriesRead: 3_000, entriesWritten: 3_000, bytesRead: table!.fileBytes - 64 })
    world.apply(world.pickManual()!)
    expect(world.scan(1, 3_000).length).toBe(3_000)
  })

  it("takes keys longer than its buffers", () => {
    const world = new World()
    const long = "x".repeat(500)
    world.commit({ type: "put", keyspace: 1, key: long, value: "1" }, { type: "put", keyspace: 1, key: `${long}y`, value: "2" })
    world.flush()
    world.apply(world.pickManual()!)
    expect(world.scan(1, 1, { reverse: true })).toEqual([`${long}y=2`, `${long}=1`])
  })

  it("lists what its outputs replace, as far as those files are still there", () => {
    const world = filled(5)
    const [before] = world.levels[1]!
    const first = world.reader(before!).properties.replaced[0]!
    const replacedBy = (lingering: ReadonlyArray<number>) => {
      const [table] = world.files.run(compactionJob({ ...world.spec(world.pickManual()!), lingering }, tools)).tables
      return world.reader(table!).properties.replaced
    }
    expect(replacedBy([])).toEqual([before!.fileId])
    expect([...replacedBy([first])].sort()).toEqual([first, before!.fileId].sort())
  })

  it("names a damaged input", () => {
    const world = filled(30)
    const [table] = world.levels[1]!
    const bytes = world.files.files.get(table!.fileId)!
    bytes[100]! ^= 1
    expect(() => world.merge(world.pickManual()!)).toThrow(Damage)
  })

  describe("with dying value files", () => {
    /** Two of three values deleted; the others expire some day, so that their sequences are not elided. */
    const withValues = (): World => {
      const world = new World()
      for (let i = 0; i < 40; i++) world.commit({ type: "put", keyspace: 1, key: key(i), value: String(i % 10).repeat(60), expiresAt: 99 })
      world.flush()
      for (let i = 0; i < 40; i++) if (i % 3 !== 0) world.commit({ type: "delete", keyspace: 1, key: key(i) })
      world.flush()
      world.apply({ ...world.pickManual()!, rewriteValueFiles: [] })
      return world
    }

    it("moves what is live, with the same sequence, and the old files become free", () => {
      const world = withValues()
      const old = world.valueFiles.map((file) => file.fileId)
      const before = world.dump(world.levels.flat())
      expect(before.every((entry) => /@[1-9]/.test(entry))).toBe(true)
      const plan = world.pick()
      expect(plan).toMatchObject({ type: "merge", reason: "valueFiles" })
      if (plan?.type === "merge") expect(world.merge(plan).stats.valuesMoved).toBeGreaterThan(0)
      world.settle()
      expect(world.dump(world.levels.flat())).toEqual(before)
      expect(world.valueFiles.filter((file) => old.includes(file.fileId))).toEqual([])
      const live = new Map<number, number>()
      for (const table of world.levels.flat()) for (const ref of table.valueRefs) live.set(ref.fileId, (live.get(ref.fileId) ?? 0) + ref.bytes)
      expect(world.valueFiles.map((file) => [file.fileId, file.valueBytes])).toEqual([...live].sort(([a], [b]) => a - b))
    })

    it("does not give damage a new sum", () => {
      const world = withValues()
      const plan = world.pick()!
      if (plan.type !== "merge") throw new Error("expected a rewrite")
      expect(plan.rewriteValueFiles.length).toBeGreaterThan(0)
      for (const file of plan.rewriteValueFiles) world.files.files.get(file.fileId)!.fill(0x41, 200)
      expect(() => world.merge(plan)).toThrow("a value that was to be moved")
    })
  })

  it("leaves what it does not own to others: a job's claim covers its range and levels", () => {
    const world = filled(30)
    const plan = world.pickManual()!
    expect(claimOf(plan)).toMatchObject({ firstLevel: 1, lastLevel: 1 })
    expect(claimOf({ type: "drop", reason: "dropped", tables: [{ level: 1, table: world.levels[1]![0]! }], valueFiles: [] }).fileIds).toContain(
      world.levels[1]![0]!.fileId
    )
  })

  it("has defaults that fit each other", () => {
    expect(defaultOutputPolicy.grandparentBytesMax).toBe(10 * defaultOutputPolicy.tableBytesMax)
  })
})
