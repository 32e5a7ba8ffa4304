import { describe, expect, it } from "vitest"
import { random } from "../merge/ArrayCursor.ts"
import { World } from "./World.ts"
import type { Op } from "./World.ts"

const keyspaces = [0, 1, 16]
const keys = ["a", "ab", "b", "b\0", "c", "d", "dd", "e"]

/** A few operations on keys that collide; range deletes come first within a commit, and a key once. */
const someOps = (next: (below: number) => number, sequence: number): Array<Op> => {
  const keyspace = keyspaces[next(keyspaces.length)]!
  if (next(7) === 0) {
    const [start, end] = [keys[next(keys.length)]!, [...keys, "f"][next(keys.length + 1)]!]
    return [{ type: "deleteRange", keyspace, start, end }]
  }
  const ops = new Map<string, Op>()
  for (let i = 1 + next(4); i > 0; i--) {
    const key = keys[next(keys.length)]!
    const kind = next(6)
    if (kind === 0) ops.set(key, { type: "delete", keyspace, key })
    else if (kind === 1) ops.set(key, { type: "expire", keyspace, key })
    else {
      const value = `${sequence}`.repeat(1 + (next(4) === 0 ? 20 + next(60) : next(4)))
      ops.set(key, { type: "put", keyspace, key, value, ...(next(6) === 0 ? { expiresAt: 10 + next(30) } : {}) })
    }
  }
  return [...ops.values()]
}

/** Every live snapshot and the newest state, whole and point by point, in both directions, at several times. */
const check = (world: World, next: (below: number) => number, label: string): void => {
  for (const sequence of world.stripes()) {
    const timeMs = next(45)
    for (const keyspace of keyspaces) {
      const where = `${label}, keyspace ${keyspace} at ${sequence}, time ${timeMs}`
      const truth = world.truth(keyspace, sequence, timeMs)
      expect(world.scan(keyspace, sequence, { timeMs }), where).toEqual(truth)
      expect(world.scan(keyspace, sequence, { timeMs, reverse: true }).reverse(), `${where}, reverse`).toEqual(truth)
    }
    const keyspace = keyspaces[next(keyspaces.length)]!
    const key = keys[next(keys.length)]!
    const bounds = { gte: new TextEncoder().encode(key), lte: new TextEncoder().encode(key) }
    expect(world.scan(keyspace, sequence, { timeMs, bounds, reverse: next(2) === 0 }), `${label}, get ${keyspace}/${key} at ${sequence}`).toEqual(
      world.truth(keyspace, sequence, timeMs).filter((entry) => entry.startsWith(`${key}=`))
    )
  }
}

describe("random histories through the real jobs", () => {
  it("read the same as the list of operations, whatever is flushed, compacted and split", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed)
      const world = new World()
      if (seed % 4 === 0) world.policy = { ...world.policy, flushTablesMax: 1 }
      for (let step = 0; step < 40; step++) {
        const choice = next(20)
        const label = `seed ${seed}, step ${step}`
        if (choice < 11) for (let i = 1 + next(6); i > 0; i--) world.commit(...someOps(next, world.sequence + 1))
        else if (choice < 14) world.flush()
        else if (choice === 14) world.freeze()
        else if (choice === 15) world.snapshots.push(world.sequence)
        else if (choice === 16) world.snapshots.splice(next(world.snapshots.length + 1), 1)
        else if (choice === 17) {
          const plan = world.pickManual(
            next(2) === 0
              ? {}
              : { from: { keyspace: 1, key: new TextEncoder().encode("b") }, to: { keyspace: 1, key: new TextEncoder().encode("d") } }
          )
          if (plan !== undefined) world.apply(plan, 1 + next(3))
        } else {
          const plan = world.pick()
          if (plan !== undefined) world.apply(plan, 1 + next(3))
        }
        if (choice > 10) check(world, next, label)
      }
      expect(world.files.unfinished).toBe(0)
    }
  })

  it("give the same tables' content from one job and from three", () => {
    let splits = 0
    for (let seed = 101; seed <= 120; seed++) {
      const next = random(seed)
      const world = new World()
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 15; i++) {
          world.commit(...someOps(next, world.sequence + 1))
          if (next(8) === 0) world.snapshots.push(world.sequence)
        }
        world.flush()
        if (round < 3) world.settle()
      }
      const plan = world.pickManual()!
      const whole = world.merge(plan, 1)
      const parts = world.merge(plan, 3)
      expect(world.dump(parts.tables), `seed ${seed}`).toEqual(world.dump(whole.tables))
      // Cuts differ, but what the range tombstones cover must not.
      const covers = (tables: typeof whole.tables) =>
        keyspaces.flatMap((keyspace) =>
          keys.flatMap((key) =>
            world.stripes().map((snapshot) => {
              const bytes = new TextEncoder().encode(key)
              return Math.max(0, ...tables.map((table) => world.reader(table).tombstones.covering(keyspace, bytes, 0, bytes.length, snapshot)))
            })
          )
        )
      expect(covers(parts.tables), `seed ${seed}`).toEqual(covers(whole.tables))
      if (parts.tables.length > whole.tables.length) splits++
    }
    expect(splits).toBeGreaterThan(2)
  })

  it("leave nothing behind once everything is deleted and no snapshot holds it", () => {
    for (let seed = 201; seed <= 220; seed++) {
      const next = random(seed)
      const world = new World()
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 12; i++) world.commit(...someOps(next, world.sequence + 1))
        if (round === 2) world.snapshots = [world.sequence]
        world.flush()
        world.settle()
      }
      const held = keyspaces.map((keyspace) => world.truth(keyspace, world.snapshots[0]!).length).reduce((a, b) => a + b)
      for (const keyspace of keyspaces) world.commit({ type: "deleteRange", keyspace, start: "a", end: "f" })
      world.flush()
      world.settle()
      check(world, next, `seed ${seed}, deleted`)
      if (held > 0) expect(world.levels.flat().length, `seed ${seed}`).toBeGreaterThan(0)
      world.snapshots = []
      // Unasked: the picker sees tables of nothing but tombstones. What is left in tables of both kinds goes when asked.
      world.settle()
      const plan = world.pickManual()
      if (plan !== undefined) world.apply(plan, 1 + next(3))
      world.settle()
      expect(world.levels.flat(), `seed ${seed}`).toEqual([])
      expect(world.valueFiles, `seed ${seed}`).toEqual([])
    }
  })

  it("give back the space of a dropped keyspace, and not before every snapshot is beyond the drop", () => {
    for (let seed = 301; seed <= 320; seed++) {
      const next = random(seed)
      const world = new World()
      if (seed % 2 === 0) world.policy = { ...world.policy, flushTablesMax: 1 }
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 12; i++) world.commit(...someOps(next, world.sequence + 1))
        world.flush()
        if (round < 2) world.settle()
      }
      world.snapshots = [world.sequence]
      world.commit({ type: "put", keyspace: 0, key: "dropped 16", value: "" })
      world.horizons = [{ keyspace: 16, dropSequence: world.sequence }]
      world.settle()
      check(world, next, `seed ${seed}, dropped`)
      world.snapshots = []
      world.settle()
      const plan = world.pickManual()
      if (plan !== undefined) world.apply(plan)
      expect(
        world.dump(world.levels.flat()).filter((entry) => entry.startsWith("16/")),
        `seed ${seed}`
      ).toEqual([])
      world.horizons = []
      for (const keyspace of [0, 1]) expect(world.scan(keyspace, world.sequence), `seed ${seed}`).toEqual(world.truth(keyspace, world.sequence))
    }
  })
})
