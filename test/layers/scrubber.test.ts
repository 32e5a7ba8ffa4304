/** Scrubbing: slow, by the clock it is given; finds damage that nobody has read yet; holds up neither compaction nor closing. */
import { describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { flipByte } from "../support/restorePointDatabase.ts"

const kib = 1024

const fill = (db: DatabaseShape, count: number) =>
  Effect.andThen(
    Effect.forEach(
      Array.from({ length: count }, (_, i) => i),
      (i) => db.put(`k${String(i).padStart(5, "0")}`, crypto.getRandomValues(new Uint8Array(i % 3 === 0 ? 4000 : 200)), { durability: "buffered" }),
      { discard: true }
    ),
    db.flush
  )

/** Lets all that is due now happen. */
const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, { discard: true })

const advance = (duration: Duration.Input) => Effect.andThen(TestClock.adjust(duration), settle)

const tableOf = (disk: SimulatedDisk, kind = ".table") =>
  `${directory}/${
    disk
      .list(directory)
      .filter((name) => name.endsWith(kind))
      .sort()[0]
  }`

describe("scrub", () => {
  it.effect("reads every file once, and says what it read", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 60)
      const scrubbing = yield* Effect.forkChild(db.scrub({ bytesPerSecond: 1 << 30 }))
      yield* advance("10 seconds")
      const report = yield* Fiber.join(scrubbing)
      const { tables, valueFiles } = yield* db.verify
      expect(report).toMatchObject({ files: tables + valueFiles, damaged: [] })
      const stats = yield* db.stats
      expect(report.bytes).toBeGreaterThanOrEqual(stats.disk.tables + stats.disk.valueFiles)
      expect(stats.scrub).toMatchObject({ running: false, damaged: 0, bytes: report.bytes })
      expect(stats.scrub.lastFinished).toBeGreaterThanOrEqual(stats.scrub.lastStarted!)
    })
  )

  it.effect("goes no faster than it may", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 2000)
      const rate = 256 * kib
      const total = (yield* db.stats).disk.valueFiles
      expect(total).toBeGreaterThan(9 * rate)
      const scrubbing = yield* Effect.forkChild(db.scrub({ bytesPerSecond: rate }))
      yield* settle
      let before = 0
      for (let second = 1; second <= 10; second++) {
        yield* advance("1 second")
        const { bytes, running } = (yield* db.stats).scrub
        expect(running).toBe(true)
        // A burst at the begin, and one read on account.
        expect(bytes).toBeLessThanOrEqual(second * rate + 2 * 256 * kib)
        expect(bytes).toBeGreaterThan(before)
        before = bytes
      }
      expect(before).toBeGreaterThan(8 * rate)
      for (let i = 0; i < 100 && (yield* db.stats).scrub.running; i++) yield* advance("5 seconds")
      expect((yield* Fiber.join(scrubbing)).damaged).toEqual([])
    })
  )

  it.effect("finds damage, says so in report, statistics, health and events, and takes it back when it is gone", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 60)
      const rate = { bytesPerSecond: 1 << 30 }
      for (const kind of [".table", ".values"]) {
        const path = tableOf(disk, kind)
        flipByte(disk, path, 200)
        expect((yield* db.scrub(rate)).damaged).toMatchObject([{ _tag: "CorruptFile", file: path }])
        expect((yield* db.stats).scrub.damaged).toBe(1)
        const health = yield* db.health
        expect(health.state).toBe("degraded")
        expect(health.reasons.join()).toContain(path)
        flipByte(disk, path, 200)
        expect((yield* db.scrub(rate)).damaged).toEqual([])
        expect((yield* db.health).state).toBe("healthy")
        expect((yield* db.stats).scrub.damaged).toBe(0)
      }
      const missing = tableOf(disk)
      disk.rename(missing, "/aside")
      expect((yield* db.scrub(rate)).damaged).toMatchObject([{ _tag: "CorruptFile", file: missing }])
      disk.rename("/aside", missing)
      disk.onOperation = ({ kind, path }) => (kind === "readAt" && path === missing ? "fail" : "ok")
      expect((yield* db.scrub(rate)).damaged).toMatchObject([{ _tag: "DiskError" }])
      disk.onOperation = undefined
      expect(yield* Effect.flip(db.scrub({ bytesPerSecond: 1 }))).toMatchObject({ _tag: "InvalidOptions" })
    })
  )

  it.effect("keeps no space: what is compacted away meanwhile goes, and is not missed", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 600)
      const scrubbing = yield* Effect.forkChild(db.scrub({ bytesPerSecond: 64 * kib }))
      yield* settle
      const before = new Set(disk.list(directory).filter((name) => /\.(table|values)$/.test(name)))
      yield* fill(db, 600)
      yield* db.compact()
      yield* settle
      const after = disk.list(directory)
      expect([...before].filter((name) => after.includes(name))).toEqual([])
      expect((yield* db.stats).scrub.running).toBe(true)
      for (let i = 0; i < 200 && (yield* db.stats).scrub.running; i++) yield* advance("5 seconds")
      expect(yield* Fiber.join(scrubbing)).toMatchObject({ damaged: [] })
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("misses nothing that goes while it reads the table that pointed there", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 200)
      yield* db.compact()
      let isAtTables = false
      disk.onOperation = ({ kind, path }) => {
        if (kind === "open" && path.endsWith(".table")) isAtTables = true
        return "ok"
      }
      const scrubbing = yield* Effect.forkChild(db.scrub({ bytesPerSecond: 64 * kib }))
      for (let i = 0; i < 2000 && !isAtTables; i++) yield* advance("100 millis")
      expect(isAtTables).toBe(true)
      // The table is open, and waits for its turn; its value files are not.
      yield* fill(db, 200)
      yield* db.compact()
      for (let i = 0; i < 200 && (yield* db.stats).scrub.running; i++) yield* advance("5 seconds")
      expect(yield* Fiber.join(scrubbing)).toMatchObject({ damaged: [] })
    })
  )

  it.effect("goes on by itself, every so often, beginning at once", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, { scrub: { every: "1 hour", bytesPerSecond: 1 << 30 } })
      yield* settle
      const first = (yield* db.stats).scrub
      expect(first.lastFinished).toBeDefined()
      yield* fill(db, 60)
      yield* advance("59 minutes")
      expect((yield* db.stats).scrub.lastStarted).toBe(first.lastStarted)
      flipByte(disk, tableOf(disk), 200)
      yield* advance("1 minute")
      const second = (yield* db.stats).scrub
      expect(second.lastStarted! - first.lastStarted!).toBe(3_600_000)
      expect(second.damaged).toBe(1)
      expect((yield* db.health).state).toBe("degraded")
    })
  )

  it.effect("ends at once when the database is closed, and without the option there is none", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const db = yield* openSimulated(disk, { scrub: { every: "1 day", bytesPerSecond: 64 * kib } }).pipe(Scope.provide(scope))
      yield* fill(db, 600)
      const asked = yield* Effect.forkChild(Effect.flip(db.scrub({ bytesPerSecond: 64 * kib })))
      yield* settle
      expect((yield* db.stats).scrub.running).toBe(true)
      // No clock moves.
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(asked)).toMatchObject({ _tag: "DatabaseClosed" })
      const plain = yield* openSimulated(disk)
      yield* advance("30 days")
      expect((yield* plain.stats).scrub).toEqual({ running: false, lastStarted: undefined, lastFinished: undefined, bytes: 0, damaged: 0 })
    })
  )

  it.effect("beside a writer, from a read-only open", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk)
      yield* fill(db, 60)
      const reader = yield* openSimulated(disk, { readOnly: true })
      expect((yield* reader.scrub({ bytesPerSecond: 1 << 30 })).damaged).toEqual([])
      const path = tableOf(disk)
      flipByte(disk, path, 200)
      expect((yield* reader.scrub({ bytesPerSecond: 1 << 30 })).damaged).toMatchObject([{ file: path }])
      expect((yield* reader.stats).scrub.damaged).toBe(1)
    })
  )
})
