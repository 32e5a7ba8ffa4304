import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layerMemory } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const keyOf = (i: number) => `key ${String(i).padStart(5, "0")}`
const valueOf = (i: number, round: number) => `${i} of round ${round} ${"x".repeat(100)}`
const perRound = 300

/** A round is more than half a memtable of 64 KiB, so its memory has been used again after a few. */
const putRound = (round: number) =>
  Effect.gen(function* () {
    const db = yield* Database
    yield* db.write(Array.from({ length: perRound }, (_, i) => ({ type: "put" as const, key: keyOf(i), value: valueOf(i, round) })))
  })

describe("the memory of memtables", () => {
  it.live("is not used again under a scan that still reads it", () =>
    Effect.gen(function* () {
      const db = yield* Database
      yield* putRound(0)
      const scan = db.unsafe.entries()
      const seen = [scan.next().value!]
      for (let round = 1; round <= 12; round++) {
        yield* putRound(round)
        // Several in a row, so that all the memory there is comes into use.
        if (round % 4 === 0) yield* db.flush
      }
      expect((yield* db.stats).flushes.count).toBeGreaterThan(5)
      seen.push(...scan)
      expect(seen.map(([key, value]) => [Buffer.from(key).toString(), Buffer.from(value).toString()])).toEqual(
        Array.from({ length: perRound }, (_, i) => [keyOf(i), valueOf(i, 0)])
      )
      expect(db.unsafe.getText(keyOf(7))).toBe(valueOf(7, 12))
    }).pipe(Effect.provide(layerMemory({ memtableBytes: 64 << 10 })))
  )

  it.live("is used again when nobody reads it", () =>
    Effect.gen(function* () {
      const db = yield* Database
      for (let round = 0; round < 30; round++) {
        yield* putRound(round)
        const half = db.unsafe.entries()
        half.next()
        if (round % 2 === 0) half.return!()
        expect(db.unsafe.getText(keyOf(round))).toBe(valueOf(round, round))
        yield* db.flush
        expect(db.unsafe.getText(keyOf(round))).toBe(valueOf(round, round))
        if (round % 2 === 1) half.return!()
      }
      expect([...db.unsafe.entries()].length).toBe(perRound)
    }).pipe(Effect.provide(layerMemory({ memtableBytes: 64 << 10 })))
  )
})
