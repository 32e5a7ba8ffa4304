/** Projections over the engine in memory, by a clock that stands still: what waits here waits for signals. */
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { FutureMoment, ProjectionNotFound, ProjectionStopped } from "../../src/domain/errors.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import * as Projection from "../../src/runtime/projections/Projection.ts"
import { rowsKeyspace } from "../../src/runtime/projections/projectionRows.ts"
import type { ChangeOperation } from "../../src/services/Changes.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openLayer } from "../support/openLayer.ts"
import { contentOf, ExpectedNotes, noteSequences } from "../support/projected.ts"

const opened = openLayer(LightningDb.layerMemory())

const notes = { name: "notes", filter: { keyspace: "source" }, apply: noteSequences } satisfies Projection.ProjectionOptions<unknown>

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => Option.getOrUndefined(Exit.findErrorOption(exit))

/** Content and position, of one moment. */
const shown = (db: DatabaseShape, name = "notes") =>
  Effect.scoped(
    Effect.gen(function* () {
      const snapshot = yield* Projection.snapshot(db, name)
      return { position: snapshot.position, content: yield* contentOf(snapshot) }
    })
  )

/** Writes through which the projection's content can be foretold. */
const sourceOf = (db: DatabaseShape) =>
  Effect.map(db.keyspace("source"), (source) => {
    const expected = new ExpectedNotes()
    const write = (key: string) =>
      Effect.map(source.put(key, "x"), ({ sequence }) => {
        expected.wrote(key, sequence)
        return sequence
      })
    return { source, expected, write }
  })

class Refused extends Data.TaggedError("Refused")<{ readonly key: string }> {}

