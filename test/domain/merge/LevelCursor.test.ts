import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import type { EntryCursor } from "../../../src/domain/EntryCursor.ts"
import { Kind, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { LevelCursor } from "../../../src/domain/merge/LevelCursor.ts"
import { ArrayCursor, compareEntries, random } from "./ArrayCursor.ts"
import type { Entry } from "./ArrayCursor.ts"

const entry = (key: number, sequence: number, keyspace = 1): Entry => ({
  keyspace,
  key: Uint8Array.of(key),
  sequence,
  kind: Kind.put,
  expiresAt: 0,
  value: Uint8Array.of(key, sequence)
})

const spanOf = (entries: ReadonlyArray<Entry>, wider = 0) => {
  const first = entries[0]!
  const last = entries.at(-1)!
  return { entries, smallest: first, largest: { ...last, key: Uint8Array.of(last.key[0]! + wider) } }
}

describe("LevelCursor", () => {
  it("walks no tables", () => {
    const level = new LevelCursor([], () => new ArrayCursor([]))
    for (const move of [
      () => level.seekFirst(),
      () => level.seekLast(),
      () => level.seek(1, Uint8Array.of(1), 1),
      () => level.seekBefore(1, Uint8Array.of(1), 1)
    ]) {
      move()
      expect(level.state).toBe(CursorState.atEnd)
    }
  })

  it("opens only the tables it walks over", () => {
    const opened: Array<number> = []
    const tables = [10, 20, 30].map((key) => spanOf([entry(key, 1), entry(key + 5, 1)]))
    const level = new LevelCursor(tables, (table) => {
      opened.push(table.smallest.key[0]!)
      return new ArrayCursor(table.entries)
    })
    level.seek(1, Uint8Array.of(20), sequenceMax)
    level.next()
    expect(opened).toEqual([20])
    level.next()
    expect([level.keyBytes[level.keyStart], ...opened]).toEqual([30, 20, 30])
    level.seek(1, Uint8Array.of(99), sequenceMax)
    expect(level.state).toBe(CursorState.atEnd)
    expect(opened).toEqual([20, 30])
  })

  it("goes on over a table that is empty where its bounds say otherwise", () => {
    const tombstonesOnly = { entries: [], smallest: entry(20, 0), largest: entry(29, 0) }
    const tables = [spanOf([entry(10, 1)], 5), tombstonesOnly, spanOf([entry(30, 1)])]
    const level = new LevelCursor<(typeof tables)[number]>(tables, (table) => new ArrayCursor(table.entries))
    const key = (): number | undefined => (level.state === CursorState.atEntry ? level.keyBytes[level.keyStart] : undefined)
    level.seek(1, Uint8Array.of(12), sequenceMax)
    expect(key()).toBe(30)
    level.prev()
    expect(key()).toBe(10)
    level.seekBefore(1, Uint8Array.of(25), sequenceMax)
    expect(key()).toBe(10)
  })

  it("agrees with a sorted array over random moves and missing blocks", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const next = random(seed)
      const all: Array<Entry> = []
      for (let i = next(14); i > 0; i--) all.push(entry(next(9), next(4), 1 + next(2)))
      all.sort(compareEntries)
      const unique = all.filter((e, i) => i === 0 || compareEntries(all[i - 1]!, e) !== 0)
      // Cut at random, but never between versions of one key.
      const tables: Array<ReturnType<typeof spanOf>> = []
      let run: Array<Entry> = []
      for (const e of unique) {
        const last = run.at(-1)
        if (last !== undefined && (last.keyspace !== e.keyspace || last.key[0] !== e.key[0]) && (last.keyspace !== e.keyspace || next(2) === 0)) {
          tables.push(spanOf(run))
          run = []
        }
        run.push(e)
      }
      if (run.length > 0) tables.push(spanOf(run))
      const missing = seed % 2 === 0 ? undefined : () => next(3) === 0
      const level: EntryCursor = new LevelCursor(tables, (table) => new ArrayCursor(table.entries, missing))
      let at = -1
      for (let step = 0; step < 40; step++) {
        const choice = at >= 0 && at < unique.length ? next(10) : next(4)
        const probe = entry(next(10), next(2) === 0 ? sequenceMax : next(4), next(4))
        const found = unique.findIndex((e) => compareEntries(e, probe) >= 0)
        const bound = found < 0 ? unique.length : found
        if (choice === 0) {
          level.seekFirst()
          at = 0
        } else if (choice === 1) {
          level.seekLast()
          at = unique.length - 1
        } else if (choice === 2) {
          level.seek(probe.keyspace, probe.key, probe.sequence)
          at = bound
        } else if (choice === 3) {
          level.seekBefore(probe.keyspace, probe.key, probe.sequence)
          at = bound - 1
        } else if (choice < 7) {
          level.next()
          at++
        } else {
          level.prev()
          at--
        }
        while (level.state === CursorState.needsBlock) level.supply(Uint8Array.of(1))
        const shown = level.state === CursorState.atEntry ? [level.keyspace, level.keyBytes[level.keyStart], level.sequence] : undefined
        const e = unique[at]
        expect(shown, `seed ${seed}, step ${step}, choice ${choice}`).toEqual(e && [e.keyspace, e.key[0], e.sequence])
      }
    }
  })
})
