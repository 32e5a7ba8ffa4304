/** How transactions end: retries, time, the validation window, interruption, and what is left behind (nothing). */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import type { TransactionConflict } from "../../../src/domain/errors.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import type { Transaction } from "../../../src/services/Transaction.ts"
import { openLayer, temporaryDirectory } from "../../support/openLayer.ts"
import { pairs, type TestOptions } from "./fixture.ts"

const open = (options?: TestOptions) => openLayer(LightningDb.layerMemory(options))
const mib = 1 << 20

const nothingIsOpen = (db: DatabaseShape) =>
  Effect.map(db.stats, ({ snapshots, transactions }) => {
    expect(transactions).toMatchObject({ open: 0, oldestAgeMs: undefined, locksHeld: 0, locksWaiting: 0, validationBytes: 0 })
    expect(snapshots.open).toBe(0)
  })

/** Reads the key, and loses it to somebody else before its commit. */
const losing = (db: DatabaseShape, runs: { count: number }) => (tx: Transaction) =>
  Effect.gen(function* () {
    runs.count++
    yield* tx.get("key")
    yield* db.put("key", `winner ${runs.count}`)
    yield* tx.put("mine", "1")
  })

describe("retries", () => {
  it.effect("end after a hundred runs, with a conflict that counts them; under a clock that stands still", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const runs = { count: 0 }
      const error = yield* Effect.flip(db.transaction(losing(db, runs)))
      expect(error).toMatchObject({ _tag: "TransactionConflict", attempts: 100 })
      expect(runs.count).toBe(100)
      expect((yield* db.stats).transactions).toMatchObject({ conflicts: 100, retries: 99, committed: 0, rolledBack: 0 })
      expect(yield* db.has("mine")).toBe(false)
      yield* nothingIsOpen(db)
    })
  )

  it.effect("are what a schedule says, or none; a body that stops losing commits", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const runs = { count: 0 }
      expect(yield* Effect.flip(db.transaction(losing(db, runs), { retry: false }))).toMatchObject({ attempts: 1 })
      expect(yield* Effect.flip(db.transaction(losing(db, runs), { retry: Schedule.recurs(4) }))).toMatchObject({ attempts: 5 })
      expect(runs.count).toBe(6)
      const inputs: Array<number> = []
      const twice = Schedule.recurs(2).pipe(
        Schedule.setInputType<TransactionConflict>(),
        Schedule.while(({ input }) => Effect.sync(() => inputs.push(input.attempts) > 0))
      )
      yield* db.transaction((tx) => (inputs.length < 2 ? losing(db, runs)(tx) : tx.put("mine", "at last")), { retry: twice })
      expect(inputs).toEqual([1, 2])
      expect(yield* db.getText("mine")).toBe("at last")
      // Its own failures are the body's.
      let own = 0
      yield* Effect.flip(db.transaction(() => Effect.suspend(() => Effect.fail(++own))))
      expect(own).toBe(1)
      yield* nothingIsOpen(db)
    })
  )

  it.effect("all get their turn at a key that all want, under a clock that stands still, also those that yield in between", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const fibers = 40
      const each = 5
      yield* Effect.forEach(
        Array.from({ length: fibers }, (_, i) => i),
        (i) =>
          Effect.repeat(
            db.transaction((tx) =>
              Effect.gen(function* () {
                const before = Number((yield* tx.getText("hot")) ?? "0")
                for (let n = i % 3; n > 0; n--) yield* Effect.yieldNow
                yield* tx.put("hot", String(before + 1))
              })
            ),
            { times: each - 1 }
          ),
        { concurrency: "unbounded", discard: true }
      )
      expect(yield* db.getText("hot")).toBe(String(fibers * each))
      yield* nothingIsOpen(db)
    })
  )
})

describe("fairness", () => {
  it.effect("those that lose get their turn, however fast others go on and on", () =>
    Effect.gen(function* () {
      const db = yield* open()
      for (const durability of ["sync", "buffered"] as const) {
        const count = db.transaction((tx) => Effect.flatMap(tx.getText("hot"), (n) => tx.put("hot", String(Number(n ?? "0") + 1))), { durability })
        let stop = false
        const greedy = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(Effect.repeat(count, { while: () => !stop }), { startImmediately: true })
        )
        const others = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.forkChild(count, { startImmediately: true }))
        yield* Effect.forEach(others, (fiber) => Fiber.join(fiber))
        stop = true
        yield* Effect.forEach(greedy, (fiber) => Fiber.join(fiber))
      }
      yield* nothingIsOpen(db)
    })
  )
})

