/**
 * Blocks that are right in themselves and lie in the wrong place: exchanged within a file and between files, and put back from another time. Sums stand in the parent, and a group's is seeded with its
 * segment and its position, so each is a typed error that names one of the two places, or changes nothing.
 */
import * as Effect from "effect/Effect"
import { beforeAll, describe, expect, it } from "vitest"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { type Block, mapBlocks, type Section } from "../support/damage/blockMap.ts"
import { type Answer, type Fact, feedFact, historyFacts, placeOf, readingFacts, verifyFact } from "../support/damage/facts.ts"
import { copyOf, readExact } from "../support/damage/flipping.ts"
import { askAll, judgeAsked } from "../support/damage/questions.ts"
import { addSession, keyOf, keysMax, makeSmallDatabase } from "../support/damage/smallDatabase.ts"
import { directory } from "../support/openEngine.ts"

const keys = [...Array.from({ length: keysMax }, (_, i) => keyOf(i)), "absent", "counter", "last", "lease"].toSorted()
const facts: ReadonlyArray<Fact> = [...readingFacts(keys), ...historyFacts([keyOf(0), keyOf(3)], [8]), feedFact, verifyFact]

let disk: SimulatedDisk
let blocks: ReadonlyArray<Block>
let sound: ReadonlyMap<string, Answer>

const bytesOf = (of: SimulatedDisk, { from, path, to }: Block) => readExact(of, path, from, to - from)
const write = (to: SimulatedDisk, path: string, offset: number, bytes: Uint8Array) => {
  const handle = to.open(path, "write")
  handle.writev([bytes], offset)
  handle.datasync()
  handle.close()
}

/** What covers one sum, from its first byte to its last: a record's head and its body are two. */
const unitsOf = (...sections: ReadonlyArray<Section>): ReadonlyArray<Block> => {
  const wanted = blocks.filter(({ section }) => sections.includes(section))
  if (!sections.includes("log group header")) return wanted
  // A group is its header and its body.
  return wanted
    .filter(({ section }) => section === "log group header")
    .map((header) => ({
      ...header,
      to: wanted.find(({ from, path, section }) => section === "log group body" && path === header.path && from === header.to)!.to
    }))
}

/** Whether the error names one of these blocks: its file, and no byte behind it; of a record with another's head, its value begins there. */
const namesOneOf = (error: unknown, ...of: ReadonlyArray<Block>): boolean => {
  const { file, offsetBytes } = placeOf(error)
  return of.some(
    ({ path, section, to, unitFrom }) => file === path && offsetBytes >= unitFrom && offsetBytes < (section === "values record head" ? to + 1 : to)
  )
}

/** False where both are the same. What must be `seen` is refused by something. */
const exchange = async (a: Block, b: Block, seen = true): Promise<boolean> => {
  const what = `${a.section} at ${a.from} of ${a.path} and at ${b.from} of ${b.path} exchanged`
  const [first, second] = [bytesOf(disk, a), bytesOf(disk, b)]
  const length = Math.min(first.length, second.length)
  if (Buffer.compare(first.subarray(0, length), second.subarray(0, length)) === 0) return false
  const copy = copyOf(disk)
  write(copy, a.path, a.from, second.subarray(0, length))
  write(copy, b.path, b.from, first.subarray(0, length))
  const asked = await askAll(copy, facts)
  const refused = judgeAsked(what, sound, asked, (file) => file === a.path || file === b.path)
  if (seen) expect(refused, what).toBe(true)
  for (const error of [asked.refused, ...[...asked.answers.values()].map((answer) => answer.error)])
    if (error !== undefined && !namesOneOf(error, a, b)) throw new Error(`${what}: neither place is named`, { cause: error })
  return true
}

describe("blocks in the wrong place", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    disk = await makeSmallDatabase()
    blocks = mapBlocks(disk, directory).blocks
    const asked = await askAll(copyOf(disk), facts)
    expect(asked.refused).toBeUndefined()
    sound = asked.answers
  })

  it.each([
    ["leaves", ["table leaf"]],
    ["fence pages", ["table fence page"]],
    ["filters", ["table filter"]],
    ["properties", ["table properties"]],
    ["roots", ["table root"]],
    ["headers and footers", ["table header", "table footer", "values header", "values footer"]],
    ["values", ["values record body"]],
    ["heads of values", ["values record head"]],
    ["groups of the log", ["log group header", "log group body"]],
    ["headers of the log", ["log header"]],
    ["edits of the manifest", ["manifest snapshot", "manifest edit"]]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<Section>]>)("%s: exchanged, within a file and between files", async (name, sections) => {
    const units = unitsOf(...sections)
    const counts = { within: 0, between: 0 }
    const pairs = units.flatMap((a, i) => units.slice(i + 1).map((b) => [a, b] as const))
    // All of them where they are few; else some of each distance.
    const step = Math.max(1, Math.floor(pairs.length / 50))
    for (const [i, [a, b]] of pairs.entries())
      if (i % step === 0 && (await exchange(a, b, name !== "edits of the manifest"))) counts[a.path === b.path ? "within" : "between"]++
    console.log(`${name}: ${counts.within} exchanged within a file, ${counts.between} between files`)
    expect(counts.within + counts.between).toBeGreaterThan(0)
    if (["leaves", "values", "groups of the log"].includes(name)) expect(Math.min(counts.within, counts.between), name).toBeGreaterThan(0)
  })

  it("a leaf over a value, a group over a leaf, a header over a group: exchanged between kinds", async () => {
    let count = 0
    const firstOf = (...sections: ReadonlyArray<Section>) => unitsOf(...sections)[0]!
    const some = [
      firstOf("table leaf"),
      firstOf("table filter"),
      firstOf("values record body"),
      firstOf("log header"),
      unitsOf("log group header", "log group body")[3]!,
      firstOf("manifest snapshot")
    ]
    for (const [i, a] of some.entries()) for (const b of some.slice(i + 1)) if (await exchange(a, b)) count++
    expect(count).toBe(15)
  })

  it("a write that was lost: blocks as they were in the same place of the same file at another time", async () => {
    const later = copyOf(disk)
    await addSession(later, 11, (db) => Effect.forEach([1, 2], (i) => db.put(keyOf(i), `later ${i}`)))
    const asked = await askAll(copyOf(later), facts)
    const laterBlocks = mapBlocks(later, directory).blocks
    let count = 0
    for (const block of laterBlocks) {
      // What the file does not have in that place was never written there: zeros, as of a hole.
      const before = disk.stat(block.path) === undefined ? 0 : disk.stat(block.path)!.sizeBytes
      const old = new Uint8Array(block.to - block.from)
      if (before >= block.to) old.set(readExact(disk, block.path, block.from, old.length))
      if (Buffer.compare(old, bytesOf(later, block)) === 0) continue
      const copy = copyOf(later)
      write(copy, block.path, block.from, old)
      const what = `${block.section} at ${block.from} of ${block.path} as it was`
      const found = await askAll(copy, facts)
      // A name, or an edit, that was never written leaves what was before it, which is right in itself: what does not fit it is named then.
      const isOfState = block.section === "CURRENT" || block.section === "manifest edit"
      judgeAsked(what, asked.answers, found, (file) => file === block.path || isOfState)
      count++
    }
    console.log(`lost writes: ${count}`)
    expect(count).toBeGreaterThan(5)
  })
})
