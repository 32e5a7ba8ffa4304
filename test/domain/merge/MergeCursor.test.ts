import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import type { EntryCursor } from "../../../src/domain/EntryCursor.ts"
import { Kind, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { MergeCursor, mergeCursors } from "../../../src/domain/merge/MergeCursor.ts"
import { ArrayCursor, compareEntries, random } from "./ArrayCursor.ts"
import type { Entry } from "./ArrayCursor.ts"

const bytes = (...values: Array<number>): Uint8Array => Uint8Array.from(values)
const block = bytes(1)

const entry = (key: Uint8Array, sequence: number, source: number, keyspace = 1): Entry => ({
  keyspace,
  key,
  sequence,
  kind: Kind.put,
  expiresAt: sequence % 3,
  value: bytes(source, key.length)
})

const isAtEntry = (cursor: EntryCursor): boolean => cursor.state === CursorState.atEntry

const settle = (cursor: EntryCursor): void => {
  while (cursor.state === CursorState.needsBlock) {
    expect(cursor.need).toBeDefined()
    cursor.supply(block)
  }
}

/** What the cursor shows, or undefined at the end. */
const shown = (cursor: EntryCursor) =>
  cursor.state !== CursorState.atEntry
    ? undefined
    : {
        keyspace: cursor.keyspace,
        key: [...cursor.keyBytes.subarray(cursor.keyStart, cursor.keyEnd)],
        sequence: cursor.sequence,
        kind: cursor.kind,
        expiresAt: cursor.expiresAt,
        isPointer: cursor.isPointer,
        value: [...cursor.valueBytes.subarray(cursor.valueStart, cursor.valueEnd)]
      }

const asShown = (e: Entry | undefined) =>
  e && { keyspace: e.keyspace, key: [...e.key], sequence: e.sequence, kind: e.kind, expiresAt: e.expiresAt, isPointer: false, value: [...e.value] }

describe("MergeCursor", () => {
  it("walks nothing at all", () => {
    const merge = new MergeCursor([])
    for (const move of [() => merge.seekFirst(), () => merge.seekLast(), () => merge.seek(1, block, 1), () => merge.seekBefore(1, block, 1)]) {
      move()
      expect(merge.state).toBe(CursorState.atEnd)
    }
  })

  it("is the source itself where there is one", () => {
    const source = new ArrayCursor([])
    expect(mergeCursors([source])).toBe(source)
    expect(mergeCursors([source, new ArrayCursor([])])).toBeInstanceOf(MergeCursor)
  })

  it("orders equal internal keys by the age of their source, in both directions", () => {
    const sources = [0, 1, 2].map((source) => new ArrayCursor([entry(bytes(7), 0, source)]))
    const merge = new MergeCursor(sources)
    const values: Array<number> = []
    for (merge.seekFirst(); isAtEntry(merge); merge.next()) values.push(merge.valueBytes[0]!)
    for (merge.seekLast(); isAtEntry(merge); merge.prev()) values.push(merge.valueBytes[0]!)
    expect(values).toEqual([0, 1, 2, 2, 1, 0])
  })

  it("agrees with a sorted array over random moves, missing blocks and changes of direction", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const next = random(seed)
      const count = 1 + next(6)
      const sources: Array<Array<Entry>> = Array.from({ length: count }, () => [])
      const key = (): Uint8Array => Uint8Array.from({ length: 1 + next(2) }, () => next(3))
      const seen = new Set<string>()
      for (let i = next(30); i > 0; i--) {
        const source = next(count)
        const e = entry(key(), next(5), source, 1 + next(2))
        // Equal internal keys occur across sources only where the sequence is elided.
        const id = `${e.keyspace}/${e.key}/${e.sequence}/${e.sequence === 0 ? source : ""}`
        if (!seen.has(id)) sources[source]!.push(e)
        seen.add(id)
      }
      for (const source of sources) source.sort(compareEntries)
      const all = sources
        .flatMap((source, rank) => source.map((e) => ({ e, rank })))
        .sort((a, b) => compareEntries(a.e, b.e) || a.rank - b.rank)
        .map(({ e }) => e)
      const missing = seed % 3 === 0 ? undefined : () => next(3) === 0
      const merge = new MergeCursor(sources.map((source) => new ArrayCursor(source, missing)))
      let at = -1
      for (let step = 0; step < 60; step++) {
        const inside = at >= 0 && at < all.length
        const choice = inside ? next(10) : next(4)
        const probe = entry(key(), next(2) === 0 ? sequenceMax : next(5), 0, next(4))
        const lower = all.findIndex((e) => compareEntries(e, probe) >= 0)
        const bound = lower < 0 ? all.length : lower
        if (choice === 0) {
          merge.seekFirst()
          at = 0
        } else if (choice === 1) {
          merge.seekLast()
          at = all.length - 1
        } else if (choice === 2) {
          merge.seek(probe.keyspace, probe.key, probe.sequence)
          at = bound
        } else if (choice === 3) {
          merge.seekBefore(probe.keyspace, probe.key, probe.sequence)
          at = bound - 1
        } else if (choice < 7) {
          merge.next()
          at++
        } else {
          merge.prev()
          at--
        }
        settle(merge)
        expect(shown(merge), `seed ${seed}, step ${step}, choice ${choice}, at ${at} of ${all.length}`).toEqual(asShown(all[at]))
      }
    }
  })
})
