/** One range delete among many puts gives the space of what it covers back, without being asked: not by the number of its tombstones, but by what they cover. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const open = openLayer(
  LightningDb.layerCore({ ...smallOptions, level0CompactTrigger: 8, level0SlowTrigger: 20, level0StopTrigger: 24, path: "/db" }).pipe(
    Layer.provide(Layer.provideMerge(WorkersInProcess.layer, Layer.fresh(DiskMemory.layer)))
  )
)

const key = (i: number) => `k${String(i).padStart(5, "0")}`
const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))
/** Half a megabyte, in several tables of the levels below, some of its values separated. */
const load = (db: DatabaseShape) =>
  Effect.gen(function* () {
    for (let i = 0; i < 800; i += 20)
      yield* db.write(
        Array.from({ length: 20 }, (_, j) => ({ type: "put" as const, key: key(i + j), value: random(j === 0 ? 3000 : 500) })),
        { durability: "buffered" }
      )
    yield* Effect.andThen(db.flush, db.compact())
  })
const bytesOf = (db: DatabaseShape) => Effect.map(db.stats, ({ disk }) => disk.tables + disk.valueFiles)
/** Until no job has run for fifty turns. */
const quiet = (db: DatabaseShape) =>
  Effect.gen(function* () {
    for (let still = 0; still < 50; still = (yield* db.stats).compactions.running === 0 ? still + 1 : 0) yield* Effect.yieldNow
  })
/** Among many puts elsewhere: the tombstone is one of two hundred entries. */
const replace = (db: DatabaseShape, gte: string, lt: string) =>
  Effect.andThen(
    db.write([
      { type: "deleteRange", gte, lt },
      ...Array.from({ length: 200 }, (_, i) => ({ type: "put" as const, key: `n${key(i)}`, value: random(100) }))
    ]),
    db.flush
  )

describe("space after a range delete", () => {
  it.effect("comes back at once for whole tables", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* load(db)
      const before = yield* bytesOf(db)
      expect(before).toBeGreaterThan(450_000)
      yield* replace(db, key(0), key(900))
      yield* quiet(db)
      expect(yield* bytesOf(db)).toBeLessThan(60_000)
      expect((yield* Stream.runCollect(db.scan())).length).toBe(200)
      yield* db.verify
    })
  )

  it.effect("leaves a small range for the next compaction that comes by", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* load(db)
      const { count } = (yield* db.stats).compactions
      yield* replace(db, key(100), key(110))
      yield* quiet(db)
      expect((yield* db.stats).compactions.count).toBe(count)
      expect(yield* db.get(key(105))).toBeUndefined()
    })
  )

  it.effect("waits for the snapshot that still reads what was deleted", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* load(db)
      const scope = yield* Scope.make()
      const snapshot = yield* Scope.provide(db.snapshot, scope)
      yield* replace(db, key(0), key(900))
      yield* quiet(db)
      expect(yield* bytesOf(db)).toBeGreaterThan(450_000)
      expect((yield* Stream.runCollect(snapshot.scan())).length).toBe(800)
      yield* Scope.close(scope, Exit.void)
      yield* quiet(db)
      expect(yield* bytesOf(db)).toBeLessThan(60_000)
    })
  )
})
