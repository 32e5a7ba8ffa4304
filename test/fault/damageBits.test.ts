/**
 * Invariant 5, without drawing: every bit of a small cleanly closed database that has all kinds of file is turned over. Each time the answers are the same, or there is an error that names the
 * file and the block; never a wrong answer; and what needs nothing of the damaged block is answered as before.
 *
 * Each bit is tried on the code that meets it first (an open, a read, a verification), and some bits of every block with a whole open and every way to read.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import { beforeAll, describe, expect, it } from "vitest"
import { encodeEdit } from "../../src/domain/manifest/editCodec.ts"
import { type ManifestState, snapshotOf } from "../../src/domain/manifest/ManifestState.ts"
import type { TableReader } from "../../src/domain/table/TableReader.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import type { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { readCurrentManifest } from "../../src/layers/recovery/readState.ts"
import { checkKept } from "../../src/layers/recovery/scanLog.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import { type Block, mapBlocks, type Section } from "../support/damage/blockMap.ts"
import {
  type Answer,
  answerOf,
  demandPlace,
  type Fact,
  feedFact,
  hex,
  historyFacts,
  judge,
  readingFacts,
  verifyFact
} from "../support/damage/facts.ts"
import { copyOf, flip, plainCopyOf, readExact, withFlip } from "../support/damage/flipping.ts"
import { damageOf, fileIdOf, openTableOf, scanAlone, scanNeeded, verifyFile } from "../support/damage/positionJudge.ts"
import { keyOf, keysMax, makeSmallDatabase, smallSettings } from "../support/damage/smallDatabase.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const keys = [...Array.from({ length: keysMax }, (_, i) => keyOf(i)), "absent", "counter", "last", "lease"].toSorted()
const facts: ReadonlyArray<Fact> = [...readingFacts(keys), ...historyFacts([keyOf(0), keyOf(3), keyOf(21)], [8, 12]), feedFact, verifyFact]

interface Sound {
  /** As it was closed: never changed, only copied. */
  readonly disk: SimulatedDisk
  /** The same bytes, for flips in place that are taken back. */
  readonly plain: MemoryDisk
  readonly state: ManifestState
  readonly blocks: ReadonlyArray<Block>
  readonly answers: ReadonlyMap<string, Answer>
  /** Of an open, and of each question on a database that was just opened: the blocks that were read. */
  readonly openTouches: ReadonlySet<Block>
  readonly touches: ReadonlyMap<string, ReadonlySet<Block>>
}
let sound: Sound

const use = <A>(disk: SimulatedDisk, readOnly: boolean, run: (db: DatabaseShape) => Effect.Effect<A>): Promise<Exit.Exit<A, unknown>> =>
  Effect.runPromiseExit(withSimulatedClock(Effect.scoped(Effect.flatMap(openSimulated(disk, { ...smallSettings, readOnly }), run))))

/** The blocks that were read since it was last asked. */
const touchesOf = (disk: SimulatedDisk, blocks: ReadonlyArray<Block>): (() => ReadonlySet<Block>) => {
  let touched = new Set<Block>()
  disk.onOperation = ({ bytes, kind, path, position }) => {
    if (kind !== "readAt") return
    for (const block of blocks) if (block.path === path && block.from < position + bytes && block.to > position) touched.add(block)
  }
  return () => {
    const found = touched
    touched = new Set()
    return found
  }
}

const counts = new Map<string, { bits: number; refused: number; same: number }>()
const count = (kind: string, refused: boolean): void => {
  let of = counts.get(kind)
  if (of === undefined) counts.set(kind, (of = { bits: 0, refused: 0, same: 0 }))
  of.bits++
  if (refused) of.refused++
  else of.same++
}
const report = (what: string, kinds: ReadonlyArray<string>) => {
  for (const kind of kinds) expect(counts.get(kind)?.bits ?? 0, `${what}: no bit of ${kind}`).toBeGreaterThan(0)
  console.log(
    `${what}: ${kinds.map((kind) => `${kind} ${counts.get(kind)!.bits} bits (${counts.get(kind)!.refused} refused, ${counts.get(kind)!.same} the same)`).join("; ")}`
  )
}
const eachBit = (blocks: ReadonlyArray<Block>, visit: (block: Block, offset: number, bit: number) => void): void => {
  for (const block of blocks) for (let offset = block.from; offset < block.to; offset++) for (let bit = 0; bit < 8; bit++) visit(block, offset, bit)
}
const blocksOf = (...sections: ReadonlyArray<Section>) => sound.blocks.filter(({ section }) => sections.includes(section))
const where = (block: Block, offset: number, bit: number) => `bit ${bit} of byte ${offset} of ${block.path} (${block.section})`