describe("run", () => {
  it.effect("folds what there was and what comes, and can be waited for", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Effect.forEach(["a", "b", "a"], write)
      expect(yield* Projection.position(db, "notes")).toBeUndefined()
      yield* Projection.run(db, notes)
      const before = yield* write("c")
      yield* Projection.awaitSequence(db, "notes", before)
      expect((yield* shown(db)).content).toEqual(expected.at(before))
      expect(yield* Projection.position(db, "notes")).toBeGreaterThanOrEqual(before)
      for (let i = 0; i < 20; i++) {
        const sequence = yield* write(`k${i % 3}`)
        yield* Projection.awaitSequence(db, "notes", sequence)
        const { content, position } = yield* shown(db)
        expect(position).toBeGreaterThanOrEqual(sequence)
        expect(content).toEqual(expected.at(sequence))
      }
      expect(yield* contentOf(yield* Projection.keyspace(db, "notes"))).toEqual(expected.at(Infinity))
    })
  )

  it.effect("takes many changes into one transaction, and at most as many as it is told", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Effect.forEach(
        Array.from({ length: 300 }, (_, i) => `k${i % 10}`),
        write
      )
      const commits = (name: string, batchChanges?: number) =>
        Effect.gen(function* () {
          const before = (yield* db.stats).visibleSequence
          yield* Projection.run(db, { ...notes, name, batchChanges })
          yield* Projection.awaitSequence(db, name, before)
          const own = yield* Stream.runCollect(db.changes({ from: before + 1, live: false }))
          expect((yield* shown(db, name)).content).toEqual(expected.at(Infinity))
          return own.filter(({ operations }) =>
            operations.some((operation) => operation.keyspace.startsWith(`${rowsKeyspace}/${name}`) && operation.type === "put")
          ).length
        })
      expect(yield* commits("many")).toBeLessThan(10)
      expect(yield* commits("few", 10)).toBeGreaterThanOrEqual(30)
    })
  )

  it.effect("folds each change once while it is interrupted and started again, also twice at a time, with writers at work", () =>
    Effect.gen(function* () {
      const seed = 7
      const prng = seededPrng(seed)
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      const writers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 8 }, (_, i) => i),
          (writer) =>
            Effect.forEach(
              Array.from({ length: 60 }, (_, i) => i),
              (i) => Effect.andThen(write(`k${(writer + i) % 5}`), Effect.yieldNow)
            ),
          { concurrency: "unbounded", discard: true }
        )
      )
      for (let life = 0; life < 40; life++) {
        const scope = yield* Scope.make()
        const running = life % 3 === 0 ? 2 : 1
        // The second one takes it in larger steps: they overtake each other.
        const steps = [3, 256].slice(0, running)
        yield* Effect.forEach(steps, (batchChanges) => Projection.run(db, { ...notes, batchChanges })).pipe(Scope.provide(scope))
        yield* Effect.forEach(Array.from({ length: drawInt(prng, 60) }), () => Effect.yieldNow, { discard: true })
        yield* Scope.close(scope, Exit.void)
      }
      yield* Fiber.join(writers)
      yield* Projection.run(db, notes)
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content, `seed ${seed}`).toEqual(expected.at(Infinity))
    })
  )

  it.effect("passes over what another one has folded of the changes that it holds", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* write("a")
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const slow: typeof notes.apply = (target, change, tx) =>
        Deferred.succeed(begun, undefined).pipe(Effect.andThen(Deferred.await(gate)), Effect.andThen(noteSequences(target, change, tx)))
      yield* Projection.run(db, { ...notes, apply: slow })
      yield* Deferred.await(begun)
      yield* Effect.forEach(["a", "b"], write)
      // This one begins with the same change, takes two more along, and waits for its turn.
      yield* Projection.run(db, notes)
      for (let turns = 0; turns < 50; turns++) yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content).toEqual(expected.at(Infinity))
    })
  )

  it.effect("shows content and position of one moment, whatever is folded meanwhile", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Projection.run(db, notes)
      const writers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 200 }, (_, i) => `k${i % 4}`),
          (key) => Effect.andThen(write(key), Effect.yieldNow),
          { discard: true }
        )
      )
      const seen: Array<{ position: number; content: Record<string, string> }> = []
      while (writers.pollUnsafe() === undefined) {
        seen.push(yield* shown(db))
        yield* Effect.yieldNow
      }
      expect(seen.length).toBeGreaterThan(10)
      for (const { content, position } of seen) expect(content).toEqual(expected.at(position))
    })
  )

  it.effect("stops before the change that apply fails on, with its error, and goes on from there", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, source, write } = yield* sourceOf(db)
      yield* Effect.forEach(["a", "b"], write)
      const bad = (yield* source.put("bad", "x")).sequence
      yield* Effect.forEach(["a", "c"], write)
      const careful: Projection.ProjectionOptions<unknown> = {
        ...notes,
        apply: (target, change, tx) =>
          change.operations.some((operation) => operation.type === "put" && operation.key.length === 3)
            ? Effect.andThen(target.put("half", "done"), Effect.fail(new Refused({ key: "bad" })))
            : noteSequences(target, change, tx)
      }
      const running = yield* Projection.run(db, careful)
      expect(failureOf(yield* Effect.exit(running.join))).toEqual(new Refused({ key: "bad" }))
      expect(yield* shown(db)).toEqual({ position: bad - 1, content: expected.at(bad - 1) })
      const waited = failureOf(yield* Effect.exit(Projection.awaitSequence(db, "notes")))
      expect(waited).toBeInstanceOf(ProjectionStopped)
      expect(waited).toMatchObject({ name: "notes", cause: { _tag: "Refused", key: "bad" } })
      // What it holds already there is no need to wait for.
      yield* Projection.awaitSequence(db, "notes", bad - 1)

      const lenient: Projection.ProjectionOptions<unknown> = {
        ...notes,
        apply: (target, change, tx) => (change.sequence === bad ? Effect.void : noteSequences(target, change, tx))
      }
      yield* Projection.run(db, lenient)
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content).toEqual(expected.at(Infinity))
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.effect("goes on after conflicts, however many", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { write } = yield* sourceOf(db)
      let attempts = 0
      yield* Projection.run(db, {
        ...notes,
        apply: (target, change) =>
          Effect.gen(function* () {
            if (change.operations[0]?.type !== "put") return
            const before = yield* target.getText("attempts")
            attempts++
            // Somebody else, who has no business there, changes what was read.
            if (attempts < 150) yield* (yield* Projection.keyspace(db, "notes")).put("attempts", String(attempts))
            yield* target.put("seen", before ?? "")
          })
      })
      const sequence = yield* write("a")
      yield* Projection.awaitSequence(db, "notes", sequence)
      expect(attempts).toBe(150)
      expect((yield* shown(db)).content).toEqual({ attempts: "149", seen: "149" })
    })
  )

  it.effect("ends those who wait when it ends", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { write } = yield* sourceOf(db)
      const stuck = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const apply: Projection.Apply<never, never> = () => Effect.andThen(Deferred.succeed(stuck, undefined), Effect.never)
      yield* Scope.provide(Projection.run(db, { ...notes, apply }), scope)
      const sequence = yield* write("a")
      yield* Deferred.await(stuck)
      const waiting = yield* Effect.forkChild(Projection.awaitSequence(db, "notes", sequence), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      expect(failureOf(yield* Fiber.await(waiting))).toBeInstanceOf(ProjectionStopped)
    })
  )

  it.effect("is not waited for beyond what there is, nor for what does not concern it", () =>
    Effect.gen(function* () {
      const db = yield* opened
      yield* sourceOf(db)
      expect(failureOf(yield* Effect.exit(Projection.snapshot(db, "notes")))).toBeInstanceOf(ProjectionNotFound)
      expect(failureOf(yield* Effect.exit(Projection.keyspace(db, "notes")))).toBeInstanceOf(ProjectionNotFound)
      expect(failureOf(yield* Effect.exit(Projection.awaitSequence(db, "notes")))).toBeInstanceOf(ProjectionStopped)
      yield* Projection.run(db, notes)
      const { sequence } = yield* db.put("unrelated", "x")
      yield* Projection.awaitSequence(db, "notes", sequence)
      // The engine's own commits are in no feed.
      yield* db.createCursor("other")
      yield* Projection.awaitSequence(db, "notes")
      expect(failureOf(yield* Effect.exit(Projection.awaitSequence(db, "notes", 2 ** 40)))).toBeInstanceOf(FutureMoment)
    })
  )
})

