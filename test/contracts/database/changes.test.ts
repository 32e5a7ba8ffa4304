/** What the feed promises on every backing: in memory, and on a directory, where long reads go through the pool. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as path from "node:path"
import type { OpenError } from "../../../src/domain/errors.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { Change } from "../../../src/services/Changes.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { dumpSnapshot, FoldedChanges } from "../../support/foldedChanges.ts"
import { openLayer, temporaryDirectory } from "../../support/openLayer.ts"
import { small, type TestOptions } from "./fixture.ts"

type Open = (options?: TestOptions) => Effect.Effect<DatabaseShape, OpenError, Scope.Scope>

const kept: TestOptions = { ...small, retention: { log: "unlimited" } }
const sequences = (changes: Iterable<Change>): ReadonlyArray<number> => Array.from(changes, ({ sequence }) => sequence)
const through = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

const feedContract = (name: string, open: Open) => {
  describe(`the feed ${name}`, () => {
    it.live("goes from history into live without a gap, values of every size, and folds to what is there", () =>
      Effect.gen(function* () {
        const db = yield* open(kept)
        const orders = yield* db.keyspace("orders")
        const write = (i: number) =>
          i % 10 === 0
            ? orders.write([{ type: "deleteRange", gte: `${i - 30}`, lt: `${i - 20}` }])
            : orders.put(`${i}`, new Uint8Array(i % 50 === 7 ? 200_000 : i - 2000).fill(i), { durability: i % 3 === 0 ? "sync" : "buffered" })
        const before = 1 + 150
        for (let i = 1; i <= 150; i++) yield* write(2000 + i)
        const reading = yield* Effect.forkChild(Stream.runCollect(Stream.take(db.changes({ from: 0 }), before + 100)), { startImmediately: true })
        yield* Effect.forEach(through(151, 250), (i) => write(2000 + i), { concurrency: 4, discard: true })
        yield* db.flush
        const changes = yield* Fiber.join(reading)
        expect(sequences(changes)).toEqual(through(1, before + 100))
        const folded = new FoldedChanges()
        for (const change of changes) folded.apply(change)
        yield* Effect.scoped(
          Effect.gen(function* () {
            expect(folded.dump(0)).toBe(yield* dumpSnapshot(yield* db.snapshot, ["orders"]))
          })
        )
        yield* db.verify
      })
    )

    it.live("keeps cursors, and watches", () =>
      Effect.gen(function* () {
        const db = yield* open(small)
        expect(yield* db.createCursor("c")).toEqual({ name: "c", next: 1 })
        const seen: Array<string> = []
        const watching = yield* Effect.forkChild(
          Stream.runForEach(db.watch({ key: "k" }), (event) => Effect.sync(() => seen.push(event.type === "put" ? text(event.value) : event.type))),
          { startImmediately: true }
        )
        for (let i = 1; i <= 200; i++) yield* i % 50 === 0 ? db.delete("k") : db.put(i % 5 === 0 ? "k" : `other${i}`, `${i}${"v".repeat(500)}`)
        yield* db.flush
        yield* Effect.sleep(10)
        expect(seen.map((value) => Number.parseInt(value) || value)).toEqual(through(1, 40).map((n) => (n % 10 === 0 ? "delete" : n * 5)))
        yield* Fiber.interrupt(watching)
        expect(sequences(yield* Stream.runCollect(db.changes({ cursor: "c", live: false })))).toEqual(through(2, 201))
        expect(yield* db.advanceCursor("c", 150)).toEqual({ name: "c", next: 150 })
        expect(sequences(yield* Stream.runCollect(db.changes({ cursor: "c", live: false })))).toEqual(through(150, 201))
        yield* db.dropCursor("c")
        expect(yield* db.cursors).toEqual([])
      })
    )
  })
}

feedContract("in memory", (options) => openLayer(LightningDb.layerMemory(options)))
feedContract("on a directory", (options) =>
  Effect.flatMap(temporaryDirectory, (directory) =>
    openLayer(LightningDb.layer({ compactionWorkers: 0, ...options, path: path.join(directory, "db") }))
  )
)

it.live("cursors on a directory go on in the next process", () =>
  Effect.gen(function* () {
    const at = path.join(yield* temporaryDirectory, "db")
    const life = <A, E>(use: (db: DatabaseShape) => Effect.Effect<A, E, Scope.Scope>) =>
      Effect.scoped(Effect.flatMap(openLayer(LightningDb.layer({ ...small, compactionWorkers: 0, path: at })), use))
    yield* life((db) =>
      Effect.gen(function* () {
        yield* db.createCursor("c")
        for (let i = 1; i <= 300; i++) yield* db.put(`${i}`, "v".repeat(900), { durability: "buffered" })
        yield* db.flush
      })
    )
    const first = yield* life((db) => Stream.runCollect(Stream.take(db.changes({ cursor: "c" }), 120)))
    expect(sequences(first)).toEqual(through(2, 121))
    yield* life((db) => db.advanceCursor("c", 122))
    const rest = yield* life((db) => Stream.runCollect(db.changes({ cursor: "c", live: false })))
    expect(sequences(rest)).toEqual(through(122, 301))
  })
)
