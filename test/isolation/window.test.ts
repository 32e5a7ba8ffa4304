/**
 * Where validation ends: what was committed since a transaction began is kept within `validationBytes`, and what a transaction saw as there may expire under it. It is then
 * refused, never let through.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { TransactionError } from "../../src/domain/errors.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { Transaction, TransactionHandle } from "../../src/services/Transaction.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const refusal = (tx: TransactionHandle): Effect.Effect<TransactionError, unknown> => Effect.flip(tx.commit)

/** So much that nothing of what was before is in a memtable any more, nor within the least that is kept for validation. */
const writeMuch = (db: DatabaseShape, keep = 24) =>
  Effect.gen(function* () {
    for (let i = 0; i < keep; i++)
      yield* db.write(
        Array.from({ length: 60 }, (_, j) => ({ type: "put", key: `much/${i}/${j}`, value: "m".repeat(1000) })),
        { durability: "buffered" }
      )
    yield* db.flush
  })

describe("the window of validation", () => {
  const reads: Record<string, (tx: Transaction) => Effect.Effect<unknown, unknown>> = {
    "a key": (tx) => tx.get("k"),
    "an absence": (tx) => tx.has("not there"),
    "a range": (tx) => Stream.runDrain(tx.scan({ gte: "a", lt: "l" })),
    "an empty range": (tx) => Stream.runDrain(tx.scan({ prefix: "not" }))
  }
  for (const [what, read] of Object.entries(reads)) {
    for (const changed of [true, false]) {
      it(`whoever read ${what} before it is refused, ${changed ? "changed" : "unchanged"} or not`, () =>
        Effect.runPromise(
          withSimulatedClock(
            Effect.scoped(
              Effect.gen(function* () {
                const db = yield* openSimulated(new SimulatedDisk(), { validationBytes: 1 << 20 })
                yield* db.put("k", "1")
                const tx = yield* db.begin()
                yield* read(tx)
                yield* tx.put("answer", "1")
                if (changed) {
                  yield* db.put("k", "2")
                  yield* db.put("not there", "2")
                }
                yield* writeMuch(db)
                expect((yield* db.stats).transactions.validationBytes).toBeLessThanOrEqual(1 << 20)
                expect(yield* refusal(tx)).toMatchObject({ _tag: "TransactionTooOld", reason: "window" })
                expect(yield* db.has("answer")).toBe(false)
                // Nobody else is concerned.
                yield* db.transaction((other) => Effect.andThen(read(other), other.put("answer", "2")))
                expect(yield* db.getText("answer")).toBe("2")
                expect((yield* db.stats).transactions.validationBytes).toBe(0)
              })
            )
          )
        ))
    }
  }

  it("within it, each memtable since the snapshot is asked, and only those", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(new SimulatedDisk())
            for (let i = 0; i < 8; i++) yield* db.put(`k${i}`, "1")
            // One after each flush: the one that read ki loses to the i-th write, wherever that has gone.
            const open: Array<readonly [number, TransactionHandle]> = []
            for (let i = 0; i < 8; i++) {
              const before = yield* db.begin()
              yield* before.get(`k${i}`)
              yield* before.put(`b${i}`, "")
              yield* db.put(`k${i}`, "2")
              const after = yield* db.begin()
              yield* after.get(`k${i}`)
              yield* after.put(`a${i}`, "")
              open.push([i, before], [-1, after])
              yield* writeMuch(db, 2)
              if (i === 4) yield* db.compact()
            }
            for (const [i, tx] of open) {
              if (i < 0) yield* tx.commit
              else expect(yield* refusal(tx), `k${i}`).toMatchObject({ _tag: "TransactionConflict", start: new TextEncoder().encode(`k${i}`) })
            }
            const { transactions } = yield* db.stats
            expect([transactions.open, transactions.validationBytes]).toEqual([0, 0])
          })
        )
      )
    ))
})

describe("what expires under a transaction", () => {
  const reads: Record<string, (tx: Transaction) => Effect.Effect<unknown, unknown>> = {
    get: (tx) => tx.get("short"),
    has: (tx) => tx.has("short"),
    getMany: (tx) => tx.getMany(["long", "short"]),
    scan: (tx) => Stream.runDrain(tx.scan({ prefix: "s" }))
  }
  for (const [what, read] of Object.entries(reads)) {
    it.effect(`is as if it had been deleted: seen by ${what}`, () =>
      Effect.gen(function* () {
        const db = yield* openSimulated(new SimulatedDisk())
        yield* db.put("long", "1", { ttl: "1 hour" })
        yield* db.put("short", "1", { ttl: 500 })
        const early = yield* db.begin()
        const late = yield* db.begin()
        const writer = yield* db.begin()
        const apart = yield* db.begin()
        for (const tx of [early, late]) yield* read(tx)
        yield* apart.get("long")
        for (const tx of [early, late, writer, apart]) yield* tx.put(`of ${[early, late, writer, apart].indexOf(tx)}`, "1")
        yield* early.commit
        yield* TestClock.adjust(1000)
        expect(yield* db.has("short")).toBe(false)
        // In its snapshot it is there as long as it is open.
        expect(yield* late.has("short")).toBe(true)
        expect(yield* refusal(late)).toMatchObject({ _tag: "TransactionConflict" })
        yield* writer.commit
        yield* apart.commit
        expect(yield* db.getMany(["of 0", "of 1", "of 2", "of 3"]).pipe(Effect.map((values) => values.map((value) => value !== undefined)))).toEqual([
          true,
          false,
          true,
          true
        ])
      })
    )
  }
})
