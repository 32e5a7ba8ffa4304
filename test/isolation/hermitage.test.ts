/** The scripts of `hermitageScripts.ts`, at both levels, with what was committed meanwhile in the memtable, flushed and compacted. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { scripts } from "./hermitageScripts.ts"

const settles: Record<string, (db: DatabaseShape) => Effect.Effect<void, unknown>> = {
  "in the memtable": () => Effect.void,
  flushed: (db) => db.flush,
  compacted: (db) => Effect.andThen(db.flush, db.compact())
}

for (const level of ["serializable", "snapshot"] as const) {
  describe(`hermitage, ${level}`, () => {
    for (const [name, script] of Object.entries(scripts)) {
      for (const [where, settle] of Object.entries(settles)) {
        it(`${name} (${where})`, () =>
          Effect.runPromise(
            withSimulatedClock(
              Effect.scoped(
                Effect.gen(function* () {
                  const db = yield* openSimulated(new SimulatedDisk())
                  yield* db.put("x", "10")
                  yield* db.put("y", "20")
                  yield* settle(db)
                  yield* Effect.scoped(
                    script({ db, level, begin: db.begin({ isolation: level }), settle: settle(db), is: (byLevel) => byLevel[level] })
                  )
                  const { snapshots, transactions } = yield* db.stats
                  expect([transactions.open, snapshots.open, transactions.validationBytes]).toEqual([0, 0, 0])
                })
              )
            )
          ))
      }
    }
  })
}
