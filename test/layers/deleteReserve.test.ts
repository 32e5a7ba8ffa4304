/** What only takes away goes on for a while where too many tables stop the others: it may be what makes room. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })
const stop = 4

/** Level 0 is full, and no compaction ends. */
const crowded = (workers: WorkersControl) =>
  Effect.gen(function* () {
    workers.compactGate.closeUnsafe()
    const db = yield* openLayer(
      LightningDb.layerCore({ ...smallOptions, level0CompactTrigger: 2, level0SlowTrigger: stop, level0StopTrigger: stop, path: "/db" }).pipe(
        Layer.provide(Layer.provideMerge(workers.layer, Layer.fresh(DiskMemory.layer)))
      )
    )
    yield* db.keyspace("doomed")
    yield* db.put("brief", "1", { ttl: 1000 })
    yield* db.flush
    // The tables overlap, and the job that is to merge the first two of them is held up.
    for (let isFull = false; !isFull;) {
      yield* Effect.andThen(db.put("a", "1"), db.flush)
      yield* turns(20)
      const { compactions, levels } = yield* db.stats
      isFull = compactions.running === 1 && levels[0]!.tables >= stop
    }
    return db
  })
const level0 = (db: DatabaseShape) => Effect.map(db.stats, ({ levels }) => levels[0]!.tables)

describe("where level 0 stops writers", () => {
  it.effect("deletes, dropped keyspaces and expiry go on; puts, and batches with one, wait", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* crowded(workers)
      const waiting = [
        yield* Effect.forkChild(db.put("b", "1")),
        yield* Effect.forkChild(
          db.write([
            { type: "delete", key: "a" },
            { type: "put", key: "c", value: "1" }
          ])
        ),
        yield* Effect.forkChild(db.write([{ type: "add", key: "n", value: 1 }]))
      ]
      yield* turns(50)
      expect((yield* db.stats).stalls.waiting).toBe(3)
      yield* db.delete("a")
      expect(yield* db.has("a")).toBe(false)
      yield* db.write([
        { type: "delete", key: "x" },
        { type: "deleteRange", gte: "y", lt: "z" }
      ])
      yield* db.dropKeyspace("doomed")
      const { visibleSequence } = yield* db.stats
      yield* TestClock.adjust("2 seconds")
      yield* turns(50)
      expect((yield* db.stats).visibleSequence).toBeGreaterThan(visibleSequence)
      expect((yield* db.stats).stalls.waiting).toBe(3)
      workers.compactGate.openUnsafe()
      yield* Fiber.joinAll(waiting)
      expect(yield* db.getText("b")).toBe("1")
    })
  )

  it.effect("the reserve ends: level 0 stays bounded whoever writes", () =>
    Effect.gen(function* () {
      const db = yield* crowded(new WorkersControl())
      const deleter = yield* Effect.forkChild(Effect.forever(Effect.andThen(db.delete("a"), db.flush)))
      yield* turns(3000)
      expect(yield* level0(db)).toBe(stop + 8)
      expect((yield* db.stats).stalls.waiting).toBe(1)
      yield* Fiber.interrupt(deleter)
    })
  )

  it.effect("tables that do not overlap stop nobody for good, however small the triggers", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(
        LightningDb.layerCore({ ...smallOptions, level0CompactTrigger: 3, level0SlowTrigger: 3, level0StopTrigger: 3, path: "/db" }).pipe(
          Layer.provide(Layer.provideMerge(new WorkersControl().layer, Layer.fresh(DiskMemory.layer)))
        )
      )
      for (let i = 0; i < 12; i++) yield* Effect.andThen(db.put(`k${i}`, "1"), db.flush)
      expect((yield* db.stats).compactions.trivialMoves).toBeGreaterThan(3)
    })
  )
})
