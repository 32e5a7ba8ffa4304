/** The list of keyspaces says of each how it is kept, as its own options have it. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { openSimulated } from "../support/openEngine.ts"

describe("the list of keyspaces", () => {
  it.effect("tells history by time from history by count, beside its writer too", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.keyspace("count", { history: { versions: 3 } })
      yield* writer.keyspace("images", { beforeImages: true })
      yield* writer.keyspace("none", { history: 0, beforeImages: false })
      yield* writer.keyspace("plain")
      yield* writer.keyspace("time", { history: "1 hour" })
      const expected = [
        { name: "count", tableBytes: 0, historyVersions: 3 },
        { name: "images", tableBytes: 0, beforeImages: true },
        { name: "none", tableBytes: 0, historyMs: 0, beforeImages: false },
        { name: "plain", tableBytes: 0 },
        { name: "time", tableBytes: 0, historyMs: 3_600_000 }
      ]
      expect(yield* writer.keyspaces).toEqual(expected)
      const reader = yield* openSimulated(disk, { readOnly: true })
      expect(yield* reader.keyspaces).toEqual(expected)
    })
  )
})
