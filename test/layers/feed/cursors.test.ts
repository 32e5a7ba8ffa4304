import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { SyncDisk } from "../../../src/domain/disk/SyncDisk.ts"
import * as DiskMemory from "../../../src/layers/disk/DiskMemory.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { Change } from "../../../src/services/Changes.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { gatedSyncs, logFiles } from "../../support/logFiles.ts"
import { directory, type EngineSettings, openOn, openSimulated } from "../../support/openEngine.ts"

const large = "v".repeat(800)
const sequences = (changes: Iterable<Change>): ReadonlyArray<number> => Array.from(changes, ({ sequence }) => sequence)
const through = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from + 1 }, (_, i) => from + i)
/** Transactions of which a segment holds sixteen, as each starts on the alignment; answers the last sequence. */
const fill = (db: DatabaseShape, count = 400) =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) yield* db.put(`k${i}`, large)
    yield* db.flush
    return (yield* db.stats).visibleSequence
  })
/** What lets go is noticed in the background. */
const settled = (disk: SyncDisk, atMost: number) =>
  Effect.gen(function* () {
    for (let turns = 0; turns < 300 && logFiles(disk).length > atMost; turns++) yield* Effect.yieldNow
    return logFiles(disk).length
  })
const collect = (db: DatabaseShape, from: number) => Stream.runCollect(db.changes({ from, live: false }))

/** Lives of one database on one disk in memory. */
const lives = (disk: MemoryDisk) => {
  const open = (settings: EngineSettings = {}) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openOn(DiskMemory.layerOf(disk), directory, settings), scope)
      return { db, close: Scope.close(scope, Exit.void) }
    })
  return open
}

