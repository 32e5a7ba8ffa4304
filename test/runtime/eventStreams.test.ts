/** Event streams over the engine in memory, by a clock that stands still: what waits here waits for signals. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { InvalidEvent, InvalidKey, InvalidOptions, InvalidValue, WrongRevision } from "../../src/domain/errors.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import * as EventStreams from "../../src/runtime/streams/EventStreams.ts"
import * as Versionstamp from "../../src/runtime/streams/Versionstamp.ts"
import { openLayer } from "../support/openLayer.ts"

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const events = (...data: ReadonlyArray<string>) => data.map((one) => ({ data: one }))

const opened = Effect.gen(function* () {
  const db = yield* openLayer(LightningDb.layerMemory())
  return { db, streams: yield* EventStreams.make(db, { keyspace: "events" }) }
})

/** Place and data of each event, as text. */
const shown = (recorded: ReadonlyArray<EventStreams.RecordedEvent<Uint8Array>>): ReadonlyArray<string> =>
  recorded.map(({ stream, revision, data }) => `${stream}#${revision} ${textOf(data)}`)

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => Option.getOrUndefined(Exit.findErrorOption(exit))

const OrderEvent = Schema.Union([
  Schema.TaggedStruct("Placed", { cents: Schema.Int }),
  Schema.TaggedStruct("Noted", { at: Schema.Date, bytes: Schema.Uint8Array })
])
type OrderEvent = typeof OrderEvent.Type

describe("append and read", () => {
  it.effect("gives revisions from 0, without gaps, and says where it stands", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      expect(yield* streams.revision("a")).toBe(-1)
      expect(yield* Stream.runCollect(streams.read("a"))).toEqual([])
      const first = yield* streams.append("a", events("0", "1", "2"), { expectedRevision: "none" })
      expect(first).toMatchObject({ firstRevision: 0, lastRevision: 2 })
      const second = yield* streams.append("a", events("3"), { expectedRevision: 2 })
      expect(second).toMatchObject({ firstRevision: 3, lastRevision: 3 })
      expect(second.sequence).toBeGreaterThan(first.sequence!)
      expect((yield* db.stats).visibleSequence).toBe(second.sequence)
      expect(yield* streams.revision("a")).toBe(3)
      const read = yield* Stream.runCollect(streams.read("a"))
      expect(shown(read)).toEqual(["a#0 0", "a#1 1", "a#2 2", "a#3 3"])
      expect(read.map(({ position }) => position.sequence)).toEqual([first.sequence, first.sequence, first.sequence, second.sequence])
      for (let i = 1; i < read.length; i++) expect(Versionstamp.compare(read[i - 1]!.position, read[i]!.position)).toBeLessThan(0)
    })
  )

  it.effect("keeps type, metadata and time", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      yield* streams.append("a", [{ data: Uint8Array.of(0, 255), type: "Tÿpe", metadata: "by ada" }, { data: "" }])
      const [first, second] = yield* Stream.runCollect(streams.read("a"))
      expect(first).toMatchObject({ type: "Tÿpe", data: Uint8Array.of(0, 255), timeMs: 0 })
      expect(textOf(first!.metadata!)).toBe("by ada")
      expect(second).toMatchObject({ type: undefined, metadata: undefined, data: new Uint8Array(0) })
    })
  )

  it.effect("reads from a revision, backward, and no more than asked for", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      yield* streams.append("a", events("0", "1", "2", "3"))
      // Neighbours in the order of keys.
      yield* streams.append("a\0", events("other"))
      yield* streams.append("`", events("other"))
      const read = (options: EventStreams.ReadOptions) => Effect.map(Stream.runCollect(streams.read("a", options)), shown)
      expect(yield* read({ from: 2 })).toEqual(["a#2 2", "a#3 3"])
      expect(yield* read({ from: 4 })).toEqual([])
      expect(yield* read({ direction: "backward", limit: 2 })).toEqual(["a#3 3", "a#2 2"])
      expect(yield* read({ direction: "backward", from: 1 })).toEqual(["a#1 1", "a#0 0"])
      expect(yield* read({ limit: 1 })).toEqual(["a#0 0"])
      for (const wrong of [-1, 0.5, Number.NaN]) {
        expect(failureOf(yield* Effect.exit(read({ from: wrong })))).toBeInstanceOf(InvalidOptions)
      }
    })
  )

  it.effect("lists streams, by prefix too", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      yield* streams.append("order-2", events("0", "1"))
      yield* streams.append("order-1", events("0"))
      yield* streams.append("customer-1", events("0"))
      expect(yield* Stream.runCollect(streams.streams())).toEqual([
        { stream: "customer-1", revision: 0 },
        { stream: "order-1", revision: 0 },
        { stream: "order-2", revision: 1 }
      ])
      expect((yield* Stream.runCollect(streams.streams("order-"))).map(({ stream }) => stream)).toEqual(["order-1", "order-2"])
    })
  )

  it.effect("an append of nothing checks what it expects, and writes nothing", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const before = (yield* db.stats).visibleSequence
      expect(yield* streams.append("a", [], { expectedRevision: "none" })).toEqual({ firstRevision: 0, lastRevision: -1, sequence: undefined })
      expect(failureOf(yield* Effect.exit(streams.append("a", [], { expectedRevision: 4 })))).toBeInstanceOf(WrongRevision)
      expect((yield* db.stats).visibleSequence).toBe(before)
    })
  )

  it.effect("refuses, with nothing written", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      const append = (stream: string, list: ReadonlyArray<EventStreams.NewEvent<string | Uint8Array>>, expectedRevision?: number) =>
        Effect.map(Effect.exit(streams.append(stream, list, { expectedRevision })), failureOf)
      expect(yield* append("", events("0"))).toBeInstanceOf(InvalidKey)
      expect(yield* append("a\udc00", events("0"))).toBeInstanceOf(InvalidKey)
      expect(yield* append("x".repeat(65_536), events("0"))).toBeInstanceOf(InvalidKey)
      expect(yield* append("a", events("0", "\ud800"))).toMatchObject({ _tag: "InvalidValue", index: 1 })
      const wrong: unknown = { data: 7 }
      expect(yield* append("a", [wrong as EventStreams.NewEvent<string>])).toBeInstanceOf(InvalidValue)
      expect(yield* append("a", events("0"), -2)).toBeInstanceOf(InvalidOptions)
      expect(yield* streams.revision("a")).toBe(-1)
      expect(yield* Stream.runCollect(streams.streams())).toEqual([])
    })
  )
})

