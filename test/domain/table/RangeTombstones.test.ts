import { describe, expect, it } from "vitest"
import type { RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import { Damage } from "../../../src/domain/failures.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { fragment, FragmentedTombstones, unfragment } from "../../../src/domain/table/RangeTombstones.ts"
import type { TombstoneBound } from "../../../src/domain/table/RangeTombstones.ts"
import { hex, randomOf, text } from "./support.ts"

const tombstone = (keyspace: number, start: string, end: string, sequence: number): RangeTombstone => ({
  keyspace,
  start: text(start),
  end: text(end),
  sequence
})
const show = (fragments: Iterable<{ keyspace: number; start: Uint8Array; end: Uint8Array; sequences: ReadonlyArray<number> }>): Array<string> =>
  Array.from(fragments, (f) => `${f.keyspace} [${Buffer.from(f.start)}, ${Buffer.from(f.end)}) ${f.sequences.join(" ")}`)
const covering = (t: FragmentedTombstones, keyspace: number, key: string, snapshot: number): number =>
  t.covering(keyspace, text(`<${key}>`), 1, 1 + text(key).length, snapshot)

const randomTombstones = (seed: number): Array<RangeTombstone> => {
  const random = randomOf(seed)
  const edge = (): string => "abcdefgh".slice(0, random(3)) + "abcdefgh"[random(8)]!
  return Array.from({ length: random(14) }, () => tombstone(random(3), random(9) === 0 ? "" : edge(), edge(), 1 + random(6)))
}

describe("fragment", () => {
  it("cuts where tombstones overlap", () => {
    expect(show(fragment([tombstone(1, "d", "q", 9), tombstone(1, "a", "m", 5)]))).toEqual(["1 [a, d) 5", "1 [d, m) 9 5", "1 [m, q) 9"])
  })

  it("joins what touches with the same sequences, and keeps keyspaces apart", () => {
    expect(show(fragment([tombstone(1, "d", "q", 5), tombstone(1, "a", "d", 5), tombstone(2, "q", "r", 5)]))).toEqual(["1 [a, q) 5", "2 [q, r) 5"])
  })

  it("leaves out empty and inverted ranges", () => {
    expect(fragment([tombstone(1, "d", "d", 5), tombstone(1, "e", "a", 5)])).toEqual([])
    expect(FragmentedTombstones.from([]).isEmpty).toBe(true)
  })

  it("agrees with looking at every tombstone", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const given = randomTombstones(seed)
      const compact = FragmentedTombstones.from(given)
      const random = randomOf(seed + 10_000)
      let last: { keyspace: number; end: Uint8Array } | undefined
      for (const f of compact.fragments()) {
        if (last !== undefined) expect(last.keyspace - f.keyspace || compareBytes(last.end, f.start), `seed ${seed}`).toBeLessThanOrEqual(0)
        expect(f.sequences, `seed ${seed}`).toEqual([...new Set(f.sequences)].sort((a, b) => b - a))
        last = f
      }
      for (let i = 0; i < 60; i++) {
        const key = "abcdefgh".slice(0, random(4)) + "abcdefgh"[random(8)]!
        const keyspace = random(4)
        const snapshot = random(8)
        let expected = 0
        for (const t of given) {
          if (t.keyspace === keyspace && t.sequence <= snapshot && compareBytes(t.start, text(key)) <= 0 && compareBytes(text(key), t.end) < 0)
            expected = Math.max(expected, t.sequence)
        }
        expect(covering(compact, keyspace, key, snapshot), `seed ${seed}, ${keyspace}/${key} at ${snapshot}`).toBe(expected)
      }
      expect(show(FragmentedTombstones.decode(compact.encode(), "f", 0).fragments())).toEqual(show(compact.fragments()))
      expect(show(FragmentedTombstones.merge([compact, FragmentedTombstones.from(given)]).fragments())).toEqual(show(compact.fragments()))
      expect(show(fragment(unfragment(compact.fragments())))).toEqual(show(compact.fragments()))
      // Clipping at any place: each side covers exactly its own keys.
      const cut: TombstoneBound = { keyspace: random(3), key: random(4) === 0 ? text("") : text("abcdefgh".slice(0, random(4))) }
      const left = compact.clip(undefined, cut)
      const right = compact.clip(cut, undefined)
      for (let i = 0; i < 40; i++) {
        const key = "abcdefgh".slice(0, random(4)) + "abcdefgh"[random(8)]!
        const keyspace = random(4)
        const isLeft = (keyspace - cut.keyspace || compareBytes(text(key), cut.key)) < 0
        const whole = covering(compact, keyspace, key, 9)
        expect(covering(left, keyspace, key, 9), `seed ${seed}`).toBe(isLeft ? whole : 0)
        expect(covering(right, keyspace, key, 9), `seed ${seed}`).toBe(isLeft ? 0 : whole)
      }
    }
  })
})

describe("FragmentedTombstones", () => {
  it("knows its sequences", () => {
    const t = FragmentedTombstones.from([tombstone(1, "a", "c", 5), tombstone(1, "b", "d", 8), tombstone(1, "x", "y", 2)])
    expect([t.smallestSequence, t.largestSequence, t.count]).toEqual([2, 8, 4])
    expect([FragmentedTombstones.empty.smallestSequence, FragmentedTombstones.empty.largestSequence]).toEqual([0, 0])
  })

  it("decodes the empty block", () => {
    expect(hex(FragmentedTombstones.empty.encode())).toBe("00000000")
    expect(FragmentedTombstones.decode(new Uint8Array(4), "f", 0).isEmpty).toBe(true)
  })

  it("refuses every prefix and everything that encode would not write, naming file and offset", () => {
    const bytes = FragmentedTombstones.from([tombstone(1, "a", "c", 5), tombstone(1, "b", "d", 8)]).encode()
    const refuse = (content: Uint8Array, why: RegExp): void => {
      let damage: unknown
      try {
        FragmentedTombstones.decode(content, "x.table", 77)
      } catch (error) {
        damage = error
      }
      expect(damage).toBeInstanceOf(Damage)
      expect(damage).toMatchObject({ file: "x.table", offsetBytes: 77, reason: "Malformed" })
      expect((damage as Damage).detail).toMatch(why)
    }
    for (let n = 0; n < bytes.length; n++) refuse(bytes.slice(0, n), /no count|cut short/)
    refuse(Uint8Array.from([...bytes, 0]), /left over/)
    const with4 = (at: number, value: number): Uint8Array => {
      const changed = bytes.slice()
      changed[at] = value
      return changed
    }
    refuse(with4(4 + 12, 0), /without sequence/)
    refuse(with4(4 + 16, 0x63), /empty range/)
    refuse(with4(4, 2), /out of order/)
    // Second fragment: [b, c) 8 5; make 5 into 9.
    const second = 4 + 16 + 2 + 8
    refuse(with4(second + 16 + 2 + 8, 9), /sequences out of order/)
    refuse(with4(second + 16 + 2 + 7, 0xff), /sequences out of order/)
  })
})
