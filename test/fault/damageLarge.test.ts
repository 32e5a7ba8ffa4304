/**
 * Invariant 5 at size: thousands of flipped bits, drawn over every part of every kind of file of a database of some ten megabytes. Each time the answers are the same or there is an error
 * that names the file and the block, and what lies elsewhere is answered as before.
 *
 * `LIGHTNING_DAMAGE_POSITIONS`, `LIGHTNING_DAMAGE_MEGABYTES` and `LIGHTNING_DAMAGE_SEED` make it longer, larger, and another one.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { beforeAll, describe, expect, it } from "vitest"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { type Block, mapBlocks, type Section } from "../support/damage/blockMap.ts"
import { demandPlace, hex } from "../support/damage/facts.ts"
import { flip } from "../support/damage/flipping.ts"
import { PositionJudge } from "../support/damage/positionJudge.ts"
import { directory, openOn } from "../support/openEngine.ts"
import { valueOf } from "../support/workload.ts"

const positions = Number(process.env["LIGHTNING_DAMAGE_POSITIONS"] ?? "10000")
const megabytes = Number(process.env["LIGHTNING_DAMAGE_MEGABYTES"] ?? "32")
const seed = Number(process.env["LIGHTNING_DAMAGE_SEED"] ?? "1")

/** How many of a hundred positions go to each part: more where a flip can do more harm and is cheap to judge. None gets fewer than thirty. */
const shares: Readonly<Record<Section, number>> = {
  CURRENT: 0.5,
  "manifest header": 1,
  "manifest snapshot": 3,
  "manifest edit": 1,
  "manifest padding": 1,
  "log header": 2,
  "log group header": 4,
  "log group body": 8,
  "log padding": 2,
  "log beyond its seal": 1,
  "table header": 1,
  "table leaf": 40,
  "table fence page": 3,
  "table filter": 3,
  "table tombstones": 1,
  "table properties": 2,
  "table root": 2,
  "table footer": 1,
  "values header": 1,
  "values record head": 6,
  "values record body": 18,
  "values footer": 1
}

const settings = {
  blockBytes: 2048,
  valueThresholdBytes: 1024,
  memtableBytes: 1 << 20,
  walSegmentBytes: 1 << 20,
  tableBytes: 1 << 20,
  levelBytesBase: 2 << 20,
  cacheBytes: 0,
  level0CompactTrigger: 4,
  retention: { log: "unlimited" }
} as const
const entryBytes = 130

const open = (disk: MemoryDisk, readOnly = false) => openOn(DiskMemory.layerOf(disk), directory, { ...settings, readOnly })

const fill = (db: DatabaseShape) =>
  Effect.gen(function* () {
    // Log and tables take about the same: half of the size is written.
    const entries = Math.floor((megabytes * 2 ** 20) / 2 / (entryBytes + 20))
    // In order but for the nearest thousands, so that tables have ranges of their own, and each is written in several memtables.
    const key = (i: number) => `user/${String(i - (i % 8000) + ((i * 7919) % 8000)).padStart(8, "0")}`
    for (let at = 0; at < entries; at += 400) {
      const operations = Array.from({ length: Math.min(400, entries - at) }, (_, j) => {
        const i = at + j
        return { type: "put", key: key(i), value: valueOf(i, i % 50 === 0 ? 1100 + (i % 900) : 40 + (i % 150)) } as const
      })
      yield* db.write(operations, { durability: "buffered" })
      // To stable storage, on the alignment, and so often that the next segments are filled with zeros ahead.
      for (let i = 0; i < 5; i++) yield* db.put(`${key(at)}/${i}`, String(at))
    }
  })

const disk = new MemoryDisk()
let state: ManifestState
let blocks: ReadonlyArray<Block>
let sizeBytes = 0

const use = async <A>(run: (db: DatabaseShape) => A): Promise<Exit.Exit<A, unknown>> =>
  Effect.runPromiseExit(Effect.scoped(Effect.flatMap(open(disk, true), (db) => Effect.sync(() => run(db)))))
const must = <A>(exit: Exit.Exit<A, unknown>): A => {
  if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
  return exit.value
}

