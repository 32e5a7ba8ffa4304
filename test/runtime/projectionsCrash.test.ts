/** Event streams and projections over a disk that crashes, and over a log that is not kept for ever. */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { HistoryGone } from "../../src/domain/errors.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as Projection from "../../src/runtime/projections/Projection.ts"
import * as EventStreams from "../../src/runtime/streams/EventStreams.ts"
import type { DatabaseShape, Keyspace, Snapshot } from "../../src/services/Database.ts"
import { openOn, openSimulated } from "../support/openEngine.ts"
import { contentOf, ExpectedNotes, noteSequences } from "../support/projected.ts"

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => Option.getOrUndefined(Exit.findErrorOption(exit))

const openStreams = (db: DatabaseShape) => EventStreams.make(db, { keyspace: "events" })
type Streams = EventStreams.EventStreams<string | Uint8Array, Uint8Array>

/** One more than the revision of the last event; anything else where an event is missing, comes twice or out of turn. */
const afterEvent = (before: string | undefined, revision: number): string =>
  before === (revision === 0 ? undefined : String(revision)) ? String(revision + 1) : `${before}, then ${revision}`

/** Of each stream how many events were folded. */
const counts = (streams: Streams) => ({
  name: "counts",
  filter: { keyspace: "events" },
  apply: ((target, change) =>
    Effect.flatMap(streams.eventsOf(change), (events) =>
      Effect.forEach(
        events,
        ({ revision, stream }) => Effect.flatMap(target.getText(stream), (before) => target.put(stream, afterEvent(before, revision))),
        { discard: true }
      )
    )) satisfies Projection.Apply<unknown, never>
})

/** What that must show when everything up to `through` is folded. */
const expectedOf = (streams: Streams, through: number) =>
  Effect.map(Stream.runCollect(streams.readAll({ until: through, live: false })), (events) => {
    const expected: Record<string, string> = {}
    for (const { revision, stream } of events) expected[stream] = afterEvent(expected[stream], revision)
    return expected
  })

describe("after a crash", () => {
  it.live("streams have no gaps and lose nothing acknowledged, and each event is in the projection once", () =>
    Effect.gen(function* () {
      const seed = 20_261_121
      const prng = seededPrng(seed)
      let disk = new SimulatedDisk()
      let acknowledged = new Map<string, number>()
      let found = 0
      for (let life = 0; life < 10; life++) {
        const where = `seed ${seed}, life ${life}`
        disk = yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk)
            const streams = yield* openStreams(db)
            // What the crash left: streams and projection as they were after some commit.
            for (const [stream, revision] of acknowledged) expect(yield* streams.revision(stream), where).toBeGreaterThanOrEqual(revision)
            const left = yield* Effect.exit(
              Effect.scoped(
                Effect.flatMap(Projection.snapshot(db, "counts"), (snapshot) => Effect.all([contentOf(snapshot), Effect.succeed(snapshot.position)]))
              )
            )
            if (Exit.isSuccess(left)) {
              const [content, position] = left.value
              expect(content, where).toEqual(yield* expectedOf(streams, position))
              found++
            }
            if (life % 5 === 4) {
              // The log is long gone; the streams are not.
              yield* Projection.rebuild(db, {
                ...counts(streams),
                initial: (target, snapshot) =>
                  Effect.flatMap(expectedOf(streams, snapshot.sequence), (content) =>
                    target.write(Object.entries(content).map(([key, value]) => ({ type: "put", key, value })))
                  )
              })
            } else yield* Projection.run(db, counts(streams))
            const promised = new Map(acknowledged)
            const writers = yield* Effect.forkChild(
              Effect.forEach(
                Array.from({ length: 6 }, (_, i) => `s${i % 3}`),
                (stream) =>
                  Effect.forever(
                    Effect.andThen(
                      Effect.tap(streams.append(stream, [{ data: "x".repeat(drawInt(prng, 2000)) }, { data: "y" }]), ({ lastRevision }) =>
                        Effect.sync(() => promised.set(stream, Math.max(lastRevision, promised.get(stream) ?? -1)))
                      ),
                      Effect.yieldNow
                    )
                  ),
                { concurrency: "unbounded", discard: true }
              )
            )
            yield* Effect.forEach(Array.from({ length: 20 + drawInt(prng, 120) }), () => Effect.yieldNow, { discard: true })
            // What was promised up to here, and the disk, in one step.
            const state = yield* Effect.sync(() => {
              acknowledged = new Map(promised)
              return disk.crashState(seededPrng(seed + life), { mode: "random" })
            })
            yield* Fiber.interrupt(writers)
            return state
          })
        )
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk)
          const streams = yield* openStreams(db)
          yield* Projection.run(db, counts(streams))
          yield* Projection.awaitSequence(db, "counts")
          const snapshot = yield* Projection.snapshot(db, "counts")
          const all = yield* expectedOf(streams, Infinity)
          expect(yield* contentOf(snapshot), `seed ${seed}`).toEqual(all)
          for (const count of Object.values(all)) expect(count).toMatch(/^\d+$/)
          // Of all the generations one is left, with its cursor.
          expect((yield* db.keyspaces).filter(({ name }) => name.startsWith("projections/"))).toHaveLength(1)
          expect(yield* db.cursors).toHaveLength(1)
        })
      )
      expect(found).toBeGreaterThan(5)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )
})

