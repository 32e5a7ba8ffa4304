/** What a transaction sees, and what it conflicts with. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { DatabaseShape, ScanRange } from "../../../src/services/Database.ts"
import type { IsolationLevel, TransactionHandle, TransactionReads, TransactionSpace } from "../../../src/services/Transaction.ts"
import { openLayer } from "../../support/openLayer.ts"
import { pairs, type TestOptions, text } from "./fixture.ts"

const open = (options?: TestOptions) => openLayer(LightningDb.layerMemory(options))
const scanned = (reads: TransactionReads, range?: ScanRange) => Effect.map(Stream.runCollect(reads.scan(range)), pairs)
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error._tag, onSuccess: () => "committed" })

/** What comes of a transaction that does `first`, then somebody else commits `then`, and it commits. */
const raced = (
  db: DatabaseShape,
  first: (tx: TransactionHandle) => Effect.Effect<unknown, unknown>,
  then: Effect.Effect<unknown, unknown>,
  isolation: IsolationLevel = "serializable"
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const tx = yield* db.begin({ isolation })
      yield* first(tx)
      yield* then
      return yield* tagOf(tx.commit)
    })
  )

describe("a transaction", () => {
  it.effect("reads its snapshot with its own writes over it; others see nothing of them before it commits, then all", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.write([
        { type: "put", key: "a", value: "1" },
        { type: "put", key: "b", value: "1" }
      ])
      const other = yield* db.keyspace("other")
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.put("a", "2")
          yield* tx.delete("b")
          const space = yield* tx.keyspace("other")
          yield* space.put("x", "1")
          expect(yield* tx.getText("a")).toBe("2")
          expect(yield* tx.get("b")).toBeUndefined()
          expect(yield* tx.has("b")).toBe(false)
          expect((yield* tx.getMany(["a", "b", "c"])).map(text)).toEqual(["2", undefined, undefined])
          expect(yield* space.getText("x")).toBe("1")
          expect(tx.unsafe.getText("a")).toBe("2")
          // From outside, and by a peek, which looks at own writes too.
          expect(yield* db.getText("a")).toBe("1")
          expect(yield* other.has("x")).toBe(false)
          expect(yield* tx.peek.getText("a")).toBe("2")
        })
      )
      expect(yield* db.getText("a")).toBe("2")
      expect(yield* db.has("b")).toBe(false)
      expect(yield* other.getText("x")).toBe("1")
    })
  )

  it.effect("walks own writes and range deletes merged with the snapshot, both ways, within bounds and limits, as of the start of the scan", () =>
    Effect.gen(function* () {
      const db = yield* open()
      for (const place of ["memtable", "tables"]) {
        yield* db.write("abcdefghij".split("").map((key) => ({ type: "put" as const, key, value: "old" })))
        if (place === "tables") yield* db.flush
        yield* db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.deleteRange({ gte: "c", lt: "g" })
            yield* tx.put("d", "new")
            yield* tx.put("ab", "new")
            yield* tx.delete("i")
            yield* tx.put("z", "new")
            yield* tx.delete("nothing")
            const all = ["a=old", "ab=new", "b=old", "d=new", "g=old", "h=old", "j=old", "z=new"]
            expect(yield* scanned(tx)).toEqual(all)
            expect(yield* scanned(tx, { reverse: true })).toEqual(all.toReversed())
            expect(yield* scanned(tx, { gt: "ab", lte: "g" })).toEqual(["b=old", "d=new", "g=old"])
            expect(yield* scanned(tx, { gte: "b", lt: "z", reverse: true, limit: 3 })).toEqual(["j=old", "h=old", "g=old"])
            expect(yield* scanned(tx, { limit: 4 })).toEqual(all.slice(0, 4))
            expect(yield* scanned(tx, { prefix: "a" })).toEqual(["a=old", "ab=new"])
            expect(yield* scanned(tx, { limit: 0 })).toEqual([])
            // What is written while the scan goes on is not in it.
            const entries = tx.unsafe.entries()
            entries.next()
            tx.unsafe.put("aa", "later")
            tx.unsafe.deleteRange({ gte: "b", lt: "c" })
            tx.unsafe.delete("j")
            expect([...entries].map(([key, value]) => `${text(key)}=${text(value)}`)).toEqual(all.slice(1))
            expect(yield* scanned(tx, { lt: "d" })).toEqual(["a=old", "aa=later", "ab=new"])
          })
        )
        expect(pairs(yield* Stream.runCollect(db.scan({ lt: "h" })))).toEqual(["a=old", "aa=later", "ab=new", "d=new", "g=old"])
        yield* db.write([{ type: "deleteRange", gte: "", lt: "zz" }])
      }
    })
  )

  it.effect("bytes handed in and given out belong to the caller", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          const key = Buffer.from("key")
          const value = Buffer.from("value")
          const operand = Buffer.from("ab")
          yield* tx.put(key, value)
          yield* tx.write([{ type: "append", key: "list", value: operand }])
          key.fill(0)
          value.fill(0)
          operand.fill(0)
          const read = (yield* tx.get("key"))!
          expect(text(read)).toBe("value")
          read.fill(0)
          ;(yield* Stream.runCollect(tx.scan())).forEach((entry) => entry.value.fill(0) && entry.key.fill(0))
          expect(yield* tx.getText("list")).toBe("ab")
        })
      )
      expect(yield* db.getText("key")).toBe("value")
      expect(yield* db.getText("list")).toBe("ab")
    })
  )

  it.effect("reads a key with atomic operations pending as what they make of it, and that counts as a read; without it they do not conflict", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.put("list", "a")
      yield* db.flush
      const append = (value: string) => [{ type: "append" as const, key: "list", value }]
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.write(append("b"))
          yield* tx.write(append("c"))
          expect(yield* tx.getText("list")).toBe("abc")
          expect(yield* scanned(tx)).toEqual(["list=abc"])
          yield* tx.put("list", "x")
          yield* tx.write(append("y"))
          expect(yield* tx.getText("list")).toBe("xy")
          yield* tx.deleteRange({ prefix: "li" })
          yield* tx.write(append("z"))
          expect(yield* tx.getText("list")).toBe("z")
        })
      )
      expect(yield* db.getText("list")).toBe("z")
      expect(yield* raced(db, (tx) => tx.write(append("1")), db.put("list", "other"))).toBe("committed")
      expect(yield* db.getText("list")).toBe("other1")
      expect(yield* raced(db, (tx) => Effect.andThen(tx.write(append("2")), tx.get("list")), db.put("list", "third"))).toBe("TransactionConflict")
      expect(yield* db.getText("list")).toBe("third")
      // What cannot be applied fails the read, and the commit.
      const failed = yield* tagOf(
        db.transaction((tx) => Effect.andThen(tx.write([{ type: "compareAndSet", key: "list", expected: "no", value: "!" }]), tx.get("list")))
      )
      expect(failed).toBe("AtomicOperationFailed")
    })
  )

  it.effect("loses no update: however many count at once, and whatever is flushed in between", () =>
    Effect.gen(function* () {
      const db = yield* open({ memtableBytes: 65_536 })
      const count = 60
      yield* Effect.forEach(
        Array.from({ length: count }, (_, i) => i),
        (i) =>
          Effect.andThen(
            db.transaction((tx) =>
              Effect.gen(function* () {
                const before = Number((yield* tx.getText("count")) ?? "0")
                if (i % 3 === 0) yield* Effect.yieldNow
                yield* tx.put("count", String(before + 1))
              })
            ),
            i % 10 === 0 ? db.flush : Effect.void
          ),
        { concurrency: "unbounded", discard: true }
      )
      expect(yield* db.getText("count")).toBe(String(count))
      const { transactions } = yield* db.stats
      expect(transactions).toMatchObject({ open: 0, committed: count, conflicts: transactions.retries, validationBytes: 0 })
      expect(transactions.conflicts).toBeGreaterThan(0)
    })
  )
})