describe("time", () => {
  it.effect("a body that waits beyond the timeout is ended, with its finalizers, and holds nothing", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const log: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          db.transaction(
            (tx) =>
              Effect.andThen(
                tx.put("a", "1"),
                Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push("interrupted")))
              ),
            { timeout: "2 seconds" }
          )
        ),
        { startImmediately: true }
      )
      expect((yield* db.stats).transactions).toMatchObject({ open: 1 })
      yield* TestClock.adjust("1999 millis")
      expect(log).toEqual([])
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "TransactionTimeout", timeoutMs: 2000, attempts: 1 })
      expect(log).toEqual(["interrupted"])
      expect(yield* db.has("a")).toBe(false)
      yield* nothingIsOpen(db)
      // By default a minute.
      const second = yield* Effect.forkChild(Effect.flip(db.transaction(() => Effect.never)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(second)).toMatchObject({ _tag: "TransactionTimeout", timeoutMs: 60_000 })
    })
  )

  it.effect("covers all runs of the body, and what a handle was open for", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const runs = { count: 0 }
      const slow = (tx: Transaction) => Effect.andThen(losing(db, runs)(tx), TestClock.adjust("400 millis"))
      expect(yield* Effect.flip(db.transaction(slow, { timeout: 1000 }))).toMatchObject({ _tag: "TransactionTimeout", attempts: 3 })
      const handle = yield* db.begin({ timeout: "1 second" })
      yield* handle.put("a", "1")
      yield* TestClock.adjust("1 second")
      expect(yield* Effect.flip(handle.get("a"))).toMatchObject({ _tag: "TransactionTooOld", reason: "time" })
      expect(yield* Effect.flip(handle.commit)).toMatchObject({ _tag: "TransactionTimeout" })
      expect(yield* db.has("a")).toBe(false)
    })
  )

  it.effect("beyond its lease a transaction is too old; abandoned ones are ended, and counted", () =>
    Effect.gen(function* () {
      const db = yield* open({ snapshotLease: "10 seconds" })
      const handle = yield* db.begin({ timeout: "1 hour" })
      yield* handle.put("a", "1")
      yield* handle.lock(["a"])
      yield* TestClock.adjust("9 seconds")
      expect(yield* handle.getText("a")).toBe("1")
      expect((yield* db.stats).transactions.oldestAgeMs).toBe(9000)
      yield* TestClock.adjust("1 seconds")
      expect(yield* Effect.flip(handle.get("b"))).toMatchObject({ _tag: "TransactionTooOld", reason: "time", ageMs: 10_000 })
      yield* TestClock.adjust("1 minute")
      expect((yield* db.stats).transactions).toMatchObject({ abandoned: 1, locksHeld: 0 })
      expect((yield* db.stats).snapshots.open).toBe(0)
      expect(yield* Effect.flip(handle.commit)).toMatchObject({ _tag: "TransactionTooOld", reason: "time" })
      yield* nothingIsOpen(db)
    })
  )

  it.effect("no more transactions than may be open", () =>
    Effect.gen(function* () {
      const db = yield* open({ maxTransactions: 2 })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* db.begin()
          yield* db.begin()
          expect(yield* Effect.flip(db.begin())).toMatchObject({ _tag: "TooManySnapshots", openMax: 2 })
          expect(yield* Effect.flip(db.transaction(() => Effect.void))).toMatchObject({ _tag: "TooManySnapshots" })
        })
      )
      yield* db.transaction((tx) => tx.put("a", "1"))
      yield* nothingIsOpen(db)
    })
  )
})

