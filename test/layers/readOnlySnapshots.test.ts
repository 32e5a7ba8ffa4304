/** Snapshots of a read-only open: its writer knows nothing of them and compacts what they need away, so they keep the files of their own moment. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as path from "node:path"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { scanned, text } from "../contracts/database/fixture.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer, temporaryDirectory } from "../support/openLayer.ts"

describe("read-only", () => {
  it.effect("a snapshot does not move across refreshes, while the writer overwrites, flushes and compacts", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "db")
      const writer = yield* openLayer(LightningDb.layer({ ...smallOptions, path: directory }))
      const key = (i: number) => `k${String(i).padStart(3, "0")}`
      const write = (turn: number) =>
        writer.write(
          Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: key(i), value: `turn ${turn} ${"x".repeat(i % 5 === 0 ? 1500 : 5)}` }))
        )
      yield* write(0)
      yield* Effect.andThen(writer.flush, writer.compact())
      const reader = yield* openLayer(LightningDb.layer({ path: directory, readOnly: true, maxTransactions: 2, snapshotLease: "1 minute" }))
      const scope = yield* Scope.make()
      const snapshot = yield* Scope.provide(reader.snapshot, scope)
      const iterator = snapshot.unsafe.entries()
      const first = iterator.next()
      const before = yield* scanned(snapshot)
      expect(before[0]).toContain("turn 0")
      for (let turn = 1; turn < 4; turn++) {
        yield* write(turn)
        yield* Effect.andThen(writer.flush, writer.compact())
        yield* reader.refresh
        expect(yield* scanned(reader)).toEqual(before.map((pair) => pair.replace("turn 0", `turn ${turn}`)))
        expect(yield* scanned(snapshot)).toEqual(before)
        expect(yield* scanned(snapshot, { reverse: true })).toEqual(before.toReversed())
        // By text, which may come from the cache of values: twice each, in both orders.
        for (const [reads, of] of [
          [reader, turn],
          [snapshot, 0],
          [reader, turn],
          [snapshot, 0]
        ] as const) {
          expect(yield* reads.getText(key(7))).toContain(`turn ${of}`)
          expect(reads.unsafe.getText(key(turn))).toContain(`turn ${of}`)
        }
        expect(`${key(5)}=${yield* snapshot.getText(key(5))}`).toBe(before[5])
        expect(text(snapshot.unsafe.get(new TextEncoder().encode(key(7))))).toContain("turn 0")
      }
      // One that was begun before goes on where it was.
      expect([first.value, ...iterator].map(([k, v]) => `${text(k)}=${text(v)}`)).toEqual(before)
      yield* Scope.provide(reader.snapshot, scope)
      expect(yield* Effect.flip(Effect.scoped(reader.snapshot))).toMatchObject({ _tag: "TooManySnapshots", openMax: 2 })
      yield* TestClock.adjust("1 minute")
      expect(yield* Effect.flip(scanned(snapshot))).toMatchObject({ _tag: "SnapshotExpired" })
      yield* Scope.close(scope, Exit.void)
      expect((yield* reader.stats).snapshots.open).toBe(0)
      expect(yield* Effect.flip(Effect.asVoid<unknown, { readonly _tag: string }, never>(reader.put("k", "v")))).toMatchObject({
        _tag: "DatabaseReadOnly"
      })
    })
  )
})