class WrongAnswer extends Error {}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe("damage at size", () => {
  beforeAll(async () => {
    disk.makeDirectory(directory)
    await Effect.runPromise(Effect.scoped(Effect.flatMap(open(disk), fill)))
    // A second epoch: range tombstones above the rest, and a log that is in no table.
    const more = (db: DatabaseShape) =>
      Effect.gen(function* () {
        for (const i of [1, 2, 3]) yield* db.write([{ type: "deleteRange", prefix: `user/000${i}00` }])
        yield* db.flush
        for (const i of [1, 2, 3]) yield* db.put(`late/${i}`, valueOf(i, 300))
      })
    await Effect.runPromise(Effect.scoped(Effect.flatMap(open(disk), more)))
    const mapped = mapBlocks(disk, directory)
    state = mapped.state
    blocks = mapped.blocks
    for (const path of new Set(blocks.map((block) => block.path))) sizeBytes += disk.stat(path)!.sizeBytes
  }, 120_000)

  it(`${positions} positions: the same answers, or an error in the right place`, async () => {
    const bySection = Map.groupBy(blocks, ({ section }) => section)
    expect([...bySection.keys()].toSorted()).toEqual(Object.keys(shares).toSorted())
    const total = Object.values(shares).reduce((sum, share) => sum + share, 0)
    const prng = seededPrng(seed)
    const drawn: Array<readonly [Block, number, number]> = []
    for (const [section, of] of bySection) {
      const bytes = of.reduce((sum, { from, to }) => sum + to - from, 0)
      for (let left = Math.max(30, Math.ceil((positions * shares[section]) / total)); left > 0; left--) {
        // Each byte of the section as likely as any other, or each block: large ones hide the small.
        let at = drawInt(prng, bytes)
        let block = of[drawInt(prng, of.length)]!
        if (left % 2 === 0) block = of.find(({ from, to }) => (at -= to - from) < 0)!
        drawn.push([block, block.from + drawInt(prng, block.to - block.from), drawInt(prng, 8)])
      }
    }
    expect(drawn.length).toBeGreaterThanOrEqual(positions)
    const counts = new Map<string, { positions: number; refused: number }>()
    must(
      await use((db) => {
        const judge = new PositionJudge(disk, db.unsafe, state, blocks)
        for (const [block, offset, bit] of drawn) {
          const refused = judge.judge(block, offset, bit)
          const count = counts.get(block.section) ?? { positions: 0, refused: 0 }
          counts.set(block.section, { positions: count.positions + 1, refused: count.refused + (refused ? 1 : 0) })
        }
      })
    )
    console.log(
      `${drawn.length} positions in ${(sizeBytes / 2 ** 20).toFixed(1)} MiB, seed ${seed}: ${[...counts].map(([section, { positions: of, refused }]) => `${section} ${refused}/${of}`).join(", ")}`
    )
    // What nothing reads is never refused; what a sum covers always.
    for (const [section, { positions: of, refused }] of counts)
      expect(refused, section).toBe(section === "manifest padding" || section === "log beyond its seal" ? 0 : of)
  }, 300_000)

  it("a database with damage in any part of it opens for reading or is refused by name, and what lies elsewhere reads", async () => {
    const prng = seededPrng(seed + 1)
    const bySection = Map.groupBy(blocks, ({ section }) => section)
    const baseline = must(
      await use((db) => {
        const { keys } = new PositionJudge(disk, db.unsafe, state, blocks)
        return keys.map((key) => [key, hex(db.unsafe.get(key))] as const)
      })
    )
    let opens = 0
    for (const of of bySection.values()) {
      for (let i = 0; i < 4; i++) {
        const block = of[drawInt(prng, of.length)]!
        const offset = block.from + drawInt(prng, block.to - block.from)
        const bit = drawInt(prng, 8)
        flip(disk, block.path, offset, bit)
        const among = 400
        const exit = await use((db) => {
          let right = 0
          for (let j = 0; j < among; j++) {
            const [key, expected] = baseline[drawInt(prng, baseline.length)]!
            try {
              if (hex(db.unsafe.get(key)) !== expected) throw new WrongAnswer(`get ${key} gives ${hex(db.unsafe.get(key))}`)
              right++
            } catch (error) {
              if (error instanceof WrongAnswer) throw error
              demandPlace(error, block, offset, `get ${key}`)
              const meta = block.tableId === undefined ? undefined : state.tables.get(block.tableId)!
              // A table that cannot be opened takes its keys with it, and no others.
              if (meta !== undefined && (key < text(meta.smallest.key) || key > text(meta.largest.key)))
                throw new WrongAnswer(`get ${key} fails, which lies outside of ${block.path}`)
            }
          }
          return right
        })
        flip(disk, block.path, offset, bit)
        opens++
        if (Exit.isFailure(exit)) {
          demandPlace(Cause.squash(exit.cause), block, offset, `open with damage in ${block.section}`)
          continue
        }
        const isOne = block.tableId === undefined || block.leaf !== undefined || block.section === "table header" || block.section === "table footer"
        expect(exit.value, `right answers with damage in ${block.section}`).toBeGreaterThanOrEqual(isOne ? among * 0.98 : 1)
      }
    }
    expect(opens).toBe(bySection.size * 4)
  }, 120_000)
})
