/** How commits share groups of the log: what keeps many writers from paying a write each, and one writer from waiting for company. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { DatabaseShape } from "../../src/services/Database.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { openLayer } from "../support/openLayer.ts"

const rounds = 20

/** Each puts, gives way, and puts again. */
const writers = (db: DatabaseShape, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, writer) => writer),
    (writer) =>
      Effect.forEach(
        Array.from({ length: rounds }, (_, round) => round),
        (round) => Effect.andThen(db.put(`${writer}/${round}`, "v", { durability: "buffered" }), Effect.yieldNow),
        { discard: true }
      ),
    { concurrency: "unbounded", discard: true }
  )

describe("groups of the log", () => {
  it.effect("are shared by many buffered writers that take turns", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory())
      yield* writers(db, 128)
      const { commits } = yield* db.stats
      expect(commits.transactions).toBe(128 * rounds)
      expect(commits.groups).toBeLessThan(commits.transactions / 8)
    })
  )

  it.effect("have one member where there is one writer, who does not wait", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory())
      yield* writers(db, 1)
      const { commits } = yield* db.stats
      expect(commits).toMatchObject({ transactions: rounds, groups: rounds })
    })
  )

  it.effect("are written as soon as somebody has lost over what is in them: the next attempt is worth it at once", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory())
      const update = db.transaction((tx) => Effect.flatMap(tx.get("hot"), (value) => tx.put("hot", Uint8Array.of((value?.[0] ?? 0) + 1))))
      const writer = Effect.forEach(Array.from({ length: rounds }), () => Effect.andThen(update, Effect.yieldNow), { discard: true })
      yield* Effect.forEach(Array.from({ length: 8 }), () => writer, { concurrency: "unbounded", discard: true })
      const { transactions } = yield* db.stats
      expect(transactions.committed).toBe(8 * rounds)
      expect((yield* db.get("hot"))?.[0]).toBe(8 * rounds)
      // Each commit costs about one other its attempt. Where losers wait for the group to fill, it is three.
      expect(transactions.conflicts).toBeLessThan(8 * rounds * 1.5)
    })
  )
})