describe("the validation window", () => {
  const fill = (db: DatabaseShape, rounds: number) =>
    Effect.forEach(
      Array.from({ length: rounds }, (_, i) => i),
      (i) =>
        Effect.andThen(
          db.write(Array.from({ length: 50 }, (_, n) => ({ type: "put" as const, key: `fill ${i} ${n}`, value: "x".repeat(1000) }))),
          db.flush
        ),
      { discard: true }
    )

  it.effect("a memtable that went to tables while a transaction was open still tells of conflicts, and goes with it", () =>
    Effect.gen(function* () {
      const db = yield* open({ memtableBytes: 65_536 })
      for (const conflicting of [true, false]) {
        const tx = yield* db.begin()
        const space = yield* db.begin({ isolation: "snapshot" })
        yield* tx.get("key")
        yield* tx.put("mine", "1")
        yield* space.put("key", "1")
        yield* db.put(conflicting ? "key" : "other", "theirs")
        yield* db.flush
        yield* fill(db, 2)
        const stats = yield* db.stats
        expect(stats.transactions.validationBytes).toBeGreaterThan(100_000)
        // They are nobody else's business.
        expect(stats.memtables).toMatchObject({ active: 1, frozen: 0 })
        for (const one of [tx, space]) {
          const exit = yield* Effect.exit(one.commit)
          expect(Exit.isFailure(exit)).toBe(conflicting)
          if (conflicting) expect(String(exit)).toContain("TransactionConflict")
        }
        yield* nothingIsOpen(db)
      }
    })
  )

  it.effect("what does not fit is given up, the oldest first: who needs it is too old, younger ones are not, and no writer waits", () =>
    Effect.gen(function* () {
      const db = yield* open({ memtableBytes: 65_536, validationBytes: mib, level0SlowTrigger: 500, level0StopTrigger: 1000 })
      const read = (key: string) => Effect.tap(db.begin(), (tx) => Effect.andThen(tx.get(key), tx.put(key, "1")))
      const old = yield* read("old")
      const walked = yield* db.begin()
      yield* Stream.runCollect(walked.scan({ prefix: "old" }))
      yield* walked.put("walked", "1")
      const blind = yield* db.begin()
      yield* blind.put("blind", "1")
      yield* fill(db, 24)
      const young = yield* read("young")
      yield* fill(db, 4)
      const stats = yield* db.stats
      expect(stats.transactions.validationBytes).toBeLessThanOrEqual(mib)
      expect(stats.transactions.validationBytes).toBeGreaterThan(mib / 4)
      expect(stats.stalls.stopped).toBe(0)
      for (const tx of [old, walked]) expect(yield* Effect.flip(tx.commit)).toMatchObject({ _tag: "TransactionTooOld", reason: "window" })
      yield* young.commit
      // Who has read nothing has nothing to be validated.
      yield* blind.commit
      expect(pairs(yield* Stream.runCollect(db.scan({ gte: "o", lt: "z" })))).toEqual(["young=1"])
      yield* nothingIsOpen(db)
    })
  )

  it.effect(
    "an expiry that was seen as there, and passed before the commit, is a conflict; one that is gone by the reaper's record alone is none",
    () =>
      Effect.gen(function* () {
        const db = yield* open()
        yield* db.put("short", "1", { ttl: 1000 })
        const reads = (tx: Transaction) => Effect.andThen(tx.get("short"), tx.put("mine", "1"))
        const walks = (tx: Transaction) => Effect.andThen(Stream.runCollect(tx.scan({ prefix: "s" })), tx.put("mine", "1"))
        const early = yield* db.begin()
        const walked = yield* db.begin()
        yield* reads(early)
        yield* walks(walked)
        const inTime = yield* db.begin()
        yield* reads(inTime)
        yield* TestClock.adjust("999 millis")
        yield* inTime.commit
        yield* TestClock.adjust("1 millis")
        for (const tx of [early, walked]) expect(yield* Effect.flip(tx.commit)).toMatchObject({ _tag: "TransactionConflict" })
        let seen: boolean | undefined
        yield* db.transaction((tx) =>
          Effect.andThen(
            Effect.map(tx.has("short"), (has) => (seen = has)),
            tx.put("mine", "2")
          )
        )
        expect(seen).toBe(false)
        // Own writes that expire: seen until the snapshot's time says otherwise.
        yield* db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.put("a", "1", { ttl: "1 second" })
            yield* tx.put("b", "1", { expiresAt: 1 })
            expect([yield* tx.has("a"), yield* tx.has("b")]).toEqual([true, false])
          })
        )
        expect(yield* db.has("a")).toBe(true)
        yield* TestClock.adjust("1 second")
        expect(yield* db.has("a")).toBe(false)
      })
  )
})

