/** The change feed of a read-only open beside its writer: what the writer's own feed shows, in the same order, without a gap and without anything twice. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { lookEveryMs } from "../../../src/layers/readOnly/makeReaderFeed.ts"
import type { Change, ChangesOptions } from "../../../src/services/Changes.ts"
import type { DatabaseShape, WriteOperation } from "../../../src/services/Database.ts"
import { movedDisk } from "../../support/movedDisk.ts"
import { directory, type EngineSettings, openOn, openSimulated } from "../../support/openEngine.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

const text = new TextDecoder("latin1")

/** One line a transaction. */
const lineOf = ({ annotation, operations, sequence }: Change): string =>
  `${sequence} ${text.decode(annotation)} ${operations
    .map((one) =>
      "key" in one
        ? `${one.type} ${one.keyspace} ${text.decode(one.key)}`
        : "gte" in one
          ? `${one.type} ${one.keyspace}`
          : `${one.type} ${one.keyspace}`
    )
    .join(", ")}`

const linesOf = (db: DatabaseShape, options: ChangesOptions) =>
  Effect.map(Stream.runCollect(db.changes(options)), (changes) => Array.from(changes, lineOf))

/** A pause in which a follower looks again and takes what it finds. */
const looks = Effect.forEach(Array.from({ length: 3 }), () => Effect.sleep(lookEveryMs + 1), { discard: true })

const randomOperation = (prng: Prng, keyspace: string | undefined): WriteOperation => {
  const draw = drawInt(prng, 20)
  const key = `key${drawInt(prng, 60)}`
  if (draw < 14) return { type: "put", key, value: "v".repeat(drawInt(prng, 3) === 0 ? 1500 : drawInt(prng, 300)), keyspace }
  if (draw < 17) return { type: "delete", key, keyspace }
  if (draw < 18) return { type: "deleteRange", prefix: "key1", keyspace }
  return { type: "append", key: `log${drawInt(prng, 5)}`, value: "x", keyspace }
}

interface World {
  disk: SimulatedDisk
  db: DatabaseShape
  readonly reopen: (how: "closed" | "killed") => Effect.Effect<void, unknown>
  readonly reader: Effect.Effect<DatabaseShape, unknown, Scope.Scope>
  readonly end: Effect.Effect<void>
}

/** A writer, which can be killed, and readers beside it. */
const beginWorld = (settings: EngineSettings, prng: Prng) =>
  Effect.gen(function* () {
    let scope = yield* Scope.make()
    const disk = new SimulatedDisk()
    const world: World = {
      disk,
      db: yield* Scope.provide(openSimulated(disk, settings), scope),
      reopen: (how) =>
        Effect.gen(function* () {
          // A killed process leaves what it has written; its own end comes to nothing that anybody sees.
          if (how === "killed") world.disk = world.disk.crashState(prng, { mode: "all" })
          yield* Scope.close(scope, Exit.void)
          scope = yield* Scope.make()
          world.db = yield* Scope.provide(openSimulated(world.disk, settings), scope)
        }),
      reader: Effect.suspend(() =>
        openOn(
          movedDisk(() => world.disk),
          directory,
          { readOnly: true }
        )
      ),
      end: Effect.suspend(() => Scope.close(scope, Exit.void))
    }
    return world
  })

