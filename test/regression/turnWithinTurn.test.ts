/**
 * A memtable that is full in the middle of a commit turn wakes the flusher, which waits for what is in it to become visible. That wrote the pending group there and then, whose writers
 * went on and took turns of their own within the one that was being taken: one write was lost, and another one was there twice.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openLayer } from "../support/openLayer.ts"

const count = 5000
const numberOf = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset).getUint32(12)
const inOrder = Array.from({ length: count }, (_, i) => i)
const value = "v".repeat(100)

const ways: Record<string, (db: DatabaseShape, key: Uint8Array) => Effect.Effect<unknown, unknown>> = {
  put: (db, key) => db.put(key, value, { durability: "buffered" }),
  transaction: (db, key) => db.transaction((tx) => Effect.andThen(tx.get(key), tx.put(key, value)), { durability: "buffered" })
}

describe("a turn within a turn", () => {
  for (const [name, write] of Object.entries(ways)) {
    it.live(`loses nothing: ${name}`, () =>
      Effect.gen(function* () {
        const db = yield* openLayer(LightningDb.layerMemory({ memtableBytes: 65_536, walSegmentBytes: 262_144, retention: { log: "unlimited" } }))
        let next = 0
        const writer = Effect.gen(function* () {
          while (next < count) {
            const key = new Uint8Array(16)
            new DataView(key.buffer).setUint32(12, next++)
            yield* write(db, key)
          }
        })
        yield* Effect.all(
          Array.from({ length: 256 }, () => writer),
          { concurrency: "unbounded", discard: true }
        )
        const changes = yield* Stream.runCollect(db.changes({ from: 1, live: false }))
        const told = changes.flatMap(({ operations }) => operations.map((operation) => ("key" in operation ? numberOf(operation.key) : -1)))
        expect(told.toSorted((a, b) => a - b)).toEqual(inOrder)
        const found = yield* Stream.runCollect(db.scan())
        expect(found.map(({ key }) => numberOf(key))).toEqual(inOrder)
      }).pipe(Effect.scoped)
    )
  }
})