describe("durable cursors", () => {
  it.effect("resume where they were left, over restarts, and keep the log from there on; moved on, they let go", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const open = lives(disk)
      const first = yield* open()
      expect(yield* first.db.createCursor("mail")).toEqual({ name: "mail", next: 1 })
      const last = yield* fill(first.db)
      const kept = logFiles(disk).length
      expect(kept).toBeGreaterThan(3)
      yield* first.close

      const second = yield* open()
      expect(yield* second.db.cursors).toEqual([{ name: "mail", next: 1 }])
      // Making it again moves nothing.
      expect(yield* second.db.createCursor("mail", last)).toEqual({ name: "mail", next: 1 })
      const read = yield* Stream.runCollect(Stream.take(second.db.changes({ cursor: "mail" }), 200))
      // The first sequence is that of the cursor's own row, which is nobody's business.
      expect(sequences(read)).toEqual(through(2, 201))
      expect(yield* second.db.advanceCursor("mail", 202)).toEqual({ name: "mail", next: 202 })
      expect(yield* settled(disk, kept - 1)).toBeLessThan(kept)
      expect(logFiles(disk).length).toBeGreaterThan(2)
      // Never back.
      expect(yield* second.db.advanceCursor("mail", 5)).toEqual({ name: "mail", next: 202 })
      yield* second.close

      const third = yield* open()
      expect(sequences(yield* Stream.runCollect(third.db.changes({ cursor: "mail", live: false })))).toEqual(through(202, last))
      yield* third.db.dropCursor("mail")
      expect(yield* third.db.cursors).toEqual([])
      // The row that moved the cursor is in no table yet, so its segment is needed.
      expect(yield* settled(disk, 3)).toBeLessThanOrEqual(3)
      expect((yield* Effect.flip(collect(third.db, 202)))._tag).toBe("HistoryGone")
      yield* third.close
    })
  )

  it.effect("survive a crash as they were acknowledged", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk), scope)
      yield* db.createCursor("a")
      yield* db.createCursor("b")
      yield* fill(db)
      yield* db.advanceCursor("a", 100)
      yield* db.dropCursor("b")
      const crashed = disk.crash(seededPrng(1), { mode: "worst" })
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(crashed)
      expect(yield* again.cursors).toEqual([{ name: "a", next: 100 }])
      const read = yield* Stream.runCollect(again.changes({ cursor: "a", live: false }))
      expect(sequences(read).slice(0, 3)).toEqual([100, 101, 102])
    })
  )

  it.effect("let go of nothing before their move is durable: a crash would take it back", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const gate = Latch.makeUnsafe(true)
      const db = yield* openOn(gatedSyncs(disk, gate), directory)
      // Closing syncs: where the test fails, it must not hang too.
      yield* Effect.addFinalizer(() => Effect.sync(() => gate.openUnsafe()))
      yield* db.createCursor("c")
      yield* fill(db)
      const reading = yield* Effect.forkChild(
        Stream.runForEach(db.changes({ from: 1 }), () => Effect.never),
        { startImmediately: true }
      )
      const kept = logFiles(disk)
      gate.closeUnsafe()
      const moving = yield* Effect.forkChild(db.advanceCursor("c", 300), { startImmediately: true })
      // The end of a reader is a reason to look what may go.
      yield* Fiber.interrupt(reading)
      yield* settled(disk, kept.length - 1)
      expect(logFiles(disk)).toEqual(expect.arrayContaining([...kept]))
      gate.openUnsafe()
      yield* Fiber.join(moving)
      expect(yield* settled(disk, kept.length - 3)).toBeLessThan(kept.length - 2)
      const dropping = (yield* Effect.flip(collect(db, 1)))._tag
      expect(dropping).toBe("HistoryGone")
    })
  )

  it.effect("what they pin is capped: the oldest goes, and they learn what is left", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const db = yield* openOn(DiskMemory.layerOf(disk), directory, { retention: { cursorBytes: 1 << 20 } })
      yield* db.createCursor("slow")
      // A reader that is begun and does not read on is no better than a cursor.
      const iterator = Stream.toAsyncIterable(db.changes({ from: 1 }))[Symbol.asyncIterator]()
      yield* fill(db, 4)
      expect((yield* Effect.promise(() => iterator.next())).value.sequence).toBe(2)
      const last = yield* fill(db, 3000)
      const bytes = logFiles(disk).reduce((sum, name) => sum + disk.stat(`${directory}/${name}`)!.sizeBytes, 0)
      expect(bytes).toBeLessThan((1 << 20) + 6 * 65_536)
      const gone = yield* Effect.flip(Stream.runDrain(db.changes({ cursor: "slow" })))
      if (gone._tag !== "HistoryGone") throw gone
      expect(sequences(yield* collect(db, gone.oldestSequence))).toEqual(through(gone.oldestSequence, last))
      const rest = yield* Effect.promise(async () => {
        try {
          for (;;) if ((await iterator.next()).done === true) return "end"
        } catch (cause) {
          return cause
        }
      })
      expect(rest).toMatchObject({ _tag: "HistoryGone", oldestSequence: gone.oldestSequence })
    })
  )

  it.effect("refuse what cannot be: names, positions, unknown ones, another one's past", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const db = yield* openOn(DiskMemory.layerOf(disk), directory)
      yield* fill(db, 100)
      expect((yield* Effect.flip(db.createCursor("late", 1)))._tag).toBe("HistoryGone")
      for (const name of ["", "x".repeat(256), "\ud800"]) {
        expect((yield* Effect.flip(db.createCursor(name)))._tag).toBe("InvalidOptions")
        expect((yield* Effect.flip(db.advanceCursor(name, 1)))._tag).toBe("InvalidOptions")
      }
      for (const next of [-1, 0.5, Number.NaN]) expect((yield* Effect.flip(db.createCursor("c", next)))._tag).toBe("InvalidOptions")
      expect((yield* Effect.flip(db.createCursor("c", 102)))._tag).toBe("FutureMoment")
      expect((yield* Effect.flip(db.advanceCursor("none", 1)))._tag).toBe("CursorNotFound")
      expect((yield* Effect.flip(db.dropCursor("none")))._tag).toBe("CursorNotFound")
      expect((yield* Effect.flip(Stream.runDrain(db.changes({ cursor: "none" }))))._tag).toBe("CursorNotFound")
      expect(yield* db.cursors).toEqual([])
      expect(yield* db.createCursor("c", 101)).toEqual({ name: "c", next: 101 })
      expect((yield* Effect.flip(db.advanceCursor("c", 103)))._tag).toBe("FutureMoment")
      expect(yield* db.advanceCursor("c", 102)).toEqual({ name: "c", next: 102 })

      yield* db.checkpoint("/copy")
      const copy = yield* openOn(DiskMemory.layerOf(disk), "/copy")
      expect(yield* copy.cursors).toEqual([{ name: "c", next: 102 }])
      expect((yield* Effect.flip(Stream.runDrain(copy.changes({ cursor: "c" }))))._tag).toBe("HistoryDiverged")
      expect((yield* Effect.flip(copy.advanceCursor("c", 103)))._tag).toBe("HistoryDiverged")
      expect((yield* Effect.flip(copy.createCursor("c")))._tag).toBe("HistoryDiverged")
      yield* copy.dropCursor("c")
      expect((yield* copy.createCursor("c")).name).toBe("c")
    })
  )

  it.effect("many at once, of the same name and of others, agree with what is there after a restart", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const open = lives(disk)
      const first = yield* open({ retention: { log: "unlimited" } })
      yield* fill(first.db, 40)
      const { db } = first
      const made = yield* Effect.forEach(through(1, 30), (i) => db.createCursor(`c${i % 5}`, 1 + (i % 7)), { concurrency: "unbounded" })
      for (const { name, next } of made) expect(made.find((other) => other.name === name)!.next).toBe(next)
      const moving = Effect.forEach(through(1, 100), (i) => Effect.ignore(db.advanceCursor(`c${i % 5}`, (i * 17) % 40)), {
        concurrency: "unbounded",
        discard: true
      })
      const cut = yield* Effect.forkChild(Effect.forEach(through(1, 50), (i) => Effect.ignore(db.advanceCursor(`c${i % 5}`, 40)), { discard: true }))
      yield* moving
      yield* Fiber.interrupt(cut)
      yield* Effect.ignore(db.dropCursor("c3"))
      const before = yield* db.cursors
      yield* first.close
      const second = yield* open()
      expect(yield* second.db.cursors).toEqual(before)
      expect(before.map(({ name }) => name)).toEqual(["c0", "c1", "c2", "c4"])
      yield* second.close
    })
  )

  it.live("a cursor dropped under its reader ends the stream, even one that waits", () =>
    Effect.gen(function* () {
      const db = yield* openSimulated(new SimulatedDisk())
      yield* db.createCursor("c")
      const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(db.changes({ cursor: "c" }))), { startImmediately: true })
      yield* db.put("a", "1")
      yield* Effect.yieldNow
      yield* db.dropCursor("c")
      expect((yield* Fiber.join(reading))._tag).toBe("CursorNotFound")
    })
  )
})

