import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { Snapshot } from "../../../src/services/Database.ts"
import { type DatabaseFixture, scanned, small, text } from "./fixture.ts"

const key = (i: number) => `k${String(i).padStart(4, "0")}`

export const snapshotsContract = (fixture: DatabaseFixture): void => {
  describe("snapshots", () => {
    it.effect("do not move: across overwrites, deletes, range deletes, flush, compaction and drop", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const orders = yield* db.keyspace("orders")
        const count = 300
        const expectation = (turn: number) =>
          Array.from({ length: count }, (_, i) => i)
            .filter((i) => turn === 0 || i % (turn + 1) !== 0)
            .map((i) => `${key(i)}=turn ${turn}`)
        const check = (snapshot: Snapshot, turn: number) =>
          Effect.gen(function* () {
            const expected = expectation(turn)
            expect(yield* scanned(snapshot)).toEqual(expected)
            expect(yield* scanned(snapshot, { reverse: true, limit: 5 })).toEqual(expected.toReversed().slice(0, 5))
            expect(Array.from(snapshot.unsafe.entries(), ([k, v]) => `${text(k)}=${text(v)}`)).toEqual(expected)
            for (const i of [0, 1, 6, 77, count - 1]) {
              const found = turn === 0 || i % (turn + 1) !== 0 ? `turn ${turn}` : undefined
              expect(yield* snapshot.getText(key(i))).toBe(found)
              expect(text(snapshot.unsafe.get(new TextEncoder().encode(key(i))))).toBe(found)
              expect(yield* snapshot.has(key(i))).toBe(found !== undefined)
              expect((yield* snapshot.getMany([key(i), "none"])).map(text)).toEqual([found, undefined])
            }
            const inOrders = yield* snapshot.keyspace("orders")
            expect(yield* inOrders.getText("turn")).toBe(String(turn))
          })
        const held: Array<Snapshot> = []
        for (let turn = 0; turn < 5; turn++) {
          yield* db.write([
            { type: "deleteRange", gte: key(0), lt: key(count) },
            ...Array.from({ length: count }, (_, i) => ({ type: "put" as const, key: key(i), value: `turn ${turn}` })),
            { type: "put", key: "turn", value: String(turn), keyspace: "orders" }
          ])
          for (let i = 0; turn > 0 && i < count; i += turn + 1) yield* db.delete(key(i), { durability: "buffered" })
          held.push(yield* db.snapshot)
          if (turn % 2 === 0) yield* db.flush
          if (turn === 3) yield* db.compact()
          for (const [i, snapshot] of held.entries()) yield* check(snapshot, i)
        }
        expect((yield* db.stats).snapshots).toMatchObject({ open: 5, oldestSequence: held[0]!.sequence })
        yield* db.dropKeyspace("orders")
        yield* db.write([{ type: "deleteRange", gte: "", lt: "z" }])
        yield* Effect.andThen(db.flush, db.compact())
        for (const [i, snapshot] of held.entries()) yield* check(snapshot, i)
        expect(yield* scanned(db)).toEqual([])
        expect(yield* Effect.flip(orders.get("turn"))).toMatchObject({ _tag: "KeyspaceDropped" })
        expect(yield* Effect.flip((yield* db.snapshot).keyspace("orders"))).toMatchObject({ _tag: "KeyspaceNotFound" })
        yield* db.verify
      })
    )

    it.effect("end with their scope, and are refused afterwards", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        yield* db.put("k", "1")
        const scope = yield* Scope.make()
        const snapshot = yield* Scope.provide(db.snapshot, scope)
        const reads = yield* snapshot.keyspace("other").pipe(Effect.flip)
        expect(reads._tag).toBe("KeyspaceNotFound")
        expect((yield* db.stats).snapshots.open).toBe(1)
        yield* Scope.close(scope, Exit.void)
        expect((yield* db.stats).snapshots.open).toBe(0)
        for (const read of [snapshot.get("k"), snapshot.getText("k"), snapshot.getMany(["k"]), snapshot.has("k"), scanned(snapshot)]) {
          expect(yield* Effect.flip(Effect.asVoid<unknown, { readonly _tag: string }, never>(read))).toMatchObject({
            _tag: "SnapshotExpired",
            sequence: snapshot.sequence
          })
        }
        expect(() => snapshot.unsafe.get("k")).toThrow("expired")
        expect(() => [...snapshot.unsafe.entries()]).toThrow("expired")
      })
    )

    it.effect("expire after their lease: reads fail and never change, and what they held is let go and counted", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open({ ...small, snapshotLease: "30 seconds" })
        for (let i = 0; i < 500; i++) yield* db.put(key(i), "old", { durability: "buffered" })
        yield* db.flush
        const snapshot = yield* db.snapshot
        const iterator = db.unsafe.entries()
        iterator.next()
        const under = snapshot.unsafe.entries()
        under.next()
        yield* db.write([{ type: "deleteRange", gte: key(0), lt: key(500) }])
        yield* Effect.andThen(db.flush, db.compact())
        yield* TestClock.adjust("29 seconds")
        expect(yield* snapshot.getText(key(3))).toBe("old")
        expect(yield* scanned(snapshot)).toHaveLength(500)
        expect((yield* db.stats).snapshots).toMatchObject({ open: 2, expired: 0, oldestAgeMs: 29_000 })
        yield* TestClock.adjust("1 second")
        expect(yield* Effect.flip(snapshot.getText(key(3)))).toMatchObject({ _tag: "SnapshotExpired", leaseMs: 30_000 })
        expect(yield* Effect.flip(scanned(snapshot))).toMatchObject({ _tag: "SnapshotExpired" })
        expect(() => iterator.next()).toThrow("expired")
        expect(() => under.next()).toThrow("expired")
        yield* TestClock.adjust("10 seconds")
        expect((yield* db.stats).snapshots).toMatchObject({ open: 0, expired: 2, oldestSequence: undefined })
        // A new one is as good as the first was.
        expect(yield* scanned(yield* db.snapshot)).toEqual([])
      })
    )

    it.effect("are at most maxTransactions, scans included; those who end make room", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open({ ...small, maxTransactions: 3, snapshotLease: "1 minute" })
        yield* db.put("k", "1")
        const scope = yield* Scope.make()
        yield* Scope.provide(Effect.all([db.snapshot, db.snapshot]), scope)
        const iterator = db.unsafe.entries()
        iterator.next()
        expect(yield* Effect.flip(Effect.scoped(db.snapshot))).toMatchObject({ _tag: "TooManySnapshots", openMax: 3 })
        expect(yield* Effect.flip(Stream.runDrain(db.scan()))).toMatchObject({ _tag: "TooManySnapshots" })
        expect(() => db.unsafe.entries().next()).toThrow("maxTransactions")
        // Reads and writes that end by themselves are not among them.
        expect(yield* db.getText("k")).toBe("1")
        yield* db.put("k", "2")
        iterator.return?.()
        expect(yield* scanned(db)).toEqual(["k=2"])
        yield* Scope.close(scope, Exit.void)
        expect((yield* db.stats).snapshots.open).toBe(0)
        // Forgotten ones make room when their time is over.
        for (let i = 0; i < 3; i++) db.unsafe.entries().next()
        expect(() => db.unsafe.entries().next()).toThrow("maxTransactions")
        yield* TestClock.adjust("1 minute")
        expect(yield* scanned(db)).toEqual(["k=2"])
      })
    )
  })
}
