/** Retention by count: `history(key)` is the newest n of everything that ever happened to the key, whatever was flushed, compacted, reopened or held by snapshots meanwhile. */
import { describe, expect, it } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedCrash, SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, Operations, Snapshot, WriteOperation } from "../../../src/services/Database.ts"
import { EveryVersion, keys, textOf } from "../../support/everyVersion.ts"
import { type EngineSettings, openSimulated } from "../../support/openEngine.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

const sequenceOf = (version: string): number => Number(version.split(" ")[0])

const randomOperation = (prng: Prng, keyspace: string | undefined, value: number): WriteOperation => {
  const draw = drawInt(prng, 20)
  const key = keys[drawInt(prng, keys.length)]!
  if (draw < 12) return { type: "put", key, value: `v${value}`.padEnd(draw === 0 ? 1500 : 6, "."), keyspace }
  if (draw < 15) return { type: "delete", key, keyspace }
  if (draw < 18) return { type: "put", key, value: `short${value}`, ttl: 1 + drawInt(prng, 60), keyspace }
  const from = drawInt(prng, keys.length - 1)
  return { type: "deleteRange", gte: keys[from]!, lt: keys[Math.min(keys.length - 1, from + 1 + drawInt(prng, 8))]!, keyspace }
}

/** What the snapshot saw when it was taken, and what it must go on to see. */
interface Held {
  readonly snapshot: Snapshot
  readonly scope: Scope.Closeable
  readonly seen: ReadonlyMap<string, string | undefined>
}

interface Space {
  readonly name: string | undefined
  versions: number | undefined
  /** How many of all versions of a key must be there, whatever was kept before. */
  least: (all: ReadonlyArray<string>) => number
}

