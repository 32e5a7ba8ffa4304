/** What an application can get wrong: a typed error that says what to do, nothing lost, and a database that goes on working. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as path from "node:path"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { scanned, small } from "../contracts/database/fixture.ts"
import { openLayer, temporaryDirectory } from "../support/openLayer.ts"

/** From plain JavaScript anything may be handed in. */
const anything = (value: unknown): never => value as never

interface Refused {
  readonly _tag: string
  readonly message: string
}

/** The typed failure; a defect fails the test. */
const refusal = (effect: Effect.Effect<unknown, Refused, Scope.Scope>): Effect.Effect<Refused> =>
  Effect.flip(Effect.scoped(Effect.asVoid(effect))) as Effect.Effect<Refused>

const thrown = (run: () => unknown): unknown => {
  try {
    run()
  } catch (cause) {
    return cause
  }
  throw new Error("did not throw")
}

/** Opened on a directory, filled, maltreated, looked at, and after a reopening looked at again. */
const withDatabase = (maltreat: (db: DatabaseShape) => Effect.Effect<void, unknown, Scope.Scope>) =>
  Effect.gen(function* () {
    const directory = path.join(yield* temporaryDirectory, "db")
    const layer = LightningDb.layer({ ...small, path: directory, compactionWorkers: 0 })
    const expected = ["a=1", "b=2", "c=3"]
    yield* Effect.scoped(
      Effect.gen(function* () {
        const db = yield* openLayer(layer)
        yield* db.write([
          { type: "put", key: "a", value: "1" },
          { type: "put", key: "b", value: "2" }
        ])
        yield* db.flush
        yield* db.put("c", "3")
        const before = (yield* db.stats).visibleSequence
        yield* Effect.scoped(maltreat(db))
        expect((yield* db.stats).visibleSequence).toBe(before)
        expect(yield* scanned(db)).toEqual(expected)
        expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
        expect((yield* db.stats).snapshots.open).toBe(0)
        yield* db.put("works", "still")
        yield* db.delete("works")
      })
    )
    yield* Effect.scoped(
      Effect.gen(function* () {
        const db = yield* openLayer(layer)
        expect(yield* scanned(db)).toEqual(expected)
        yield* db.verify
      })
    )
  })

const utf8 = new TextEncoder()
const badKeys: ReadonlyArray<readonly [string, unknown, object]> = [
  ["empty text", "", { reason: "Empty" }],
  ["empty bytes", new Uint8Array(0), { reason: "Empty" }],
  ["text of 65,537 bytes", "k".repeat(65_537), { reason: "TooLong" }],
  ["text whose bytes are too many", "é".repeat(32_769), { reason: "TooLong", lengthBytes: 65_538 }],
  ["bytes of 65,537", new Uint8Array(65_537), { reason: "TooLong", lengthBytes: 65_537 }],
  ["a lone high surrogate", "a\ud800", { reason: "LoneSurrogate" }],
  ["a lone low surrogate in long text", `${"a".repeat(100)}\udc00`, { reason: "LoneSurrogate" }],
  ...[
    undefined,
    null,
    7,
    7n,
    true,
    Symbol("k"),
    {},
    [],
    ["a"],
    () => "a",
    new Date(0),
    new Uint16Array(2),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
    new Map()
  ].map((key) => [`a ${Object.prototype.toString.call(key)}`, key, { reason: "WrongType" }] as const)
]

