/**
 * Every actor is killed by a defect where it works: it is started again and its job repeated, or, where it may not be, the engine stops itself and says so. All under a clock that
 * stands still unless it is moved.
 */
import { describe, expect, it } from "@effect/vitest"
import { vi } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Memtable } from "../../src/domain/memtable/Memtable.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { HealthEvent } from "../../src/services/HealthEvents.ts"
import { healthLog, turns } from "../support/healthLog.ts"
import { killingClock, type KillingClock, withKillingClock } from "../support/killingClock.ts"
import { type EngineSettings, openSimulated } from "../support/openEngine.ts"

const value = new Uint8Array(1000)
const put = (db: DatabaseShape, i: number) => db.put(`k${i}`, value, { durability: "buffered" })
const startMs = 1_700_000_000_000

/** What died and how often in a row, by name. */
const restarts = (events: ReadonlyArray<HealthEvent>) =>
  events.flatMap((event) => (event.type === "restarted" ? [[event.resource, event.deaths]] : []))

const run = <A, E>(
  settings: EngineSettings,
  body: (parts: {
    readonly db: DatabaseShape
    readonly clock: KillingClock
    readonly events: ReadonlyArray<HealthEvent>
    readonly disk: SimulatedDisk
  }) => Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(startMs)
    const clock = yield* killingClock
    return yield* Effect.scoped(
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        const db = yield* withKillingClock(clock, openSimulated(disk, settings))
        const events = yield* healthLog(db)
        return yield* body({ db, clock, events, disk })
      })
    )
  })

/** Everything of it that is refused. */
const refusals = (db: DatabaseShape) =>
  Effect.gen(function* () {
    const tag = <A, E extends { readonly _tag: string }>(call: Effect.Effect<A, E, Scope.Scope>) =>
      Effect.map(Effect.flip(Effect.scoped(call)), ({ _tag }) => _tag)
    const thrown = (read: () => unknown): string => {
      try {
        read()
        return "nothing"
      } catch (cause) {
        return (cause as { readonly _tag: string })._tag
      }
    }
    return [
      yield* tag(db.put("k", "v")),
      yield* tag(db.delete("k")),
      yield* tag(db.write([{ type: "put", key: "k", value: "v" }])),
      yield* tag(db.get("k")),
      yield* tag(db.getMany(["k"])),
      yield* tag(Stream.runDrain(db.scan())),
      yield* tag(db.snapshot),
      yield* tag(db.begin()),
      yield* tag(db.transaction((tx) => tx.get("k"))),
      yield* tag(Stream.runDrain(db.changes({ live: false }))),
      yield* tag(db.keyspace("other")),
      yield* tag(db.flush),
      yield* tag(db.compact()),
      yield* tag(db.verify),
      thrown(() => db.unsafe.get("k")),
      thrown(() => [...db.unsafe.entries()])
    ]
  })