describe("expected revisions", () => {
  it.effect("hold or fail with what there is", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      const append = (expectedRevision: EventStreams.ExpectedRevision) =>
        Effect.map(Effect.exit(streams.append("a", events("x"), { expectedRevision })), (exit) =>
          Exit.isSuccess(exit) ? exit.value.lastRevision : failureOf(exit)
        )
      const wrong = (expected: EventStreams.ExpectedRevision, actual: number) => ({ _tag: "WrongRevision", stream: "a", expected, actual })
      expect(yield* append("exists")).toMatchObject(wrong("exists", -1))
      expect(yield* append(0)).toMatchObject(wrong(0, -1))
      expect(yield* append(-1)).toBe(0)
      expect(yield* append("none")).toMatchObject(wrong("none", 0))
      expect(yield* append(-1)).toMatchObject(wrong(-1, 0))
      expect(yield* append("exists")).toBe(1)
      expect(yield* append("any")).toBe(2)
      expect(yield* append(1)).toMatchObject(wrong(1, 2))
      expect(yield* append(2)).toBe(3)
    })
  )

  it.effect("of many that expect the same exactly one wins, and the others learn the revision it made", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      yield* streams.append("a", events("0"))
      for (let round = 0; round < 10; round++) {
        const exits = yield* Effect.forEach(
          Array.from({ length: 12 }, (_, i) => i),
          (i) => Effect.exit(streams.append("a", events(`${round}/${i}`), { expectedRevision: round })),
          { concurrency: "unbounded" }
        )
        expect(exits.filter(Exit.isSuccess)).toHaveLength(1)
        for (const exit of exits) {
          if (Exit.isFailure(exit)) expect(failureOf(exit)).toMatchObject({ _tag: "WrongRevision", expected: round, actual: round + 1 })
        }
      }
      expect(yield* Stream.runCollect(streams.read("a"))).toHaveLength(11)
    })
  )

  it.effect("any: all succeed, one after the other, on one stream and on many", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const writers = 40
      const perWriter = 5
      const results = yield* Effect.forEach(
        Array.from({ length: writers }, (_, i) => i),
        (writer) =>
          Effect.forEach(
            Array.from({ length: perWriter }, (_, i) => i),
            (i) =>
              Effect.all([
                streams.append("hot", events(`${writer}/${i}`, `${writer}/${i}+`)),
                streams.append(`own-${writer}`, events(`${i}`), { expectedRevision: i - 1 })
              ])
          ),
        { concurrency: "unbounded" }
      )
      const hot = yield* Stream.runCollect(streams.read("hot"))
      expect(hot.map(({ revision }) => revision)).toEqual(Array.from({ length: writers * perWriter * 2 }, (_, i) => i))
      const data = hot.map((event) => textOf(event.data))
      for (const [writer, list] of results.entries()) {
        for (const [i, [{ firstRevision, lastRevision, sequence }]] of list.entries()) {
          // Each append whole, in its place, in its commit.
          expect(data.slice(firstRevision, lastRevision + 1)).toEqual([`${writer}/${i}`, `${writer}/${i}+`])
          expect(hot[firstRevision]!.position.sequence).toBe(sequence)
          expect(hot[lastRevision]!.position.sequence).toBe(sequence)
        }
      }
      expect(new Set(data).size).toBe(data.length)
      // They waited for one another; nobody's work was thrown away.
      expect((yield* db.stats).transactions.conflicts).toBe(0)
    })
  )
})

