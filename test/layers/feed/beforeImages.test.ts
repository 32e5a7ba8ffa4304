/**
 * Before-images: each operation of the feed in a keyspace that keeps them shows the value that the feed left under its key, whatever wrote it and wherever it lies by now, and in
 * others none.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { Change } from "../../../src/services/Changes.ts"
import type { DatabaseShape, WriteOperation } from "../../../src/services/Database.ts"
import { openSimulated } from "../../support/openEngine.ts"
import { simulatedClock, withSimulatedClock } from "../../support/simulatedClock.ts"

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const names = ["default", "kept", "other"] as const
type Name = (typeof names)[number]

interface Held {
  readonly value: string
  readonly expiresAt: number
}

/** How often each kind of image was met. */
const totals = { value: 0, none: 0, notKept: 0, expired: 0, overExpired: 0, afterRange: 0, atomic: 0 }

/** What the changes so far have left. */
class Model {
  readonly spaces = new Map<string, Map<string, Held>>(names.map((name) => [name, new Map()]))
  readonly met: Record<keyof typeof totals, number>

  constructor(met: Record<keyof typeof totals, number>) {
    this.met = met
  }

  /** `isKept` is undefined where it was switched at about that time. */
  apply({ commitTimeMs, operations, sequence }: Change, isKept: (name: string, sequence: number) => boolean | undefined, seed: number): void {
    const cleared = new Set<string>()
    for (const operation of operations) {
      if (operation.type === "createKeyspace" || operation.type === "dropKeyspace") continue
      const space = this.spaces.get(operation.keyspace)!
      if (operation.type === "deleteRange") {
        for (const key of [...space.keys()]) {
          if (key < text(operation.gte) || key >= text(operation.lt)) continue
          cleared.add(`${operation.keyspace}/${key}`)
          space.delete(key)
        }
        continue
      }
      const key = text(operation.key)
      const held = space.get(key)
      const where = `${operation.type} of ${operation.keyspace}/${key} at ${sequence}, seed ${seed}`
      const isOver = held !== undefined && held.expiresAt <= commitTimeMs
      const kept = isKept(operation.keyspace, sequence)
      if (kept === false) {
        expect("before" in operation, where).toBe(false)
        this.met.notKept++
      } else if (kept === true) {
        const expected = held === undefined ? null : held.value
        expect(operation.before instanceof Uint8Array ? text(operation.before) : operation.before, where).toBe(expected)
        this.met[expected === null ? "none" : "value"]++
        if (operation.type === "expire") this.met.expired++
        else if (isOver) this.met.overExpired++
        if (cleared.has(`${operation.keyspace}/${key}`)) this.met.afterRange++
        if (operation.type !== "expire" && operation.atomic !== undefined && expected !== null) this.met.atomic++
      }
      if (operation.type === "put") space.set(key, { value: text(operation.value), expiresAt: operation.expiresAt ?? Infinity })
      else space.delete(key)
    }
  }
}

/** Names for keys that are used once. */
let once = 0

const drawOperation = (prng: Prng, keyspace: Name): WriteOperation => {
  const space = keyspace === "default" ? {} : { keyspace }
  const draw = drawInt(prng, 20)
  const key = `key${drawInt(prng, 25)}`
  if (draw < 9) return { type: "put", key, value: `${draw}`.repeat(drawInt(prng, 4) === 0 ? 1300 : drawInt(prng, 200)), ...space }
  if (draw < 12) return { type: "delete", key, ...space }
  if (draw < 13) return { type: "deleteRange", gte: `key${drawInt(prng, 3)}`, lt: `key${3 + drawInt(prng, 4)}`, ...space }
  if (draw < 15) return { type: "append", key: `log${drawInt(prng, 6)}`, value: "x".repeat(1 + drawInt(prng, 60)), ...space }
  if (draw < 16) return { type: "setOnce", key, value: "once", ...space }
  if (draw < 17) return { type: "compareAndSet", key: `once${++once}`, expected: undefined, value: "new", ...space }
  return { type: "put", key: drawInt(prng, 3) === 0 ? key : `short${drawInt(prng, 8)}`, value: "gone soon", ttl: drawInt(prng, 60), ...space }
}

const drawOperations = (prng: Prng, most: number): Array<WriteOperation> => {
  const name = names[drawInt(prng, names.length)]!
  return Array.from({ length: 1 + drawInt(prng, most) }, () => drawOperation(prng, name))
}

