import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { Modelled, Prng, standsOn } from "./model.ts"

/** Inserts the keys in this order, each under a sequence of its own, and compares the sorted order with that of the model. */
const expectSorted = (keys: Iterable<Uint8Array>, what: string, keyspaceOf: (i: number) => number = () => 1): void => {
  const modelled = new Modelled(16 << 20)
  let i = 0
  for (const key of keys) expect(modelled.insert(keyspaceOf(i), key, Kind.put, ++i, new Uint8Array(0)), what).toBe(true)
  const cursor = modelled.memtable.cursor()
  cursor.seekFirst()
  for (const e of modelled.sorted()) {
    if (cursor.state !== CursorState.atEntry || !standsOn(cursor, e)) expect.fail(`${what}: sequence ${cursor.sequence} instead of ${e.sequence}`)
    cursor.next()
  }
  expect(cursor.state, what).toBe(CursorState.atEnd)
}

const many = <A>(count: number, make: (i: number) => A): Array<A> => Array.from({ length: count }, (_, i) => make(i))
const text = (s: string): Uint8Array => new TextEncoder().encode(s)

describe("sortEntries", () => {
  const prng = new Prng(11)

  it("sorts random bytes", () =>
    expectSorted(
      many(5000, () => prng.bytes(16)),
      "random"
    ))

  it("sorts decimals behind a shared prefix, and two numbers with text between", () => {
    expectSorted(
      many(5000, () => text(`user:${String(prng.below(5000)).padStart(12, "0")}`)),
      "padded"
    )
    expectSorted(
      many(5000, () => text(`user:${prng.below(70)}:order:${prng.below(1000)}`)),
      "unpadded"
    )
  })

  it("sorts thousands of versions of one key, newest first", () => {
    expectSorted(
      many(3000, () => text("counter")),
      "one key"
    )
    expectSorted(
      many(3000, (i) => text(i % 3 === 0 ? "a" : "counter")),
      "two keys"
    )
  })

  it("puts a key before those that continue it with zeros", () => {
    expectSorted(
      many(3000, () => new Uint8Array(1 + prng.below(12))),
      "zeros only"
    )
    expectSorted(
      many(3000, () => prng.bytes(1 + prng.below(10), 2)),
      "zeros and ones"
    )
    expectSorted(
      many(2000, (i) => new Uint8Array(1 + (i % 40)).fill(0xff)),
      "0xff only"
    )
  })

  it("sorts keys that are prefixes of each other, far too deep for recursion", () => {
    expectSorted(
      many(1500, (i) => new Uint8Array(1 + ((i * 7) % 1500) * 4).fill(97)),
      "nested"
    )
  })

  it("does not take the first keys' end for everyone's", () => {
    // The sample that limits the digits sees only keys that end where they begin to differ from the rest.
    expectSorted(
      many(200, (i) => text(i < 100 ? "ab" : `ab${i}`)),
      "ends first"
    )
    expectSorted(
      many(300, (i) => (i < 150 ? new Uint8Array(4) : prng.bytes(12))),
      "equal first"
    )
  })

  it("sorts keys up to the greatest length that differ only at their ends", () => {
    expectSorted(
      many(40, (i) => {
        const key = new Uint8Array(65_536 - (i % 3)).fill(0x61)
        key[key.length - 1] = (i * 5) % 256
        return key
      }),
      "long"
    )
  })

  it("tells keyspaces apart first", () => {
    const keyspaces = [0, 1, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
    expectSorted(
      many(2000, () => prng.bytes(1 + prng.below(3), 3)),
      "keyspaces",
      (i) => keyspaces[(i * 7) % keyspaces.length]!
    )
  })

  it("sorts whatever bytes are given", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 24 }), { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 255 }),
        (keys, mask) => {
          // Masked, so that there are equal and nested keys among them.
          expectSorted(
            keys.map((key) => key.map((byte) => byte & mask)),
            `mask ${mask}`
          )
        }
      ),
      { numRuns: 60, seed: 5 }
    )
  })
})
