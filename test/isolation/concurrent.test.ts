/**
 * Thousands of transactions at once against the engine, recorded and judged as a history: no circle that their level excludes, no read outside of one moment, nothing lost.
 * A run in which nobody met anybody fails. `LIGHTNING_ISOLATION_RUNS` and `LIGHTNING_ISOLATION_SEED` run more, or others.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { IsolationLevel } from "../../src/services/Transaction.ts"
import { openSimulated, smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { checkHistory, expectIsolated, type Measures } from "./history/checkHistory.ts"
import { recordHistory, type RandomShape } from "./randomHistory.ts"

const runs = Number(process.env["LIGHTNING_ISOLATION_RUNS"] ?? "1")
const firstSeed = Number(process.env["LIGHTNING_ISOLATION_SEED"] ?? "7001")

/** Nothing that a transaction holds may be left. */
const expectNothingHeld = (db: DatabaseShape) =>
  Effect.map(db.stats, ({ snapshots, stalls, transactions }) => {
    const { abandoned, locksHeld, locksWaiting, open, validationBytes } = transactions
    expect({ open, locksHeld, locksWaiting, abandoned, validationBytes, snapshots: snapshots.open, waiting: stalls.waiting }).toEqual({
      open: 0,
      locksHeld: 0,
      locksWaiting: 0,
      abandoned: 0,
      validationBytes: 0,
      snapshots: 0,
      waiting: 0
    })
  })

const record = (db: DatabaseShape, shape: RandomShape, where: string) =>
  Effect.gen(function* () {
    const recorder = yield* recordHistory(db, shape)
    yield* expectNothingHeld(db)
    const measures = expectIsolated(recorder.history, `${where}, seed ${shape.seed}`)
    // The checker is awake: at the snapshot level there is write skew in what it saw, which it finds as soon as that is forbidden, and nothing else.
    if (!shape.levels.includes("serializable"))
      expect(checkHistory(recorder.history.map((one) => ({ ...one, level: "serializable" }))).violations.map(({ anomaly }) => anomaly)).toEqual([
        "G2"
      ])
    console.log(`${where}, seed ${shape.seed}: ${JSON.stringify(measures)}`)
    return measures
  })

const inMemory = (shape: RandomShape): Effect.Effect<Measures, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory({ ...smallOptions, maxTransactions: 20_000 }))
      return yield* record(db, shape, "in memory")
    })
  )

/** With memtables and segments so small that all of flush, compaction and rotation happen meanwhile. */
const onDisk = (shape: RandomShape): Effect.Effect<Measures, unknown> =>
  withSimulatedClock(
    Effect.scoped(
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        const db = yield* openSimulated(disk, { maxTransactions: 20_000, cacheBytes: 65_536, entropySeed: shape.seed })
        let done = false
        const maintenance = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let i = 0; !done; i++) {
              yield* i % 2 === 1 ? db.compact() : db.flush
              yield* Effect.repeat(Effect.yieldNow, { times: 4 })
            }
          })
        )
        const measures = yield* record(db, shape, "on a simulated disk")
        done = true
        yield* Fiber.join(maintenance)
        const { compactions, flushes } = yield* db.stats
        expect(flushes.count).toBeGreaterThan(3)
        expect(compactions.count).toBeGreaterThan(1)
        return measures
      })
    )
  )

const levels: Record<string, ReadonlyArray<IsolationLevel>> = {
  serializable: ["serializable"],
  snapshot: ["snapshot"],
  "both levels at once": ["serializable", "snapshot"]
}

describe("concurrent histories", () => {
  for (const [name, drawn] of Object.entries(levels)) {
    for (const [where, run] of [
      ["in memory", inMemory],
      ["on a simulated disk", onDisk]
    ] as const) {
      it(
        `${name}, ${where}: what thousands of fibers saw fits one order`,
        async () => {
          for (let i = 0; i < runs; i++) {
            const shape = { seed: firstSeed + i, fibers: 800, each: 2, levels: drawn }
            const measures = await Effect.runPromise(run(shape))
            // Many open at once, many of which met, many that came through, and many that did not.
            const at = `seed ${shape.seed}`
            expect(measures.openMax, at).toBeGreaterThan(400)
            expect(measures.contended, at).toBeGreaterThan(100)
            expect(measures.conflicts, at).toBeGreaterThan(100)
            expect(measures.committed, at).toBeGreaterThan(300)
          }
        },
        30_000 + runs * 10_000
      )
    }
  }
})
