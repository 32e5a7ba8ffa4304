/** Another database where the one was that a reader has open: it says so, and takes nothing of the one for the other. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { lookEveryMs } from "../../../src/layers/readOnly/makeReaderFeed.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { movedDisk } from "../../support/movedDisk.ts"
import { directory, openOn, openSimulated } from "../../support/openEngine.ts"

/** The files of a directory as those of the database's own on a disk of their own. */
const diskOf = (from: SimulatedDisk, path: string): SimulatedDisk => {
  const to = new SimulatedDisk()
  to.makeDirectory(directory)
  for (const name of from.list(path)) {
    const source = from.open(`${path}/${name}`, "read")
    const bytes = new Uint8Array(source.sizeBytes())
    source.readAt(bytes, 0)
    source.close()
    const target = to.open(`${directory}/${name}`, "create")
    target.writev([bytes], 0)
    target.close()
  }
  return to
}

const others: Record<string, (disk: SimulatedDisk, writer: DatabaseShape) => Effect.Effect<SimulatedDisk, unknown>> = {
  "a new one": () => Effect.succeed(new SimulatedDisk()),
  "an earlier checkpoint of it": (disk, writer) => Effect.map(writer.checkpoint("/copy"), () => diskOf(disk, "/copy"))
}

describe("a reader whose database is replaced", () => {
  for (const [name, make] of Object.entries(others)) {
    it.effect(`by ${name}`, () =>
      Effect.gen(function* () {
        let now = new SimulatedDisk()
        const scope = yield* Scope.make()
        const writer = yield* Scope.provide(openSimulated(now, { entropySeed: 1 }), scope)
        for (let i = 0; i < 20; i++) yield* writer.put(`k${i}`, "1")
        const other = yield* make(now, writer)
        for (let i = 0; i < 20; i++) yield* writer.put(`later${i}`, "1")
        const reader = yield* openOn(
          movedDisk(() => now),
          directory,
          { readOnly: true }
        )
        const live = yield* Effect.forkScoped(Stream.runDrain(reader.changes()), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        now = other
        const replacement = yield* openSimulated(now, { entropySeed: 2 })
        for (let i = 0; i < 30; i++) yield* replacement.put(`other${i}`, "2")
        yield* replacement.flush
        yield* TestClock.adjust(lookEveryMs)
        expect(yield* Effect.flip(Fiber.join(live))).toMatchObject({ _tag: "HistoryDiverged" })
        expect(yield* Effect.flip(Stream.runDrain(reader.changes({ from: 1, live: false })))).toMatchObject({ _tag: "HistoryDiverged" })
        const refused = yield* Effect.flip(reader.refresh)
        expect(refused).toMatchObject({ _tag: "CorruptFile" })
        expect(refused.message).toContain("another database is in the directory now")
        // What it has read stays what it was.
        expect([yield* reader.getText("later19"), yield* reader.getText("other0")]).toEqual(["1", undefined])
        const anew = yield* openOn(
          movedDisk(() => now),
          directory,
          { readOnly: true }
        )
        expect(yield* anew.getText("other29")).toBe("2")
      })
    )
  }
})
