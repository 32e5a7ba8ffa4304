/** What once kept expired values from being removed. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { openSimulated } from "../support/openEngine.ts"
import { readLog } from "../support/readLog.ts"

it.effect("expired values with long keys are removed, however little a batch may hold", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(1_700_000_000_000)
    const disk = new SimulatedDisk()
    const db = yield* openSimulated(disk, {
      walSegmentBytes: 16 << 20,
      memtableBytes: 16 << 20,
      durability: "buffered",
      batchBytesMax: 65_536,
      valueBytesMax: 1024
    })
    const keys = Array.from({ length: 60 }, (_, i) => String(i).padStart(2000, "k"))
    for (const key of keys) yield* db.put(key, "1", { ttl: 1000 })
    // One that takes nearly all that a batch may hold.
    yield* db.put("l".repeat(65_000), "1", { ttl: 1000 })
    yield* TestClock.adjust("2 seconds")
    const expired = () => readLog(disk).reduce((sum, { operations }) => sum + operations.filter(({ type }) => type === "expire").length, 0)
    for (let i = 0; i < 200 && expired() < 61; i++) yield* Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
    expect(expired()).toBe(61)
    expect(yield* db.health).toMatchObject({ state: "healthy" })
  })
)