describe("retention of the log", () => {
  it.effect("keeps segments for its time after their last commit, over restarts, and drops them afterwards", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const open = lives(disk)
      const settings = { retention: { log: "1 hour" as const } }
      const first = yield* open(settings)
      yield* fill(first.db)
      // In no table yet when the database is closed.
      const { sequence: last } = yield* first.db.put("last", "1")
      const kept = logFiles(disk).length
      expect(kept).toBeGreaterThan(3)
      const { log } = (yield* first.db.stats).disk
      expect(log).toBeGreaterThan(400 * 800)
      yield* first.close
      yield* TestClock.adjust("30 minutes")
      const second = yield* open(settings)
      expect(sequences(yield* collect(second.db, 1))).toEqual(through(1, last))
      expect((yield* second.db.stats).disk.log).toBeGreaterThan(400 * 800)
      yield* second.db.put("later", "1")
      yield* second.db.flush
      yield* settled(disk, 0)
      expect(sequences(yield* collect(second.db, 1))).toEqual(through(1, last + 1))
      yield* second.close
      // What was written before goes, what was written later stays.
      yield* TestClock.adjust("31 minutes")
      const third = yield* open(settings)
      expect(yield* settled(disk, 3)).toBeLessThanOrEqual(3)
      const gone = yield* Effect.flip(collect(third.db, 1))
      if (gone._tag !== "HistoryGone") throw gone
      expect(gone.oldestSequence).toBeLessThanOrEqual(last + 1)
      expect(sequences(yield* collect(third.db, gone.oldestSequence))).toEqual(through(gone.oldestSequence, last + 1))
      yield* third.close
    })
  )

  it.effect("counts the time of a log that a crash cut short from its last commit, too", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const settings = { retention: { log: "1 hour" as const } }
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk, settings), scope)
      yield* TestClock.adjust("5 hours")
      for (let i = 1; i <= 5; i++) yield* db.put(`k${i}`, "v")
      const crashed = disk.crash(seededPrng(1), { mode: "worst" })
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(crashed, settings)
      yield* again.put("later", "1")
      yield* again.flush
      yield* settled(crashed, 0)
      expect(sequences(yield* collect(again, 1)).slice(0, 5)).toEqual(through(1, 5))
      yield* TestClock.adjust("61 minutes")
      yield* again.put("much later", "1")
      yield* again.flush
      yield* settled(crashed, 2)
      expect((yield* Effect.flip(collect(again, 1)))._tag).toBe("HistoryGone")
    })
  )

  it.effect("by default nothing is kept beyond what recovery needs", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const open = lives(disk)
      const first = yield* open()
      yield* fill(first.db)
      expect(yield* settled(disk, 2)).toBeLessThanOrEqual(2)
      yield* first.close
      const second = yield* open()
      expect(yield* settled(disk, 2)).toBeLessThanOrEqual(2)
      yield* second.close
    })
  )

  it.effect("an open does not read what is only kept, and refuses a segment that is missing or cut", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const open = lives(disk)
      const settings = { retention: { log: "unlimited" as const } }
      const first = yield* open(settings)
      yield* fill(first.db)
      yield* first.close
      const [oldest] = logFiles(disk)
      const path = `${directory}/${oldest}`
      const { replayedBytes } = (yield* Effect.flatMap(open(settings), ({ close, db }) =>
        Effect.andThen(db.stats, (stats) => Effect.as(close, stats))
      )).recovery
      expect(replayedBytes).toBeLessThan(2 * 65_536)
      const handle = disk.open(path, "write")
      handle.truncate(handle.sizeBytes() - 1)
      handle.close()
      expect(yield* Effect.flip(open(settings))).toMatchObject({ _tag: "CorruptFile", file: path, reason: "Truncated" })
      disk.remove(path)
      expect(yield* Effect.flip(open(settings))).toMatchObject({ _tag: "CorruptFile", file: path, reason: "Missing" })
    })
  )
})
