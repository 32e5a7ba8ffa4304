/** What once went wrong between a transaction and what it had read, held or taken back. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "@effect/vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { TransactionSpace } from "../../src/services/Transaction.ts"
import { openSimulated } from "../support/openEngine.ts"

const decoder = new TextDecoder()

const keysOf = (tx: Pick<TransactionSpace, "scan">) =>
  Effect.map(Stream.runCollect(tx.scan()), (entries) => [...entries].map(({ key }) => decoder.decode(key)))

describe("a lock moves the snapshot of a transaction that has read nothing, and of no other", () => {
  for (const isolation of ["snapshot", "serializable"] as const) {
    it.effect(`${isolation}: what was read is still what is there, and an update on top of it is not lost`, () =>
      Effect.gen(function* () {
        const db = yield* openSimulated(new SimulatedDisk())
        yield* db.put("n", "1")
        const tx = yield* db.begin({ isolation })
        const before = yield* tx.getText("n")
        yield* db.put("n", "10")
        yield* tx.lock(["n"])
        expect(yield* tx.getText("n")).toBe(before)
        yield* tx.put("n", `${before}1`)
        expect(yield* Effect.flip(tx.commit)).toMatchObject({ _tag: "TransactionConflict" })
        expect(yield* db.getText("n")).toBe("10")
      })
    )
  }

  it.effect("not under a walk that is going on, either", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.write(["a", "b", "c"].map((key) => ({ type: "put", key, value: "1" })))
      const tx = yield* db.begin({ isolation: "snapshot" })
      const walk = tx.unsafe.entries()
      expect(decoder.decode(walk.next().value![0])).toBe("a")
      yield* db.delete("c")
      const { sequence } = tx
      yield* tx.lock(["a"])
      expect(tx.sequence).toBe(sequence)
      expect([...walk].map(([key]) => decoder.decode(key))).toEqual(["b", "c"])
      const peeking = yield* db.begin()
      yield* peeking.peek.get("a")
      yield* db.put("a", "2")
      yield* peeking.lock(["b"])
      expect(yield* peeking.peek.getText("a")).toBe("1")
    })
  )
})

describe("what has changed under a transaction is a conflict before it is anything else", () => {
  it.effect("a comparison with a value that was read is tried again on the new one", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.put("n", "1")
      let runs = 0
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          const expected = yield* tx.get("n")
          if (runs++ === 0) yield* db.put("n", "2")
          yield* tx.write([{ type: "compareAndSet", key: "n", expected, value: `${decoder.decode(expected)}!` }])
        })
      )
      expect([runs, yield* db.getText("n")]).toEqual([2, "2!"])
    })
  )

  const readers: Record<string, (space: TransactionSpace) => Effect.Effect<unknown, unknown>> = {
    "a key": (space) => space.get("k"),
    "a range": (space) => Stream.runDrain(space.scan()),
    "nothing but a declared range": (space) => space.addReadConflict({ gte: "a", lt: "z" })
  }
  for (const [what, read] of Object.entries(readers)) {
    it.effect(`a keyspace of which ${what} was read has been dropped`, () =>
      Effect.gen(function* () {
        const db = yield* openSimulated(new SimulatedDisk())
        const other = yield* db.keyspace("other")
        yield* other.put("k", "1")
        const tx = yield* db.begin()
        yield* read(yield* tx.keyspace("other"))
        yield* tx.put("answer", "1")
        yield* db.dropKeyspace("other")
        expect(yield* Effect.flip(tx.commit)).toMatchObject({ _tag: "TransactionConflict", keyspace: "other" })
        expect(yield* db.has("answer")).toBe(false)
      })
    )
  }
})

describe("what is taken back", () => {
  it.effect("a scan shows the range deletes made before it began, also where those after a rollback stand in the place of others", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.write(["a", "b", "c"].map((key) => ({ type: "put", key, value: "1" })))
      const tx = yield* db.begin()
      yield* tx.deleteRange({ prefix: "x" })
      yield* tx.savepoint("s")
      yield* tx.put("y", "1")
      yield* tx.put("z", "1")
      const walk = tx.unsafe.entries()
      expect(decoder.decode(walk.next().value![0])).toBe("a")
      yield* tx.rollbackTo("s")
      yield* tx.deleteRange({ prefix: "b" })
      expect([...walk].map(([key]) => decoder.decode(key))).toEqual(["b", "c", "y", "z"])
      expect(yield* keysOf(tx)).toEqual(["a", "c"])
    })
  )

  it.effect("a transaction within another that fails leaves nothing, also where it went back behind its own beginning first", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.transaction((outer) =>
        Effect.gen(function* () {
          yield* outer.put("outer/1", "1")
          yield* outer.savepoint("s")
          yield* outer.put("outer/2", "1")
          const inner = db.transaction((tx) =>
            Effect.gen(function* () {
              yield* tx.rollbackTo("s")
              yield* tx.put("inner/1", "1")
              yield* tx.put("inner/2", "1")
              return yield* Effect.fail("no")
            })
          )
          yield* Effect.ignore(inner)
          expect(yield* keysOf(outer)).toEqual(["outer/1"])
        })
      )
      expect([...(yield* Stream.runCollect(db.scan()))].map(({ key }) => decoder.decode(key))).toEqual(["outer/1"])
    })
  )
})

describe("transactions side by side within another", () => {
  it.effect("the failure of one takes back its own writes, those of what joined it in turn, and no others", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.write(["a", "b", "c"].map((key) => ({ type: "put", key, value: "1" })))
      yield* db.transaction((outer) =>
        Effect.gen(function* () {
          yield* outer.put("outer/1", "1")
          const good = db.transaction((tx) =>
            Effect.gen(function* () {
              yield* tx.put("good/1", "1")
              yield* tx.savepoint("good")
              yield* Effect.yieldNow
              yield* tx.deleteRange({ prefix: "a" })
              yield* tx.put("good/gone", "1")
              yield* Effect.yieldNow
              yield* Effect.yieldNow
              yield* Effect.yieldNow
            })
          )
          const bad = db.transaction((tx) =>
            Effect.gen(function* () {
              yield* tx.deleteRange({ prefix: "b" })
              yield* Effect.yieldNow
              yield* tx.put("bad/1", "1")
              yield* db.transaction((inner) => inner.put("bad/2", "1"))
              yield* Effect.yieldNow
              yield* tx.write([{ type: "put", key: "bad/3", value: "1" }])
              return yield* Effect.fail("no")
            })
          )
          yield* Effect.all([Effect.ignore(bad), good], { concurrency: 2 })
          expect(yield* keysOf(outer)).toEqual(["b", "c", "good/1", "good/gone", "outer/1"])
          yield* outer.rollbackTo("good")
          expect(yield* keysOf(outer)).toEqual(["a", "b", "c", "good/1", "outer/1"])
          yield* outer.put("outer/2", "1")
        })
      )
      const left = [...(yield* Stream.runCollect(db.scan()))].map(({ key }) => decoder.decode(key))
      expect(left).toEqual(["a", "b", "c", "good/1", "outer/1", "outer/2"])
    })
  )
})

describe("a batch refused within a transaction that joined another", () => {
  it.effect("leaves no trace of whose it was", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.transaction((outer) =>
        Effect.gen(function* () {
          const refused = db.transaction((tx) =>
            Effect.gen(function* () {
              // @ts-expect-error: the second one is none
              yield* Effect.ignore(tx.write([{ type: "put", key: "inner", value: "1" }, { type: "none" }]))
              yield* outer.put("outer", "1")
              return yield* Effect.fail("no")
            })
          )
          yield* Effect.ignore(refused)
          expect(yield* keysOf(outer)).toEqual(["outer"])
        })
      )
      expect(yield* db.has("outer")).toBe(true)
    })
  )
})

describe("locks", () => {
  it.effect("who waits for one and ends meanwhile is told at once, not when it would have been its turn", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const holder = yield* db.begin()
      yield* holder.lock(["k"])
      const other = yield* db.begin()
      const waits = yield* Effect.forkChild(Effect.flip(other.lock(["k", "l"])), { startImmediately: true })
      yield* other.rollback
      expect(yield* Fiber.join(waits)).toMatchObject({ _tag: "TransactionFinished" })
      expect((yield* db.stats).transactions).toMatchObject({ locksHeld: 1, locksWaiting: 0 })
    })
  )

  it.effect("a begun transaction waits for one until its own time is over, and no longer", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const holder = yield* db.begin({ timeout: "1 hour" })
      yield* holder.lock(["k"])
      const other = yield* db.begin({ timeout: "5 seconds" })
      const waits = yield* Effect.forkChild(Effect.flip(other.lock(["k"])), { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      expect((yield* db.stats).transactions.locksWaiting).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(waits)).toMatchObject({ _tag: "TransactionTooOld", reason: "time" })
      expect((yield* db.stats).transactions).toMatchObject({ locksHeld: 1, locksWaiting: 0 })
    })
  )

  it.effect("who was given up for its lease gets none any more", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), { snapshotLease: "1 second" })
      const tx = yield* db.begin()
      yield* tx.put("k", "1")
      yield* TestClock.adjust("6 seconds")
      expect((yield* db.stats).transactions.abandoned).toBe(1)
      expect(yield* Effect.flip(tx.lock(["k"]))).toMatchObject({ _tag: "TransactionTooOld" })
      expect((yield* db.stats).transactions.locksHeld).toBe(0)
    })
  )

  const wrong: ReadonlyArray<unknown> = [{ timeout: "soon" }, 5000, { timeouts: 5 }, null, { timeout: Number.NaN }]
  for (const options of wrong) {
    it.effect(`options that are none are refused: ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const db = yield* openSimulated(new SimulatedDisk())
        const tx = yield* db.begin()
        // @ts-expect-error: what a caller without types may give
        expect(yield* Effect.flip(tx.lock(["k"], options))).toMatchObject({ _tag: "InvalidOptions" })
        expect((yield* db.stats).transactions.locksHeld).toBe(0)
      })
    )
  }
})

describe("what is given to a transaction", () => {
  const wrong: ReadonlyArray<unknown> = [null, 1000, "1 second", { tll: 1000 }, { durability: "sync" }]
  for (const expiry of wrong) {
    it.effect(`an expiry that is none is refused, as by put: ${JSON.stringify(expiry)}`, () =>
      Effect.gen(function* () {
        const db = yield* openSimulated(new SimulatedDisk())
        const tx = yield* db.begin()
        // @ts-expect-error: what a caller without types may give
        expect(yield* Effect.flip(tx.put("k", "1", expiry))).toMatchObject({ _tag: "InvalidOptions" })
        expect(yield* tx.has("k")).toBe(false)
      })
    )
  }

  it.effect("what is wrong with a batch is told by the place in it", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const tx = yield* db.begin()
      yield* tx.put("k", "1")
      const error = yield* Effect.flip(tx.write([{ type: "add", key: "n", value: 1.5 }]))
      expect(error).toMatchObject({ _tag: "InvalidBatch", index: 0 })
      // By itself it has none.
      expect(yield* Effect.flip(tx.put("k", "1", { ttl: -1 }))).toMatchObject({ _tag: "InvalidBatch", index: undefined })
    })
  )

  it.effect("a timeout that is none is refused, not taken for none at all", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const wrongTimeouts: ReadonlyArray<unknown> = [Number.NaN, {}, { secs: 5 }]
      for (const timeout of wrongTimeouts) {
        // @ts-expect-error: what a caller without types may give
        expect(yield* Effect.flip(db.begin({ timeout }))).toMatchObject({ _tag: "InvalidOptions" })
      }
    })
  )

  it.effect("texts count among what it writes as bytes do", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), { batchBytesMax: 65_536, valueBytesMax: 65_536 })
      const tx = yield* db.begin()
      const add = tx.write([{ type: "append", key: "k", value: "v".repeat(40_000) }])
      yield* add
      expect(yield* Effect.flip(add)).toMatchObject({ _tag: "TransactionTooLarge", what: "writes" })
    })
  )
})

describe("the timeout", () => {
  it.effect("ends the pauses of a schedule, too", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const losing = db.transaction(
        (tx) =>
          Effect.gen(function* () {
            yield* tx.get("n")
            yield* db.put("n", "theirs")
            yield* tx.put("n", "ours")
          }),
        { retry: Schedule.spaced("1 hour"), timeout: "5 seconds" }
      )
      const fiber = yield* Effect.forkChild(Effect.flip(losing), { startImmediately: true })
      for (let i = 0; i < 50; i++) yield* i % 10 === 9 ? Effect.promise(() => new Promise<void>((resume) => setImmediate(resume))) : Effect.yieldNow
      yield* TestClock.adjust("6 seconds")
      for (let i = 0; i < 50; i++) yield* Effect.yieldNow
      expect(fiber.pollUnsafe()).toBeDefined()
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "TransactionTimeout" })
    })
  )
})
