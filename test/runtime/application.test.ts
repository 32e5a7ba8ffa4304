/**
 * A small application and its tests, as an example: a shop's orders, kept in a database. The tests show four ways to stand in for the disk: the same
 * engine in memory, a disk that fails, a disk that crashes, and no engine at all.
 *
 * In an application the imports read `from "lightning-db"` and `from "lightning-db/testing"`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  CommitOutcomeUnknown,
  Database,
  DatabasePoisoned,
  DatabaseReadOnly,
  LightningDb,
  type OpenError,
  type UnsafeReads,
  WorkersInProcess
} from "../../src/runtime/exports/index.ts"
import { DiskFaulty, DiskSimulated, type FaultyDisk, seededPrng, SimulatedDisk } from "../../src/runtime/exports/testing.ts"

/* The application ---------------------------------------------------------------------------------------------------------------------------------------- */

const Order = Schema.Struct({ number: Schema.Int, customer: Schema.String, article: Schema.String, quantity: Schema.Int })
type Order = typeof Order.Type
const orderJson = Schema.fromJsonString(Order)
const encodeOrder = Schema.encodeSync(orderJson)
const decodeOrder = Schema.decodeUnknownSync(orderJson)

/** The shop takes no orders at the moment; nothing was ordered. */
class ShopClosed extends Data.TaggedError("ShopClosed")<{}> {}
/** It could not be found out whether the order was taken: look before ordering again. */
class OrderUncertain extends Data.TaggedError("OrderUncertain")<{ readonly number: number }> {}

class Orders extends Context.Service<
  Orders,
  {
    /** Takes an order and returns its number. */
    readonly place: (order: Omit<Order, "number">) => Effect.Effect<number, ShopClosed | OrderUncertain>
    readonly find: (number: number) => Effect.Effect<Order | undefined>
    readonly ofCustomer: (customer: string) => Stream.Stream<Order>
  }
>()("shop/Orders") {
  static readonly layer = Layer.effect(
    Orders,
    Effect.gen(function* () {
      const db = yield* Database
      const orders = yield* db.keyspace("orders")
      const byCustomer = yield* db.keyspace("orders-by-customer")
      // Keys are ordered as bytes: numbers are padded, so that the newest order is the last one.
      const keyOf = (number: number) => String(number).padStart(10, "0")
      const newest = yield* Stream.runHead(orders.scan({ reverse: true, limit: 1 }))
      let last = newest._tag === "None" ? 0 : decodeOrder(new TextDecoder().decode(newest.value.value)).number

      const find = (number: number) => Effect.map(orders.getText(keyOf(number)), (json) => (json === undefined ? undefined : decodeOrder(json)))
      return Orders.of({
        place: (placed) =>
          Effect.suspend(() => {
            const number = ++last
            // One write, all or nothing: there is never an order that its customer cannot find.
            return db
              .write([
                { type: "put", keyspace: "orders", key: keyOf(number), value: encodeOrder({ ...placed, number }) },
                { type: "put", keyspace: "orders-by-customer", key: `${placed.customer}/${keyOf(number)}`, value: keyOf(number) }
              ])
              .pipe(
                Effect.as(number),
                Effect.catchTags({
                  CommitOutcomeUnknown: () => Effect.fail(new OrderUncertain({ number })),
                  DatabasePoisoned: () => Effect.fail(new ShopClosed()),
                  DatabaseReadOnly: () => Effect.fail(new ShopClosed())
                }),
                // Everything else is a mistake of this program: a defect.
                Effect.catchIf((error) => !(error instanceof ShopClosed || error instanceof OrderUncertain), Effect.die)
              )
          }),
        find: (number) => Effect.orDie(find(number)),
        ofCustomer: (customer) =>
          byCustomer.scan({ prefix: `${customer}/` }).pipe(
            Stream.mapEffect((entry) => find(Number(new TextDecoder().decode(entry.value)))),
            Stream.filter((order) => order !== undefined),
            Stream.orDie
          )
      })
    })
  )
}

const tea = { customer: "ada", article: "tea", quantity: 2 }
const milk = { customer: "ada", article: "milk", quantity: 1 }
const bread = { customer: "bob", article: "bread", quantity: 1 }

/* Its tests ---------------------------------------------------------------------------------------------------------------------------------------------- */

describe("the shop, over the engine in memory", () => {
  // Each test has a database of its own: a layer that a function makes is built anew for each `provide`.
  const shop = () => Orders.layer.pipe(Layer.provide(LightningDb.layerMemory()))

  it.effect("takes orders and finds them again", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      const number = yield* orders.place(tea)
      expect(yield* orders.find(number)).toEqual({ ...tea, number })
      expect(yield* orders.find(number + 1)).toBeUndefined()
    }).pipe(Effect.provide(shop()))
  )

  it.effect("lists a customer's orders, oldest first", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* Effect.forEach([tea, bread, milk], orders.place)
      const articles = yield* orders.ofCustomer("ada").pipe(
        Stream.map((order) => order.article),
        Stream.runCollect
      )
      expect(articles).toEqual(["tea", "milk"])
    }).pipe(Effect.provide(shop()))
  )
})