describe("filter", () => {
  it.effect("by keyspace and prefix; range deletes are cut, dropping the keyspace is told", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { source } = yield* sourceOf(db)
      const seen: Array<string> = []
      const said = (operation: ChangeOperation): string => {
        if (operation.type === "put" || operation.type === "delete") return `${operation.type} ${Buffer.from(operation.key)}`
        return operation.type === "deleteRange" ? `deleteRange ${Buffer.from(operation.gte)} ${Buffer.from(operation.lt)}` : operation.type
      }
      yield* source.write([
        { type: "put", key: "a", value: "x" },
        { type: "put", key: "p/1", value: "x" },
        { type: "delete", key: "p/2" }
      ])
      yield* db.put("p/3", "other keyspace")
      yield* source.write([{ type: "deleteRange", gte: "a", lt: "p/5" }])
      yield* source.write([{ type: "deleteRange", gte: "p/7", lt: "z" }])
      yield* source.write([{ type: "deleteRange", gte: "q", lt: "z" }])
      yield* db.dropKeyspace("source")
      yield* Projection.run(db, {
        name: "prefixed",
        filter: { keyspace: "source", prefix: "p/" },
        apply: (_target, change) => Effect.sync(() => void seen.push(...change.operations.map(said)))
      })
      yield* Projection.awaitSequence(db, "prefixed")
      expect(seen).toEqual(["createKeyspace", "put p/1", "delete p/2", "deleteRange p/ p/5", "deleteRange p/7 p0", "dropKeyspace"])
    })
  )

  it.effect("without one it sees everything but what projections write", () =>
    Effect.gen(function* () {
      const db = yield* opened
      yield* db.put("a", "x")
      const seen: Array<number> = []
      const all = (name: string): Projection.ProjectionOptions<unknown> => ({
        name,
        apply: (target, change, tx) =>
          Effect.andThen(
            Effect.sync(() => seen.push(change.sequence)),
            noteSequences(target, change, tx)
          )
      })
      yield* Projection.run(db, all("one"))
      yield* Projection.run(db, all("two"))
      const { sequence } = yield* db.put("b", "x")
      yield* Effect.forEach(["one", "two"], (name) => Projection.awaitSequence(db, name, sequence))
      yield* Effect.forEach(["one", "two"], (name) => Projection.awaitSequence(db, name))
      expect(Object.keys((yield* shown(db, "one")).content)).toEqual(["a", "b"])
      expect((yield* shown(db, "one")).content).toEqual((yield* shown(db, "two")).content)
      expect(seen).toHaveLength(4)
    })
  )
})

