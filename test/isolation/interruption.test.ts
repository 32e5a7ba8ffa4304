/**
 * Transactions interrupted at every step that their fiber makes: once by a signal that arrives while it runs, once while it has given way. Whatever the step, nothing may be half
 * done, and nothing held.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MixedScheduler, Scheduler } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

type Arrival = "running" | "suspended"

/** Counts the steps of the fibers it runs, and at the step `stopAt` has the first of them interrupted. */
class StoppingScheduler extends MixedScheduler {
  steps = 0
  readonly #stopAt: number
  readonly #arrival: Arrival
  #first: Fiber.Fiber<unknown, unknown> | undefined

  constructor(stopAt: number, arrival: Arrival) {
    super()
    this.#stopAt = stopAt
    this.#arrival = arrival
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.#first ??= fiber
    if (++this.steps !== this.#stopAt) return super.shouldYield(fiber)
    const first = this.#first
    if (this.#arrival === "suspended") setImmediate(() => first.interruptUnsafe())
    else first.interruptUnsafe()
    return this.#arrival === "suspended"
  }
}

interface Case {
  /** Once for the whole case. */
  readonly prepare?: (db: DatabaseShape) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** Puts `mark` in both keyspaces, or in neither. */
  readonly body: (db: DatabaseShape, mark: string) => Effect.Effect<unknown, unknown>
  /** Runs until `body` is done. */
  readonly beside?: (db: DatabaseShape, mark: string) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly stepsMin: number
}

const cases: Record<string, Case> = {
  "a transaction with locks, reads, scans, savepoints and a nested one": {
    stepsMin: 100,
    body: (db, mark) =>
      db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.lock(["k1", "k2"])
          const orders = yield* tx.keyspace("orders")
          yield* tx.get("k1")
          yield* tx.put(mark, "1")
          yield* Effect.yieldNow
          yield* Stream.runDrain(tx.scan({ prefix: "k" }))
          yield* Stream.runDrain(Stream.take(orders.scan(), 2))
          yield* tx.savepoint("here")
          yield* tx.put("never", mark)
          yield* db.transaction((inner) => inner.put("neither", mark)).pipe(Effect.andThen(Effect.yieldNow))
          yield* tx.rollbackTo("here")
          yield* orders.put(mark, "1")
          yield* tx.write([{ type: "add", key: "counter", value: 1 }])
          yield* tx.getMany(["k1", "k9", "nothing"])
        })
      )
  },
  "a transaction that meets another one, and is repeated": {
    stepsMin: 60,
    body: (db, mark) => {
      let attempts = 0
      return db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.get("k3")
          yield* Stream.runDrain(tx.scan({ prefix: "k" }))
          if (++attempts <= 2) yield* db.put("k3", `${mark}/${attempts}`)
          yield* tx.put(mark, "1")
          yield* (yield* tx.keyspace("orders")).put(mark, "1")
        })
      )
    }
  },
  "a handle that is committed": {
    stepsMin: 30,
    body: (db, mark) =>
      Effect.scoped(
        Effect.gen(function* () {
          const tx = yield* db.begin({ isolation: "snapshot", durability: "sync" })
          yield* tx.get("k1")
          yield* tx.put(mark, "1")
          yield* (yield* tx.keyspace("orders")).put(mark, "1")
          yield* tx.commit
        })
      )
  },
  "a handle that is rolled back, and one that is left behind": {
    stepsMin: 20,
    body: (db, mark) =>
      Effect.scoped(
        Effect.gen(function* () {
          const tx = yield* db.begin()
          const other = yield* db.begin()
          yield* tx.lock(["k1"])
          yield* other.lock(["k2"])
          yield* tx.put(mark, "1")
          yield* other.put(mark, "1")
          yield* tx.rollback
        })
      )
  },
  "a transaction that waits for a lock": {
    stepsMin: 30,
    beside: (db) =>
      Effect.gen(function* () {
        const holder = yield* db.begin()
        yield* holder.lock(["k1"])
        yield* Effect.repeat(Effect.yieldNow, { times: 4 })
        yield* holder.rollback
      }),
    body: (db, mark) =>
      db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.lock(["k0", "k1", "k2"])
          yield* tx.put(mark, "1")
          yield* (yield* tx.keyspace("orders")).put(mark, "1")
        })
      )
  },
  "scans and snapshots whose consumer takes its time": {
    stepsMin: 40,
    body: (db) =>
      Effect.gen(function* () {
        yield* Stream.runForEachArray(Stream.rechunk(db.scan(), 2), () => Effect.yieldNow)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const snapshot = yield* db.snapshot
            yield* Effect.yieldNow
            yield* Stream.runForEachArray(snapshot.scan({ reverse: true }), () => Effect.yieldNow)
          })
        )
        yield* db.getMany(["k1", "k2", "k3"])
      })
  },
  "a transaction whose body fails": {
    stepsMin: 15,
    body: (db, mark) =>
      Effect.ignore(
        db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.put(mark, "1")
            yield* tx.scan({ limit: 1 }).pipe(Stream.runDrain)
            return yield* Effect.fail("no")
          })
        )
      )
  }
}

