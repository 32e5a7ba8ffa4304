/** What a broken rule of the engine makes of a transaction: its caller hears of it, and nothing is held. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { afterEach, describe, expect, it, vi } from "vitest"
import { Memtable } from "../../../src/domain/memtable/Memtable.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { openLayer } from "../../support/openLayer.ts"

afterEach(() => vi.restoreAllMocks())

const bodies: Record<string, Effect.Effect<void>> = { "waited for nothing": Effect.void, "has waited": Effect.sleep(1) }

describe("a commit turn that throws", () => {
  for (const [name, pause] of Object.entries(bodies)) {
    it(`is a defect of its caller, whose body ${name}`, () =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openLayer(LightningDb.layerMemory())
            const broken = new Error("broken")
            vi.spyOn(Memtable.prototype, "insert").mockImplementationOnce(() => {
              throw broken
            })
            const exit = yield* Effect.timeout(Effect.exit(db.transaction((tx) => Effect.andThen(pause, tx.put("k", "v")))), 3000)
            expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(broken)
            const { snapshots, transactions } = yield* db.stats
            expect({ ...transactions, snapshots: snapshots.open }).toMatchObject({ open: 0, rolledBack: 1, snapshots: 0, validationBytes: 0 })
          })
        )
      ))
  }
})