/** Puts of a few KiB until so much is written, then all of it in tables. */
const fill = (db: DatabaseShape, expected: ExpectedNotes, bytes: number) =>
  Effect.gen(function* () {
    const source = yield* db.keyspace("source")
    for (let written = 0, i = 0; written < bytes; written += 8192, i++) {
      const key = `k${i % 5}`
      const { sequence } = yield* source.put(key, new Uint8Array(8192))
      expected.wrote(key, sequence)
    }
    yield* db.flush
  })

/** What the notes are at the snapshot. */
const writeNotes = (expected: ExpectedNotes) => (target: Keyspace, snapshot: Snapshot) =>
  target.write(Object.entries(expected.at(snapshot.sequence)).map(([key, value]) => ({ type: "put", key, value })))

const notes = { name: "notes", filter: { keyspace: "source" }, apply: noteSequences }

describe("in a copy of the database", () => {
  it.live("which has no log of before, a projection says so, or begins from a snapshot", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const expected = new ExpectedNotes()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk)
          const scope = yield* Scope.make()
          yield* db.keyspace("source")
          yield* Scope.provide(Projection.run(db, notes), scope)
          yield* fill(db, expected, 1 << 16)
          yield* Projection.awaitSequence(db, "notes")
          yield* Scope.close(scope, Exit.void)
          yield* fill(db, expected, 1 << 16)
          yield* db.checkpoint("/copy")
          yield* (yield* db.keyspace("source")).put("k0", "only in the original")
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openOn(DiskSimulated.layer(disk), "/copy")
          expect(failureOf(yield* Effect.exit(Projection.run(db, notes)))).toBeInstanceOf(HistoryGone)
          yield* Projection.run(db, { ...notes, initial: writeNotes(expected) })
          yield* fill(db, expected, 1 << 16)
          yield* Projection.awaitSequence(db, "notes")
          expect(yield* contentOf(yield* Projection.snapshot(db, "notes"))).toEqual(expected.at(Infinity))
          expect((yield* db.cursors).map(({ name }) => name)).toEqual([(yield* Projection.keyspace(db, "notes")).name])
        })
      )
    })
  )
})

describe("a log that is not kept", () => {
  it.live("is kept from where a projection stands, whether it runs or not", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const expected = new ExpectedNotes()
      for (let life = 0; life < 3; life++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk)
            yield* db.keyspace("source")
            yield* Projection.run(db, notes)
            yield* fill(db, expected, 1 << 18)
            yield* Projection.awaitSequence(db, "notes")
          })
        )
        yield* Effect.scoped(Effect.flatMap(openSimulated(disk), (db) => fill(db, expected, 1 << 18)))
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk)
          yield* Projection.run(db, notes)
          yield* Projection.awaitSequence(db, "notes")
          expect(yield* contentOf(yield* Projection.snapshot(db, "notes"))).toEqual(expected.at(Infinity))
        })
      )
    })
  )

  it.live("ends a projection that stood behind for too long, unless it can begin from a snapshot", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const expected = new ExpectedNotes()
      const settings = { retention: { cursorBytes: 1 << 20 } }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk, settings)
          yield* Projection.run(db, notes)
          yield* fill(db, expected, 1 << 16)
          yield* Projection.awaitSequence(db, "notes")
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk, settings)
          yield* fill(db, expected, 5 << 19)
          const running = yield* Effect.exit(Effect.flatMap(Projection.run(db, notes), ({ join }) => join))
          expect(failureOf(running)).toBeInstanceOf(HistoryGone)
          // What it holds it still shows.
          const before = yield* Effect.scoped(Effect.flatMap(Projection.snapshot(db, "notes"), contentOf))
          expect(Object.keys(before)).toHaveLength(5)
          let seeds = 0
          yield* Projection.run(db, {
            ...notes,
            initial: (target, snapshot) => {
              seeds++
              return writeNotes(expected)(target, snapshot)
            }
          })
          yield* fill(db, expected, 1 << 16)
          yield* Projection.awaitSequence(db, "notes")
          expect(yield* contentOf(yield* Projection.snapshot(db, "notes"))).toEqual(expected.at(Infinity))
          expect(seeds).toBe(1)
        })
      )
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.live("does not keep a reader of all events from seeing each of them once", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk(), { retention: { cursorBytes: 1 << 20 } })
      const streams = yield* openStreams(db)
      const append = (i: number) => streams.append(`s${i % 3}`, [{ data: new Uint8Array(16_384) }])
      yield* append(0)
      const reading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const total = 200
      const reader = yield* Effect.forkChild(
        Stream.runForEach(Stream.take(streams.readAll(), total), ({ revision, stream }) => {
          seen.push(`${stream}#${revision}`)
          // Live, and then slow.
          return seen.length === 2 ? Effect.andThen(Deferred.succeed(reading, undefined), Deferred.await(goOn)) : Effect.void
        }),
        { startImmediately: true }
      )
      yield* append(1)
      yield* Deferred.await(reading)
      for (let i = 2; i < total; i++) yield* append(i)
      yield* db.flush
      expect(failureOf(yield* Effect.exit(Stream.runHead(db.changes({ from: 1, live: false }))))).toBeInstanceOf(HistoryGone)
      yield* Deferred.succeed(goOn, undefined)
      yield* Fiber.join(reader)
      expect(seen).toEqual(Array.from({ length: total }, (_, i) => `s${i % 3}#${Math.floor(i / 3)}`))
    })
  )
})