describe("every bit", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    const disk = await makeSmallDatabase()
    const { blocks, state } = mapBlocks(disk, directory)
    const answers = new Map<string, Answer>()
    const touches = new Map<string, ReadonlySet<Block>>()
    let openTouches: ReadonlySet<Block> = new Set()
    for (const fact of facts) {
      const copy = copyOf(disk)
      const touched = touchesOf(copy, blocks)
      const exit = await use(copy, false, (db) =>
        Effect.gen(function* () {
          openTouches = touched()
          answers.set(fact.name, yield* answerOf(db, fact))
          touches.set(fact.name, touched())
        })
      )
      expect(Exit.isSuccess(exit)).toBe(true)
      expect(answers.get(fact.name)!.error).toBeUndefined()
    }
    sound = { disk, plain: plainCopyOf(disk), state, blocks, answers, openTouches, touches }
  })

  it("the database has all kinds of file, and every question has an answer", () => {
    const sections = new Set(sound.blocks.map(({ section }) => section))
    expect([...sections].toSorted()).toEqual(
      [
        "CURRENT",
        "log beyond its seal",
        "log group body",
        "log group header",
        "log header",
        "log padding",
        "manifest edit",
        "manifest header",
        "manifest padding",
        "manifest snapshot",
        "table fence page",
        "table filter",
        "table footer",
        "table header",
        "table leaf",
        "table properties",
        "table root",
        "table tombstones",
        "values footer",
        "values header",
        "values record body",
        "values record head"
      ].toSorted()
    )
    expect(new Set([...sound.state.tables.values()].map(({ level }) => level)).size).toBeGreaterThan(1)
    for (const file of sound.disk.files().keys())
      if (!file.endsWith("/"))
        expect(
          sound.blocks.some(({ path }) => path === `/${file}`),
          file
        ).toBe(true)
  })

  it("CURRENT: each is refused, and nothing is changed", () => {
    eachBit(blocksOf("CURRENT"), (block, offset, bit) => {
      const spoiled = copyOf(sound.disk)
      flip(spoiled, block.path, offset, bit)
      const before = spoiled.hash()
      const damage = damageOf(() => recoverDisk(spoiled, 1, 65_536))
      if (damage !== undefined) demandPlace(damage, block, offset, where(block, offset, bit))
      else throw new Error(`${where(block, offset, bit)}: not seen`)
      expect(spoiled.hash()).toBe(before)
      count("CURRENT", true)
    })
    report("every bit of CURRENT", ["CURRENT"])
  })

  it("manifest: each is refused, or leaves a state that shows the same", async () => {
    const { plain: disk, state } = sound
    const asBytes = (of: ManifestState) => hex(encodeEdit(snapshotOf(of)))
    const whole = asBytes(state)
    /** States that are another one, with a bit that makes each. */
    const others = new Map<string, readonly [Block, number, number]>()
    const tryBit = (block: Block, offset: number, bit: number) =>
      withFlip(disk, block.path, offset, bit, () => {
        const damage = damageOf(() => {
          const found = asBytes(readCurrentManifest(disk, directory, "write")!.state)
          if (found !== whole && !others.has(found)) others.set(found, [block, offset, bit])
        })
        if (damage !== undefined) demandPlace(damage, block, offset, where(block, offset, bit))
        count(block.section, damage !== undefined)
      })
    eachBit(blocksOf("manifest header", "manifest snapshot", "manifest edit"), tryBit)
    // Zeros that nothing reads but the search for later records: a bit of each byte.
    for (const block of blocksOf("manifest padding")) for (let offset = block.from; offset < block.to; offset++) tryBit(block, offset, offset % 8)
    report("every bit of the manifest", ["manifest header", "manifest snapshot", "manifest edit", "manifest padding"])
    // The last edit, which says that the log was closed, may have been torn: then the log says it.
    expect(others.size).toBe(1)
    for (const [block, offset, bit] of others.values()) await askEverything(block, offset, bit)
    for (const { section } of blocksOf("manifest header", "manifest snapshot")) expect(counts.get(section)!.same, section).toBe(0)
    expect(counts.get("manifest padding")!.refused).toBe(0)
  })

  it("log: each is refused by the open, or, where only the feed needs the segment, by its verification", () => {
    const { plain: disk, state } = sound
    const { segments } = state
    const needed = new Set(
      [...segments.values()].filter(({ sealed }) => sealed!.lastSequence > state.flushedThrough.sequence).map(({ fileId }) => fileId)
    )
    expect(needed.size).toBeGreaterThan(0)
    expect(needed.size).toBeLessThan(segments.size)
    const tryBit = (block: Block, offset: number, bit: number) =>
      withFlip(disk, block.path, offset, bit, () => {
        const meta = segments.get(fileIdOf(block.path))!
        const isNeeded = needed.has(meta.fileId)
        const isHeader = block.section === "log header"
        const isSeen = block.section !== "log beyond its seal"
        // What looks at nothing of these bytes is asked for one bit of each.
        const both = bit === offset % 8
        const opened =
          isNeeded || isHeader || both
            ? damageOf(() => {
                if (!isNeeded) checkKept(disk, directory, state)
                if (isNeeded || both) scanNeeded(disk, state)
              })
            : undefined
        const verified = isNeeded && !both ? opened : damageOf(() => scanAlone(disk, state, meta.fileId))
        for (const damage of [opened, verified]) if (damage !== undefined) demandPlace(damage, block, offset, where(block, offset, bit))
        const isOpened = isSeen && (isNeeded || isHeader)
        if ((opened !== undefined) !== isOpened) throw new Error(`${where(block, offset, bit)}: ${isOpened ? "opened" : "refused by the open"}`)
        if ((verified !== undefined) !== isSeen) throw new Error(`${where(block, offset, bit)}: ${isSeen ? "verified" : "refused"}`)
        count(block.section, isSeen)
      })
    eachBit(blocksOf("log header", "log group header", "log group body"), tryBit)
    for (const block of blocksOf("log padding", "log beyond its seal"))
      for (let offset = block.from; offset < block.to; offset++) tryBit(block, offset, offset % 8)
    report("every bit of the log", ["log header", "log group header", "log group body", "log padding", "log beyond its seal"])
  })

  it("tables and value files: each is found by verification, and refused where the file is opened", () => {
    const { plain: disk, state } = sound
    const sections = [
      "table header",
      "table leaf",
      "table fence page",
      "table filter",
      "table tombstones",
      "table properties",
      "table root",
      "table footer",
      "values header",
      "values record head",
      "values record body",
      "values footer"
    ] as const
    eachBit(blocksOf(...sections), (block, offset, bit) =>
      withFlip(disk, block.path, offset, bit, () => {
        const meta = block.tableId === undefined ? undefined : state.tables.get(block.tableId)!
        if (meta !== undefined) {
          let table: TableReader | undefined
          const opened = damageOf(() => (table = openTableOf(disk, state, block.path)))
          if (opened !== undefined) demandPlace(opened, block, offset, where(block, offset, bit))
          const isRead = !["table header", "table leaf", "table footer"].includes(block.section)
          if ((opened !== undefined) !== isRead) throw new Error(`${where(block, offset, bit)}: ${isRead ? "opened" : "refused"}`)
          // Every other leaf still reads.
          for (let leaf = 0; leaf < (table?.leafCount ?? 0); leaf++) {
            const damaged = damageOf(() =>
              table!.verifyLeaf(leaf, readExact(disk, block.path, table!.leafOffset(leaf), table!.leafStoredLength(leaf)))
            )
            if ((damaged !== undefined) !== (block.leaf === leaf))
              throw new Error(`${where(block, offset, bit)}: leaf ${leaf} ${damaged === undefined ? "reads" : "does not"}`)
          }
        }
        const verified = damageOf(() => verifyFile(disk, state, block.path))
        if (verified === undefined) throw new Error(`${where(block, offset, bit)}: verified`)
        demandPlace(verified, block, offset, where(block, offset, bit))
        count(block.section, true)
      })
    )
    report("every bit of tables and value files", sections)
  })

  it("tables and value files: each is met by the point reads of an open database, and by no others", async () => {
    const { disk, touches, blocks, answers } = sound
    const points = new Map(facts.filter(({ name }) => name.startsWith("get default/")).map(({ name }) => [name, name.slice("get default/".length)]))
    const copy = copyOf(disk)
    const opened = await use(copy, false, (db) =>
      Effect.sync(() => {
        const get = (name: string): Answer => {
          try {
            return { items: [hex(db.unsafe.get(points.get(name)!))], error: undefined }
          } catch (error) {
            return { items: [], error }
          }
        }
        for (const name of points.keys()) expect(get(name)).toEqual(answers.get(name))
        const read = blocks.filter(({ section }) => section === "table leaf" || section === "values record body")
        for (const block of read) {
          const touching = [...points.keys()].filter((name) => touches.get(name)!.has(block))
          const others = [...points.keys()].filter((name) => !touches.get(name)!.has(block))
          eachBit([block], (_, offset, bit) => {
            withFlip(copy, block.path, offset, bit, () => {
              // Each time another two that need the block, and one that does not.
              for (const i of [0, 1]) {
                const name = touching[(offset * 8 + bit + i) % touching.length]
                if (name === undefined) break
                if (judge(name, answers.get(name)!, get(name), block, offset)) throw new Error(`${name} reads ${where(block, offset, bit)}`)
                count(`${block.section} (point read)`, true)
              }
              const other = others[(offset * 8 + bit) % others.length]!
              expect(get(other), where(block, offset, bit)).toEqual(answers.get(other))
            })
          })
        }
      })
    )
    if (Exit.isFailure(opened)) throw Cause.squash(opened.cause)
    report("every bit under point reads", ["table leaf (point read)", "values record body (point read)"])
  })

  it("every block: a whole open for writing or reading, and every question", async () => {
    const prng = seededPrng(1)
    let opens = 0
    const startedMs = performance.now()
    // At least once each, and then for as long as there is time.
    for (let round = 0; round < 12 && (round < 2 || performance.now() - startedMs < 3000); round++) {
      for (const block of sound.blocks) {
        const offset = round === 0 ? block.from : round === 1 ? block.to - 1 : block.from + drawInt(prng, block.to - block.from)
        await askEverything(block, offset, drawInt(prng, 8), (round + opens) % 3 === 0)
        opens++
      }
    }
    report(`${opens} opens`, [...new Set(sound.blocks.map(({ section }) => `${section} (open)`))])
  })
})

