/**
 * The anomalies of the Hermitage suite, and some it lacks, as scripts of two or three transactions whose steps interleave as written. Each runs at both levels, with what was
 * committed in between still in the memtable, in a flushed table, and compacted.
 *
 * Before each script x=10 and y=20, and nothing else is there.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import type { TransactionError } from "../../src/domain/errors.ts"
import type { DatabaseShape, ScanRange } from "../../src/services/Database.ts"
import type { IsolationLevel, TransactionHandle, TransactionSpace } from "../../src/services/Transaction.ts"

type Answer = "committed" | "conflict"

interface Stage {
  readonly db: DatabaseShape
  readonly level: IsolationLevel
  readonly begin: Effect.Effect<TransactionHandle, TransactionError, Scope.Scope>
  /** What has been committed so far goes where this run wants it. */
  readonly settle: Effect.Effect<void, unknown>
  readonly is: <A>(byLevel: { readonly [K in IsolationLevel]: A }) => A
}

type Script = (stage: Stage) => Effect.Effect<void, unknown, Scope.Scope>

const commit = (tx: TransactionHandle): Effect.Effect<Answer, unknown> =>
  Effect.flatMap(Effect.result(tx.commit), (result) => {
    if (Result.isSuccess(result)) return Effect.succeed<Answer>("committed")
    return result.failure._tag === "TransactionConflict" ? Effect.succeed<Answer>("conflict") : Effect.fail(result.failure)
  })

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** "x=10 y=20", in the order of the scan. */
const show = (reads: Pick<TransactionSpace, "scan"> | Pick<DatabaseShape, "scan">, range?: ScanRange): Effect.Effect<string, unknown> =>
  Effect.map(Stream.runCollect<{ readonly key: Uint8Array; readonly value: Uint8Array }, unknown, never>(reads.scan(range)), (entries) =>
    [...entries].map(({ key, value }) => `${text(key)}=${text(value)}`).join(" ")
  )

const add = (tx: TransactionSpace, key: string, amount: number) =>
  Effect.flatMap(tx.getText(key), (value) => tx.put(key, String(Number(value ?? "0") + amount)))

