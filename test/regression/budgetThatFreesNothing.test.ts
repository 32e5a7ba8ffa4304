/** A budget of memory that the options accept is one that a database can be written with. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { openLayer } from "../support/openLayer.ts"

const mib = 1 << 20

describe("memoryBytes", () => {
  for (const options of [
    { memoryBytes: 16 * mib, memtableBytes: 4 * mib, writeBufferCount: 2, compactionWorkers: 4 },
    { memoryBytes: 16 * mib, memtableBytes: 4 * mib, writeBufferCount: 2 },
    { memoryBytes: mib, memtableBytes: 64 << 10, writeBufferCount: 2, compactionWorkers: 16 }
  ])
    it.effect(`${JSON.stringify(options)} takes writes`, () =>
      Effect.gen(function* () {
        const db = yield* openLayer(
          LightningDb.layerCore({ ...options, path: "/db" }).pipe(
            Layer.provide(Layer.provideMerge(WorkersInProcess.layer, Layer.fresh(DiskMemory.layer)))
          )
        )
        const writing = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 200 }),
            (_, i) => Effect.andThen(db.put(`k${i}`, new Uint8Array(options.memtableBytes / 16)), Effect.yieldNow),
            { discard: true }
          )
        )
        for (let i = 0; i < 600 && writing.pollUnsafe() === undefined; i++) {
          yield* TestClock.adjust("1 second")
          yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        }
        expect(yield* Effect.exit(Fiber.join(writing))).toMatchObject({ _tag: "Success" })
      })
    )

  it.effect("is no reason to wait for ever for a batch as large as the options allow: nothing that could be waited for is held", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(
        LightningDb.layerCore({
          memoryBytes: 16 * mib,
          memtableBytes: 4 * mib,
          writeBufferCount: 2,
          compactionWorkers: 0,
          batchBytesMax: 8 * mib,
          valueBytesMax: mib,
          path: "/db"
        }).pipe(Layer.provide(Layer.provideMerge(WorkersInProcess.layer, Layer.fresh(DiskMemory.layer))))
      )
      const large = Array.from({ length: 7 }, (_, i) => ({ type: "put" as const, key: `large${i}`, value: new Uint8Array(mib) }))
      const writing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (let i = 0; i < 6; i++) {
            yield* db.put(`small${i}`, "1")
            yield* db.write(large)
          }
        })
      )
      for (let i = 0; i < 300 && writing.pollUnsafe() === undefined; i++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      }
      expect(yield* Effect.exit(Fiber.join(writing))).toMatchObject({ _tag: "Success" })
    })
  )
})
