import { Console, Effect, Schema, Stream } from "effect"
import { Database, EventStreams, LightningDb, Projection } from "lightning-db"

const OrderEvent = Schema.Union([
  Schema.TaggedStruct("Placed", { customer: Schema.String, cents: Schema.Int }),
  Schema.TaggedStruct("Cancelled", { reason: Schema.String })
])

const program = Effect.gen(function* () {
  const db = yield* Database
  const orders = yield* EventStreams.make(db, { keyspace: "orders", schema: OrderEvent })

  // A new stream: whoever comes second with "none" gets WrongRevision.
  const placed = yield* orders.append("order-1", [{ data: { _tag: "Placed", customer: "ada", cents: 250 } }], { expectedRevision: "none" })
  yield* orders.append("order-2", [{ data: { _tag: "Placed", customer: "ada", cents: 100 } }])
  // Read, decide, and append only if nobody else did meanwhile.
  yield* orders.append("order-1", [{ data: { _tag: "Cancelled", reason: "too late" } }], { expectedRevision: placed.lastRevision })

  const refused = yield* Effect.flip(orders.append("order-1", [{ data: { _tag: "Cancelled", reason: "twice" } }], { expectedRevision: 0 }))
  yield* Console.log(refused.message)

  // One stream, and all of them in the order of their commits. Without `live: false` it goes on with what comes.
  yield* Stream.runForEach(orders.read("order-1"), ({ data, revision }) => Console.log(`${revision}: ${data._tag}`))
  yield* Stream.runForEach(orders.readAll({ live: false }), ({ data, revision, stream }) => Console.log(`${stream} ${revision}: ${data._tag}`))

  // Turnover by customer, folded from the events: exactly once, whatever happens.
  yield* Projection.run(db, {
    name: "turnover",
    filter: { keyspace: "orders" },
    apply: (turnover, change) =>
      Effect.gen(function* () {
        for (const { data } of yield* orders.eventsOf(change)) {
          if (data._tag !== "Placed") continue
          const before = Number((yield* turnover.getText(data.customer)) ?? 0)
          yield* turnover.put(data.customer, String(before + data.cents))
        }
      })
  })

  // Read your own write: by signal, not by asking again and again.
  const { sequence } = yield* orders.append("order-3", [{ data: { _tag: "Placed", customer: "bob", cents: 40 } }])
  yield* Projection.awaitSequence(db, "turnover", sequence)
  const turnover = yield* Projection.snapshot(db, "turnover")
  yield* Console.log(`ada ${yield* turnover.getText("ada")}, bob ${yield* turnover.getText("bob")}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(LightningDb.layerMemory())))
