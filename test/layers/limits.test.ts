/** How much may be open or handed in at once: one more is refused with a typed error that says what to do, and nothing of what is there suffers. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChangesError, WatchError } from "../../src/domain/errors.ts"
import { maintenanceAtOnce, makeFewAtOnce } from "../../src/layers/maintenance/fewAtOnce.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { WriteOperation } from "../../src/services/Database.ts"
import { HangingDisk } from "../support/hangingDisk.ts"
import { directory, openOn } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const open = (options: LightningDb.MemoryOptions) => openLayer(LightningDb.layerMemory(options))

describe("snapshots, scans and transactions that are open", () => {
  it.effect("are limited together, whatever they are; each that ends makes room for another", () =>
    Effect.gen(function* () {
      const db = yield* open({ maxTransactions: 4 })
      for (let i = 0; i < 100; i++) yield* db.put(`k${i}`, "v")
      const scope = yield* Scope.make()
      const held = <A, E>(open: Effect.Effect<A, E, Scope.Scope>) => Effect.provideService(open, Scope.Scope, scope)
      yield* held(db.snapshot)
      yield* held(Effect.tap(db.begin(), (tx) => tx.get("k1")))
      yield* held(
        Effect.forkScoped(
          Stream.runForEach(db.scan(), () => Effect.never),
          { startImmediately: true }
        )
      )
      const iterator = db.unsafe.entries()
      iterator.next()
      expect((yield* db.stats).snapshots.open).toBe(4)
      const attempts: ReadonlyArray<readonly [string, Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>]> = [
        ["snapshot", Effect.scoped(db.snapshot)],
        ["begin", Effect.scoped(Effect.flatMap(db.begin(), (tx) => tx.get("k1")))],
        ["transaction", db.transaction((tx) => tx.get("k1"))],
        ["scan", Stream.runDrain(db.scan())],
        ["at", Effect.scoped(db.at((yield* db.stats).visibleSequence))]
      ]
      for (const [what, attempt] of attempts) {
        const refused = yield* Effect.flip(attempt)
        expect(refused._tag, what).toBe("TooManySnapshots")
        expect(refused.message, what).toMatch(/^4 .* open, which is the limit\. Close .* maxTransactions/)
      }
      expect(() => db.unsafe.entries().next()).toThrowError(expect.objectContaining({ _tag: "TooManySnapshots" }))
      // Everything that needs no moment of its own goes on.
      yield* db.put("k1", "w")
      expect(yield* db.getText("k1")).toBe("w")
      iterator.return?.()
      for (const [what, attempt] of attempts) expect((yield* Effect.result(attempt))._tag, what).toBe("Success")
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      expect((yield* db.stats).snapshots.open).toBe(0)
    })
  )
})

describe("what one write or transaction may hold", () => {
  it.effect("is limited by batchBytesMax; nothing of a larger one is there", () =>
    Effect.gen(function* () {
      const db = yield* open({ batchBytesMax: 65_536, valueBytesMax: 65_536 })
      const batch = Array.from({ length: 70 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: new Uint8Array(1000) }))
      const refused = yield* Effect.flip(db.write(batch))
      expect(refused).toMatchObject({ _tag: "BatchTooLarge", bytesMax: 65_536 })
      expect(refused.message).toContain("split it")
      expect(yield* db.has("k0")).toBe(false)
      const tx = yield* Effect.flip(db.transaction((tx) => Effect.forEach(batch, ({ key, value }) => tx.put(key, value), { discard: true })))
      expect(tx).toMatchObject({ _tag: "TransactionTooLarge", what: "writes", bytesMax: 65_536 })
      expect(yield* db.has("k0")).toBe(false)
      yield* db.write(batch.slice(0, 60))
      expect(yield* db.has("k59")).toBe(true)
    })
  )
})

describe("operations of one write", () => {
  it.effect("are limited where their keys and values take next to nothing; no more of them is looked at", () =>
    Effect.gen(function* () {
      const db = yield* open({ batchBytesMax: 1 << 20, valueBytesMax: 65_536 })
      yield* db.put("there", "x".repeat(2000))
      const many = 10_000_000
      const empty: WriteOperation = { type: "deleteRange", gte: "a", lt: "a" }
      const one: ReadonlyArray<WriteOperation> = [
        { type: "put", key: "k", value: "" },
        { type: "delete", key: "k" },
        { type: "deleteRange", gte: "a", lt: "b" },
        empty,
        { type: "add", key: "k", value: 1 },
        { type: "setOnce", key: "there", value: "" }
      ]
      for (const operation of one) {
        let looked = 0
        const lazy = new Proxy<Array<WriteOperation>>([], {
          get: (target, name) => {
            if (name === "length") return many
            if (typeof name !== "string" || !/^[0-9]+$/.test(name)) return Reflect.get(target, name)
            looked++
            return operation
          }
        })
        const refused = yield* Effect.flip(db.write(lazy))
        expect(refused, operation.type).toMatchObject({ _tag: "BatchTooLarge", bytesMax: 1 << 20 })
        // A megabyte of the smallest there are, and none beyond.
        expect(looked, operation.type).toBeLessThanOrEqual((1 << 20) / 2 + 1)
        // What is found, and copied for the caller, counts like what is handed in.
        if (operation.type === "setOnce") expect(looked).toBeLessThanOrEqual((1 << 20) / 2000 + 1)
        // Of an empty range nothing is kept.
        if (operation === empty) continue
        const tx = yield* Effect.flip(db.transaction((tx) => tx.write(lazy)))
        expect(tx._tag, operation.type).toBe("TransactionTooLarge")
      }
      expect(yield* db.has("k")).toBe(false)
      expect(yield* db.getText("there")).toHaveLength(2000)
      const most = Array.from({ length: 16_384 }, (_, i): WriteOperation => ({ type: "put", key: `${i}`, value: "" }))
      yield* db.write(most)
      expect(yield* Effect.flip(db.write([...most, { type: "put", key: "more", value: "" }]))).toMatchObject({
        _tag: "BatchTooLarge",
        operationsMax: 16_384
      })
      expect(yield* db.has("16383")).toBe(true)
      expect(yield* db.has("more")).toBe(false)
    })
  )
})

describe("streams of changes that are open", () => {
  it.effect("are limited to maxTransactions, watchers among them; each that ends makes room for another", () =>
    Effect.gen(function* () {
      const db = yield* open({ maxTransactions: 3 })
      yield* db.put("k", "v")
      const scope = yield* Scope.make()
      const held = <A, E>(stream: Stream.Stream<A, E>) =>
        Effect.provideService(Effect.forkScoped(Stream.runDrain(stream), { startImmediately: true }), Scope.Scope, scope)
      yield* held(db.changes())
      yield* held(db.changes({ from: 1 }))
      yield* held(db.watch({ prefix: "" }))
      yield* Effect.yieldNow
      for (const stream of [db.changes(), db.changes({ from: 1, live: false }), db.watch({ key: "k" })]) {
        const refused = yield* Effect.flip(Stream.runDrain(stream as Stream.Stream<unknown, ChangesError | WatchError>))
        expect(refused).toMatchObject({ _tag: "TooManySnapshots", openMax: 3 })
      }
      // They are counted for themselves: snapshots and writes have room.
      yield* Effect.scoped(db.snapshot)
      yield* db.put("k", "w")
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      expect(yield* Stream.runCollect(db.changes({ from: 1, live: false }))).toHaveLength(2)
    })
  )
})

describe("checkpoints and verifications", () => {
  it.effect("wait for their turn: few of them run at once, and all are done", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* openOn(disk.layer, directory, { cacheBytes: 0 })
      for (let i = 0; i < 50; i++) yield* db.put(`k${i}`, "v".repeat(100))
      yield* db.flush
      disk.hang("datasync", /^\/copy/)
      // Also where something below fails: what hangs would hold up the close.
      yield* Effect.addFinalizer(() => Effect.sync(() => disk.release()))
      const calls = Array.from({ length: 12 }, (_, i) => (i < 10 ? Effect.asVoid(db.checkpoint(`/copy${i}`)) : Effect.asVoid(db.verify)))
      const all = yield* Effect.forkChild(Effect.all(calls, { concurrency: "unbounded" }), { startImmediately: true })
      for (let i = 0; i < 500; i++) yield* Effect.yieldNow
      expect(disk.hanging).toBe(maintenanceAtOnce)
      // Neither are in the way of the other, nor of anything else.
      yield* db.put("more", "v")
      yield* db.flush
      expect((yield* db.verify).entries).toBe(51)
      disk.release()
      yield* Fiber.join(all)
      expect(disk.simulated.list("/").filter((name) => name.startsWith("copy"))).toHaveLength(10)
    })
  )

  it.effect("of one kind no more than that", () =>
    Effect.gen(function* () {
      const few = yield* makeFewAtOnce
      let running = 0
      let most = 0
      const work = Effect.gen(function* () {
        most = Math.max(most, ++running)
        yield* Effect.yieldNow
        running--
      })
      yield* Effect.all(
        Array.from({ length: 20 }, () => few(work)),
        { concurrency: "unbounded" }
      )
      expect([most, running]).toEqual([maintenanceAtOnce, 0])
    })
  )
})
