/** What once went wrong with the past, its times and the feed, as small as it could be made. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { IoFailure } from "../../src/domain/failures.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import { make as makeRetention } from "../../src/layers/Retention.ts"
import type { Change } from "../../src/services/Changes.ts"
import { Disk } from "../../src/services/Disk.ts"
import { CountingDisk, logFiles } from "../support/logFiles.ts"
import { directory, openOn, openSimulated } from "../support/openEngine.ts"

/** Values that fill a segment of the smallest size with some eighty of them. */
const large = "v".repeat(800)
const sequences = (changes: Iterable<Change>): ReadonlyArray<number> => Array.from(changes, ({ sequence }) => sequence)

describe("the feed", () => {
  it.live("of a checkpoint made right after a crash shows what is committed there: the sequences lost were another lineage's", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const first = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk), first)
      for (let i = 1; i <= 5; i++) yield* db.put(`k${i}`, "1")
      const crashed = disk.crash(seededPrng(3), { mode: "worst" })
      yield* Scope.close(first, Exit.void)
      const again = yield* openSimulated(crashed)
      // Nothing was committed since: the next sequence lies behind the lost ones here, and right behind the last one in the copy.
      yield* again.checkpoint("/copy")
      const copy = yield* openOn(DiskSimulated.layer(crashed), "/copy")
      const { sequence } = yield* copy.put("new", "1")
      expect(sequence).toBe(6)
      expect(yield* copy.createCursor("reader")).toMatchObject({ next: 7 })
      const { sequence: second } = yield* copy.put("newer", "1")
      expect(sequences(yield* Stream.runCollect(copy.changes({ from: 6, live: false })))).toContain(second)
    }).pipe(Effect.scoped)
  )

  it.live("gives its handles back wherever a reader is interrupted, also on its way into a read by the pool", () =>
    Effect.gen(function* () {
      const disk = new CountingDisk(new SimulatedDisk())
      disk.sync.makeDirectory(directory)
      // Segments of more than is read in place.
      const db = yield* openOn(Layer.succeed(Disk, disk.service), directory, { walSegmentBytes: 1 << 20, retention: { log: "unlimited" } })
      for (let i = 1; i <= 300; i++) yield* db.put(`k${i}`, large, { durability: "buffered" })
      for (let opsMax = 2; opsMax <= 16; opsMax++) {
        for (let turns = 0; turns < 12; turns++) {
          const reading = Effect.provideService(Stream.runDrain(db.changes({ from: 1 })), References.MaxOpsBeforeYield, opsMax)
          const reader = yield* Effect.forkChild(reading, { startImmediately: true })
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(reader)
          expect(disk.logsOpen, `${turns} turns of ${opsMax}`).toBe(0)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("never calls a segment damaged that is just being dropped", () =>
    Effect.gen(function* () {
      for (let opsMax = 4; opsMax <= 8; opsMax++) {
        const db = yield* Effect.provideService(openSimulated(new SimulatedDisk()), References.MaxOpsBeforeYield, opsMax)
        const load = Effect.gen(function* () {
          for (let i = 1; i <= 200; i++) yield* db.put(`k${i}`, large, { durability: "buffered" })
          yield* db.flush
        })
        const writing = yield* Effect.forkChild(load)
        let from = 1
        while (writing.pollUnsafe() === undefined) {
          const exit = yield* Effect.exit(Effect.flip(Stream.runDrain(Stream.take(db.changes({ from, live: false }), 1))))
          if (Exit.isSuccess(exit)) {
            if (exit.value._tag !== "HistoryGone") throw exit.value
            from = exit.value.oldestSequence
          }
          yield* Effect.yieldNow
        }
        yield* Fiber.join(writing)
        expect(from, `turns of ${opsMax}`).toBeGreaterThan(1)
      }
    }).pipe(Effect.scoped)
  )
})

describe("durable cursors", () => {
  it.live("whose creation is interrupted, wherever, keep nothing of the log", () =>
    Effect.gen(function* () {
      for (let opsMax = 2; opsMax <= 8; opsMax++) {
        const disk = new SimulatedDisk()
        const db = yield* openSimulated(disk)
        for (let turns = 0; turns < 24; turns++) {
          const creating = Effect.provideService(db.createCursor(`c${turns}`), References.MaxOpsBeforeYield, opsMax)
          const creator = yield* Effect.forkChild(creating, { startImmediately: true })
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(creator)
        }
        for (const { name } of yield* db.cursors) yield* db.dropCursor(name)
        for (let i = 1; i <= 200; i++) yield* db.put(`k${i}`, large, { durability: "buffered" })
        yield* db.flush
        for (let i = 0; i < 50 && logFiles(disk).length > 2; i++) yield* Effect.sleep(2)
        // The one that is written, and the one that is prepared.
        expect(logFiles(disk).length, `turns of ${opsMax}`).toBeLessThanOrEqual(2)
      }
    }).pipe(Effect.scoped)
  )
})

describe("where the past of a keyspace begins", () => {
  it("is noted of a dropped one as long as a crash could give its name back", () => {
    let durable = 0
    const dropped = new Map([[16, 50]])
    const retention = makeRetention({
      catalog: { droppedIds: () => dropped, historyMs: () => 0, historyVersions: () => 0, keepsHistory: () => false, names: () => [] },
      timeline: { floorAt: (_second, newest) => newest },
      nowMs: () => 0,
      historyFrom: new Map(),
      keptVersions: new Map(),
      namesDurableFrom: () => durable
    })
    // A flush: where it is lost in a crash, the name of the dropped keyspace can be read below 60 after all.
    retention.begin(60, undefined)
    const place = (key: string) => ({ keyspace: 16, key: Buffer.from(key) })
    const drops = () => retention.begin(61, [{ smallest: place("a"), largest: place("z") }]).historyFrom.filter(({ keyspace }) => keyspace === 16)
    expect(drops()).toEqual([{ keyspace: 16, sequence: 61 }])
    durable = 60
    expect(drops()).toEqual([])
  })
})

describe("time marks", () => {
  /** What is left in tables of 200 seconds that nobody can ask for any more, after others that are as old, with an open in between or without. */
  const entriesLeft = (reopens: boolean) =>
    Effect.gen(function* () {
      const settings = { retention: { history: "1 minute" } } as const
      const disk = new SimulatedDisk()
      const first = yield* Scope.make()
      const before = yield* Scope.provide(openSimulated(disk, settings), first)
      for (let turn = 0; turn < 200; turn++) {
        yield* before.put("k", String(turn))
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("2 minutes")
      yield* before.put("k", "last")
      yield* before.flush
      // Their sequences are elided.
      yield* before.compact()
      if (reopens) yield* Scope.close(first, Exit.void)
      const db = reopens ? yield* openSimulated(disk, settings) : before
      for (let turn = 0; turn < 100; turn++) {
        yield* TestClock.adjust("5 seconds")
        yield* db.put("k", String(turn))
      }
      yield* TestClock.adjust("2 minutes")
      yield* db.put("k", "last")
      yield* db.flush
      yield* db.compact()
      const { entries } = yield* db.verify
      yield* Scope.close(first, Exit.void)
      return entries
    }).pipe(Effect.scoped)

  it.effect("that nobody can ask for are deleted after an open, too", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      expect(yield* entriesLeft(true)).toBe(yield* entriesLeft(false))
    })
  )
})

describe("a read-only open", () => {
  /** Fails at one of its reads. */
  class FailingReads {
    left = Infinity
    readonly sync: SyncDisk

    constructor(inner: MemoryDisk) {
      this.sync = {
        open: (path, mode) => {
          const handle = inner.open(path, mode)
          return {
            path,
            readAt: (into, position) => {
              if (--this.left === 0) throw new IoFailure("read", path, "EIO", "it was made to fail")
              return handle.readAt(into, position)
            },
            writev: (buffers, position) => handle.writev(buffers, position),
            datasync: () => handle.datasync(),
            sizeBytes: () => handle.sizeBytes(),
            truncate: (length) => handle.truncate(length),
            close: () => handle.close()
          }
        },
        list: (path) => inner.list(path),
        stat: (path) => inner.stat(path),
        makeDirectory: (path) => inner.makeDirectory(path),
        rename: (from, to) => inner.rename(from, to),
        remove: (path) => inner.remove(path),
        link: (from, to) => inner.link(from, to),
        syncDirectory: (path) => inner.syncDirectory(path)
      }
    }
  }

  it.live("whose refresh fails, wherever, shows one moment or the other", () =>
    Effect.gen(function* () {
      const seen = new Set<string>()
      for (let failing = 1; !seen.has("Success new at 4"); failing++) {
        expect(failing).toBeLessThan(100)
        const inner = new MemoryDisk()
        inner.makeDirectory(directory)
        const disk = new FailingReads(inner)
        const writer = yield* openOn(Layer.succeed(Disk, DiskMemory.make(inner)), directory)
        yield* writer.put("k", "old")
        yield* writer.keyspace("a")
        yield* writer.flush
        const reader = yield* openOn(Layer.succeed(Disk, DiskMemory.make(disk.sync)), directory, { readOnly: true })
        yield* writer.put("k", "new")
        yield* writer.keyspace("b")
        yield* writer.flush
        yield* writer.compact()
        disk.left = failing
        const { _tag } = yield* Effect.exit(reader.refresh)
        disk.left = Infinity
        seen.add(`${_tag} ${yield* reader.getText("k")} at ${(yield* reader.stats).visibleSequence}`)
      }
      expect([...seen].sort()).toEqual(["Failure new at 4", "Failure old at 2", "Success new at 4"])
    }).pipe(Effect.scoped)
  )
})
