import { describe, expect, it } from "vitest"
import type { RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { DeeperTables } from "../../../src/domain/compaction/DeeperTables.ts"
import { Stripes, StripesByKeyspace, Verdict, VersionRule } from "../../../src/domain/compaction/stripes.ts"
import type { Horizon, KeyFacts } from "../../../src/domain/compaction/stripes.ts"
import { TombstoneCarry } from "../../../src/domain/compaction/TombstoneCarry.ts"
import { fragment, unfragment } from "../../../src/domain/table/RangeTombstones.ts"
import { compareEntries, random } from "../merge/ArrayCursor.ts"
import type { Entry } from "../merge/ArrayCursor.ts"

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const k = text("k")

const rule = (snapshots: ReadonlyArray<number>, facts: Partial<KeyFacts> = {}, horizons: ReadonlyArray<Horizon> = []): VersionRule =>
  new VersionRule(
    new StripesByKeyspace(snapshots, horizons),
    {
      isAtBottom: () => false,
      newestCover: () => 0,
      covers: () => [],
      oldestKeptCover: () => Infinity,
      ...facts
    },
    facts.newestCover !== undefined || facts.oldestKeptCover !== undefined
  )

/** Versions as "p5" (put), "d5" (delete), "x5" (expire), "e5" (put with an expiry), newest first → what stays of them, "0" for an elided sequence. */
const run = (versions: string, given: VersionRule): string => {
  given.startKey(1, k, 0, 1)
  return versions
    .split(" ")
    .flatMap((version) => {
      const sequence = Number(version.slice(1))
      const kind = version[0] === "d" ? Kind.delete : version[0] === "x" ? Kind.expire : Kind.put
      const verdict = given.decide(sequence, kind, version[0] === "e" ? 77 : 0)
      return verdict === Verdict.drop ? [] : [verdict === Verdict.keepElided ? "0" : version]
    })
    .join(" ")
}

describe("Stripes", () => {
  it("end at the next snapshot, and above the floor at the sequence itself", () => {
    const stripes = new Stripes([20, 45, 60])
    expect([1, 20, 21, 45, 46, 60, 61, 99].map((sequence) => stripes.endOf(sequence))).toEqual([20, 20, 45, 45, 60, 60, 61, 99])
    expect(stripes).toMatchObject({ lowest: 20, floor: 60, isDropped: false })
  })

  it("keep every sequence from a lower history floor on", () => {
    const stripes = new Stripes([20, 45, 60], { keyspace: 1, historyFrom: 30 })
    expect([1, 21, 30, 31, 45].map((sequence) => stripes.endOf(sequence))).toEqual([20, 30, 30, 31, 45])
    expect(new Stripes([20, 60], { keyspace: 1, historyFrom: 7 })).toMatchObject({ lowest: 7, floor: 7 })
    expect(new Stripes([20, 60], { keyspace: 1, historyFrom: 70 })).toMatchObject({ lowest: 20, floor: 60 })
  })

  it("must ascend and must not be missing", () => {
    expect(() => new StripesByKeyspace([])).toThrow("visible sequence")
    expect(() => new StripesByKeyspace([3, 3])).toThrow("ascend")
  })
})

describe("VersionRule", () => {
  const bottom = { isAtBottom: () => true }

  it("keeps the newest version of each stripe (the drawing of the header)", () => {
    expect(run("p63 p61 d50 p41 p22 p11 p5", rule([20, 45, 60]))).toBe("p63 p61 d50 p41 p11")
    expect(run("p50 d18 p5", rule([20, 45, 60], bottom))).toBe("p50")
    expect(run("p30 p5", rule([20, 45, 60], { newestCover: (_k, _b, _s, _e, sequence) => (sequence >= 33 ? 33 : 17) }))).toBe("")
  })

  it("drops a delete only at the bottom and only from the lowest stripe", () => {
    for (const kind of ["d", "x"]) {
      expect(run(`${kind}7 p5`, rule([10]))).toBe(`${kind}7`)
      expect(run(`${kind}7 p5`, rule([10], bottom))).toBe("")
      expect(run(`${kind}7 p5`, rule([6, 10], bottom))).toBe(`${kind}7 0`)
    }
  })

  it("elides sequences only at the bottom, in the lowest stripe, without expiry", () => {
    expect(run("p7", rule([10]))).toBe("p7")
    expect(run("p7", rule([10], bottom))).toBe("0")
    expect(run("p7", rule([6, 10], bottom))).toBe("p7")
    expect(run("e7", rule([10], bottom))).toBe("e7")
    expect(run("p0", rule([10], bottom))).toBe("p0")
    expect(run("p7", rule([10], bottom, [{ keyspace: 1, historyFrom: 6 }]))).toBe("p7")
    expect(run("p7", rule([10], bottom, [{ keyspace: 2, historyFrom: 6 }]))).toBe("0")
  })

  it("does not elide above an older range tombstone that stays: at 0 the put would fall under it", () => {
    expect(run("p7", rule([10], { ...bottom, oldestKeptCover: () => 3 }))).toBe("p7")
    expect(run("p7", rule([10], { ...bottom, oldestKeptCover: () => 8 }))).toBe("0")
  })

  it("drops nothing above the history floor", () => {
    expect(run("p9 d8 p7 p5 p4", rule([10], bottom, [{ keyspace: 1, historyFrom: 5 }]))).toBe("p9 d8 p7 0")
  })

  it("drops a keyspace once every stripe lies at or above its drop", () => {
    const dropped = (snapshots: Array<number>, historyFrom?: number): string =>
      run("p9 p5", rule(snapshots, {}, [{ keyspace: 1, dropSequence: 10, historyFrom }]))
    expect(dropped([10, 12])).toBe("")
    expect(dropped([9, 12])).toBe("p9")
    expect(dropped([12], 9)).toBe("p9")
    expect(dropped([12], 10)).toBe("")
  })

  it("shows every snapshot the same state before and after, over random histories", () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const next = random(seed)
      const pick = <A>(values: ReadonlyArray<A>): A => values[next(values.length)]!
      const keys = ["b", "d", "f"]
      const sequences = Array.from({ length: 16 }, (_, i) => i + 1)
      const entry = (sequence: number): Entry => {
        const kind = pick([Kind.put, Kind.put, Kind.delete, Kind.expire])
        return { keyspace: 1, key: text(pick(keys)), sequence, kind, expiresAt: kind === Kind.put ? next(2) * 50 : 0, value: text(`v${sequence}`) }
      }
      const tombstone = (sequence: number): RangeTombstone => ({
        keyspace: 1,
        start: text(pick("abcd".split(""))),
        end: text(pick("cdefg".split(""))),
        sequence
      })
      // What lies deeper is older than every input, and only where `deeperSpan` says so.
      const border = next(8)
      const deeperKey = pick(["b", "d", "f", undefined])
      const deeper: Array<Entry> = []
      const input: Array<Entry> = []
      const tombstones: Array<RangeTombstone> = []
      for (const sequence of sequences) {
        const e = entry(sequence)
        if (sequence <= border) {
          if (deeperKey !== undefined) deeper.push({ ...e, key: text(deeperKey), sequence: next(3) === 0 && deeper.length === 0 ? 0 : sequence })
        } else if (next(4) === 0) tombstones.push(tombstone(sequence))
        else input.push(e)
      }
      input.sort(compareEntries)
      const snapshots = [...new Set([...sequences.filter(() => next(5) === 0), 10 + next(8)])].sort((a, b) => a - b)
      const historyFrom = next(3) === 0 ? next(17) : undefined
      const stripes = new StripesByKeyspace(snapshots, [{ keyspace: 1, historyFrom }])
      const tables = (): DeeperTables => new DeeperTables(deeper.map((e) => ({ smallest: e, largest: e })))
      const sweep = tables()
      const carry = new TombstoneCarry(fragment(tombstones), stripes, (keyspace, start, end) => tables().isRangeAtBottom(keyspace, start, end))
      const given = new VersionRule(
        stripes,
        {
          isAtBottom: (...key) => sweep.isAtBottom(...key),
          newestCover: (...key) => carry.newestCover(...key),
          covers: (...key) => carry.covers(...key),
          oldestKeptCover: (...key) => carry.oldestKeptCover(...key)
        },
        carry.hasAny
      )
      let last: Uint8Array | undefined
      const output: Array<Entry> = []
      for (const e of input) {
        if (last === undefined || compareBytes(last, e.key) !== 0) given.startKey(1, e.key, 0, e.key.length)
        last = e.key
        const verdict = given.decide(e.sequence, e.kind, e.expiresAt)
        if (verdict !== Verdict.drop) output.push({ ...e, sequence: verdict === Verdict.keepElided ? 0 : e.sequence })
      }
      const kept = unfragment(carry.takeBefore(undefined))
      expect(carry.droppedCount).toBe(unfragment(fragment(tombstones)).length - kept.length)
      const visible = (entries: ReadonlyArray<Entry>, covers: ReadonlyArray<RangeTombstone>, key: string, snapshot: number): string | undefined => {
        const newest = entries
          .filter((e) => compareBytes(e.key, text(key)) === 0 && e.sequence <= snapshot)
          .sort((a, b) => b.sequence - a.sequence)[0]
        if (newest === undefined || newest.kind !== Kind.put) return undefined
        const isCovered = covers.some(
          (t) => t.sequence <= snapshot && t.sequence > newest.sequence && compareBytes(t.start, text(key)) <= 0 && compareBytes(text(key), t.end) < 0
        )
        return isCovered
          ? undefined
          : `${new TextDecoder().decode(newest.value)}/${newest.expiresAt}${newest.expiresAt === 0 ? "" : `/${newest.sequence}`}`
      }
      const floor = Math.min(historyFrom ?? Infinity, snapshots.at(-1)!)
      for (const snapshot of [...snapshots.filter((s) => s < floor), ...sequences.filter((s) => s >= floor), floor]) {
        for (const key of keys) {
          const before = visible([...input, ...deeper], tombstones, key, snapshot)
          expect(
            visible([...output, ...deeper], kept, key, snapshot),
            `seed ${seed}, key ${key}, snapshot ${snapshot} of ${snapshots}, floor ${floor}`
          ).toBe(before)
        }
      }
      // And what can go has gone: with one snapshot above everything and nothing deeper, only what it sees is left.
      if (snapshots[0]! >= 16 && historyFrom === undefined && deeper.length === 0) {
        expect(kept).toEqual([])
        expect(output.length).toBe(keys.filter((key) => visible(input, tombstones, key, 99) !== undefined).length)
      }
    }
  })
})

