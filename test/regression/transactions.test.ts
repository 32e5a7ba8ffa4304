/** What once went wrong with transactions, as small as it could be made. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

describe("transactions", () => {
  it("a scan that is not validated ends where the transaction's own range delete hides something", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(new SimulatedDisk())
            yield* db.put("a", "1")
            yield* db.put("b", "1")
            const snapshot = yield* db.begin({ isolation: "snapshot" })
            const serializable = yield* db.begin()
            for (const tx of [snapshot, serializable]) {
              yield* tx.deleteRange({ gte: "a", lt: "b" })
              // It went round the hidden entry for ever, where nothing of the scan was to be remembered.
              for (const reads of [tx, tx.peek])
                expect([...(yield* Stream.runCollect(reads.scan()))].map(({ key }) => new TextDecoder().decode(key))).toEqual(["b"])
            }
          })
        )
      )
    ))

  it("atomic operations do not conflict under the snapshot level either", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(new SimulatedDisk())
            const tx = yield* db.begin({ isolation: "snapshot" })
            yield* tx.write([{ type: "add", key: "n", value: 2 }])
            yield* db.write([{ type: "add", key: "n", value: 40 }])
            yield* tx.commit
            expect(new DataView((yield* db.get("n"))!.slice().buffer).getBigInt64(0, true)).toBe(42n)
            // A put is one, and does.
            const other = yield* db.begin({ isolation: "snapshot" })
            yield* other.put("n", "")
            yield* other.write([{ type: "add", key: "m", value: 1 }])
            yield* db.write([{ type: "add", key: "n", value: 1 }])
            expect(yield* Effect.flip(other.commit)).toMatchObject({ _tag: "TransactionConflict" })
          })
        )
      )
    ))
})
