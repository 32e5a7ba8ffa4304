import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import type { EntryCursor, RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { MergeCursor } from "../../../src/domain/merge/MergeCursor.ts"
import { VisibleCursor } from "../../../src/domain/merge/VisibleCursor.ts"
import type { VisibleOptions } from "../../../src/domain/merge/VisibleCursor.ts"
import { FragmentedTombstones } from "../../../src/domain/table/RangeTombstones.ts"
import { ArrayCursor, compareEntries, random } from "./ArrayCursor.ts"
import type { Entry } from "./ArrayCursor.ts"

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const asText = (b: Uint8Array, start = 0, end = b.length): string => new TextDecoder().decode(b.slice(start, end))

const put = (key: string, sequence: number, value = `${key}${sequence}`, expiresAt = 0, keyspace = 1): Entry => ({
  keyspace,
  key: text(key),
  sequence,
  kind: Kind.put,
  expiresAt,
  value: text(value)
})
const gone = (key: string, sequence: number, kind: number = Kind.delete): Entry => ({ ...put(key, sequence, ""), kind })

const read = (source: EntryCursor, options: VisibleOptions): Array<string> => {
  const cursor = new VisibleCursor(source, options)
  const out: Array<string> = []
  for (let state = cursor.advance(); state !== CursorState.atEnd; state = cursor.advance()) {
    while (state === CursorState.needsBlock) {
      expect(cursor.need).toBeDefined()
      state = cursor.supply(text("block"))
    }
    if (state === CursorState.atEnd) break
    expect(cursor.state).toBe(CursorState.atEntry)
    expect(cursor.need).toBeUndefined()
    out.push(`${asText(cursor.keyBytes, cursor.keyStart, cursor.keyEnd)}=${asText(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)}`)
  }
  expect(cursor.advance()).toBe(CursorState.atEnd)
  return out
}

/** The definition, over all entries of all sources. */
const oracle = (entries: ReadonlyArray<Entry>, tombstones: ReadonlyArray<RangeTombstone>, o: VisibleOptions): Array<string> => {
  const keys = [...new Set(entries.filter((e) => e.keyspace === o.keyspace).map((e) => asText(e.key)))].map(text).sort(compareBytes)
  const b = o.bounds ?? {}
  const out: Array<string> = []
  for (const key of keys) {
    if ((b.gte && compareBytes(key, b.gte) < 0) || (b.gt && compareBytes(key, b.gt) <= 0)) continue
    if ((b.lte && compareBytes(key, b.lte) > 0) || (b.lt && compareBytes(key, b.lt) >= 0)) continue
    const versions = entries.filter((e) => e.keyspace === o.keyspace && compareBytes(e.key, key) === 0 && e.sequence <= o.sequence)
    const newest = versions.sort((x, y) => y.sequence - x.sequence)[0]
    if (newest === undefined || newest.kind !== Kind.put) continue
    if (newest.expiresAt !== 0 && newest.expiresAt <= o.timeMs) continue
    if (
      tombstones.some(
        (t) =>
          t.keyspace === o.keyspace &&
          compareBytes(t.start, key) <= 0 &&
          compareBytes(key, t.end) < 0 &&
          t.sequence <= o.sequence &&
          t.sequence > newest.sequence
      )
    )
      continue
    out.push(`${asText(key)}=${asText(newest.value)}`)
  }
  if (o.reverse) out.reverse()
  return out.slice(0, o.limit ?? out.length)
}

const at = (sequence: number, more: Partial<VisibleOptions> = {}): VisibleOptions => ({ keyspace: 1, sequence, timeMs: 0, ...more })

describe("VisibleCursor", () => {
  const history = [
    put("a", 1),
    put("b", 5),
    put("b", 3),
    put("b", 1),
    gone("c", 4),
    put("c", 2),
    put("d", 2, "d2", 100),
    put("d", 1),
    gone("e", 3, Kind.expire),
    put("e", 2)
  ]

  it.each([false, true])("shows of each key the newest version within the snapshot (reverse: %s)", (reverse) => {
    const show = (sequence: number, timeMs = 0): Array<string> => {
      const found = read(new ArrayCursor(history), at(sequence, { reverse, timeMs }))
      return reverse ? found.reverse() : found
    }
    expect(show(0)).toEqual([])
    expect(show(1)).toEqual(["a=a1", "b=b1", "d=d1"])
    expect(show(2)).toEqual(["a=a1", "b=b1", "c=c2", "d=d2", "e=e2"])
    expect(show(4)).toEqual(["a=a1", "b=b3", "d=d2"])
    expect(show(9)).toEqual(["a=a1", "b=b5", "d=d2"])
    // An entry that expires at 100 is gone at 100, and it does not uncover the older version.
    expect(show(9, 99)).toEqual(["a=a1", "b=b5", "d=d2"])
    expect(show(9, 100)).toEqual(["a=a1", "b=b5"])
  })

  it("lets a range tombstone of the snapshot cover what is strictly older", () => {
    const tombstones = [FragmentedTombstones.empty, FragmentedTombstones.from([{ keyspace: 1, start: text("a"), end: text("c"), sequence: 3 }])]
    expect(read(new ArrayCursor(history), at(2, { tombstones }))).toEqual(["a=a1", "b=b1", "c=c2", "d=d2", "e=e2"])
    expect(read(new ArrayCursor(history), at(3, { tombstones }))).toEqual(["b=b3", "c=c2", "d=d2"])
    expect(read(new ArrayCursor(history), at(3, { tombstones, reverse: true }))).toEqual(["d=d2", "c=c2", "b=b3"])
  })

  it("jumps over long runs of hidden versions", () => {
    const versions = Array.from({ length: 2_000 }, (_, i) => put("k", 2_000 - i))
    const newest = new ArrayCursor([...versions, put("l", 1)])
    expect(read(newest, at(2_000))).toEqual(["k=k2000", "l=l1"])
    expect(newest.moves).toBeLessThan(60)
    const oldest = new ArrayCursor([...versions, put("l", 1)])
    expect(read(oldest, at(3))).toEqual(["k=k3", "l=l1"])
    expect(oldest.moves).toBeLessThan(60)
    const elided = new ArrayCursor([...versions, put("k", 0), put("l", 1)])
    expect(read(elided, at(2_000))).toEqual(["k=k2000", "l=l1"])
    expect(elided.moves).toBeLessThan(60)
  })

  it("steps over equal keys whose sequence was elided", () => {
    const run = Array.from({ length: 40 }, () => put("k", 0, "v"))
    expect(read(new ArrayCursor([...run, put("l", 0, "w")]), at(9))).toEqual(["k=v", "l=w"])
  })

  it("stops at its limit without reading on", () => {
    const source = new ArrayCursor(history)
    expect(read(source, at(9, { limit: 1 }))).toEqual(["a=a1"])
    expect(source.moves).toBe(1)
    expect(read(source, at(9, { limit: 0 }))).toEqual([])
    expect(source.moves).toBe(1)
  })

  it("keeps a long key in reverse", () => {
    const long = "x".repeat(300)
    expect(read(new ArrayCursor([put(long, 1, "1"), put(`${long}y`, 1, "2")]), at(9, { reverse: true }))).toEqual([`${long}y=2`, `${long}=1`])
  })

  it("agrees with the definition over random histories, bounds and sources", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const next = random(seed)
      const key = (): string => "abc".slice(next(3)).slice(0, 1 + next(2))
      const sources: Array<Array<Entry>> = Array.from({ length: 1 + next(4) }, () => [])
      const seen = new Set<string>()
      for (let i = next(25); i > 0; i--) {
        const kind = [Kind.put, Kind.put, Kind.put, Kind.delete, Kind.expire][next(5)]!
        const e: Entry = { ...put(key(), next(9), `v${i}`, kind === Kind.put ? next(3) * 10 : 0, 1 + next(2)), kind }
        const id = `${e.keyspace}/${asText(e.key)}/${e.sequence}`
        if (!seen.has(id)) sources[next(sources.length)]!.push(e)
        seen.add(id)
      }
      for (const source of sources) source.sort(compareEntries)
      const tombstones: Array<RangeTombstone> = Array.from({ length: next(3) }, () => ({
        keyspace: 1 + next(2),
        start: text(key()),
        end: text(key()),
        sequence: next(9)
      }))
      for (let scan = 0; scan < 8; scan++) {
        const options: VisibleOptions = {
          keyspace: 1 + next(2),
          sequence: next(10),
          timeMs: next(3) * 10,
          reverse: next(2) === 0,
          ...(next(3) === 0 ? { limit: next(4) } : {}),
          bounds: {
            ...[{}, { gte: text(key()) }, { gt: text(key()) }][next(3)],
            ...[{}, { lte: text(key()) }, { lt: text(key()) }][next(3)]
          }
        }
        const missing = next(2) === 0 ? undefined : () => next(3) === 0
        const found = read(new MergeCursor(sources.map((source) => new ArrayCursor(source, missing))), {
          ...options,
          tombstones: tombstones.map((t) => FragmentedTombstones.from([t]))
        })
        expect(found, `seed ${seed}, scan ${scan}`).toEqual(oracle(sources.flat(), tombstones, options))
      }
    }
  })
})
