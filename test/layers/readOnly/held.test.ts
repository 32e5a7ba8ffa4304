/** What a reader needs of the log stays readable for it while the writer lets go of it, also where it has not come to the log yet. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as DiskSimulated from "../../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { lookEveryMs } from "../../../src/layers/readOnly/makeReaderFeed.ts"
import { Disk } from "../../../src/services/Disk.ts"
import { directory, openOn, openSimulated } from "../../support/openEngine.ts"

const text = new TextDecoder()
const turns = Effect.forEach([1, 2, 3, 4, 5], () => Effect.yieldNow, { discard: true })
const look = Effect.andThen(TestClock.adjust(lookEveryMs), turns)

describe("a reader beside a writer that lets go of its log", () => {
  it.effect("watches on from a present that took its time", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.put("a", "1")
      const { sequence } = yield* writer.put("b", "1")
      const reader = yield* openSimulated(disk, { readOnly: true })
      const seen: Array<string> = []
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(reader.watch({ prefix: "" }), (event) =>
          Effect.andThen(
            Effect.sync(() => seen.push("key" in event ? text.decode(event.key) : event.type)),
            seen.length === 0 ? Effect.sleep("10 seconds") : Effect.void
          )
        ),
        { startImmediately: true }
      )
      yield* look
      expect(seen).toEqual(["a"])
      const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)
      for (const key of keys) {
        yield* writer.put(key, "v".repeat(3500))
        yield* look
      }
      yield* writer.flush
      yield* look
      expect(yield* Effect.flip(Stream.runCollect(writer.changes({ from: sequence + 1, live: false })))).toMatchObject({ _tag: "HistoryGone" })
      yield* TestClock.adjust("10 seconds")
      yield* look
      yield* look
      expect(fiber.pollUnsafe()).toBeUndefined()
      expect(seen).toEqual(["a", "b", ...keys])
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("goes on from what it has to learn of the log first", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const settings = { walSegmentBytes: 262_144 }
      const writer = yield* openSimulated(disk, settings)
      yield* writer.createCursor("keeps", 0)
      yield* writer.put("first", "1")
      const slow = Layer.effect(
        Disk,
        Effect.map(Disk, (inner) => ({
          ...inner,
          read: (...given: Parameters<typeof inner.read>) => Effect.andThen(Effect.sleep("1 second"), inner.read(...given))
        }))
      ).pipe(Layer.provide(DiskSimulated.layer(disk)))
      const reader = yield* openOn(slow, directory, { ...settings, readOnly: true })
      for (let i = 0; i < 300; i++) yield* writer.put(`k${i}`, "v".repeat(3500), { durability: "buffered" })
      const { sequence } = yield* writer.put("from here", "1")
      const seen: Array<number> = []
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(reader.changes({ from: sequence - 150 }), (change) => Effect.sync(() => seen.push(change.sequence))),
        { startImmediately: true }
      )
      yield* look
      yield* writer.dropCursor("keeps")
      const last = yield* writer.put("last", "1")
      yield* writer.flush
      for (let i = 0; i < 200; i++) yield* look
      expect(yield* Effect.flip(Stream.runCollect(writer.changes({ from: sequence - 150, live: false })))).toMatchObject({ _tag: "HistoryGone" })
      expect(fiber.pollUnsafe()).toBeUndefined()
      // Between them lies the drop of the cursor, which the feed does not show.
      expect(seen).toEqual([...Array.from({ length: 151 }, (_, i) => sequence - 150 + i), last.sequence])
      yield* Fiber.interrupt(fiber)
    })
  )
})