const run = (seed: number, steps: number, settings: EngineSettings) =>
  Effect.scoped(
    Effect.gen(function* () {
      const prng = seededPrng(seed)
      const world = yield* beginWorld({ ...settings, entropySeed: seed }, prng)
      yield* world.db.put("first", "1")
      const reader = yield* world.reader
      const live: Array<string> = []
      const slow: Array<string> = []
      const filtered: Array<string> = []
      const follow = (into: Array<string>, options: ChangesOptions, pause: Effect.Effect<void>) =>
        Effect.forkScoped(
          Stream.runForEach(reader.changes(options), (change) =>
            Effect.andThen(
              Effect.sync(() => into.push(lineOf(change))),
              pause
            )
          ),
          {
            startImmediately: true
          }
        )
      const fibers = [
        yield* follow(live, { from: 1 }, Effect.void),
        yield* follow(slow, { from: 1 }, Effect.sleep(30)),
        yield* follow(filtered, { from: 1, prefix: "key2" }, Effect.void)
      ]
      const spaces = new Set<string>()
      let kills = 0
      for (let step = 0; step < steps; step++) {
        const draw = drawInt(prng, 100)
        if (draw < 72) {
          const keyspace = [undefined, ...spaces][drawInt(prng, spaces.size + 1)]
          const operations = Array.from({ length: 1 + drawInt(prng, 10) }, () => randomOperation(prng, keyspace))
          yield* world.db.write(operations, { durability: drawInt(prng, 3) === 0 ? "sync" : "buffered", annotation: `step ${step}` })
        } else if (draw < 77) {
          const name = `space${drawInt(prng, 3)}`
          if (spaces.delete(name)) yield* world.db.dropKeyspace(name)
          else {
            yield* world.db.keyspace(name)
            spaces.add(name)
          }
        } else if (draw < 84) yield* world.db.flush
        else if (draw < 87) yield* world.db.compact()
        else if (draw < 89) yield* world.reopen("closed")
        else if (draw < 92) {
          yield* world.reopen("killed")
          kills++
        } else if (draw < 94) yield* reader.refresh
        else yield* looks
        // A stream that failed would only be seen to be short.
        for (const fiber of fibers) expect(fiber.pollUnsafe(), `seed ${seed}, step ${step}`).toBeUndefined()
      }
      yield* world.db.put("last", "1")
      yield* looks
      return { world, reader, live, slow, filtered, fibers, kills }
    })
  )

describe("changes of a read-only open", () => {
  for (const seed of [1, 2, 3, 4]) {
    it.effect(`are those of the writer, through rotations, flushes, compactions, kills and reopenings, seed ${seed}`, () =>
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const { filtered, live, slow, world, kills } = yield* run(seed, 220, { retention: { log: "unlimited" } })
            const expected = yield* linesOf(world.db, { from: 1, live: false })
            expect(live, `seed ${seed}`).toEqual(expected)
            expect(filtered, `seed ${seed}`).toEqual(yield* linesOf(world.db, { from: 1, live: false, prefix: "key2" }))
            // It has not come to the end, and has missed nothing on the way.
            expect(slow.length, `seed ${seed}`).toBeGreaterThan(10)
            expect(slow, `seed ${seed}`).toEqual(expected.slice(0, slow.length))
            expect([kills > 0, (yield* world.db.stats).disk.log > 3 * 65_536], `seed ${seed}`).toEqual([true, true])
            // Anew, and as history.
            const again = yield* world.reader
            expect(yield* linesOf(again, { from: 1, live: false }), `seed ${seed}`).toEqual(expected)
            yield* world.end
          })
        )
      )
    )
  }

  it.effect("keep what the writer lets go of for a reader that has begun", () =>
    withSimulatedClock(
      Effect.scoped(
        Effect.gen(function* () {
          const world = yield* beginWorld({}, seededPrng(9))
          const reader = yield* world.reader
          const seen: Array<number> = []
          const fiber = yield* Effect.forkScoped(
            Stream.runForEach(reader.changes(), ({ sequence }) =>
              Effect.andThen(
                Effect.sync(() => seen.push(sequence)),
                Effect.sleep(5)
              )
            ),
            { startImmediately: true }
          )
          for (let i = 0; i < 400; i++) {
            yield* world.db.put(`key${i}`, "v".repeat(900), { durability: "buffered" })
            if (i % 5 === 0) yield* looks
            if (i % 60 === 59) yield* world.db.flush
          }
          while (seen.length < 400 && fiber.pollUnsafe() === undefined) yield* Effect.sleep(50)
          expect(fiber.pollUnsafe()).toBeUndefined()
          expect(seen).toEqual(Array.from({ length: 400 }, (_, i) => seen[0]! + i))
          // The writer itself has none of it any more.
          expect(yield* Effect.flip(linesOf(world.db, { from: seen[0]!, live: false }))).toMatchObject({ _tag: "HistoryGone" })
          yield* Fiber.interrupt(fiber)
          yield* world.end
        })
      )
    )
  )
})
