/** The past as a read-only open sees it, beside its writer. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as path from "node:path"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { versionTexts } from "../../support/historyRun.ts"
import { smallOptions } from "../../support/openEngine.ts"
import { openLayer, temporaryDirectory } from "../../support/openLayer.ts"

const valueAt = (space: Pick<DatabaseShape, "at">, moment: number | Date, key: string) =>
  Effect.scoped(Effect.flatMap(space.at(moment), (past) => past.getText(key)))

const failureOf = <A>(effect: Effect.Effect<A, { readonly _tag: string }>) => Effect.flip(Effect.asVoid(effect))

describe("read-only", () => {
  it.effect("shows the past by sequence, date and version as far as the writer keeps it; what is held stays, whatever the writer does", () =>
    Effect.gen(function* () {
      const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000)
      yield* TestClock.setTime(at(0).getTime())
      const directory = path.join(yield* temporaryDirectory, "db")
      const writer = yield* openLayer(LightningDb.layer({ ...smallOptions, path: directory, retention: { history: "30 seconds" } }))
      const fruit = yield* writer.keyspace("fruit", { history: "unlimited" })
      const { sequence: first } = yield* writer.put("k", "1")
      yield* fruit.put("k", "apple")
      yield* TestClock.setTime(at(10).getTime())
      const { sequence: second } = yield* writer.put("k", "2")
      yield* writer.delete("k")
      yield* writer.flush
      const { sequence: dropped } = yield* writer.dropKeyspace("fruit")
      yield* TestClock.setTime(at(20).getTime())

      const reader = yield* openLayer(LightningDb.layer({ path: directory, readOnly: true, snapshotLease: "1 hour" }))
      const held = yield* reader.at(first)
      const check = Effect.gen(function* () {
        expect(yield* valueAt(reader, first, "k")).toBe("1")
        expect(yield* valueAt(reader, at(5), "k")).toBe("1")
        expect(yield* valueAt(reader, second, "k")).toBe("2")
        expect(yield* valueAt(reader, at(11), "k")).toBeUndefined()
        expect(versionTexts(yield* Stream.runCollect(reader.history("k")))).toEqual([`${first} put 1`, `${second} put 2`, `${second + 1} delete`])
      })
      yield* check
      expect(yield* Effect.flatMap(held.keyspace("fruit"), (reads) => reads.getText("k"))).toBeUndefined()
      const past = yield* reader.at(second)
      expect(yield* Effect.flatMap(past.keyspace("fruit"), (reads) => reads.getText("k"))).toBe("apple")
      expect(yield* failureOf(Effect.scoped(Effect.flatMap(reader.at(dropped), (snapshot) => snapshot.keyspace("fruit"))))).toMatchObject({
        _tag: "KeyspaceNotFound"
      })
      expect(yield* failureOf(valueAt(reader, dropped + 1, "k"))).toMatchObject({ _tag: "FutureMoment", newest: dropped })
      expect(yield* failureOf(valueAt(reader, at(21), "k"))).toMatchObject({ _tag: "FutureMoment", unit: "ms" })
      expect(yield* failureOf(valueAt(reader, -1, "k"))).toMatchObject({ _tag: "InvalidRange" })

      // The writer lets go of it; this reader has not looked since.
      yield* TestClock.setTime(at(60).getTime())
      yield* writer.put("k", "3")
      yield* writer.flush
      yield* writer.compact()
      yield* check
      yield* reader.refresh
      expect(yield* failureOf(valueAt(reader, first, "k"))).toMatchObject({ _tag: "HistoryGone" })
      expect(yield* held.getText("k")).toBe("1")
      expect(yield* Effect.flatMap(past.keyspace("fruit"), (reads) => reads.getText("k"))).toBe("apple")
      expect((yield* reader.stats).snapshots.open).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.effect("does not configure keyspaces", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "db")
      const writer = yield* openLayer(LightningDb.layer({ ...smallOptions, path: directory }))
      yield* writer.keyspace("fruit", { history: "1 day" })
      const reader = yield* openLayer(LightningDb.layer({ path: directory, readOnly: true }))
      expect((yield* reader.keyspace("fruit", { history: "1 day" })).name).toBe("fruit")
      expect(yield* failureOf(reader.keyspace("fruit", { history: "2 days" }))).toMatchObject({ _tag: "DatabaseReadOnly" })
    }).pipe(Effect.scoped)
  )
})