describe("TombstoneCarry", () => {
  const t = (start: string, end: string, sequence: number, keyspace = 1): RangeTombstone => ({
    keyspace,
    start: text(start),
    end: text(end),
    sequence
  })
  const carryOf = (
    tombstones: ReadonlyArray<RangeTombstone>,
    snapshots: ReadonlyArray<number>,
    isAtBottom = false,
    horizons: ReadonlyArray<Horizon> = []
  ): TombstoneCarry => new TombstoneCarry(fragment(tombstones), new StripesByKeyspace(snapshots, horizons), () => isAtBottom)
  const show = (carry: TombstoneCarry, keyspace?: number, key = ""): string =>
    carry
      .takeBefore(keyspace === undefined ? undefined : { keyspace, key: text(key) })
      .map((f) => `${f.keyspace}[${new TextDecoder().decode(f.start)},${new TextDecoder().decode(f.end)})${f.sequences.join("+")}`)
      .join(" ")

  it("keeps the newest of each stripe, and at the bottom nothing of the lowest", () => {
    expect(show(carryOf([t("a", "m", 5), t("a", "m", 7), t("a", "m", 12)], [10, 20]))).toBe("1[a,m)12+7")
    expect(show(carryOf([t("a", "m", 5), t("a", "m", 7), t("a", "m", 12)], [10, 20], true))).toBe("1[a,m)12")
    expect(show(carryOf([t("a", "m", 5)], [10, 20], true))).toBe("")
    expect(show(carryOf([t("a", "m", 5)], [10], false, [{ keyspace: 1, dropSequence: 9 }]))).toBe("")
  })

  it("is cut at keys and at keyspaces", () => {
    const carry = carryOf([t("a", "m", 5), t("q", "z", 6), t("a", "c", 7, 2), t("a", "c", 7, 3)], [10])
    expect(carry.nextKeyspace).toBe(1)
    expect(show(carry, 1, "a")).toBe("")
    expect(show(carry, 1, "f")).toBe("1[a,f)5")
    expect(show(carry, 1, "f")).toBe("")
    expect(show(carry, 1, "m")).toBe("1[f,m)5")
    expect(show(carry, 2, "")).toBe("1[q,z)6")
    expect(carry.nextKeyspace).toBe(2)
    expect(show(carry)).toBe("2[a,c)7 3[a,c)7")
    expect(carry.nextKeyspace).toBeUndefined()
  })

  it("answers a sweep across keyspaces and gaps", () => {
    const carry = carryOf([t("b", "d", 5), t("b", "d", 12), t("b", "d", 3, 3)], [10])
    const ask = (keyspace: number, key: string, sequence: number): number => carry.newestCover(keyspace, text(key), 0, 1, sequence)
    expect([
      ask(1, "a", 99),
      ask(1, "b", 99),
      ask(1, "c", 11),
      ask(1, "c", 4),
      ask(1, "d", 99),
      ask(2, "c", 99),
      ask(3, "c", 99),
      ask(4, "c", 99)
    ]).toEqual([0, 12, 5, 0, 0, 0, 3, 0])
    const kept = carryOf([t("b", "d", 5), t("b", "d", 12)], [10])
    expect(["a", "b", "d"].map((key) => kept.oldestKeptCover(1, text(key), 0, 1))).toEqual([Infinity, 5, Infinity])
  })
})

