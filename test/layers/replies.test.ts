/** Who waits for a group is answered whatever the others do with their answers. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openLayer } from "../support/openLayer.ts"

/** Runs with all that nobody catches in a list, in place of the listeners that there are. */
const catchingAll = <A, E, R>(use: (thrown: ReadonlyArray<unknown>) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const thrown: Array<unknown> = []
      const listeners = process.listeners("uncaughtException")
      process.removeAllListeners("uncaughtException")
      process.on("uncaughtException", (cause) => thrown.push(cause))
      return { listeners, thrown }
    }),
    ({ thrown }) => use(thrown),
    ({ listeners }) =>
      Effect.sync(() => {
        process.removeAllListeners("uncaughtException")
        for (const listener of listeners) process.on("uncaughtException", listener)
      })
  )

const writes: Record<string, (db: DatabaseShape, key: string) => Effect.Effect<unknown, unknown>> = {
  "a put": (db, key) => db.put(key, "1"),
  "a transaction": (db, key) => db.transaction((tx) => tx.put(key, "1"))
}

describe("an observer of the application that throws", () => {
  for (const [name, write] of Object.entries(writes)) {
    it(`${name}: all of the group are answered, and the database goes on`, () =>
      Effect.runPromise(
        Effect.scoped(
          catchingAll((thrown) =>
            Effect.gen(function* () {
              const db = yield* openLayer(LightningDb.layerMemory())
              // Company: what follows is one group, which nobody writes at once.
              yield* Effect.forEach(["a", "b"], (key) => db.put(key, "0"), { concurrency: "unbounded" })
              const fibers = ["k1", "k2", "k3", "k4", "k5"].map((key) => Effect.runFork(write(db, key)))
              expect(fibers.every((fiber) => fiber.pollUnsafe() === undefined)).toBe(true)
              const ofTheCaller = new Error("of the caller")
              fibers[2]!.addObserver(() => {
                throw ofTheCaller
              })
              const others = fibers.filter((_, i) => i !== 2)
              const exits = yield* Effect.timeout(Fiber.awaitAll(others), 5000)
              expect(exits.map(Exit.isSuccess)).toEqual([true, true, true, true])
              yield* Effect.sleep(0)
              expect(thrown).toEqual([ofTheCaller])
              yield* write(db, "next")
              expect((yield* db.stats).transactions.open).toBe(0)
            })
          )
        )
      ))
  }
})
