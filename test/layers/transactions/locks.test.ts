/** `tx.lock`, and the table behind it. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { LockTable } from "../../../src/layers/transactions/LockTable.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { openLayer } from "../../support/openLayer.ts"

const open = openLayer(LightningDb.layerMemory())
const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })

describe("LockTable", () => {
  it.effect("first come, first served; whoever leaves the queue is passed over", () =>
    Effect.gen(function* () {
      const locks = new LockTable()
      const log: Array<string> = []
      const owners = ["a", "b", "c", "d"].map((name) => ({ name }))
      const waiting = yield* Effect.forEach(owners, (owner) =>
        Effect.forkChild(
          Effect.andThen(
            locks.acquire(owner, "k"),
            Effect.sync(() => log.push(owner.name))
          ),
          { startImmediately: true }
        )
      )
      expect(log).toEqual(["a"])
      expect([locks.heldCount, locks.waitingCount]).toEqual([1, 3])
      // Again for who holds it: at once.
      yield* locks.acquire(owners[0]!, "k")
      yield* Fiber.interrupt(waiting[1]!)
      expect(locks.waitingCount).toBe(2)
      for (const owner of owners) {
        locks.releaseAll(owner)
        yield* turns(2)
      }
      expect(log).toEqual(["a", "c", "d"])
      expect([locks.heldCount, locks.waitingCount]).toEqual([0, 0])
    })
  )

  it.effect("a wait that closes a circle fails at once for the newcomer, whose leaving lets the others on", () =>
    Effect.gen(function* () {
      const locks = new LockTable()
      const owners = [{ n: 0 }, { n: 1 }, { n: 2 }]
      for (const owner of owners) yield* locks.acquire(owner, `k${owner.n}`)
      const first = yield* Effect.forkChild(locks.acquire(owners[0]!, "k1"), { startImmediately: true })
      const second = yield* Effect.forkChild(locks.acquire(owners[1]!, "k2"), { startImmediately: true })
      expect(yield* Effect.flip(locks.acquire(owners[2]!, "k0"))).toMatchObject({ _tag: "LockDeadlock" })
      locks.releaseAll(owners[2]!)
      yield* Fiber.join(second)
      locks.releaseAll(owners[1]!)
      yield* Fiber.join(first)
      locks.releaseAll(owners[0]!)
      expect([locks.heldCount, locks.waitingCount]).toEqual([0, 0])
    })
  )

  it.effect("a circle through the queue is one, too: those ahead in it have to end first", () =>
    Effect.gen(function* () {
      const locks = new LockTable()
      const [holder, ahead, newcomer] = [{ n: 0 }, { n: 1 }, { n: 2 }] as const
      yield* locks.acquire(holder, "k")
      yield* locks.acquire(newcomer, "own")
      const inQueue = yield* Effect.forkChild(
        Effect.all([locks.acquire(ahead, "k"), locks.acquire(ahead, "own")], { concurrency: 2, discard: true }),
        { startImmediately: true }
      )
      yield* turns(2)
      expect(yield* Effect.flip(locks.acquire(newcomer, "k"))).toMatchObject({ _tag: "LockDeadlock" })
      yield* Fiber.interrupt(inQueue)
      expect(locks.waitingCount).toBe(0)
    })
  )

  it.effect("fibers of one owner that wait for the same lock get it together", () =>
    Effect.gen(function* () {
      const locks = new LockTable()
      const [holder, owner] = [{ n: 0 }, { n: 1 }] as const
      yield* locks.acquire(holder, "k")
      const both = yield* Effect.forkChild(Effect.all([locks.acquire(owner, "k"), locks.acquire(owner, "k")], { concurrency: 2, discard: true }), {
        startImmediately: true
      })
      yield* turns(2)
      locks.releaseAll(holder)
      yield* Fiber.join(both)
      expect([locks.heldCount, locks.waitingCount]).toEqual([1, 0])
    })
  )
})

describe("tx.lock", () => {
  it.effect("excludes others until the end of the transaction, and what is read under it cannot conflict", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => i),
        (i) =>
          db.transaction((tx) =>
            Effect.gen(function* () {
              // The same two, in whatever order they are named.
              yield* tx.lock(i % 2 === 0 ? ["a", "b"] : ["b", "a", "b"])
              const [a, b] = [yield* tx.getText("a"), yield* tx.getText("b")]
              expect(a).toBe(b)
              yield* turns(i % 4)
              yield* tx.put("a", String(Number(a ?? "0") + 1))
              yield* tx.put("b", String(Number(b ?? "0") + 1))
            })
          ),
        { concurrency: "unbounded", discard: true }
      )
      expect(yield* db.getText("a")).toBe("30")
      expect((yield* db.stats).transactions).toMatchObject({ committed: 30, conflicts: 0, locksHeld: 0, locksWaiting: 0, open: 0 })
    })
  )

  it.effect("after a read it does not move the snapshot", () =>
    Effect.gen(function* () {
      const db = yield* open
      const tx = yield* db.begin()
      yield* tx.get("a")
      yield* db.put("a", "theirs")
      yield* tx.lock(["a"])
      expect(yield* tx.has("a")).toBe(false)
      const fresh = yield* db.begin()
      yield* db.put("b", "theirs")
      yield* fresh.lock(["b"])
      expect(yield* fresh.getText("b")).toBe("theirs")
      expect(fresh.sequence).toBe((yield* db.stats).visibleSequence)
    })
  )

  it.effect("gives up after its timeout, and only then; the queue closes behind it", () =>
    Effect.gen(function* () {
      const db = yield* open
      const holder = yield* db.begin()
      yield* holder.lock(["k"])
      const waiting = yield* Effect.forkChild(Effect.flip(db.transaction((tx) => tx.lock(["k"], { timeout: "1 second" }))), {
        startImmediately: true
      })
      yield* TestClock.adjust("999 millis")
      expect((yield* db.stats).transactions).toMatchObject({ locksHeld: 1, locksWaiting: 1 })
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(waiting)).toMatchObject({ _tag: "LockTimeout", waitedMs: 1000 })
      expect((yield* db.stats).transactions).toMatchObject({ locksHeld: 1, locksWaiting: 0 })
      yield* holder.rollback
      yield* db.transaction((tx) => tx.lock(["k"], { timeout: 0 }))
    })
  )

  it.effect("keyspaces are apart; two that wait for each other: the second is told, and the first goes on", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* db.keyspace("other")
      const first = yield* db.begin()
      const second = yield* db.begin()
      yield* first.lock(["k"])
      yield* second.lock(["k"], { keyspace: "other" })
      const waits = yield* Effect.forkChild(first.lock(["k"], { keyspace: "other" }), { startImmediately: true })
      expect(yield* Effect.flip(second.lock(["k"]))).toMatchObject({ _tag: "LockDeadlock" })
      yield* second.rollback
      yield* Fiber.join(waits)
      expect(yield* Effect.flip(first.lock(["k"], { keyspace: "none" }))).toMatchObject({ _tag: "KeyspaceNotFound" })
      expect(yield* Effect.flip(first.lock([""]))).toMatchObject({ _tag: "InvalidKey" })
      expect(yield* Effect.flip(second.lock(["x"]))).toMatchObject({ _tag: "TransactionFinished" })
    })
  )

  it.effect("a transaction that ends while it waits holds nothing afterwards", () =>
    Effect.gen(function* () {
      const db = yield* open
      const holder = yield* db.begin()
      yield* holder.lock(["k"])
      const other = yield* db.begin()
      const waits = yield* Effect.forkChild(Effect.flip(other.lock(["k"])), { startImmediately: true })
      yield* other.rollback
      yield* holder.rollback
      expect(yield* Fiber.join(waits)).toMatchObject({ _tag: "TransactionFinished" })
      expect((yield* db.stats).transactions).toMatchObject({ locksHeld: 0, locksWaiting: 0, open: 0 })
    })
  )
})