describe("in an open transaction", () => {
  it.effect("appendIn counts when that commits, with everything else, and sees itself", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const places = yield* db.transaction((tx) =>
        Effect.gen(function* () {
          const first = yield* streams.appendIn(tx, "a", events("0", "1"), { expectedRevision: "none" })
          const second = yield* streams.appendIn(tx, "a", events("2"), { expectedRevision: 1 })
          const other = yield* streams.appendIn(tx, "b", events("0"))
          yield* tx.put("state", "after")
          return [first, second, other]
        })
      )
      expect(places).toEqual([
        { firstRevision: 0, lastRevision: 1 },
        { firstRevision: 2, lastRevision: 2 },
        { firstRevision: 0, lastRevision: 0 }
      ])
      expect(yield* db.getText("state")).toBe("after")
      const all = yield* Stream.runCollect(streams.readAll({ live: false }))
      expect(shown(all)).toEqual(["a#0 0", "a#1 1", "a#2 2", "b#0 0"])
      expect(new Set(all.map(({ position }) => position.sequence)).size).toBe(1)
      expect(new Set(all.map(({ position }) => position.index)).size).toBe(4)
    })
  )

  it.effect("what is rolled back never was", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const exit = yield* Effect.exit(db.transaction((tx) => Effect.andThen(streams.appendIn(tx, "a", events("0")), Effect.fail("no" as const))))
      expect(failureOf(exit)).toBe("no")
      expect(yield* streams.revision("a")).toBe(-1)
      expect(yield* Stream.runCollect(streams.readAll({ live: false }))).toEqual([])
    })
  )

  it.effect("append within a body joins it, and does not know the commit yet", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const inner = yield* db.transaction(() => streams.append("a", events("0")))
      expect(inner).toEqual({ firstRevision: 0, lastRevision: 0, sequence: undefined })
      const exit = yield* Effect.exit(db.transaction(() => Effect.andThen(streams.append("a", events("1")), Effect.fail("no" as const))))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* streams.revision("a")).toBe(0)
    })
  )
})

describe("typed events", () => {
  it.effect("go in and come out as values of the schema, also what JSON has no words for", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory())
      const orders = yield* EventStreams.make(db, { keyspace: "orders", schema: OrderEvent })
      const given: ReadonlyArray<OrderEvent> = [
        { _tag: "Placed", cents: 250 },
        { _tag: "Noted", at: new Date(1_700_000_000_000), bytes: Uint8Array.of(0, 1, 255) }
      ]
      yield* orders.append(
        "order-1",
        given.map((data) => ({ data, type: data._tag }))
      )
      const read = yield* Stream.runCollect(orders.read("order-1"))
      expect(read.map(({ data }) => data)).toEqual(given)
      expect(read.map(({ type }) => type)).toEqual(["Placed", "Noted"])
      const total = read.reduce((sum, { data }) => sum + (data._tag === "Placed" ? data.cents : 0), 0)
      expect(total).toBe(250)
    })
  )

  it.effect("that do not fit are refused at the door, and where they are read", () =>
    Effect.gen(function* () {
      const db = yield* openLayer(LightningDb.layerMemory())
      const orders = yield* EventStreams.make(db, { keyspace: "orders", schema: OrderEvent })
      const refused = yield* Effect.exit(orders.append("a", [{ data: { _tag: "Placed", cents: 1 } }, { data: { _tag: "Placed", cents: 1.5 } }]))
      expect(failureOf(refused)).toMatchObject({ _tag: "InvalidEvent", reason: "Encode", stream: "a", index: 1 })
      expect(yield* orders.revision("a")).toBe(-1)

      yield* orders.append("a", [{ data: { _tag: "Placed", cents: 1 } }])
      const others = yield* EventStreams.make(db, { keyspace: "orders", schema: Schema.Struct({ other: Schema.String }) })
      const unread = yield* Effect.exit(Stream.runCollect(others.read("a")))
      expect(failureOf(unread)).toMatchObject({ _tag: "InvalidEvent", reason: "Decode", stream: "a", revision: 0 })
      expect(failureOf(yield* Effect.exit(Stream.runCollect(others.readAll({ live: false }))))).toBeInstanceOf(InvalidEvent)
    })
  )

  it.effect("a row of somebody else in the keyspace is told from an event", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      yield* streams.append("a", events("0"))
      const [row] = yield* Stream.runCollect((yield* db.keyspace("events")).scan({ gte: Uint8Array.of(2), limit: 1 }))
      yield* (yield* db.keyspace("events")).put(row!.key, Uint8Array.of(77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
      expect(failureOf(yield* Effect.exit(Stream.runCollect(streams.read("a"))))).toMatchObject({ reason: "Malformed", stream: "a", revision: 0 })
    })
  )
})

