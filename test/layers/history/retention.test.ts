/** How far back the past goes, and that what lies further back is refused and given back. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { IoFailure } from "../../../src/domain/failures.ts"
import * as DiskMemory from "../../../src/layers/disk/DiskMemory.ts"
import { drawInt } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { WorkersControl } from "../../support/gatedWorkers.ts"
import { HistoryRun, versionTexts } from "../../support/historyRun.ts"
import { directory, type EngineSettings, openSimulated, smallOptions } from "../../support/openEngine.ts"
import { openLayer } from "../../support/openLayer.ts"

const emptyDisk = Effect.sync(() => {
  const disk = new SimulatedDisk()
  disk.makeDirectory(directory)
  return disk
})

const opened = (settings: EngineSettings) => Effect.flatMap(emptyDisk, (disk) => openSimulated(disk, settings))

const put = (db: Pick<DatabaseShape, "put">, key: string, value: string) => Effect.map(db.put(key, value), ({ sequence }) => sequence)

const valueAt = (db: Pick<DatabaseShape, "at">, moment: number | Date, key: string) =>
  Effect.scoped(Effect.flatMap(db.at(moment), (past) => past.getText(key)))

const failureOf = <A>(effect: Effect.Effect<A, { readonly _tag: string }>) => Effect.flip(Effect.asVoid(effect))

describe("without retention", () => {
  it.effect("the present can be read, and what a flush has not touched; the past is gone once it has", () =>
    Effect.gen(function* () {
      const db = yield* opened({})
      const first = yield* put(db, "k", "1")
      const second = yield* put(db, "k", "2")
      expect(yield* valueAt(db, second, "k")).toBe("2")
      expect(yield* valueAt(db, first, "k")).toBe("1")
      expect(yield* valueAt(db, 0, "k")).toBeUndefined()
      yield* db.flush
      expect(yield* valueAt(db, second, "k")).toBe("2")
      expect(yield* failureOf(valueAt(db, first, "k"))).toMatchObject({ _tag: "HistoryGone", sequence: first, oldestSequence: second })
      expect(yield* failureOf(Stream.runDrain(db.history("k", { from: second })))).toMatchObject({ _tag: "HistoryGone", oldestSequence: second + 1 })
      const future = { _tag: "FutureMoment", asked: second + 1, newest: second, unit: "sequence" }
      expect(yield* failureOf(valueAt(db, second + 1, "k"))).toMatchObject(future)
      const third = yield* put(db, "k", "3")
      expect(versionTexts(yield* Stream.runCollect(db.history("k")))).toEqual([`${third} put 3`])
    }).pipe(Effect.scoped)
  )

  it.effect("what lies between two snapshots is gone, for good: only what they see is kept", () =>
    Effect.gen(function* () {
      const disk = yield* emptyDisk
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk), scope)
      const first = yield* put(db, "k", "1")
      const held = yield* Scope.provide(db.snapshot, scope)
      const second = yield* put(db, "k", "2")
      const third = yield* put(db, "k", "3")
      yield* db.flush
      expect(yield* held.getText("k")).toBe("1")
      expect(yield* failureOf(valueAt(db, second, "k"))).toMatchObject({ _tag: "HistoryGone", oldestSequence: third })
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(disk)
      expect(yield* failureOf(valueAt(again, second, "k"))).toMatchObject({ _tag: "HistoryGone", oldestSequence: third })
      expect(yield* failureOf(valueAt(again, first, "k"))).toMatchObject({ _tag: "HistoryGone" })
      expect(yield* valueAt(again, third, "k")).toBe("3")
    }).pipe(Effect.scoped)
  )

  it.effect("is refused from the moment on in which a job that may drop it is built, whatever becomes of the job", () =>
    Effect.gen(function* () {
      const control = new WorkersControl()
      const platform = Layer.provideMerge(control.layer, Layer.fresh(DiskMemory.layer))
      const db = yield* openLayer(LightningDb.layerCore({ ...smallOptions, path: directory }).pipe(Layer.provide(platform)))
      const first = yield* put(db, "k", "1")
      const second = yield* put(db, "k", "2")
      const before = yield* db.at(first)
      control.flushFailure = new IoFailure("write", "/db", "EIO")
      control.failuresLeft = 1
      control.flushGate.closeUnsafe()
      const flush = yield* Effect.forkChild(db.flush, { startImmediately: true })
      while ((yield* Effect.exit(Effect.scoped(db.at(first))))._tag === "Success") yield* Effect.yieldNow
      expect(yield* failureOf(valueAt(db, first, "k"))).toMatchObject({ _tag: "HistoryGone", oldestSequence: second })
      expect(yield* before.getText("k")).toBe("1")
      control.flushGate.openUnsafe()
      yield* TestClock.adjust("1 minute")
      yield* Fiber.await(flush)
      expect(yield* before.getText("k")).toBe("1")
      expect(yield* failureOf(valueAt(db, first, "k"))).toMatchObject({ _tag: "HistoryGone" })
    }).pipe(Effect.scoped)
  )
})

describe("retention by time", () => {
  const keepMs = 60_000
  const settings: EngineSettings = { retention: { history: keepMs }, snapshotLease: "365 days", sequenceBlock: 32 }

  it.effect.each([1, 2, 3, 4])("all of it is there within the time, by sequence and by date; beyond it is gone once a job ran (seed %i)", (seed) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_250)
      const run = new HistoryRun(seed, settings)
      yield* run.open()
      for (let i = 0; i < 96; i++) {
        yield* TestClock.adjust(drawInt(run.draw, 3) === 0 ? drawInt(run.draw, 15_000) : 50)
        yield* run.step()
        if (i % 12 !== 11) continue
        const isFlushed = i % 24 === 23
        if (isFlushed) {
          yield* run.write("")
          yield* run.db.flush
          if (drawInt(run.draw, 2) === 0) yield* run.db.compact()
        }
        const nowMs = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const cutoff = Math.floor((nowMs - keepMs) / 1000)
        const oldest = run.sequenceBefore(cutoff)
        expect(yield* run.checkHeld()).toBeUndefined()
        expect(yield* run.checkMoments(oldest), `from ${oldest} on`).toBeUndefined()
        for (let sequence = 0; sequence < oldest; sequence++) {
          const looked = Effect.scoped(Effect.flatMap(run.db.at(sequence), (snapshot) => run.mismatch(snapshot, run.stateAt(sequence))))
          const past = yield* Effect.result(looked)
          if (past._tag === "Failure") expect(past.failure).toMatchObject({ _tag: "HistoryGone", sequence })
          else {
            expect(isFlushed, `${sequence} is older than ${oldest} and still there`).toBe(false)
            expect(past.success).toBeUndefined()
          }
        }
        for (let second = cutoff; second <= Math.floor(nowMs / 1000); second++) {
          const expected = run.sequenceBefore(second)
          const wrong = yield* Effect.scoped(
            Effect.flatMap(run.db.at(new Date(second * 1000 + drawInt(run.draw, 250))), (snapshot) => {
              expect(snapshot.sequence).toBe(expected)
              return run.mismatch(snapshot, run.stateAt(expected))
            })
          )
          expect(wrong, `second ${second}`).toBeUndefined()
        }
      }
      yield* run.close()
    })
  )

  it.effect("gives its space back when the time has passed, and forgets the marks", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const db = yield* opened(settings)
      const lastOf = (turn: number) => `${turn} ${"x".repeat(200)}`
      for (let turn = 0; turn < 40; turn++) {
        for (let i = 0; i < 20; i++) yield* put(db, `k${i}`, lastOf(turn))
        yield* TestClock.adjust("1 second")
      }
      yield* db.flush
      yield* db.compact()
      expect((yield* db.verify).entries).toBeGreaterThan(800)
      yield* TestClock.adjust("2 minutes")
      yield* put(db, "other", "now")
      yield* db.flush
      for (let turn = 0; turn < 12; turn++) {
        yield* TestClock.adjust("5 seconds")
        yield* put(db, "other", String(turn))
      }
      yield* TestClock.adjust("61 seconds")
      yield* put(db, "other", "last")
      yield* db.compact()
      // One of each key, two of "other", and few marks.
      expect((yield* db.verify).entries).toBeLessThan(45)
      expect(yield* db.getText("k7")).toBe(lastOf(39))
    }).pipe(Effect.scoped)
  )

  it.effect("turned off and on again, does not take the time between for quiet", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const disk = yield* emptyDisk
      const during = (retention: EngineSettings["retention"], body: (db: DatabaseShape) => Effect.Effect<void, unknown>) =>
        Effect.scoped(Effect.flatMap(openSimulated(disk, { retention }), body))
      const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000)
      yield* during({ history: "unlimited" }, (db) => Effect.asVoid(put(db, "k", "kept")))
      yield* TestClock.setTime(at(10).getTime())
      yield* during({}, (db) => Effect.asVoid(put(db, "k", "last mark")))
      yield* TestClock.setTime(at(20).getTime())
      yield* during({}, (db) => Effect.asVoid(put(db, "k", "unmarked")))
      yield* TestClock.setTime(at(30).getTime())
      yield* during({ history: "unlimited" }, (db) =>
        Effect.gen(function* () {
          yield* put(db, "k", "kept again")
          yield* TestClock.setTime(at(40).getTime())
          expect(yield* valueAt(db, at(5), "k")).toBe("kept")
          expect(yield* valueAt(db, at(10), "k")).toBe("kept")
          for (const seconds of [11, 20, 25, 30]) expect(yield* failureOf(valueAt(db, at(seconds), "k"))).toMatchObject({ _tag: "HistoryGone" })
          expect(yield* valueAt(db, at(31), "k")).toBe("kept again")
          expect(yield* failureOf(valueAt(db, at(41), "k"))).toMatchObject({ _tag: "FutureMoment", unit: "ms" })
          expect(yield* valueAt(db, at(-5), "k")).toBeUndefined()
        })
      )
    })
  )
})
