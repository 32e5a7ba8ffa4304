/** A random history with restore points in it: rolling back to any of them, in any order and again, gives exactly what a model had at its sequence; and it goes on from there. */
import { describe, expect, it } from "vitest"
import * as Effect from "effect/Effect"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, WriteOperation } from "../../../src/services/Database.ts"
import { rollBackOn, using } from "../../support/restorePointDatabase.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

const seeds = (process.env["LIGHTNING_HISTORY_SEEDS"] ?? "1,2,3,4").split(",").map(Number)

type Model = Map<string, string>

const sorted = (model: Model): ReadonlyArray<string> => [...model].map(([key, value]) => `${key}=${value}`).sort()
const entries = (db: DatabaseShape): ReadonlyArray<string> =>
  [...db.unsafe.entries()].map(([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`)

describe("a random history", () => {
  it.each(seeds)("of seed %i is rolled back to what it was", (seed) =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.gen(function* () {
          const disk = new SimulatedDisk()
          const prng = seededPrng(seed)
          const draw = (n: number) => drawInt(prng, n)
          let model: Model = new Map()
          const points = new Map<string, Model>()
          let rolledBack = 0
          for (let life = 0; life < 12; life++) {
            yield* using(
              disk,
              (db) =>
                Effect.gen(function* () {
                  expect(entries(db), `life ${life}`).toEqual(sorted(model))
                  for (let step = 0; step < 12; step++) {
                    switch (draw(9)) {
                      case 0:
                        yield* db.flush
                        break
                      case 1:
                        yield* db.compact()
                        break
                      case 2: {
                        const from = `k${String(draw(80)).padStart(3, "0")}`
                        const to = `k${String(draw(80)).padStart(3, "0")}`
                        if (from >= to) break
                        yield* db.write([{ type: "deleteRange", gte: from, lt: to }])
                        for (const key of [...model.keys()]) if (key >= from && key < to) model.delete(key)
                        break
                      }
                      case 3: {
                        const { id } = yield* db.createRestorePoint({ name: `p${draw(3)}`, ...(draw(3) === 0 ? { keep: 2 } : {}) })
                        points.set(id, new Map(model))
                        break
                      }
                      case 4: {
                        const { id } = yield* using(disk, (reader) => reader.createRestorePoint({ name: "live" }), { readOnly: true })
                        points.set(id, new Map(model))
                        break
                      }
                      default: {
                        const operations: Array<WriteOperation> = []
                        for (let i = draw(30); i >= 0; i--) {
                          const key = `k${String(draw(80)).padStart(3, "0")}`
                          if (draw(4) === 0) {
                            operations.push({ type: "delete", key })
                            model.delete(key)
                          } else {
                            const value = `${life}.${step}.${i}`.padEnd(draw(10) === 0 ? 1500 : 20, "x")
                            operations.push({ type: "put", key, value })
                            model.set(key, value)
                          }
                        }
                        yield* db.write(operations, { durability: draw(2) === 0 ? "sync" : "buffered" })
                      }
                    }
                  }
                  const there = new Set((yield* db.restorePoints).points.map(({ id }) => id))
                  for (const id of points.keys()) if (!there.has(id)) points.delete(id)
                }),
              { entropySeed: seed, walSegmentBytes: 65_536 }
            )
            const ids = [...points.keys()]
            if (ids.length === 0 || draw(3) === 0) continue
            const id = ids[draw(ids.length)]!
            const { kept } = yield* rollBackOn(disk, { to: id, keepPresent: draw(4) > 0 }, seed * 100 + life)
            if (kept !== undefined) points.set(kept.id, model)
            model = new Map(points.get(id)!)
            rolledBack++
          }
          yield* using(disk, (db) =>
            Effect.gen(function* () {
              expect(entries(db)).toEqual(sorted(model))
              yield* db.verify
              for (const id of points.keys()) yield* db.verifyRestorePoint(id)
            })
          )
          expect(rolledBack).toBeGreaterThan(3)
        })
      )
    )
  )
})