describe("rebuild", () => {
  const upper: Projection.Apply<unknown, never> = (target, change) =>
    Effect.forEach(
      change.operations,
      (operation) =>
        operation.type === "put"
          ? Effect.flatMap(target.getText(`new/${Buffer.from(operation.key)}`), (before) =>
              target.put(`new/${Buffer.from(operation.key)}`, `${before ?? ""}${change.sequence};`)
            )
          : Effect.void,
      { discard: true }
    )

  it.effect("takes its place in one step, while the old one serves and writers go on", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => `k${i % 5}`),
        write
      )
      const old = yield* Projection.run(db, notes)
      yield* Projection.awaitSequence(db, "notes")
      const oldName = (yield* Projection.keyspace(db, "notes")).name
      const writers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 300 }, (_, i) => `k${i % 5}`),
          (key) => Effect.andThen(write(key), Effect.yieldNow),
          { discard: true }
        )
      )
      const rebuilding = yield* Effect.forkScoped(Projection.rebuild(db, { ...notes, apply: upper }))
      const seen: Array<{ position: number; content: Record<string, string> }> = []
      while (writers.pollUnsafe() === undefined || rebuilding.pollUnsafe() === undefined) {
        seen.push(yield* shown(db))
        yield* Effect.yieldNow
      }
      yield* Fiber.join(rebuilding)
      yield* Projection.awaitSequence(db, "notes")
      seen.push(yield* shown(db))
      const renamed = (content: Record<string, string>) => Object.fromEntries(Object.entries(content).map(([key, value]) => [`new/${key}`, value]))
      let switched = 0
      let position = 0
      for (const one of seen) {
        expect(one.position).toBeGreaterThanOrEqual(position)
        position = one.position
        const isNew = Object.keys(one.content).some((key) => key.startsWith("new/"))
        if (isNew) switched++
        else expect(switched).toBe(0)
        expect(one.content).toEqual(isNew ? renamed(expected.at(one.position)) : expected.at(one.position))
      }
      expect(switched).toBeGreaterThan(0)
      expect(switched).toBeLessThan(seen.length)
      expect(seen[seen.length - 1]!.content).toEqual(renamed(expected.at(Infinity)))
      // The old one has ended, and is gone.
      yield* write("k0")
      yield* old.join
      expect((yield* db.keyspaces).map(({ name }) => name)).not.toContain(oldName)
      expect((yield* db.cursors).map(({ name }) => name)).toEqual([(yield* Projection.keyspace(db, "notes")).name])
    })
  )

  it.effect("that fails, or is interrupted, leaves the old one serving and nothing behind", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Effect.forEach(["a", "b", "a"], write)
      yield* Projection.run(db, notes)
      yield* Projection.awaitSequence(db, "notes")
      const before = { keyspaces: yield* db.keyspaces, cursors: (yield* db.cursors).map(({ name }) => name) }
      const apply: Projection.Apply<Refused, never> = () => Effect.fail(new Refused({ key: "any" }))
      expect(failureOf(yield* Effect.exit(Projection.rebuild(db, { ...notes, apply })))).toEqual(new Refused({ key: "any" }))
      const begun = yield* Deferred.make<void>()
      const stuck = yield* Effect.forkChild(
        Effect.scoped(Projection.rebuild(db, { ...notes, apply: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) }))
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(stuck)
      yield* write("c")
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content).toEqual(expected.at(Infinity))
      expect({ keyspaces: yield* db.keyspaces, cursors: (yield* db.cursors).map(({ name }) => name) }).toEqual(before)
    })
  )

  it.effect("may be interrupted anywhere", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Effect.forEach(["a", "b", "a"], write)
      yield* Projection.run(db, notes)
      for (let steps = 0; steps < 60; steps++) {
        const rebuilding = yield* Effect.forkChild(Effect.scoped(Projection.rebuild(db, notes)), { startImmediately: true })
        yield* Effect.forEach(Array.from({ length: steps }), () => Effect.yieldNow, { discard: true })
        if (steps % 4 === 0) yield* write("c")
        yield* Fiber.interrupt(rebuilding)
        const { content, position } = yield* shown(db)
        expect(content, `after ${steps} steps`).toEqual(expected.at(position))
      }
      // The last one whose scope is closed may have taken the place of what was running.
      yield* Projection.run(db, notes)
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content).toEqual(expected.at(Infinity))
      const { name } = yield* Projection.keyspace(db, "notes")
      expect((yield* db.keyspaces).map((info) => info.name).filter((other) => other.startsWith(rowsKeyspace))).toEqual([rowsKeyspace, name])
      expect((yield* db.cursors).map((cursor) => cursor.name)).toEqual([name])
    })
  )

  it.effect("of many at once, with the old one running, loses and doubles nothing", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { expected, write } = yield* sourceOf(db)
      yield* Projection.run(db, notes)
      yield* Effect.all(
        [
          Effect.forEach(
            Array.from({ length: 100 }, (_, i) => `k${i % 3}`),
            (key) => Effect.andThen(write(key), Effect.yieldNow)
          ),
          Projection.rebuild(db, notes),
          Projection.rebuild(db, notes),
          Projection.rebuild(db, notes)
        ],
        { concurrency: "unbounded" }
      )
      yield* Projection.awaitSequence(db, "notes")
      expect((yield* shown(db)).content).toEqual(expected.at(Infinity))
    })
  )
})

describe("initial", () => {
  it.effect("seeds from a snapshot, and goes on from its sequence", () =>
    Effect.gen(function* () {
      const db = yield* opened
      const { source, write } = yield* sourceOf(db)
      yield* Effect.forEach(["a", "b"], write)
      let folded = 0
      yield* Projection.run(db, {
        name: "copy",
        filter: { keyspace: "source" },
        initial: (target, snapshot) =>
          Effect.gen(function* () {
            // Comes too late for the snapshot: it is folded.
            yield* source.put("c", "during")
            const rows = yield* snapshot.keyspace("source")
            yield* Stream.runForEach(rows.scan(), ({ key, value }) => target.put(key, value))
          }),
        apply: (target, change) =>
          Effect.forEach(
            change.operations,
            (operation) => {
              folded++
              return operation.type === "put" ? target.put(operation.key, operation.value) : Effect.void
            },
            { discard: true }
          )
      })
      yield* Projection.awaitSequence(db, "copy")
      expect((yield* shown(db, "copy")).content).toEqual({ a: "x", b: "x", c: "during" })
      expect(folded).toBe(1)
    })
  )
})
