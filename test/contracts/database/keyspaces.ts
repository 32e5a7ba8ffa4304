import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type DatabaseFixture, places, scanned, settle, small } from "./fixture.ts"

export const keyspacesContract = (fixture: DatabaseFixture): void => {
  describe("keyspaces", () => {
    it.effect("are made when first opened, listed, isolated, dropped and made anew", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        expect(yield* db.keyspaces).toEqual([])
        const orders = yield* db.keyspace("orders")
        const users = yield* db.keyspace("users é")
        const same = yield* db.keyspace("orders")
        expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["orders", "users é"])
        expect(orders.name).toBe("orders")
        yield* Effect.all([db.put("k", "default"), orders.put("k", "orders"), users.put("k", "users")])
        for (const place of places) {
          yield* settle(db, place)
          expect([yield* db.getText("k"), yield* orders.getText("k"), yield* users.getText("k")]).toEqual(["default", "orders", "users"])
          expect([yield* scanned(db), yield* scanned(same), yield* scanned(users, { reverse: true })]).toEqual([
            ["k=default"],
            ["k=orders"],
            ["k=users"]
          ])
        }
        expect((yield* db.keyspaces).every(({ tableBytes }) => tableBytes > 0)).toBe(true)
        const { sequence } = yield* db.dropKeyspace("orders")
        expect(sequence).toBe((yield* db.stats).visibleSequence)
        for (const refused of [
          orders.get("k"),
          orders.put("k", "1"),
          orders.delete("k"),
          orders.write([{ type: "delete", key: "k" }]),
          scanned(orders),
          same.has("k"),
          Effect.scoped(orders.snapshot)
        ]) {
          expect(yield* Effect.flip(Effect.asVoid<unknown, { readonly _tag: string }, never>(refused))).toMatchObject({
            _tag: "KeyspaceDropped",
            name: "orders"
          })
        }
        expect(() => orders.unsafe.get("k")).toThrow("was dropped")
        expect(() => [...orders.unsafe.entries()]).toThrow("was dropped")
        expect(yield* Effect.flip(db.dropKeyspace("orders"))).toMatchObject({ _tag: "KeyspaceNotFound", name: "orders" })
        expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["users é"])
        const again = yield* db.keyspace("orders")
        expect(yield* scanned(again)).toEqual([])
        yield* again.put("k", "new")
        yield* Effect.andThen(db.flush, db.compact())
        expect([yield* scanned(db), yield* scanned(again), yield* scanned(users)]).toEqual([["k=default"], ["k=new"], ["k=users"]])
        expect(yield* Effect.flip(orders.get("k"))).toMatchObject({ _tag: "KeyspaceDropped" })
      })
    )

    it.effect("opened by many at once are one", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const opened = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => i),
          (i) => Effect.tap(db.keyspace("one"), (one) => one.put(`k${String(i).padStart(2, "0")}`, "v")),
          {
            concurrency: "unbounded"
          }
        )
        expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["one"])
        for (const one of opened) expect(yield* scanned(one)).toHaveLength(20)
      })
    )

    it.effect("give their space back after a drop, unasked", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const doomed = yield* db.keyspace("doomed")
        for (let i = 0; i < 60; i++) {
          yield* doomed.write(
            Array.from({ length: 20 }, (_, j) => ({
              type: "put" as const,
              key: `k${i * 20 + j}`,
              value: crypto.getRandomValues(new Uint8Array(500))
            })),
            { durability: "buffered" }
          )
        }
        yield* db.put("kept", "1")
        yield* Effect.andThen(db.flush, db.compact())
        const before = (yield* db.stats).disk
        expect(before.tables + before.valueFiles).toBeGreaterThan(500_000)
        yield* db.dropKeyspace("doomed")
        yield* waitFor(Effect.map(db.stats, ({ disk }) => disk.tables + disk.valueFiles < 20_000))
        expect(yield* scanned(db)).toEqual(["kept=1"])
      })
    )

    it.effect("a snapshot from before still reads a dropped one; its space comes back when the snapshot ends", () =>
      Effect.gen(function* () {
        const db = yield* fixture.open(small)
        const doomed = yield* db.keyspace("doomed")
        for (let i = 0; i < 400; i++)
          yield* doomed.put(`k${String(i).padStart(3, "0")}`, crypto.getRandomValues(new Uint8Array(500)), { durability: "buffered" })
        yield* Effect.andThen(db.flush, db.compact())
        const scope = yield* Scope.make()
        const snapshot = yield* Scope.provide(db.snapshot, scope)
        const own = yield* Scope.provide(doomed.snapshot, scope)
        yield* db.dropKeyspace("doomed")
        yield* db.keyspace("doomed")
        yield* Effect.andThen(db.flush, db.compact())
        const seen = yield* snapshot.keyspace("doomed")
        expect(yield* scanned(seen)).toHaveLength(400)
        expect(yield* own.has("k007")).toBe(true)
        expect((yield* db.stats).disk.tables).toBeGreaterThan(100_000)
        yield* Scope.close(scope, Exit.void)
        yield* waitFor(Effect.map(db.stats, ({ disk }) => disk.tables < 20_000))
      })
    )
  })
}

/** Until it is so, in turns of the event loop; a test fails by its own time limit. */
export const waitFor = <E>(holds: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.flatMap(holds, (yes) =>
    yes
      ? Effect.void
      : Effect.andThen(
          Effect.promise(() => new Promise<void>((resolve) => void setTimeout(resolve, 2))),
          waitFor(holds)
        )
  )
