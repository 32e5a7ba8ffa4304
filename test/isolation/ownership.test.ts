/**
 * Returned bytes belong to the caller (invariant 7): whatever is done to them, by whichever way they were read and wherever they came from, the database and every transaction
 * still hold what was written; and bytes handed in may be changed once the call has answered.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { TransactionReads } from "../../src/services/Transaction.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const encoder = new TextEncoder()
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const keys = Array.from({ length: 60 }, (_, i) => `k${String(i).padStart(2, "0")}`)
/** Short ones, ones beyond a slab's size, and ones that are kept apart from their keys. */
const valueOf = (key: string): string => `value of ${key} `.repeat(Number(key.slice(1)) % 9 === 0 ? 150 : 2)

type Reads = Pick<TransactionReads, "get" | "getMany" | "scan">
interface Unsafe {
  readonly get: (key: string | Uint8Array) => Uint8Array | undefined
  readonly getMany: (keys: ReadonlyArray<string>) => Array<Uint8Array | undefined>
  readonly entries: () => IterableIterator<[Uint8Array, Uint8Array]>
}

/** Each way to read: the bytes it gave out, by key. */
const ways: Record<string, (reads: Reads, unsafe: Unsafe) => Effect.Effect<ReadonlyArray<readonly [string, Uint8Array | undefined]>, unknown>> = {
  get: (reads) => Effect.forEach(keys, (key) => Effect.map(reads.get(key), (value) => [key, value] as const)),
  "get by bytes": (reads) => Effect.forEach(keys, (key) => Effect.map(reads.get(encoder.encode(key)), (value) => [key, value] as const)),
  getMany: (reads) => Effect.map(reads.getMany(keys), (values) => values.map((value, i) => [keys[i]!, value] as const)),
  scan: (reads) => Effect.map(Stream.runCollect(reads.scan()), (entries) => [...entries].map(({ key, value }) => [text(key), value] as const)),
  "scan backward": (reads) =>
    Effect.map(Stream.runCollect(reads.scan({ reverse: true })), (entries) => [...entries].map(({ key, value }) => [text(key), value] as const)),
  "keys of a scan": (reads) =>
    Effect.map(Stream.runCollect(reads.scan()), (entries) =>
      [...entries].map(({ key, value }) => {
        const name = text(key)
        key.fill(0x21)
        return [name, value] as const
      })
    ),
  "unsafe.get": (_, unsafe) => Effect.sync(() => keys.map((key) => [key, unsafe.get(key)] as const)),
  "unsafe.getMany": (_, unsafe) => Effect.sync(() => unsafe.getMany(keys).map((value, i) => [keys[i]!, value] as const)),
  "unsafe.entries": (_, unsafe) => Effect.sync(() => [...unsafe.entries()].map(([key, value]) => [text(key), value] as const))
}

const places: Record<string, (db: DatabaseShape) => Effect.Effect<unknown, unknown>> = {
  "in the memtable": () => Effect.void,
  flushed: (db) => db.flush,
  compacted: (db) => Effect.andThen(db.flush, db.compact())
}

/** Reads by every way, twice with havoc between; what was given out before stays as it was given out. */
const havoc = (reads: Reads, unsafe: Unsafe, where: string) =>
  Effect.gen(function* () {
    for (const [name, way] of Object.entries(ways)) {
      for (let turn = 0; turn < 3; turn++) {
        const given = yield* way(reads, unsafe)
        expect(given.length, `${name}, ${where}`).toBe(keys.length)
        for (const [key, bytes] of given) expect(text(bytes!), `${name}, ${where}`).toBe(valueOf(key))
        for (const [, bytes] of given) bytes!.fill(0x21)
        for (const [, bytes] of given) expect(bytes!.every((byte) => byte === 0x21)).toBe(true)
      }
    }
  })

describe("bytes", () => {
  for (const [place, settle] of Object.entries(places)) {
    it(`that were read belong to the caller, ${place}`, () =>
      Effect.runPromise(
        withSimulatedClock(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openSimulated(new SimulatedDisk(), { durability: "buffered" })
              yield* db.write(keys.map((key) => ({ type: "put", key, value: valueOf(key) })))
              yield* settle(db)
              yield* havoc(db, db.unsafe, `of the database, ${place}`)
              for (const isolation of ["serializable", "snapshot"] as const) {
                const tx = yield* db.begin({ isolation })
                yield* havoc(tx, tx.unsafe, `of a transaction, ${place}`)
                // Of its own writes, too, and of those in both places.
                for (const key of keys.slice(0, 30)) yield* tx.put(key, valueOf(key))
                yield* havoc(tx, tx.unsafe, `of a transaction with writes, ${place}`)
                yield* tx.commit
              }
              yield* havoc(db, db.unsafe, `of the database at the end, ${place}`)
            })
          )
        )
      ))
  }

  it("that were handed in may be changed at once", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(new SimulatedDisk(), { durability: "buffered" })
            const changed = (run: (key: Uint8Array, value: Uint8Array) => Effect.Effect<unknown, unknown>, name: string) => {
              const [key, value] = [encoder.encode(name), encoder.encode(valueOf(name))]
              return Effect.andThen(
                run(key, value),
                Effect.sync(() => {
                  key.fill(0x21)
                  value.fill(0x21)
                })
              )
            }
            const tx = yield* db.begin()
            for (const key of keys.slice(0, 20)) yield* changed((k, v) => tx.put(k, v), key)
            for (const key of keys.slice(20, 40)) yield* changed((k, v) => tx.write([{ type: "put", key: k, value: v }]), key)
            for (const key of keys.slice(40)) yield* changed((k, v) => db.put(k, v), key)
            const [from, to] = [encoder.encode("p"), encoder.encode("q")]
            yield* db.put("p1", "gone")
            yield* tx.deleteRange({ gte: from, lt: to })
            from.fill(0x21)
            to.fill(0x21)
            yield* tx.commit
            yield* havoc(db, db.unsafe, "after writes whose bytes were changed")
          })
        )
      )
    ))
})