describe("all events", () => {
  it.effect("from history into live, in commit order, each once", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      // More than a page.
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => i),
        (i) => streams.append(`s${i % 7}`, events(`${i}a`, `${i}b`))
      )
      const total = 100 * 2 + 60 * 2
      const reader = yield* Effect.forkChild(Stream.runCollect(Stream.take(streams.readAll(), total)), { startImmediately: true })
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i),
        (i) => streams.append(`s${i % 7}`, events(`live ${i}a`, `live ${i}b`)),
        { concurrency: 8 }
      )
      const all = yield* Fiber.join(reader)
      expect(all).toHaveLength(total)
      for (let i = 1; i < all.length; i++) expect(Versionstamp.compare(all[i - 1]!.position, all[i]!.position)).toBeLessThan(0)
      // The same events as stream by stream.
      for (let s = 0; s < 7; s++) {
        const own = yield* Stream.runCollect(streams.read(`s${s}`))
        expect(all.filter(({ stream }) => stream === `s${s}`)).toEqual(own)
      }
      expect(yield* Stream.runCollect(streams.readAll({ live: false }))).toEqual(all)
    })
  )

  it.effect("goes on after any event, or from it", () =>
    Effect.gen(function* () {
      const { streams } = yield* opened
      yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => i),
        (i) => streams.append("a", events(...Array.from({ length: 1 + (i % 9) }, (_, j) => `${i}.${j}`)))
      )
      const all = yield* Stream.runCollect(streams.readAll({ live: false }))
      for (const [i, { position }] of all.entries()) {
        expect(yield* Stream.runCollect(streams.readAll({ after: position, live: false }))).toEqual(all.slice(i + 1))
        expect(yield* Stream.runCollect(streams.readAll({ from: position, live: false }))).toEqual(all.slice(i))
      }
      const { position } = all[all.length - 1]!
      const next = yield* Effect.forkChild(Stream.runHead(streams.readAll({ after: position })), { startImmediately: true })
      yield* streams.append("b", events("next"))
      expect(shown([Option.getOrThrow(yield* Fiber.join(next))])).toEqual(["b#0 next"])
      expect(failureOf(yield* Effect.exit(Stream.runCollect(streams.readAll({ after: { sequence: -1, index: 0 } }))))).toBeInstanceOf(InvalidOptions)
    })
  )

  it.effect("waits without hearing of other keyspaces, and other streams do not hear of it", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const others = yield* EventStreams.make(db, { keyspace: "others" })
      const next = yield* Effect.forkChild(Stream.runHead(streams.readAll()), { startImmediately: true })
      yield* others.append("a", events("elsewhere"))
      yield* db.put("a", "b")
      yield* streams.append("a", events("here"))
      expect(shown([Option.getOrThrow(yield* Fiber.join(next))])).toEqual(["a#0 here"])
      expect(shown(yield* Stream.runCollect(others.readAll({ live: false })))).toEqual(["a#0 elsewhere"])
    })
  )

  it.effect("eventsOf finds them in the feed", () =>
    Effect.gen(function* () {
      const { db, streams } = yield* opened
      const { sequence } = yield* streams.append("a", events("0", "1"))
      yield* db.put("unrelated", "x")
      const changes = yield* Stream.runCollect(db.changes({ from: sequence!, live: false }))
      const found = yield* Effect.forEach(changes, streams.eventsOf)
      expect(found.flat()).toEqual(yield* Stream.runCollect(streams.read("a")))
    })
  )
})
