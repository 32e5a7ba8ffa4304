import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { WatchEvent } from "../../../src/services/Changes.ts"
import { openSimulated } from "../../support/openEngine.ts"

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const shown = (event: WatchEvent): string =>
  event.type === "put"
    ? `${text(event.key)}=${text(event.value)}`
    : event.type === "delete"
      ? `${text(event.key)} gone`
      : `${text(event.gte)}..${text(event.lt)} gone`

describe("watch", () => {
  it.live("a key: its value now, then each change, and nothing of other keys", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.put("k", "1")
      yield* db.flush
      yield* db.put("k2", "other")
      const seen: Array<WatchEvent> = []
      const watching = yield* Effect.forkChild(
        Stream.runForEach(db.watch({ key: "k" }), (event) => Effect.sync(() => seen.push(event))),
        { startImmediately: true }
      )
      yield* Effect.sleep(5)
      yield* db.put("k", "2")
      yield* db.write([
        { type: "put", key: "j", value: "x" },
        { type: "delete", key: "k" },
        { type: "put", key: "kk", value: "x" }
      ])
      yield* db.write([{ type: "deleteRange", prefix: "k" }])
      yield* db.write([{ type: "deleteRange", gte: "a", lt: "k" }])
      yield* db.write([{ type: "append", key: "k", value: "3" }])
      yield* Effect.sleep(5)
      expect(seen.map(shown)).toEqual(["k=1", "k=2", "k gone", "k gone", "k=3"])
      expect(seen.map(({ sequence }) => sequence)).toEqual([2, 3, 4, 5, 7])
      yield* Fiber.interrupt(watching)
    })
  )

  it.live("what is written while the present values are still being read comes after them", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      for (let i = 0; i < 100; i++) yield* db.put(`k${i}`, "before")
      const gate = Latch.makeUnsafe(false)
      const stream = db.watch({ prefix: "k" }).pipe(
        Stream.mapEffect((event) => Effect.as(gate.await, event)),
        Stream.takeUntil(({ sequence }) => sequence > 402)
      )
      const watching = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
      yield* db.put("k5", "after")
      yield* db.delete("k99")
      for (let i = 0; i < 300; i++) yield* db.put(`other${i}`, "v".repeat(800))
      yield* db.flush
      gate.openUnsafe()
      yield* Effect.sleep(20)
      yield* db.put("k", "z")
      const events = yield* Fiber.join(watching)
      expect(events.slice(0, 100).every(({ sequence, type }) => type === "put" && sequence === 100)).toBe(true)
      expect(events.slice(100).map((event) => `${shown(event)} at ${event.sequence}`)).toEqual(["k5=after at 101", "k99 gone at 102", "k=z at 403"])
    })
  )

  it.live("a missing key: nothing, until it is there; one that expires is gone", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const watching = yield* Effect.forkChild(Stream.runCollect(Stream.take(db.watch({ key: "k" }), 2)), { startImmediately: true })
      yield* Effect.sleep(5)
      yield* db.put("k", "1", { ttl: 20 })
      const events = yield* Effect.timeout(Fiber.join(watching), "5 seconds")
      expect(events.map(shown)).toEqual(["k=1", "k gone"])
    })
  )

  it.live("a prefix in a keyspace: ranges are cut to it, and dropping the keyspace ends it", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      const orders = yield* db.keyspace("orders")
      yield* orders.put("p1", "a")
      yield* orders.put("q", "not watched")
      yield* db.put("p1", "of the default keyspace")
      const seen: Array<string> = []
      const watching = yield* Effect.forkChild(
        Effect.flip(Stream.runForEach(orders.watch({ prefix: "p" }), (event) => Effect.sync(() => seen.push(shown(event))))),
        { startImmediately: true }
      )
      yield* Effect.sleep(5)
      yield* orders.write([{ type: "deleteRange", gte: "a", lt: "z" }])
      yield* orders.put("p2", "b")
      yield* db.put("p3", "of the default keyspace")
      yield* db.dropKeyspace("orders")
      expect((yield* Fiber.join(watching))._tag).toBe("KeyspaceDropped")
      expect(seen).toEqual(["p1=a", "p..q gone", "p2=b"])
      expect((yield* Effect.flip(Stream.runDrain(orders.watch({ key: "p1" }))))._tag).toBe("KeyspaceDropped")
    })
  )

  it.live("folded, its events are what is there, wherever it begins while others write", () =>
    Effect.gen(function* () {
      const seed = 11
      const prng = seededPrng(seed)
      const db = yield* openSimulated(new SimulatedDisk())
      const folds: Array<Map<string, string>> = []
      const watchers: Array<Fiber.Fiber<void, unknown>> = []
      const watch = Effect.gen(function* () {
        const fold = new Map<string, string>()
        folds.push(fold)
        let last = 0
        const apply = (event: WatchEvent) => {
          if (event.sequence < last) throw new Error(`${event.sequence} after ${last}`)
          last = event.sequence
          if (event.type === "put") fold.set(text(event.key), text(event.value))
          else if (event.type === "delete") fold.delete(text(event.key))
          else for (const key of fold.keys()) if (key >= text(event.gte) && key < text(event.lt)) fold.delete(key)
        }
        const run = Stream.runForEach(db.watch({ prefix: "w" }), (event) => Effect.sync(() => apply(event)))
        watchers.push(yield* Effect.forkChild(run, { startImmediately: true }))
      })
      for (let i = 0; i < 1500; i++) {
        const key = `${"vwx"[drawInt(prng, 3)]}${drawInt(prng, 40)}`
        const draw = drawInt(prng, 20)
        if (draw < 15) yield* db.put(key, `${i} ${"v".repeat(drawInt(prng, 400))}`, { durability: "buffered" })
        else if (draw < 19) yield* db.delete(key, { durability: "buffered" })
        else yield* db.write([{ type: "deleteRange", gte: `v${drawInt(prng, 40)}`, lt: `w${drawInt(prng, 40)}` }], { durability: "buffered" })
        if (i % 100 === 50) yield* watch
        if (i % 300 === 299) yield* db.flush
      }
      yield* Effect.sleep(20)
      const expected = new Map<string, string>()
      yield* Stream.runForEach(db.scan({ prefix: "w" }), ({ key, value }) => Effect.sync(() => expected.set(text(key), text(value))))
      expect(folds.length).toBe(15)
      for (const fold of folds) expect([...fold].sort(), `seed ${seed}`).toEqual([...expected].sort())
      yield* Fiber.interruptAll(watchers)
    })
  )

  it.live("refuses what it cannot watch", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      for (const wrong of [undefined, {}, { key: "a", prefix: "b" }, { key: "" }, { key: 5 }]) {
        // @ts-expect-error What no type allows comes from code without types.
        expect(["InvalidRange", "InvalidKey"]).toContain((yield* Effect.flip(Stream.runDrain(db.watch(wrong))))._tag)
      }
    })
  )
})