const run = (seed: number, steps: number) =>
  Effect.gen(function* () {
    const prng = seededPrng(seed)
    const disk = new SimulatedDisk()
    let scope = yield* Scope.make()
    const open = (beforeImages: boolean) =>
      Scope.provide(openSimulated(disk, { retention: { log: "unlimited", beforeImages }, entropySeed: seed }), scope)
    let db: DatabaseShape = yield* open(false)
    /** Not before `after`, and from `from` on, a keyspace keeps images, or does not: in between the reaper may have committed something, before or after. */
    const switched: Array<{ readonly after: number; readonly from: number; readonly name: Name; readonly kept: boolean }> = []
    const isKept = (name: string, sequence: number) => {
      const last = switched.findLast((each) => each.name === name && each.after < sequence)
      return last === undefined ? false : sequence < last.from ? undefined : last.kept
    }
    const switching = <E>(name: Name, kept: boolean, change: Effect.Effect<unknown, E>) =>
      Effect.gen(function* () {
        const after = (yield* db.stats).visibleSequence
        yield* change
        switched.push({ after, from: (yield* db.stats).visibleSequence + 1, name, kept })
      })

    yield* switching("kept", true, db.keyspace("kept", { beforeImages: true }))
    yield* db.keyspace("other", { beforeImages: false })
    for (let step = 0; step < steps; step++) {
      const draw = drawInt(prng, 100)
      if (draw < 40) yield* db.write(drawOperations(prng, 8))
      else if (draw < 60) {
        const key = `short${drawInt(prng, 8)}`
        const bursts: Array<Array<WriteOperation>> = Array.from({ length: 6 }, () => drawOperations(prng, 3))
        // One takes the place of the other before the reaper comes by.
        bursts.push([{ type: "put", key, value: "over", ttl: 0, keyspace: "kept" }], [{ type: "put", key, value: "over it", keyspace: "kept" }])
        yield* Effect.forEach(bursts, (operations) => db.write(operations, { durability: "buffered" }), { concurrency: "unbounded", discard: true })
      } else if (draw < 70) {
        const operations = drawOperations(prng, 6)
        yield* db.transaction((tx) =>
          Effect.gen(function* () {
            yield* tx.get(`key${drawInt(prng, 25)}`)
            yield* tx.write(operations)
          })
        )
      } else if (draw < 78) {
        const space = yield* db.keyspace("kept")
        yield* space.put(`key${drawInt(prng, 25)}`, `single ${step}`)
        yield* space.delete(`key${drawInt(prng, 25)}`)
      } else if (draw < 90) yield* db.flush
      else if (draw < 92) yield* db.compact()
      else if (draw < 95) yield* Effect.sleep(70)
      else if (draw < 97) {
        const kept = drawInt(prng, 2) === 0
        const reopened = Effect.gen(function* () {
          yield* Scope.close(scope, Exit.void)
          scope = yield* Scope.make()
          db = yield* open(kept)
        })
        yield* switching("default", kept, reopened)
      } else {
        const name = (["kept", "other"] as const)[drawInt(prng, 2)]!
        const kept = drawInt(prng, 3) > 0
        yield* switching(name, kept, db.keyspace(name, { beforeImages: kept }))
      }
    }
    const model = new Model(totals)
    const nowMs = yield* Clock.currentTimeMillis
    for (const change of yield* Stream.runCollect(db.changes({ from: 0, live: false }))) model.apply(change, isKept, seed)
    // What the model was made of is what there is: save for what ends about now.
    for (const name of names) {
      const reads = name === "default" ? db : yield* db.keyspace(name)
      const left = yield* Stream.runCollect(reads.scan())
      const lasting = [...model.spaces.get(name)!].filter(([, { expiresAt }]) => expiresAt > nowMs + 1000)
      const found = left.flatMap(({ key, value }): ReadonlyArray<[string, string]> =>
        lasting.some(([own]) => own === text(key)) ? [[text(key), text(value)]] : []
      )
      expect(found, `${name}, seed ${seed}`).toEqual(lasting.map(([key, { value }]) => [key, value]).sort(([a], [b]) => (a! < b! ? -1 : 1)))
    }
    yield* Scope.close(scope, Exit.void)
  })

describe("the before-images of the feed are what the feed has left", () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`through flushes, compactions, reopenings and switches, seed ${seed}`, async () => {
      // Where the time of a read is long, values come through the pool; where it is not, in the step itself.
      const clock = simulatedClock(undefined, seed % 2 === 0 ? 100_000n : 1_000n)
      await Effect.runPromise(withSimulatedClock(run(seed, 220), clock))
    }, 60_000)
  }

  it("and every kind of them was met", () => {
    for (const [what, times] of Object.entries(totals)) expect(times, what).toBeGreaterThan(0)
  })
})
