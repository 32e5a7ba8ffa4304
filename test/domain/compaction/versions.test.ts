/** Retention by count through the real jobs, over several levels: the newest n of what happened to a key are there after each of them, and nothing more is once all is merged. */
import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { random } from "../merge/ArrayCursor.ts"
import { World } from "./World.ts"
import type { Op } from "./World.ts"

const keyspaces = [16, 17]
const keys = ["a", "ab", "b", "b\0", "c", "d", "dd", "e"]
const text = (s: string): Uint8Array => new TextEncoder().encode(s)

const someOps = (next: (below: number) => number, sequence: number): Array<Op> => {
  const keyspace = keyspaces[next(2)]!
  const range = (): Op => ({ type: "deleteRange", keyspace, start: keys[next(keys.length)]!, end: [...keys, "f"][next(keys.length + 1)]! })
  const ops = new Map<string, Op>()
  for (let i = 1 + next(4); i > 0; i--) {
    const key = keys[next(keys.length)]!
    const kind = next(6)
    if (kind < 2) ops.set(key, { type: kind === 0 ? "delete" : "expire", keyspace, key })
    else ops.set(key, { type: "put", keyspace, key, value: `${sequence}`.repeat(next(4) === 0 ? 20 + next(60) : 1 + next(4)) })
  }
  const ranges = next(7) === 0 ? [range()] : []
  return [...ranges.filter((one) => one.type === "deleteRange" && one.start < one.end), ...ops.values()]
}

/** Sequences of what has happened to a key, the newest first; a put in the transaction of a range delete is one with it. */
const truth = (world: World, keyspace: number, key: string): ReadonlyArray<number> =>
  world.log
    .filter(({ ops }) => ops.some((op) => op.keyspace === keyspace && (op.type === "deleteRange" ? op.start <= key && key < op.end : op.key === key)))
    .map(({ sequence }) => sequence)
    .reverse()

/** The same of what is stored: entries and range tombstones. */
const stored = (world: World): ReadonlyMap<string, ReadonlySet<number>> => {
  const found = new Map<string, Set<number>>()
  const { cursor, tombstones } = world.sources()
  for (cursor.seekFirst(); cursor.state !== CursorState.atEnd;) {
    if (cursor.state === CursorState.needsBlock) {
      const need = cursor.need!
      const meta = world.levels.flat().find((table) => table.fileId === need.tableId)!
      cursor.supply(world.reader(meta).verifyBlock(need, world.files.read(need.tableId, need.offset, need.storedLength)))
      continue
    }
    const place = `${cursor.keyspace} ${new TextDecoder().decode(cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd))}`
    found.set(place, (found.get(place) ?? new Set()).add(cursor.sequence))
    cursor.next()
  }
  for (const keyspace of keyspaces) {
    for (const key of keys) {
      const covers = found.get(`${keyspace} ${key}`) ?? new Set<number>()
      for (const some of tombstones) {
        for (let at = world.sequence; at > 0; at--) {
          at = some.covering(keyspace, text(key), 0, key.length, at)
          if (at > 0) covers.add(at)
        }
      }
      found.set(`${keyspace} ${key}`, covers)
    }
  }
  return found
}

describe("retention by count through the real jobs", () => {
  it("keeps the newest n of each key, whatever is flushed, compacted and split", () => {
    let deepest = 0
    for (let seed = 1; seed <= 16; seed++) {
      const next = random(seed)
      const world = new World()
      world.picker = { ...world.picker, baseLevelBytes: 500, levelFactor: 2 }
      const counts = new Map(keyspaces.map((keyspace) => [keyspace, 1 + next(4)]))
      world.horizons = [...counts].map(([keyspace, versions]) => ({ keyspace, versions }))
      const check = (label: string) => {
        const all = stored(world)
        for (const keyspace of keyspaces) {
          for (const key of keys) {
            const kept = [...all.get(`${keyspace} ${key}`)!]
            const newest = truth(world, keyspace, key).slice(0, counts.get(keyspace))
            expect(kept, `${label}, keyspace ${keyspace}, key ${key}`).toEqual(expect.arrayContaining([...newest]))
          }
          for (const sequence of world.stripes())
            expect(world.scan(keyspace, sequence), `${label}, keyspace ${keyspace} at ${sequence}`).toEqual(world.truth(keyspace, sequence))
        }
        deepest = Math.max(
          deepest,
          world.levels.findLastIndex((tables) => tables.length > 0)
        )
      }
      for (let step = 0; step < 50; step++) {
        const choice = next(20)
        if (choice < 11) for (let i = 1 + next(8); i > 0; i--) world.commit(...someOps(next, world.sequence + 1))
        else if (choice < 14) world.flush()
        else if (choice === 14) world.freeze()
        else if (choice === 15) world.snapshots.push(world.sequence)
        else if (choice === 16) world.snapshots.splice(next(world.snapshots.length + 1), 1)
        else if (choice === 17) world.settle()
        else {
          const plan =
            choice === 18
              ? world.pickManual(next(2) === 0 ? {} : { from: { keyspace: 16, key: text("b") }, to: { keyspace: 17, key: text("b") } })
              : world.pick()
          if (plan !== undefined) world.apply(plan, 1 + next(3))
        }
        if (choice > 10) check(`seed ${seed}, step ${step}`)
      }
      world.snapshots = []
      world.flush()
      // The picker comes to rest, although there are deletes that stay.
      world.settle()
      const plan = world.pickManual()
      if (plan !== undefined) world.apply(plan, 1 + next(3))
      world.settle()
      check(`seed ${seed}, merged`)
      const entries = world.dump(world.levels.flat()).map((entry) => entry.slice(0, entry.indexOf(" ")))
      const expected = keyspaces.flatMap((keyspace) =>
        keys.flatMap((key) => {
          const newest = new Set(truth(world, keyspace, key).slice(0, counts.get(keyspace)))
          const own = world.log.filter(
            ({ ops, sequence }) => newest.has(sequence) && ops.some((op) => op.keyspace === keyspace && op.type !== "deleteRange" && op.key === key)
          )
          return own.map(({ sequence }) => `${keyspace}/${key}@${sequence}`)
        })
      )
      expect(entries.sort(), `seed ${seed}`).toEqual(expected.sort())
      expect(world.files.unfinished).toBe(0)
    }
    expect(deepest).toBeGreaterThan(2)
  })
})