const expectNothing = (db: DatabaseShape, where: string) =>
  Effect.map(db.stats, ({ snapshots, stalls, transactions }) => {
    const { abandoned, locksHeld, locksWaiting, open, validationBytes } = transactions
    expect([open, locksHeld, locksWaiting, abandoned, validationBytes, snapshots.open, stalls.waiting], where).toEqual([0, 0, 0, 0, 0, 0, 0])
  })

describe("interruption at every step", () => {
  for (const [name, { beside, body, stepsMin }] of Object.entries(cases)) {
    for (const arrival of ["running", "suspended"] as const) {
      it(`${name} (${arrival})`, () =>
        Effect.runPromise(
          withSimulatedClock(
            Effect.scoped(
              Effect.gen(function* () {
                const db = yield* openSimulated(new SimulatedDisk(), { durability: "buffered" })
                const orders = yield* db.keyspace("orders")
                for (let i = 0; i < 5; i++) yield* Effect.andThen(db.put(`k${i}`, "v"), orders.put(`o${i}`, "v"))
                yield* db.flush
                let stopped = 0
                let applied = 0
                for (let stopAt = 1; ; stopAt++) {
                  const where = `${name}, stopped at step ${stopAt} while ${arrival}`
                  const mark = `m${stopAt}`
                  const scheduler = new StoppingScheduler(stopAt, arrival)
                  const exit = yield* Effect.scoped(
                    Effect.gen(function* () {
                      const other = beside === undefined ? undefined : yield* Effect.forkScoped(beside(db, mark), { startImmediately: true })
                      const fiber = yield* Effect.forkDetach(body(db, mark).pipe(Effect.provideService(Scheduler, scheduler)), {
                        startImmediately: true
                      })
                      const ended = yield* Fiber.await(fiber)
                      if (other !== undefined) yield* Fiber.join(other)
                      return ended
                    })
                  )
                  if (Exit.isFailure(exit)) stopped++
                  yield* expectNothing(db, where)
                  // A commit that was given up goes on behind: what is sequenced after it is answered after it.
                  yield* db.put("after", mark)
                  const marks = [yield* db.has(mark), yield* orders.has(mark)]
                  expect(marks[1], where).toBe(marks[0])
                  if (marks[0] === true) applied++
                  expect([yield* db.has("never"), yield* db.has("neither")], where).toEqual([false, false])
                  // The locks are free, or this would wait for ever.
                  yield* db.transaction((tx) => tx.lock(["k0", "k1", "k2"], { timeout: 1000 }))
                  yield* expectNothing(db, where)
                  if (scheduler.steps < stopAt) {
                    expect(stopAt, "every step was a place to stop").toBeGreaterThan(stepsMin)
                    expect(stopped).toBeGreaterThan(stepsMin / 2)
                    const counter = yield* db.get("counter")
                    // The atomic operation went with its transaction: as often as its mark is there.
                    if (counter !== undefined) expect(Number(new DataView(counter.buffer, counter.byteOffset).getBigInt64(0, true))).toBe(applied)
                    return
                  }
                }
              })
            )
          )
        ))
    }
  }
})