export const scripts: Record<string, Script> = {
  "G0, dirty write: two transactions write the same two keys in turns": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* t1.put("x", "11")
      yield* t2.put("x", "12")
      yield* t1.put("y", "21")
      expect(yield* commit(t1)).toBe("committed")
      expect(yield* show(db)).toBe("x=11 y=21")
      yield* settle
      yield* t2.put("y", "22")
      // Nothing was read, so serially it simply comes second; under "snapshot" the first committer wins.
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "committed", snapshot: "conflict" }))
      expect(yield* show(db)).toBe(is({ serializable: "x=12 y=22", snapshot: "x=11 y=21" }))
    }),
  "G1a, aborted read": ({ begin, db }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* t1.put("x", "101")
      expect(yield* show(t2)).toBe("x=10 y=20")
      expect(yield* db.getText("x")).toBe("10")
      yield* t1.rollback
      expect(yield* show(t2)).toBe("x=10 y=20")
      expect(yield* commit(t2)).toBe("committed")
      expect(yield* show(db)).toBe("x=10 y=20")
    }),
  "G1a, aborted read: of one that failed to commit": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      yield* add(t1, "x", 1)
      yield* t1.put("y", "101")
      yield* db.put("x", "11")
      yield* settle
      expect(yield* commit(t1)).toBe("conflict")
      const t2 = yield* begin
      expect(yield* show(t2)).toBe("x=11 y=20")
      expect(yield* show(db)).toBe("x=11 y=20")
    }),
  "G1b, intermediate read": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* t1.put("x", "101")
      expect(yield* t2.getText("x")).toBe("10")
      yield* t1.put("x", "11")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* t2.getText("x")).toBe("10")
      expect(yield* commit(t2)).toBe("committed")
      expect(yield* show(db)).toBe("x=11 y=20")
    }),
  "G1c, circular information flow": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* t1.put("x", "11")
      yield* t2.put("y", "22")
      expect(yield* t1.getText("y")).toBe("20")
      expect(yield* t2.getText("x")).toBe("10")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "x=11 y=20", snapshot: "x=11 y=22" }))
    }),
  "OTV, observed transaction vanishes": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* t1.put("x", "11")
      yield* t1.put("y", "19")
      yield* t2.put("x", "12")
      expect(yield* commit(t1)).toBe("committed")
      const t3 = yield* begin
      expect(yield* t3.getText("x")).toBe("11")
      yield* t2.put("y", "18")
      yield* settle
      expect(yield* t3.getText("y")).toBe("19")
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "committed", snapshot: "conflict" }))
      yield* settle
      expect(yield* show(t3)).toBe("x=11 y=19")
      expect(yield* commit(t3)).toBe("committed")
      expect(yield* show(db)).toBe(is({ serializable: "x=12 y=18", snapshot: "x=11 y=19" }))
    }),
  "PMP, predicate-many-preceders: for a reader": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* show(t1)).toBe("x=10 y=20")
      yield* t2.put("z", "30")
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      expect(yield* show(t1)).toBe("x=10 y=20")
      expect(yield* show(t1, { gte: "z" })).toBe("")
      expect(yield* commit(t1)).toBe("committed")
      expect(yield* show(db)).toBe("x=10 y=20 z=30")
    }),
  "PMP, predicate-many-preceders: for writes by predicate": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* add(t1, "x", 10)
      yield* add(t1, "y", 10)
      // Deletes what is 20, which after t1 is x and no longer y.
      expect(yield* show(t2)).toBe("x=10 y=20")
      yield* t2.delete("y")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe("conflict")
      expect(yield* show(db)).toBe("x=20 y=30")
    }),
  "P4, lost update": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      yield* add(t1, "x", 1)
      yield* add(t2, "x", 2)
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe("conflict")
      expect(yield* show(db)).toBe("x=11 y=20")
    }),
  "P4, lost update: by a plain write": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      yield* add(t1, "x", 1)
      yield* db.write([
        { type: "put", key: "a", value: "1" },
        { type: "put", key: "x", value: "50" }
      ])
      yield* settle
      expect(yield* commit(t1)).toBe("conflict")
      expect(yield* show(db)).toBe("a=1 x=50 y=20")
    }),
  "P4, lost update: of a value that came back as it was": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      yield* add(t1, "x", 1)
      yield* db.put("x", "11")
      yield* settle
      yield* db.put("x", "10")
      yield* settle
      // Who compares values and not versions does not see it; somebody else has acted on 11.
      expect(yield* commit(t1)).toBe("conflict")
      expect(yield* show(db)).toBe("x=10 y=20")
    }),
  "G-single, read skew": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* t1.getText("x")).toBe("10")
      yield* add(t2, "x", 2)
      yield* add(t2, "y", -2)
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      expect(yield* t1.getText("y")).toBe("20")
      expect(yield* t1.getMany(["y", "x"]).pipe(Effect.map((values) => values.map((value) => value && text(value))))).toEqual(["20", "10"])
      expect(yield* commit(t1)).toBe("committed")
      expect(yield* show(db)).toBe("x=12 y=18")
    }),
  "G-single, read skew over predicates": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* show(t1, { lt: "y" })).toBe("x=10")
      yield* t2.deleteRange({ gte: "x", lt: "z" })
      yield* t2.put("y1", "25")
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      expect(yield* show(t1, { gte: "y" })).toBe("y=20")
      expect(yield* show(t1, { reverse: true })).toBe("y=20 x=10")
      expect(yield* commit(t1)).toBe("committed")
      expect(yield* show(db)).toBe("y1=25")
    }),
  "G-single, by a write predicate": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* t1.getText("x")).toBe("10")
      yield* add(t2, "x", 2)
      yield* add(t2, "y", -2)
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      // Deletes what is 20: for t1 that is y, after t2 it is nothing.
      expect(yield* show(t1, { gte: "y" })).toBe("y=20")
      yield* t1.delete("y")
      expect(yield* commit(t1)).toBe("conflict")
      expect(yield* show(db)).toBe("x=12 y=18")
    }),
  "G-single, by a range delete": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* t1.getText("x")).toBe("10")
      yield* t2.put("x", "12")
      yield* t2.put("y", "18")
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      yield* t1.deleteRange({ gte: "y", lt: "z" })
      expect(yield* commit(t1)).toBe("conflict")
      expect(yield* show(db)).toBe("x=12 y=18")
    }),
  "G2-item, write skew": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      for (const tx of [t1, t2]) expect(yield* tx.getMany(["x", "y"])).toHaveLength(2)
      yield* t1.put("x", "11")
      yield* t2.put("y", "21")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "x=11 y=20", snapshot: "x=11 y=21" }))
    }),
  "G2-item, write skew over absences": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      for (const tx of [t1, t2]) {
        expect(yield* tx.has("a1")).toBe(false)
        expect(yield* tx.get("a2")).toBe(undefined)
      }
      yield* t1.put("a1", "1")
      yield* t2.put("a2", "2")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db, { prefix: "a" })).toBe(is({ serializable: "a1=1", snapshot: "a1=1 a2=2" }))
    }),
  "G2, write skew over predicates": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      for (const tx of [t1, t2]) expect(yield* show(tx)).toBe("x=10 y=20")
      yield* t1.put("w", "30")
      yield* t2.put("z", "42")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "w=30 x=10 y=20", snapshot: "w=30 x=10 y=20 z=42" }))
    }),
  "G2, phantoms into an empty range, read by prefix and backward": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* show(t1, { prefix: "p/" })).toBe("")
      expect(yield* show(t2, { gte: "p/", lt: "p0", reverse: true })).toBe("")
      yield* t1.put("p/1", "1")
      yield* t2.put("p/2", "2")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db, { prefix: "p/" })).toBe(is({ serializable: "p/1=1", snapshot: "p/1=1 p/2=2" }))
    }),
  "G2, phantoms that vanish: by delete, and by range delete": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      expect(yield* show(t1, { gte: "x", lt: "xx" })).toBe("x=10")
      expect(yield* show(t2, { gte: "x", lt: "xx" })).toBe("x=10")
      yield* t1.put("a1", "1")
      yield* t2.put("a2", "2")
      yield* db.delete("x")
      yield* settle
      expect(yield* commit(t1)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      const t3 = yield* begin
      expect(yield* t3.getText("y")).toBe("20")
      yield* t3.put("a3", "3")
      yield* db.write([{ type: "deleteRange", gte: "c", lt: "zz" }])
      yield* settle
      expect(yield* commit(t3)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* commit(t2)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "", snapshot: "a1=1 a2=2 a3=3" }))
    }),
  "G2, Fekete, O'Neil and O'Neil: the anomaly of a read-only transaction": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      yield* db.put("x", "0")
      yield* db.put("y", "0")
      // t1 withdraws 10 from x, with a fee of 1 as x + y would be negative; t2 deposits 20 into y; t3 reports.
      const t1 = yield* begin
      expect(yield* show(t1)).toBe("x=0 y=0")
      const t2 = yield* begin
      yield* add(t2, "y", 20)
      expect(yield* commit(t2)).toBe("committed")
      const t3 = yield* begin
      expect(yield* show(t3)).toBe("x=0 y=20")
      expect(yield* commit(t3)).toBe("committed")
      yield* settle
      // The report shows the deposit before the withdrawal, so that there is no fee.
      yield* t1.put("x", "-11")
      expect(yield* commit(t1)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "x=0 y=20", snapshot: "x=-11 y=20" }))
    }),
  "G2, three in a circle": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      const t3 = yield* begin
      expect(yield* t1.getText("y")).toBe("20")
      expect(yield* t2.getText("z")).toBe(undefined)
      expect(yield* t3.getText("x")).toBe("10")
      yield* t1.put("x", "1")
      yield* t2.put("y", "2")
      yield* t3.put("z", "3")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      // z is still what t2 has seen: serially it comes after t1.
      expect(yield* commit(t2)).toBe("committed")
      yield* settle
      expect(yield* commit(t3)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      expect(yield* show(db)).toBe(is({ serializable: "x=1 y=2", snapshot: "x=1 y=2 z=3" }))
    }),
  "a range that was read only in part conflicts only there": ({ begin, is, db, settle }) =>
    Effect.gen(function* () {
      yield* db.write([1, 3, 5, 7].map((n) => ({ type: "put", key: `k${n}`, value: String(n) })))
      const forward = yield* begin
      const backward = yield* begin
      const other = yield* begin
      expect(yield* show(forward, { prefix: "k", limit: 2 })).toBe("k1=1 k3=3")
      expect(yield* show(backward, { prefix: "k", limit: 2, reverse: true })).toBe("k7=7 k5=5")
      expect(yield* show(other, { prefix: "k", limit: 2 })).toBe("k1=1 k3=3")
      for (const tx of [forward, backward, other]) yield* tx.put(`a${tx === forward ? 1 : tx === backward ? 2 : 3}`, "")
      yield* db.put("k4", "4")
      yield* settle
      expect(yield* commit(forward)).toBe("committed")
      expect(yield* commit(backward)).toBe("committed")
      yield* db.put("k2", "2")
      yield* settle
      expect(yield* commit(other)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
    }),
  "range deletes and inserts into their range: the later one decides, or is refused": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const eraser = yield* begin
      const inserter = yield* begin
      yield* eraser.deleteRange({ gte: "x", lt: "z" })
      yield* inserter.put("x5", "5")
      expect(yield* commit(inserter)).toBe("committed")
      yield* settle
      expect(yield* commit(eraser)).toBe(is<Answer>({ serializable: "committed", snapshot: "conflict" }))
      expect(yield* show(db)).toBe(is({ serializable: "", snapshot: "x=10 x5=5 y=20" }))
      const late = yield* begin
      yield* late.put("x6", "6")
      yield* db.write([{ type: "deleteRange", prefix: "x" }])
      yield* settle
      expect(yield* commit(late)).toBe(is<Answer>({ serializable: "committed", snapshot: "conflict" }))
    }),
  "keyspaces are apart from each other, and one transaction spans them": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const orders = yield* db.keyspace("orders")
      const t1 = yield* begin
      const t2 = yield* begin
      const other = yield* t1.keyspace("orders")
      expect(yield* t1.getText("x")).toBe("10")
      expect(yield* show(other)).toBe("")
      yield* add(yield* t2.keyspace("orders"), "y", 1)
      yield* add(t2, "y", 1)
      yield* t1.put("a", "1")
      // The same key in a keyspace where t1 has not looked.
      yield* orders.put("zz", "1")
      yield* db.put("b", "2")
      yield* settle
      expect(yield* commit(t2)).toBe("committed")
      expect(yield* show(orders)).toBe("y=1 zz=1")
      expect(yield* show(db)).toBe("b=2 x=10 y=21")
      yield* settle
      // It had seen `orders` as a whole.
      expect(yield* commit(t1)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      const t3 = yield* begin
      expect(yield* t3.getText("zz")).toBe(undefined)
      yield* t3.put("c", "3")
      yield* orders.put("zz", "2")
      yield* settle
      expect(yield* commit(t3)).toBe("committed")
    }),
  "what was only written conflicts with nobody's reads but those before it": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      // Reads of own writes are no reads of the database.
      yield* t1.put("x", "11")
      expect(yield* t1.getText("x")).toBe("11")
      yield* db.put("x", "50")
      yield* settle
      expect(yield* commit(t1)).toBe(is<Answer>({ serializable: "committed", snapshot: "conflict" }))
      expect(yield* db.getText("x")).toBe(is({ serializable: "11", snapshot: "50" }))
      const t2 = yield* begin
      expect(yield* t2.getText("y")).toBe("20")
      yield* t2.put("y", "22")
      yield* db.put("x", "51")
      yield* settle
      expect(yield* commit(t2)).toBe("committed")
    }),
  "a reader never conflicts, whatever it has read": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      expect(yield* show(t1)).toBe("x=10 y=20")
      yield* db.write([{ type: "deleteRange", gte: "a", lt: "zz" }])
      yield* settle
      yield* db.put("n", "1")
      expect(yield* show(t1)).toBe("x=10 y=20")
      expect(yield* commit(t1)).toBe("committed")
    }),
  "an acknowledged write is in every snapshot that begins after it": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      for (let i = 0; i < 10; i++) {
        const before = yield* begin
        yield* db.put("x", String(i))
        if (i === 5) yield* settle
        const after = yield* begin
        expect(yield* after.getText("x")).toBe(String(i))
        expect(yield* before.getText("x")).toBe(i === 0 ? "10" : String(i - 1))
      }
    }),
  "atomic operations never meet, and what reads their result does": ({ begin, db, is, settle }) =>
    Effect.gen(function* () {
      const count = (tx: TransactionHandle) => tx.write([{ type: "add", key: "n", value: 1 }])
      const t1 = yield* begin
      const t2 = yield* begin
      const t3 = yield* begin
      for (const tx of [t1, t2]) yield* count(tx)
      yield* t3.get("n")
      yield* count(t3)
      yield* db.write([{ type: "add", key: "n", value: 40 }])
      yield* settle
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe("committed")
      expect(yield* commit(t3)).toBe(is<Answer>({ serializable: "conflict", snapshot: "committed" }))
      const n = (yield* db.get("n"))!
      expect(new DataView(n.buffer, n.byteOffset).getBigInt64(0, true)).toBe(is({ serializable: 42n, snapshot: 43n }))
    }),
  "a conflict that is declared prevents write skew under the snapshot level, too": ({ begin, db, settle }) =>
    Effect.gen(function* () {
      const t1 = yield* begin
      const t2 = yield* begin
      for (const tx of [t1, t2]) {
        expect(yield* show(tx, { gte: "x", lt: "z" })).toBe("x=10 y=20")
        yield* tx.addWriteConflict({ gte: "x", lt: "z" })
      }
      yield* t1.put("x", "11")
      yield* t2.put("y", "21")
      expect(yield* commit(t1)).toBe("committed")
      yield* settle
      expect(yield* commit(t2)).toBe("conflict")
      expect(yield* show(db)).toBe("x=11 y=20")
    })
}