describe("the shop, over a disk that fails", () => {
  it.effect("is uncertain about the order whose sync failed, takes no more, and still answers questions", () => {
    let disk: FaultyDisk | undefined
    const db = LightningDb.layerCore({ path: "/shop" }).pipe(
      Layer.provide(WorkersInProcess.layer),
      Layer.provide(DiskFaulty.layerWith((faulty) => (disk = faulty))),
      Layer.provide(DiskSimulated.layer(new SimulatedDisk()))
    )
    return Effect.gen(function* () {
      const orders = yield* Orders
      const database = yield* Database
      const first = yield* orders.place(tea)
      disk!.add({ match: { operation: "datasync", path: /\.log$/ }, fault: { code: "EIO" } })
      expect(yield* Effect.flip(orders.place(milk))).toEqual(new OrderUncertain({ number: first + 1 }))
      // The disk works again, but what it lost meanwhile nobody knows: only opening the database again finds out.
      disk!.clear()
      expect(yield* Effect.flip(orders.place(bread))).toBeInstanceOf(ShopClosed)
      expect(yield* orders.find(first)).toEqual({ ...tea, number: first })
      expect((yield* database.health).state).toBe("readOnly")
    }).pipe(Effect.provide(Layer.provideMerge(Orders.layer, db)))
  })
})

describe("the shop, over a disk that crashes", () => {
  const on = (disk: SimulatedDisk): Layer.Layer<Orders | Database, OpenError> =>
    Layer.orDie(Orders.layer).pipe(
      Layer.provideMerge(LightningDb.layerCore({ path: "/shop" })),
      Layer.provide(WorkersInProcess.layer),
      Layer.provide(DiskSimulated.layer(disk))
    )
  it.effect("has every order it took, and each of them whole", () =>
    Effect.forEach(
      Array.from({ length: 20 }, (_, i) => i + 1),
      (seed) =>
        Effect.gen(function* () {
          const disk = new SimulatedDisk()
          const found = yield* Effect.gen(function* () {
            const orders = yield* Orders
            const taken: Array<number> = []
            yield* Effect.forEach([tea, bread, milk], (order) => Effect.map(orders.place(order), (number) => taken.push(number)))
            // In the middle of things: the database was not closed, and an order is on its way.
            yield* Effect.forkChild(orders.place(tea), { startImmediately: true })
            return { disk: disk.crash(seededPrng(seed)), taken }
          }).pipe(Effect.provide(on(disk), { local: true }))
          const after = yield* Effect.gen(function* () {
            const orders = yield* Orders
            const numbers = (customer: string) =>
              orders.ofCustomer(customer).pipe(
                Stream.map((order) => order.number),
                Stream.runCollect
              )
            return { all: yield* Effect.forEach(found.taken, orders.find), ada: yield* numbers("ada"), bob: yield* numbers("bob") }
          }).pipe(Effect.provide(on(found.disk), { local: true }))
          expect(
            after.all.map((order) => order?.article),
            `seed ${seed}`
          ).toEqual(["tea", "bread", "milk"])
          expect(after.bob).toEqual([2])
          // The one on its way is there or not, but never by half.
          expect(
            [
              [1, 3],
              [1, 3, 4]
            ],
            `seed ${seed}`
          ).toContainEqual(after.ada)
        }),
      { discard: true }
    )
  )
})

describe("the shop, without an engine", () => {
  // A synchronous member cannot be made up: what a test does not expect to be called says so.
  const unexpected = (): never => {
    throw new Error("the shop does not read synchronously")
  }
  const unsafe: UnsafeReads = { get: unexpected, getText: unexpected, getMany: unexpected, has: unexpected, entries: unexpected }
  /** What is not given here is a defect when it is used. */
  const shopOver = (write: Database["Service"]["write"]) =>
    Orders.layer.pipe(
      Layer.provide(
        Layer.mock(Database, {
          unsafe,
          write,
          keyspace: (name) => Effect.succeed({ ...empty, name })
        })
      )
    )
  const nothing = Effect.succeed(undefined)
  const empty = {
    get: () => nothing,
    getText: () => nothing,
    getMany: () => Effect.succeed([]),
    has: () => Effect.succeed(false),
    scan: () => Stream.empty,
    put: () => Effect.die("unused"),
    delete: () => Effect.die("unused"),
    write: () => Effect.die("unused"),
    snapshot: Effect.die("unused"),
    unsafe
  }

  for (const [error, outcome] of [
    [new DatabaseReadOnly({}), new ShopClosed()],
    [new DatabasePoisoned({}), new ShopClosed()],
    [new CommitOutcomeUnknown({}), new OrderUncertain({ number: 1 })]
  ] as const) {
    it.effect(`answers ${error._tag} with ${outcome._tag}`, () =>
      Effect.gen(function* () {
        const orders = yield* Orders
        expect(yield* Effect.flip(orders.place(tea))).toEqual(outcome)
      }).pipe(Effect.provide(shopOver(() => Effect.fail(error))))
    )
  }

  it.effect("writes an order and its index together", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      const shop = shopOver((operations) => {
        for (const operation of operations) written.push(`${operation.type} ${operation.keyspace}`)
        return Effect.succeed({ sequence: 1, durability: "sync" })
      })
      expect(yield* Effect.flatMap(Orders, (orders) => orders.place(tea)).pipe(Effect.provide(shop))).toBe(1)
      expect(written).toEqual(["put orders", "put orders-by-customer"])
    })
  )
})
