/** A lock, or a turn, that goes from one transaction to the next, a thousand times and more, where each of them ends without a wait. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { openLayer } from "../support/openLayer.ts"

const count = 1500
const open = openLayer(LightningDb.layerMemory({ maxTransactions: 2 * count }))
const nothing = { open: 0, locksHeld: 0, locksWaiting: 0 }

describe("a long row of transactions", () => {
  it("a lock that all of them only hold goes through all of them", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open
          let letGo: (() => void) | undefined
          const until = Effect.callback<void>((resume) => {
            letGo = () => resume(Effect.void)
          })
          const first = yield* Effect.forkChild(
            db.transaction((tx) => Effect.andThen(tx.lock(["k"]), until)),
            { startImmediately: true }
          )
          const rest = yield* Effect.forEach(Array.from({ length: count }), (_, i) =>
            Effect.forkChild(
              Effect.as(
                db.transaction((tx) => tx.lock(["k"])),
                i
              ),
              { startImmediately: true }
            )
          )
          letGo!()
          yield* Fiber.join(first)
          expect(yield* Fiber.joinAll(rest)).toEqual(Array.from({ length: count }, (_, i) => i))
          expect((yield* db.stats).transactions).toMatchObject({ ...nothing, readOnly: count + 1 })
        })
      )
    ))

  it("what a few get and all others find gone is sold", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open
          yield* db.write([{ type: "add", key: "stock", value: 10 }])
          const buy = db.transaction((tx) =>
            Effect.gen(function* () {
              const stock = (yield* tx.get("stock"))!
              if (stock.every((byte) => byte === 0)) return "sold out"
              yield* Effect.yieldNow
              yield* tx.write([{ type: "add", key: "stock", value: -1 }])
              return "bought"
            })
          )
          const answers = yield* Effect.all(
            Array.from({ length: count }, () => buy),
            { concurrency: "unbounded" }
          )
          expect(answers.filter((answer) => answer === "bought").length).toBe(10)
          expect((yield* db.stats).transactions).toMatchObject({ ...nothing, committed: 10 })
        })
      )
    ))
})
