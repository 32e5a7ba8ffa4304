/** The past against a model, through every part of the engine: whatever flushes, compactions and opens lie between, the state after each commit can be read, and never changes. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { HistoryRun } from "../../support/historyRun.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

describe("unlimited history", () => {
  it.live.each([1, 2, 3, 4, 5, 6])("shows every moment as it was, and every version of every key (seed %i)", (seed) =>
    Effect.gen(function* () {
      const run = new HistoryRun(seed, { retention: { history: "unlimited" }, sequenceBlock: 32 })
      yield* run.open()
      for (let i = 0; i < 150; i++) yield* run.step()
      expect(yield* run.checkHeld()).toBeUndefined()
      expect(yield* run.checkMoments()).toBeUndefined()
      expect(yield* run.checkVersions()).toBeUndefined()
      yield* run.db.compact()
      expect(yield* run.checkHeld()).toBeUndefined()
      expect(yield* run.checkMoments()).toBeUndefined()
      yield* run.reopen()
      yield* run.crash()
      expect(yield* run.checkMoments()).toBeUndefined()
      expect(yield* run.checkVersions()).toBeUndefined()
      yield* run.close()
    }).pipe(withSimulatedClock)
  )
})