describe("isolation", () => {
  const write = (db: DatabaseShape, key: string) => db.put(key, "theirs")
  const both: ReadonlyArray<IsolationLevel> = ["serializable", "snapshot"]

  it.effect(
    "serializable: a key read (or found missing) that another one writes, deletes, or deletes by range is a conflict; another key is not",
    () =>
      Effect.gen(function* () {
        const db = yield* open()
        yield* db.put("there", "1")
        const reads = (key: string) => (tx: TransactionHandle) => Effect.andThen(tx.get(key), tx.put("mine", "1"))
        expect(yield* raced(db, reads("there"), write(db, "there"))).toBe("TransactionConflict")
        expect(yield* raced(db, reads("missing"), write(db, "missing"))).toBe("TransactionConflict")
        expect(yield* raced(db, reads("there"), db.delete("there"))).toBe("TransactionConflict")
        expect(yield* raced(db, reads("there"), db.write([{ type: "deleteRange", prefix: "t" }]))).toBe("TransactionConflict")
        expect(yield* raced(db, reads("there"), write(db, "other"))).toBe("committed")
        const space = yield* db.keyspace("space")
        expect(yield* raced(db, reads("there"), space.put("there", "x"))).toBe("committed")
        const inSpace = (tx: TransactionHandle) =>
          Effect.andThen(
            Effect.flatMap(tx.keyspace("space"), (own) => own.get("there")),
            tx.put("mine", "1")
          )
        expect(yield* raced(db, inSpace, space.put("there", "y"))).toBe("TransactionConflict")
        expect(yield* raced(db, (tx) => Effect.andThen(tx.peek.get("there"), tx.put("mine", "1")), write(db, "there"))).toBe("committed")
        // The synchronous twins are no different.
        const unsafely = (read: (tx: TransactionHandle) => unknown) => (tx: TransactionHandle) =>
          Effect.andThen(
            Effect.sync(() => read(tx)),
            tx.put("mine", "1")
          )
        expect(
          yield* raced(
            db,
            unsafely((tx) => tx.unsafe.get("there")),
            write(db, "there")
          )
        ).toBe("TransactionConflict")
        expect(
          yield* raced(
            db,
            unsafely((tx) => [...tx.unsafe.entries({ prefix: "t" })]),
            write(db, "there")
          )
        ).toBe("TransactionConflict")
        expect(
          yield* raced(
            db,
            unsafely((tx) => tx.unsafe.peek.get("there")),
            write(db, "there")
          )
        ).toBe("committed")
        expect(
          yield* raced(
            db,
            unsafely((tx) => [...tx.unsafe.peek.entries({ prefix: "t" })]),
            write(db, "there")
          )
        ).toBe("committed")
        // Own writes are no reads.
        const ownRead = (tx: TransactionHandle) => Effect.andThen(tx.put("there", "mine"), tx.get("there"))
        expect(yield* raced(db, ownRead, write(db, "there"))).toBe("committed")
      })
  )

  it.effect("the conflict says where it was, and who won", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const tx = yield* db.begin()
      yield* tx.get("key")
      yield* tx.put("mine", "1")
      const { sequence } = yield* db.put("key", "theirs")
      const error = yield* Effect.flip(tx.commit)
      expect(error).toMatchObject({ _tag: "TransactionConflict", keyspace: "default", winningSequence: sequence, attempts: 1 })
      if (error._tag === "TransactionConflict") expect([text(error.start), text(error.end)]).toEqual(["key", "key\0"])
    })
  )

  it.effect("serializable: no write skew; under snapshot there is", () =>
    Effect.gen(function* () {
      const db = yield* open()
      for (const isolation of both) {
        yield* db.write([
          { type: "put", key: "alice", value: "on" },
          { type: "put", key: "bob", value: "on" }
        ])
        const leave = (tx: TransactionHandle, who: string) => Effect.andThen(tx.getMany(["alice", "bob"]), tx.put(who, "off"))
        const bob = yield* db.begin({ isolation })
        yield* leave(bob, "bob")
        const alice = yield* raced(db, (tx) => leave(tx, "alice"), bob.commit, isolation)
        expect(alice).toBe(isolation === "serializable" ? "TransactionConflict" : "committed")
      }
    })
  )

  it.effect("snapshot: who commits a key, or a range, first wins; what was only read does not count", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const is = (first: (tx: TransactionHandle) => Effect.Effect<unknown, unknown>, key: string, result: string) =>
        Effect.map(raced(db, first, write(db, key), "snapshot"), (found) => expect(found).toBe(result))
      yield* is((tx) => tx.put("key", "mine"), "key", "TransactionConflict")
      yield* is((tx) => tx.delete("key"), "key", "TransactionConflict")
      yield* is((tx) => tx.put("key", "mine"), "other", "committed")
      yield* is((tx) => tx.deleteRange({ gte: "k", lt: "l" }), "key", "TransactionConflict")
      yield* is((tx) => tx.deleteRange({ gte: "k", lt: "l" }), "l", "committed")
      yield* is((tx) => Effect.andThen(tx.get("key"), tx.put("mine", "1")), "key", "committed")
      yield* is((tx) => tx.write([{ type: "versionstampedValue", key: "stamped", value: "v" }]), "key", "committed")
      // Blind writes under serializable conflict with nothing.
      expect(yield* raced(db, (tx) => tx.put("key", "mine"), write(db, "key"))).toBe("committed")
      expect(yield* db.getText("key")).toBe("mine")
    })
  )

  it.effect("serializable: no phantoms, in ranges that were empty and behind any predicate; outside of what was walked nothing counts", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const walk = (range: ScanRange) => (tx: TransactionHandle) => Effect.andThen(Stream.runCollect(tx.scan(range)), tx.put("mine", "1"))
      for (const reverse of [false, true]) {
        expect(yield* raced(db, walk({ gte: "e", lt: "f", reverse }), write(db, "e5"))).toBe("TransactionConflict")
        expect(yield* raced(db, walk({ gte: "e", lt: "f", reverse }), db.delete("e5"))).toBe("TransactionConflict")
        expect(yield* raced(db, walk({ gte: "e", lt: "f", reverse }), write(db, "f"))).toBe("committed")
      }
      yield* db.write("pqrstuvw".split("").map((key) => ({ type: "put" as const, key, value: "1" })))
      const first3 = (reverse: boolean) => walk({ gte: "p", lte: "w", limit: 3, reverse })
      expect(yield* raced(db, first3(false), write(db, "q5"))).toBe("TransactionConflict")
      yield* db.write([{ type: "deleteRange", prefix: "q5" }])
      expect(yield* raced(db, first3(false), write(db, "r"))).toBe("TransactionConflict")
      expect(yield* raced(db, first3(false), write(db, "r5"))).toBe("committed")
      expect(yield* raced(db, first3(true), write(db, "t5"))).toBe("committed")
      expect(yield* raced(db, first3(true), write(db, "u5"))).toBe("TransactionConflict")
      // As far as it was consumed: here to "p", and not a key further.
      const one = (tx: TransactionHandle) =>
        Effect.sync(() => {
          for (const _ of tx.unsafe.entries({ gte: "p" })) break
          tx.unsafe.put("mine", "1")
        })
      expect(yield* raced(db, one, write(db, "p0"))).toBe("committed")
      expect(yield* raced(db, one, write(db, "p"))).toBe("TransactionConflict")
      const took = (tx: TransactionHandle) => Effect.andThen(Stream.runCollect(Stream.take(tx.scan({ gte: "p" }), 1)), tx.put("mine", "1"))
      expect(yield* raced(db, took, write(db, "v5"))).toBe("committed")
      // Ranges between own writes were read, too.
      const overlaid = (tx: TransactionHandle) => Effect.andThen(tx.put("e1", "1"), walk({ gte: "e", lt: "e2" })(tx))
      expect(yield* raced(db, overlaid, write(db, "e0"))).toBe("TransactionConflict")
    })
  )

  it.effect("conflict ranges: counted as read, or as written, although they were not", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const range = { gte: "c", lt: "d" }
      const reads = (tx: TransactionHandle) => Effect.andThen(tx.addReadConflict(range), tx.put("mine", "1"))
      for (const isolation of both) {
        expect(yield* raced(db, reads, write(db, "c1"), isolation)).toBe("TransactionConflict")
        expect(yield* raced(db, reads, write(db, "d"), isolation)).toBe("committed")
      }
      const marked = (isolation: IsolationLevel) => db.transaction((tx) => tx.addWriteConflict(range), { isolation })
      for (const isolation of both) {
        const point = (tx: TransactionHandle) => Effect.andThen(tx.get("c2"), tx.put("mine", "1"))
        const walk = (tx: TransactionHandle) => Effect.andThen(Stream.runCollect(tx.scan({ gte: "a", lt: "c3" })), tx.put("mine", "1"))
        const outside = (tx: TransactionHandle) => Effect.andThen(tx.get("d"), tx.put("mine", "1"))
        expect(yield* raced(db, point, marked(isolation))).toBe("TransactionConflict")
        expect(yield* raced(db, walk, marked(isolation))).toBe("TransactionConflict")
        expect(yield* raced(db, outside, marked(isolation))).toBe("committed")
      }
      expect(yield* raced(db, (tx) => tx.addWriteConflict(range), write(db, "c1"), "snapshot")).toBe("TransactionConflict")
      // Nothing is read there, and whoever begins later conflicts with nothing.
      expect(yield* db.has("c2")).toBe(false)
      expect(yield* raced(db, (tx) => Effect.andThen(tx.get("c2"), tx.put("mine", "1")), Effect.void)).toBe("committed")
      // Taken back, they count no more.
      const rolledBack = db.transaction((tx) =>
        Effect.andThen(tx.savepoint("s"), Effect.andThen(tx.addWriteConflict(range), Effect.andThen(tx.rollbackTo("s"), tx.put("q", "1"))))
      )
      expect(yield* raced(db, (tx) => Effect.andThen(tx.get("c2"), tx.put("mine", "1")), rolledBack)).toBe("committed")
    })
  )

  it.effect("a transaction that writes nothing never conflicts, and does not enter the order of commits", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.put("key", "1")
      const before = (yield* db.stats).visibleSequence
      expect(yield* raced(db, (tx) => Effect.andThen(tx.get("key"), Stream.runCollect(tx.scan())), write(db, "key"))).toBe("committed")
      yield* db.transaction((tx) => Effect.andThen(tx.put("x", "1"), Effect.andThen(tx.savepoint("s"), tx.get("key")))).pipe(Effect.asVoid)
      const stats = yield* db.stats
      expect(stats.visibleSequence).toBe(before + 2)
      expect(stats.transactions).toMatchObject({ readOnly: 1, committed: 1, conflicts: 0 })
    })
  )
})

