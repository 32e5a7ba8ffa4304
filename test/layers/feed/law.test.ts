/** The law, for the feed's part: folding `changes` up to n gives what a snapshot at n shows, whatever has happened to the log since. */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedCrash, SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, WriteOperation } from "../../../src/services/Database.ts"
import { dumpSnapshot, FoldedChanges } from "../../support/foldedChanges.ts"
import { openSimulated } from "../../support/openEngine.ts"
import { withSimulatedClock } from "../../support/simulatedClock.ts"

const settings = { retention: { log: "unlimited" as const } }

const through = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const randomKey = (prng: Prng): string => `key${drawInt(prng, 60)}`

const randomOperation = (prng: Prng, keyspace: string | undefined): WriteOperation => {
  const draw = drawInt(prng, 20)
  const key = randomKey(prng)
  if (draw < 11) return { type: "put", key, value: "v".repeat(drawInt(prng, 3) === 0 ? 1500 : drawInt(prng, 300)), keyspace }
  if (draw < 14) return { type: "delete", key, keyspace }
  if (draw < 15) return { type: "deleteRange", gte: `key${drawInt(prng, 3)}`, lt: `key${3 + drawInt(prng, 4)}`, keyspace }
  if (draw < 16) return { type: "deleteRange", prefix: "key1", keyspace }
  if (draw < 18) return { type: "append", key: `log${drawInt(prng, 5)}`, value: "x", keyspace }
  return { type: "put", key: `short${drawInt(prng, 10)}`, value: "gone soon", ttl: 1 + drawInt(prng, 50), keyspace }
}

const run = (seed: number, steps: number) =>
  Effect.gen(function* () {
    const prng = seededPrng(seed)
    let disk = new SimulatedDisk()
    let scope = yield* Scope.make()
    const open = () => Scope.provide(openSimulated(disk, { ...settings, entropySeed: seed }), scope)
    let db: DatabaseShape = yield* open()
    let spaces = new Set<string>()
    let crashes = 0
    let expiring = 0
    let seen: Array<{ readonly sequence: number; readonly beginMs: number; readonly endMs: number; readonly dump: string }> = []

    const look = Effect.scoped(
      Effect.gen(function* () {
        const beginMs = (yield* Clock.currentTimeMillis) - 1
        const snapshot = yield* db.snapshot
        const dump = yield* dumpSnapshot(snapshot, spaces)
        seen.push({ sequence: snapshot.sequence, beginMs, endMs: (yield* Clock.currentTimeMillis) + 1, dump })
      })
    )
    const judge = Effect.gen(function* () {
      const changes = yield* Stream.runCollect(db.changes({ from: 0, live: false }))
      const folded = new FoldedChanges()
      let at = 0
      for (const { beginMs, dump, endMs, sequence } of seen) {
        while (at < changes.length && changes[at]!.sequence <= sequence) folded.apply(changes[at++]!)
        const where = `sequence ${sequence}, seed ${seed}`
        expect(linesOf(folded.dump(0), false).join("\n"), where).toBe(linesOf(dump, false).join("\n"))
        // What expires within the moment in which the snapshot was taken and read may be in it or not.
        const shown = linesOf(dump, true)
        expect(linesOf(folded.dump(beginMs), true), where).toEqual(expect.arrayContaining([...shown]))
        expect(shown, where).toEqual(expect.arrayContaining([...linesOf(folded.dump(endMs), true)]))
        expiring += shown.length
      }
      for (; at < changes.length; at++) folded.apply(changes[at]!)
    })

    for (let step = 0; step < steps; step++) {
      const draw = drawInt(prng, 100)
      if (draw < 70) {
        const target = [undefined, ...spaces][drawInt(prng, spaces.size + 1)]
        const operations = Array.from({ length: 1 + drawInt(prng, 12) }, () => randomOperation(prng, target))
        yield* db.write(operations, { durability: drawInt(prng, 3) === 0 ? "sync" : "buffered", annotation: `step ${step}` })
      } else if (draw < 75) {
        const name = `space${drawInt(prng, 4)}`
        if (spaces.has(name)) {
          yield* db.dropKeyspace(name)
          spaces.delete(name)
        } else {
          yield* db.keyspace(name)
          spaces.add(name)
        }
      } else if (draw < 80) yield* db.flush
      else if (draw < 82) yield* db.compact()
      else if (draw < 94) yield* look
      else if (draw < 97) {
        yield* judge
        yield* Scope.close(scope, Exit.void)
        scope = yield* Scope.make()
        db = yield* open()
        yield* judge
      } else {
        // In the middle of whatever goes on at some operation of the disk.
        let left = drawInt(prng, 80)
        disk.onOperation = () => {
          if (left-- === 0) throw new SimulatedCrash()
        }
        const burst = Effect.forEach(
          through(1, 12),
          (i) =>
            Effect.ignore(
              i === 6
                ? db.flush
                : db.write([{ type: "put", key: `burst${i}`, value: "v".repeat(1200) }], { durability: i % 2 === 0 ? "sync" : "buffered" })
            ),
          { concurrency: 4, discard: true }
        )
        yield* burst
        crashes++
        const crashed = disk.crash(prng, { mode: "random" })
        yield* Scope.close(scope, Exit.void)
        disk = crashed
        scope = yield* Scope.make()
        db = yield* open()
        const { visibleSequence } = yield* db.stats
        seen = seen.filter(({ sequence }) => sequence <= visibleSequence)
        spaces = new Set((yield* db.keyspaces).map(({ name }) => name))
        yield* judge
      }
    }
    yield* look
    yield* judge
    // The run went where it was meant to go.
    expect([crashes > 0, expiring > 0, seen.length > 5, (yield* db.stats).disk.log > 5 * 65_536], `seed ${seed}`).toEqual([true, true, true, true])
    yield* Scope.close(scope, Exit.void)
  })

/** The lines of keys that expire, or those of all others. */
const linesOf = (dump: string, expiring: boolean): ReadonlyArray<string> =>
  dump.split("\n").filter((line) => line.includes(Buffer.from("short").toString("hex")) === expiring)

describe("the law: changes up to n, folded, are the state at n", () => {
  for (const seed of [1, 2, 3, 4]) {
    it(
      `through flushes, compactions, rotations, reopenings and crashes, seed ${seed}`,
      () => Effect.runPromise(withSimulatedClock(run(seed, 250))),
      60_000
    )
  }
})
