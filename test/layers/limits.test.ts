/** How much may be open or handed in at once: one more is refused with a typed error that says what to do, and nothing of what is there suffers. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
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
