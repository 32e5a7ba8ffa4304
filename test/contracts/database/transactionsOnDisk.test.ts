/** Transactions where reading takes its time, and what they leave in the log. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import * as DiskSimulated from "../../../src/layers/disk/DiskSimulated.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { openOn, openSimulated } from "../../support/openEngine.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"
import { pairs } from "./fixture.ts"

const nothingIsOpen = (db: DatabaseShape) =>
  Effect.map(db.stats, ({ snapshots, transactions }) => {
    expect(transactions).toMatchObject({ open: 0, locksHeld: 0, locksWaiting: 0, validationBytes: 0 })
    expect(snapshots.open).toBe(0)
  })

describe("on a slow disk", () => {
  it("transactions and atomic operations read through the pool: the same answers, and nothing stays pinned", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            // Each look at the simulated clock takes a tenth of a millisecond: no read is fast.
            const db = yield* openSimulated(new SimulatedDisk(), { cacheBytes: 0 })
            const key = (i: number) => `k${String(i).padStart(3, "0")}`
            const value = (i: number) => (i % 10 === 0 ? `large ${i} `.repeat(300) : `value ${i}`)
            yield* db.write(Array.from({ length: 200 }, (_, i) => ({ type: "put" as const, key: key(i), value: value(i) })))
            yield* Effect.andThen(db.flush, db.compact())
            // Until the engine knows how slow it is.
            for (let i = 0; i < 200; i += 7) yield* db.get(key(i))
            yield* db.transaction((tx) =>
              Effect.gen(function* () {
                for (let i = 0; i < 50; i++) expect(yield* tx.getText(key(i))).toBe(value(i))
                expect(yield* tx.has("none")).toBe(false)
                yield* tx.delete(key(0))
                yield* tx.write([{ type: "append", key: key(10), value: "!" }])
                expect(yield* tx.getText(key(10))).toBe(`${value(10)}!`)
                const all = pairs(yield* Stream.runCollect(tx.scan()))
                expect(all).toEqual(Array.from({ length: 199 }, (_, i) => `${key(i + 1)}=${value(i + 1)}${i === 9 ? "!" : ""}`))
                expect(pairs(yield* Stream.runCollect(tx.scan({ reverse: true })))).toEqual(all.toReversed())
              })
            )
            const counters = Array.from({ length: 20 }, (_, i) => key(i + 100))
            yield* db.write(counters.map((name) => ({ type: "put" as const, key: name, value: "a" })))
            yield* Effect.andThen(db.flush, db.compact())
            const appends = counters.map((name) => ({ type: "append" as const, key: name, value: "b" }))
            const rounds = yield* Effect.forEach(Array.from({ length: 6 }), () => Effect.forkChild(db.write(appends), { startImmediately: true }))
            yield* db.flush
            yield* Effect.forEach(rounds, (fiber) => Fiber.join(fiber))
            for (const name of counters) expect(yield* db.getText(name)).toBe(`a${"b".repeat(6)}`)
            for (let turns = 0; turns < 30; turns += 2) {
              yield* Effect.andThen(db.flush, db.compact())
              const fiber = yield* Effect.forkChild(
                Effect.all([db.write(appends), db.transaction((tx) => Effect.andThen(tx.getMany([key(1), key(90)]), Stream.runDrain(tx.scan())))], {
                  concurrency: 2
                }),
                { startImmediately: true }
              )
              for (let i = 0; i < turns; i++) yield* Effect.yieldNow
              yield* Fiber.interrupt(fiber)
            }
            const [first, second] = yield* db.getMany([counters[0]!, counters[19]!])
            expect(first).toEqual(second)
            yield* nothingIsOpen(db)
          })
        )
      )
    ))
})

describe("the log", () => {
  it.effect("annotations, and commits that only say what counts as written, survive an open", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const sequences: Array<number> = []
      for (let life = 0; life < 3; life++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openOn(Layer.fresh(DiskSimulated.layer(disk)), "/db")
            yield* db.transaction((tx) => tx.addWriteConflict({ prefix: "a" }))
            yield* db.transaction((tx) => Effect.andThen(tx.annotate("why"), tx.put(`life ${life}`, "1")), { annotation: "overridden" })
            sequences.push((yield* db.put("last", "1", { annotation: "put" })).sequence)
            expect(yield* Effect.flip(db.put("last", "2", { annotation: "x".repeat(65_537) }))).toMatchObject({ _tag: "InvalidOptions" })
            expect(pairs(yield* Stream.runCollect(db.scan({ prefix: "life" })))).toHaveLength(life + 1)
          })
        )
      }
      expect(sequences).toEqual([3, 6, 9])
    })
  )
})