describe("savepoints and nesting", () => {
  it.effect("rolling back to a savepoint takes back the writes since, and forgets later ones; it stays", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.put("a", "1")
          yield* tx.savepoint("first")
          yield* tx.put("a", "2")
          yield* tx.put("b", "2")
          yield* tx.savepoint("second")
          yield* tx.deleteRange({ gte: "a", lt: "z" })
          yield* tx.rollbackTo("second")
          expect(yield* scanned(tx)).toEqual(["a=2", "b=2"])
          yield* tx.rollbackTo("first")
          expect(yield* scanned(tx)).toEqual(["a=1"])
          expect(yield* Effect.flip(tx.rollbackTo("second"))).toMatchObject({ _tag: "SavepointNotFound", name: "second" })
          yield* tx.put("c", "3")
          yield* tx.rollbackTo("first")
          yield* tx.put("d", "4")
          // A name used again moves.
          yield* tx.savepoint("first")
          yield* tx.put("e", "5")
          yield* tx.rollbackTo("first")
        })
      )
      expect(pairs(yield* Stream.runCollect(db.scan()))).toEqual(["a=1", "d=4"])
    })
  )

  it.effect("a nested transaction joins: its failure takes back its own writes only, its success commits with the outer one", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const other = yield* open()
      const nested = (key: string, fail: boolean) =>
        db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.put(key, "nested")
            yield* other.transaction((elsewhere) => elsewhere.put(key, "other"))
            if (fail) return yield* Effect.fail("no" as const)
          })
        )
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          yield* tx.put("outer", "1")
          yield* nested("good", false)
          expect(yield* tx.getText("good")).toBe("nested")
          expect(yield* db.has("good")).toBe(false)
          expect(yield* Effect.flip(nested("bad", true))).toBe("no")
          expect(yield* tx.has("bad")).toBe(false)
        })
      )
      expect(pairs(yield* Stream.runCollect(db.scan()))).toEqual(["good=nested", "outer=1"])
      // Another database is another matter.
      expect(pairs(yield* Stream.runCollect(other.scan()))).toEqual(["bad=other", "good=other"])
      expect((yield* db.stats).transactions).toMatchObject({ committed: 1, open: 0 })
      const exit = yield* Effect.exit(db.transaction((tx) => Effect.andThen(tx.put("x", "1"), nested("y", true))))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* db.has("x")).toBe(false)
    })
  )

  it.effect("after its end every use fails", () =>
    Effect.gen(function* () {
      const db = yield* open()
      const kept: Array<TransactionSpace> = []
      yield* db.transaction((tx) => Effect.sync(() => kept.push(tx)))
      const handle = yield* db.begin()
      yield* handle.put("a", "1")
      yield* handle.rollback
      yield* handle.rollback
      kept.push(handle)
      for (const [tx, state] of [
        [kept[0]!, "committed"],
        [kept[1]!, "rolledBack"]
      ] as const) {
        for (const use of [tx.get("a"), tx.put("a", "1"), Stream.runCollect(tx.scan()), tx.addReadConflict({ prefix: "a" }), tx.write([])]) {
          expect(yield* Effect.flip<unknown, unknown, never>(use)).toMatchObject({ _tag: "TransactionFinished", state })
        }
        expect(() => tx.unsafe.get("a")).toThrow("over")
      }
      expect(yield* Effect.flip(handle.commit)).toMatchObject({ _tag: "TransactionFinished" })
      expect(yield* db.has("a")).toBe(false)
    })
  )

  it.effect("what is wrong with a read or a write is said at once, and leaves nothing", () =>
    Effect.gen(function* () {
      const db = yield* open()
      yield* db.transaction((tx) =>
        Effect.gen(function* () {
          const wrong = <A>(effect: Effect.Effect<A, { readonly _tag: string }>) => tagOf(effect)
          expect(yield* wrong(tx.get(""))).toBe("InvalidKey")
          expect(yield* wrong(tx.put("a", 5 as unknown as string))).toBe("InvalidValue")
          expect(yield* wrong(tx.put("a", "1", { ttl: -1 }))).toBe("InvalidBatch")
          expect(yield* wrong(tx.deleteRange({ gte: "b", lt: "a" }))).toBe("InvalidRange")
          expect(
            yield* wrong(
              tx.write([
                { type: "put", key: "a", value: "1" },
                { type: "add", key: "n", value: 0.5 }
              ])
            )
          ).toBe("InvalidBatch")
          expect(yield* wrong(tx.keyspace("none"))).toBe("KeyspaceNotFound")
          expect(yield* wrong(Stream.runCollect(tx.scan({ gte: "b", lt: "a" })))).toBe("InvalidRange")
          expect(yield* scanned(tx)).toEqual([])
        })
      )
      const options = { isolation: "dirty" } as unknown as { readonly isolation: "snapshot" }
      expect(yield* Effect.flip(db.transaction(() => Effect.void, options))).toMatchObject({ _tag: "InvalidOptions" })
      expect(yield* Effect.flip(Effect.scoped(db.begin({ timeout: "soon" as unknown as number })))).toMatchObject({ _tag: "InvalidOptions" })
    })
  )
})
