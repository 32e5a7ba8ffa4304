/** The law that joins the two: folding the changes up to n gives what there was at n. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe } from "vitest"
import { contentsOf, HistoryRun } from "../../support/historyRun.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

const utf8 = new TextDecoder()

describe("changes and the past", () => {
  it.live.each([21, 22])("say the same of every moment (seed %i)", (seed) =>
    Effect.gen(function* () {
      const run = new HistoryRun(seed, { retention: { history: "unlimited", log: "unlimited" }, sequenceBlock: 32 })
      yield* run.open()
      for (let i = 0; i < 100; i++) yield* run.step()
      const contents = new Map<string, string>()
      const wrong = yield* Stream.runFold(
        Stream.mapEffect(run.db.changes({ from: 1, live: false }), ({ operations, sequence }) => {
          for (const operation of operations) {
            if (operation.keyspace !== "default") continue
            if (operation.type === "put") contents.set(utf8.decode(operation.key), utf8.decode(operation.value).replace(/\.+$/, ""))
            else if (operation.type === "delete") contents.delete(utf8.decode(operation.key))
            else if (operation.type === "deleteRange") {
              const from = utf8.decode(operation.gte)
              const to = utf8.decode(operation.lt)
              for (const key of [...contents.keys()]) if (key >= from && key < to) contents.delete(key)
            }
          }
          const folded = [...contents]
            .map(([key, value]) => `${key}=${value}`)
            .sort()
            .join()
          return Effect.map(Effect.scoped(Effect.flatMap(run.db.at(sequence), contentsOf)), (found) =>
            found.join() === folded ? [] : [`${sequence}: ${found.join()} instead of ${folded}`]
          )
        }),
        (): ReadonlyArray<string> => [],
        (all, some) => [...all, ...some]
      )
      expect(wrong).toEqual([])
      expect(contents.size).toBeGreaterThan(0)
      yield* run.close()
    }).pipe(withSimulatedClock)
  )
})