describe("an actor that dies", () => {
  it.effect("the flusher: its flush is repeated, nothing is lost, and nobody who waits is told", () =>
    run({ writeBufferCount: 2 }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        clock.arm(/Flusher\.ts/)
        for (let i = 0; i < 200; i++) yield* put(db, i)
        yield* db.flush
        expect(clock.kills).toBe(1)
        expect(restarts(events)).toEqual([["flusher", 1]])
        expect((yield* db.stats).memtables.frozen).toBe(0)
        expect((yield* db.health).state).toBe("healthy")
        for (let i = 0; i < 200; i++) expect(yield* db.has(`k${i}`)).toBe(true)
        // What it got done counts: the next death is a first one.
        clock.arm(/Flusher\.ts/)
        yield* put(db, 1)
        yield* db.flush
        expect(restarts(events)).toEqual([
          ["flusher", 1],
          ["flusher", 1]
        ])
      })
    )
  )

  it.effect(
    "the flusher, again and again: the engine stops itself; everything is refused, those who wait are told, and nothing acknowledged is lost",
    () =>
      Effect.gen(function* () {
        let left: SimulatedDisk | undefined
        yield* run({ retry: { attempts: 3 } }, ({ clock, db, disk, events }) =>
          Effect.gen(function* () {
            left = disk
            for (let i = 0; i < 10; i++) yield* db.put(`k${i}`, "v")
            const following = yield* Effect.forkChild(Effect.flip(Stream.runDrain(db.changes())), { startImmediately: true })
            yield* turns(5)
            clock.arm(/Flusher\.ts/, Infinity)
            expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DatabaseFailed", actor: "flusher", detail: "killed by the test" })
            expect(clock.kills).toBe(4)
            expect(restarts(events)).toEqual([
              ["flusher", 1],
              ["flusher", 2],
              ["flusher", 3]
            ])
            expect(yield* db.health).toMatchObject({ state: "failed", reasons: [expect.stringContaining("its flusher failed (killed by the test)")] })
            expect(new Set(yield* refusals(db))).toEqual(new Set(["DatabaseFailed"]))
            expect(yield* Fiber.join(following)).toMatchObject({ _tag: "DatabaseFailed" })
            expect(events.at(-1)).toMatchObject({ type: "state", state: "failed", error: { _tag: "DatabaseFailed" } })
          })
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(left!)
            for (let i = 0; i < 10; i++) expect(yield* db.getText(`k${i}`)).toBe("v")
          })
        )
      })
  )

  it.effect("the committer: nothing goes on after it; what was under way does not know, what came after was not done", () =>
    Effect.gen(function* () {
      let left: SimulatedDisk | undefined
      yield* run({}, ({ clock, db, disk }) =>
        Effect.gen(function* () {
          left = disk
          yield* db.put("before", "v")
          clock.arm(/Wal\.ts/, Infinity)
          const outcomes = yield* Effect.forEach([1, 2, 3], (i) => Effect.flip(db.put(`k${i}`, "v")), { concurrency: "unbounded" })
          expect(outcomes[0]).toMatchObject({ _tag: "CommitOutcomeUnknown" })
          for (const outcome of outcomes) expect(["CommitOutcomeUnknown", "DatabaseFailed"]).toContain(outcome._tag)
          clock.arm(/nowhere/)
          expect(yield* db.health).toMatchObject({ state: "failed" })
          expect(new Set(yield* refusals(db))).toEqual(new Set(["DatabaseFailed"]))
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(left!)
          expect(yield* db.getText("before")).toBe("v")
        })
      )
    })
  )

  it.effect("a commit turn: what was half inserted never appears, and nothing goes on", () =>
    Effect.gen(function* () {
      let left: SimulatedDisk | undefined
      yield* run({}, ({ db, disk }) =>
        Effect.gen(function* () {
          left = disk
          yield* db.put("before", "v")
          const insert = vi.spyOn(Memtable.prototype, "insert").mockImplementationOnce(() => {
            throw new TypeError("killed by the test")
          })
          expect(yield* Effect.exit(db.put("half", "v"))).toMatchObject({ _tag: "Failure" })
          insert.mockRestore()
          expect(yield* db.health).toMatchObject({ state: "failed" })
          expect(new Set(yield* refusals(db))).toEqual(new Set(["DatabaseFailed"]))
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(left!)
          expect(yield* db.getText("before")).toBe("v")
          expect(yield* db.has("half")).toBe(false)
        })
      )
    })
  )

  it.effect("a failed write of the log tells file, offset and cause; reading goes on, and it is no failure of the engine", () =>
    Effect.gen(function* () {
      let failing = false
      const disk = new SimulatedDisk({ onOperation: ({ kind, path }) => (failing && kind === "writev" && path.endsWith(".log") ? "fail" : "ok") })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk)
          yield* db.put("before", "v")
          failing = true
          const unknown = yield* Effect.flip(db.put("k", "v"))
          expect(unknown).toMatchObject({
            _tag: "CommitOutcomeUnknown",
            cause: { _tag: "DiskError", operation: "writev", path: expect.stringMatching(/\.log$/), code: "EIO", offsetBytes: expect.any(Number) }
          })
          expect(yield* Effect.flip(db.put("k", "v"))).toMatchObject({ _tag: "DatabasePoisoned", cause: { _tag: "DiskError" } })
          expect((yield* db.health).state).toBe("readOnly")
          expect(yield* db.getText("before")).toBe("v")
        })
      )
    })
  )

  it.effect("a compaction: its job is repeated; one that goes on dying is quarantined, and lifted once its files are gone", () =>
    run({ level0CompactTrigger: 2, level0SlowTrigger: 30, level0StopTrigger: 30, retry: { attempts: 3 } }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        const orders = yield* db.keyspace("orders")
        const fill = (from: number) =>
          Effect.gen(function* () {
            for (let i = from; i < from + 5; i++) yield* orders.put(`k${i}`, value)
            yield* db.flush
          })
        clock.arm(/Compactor\.ts/, 2)
        for (let i = 0; i < 2; i++) yield* fill(i)
        yield* turns(100)
        expect(clock.kills).toBe(2)
        expect((yield* db.stats).compactions.count).toBeGreaterThan(0)
        expect((yield* db.health).state).toBe("healthy")
        clock.arm(/Compactor\.ts/, Infinity)
        const before = clock.kills
        for (let i = 0; i < 4; i++) yield* fill(i)
        yield* turns(100)
        expect(clock.kills).toBe(before + 3)
        expect(yield* db.health).toMatchObject({
          state: "degraded",
          reasons: [expect.stringContaining("compaction cannot go on: killed by the test")]
        })
        const quarantined = events.filter((event) => event.type === "quarantined")
        expect(quarantined).toHaveLength(1)
        expect(quarantined[0]!.files.length).toBeGreaterThan(1)
        expect(yield* Effect.flip(db.compact())).toMatchObject({
          _tag: "JobFailed",
          work: "compaction",
          quarantined: true,
          detail: "killed by the test"
        })
        expect(yield* orders.has("k3")).toBe(true)
        clock.arm(/nowhere/)
        yield* db.dropKeyspace("orders")
        yield* turns(100)
        expect(events.filter((event) => event.type === "quarantineLifted")).toMatchObject([{ files: quarantined[0]!.files }])
        expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      })
    )
  )

  it.effect("the picker of compactions: who nudges it goes on, and it looks again", () =>
    run({ level0CompactTrigger: 2 }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        clock.arm(/Retention\.ts/)
        for (let i = 0; i < 4; i++) yield* Effect.andThen(put(db, 1), db.flush)
        yield* turns(50)
        expect(restarts(events).every(([name]) => name === "picker of compactions")).toBe(true)
        expect((yield* db.stats).compactions.count).toBeGreaterThan(0)
        expect((yield* db.health).state).toBe("healthy")
      })
    )
  )

  it.effect(
    "the segment preparer: the next segment is prepared all the same; dying on, it is started by the schedule, and writing goes on meanwhile",
    () =>
      run({ walSegmentBytes: 65_536, memtableBytes: 1 << 20, retry: { attempts: 2, firstDelay: 100, jitter: 0 } }, ({ clock, db, events }) =>
        Effect.gen(function* () {
          clock.arm(/prepareSegment\.ts/)
          for (let i = 0; i < 100; i++) yield* db.put(`k${i}`, value)
          yield* turns(50)
          expect(restarts(events)).toEqual([["segment preparer", 1]])
          expect((yield* db.stats).retention.logSegments).toBeGreaterThan(1)
          clock.arm(/prepareSegment\.ts/, Infinity)
          for (let i = 0; i < 150; i++) yield* db.put(`k${i}`, value)
          yield* turns(50)
          expect(restarts(events).slice(1)).toEqual([
            ["segment preparer", 1],
            ["segment preparer", 2],
            ["segment preparer", 3]
          ])
          expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("the segment preparer goes on failing")] })
          clock.arm(/nowhere/)
          yield* TestClock.adjust(99)
          expect((yield* db.health).state).toBe("degraded")
          yield* TestClock.adjust(1)
          yield* turns(50)
          expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
        })
      )
  )

  it.effect("the reserver of sequences: writers that wait for a block get it; without one for good, they are told", () =>
    run({ sequenceBlock: 10, retry: { attempts: 2 } }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        yield* turns(100)
        clock.arm(/Manifest\.ts/)
        for (let i = 0; i < 40; i++) yield* db.put(`k${i}`, "v")
        expect(restarts(events)).toEqual([["reserver of sequences", 1]])
        clock.arm(/Manifest\.ts/, Infinity)
        const error = yield* Effect.flip(Effect.forEach(Array.from({ length: 40 }), () => db.put("k", "v"), { discard: true }))
        expect(error).toMatchObject({ _tag: "DatabaseFailed", actor: "reserver of sequences" })
        clock.arm(/nowhere/)
        expect((yield* db.health).state).toBe("failed")
      })
    )
  )

  it.effect("the expiry reaper: what has expired is removed all the same", () =>
    run({}, ({ clock, db, events }) =>
      Effect.gen(function* () {
        yield* db.put("a", "1", { ttl: 1000 })
        const changes = yield* Effect.forkChild(Stream.runCollect(Stream.take(db.changes({ from: 1 }), 2)), { startImmediately: true })
        yield* turns(20)
        clock.arm(/ExpiryReaper\.ts/)
        yield* TestClock.adjust(1000)
        yield* turns(50)
        expect(clock.kills).toBe(1)
        expect(restarts(events)).toEqual([["expiry reaper", 1]])
        const [, reaped] = yield* Fiber.join(changes)
        expect(reaped!.operations).toMatchObject([{ type: "expire" }])
      })
    )
  )

  it.effect("the snapshot reaper: abandoned snapshots still end", () =>
    run({ snapshotLease: 1000 }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Scope.provide(db.snapshot, scope)
        yield* turns(5)
        clock.arm(/SnapshotLeases\.ts/)
        yield* TestClock.adjust(1000)
        yield* turns(5)
        expect(restarts(events)).toEqual([["snapshot reaper", 1]])
        yield* TestClock.adjust(1000)
        yield* turns(5)
        clock.arm(/nowhere/)
        expect((yield* db.stats).snapshots).toMatchObject({ open: 0, expired: 1 })
        yield* Scope.close(scope, Exit.void)
      })
    )
  )

  it.effect("the keeper of the log: segments that nobody needs still go", () =>
    run({ walSegmentBytes: 65_536, memtableBytes: 65_536 }, ({ clock, db, events }) =>
      Effect.gen(function* () {
        yield* db.createCursor("reader")
        for (let i = 0; i < 300; i++) yield* put(db, i)
        yield* db.flush
        yield* turns(50)
        const held = (yield* db.stats).retention.logSegments
        expect(held).toBeGreaterThan(2)
        clock.arm(/makeFeed\.ts/)
        yield* db.dropCursor("reader")
        yield* turns(100)
        expect(restarts(events)).toEqual([["keeper of the log", 1]])
        expect((yield* db.stats).retention.logSegments).toBeLessThan(held)
      })
    )
  )
})