describe("interruption", () => {
  it.effect("at any point leaves nothing open, and all of a commit or nothing of it", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.write("abcdef".split("").map((key) => ({ type: "put" as const, key, value: "0" })))
      yield* db.flush
      let committed = 0
      for (let turns = 0; turns < 60; turns++) {
        const body = (tx: Transaction) =>
          Effect.gen(function* () {
            yield* tx.lock(["a", "b"])
            yield* Effect.yieldNow
            const before = yield* tx.getText("a")
            yield* Stream.runForEach(tx.scan(), () => Effect.yieldNow)
            yield* Effect.scoped(
              Effect.andThen(
                Stream.runForEach(tx.scan({ reverse: true, limit: 2 }), () => Effect.yieldNow),
                Effect.void
              )
            )
            yield* tx.put("a", String(Number(before) + 1))
            yield* Effect.yieldNow
            yield* tx.put("b", String(Number(before) + 1))
          })
        const running = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(db.transaction(body), { startImmediately: true }))
        for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        const exits = yield* Effect.forEach(running, (fiber) => Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)))
        const [a, b] = yield* db.getMany(["a", "b"])
        expect(a).toEqual(b)
        committed += exits.filter(Exit.isSuccess).length
        expect(Number(yield* db.getText("a"))).toBeGreaterThanOrEqual(committed)
        yield* nothingIsOpen(db)
      }
      expect(committed).toBeGreaterThan(0)
    })
  )

  it.effect("while it waits for its turn at a hot key it leaves the queue to the others", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const count = (wait: Effect.Effect<void>) => (tx: Transaction) =>
        Effect.flatMap(tx.getText("hot"), (before) => Effect.andThen(wait, tx.put("hot", String(Number(before ?? "0") + 1))))
      for (let turns = 0; turns < 40; turns += 3) {
        const fibers = yield* Effect.forEach(Array.from({ length: 12 }), () =>
          Effect.forkChild(db.transaction(count(Effect.yieldNow)), { startImmediately: true })
        )
        for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        yield* Effect.forEach(
          fibers.filter((_, i) => i % 2 === 0),
          (fiber) => Fiber.interrupt(fiber)
        )
        yield* Effect.forEach(
          fibers.filter((_, i) => i % 2 === 1),
          (fiber) => Fiber.join(fiber)
        )
      }
      yield* nothingIsOpen(db)
    })
  )

  it.effect("a handle left behind is rolled back with its scope; a body that fails or dies rolls back", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* Effect.scoped(Effect.flatMap(db.begin(), (tx) => Effect.andThen(tx.lock(["a"]), tx.put("a", "1"))))
      yield* Effect.exit(db.transaction((tx) => Effect.andThen(tx.put("a", "1"), Effect.fail("no"))))
      yield* Effect.exit(db.transaction((tx) => Effect.andThen(tx.put("a", "1"), Effect.die("no"))))
      yield* Effect.exit(
        db.transaction((): Effect.Effect<void> => {
          throw new Error("no")
        })
      )
      expect(yield* db.has("a")).toBe(false)
      expect((yield* db.stats).transactions).toMatchObject({ rolledBack: 4, committed: 0 })
      yield* nothingIsOpen(db)
    })
  )

  it.effect("a scan left in the middle ends with its transaction, and holds no files and no memory after it", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "db")
      const db = yield* openLayer(LightningDb.layer({ path: directory, compactionWorkers: 0, memtableBytes: 65_536, level0CompactTrigger: 1 }))
      const put = (round: number) =>
        db.write(Array.from({ length: 300 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: `${round}`.padStart(100) })))
      for (let round = 0; round < 3; round++) {
        yield* put(round)
        yield* db.flush
        const left: Array<IterableIterator<unknown>> = []
        yield* db.transaction((tx) =>
          Effect.sync(() => {
            left.push(tx.unsafe.entries(), tx.unsafe.entries({ reverse: true }))
            for (const entries of left) entries.next()
          })
        )
        for (const entries of left) expect(() => entries.next()).toThrow("over")
        yield* put(round)
        yield* Effect.andThen(db.flush, db.compact())
        const { levels } = yield* db.stats
        // Nothing but the tables of the present version is left on disk.
        expect(fs.readdirSync(directory).filter((name) => name.endsWith(".table"))).toHaveLength(levels.reduce((sum, level) => sum + level.tables, 0))
      }
      yield* nothingIsOpen(db)
    })
  )

  it.effect("a closed database ends them", () =>
    Effect.gen(function* () {
      const left: Array<Transaction> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open()
          const gate = yield* Deferred.make<void>()
          yield* Effect.forkDetach(
            db.transaction((tx) =>
              Effect.andThen(
                Effect.sync(() => left.push(tx)),
                Deferred.await(gate)
              )
            ),
            { startImmediately: true }
          )
        })
      )
      expect(yield* Effect.flip(left[0]!.get("a"))).toMatchObject({ _tag: "DatabaseClosed" })
    })
  )
})