describe("keys", () => {
  it.effect.each(badKeys)("%s", ([, key, expected]) =>
    withDatabase((db) =>
      Effect.gen(function* () {
        const bad = anything(key)
        const error = { _tag: "InvalidKey", ...expected }
        const snapshot = yield* db.snapshot
        for (const refused of [
          db.get(bad),
          db.getText(bad),
          db.has(bad),
          db.getMany(["a", bad]),
          db.put(bad, "v"),
          db.delete(bad),
          db.write([
            { type: "put", key: "x", value: "v" },
            { type: "put", key: bad, value: "v" }
          ]),
          db.write([
            { type: "delete", key: "a" },
            { type: "delete", key: bad }
          ]),
          snapshot.get(bad)
        ]) {
          const found = yield* refusal(refused)
          expect(found).toMatchObject(error)
          expect(found.message).not.toMatch(/undefined bytes|\[object/)
        }
        for (const run of [
          () => db.unsafe.get(bad),
          () => db.unsafe.getText(bad),
          () => db.unsafe.has(bad),
          () => db.unsafe.getMany([bad]),
          () => snapshot.unsafe.get(bad)
        ]) {
          expect(thrown(run)).toMatchObject(error)
        }
      })
    )
  )

  it.effect("that are no list", () =>
    withDatabase((db) =>
      Effect.gen(function* () {
        for (const keys of [undefined, null, "abc", 3, {}, new Uint8Array([97]), new Set(["a"])]) {
          expect(yield* refusal(db.getMany(anything(keys)))).toMatchObject({ _tag: "InvalidKey", reason: "WrongType" })
          expect(thrown(() => db.unsafe.getMany(anything(keys)))).toMatchObject({ _tag: "InvalidKey" })
        }
      })
    )
  )
})

describe("values", () => {
  it.effect("of the wrong type, with lone surrogates, over the limit", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory({ ...small, valueBytesMax: 1024, batchBytesMax: 65_536 }))
      yield* db.put("k", "kept")
      for (const value of [undefined, null, 7, {}, [], new Uint16Array(2), new ArrayBuffer(2)]) {
        expect(yield* refusal(db.put("k", anything(value)))).toMatchObject({ _tag: "InvalidValue", reason: "WrongType" })
        expect(
          yield* refusal(
            db.write([
              { type: "delete", key: "k" },
              { type: "put", key: "k", value: anything(value) }
            ])
          )
        ).toMatchObject({ _tag: "InvalidValue", index: 1 })
      }
      expect(yield* refusal(db.put("k", "\ud800"))).toMatchObject({ _tag: "InvalidValue", reason: "LoneSurrogate" })
      for (const value of ["v".repeat(1025), "é".repeat(513), new Uint8Array(1025)]) {
        expect(yield* refusal(db.put("k", value))).toMatchObject({ _tag: "InvalidValue", reason: "TooLarge", bytesMax: 1024 })
      }
      const many = Array.from({ length: 70 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: new Uint8Array(1024) }))
      expect(yield* refusal(db.write(many))).toMatchObject({ _tag: "BatchTooLarge", bytesMax: 65_536 })
      expect(yield* scanned(db)).toEqual(["k=kept"])
      yield* db.put("k", "v".repeat(1024))
      expect((yield* db.getText("k"))!.length).toBe(1024)
    })
  )
})

describe("ranges", () => {
  const ranges: ReadonlyArray<readonly [unknown, string]> = [
    [{ gte: "b", gt: "a" }, "both gte and gt"],
    [{ lte: "b", lt: "a" }, "both lt and lte"],
    [{ gte: "b", lt: "a" }, "above its upper bound"],
    [{ gt: "b", lte: "a" }, "above its upper bound"],
    [{ gte: 5 }, "gte is"],
    [{ lt: null }, "lt is"],
    [{ prefix: "\udfff" }, "prefix holds a lone surrogate"],
    [{ gte: "k".repeat(70_000) }, "gte is longer than any key"],
    [{ limit: -1 }, "limit is -1"],
    [{ limit: 1.5 }, "limit is 1.5"],
    [{ limit: Number.NaN }, "limit is NaN"],
    [{ limit: "3" }, "limit is"],
    [{ reverse: 1 }, "reverse is"],
    [{ gteq: "a" }, "did you mean gte?"],
    [{ start: "a" }, "is unknown"],
    ["a", "Use an object"],
    [7, "Use an object"],
    [null, "Use an object"],
    [["a", "b"], "Use an object"],
    [utf8.encode("a"), "Use an object"]
  ]

  it.effect.each(ranges)("%j", ([range, words]) =>
    withDatabase((db) =>
      Effect.gen(function* () {
        const bad = anything(range)
        const snapshot = yield* db.snapshot
        for (const refused of [Stream.runDrain(db.scan(bad)), Stream.runDrain(snapshot.scan(bad))]) {
          const found = yield* refusal(refused)
          expect(found).toMatchObject({ _tag: "InvalidRange" })
          expect(found.message).toContain(words)
        }
        expect(thrown(() => [...db.unsafe.entries(bad)])).toMatchObject({ _tag: "InvalidRange" })
        expect((yield* db.stats).snapshots.open).toBe(1)
      })
    )
  )

  it.effect("of compact and deleteRange", () =>
    withDatabase((db) =>
      Effect.gen(function* () {
        for (const range of [{ gte: "b", lt: "a" }, { gt: "a" }, { prefix: "a" }, { limit: 3 }, { whatever: 1 }, "a", null, 3]) {
          expect(yield* refusal(db.compact(anything(range))), JSON.stringify(range)).toMatchObject({ _tag: "InvalidRange" })
        }
        expect(yield* refusal(db.compact({ keyspace: "none" }))).toMatchObject({ _tag: "KeyspaceNotFound", name: "none" })
        expect(yield* refusal(db.compact({ keyspace: anything(3) }))).toMatchObject({ _tag: "InvalidKeyspaceName" })
        for (const bad of [{ gte: "b", lt: "a" }, { gte: "a" }, { lt: "a" }, { gte: 1, lt: "b" }, { gte: "a", lt: "" }, { gte: "a", lt: "\ud800" }]) {
          const found = yield* refusal(db.write([anything({ type: "deleteRange", ...bad })]))
          expect(["InvalidBatch", "InvalidKey"]).toContain(found._tag)
        }
      })
    )
  )
})