const run = (seed: number, changes: boolean) =>
  Effect.gen(function* () {
    const prng = seededPrng(seed)
    let disk = new SimulatedDisk()
    const settings: EngineSettings = { retention: { history: { versions: 3 }, log: "unlimited" }, entropySeed: seed }
    let scope = yield* Scope.make()
    let db: DatabaseShape = yield* Scope.provide(openSimulated(disk, settings), scope)
    const spaces: Array<Space> = [
      { name: undefined, versions: 3, least: () => 3 },
      { name: "one", versions: 1, least: () => 1 },
      { name: "five", versions: 5, least: () => 5 }
    ]
    for (const { name, versions } of spaces.slice(1)) yield* db.keyspace(name!, { history: { versions: versions! } })
    const space = (name: string | undefined): Effect.Effect<Operations, unknown> => (name === undefined ? Effect.succeed(db) : db.keyspace(name))
    let held: Array<Held> = []
    let value = 0
    let full = 0
    let crashes = 0

    const judge = (where: string) =>
      Effect.gen(function* () {
        const read = Effect.gen(function* () {
          const shown = new Map<string, ReadonlyArray<string>>()
          for (const { name } of spaces) {
            const reads = yield* space(name)
            for (const key of keys) {
              const versions = Array.from(yield* Stream.runCollect(reads.history(key)), textOf)
              shown.set(`${name} ${key}`, versions)
            }
          }
          return shown
        })
        // Values expire by themselves: until nothing has happened while all of it was read.
        let { visibleSequence } = yield* db.stats
        let shown = yield* read
        for (let now = yield* db.stats; now.visibleSequence !== visibleSequence; now = yield* db.stats) {
          visibleSequence = now.visibleSequence
          shown = yield* read
        }
        const truth = yield* EveryVersion.of(db)
        for (const { least, name, versions = Infinity } of spaces) {
          for (const key of keys) {
            const all = truth.of(name, key).filter((one) => sequenceOf(one) <= visibleSequence)
            const found = shown.get(`${name} ${key}`)!
            const what = `${where}, ${name} ${key}: ${all.join(", ")}`
            // The newest, and none left out.
            expect(found, what).toEqual(all.slice(all.length - Math.min(all.length, found.length)))
            expect(found.length, what).toBeLessThanOrEqual(versions)
            expect(found.length, what).toBeGreaterThanOrEqual(Math.min(all.length, least(all)))
            if (found.length === versions && all.length > versions) full++
          }
        }
        for (const { seen, snapshot } of held) for (const [key, was] of seen) expect(yield* snapshot.getText(key), `${where}, snapshot`).toBe(was)
      })

    for (let step = 0; step < 120; step++) {
      const where = `seed ${seed}, step ${step}`
      const draw = drawInt(prng, 100)
      if (draw < 66) {
        const { name } = spaces[drawInt(prng, spaces.length)]!
        const operations = Array.from({ length: 1 + drawInt(prng, 8) }, () => randomOperation(prng, name, ++value))
        yield* db.write(operations, { durability: drawInt(prng, 3) === 0 ? "sync" : "buffered" })
      } else if (draw < 76) yield* db.flush
      else if (draw < 80) yield* db.compact()
      else if (draw < 84) {
        const own = yield* Scope.make()
        const snapshot = yield* Scope.provide(db.snapshot, own)
        const seen = new Map<string, string | undefined>()
        for (const key of keys) seen.set(key, yield* snapshot.getText(key))
        held.push({ snapshot, scope: own, seen })
      } else if (draw < 87) {
        const [first] = held.splice(drawInt(prng, held.length + 1), 1)
        if (first !== undefined) yield* Scope.close(first.scope, Exit.void)
      } else if (draw < 90) yield* judge(where)
      else if (draw < 93) {
        held = []
        yield* Scope.close(scope, Exit.void)
        scope = yield* Scope.make()
        db = yield* Scope.provide(openSimulated(disk, settings), scope)
      } else if (draw < 95) {
        yield* db.dropKeyspace("five")
        const versions = (spaces[2]!.versions ??= 5)
        yield* db.keyspace("five", { history: { versions } })
      } else if (draw < 97 && changes) {
        const target = spaces[1 + drawInt(prng, 2)]!
        const { visibleSequence: at } = yield* db.stats
        const since = (all: ReadonlyArray<string>) => all.filter((one) => sequenceOf(one) > at).length
        const was = target.versions
        const before = target.least
        const next = [1, 2, 4, 7, undefined][drawInt(prng, 5)]
        yield* db.keyspace(target.name!, { history: next === undefined ? (drawInt(prng, 2) === 0 ? 0 : "unlimited") : { versions: next } })
        target.versions = next
        // What was there stays as far as both ways keep it; what came since is all there. By time, it begins where history does.
        target.least =
          next === undefined
            ? () => 0
            : (all) => Math.min(next, was === undefined ? since(all) : since(all) + Math.min(was, before(all.slice(0, all.length - since(all)))))
      } else {
        let left = drawInt(prng, 60)
        disk.onOperation = () => {
          if (left-- === 0) throw new SimulatedCrash()
        }
        yield* Effect.forEach(
          Array.from({ length: 8 }, (_, i) => i),
          (i) => Effect.ignore(i === 5 ? db.flush : db.write([randomOperation(prng, undefined, ++value)], { durability: "sync" })),
          { concurrency: 3, discard: true }
        )
        const crashed = disk.crash(prng, { mode: "random" })
        yield* Scope.close(scope, Exit.void)
        held = []
        disk = crashed
        crashes++
        scope = yield* Scope.make()
        db = yield* Scope.provide(openSimulated(disk, settings), scope)
      }
    }
    yield* judge(`seed ${seed}, at the end`)
    yield* db.flush
    yield* db.compact()
    yield* judge(`seed ${seed}, compacted`)
    expect([full > 20, crashes > 0], `seed ${seed}`).toEqual([true, true])
    yield* Scope.close(scope, Exit.void)
  })

describe("history by count", () => {
  for (const seed of [1, 2, 3]) {
    it(`is the newest n of what happened to a key, seed ${seed}`, () => Effect.runPromise(withSimulatedClock(run(seed, false))), 60_000)
  }
  for (const seed of [12, 13, 14, 16]) {
    it(`never has a hole, however the option changes, seed ${seed}`, () => Effect.runPromise(withSimulatedClock(run(seed, true))), 60_000)
  }
})