/** Opens a copy with this bit turned over and asks everything. */
const askEverything = async (block: Block, offset: number, bit: number, readOnly = false): Promise<void> => {
  const { answers, disk, openTouches, touches } = sound
  const spoiled = copyOf(disk)
  flip(spoiled, block.path, offset, bit)
  const before = spoiled.hash()
  const at = where(block, offset, bit)
  const found = new Map<string, Answer>()
  const exit = await use(spoiled, readOnly, (db) =>
    Effect.forEach(facts, (fact) => Effect.map(answerOf(db, fact), (answer) => found.set(fact.name, answer)), { discard: true })
  )
  if (Exit.isFailure(exit) && found.size === 0) {
    demandPlace(Cause.squash(exit.cause), block, offset, at)
    expect(openTouches.has(block), `${at}: refused by the open`).toBe(true)
    // Recovery has changed nothing; where it was done already, and a table is what cannot be read, it has lost nothing.
    if (block.tableId === undefined) expect(spoiled.hash(), `${at}: changed by an open that was refused`).toBe(before)
    flip(spoiled, block.path, offset, bit)
    const again = await use(spoiled, false, (db) => Effect.forEach(facts.slice(0, 60), (fact) => answerOf(db, fact)))
    expect(again, at).toEqual(Exit.succeed(facts.slice(0, 60).map(({ name }) => answers.get(name))))
    count(`${block.section} (open)`, true)
    return
  }
  if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
  let isSame = true
  for (const fact of facts) {
    const isRight = judge(fact.name, answers.get(fact.name)!, found.get(fact.name)!, block, offset)
    const isNeeded = touches.get(fact.name)!.has(block) || (block.tableId !== undefined && openTouches.has(block))
    if (!isRight && !isNeeded) throw new Error(`${at}: ${fact.name} fails and needs nothing of it`)
    isSame &&= isRight
  }
  count(`${block.section} (open)`, !isSame)
}