describe("DeeperTables", () => {
  const span = (keyspace: number, smallest: string, largest: string) => ({
    smallest: { keyspace, key: text(smallest) },
    largest: { keyspace, key: text(largest) }
  })

  it("finds what lies beneath a key or a range, bounds included", () => {
    const spans = [span(1, "m", "p"), span(1, "a", "c"), span(1, "b", "d"), span(1, "n", "o"), span(2, "a", "b")]
    const deeper = new DeeperTables(spans)
    const asked: Array<[number, string]> = [
      [0, "z"],
      [1, "a"],
      [1, "d"],
      [1, "e"],
      [1, "l"],
      [1, "p"],
      [1, "q"],
      [2, "a"],
      [2, "c"],
      [3, "a"]
    ]
    expect(asked.map(([keyspace, key]) => deeper.isAtBottom(keyspace, text(key), 0, 1))).toEqual([
      true,
      false,
      false,
      true,
      true,
      false,
      true,
      false,
      true,
      true
    ])
    expect(deeper.isRangeAtBottom(1, text("e"), text("f"))).toBe(true)
    expect(deeper.isRangeAtBottom(1, text("e"), text("n"))).toBe(false)
    expect(deeper.isRangeAtBottom(3, text("a"), text("n"))).toBe(true)
  })
})
