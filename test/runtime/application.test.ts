/** A small application, and how its tests swap what is below it: the engine in memory, the engine over a disk that fails, and a mock without any engine. */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { LightningError } from "../../src/domain/errors.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

/** Orders by customer, with a running total, always in step. */
class Orders extends Context.Service<
  Orders,
  {
    readonly place: (customer: string, id: string, cents: number) => Effect.Effect<"stored" | "try again later", LightningError>
    readonly total: (customer: string) => Effect.Effect<number, LightningError>
    readonly ids: (customer: string) => Effect.Effect<ReadonlyArray<string>, LightningError>
  }
>()("test/Orders") {
  static readonly layer = Layer.effect(
    Orders,
    Effect.gen(function* () {
      const db = yield* Database
      const total = (customer: string) => Effect.map(db.getText(`total/${customer}`), (text) => Number(text ?? 0))
      return Orders.of({
        total,
        place: (customer, id, cents) =>
          Effect.flatMap(total(customer), (before) =>
            db.write([
              { type: "put", key: `order/${customer}/${id}`, value: String(cents) },
              { type: "put", key: `total/${customer}`, value: String(before + cents) }
            ])
          ).pipe(
            Effect.as("stored" as const),
            Effect.catchTag(["CommitOutcomeUnknown", "DatabasePoisoned"], () => Effect.succeed("try again later" as const))
          ),
        ids: (customer) =>
          db.scan({ prefix: `order/${customer}/` }).pipe(
            Stream.map(({ key }) => new TextDecoder().decode(key).split("/")[2]!),
            Stream.runCollect
          )
      })
    })
  )
}

describe("an application", () => {
  it.effect("over layerMemory: the whole engine, nothing to clean up", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      expect(yield* orders.place("ada", "1", 250)).toBe("stored")
      expect(yield* orders.place("ada", "2", 350)).toBe("stored")
      yield* orders.place("bob", "1", 10)
      expect(yield* orders.total("ada")).toBe(600)
      expect(yield* orders.ids("ada")).toEqual(["1", "2"])
    }).pipe(Effect.provide(Orders.layer.pipe(Layer.provide(LightningDb.layerMemory()))))
  )

  it.effect("over layerCore with a disk that fails when the test says so", () => {
    let disk: FaultyDisk | undefined
    const platform = Layer.provideMerge(
      WorkersInProcess.layer,
      DiskFaulty.layerWith((faulty) => {
        disk = faulty
      }).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
    )
    return Effect.gen(function* () {
      const orders = yield* Orders
      yield* orders.place("ada", "1", 250)
      disk!.add({ match: { operation: "datasync", path: /\.log$/ }, fault: { code: "EIO" } })
      expect(yield* orders.place("ada", "2", 350)).toBe("try again later")
      // Reading goes on, and shows what was acknowledged: order and total in step.
      expect(yield* orders.total("ada")).toBe(250)
      expect(yield* orders.ids("ada")).toEqual(["1"])
    }).pipe(Effect.provide(Orders.layer.pipe(Layer.provide(LightningDb.layerCore({ path: "/db" })), Layer.provide(platform))))
  })

  it.effect("over a mock: only what the test gives answers", () => {
    const written: Array<number> = []
    const mock = Layer.mock(Database, {
      getText: () => Effect.succeed("41"),
      write: (operations) =>
        Effect.sync(() => {
          written.push(operations.length)
          return { sequence: 1, durability: "memory" as const }
        }),
      // The one member that is neither an Effect nor a function returning one.
      unsafe: { get: () => undefined, getText: () => undefined, getMany: () => [], has: () => false, entries: () => [][Symbol.iterator]() }
    })
    return Effect.gen(function* () {
      const orders = yield* Orders
      yield* orders.place("ada", "1", 1)
      expect(written).toEqual([2])
      expect(yield* orders.total("ada")).toBe(41)
    }).pipe(Effect.provide(Orders.layer.pipe(Layer.provide(mock))))
  })
})