describe("batches", () => {
  it.effect("of the wrong shape, naming the operation", () =>
    withDatabase((db) =>
      Effect.gen(function* () {
        for (const batch of [undefined, null, "put", 3, {}, new Map()])
          expect(yield* refusal(db.write(anything(batch)))).toMatchObject({ _tag: "InvalidBatch" })
        const good = { type: "delete", key: "a" }
        for (const bad of [
          undefined,
          null,
          3,
          "put",
          [],
          {},
          { type: "del", key: "a" },
          { type: "Put", key: "a", value: "" },
          { key: "a", value: "" },
          { ...good, keyspace: 3 }
        ]) {
          const found = yield* refusal(db.write(anything([good, bad])))
          expect(found).toMatchObject({ _tag: "InvalidBatch", index: 1 })
          expect(found.message).toContain("Nothing was written")
        }
        expect(yield* refusal(db.write(anything([{ ...good, keyspace: "none" }])))).toMatchObject({ _tag: "KeyspaceNotFound", name: "none" })
      })
    )
  )

  it.effect("options of a write: unknown, or of the wrong value", () =>
    withDatabase((db) =>
      Effect.gen(function* () {
        for (const options of [{ durability: "fsync" }, { durability: true }, { durabilty: "sync" }, { sync: true }, "sync", 7, null]) {
          const bad = anything(options)
          for (const refused of [db.put("a", "x", bad), db.delete("a", bad), db.write([{ type: "delete", key: "a" }], bad)]) {
            expect(yield* refusal(refused), JSON.stringify(options)).toMatchObject({ _tag: "InvalidOptions" })
          }
        }
      })
    )
  )
})

describe("keyspaces and checkpoints", () => {
  it.effect("names that cannot be", () =>
    withDatabase((db) =>
      Effect.gen(function* () {
        for (const name of ["", "default", "\ud800", "n".repeat(256), "é".repeat(128), undefined, null, 7, {}, new Uint8Array(1)]) {
          expect(yield* refusal(db.keyspace(anything(name)))).toMatchObject({ _tag: "InvalidKeyspaceName" })
          expect(yield* refusal(db.dropKeyspace(anything(name)))).toMatchObject({ _tag: "InvalidKeyspaceName" })
        }
        expect(yield* refusal(db.dropKeyspace("none"))).toMatchObject({ _tag: "KeyspaceNotFound", name: "none" })
        expect(yield* refusal(Effect.flatMap(db.snapshot, (snapshot) => snapshot.keyspace(anything(7))))).toMatchObject({ _tag: "KeyspaceNotFound" })
        expect(yield* db.keyspaces).toEqual([])
        for (const target of ["", "a\0b", undefined, 7, {}])
          expect(yield* refusal(db.checkpoint(anything(target)))).toMatchObject({ _tag: "InvalidOptions" })
      })
    )
  )
})

describe("a closed database", () => {
  it.effect("refuses everything, typed, and opens nothing again", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "db")
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openLayer(LightningDb.layer({ ...small, path: directory, compactionWorkers: 0 })), scope)
      const orders = yield* db.keyspace("orders")
      yield* db.write(Array.from({ length: 500 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: "v".repeat(i % 5 === 0 ? 2000 : 20) })))
      yield* db.flush
      const snapshotScope = yield* Scope.make()
      const snapshot = yield* Scope.provide(db.snapshot, snapshotScope)
      const iterator = db.unsafe.entries()
      iterator.next()
      yield* Scope.close(scope, Exit.void)
      const range = { gte: "a" }
      for (const refused of [
        db.get("k1"),
        db.getText("k1"),
        db.getMany(["k1"]),
        db.has("k1"),
        Stream.runDrain(db.scan(range)),
        db.put("k1", "v"),
        db.delete("k1"),
        db.write([]),
        db.snapshot,
        db.keyspace("orders"),
        db.keyspace("new"),
        db.keyspaces,
        db.dropKeyspace("orders"),
        db.refresh,
        db.flush,
        db.compact(),
        db.checkpoint(`${directory}-copy`),
        db.verify,
        orders.get("k"),
        orders.put("k", "v"),
        orders.snapshot,
        snapshot.get("k1"),
        Stream.runDrain(snapshot.scan()),
        snapshot.has("k1")
      ]) {
        expect(yield* refusal(refused)).toMatchObject({ _tag: "DatabaseClosed" })
      }
      for (const run of [
        () => db.unsafe.get("k1"),
        () => db.unsafe.getMany(["k1"]),
        () => [...db.unsafe.entries()],
        () => iterator.next(),
        () => snapshot.unsafe.get("k1")
      ]) {
        expect(thrown(run)).toMatchObject({ _tag: "DatabaseClosed" })
      }
      expect((yield* db.health).state).toBe("stopping")
      yield* Scope.close(snapshotScope, Exit.void)
      const again = yield* openLayer(LightningDb.layer({ ...small, path: directory, compactionWorkers: 0 }))
      expect(yield* scanned(again, { prefix: "k1", limit: 1 })).toHaveLength(1)
    })
  )
})
