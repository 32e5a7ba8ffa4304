/** Bugs that other engines really had around readers, backups and space, each as a scenario of its own: what happened there must not happen here. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import { TestClock } from "effect/testing"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { directory, type EngineSettings, openOn } from "../support/openEngine.ts"

const newDisk = (): MemoryDisk => {
  const disk = new MemoryDisk()
  disk.makeDirectory(directory)
  return disk
}
const open = (disk: MemoryDisk, settings?: EngineSettings, path = directory) => openOn(DiskMemory.layerOf(disk), path, settings)

/** Writes n0, n1, … and in each batch the number of the last one, until it is interrupted. */
const writing = (db: DatabaseShape) =>
  Effect.gen(function* () {
    for (let i = 0; ; i++) {
      yield* db.write([
        { type: "put", key: `n${String(i).padStart(6, "0")}`, value: "v".repeat((i * 37) % 700) },
        { type: "put", key: "last", value: String(i) }
      ])
      if (i % 20 === 19) yield* Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
    }
  })
/** Whether a state is one that once was. */
const demandPrefix = (db: DatabaseShape) =>
  Effect.gen(function* () {
    const keys = (yield* scanned(db, { prefix: "n", keysOnly: true })).map((pair) => pair.slice(0, -1))
    expect(keys).toEqual(keys.map((_, i) => `n${String(i).padStart(6, "0")}`))
    expect(yield* db.getText("last")).toBe(keys.length === 0 ? undefined : String(keys.length - 1))
    return keys.length
  })

describe("in other engines, readers and backups", { timeout: 120_000 }, () => {
  it.live("lmdb-js #198: a backup made while the database was written was sometimes corrupt", () =>
    Effect.gen(function* () {
      const disk = newDisk()
      const db = yield* open(disk)
      const writer = yield* Effect.forkChild(writing(db), { startImmediately: true })
      let before = 0
      for (let i = 0; i < 12; i++) {
        const { path, sequence } = yield* db.checkpoint(`/backup${i}`)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const copy = yield* open(disk, {}, path)
            const count = yield* demandPrefix(copy)
            expect((yield* copy.stats).visibleSequence).toBe(sequence)
            expect(count).toBeGreaterThanOrEqual(before)
            before = count
            yield* copy.verify
          })
        )
        for (let turn = 0; turn < 5; turn++) yield* Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
      }
      expect(before).toBeGreaterThan(50)
      yield* Fiber.interrupt(writer)
      yield* db.verify
    }).pipe(Effect.scoped)
  )

  it.live("rocksdb-js #812: 273 of 3,804 read-only opens failed beside a writer that compacted", () =>
    Effect.gen(function* () {
      const disk = newDisk()
      const db = yield* open(disk)
      const writer = yield* Effect.forkChild(writing(db), { startImmediately: true })
      const churning = yield* Effect.forkChild(Effect.forever(Effect.andThen(db.flush, db.compact())), { startImmediately: true })
      let before = 0
      let opens = 0
      for (; opens < 80 || (opens < 400 && (yield* db.stats).compactions.count < 4); opens++) {
        const count = yield* Effect.scoped(Effect.flatMap(open(disk, { readOnly: true }), demandPrefix))
        expect(count).toBeGreaterThanOrEqual(before)
        before = count
        yield* Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
      }
      yield* Fiber.interrupt(churning)
      yield* Fiber.interrupt(writer)
      const { compactions, flushes } = yield* db.stats
      expect(flushes.count).toBeGreaterThanOrEqual(4)
      expect(compactions.count).toBeGreaterThanOrEqual(4)
    }).pipe(Effect.scoped)
  )

  it.effect("harper #2107: a transaction that was begun and forgotten pinned its snapshot, and all the space behind it, for ever", () =>
    Effect.gen(function* () {
      const db = yield* open(newDisk(), { snapshotLease: "1 minute", compression: "none" })
      const large = "v".repeat(4000)
      for (let i = 0; i < 50; i++) yield* db.put(`k${i}`, large)
      const forgotten = yield* db.begin()
      expect(yield* forgotten.getText("k1")).toBe(large)
      yield* db.write([{ type: "deleteRange", prefix: "k" }])
      yield* db.compact()
      expect((yield* db.stats).disk.tables + (yield* db.stats).disk.valueFiles).toBeGreaterThan(40_000)
      expect((yield* db.stats).snapshots.open).toBe(1)
      yield* TestClock.adjust("2 minutes")
      expect((yield* db.stats).snapshots.open).toBe(0)
      yield* db.put("after", "1")
      yield* db.compact()
      expect((yield* db.stats).disk.tables + (yield* db.stats).disk.valueFiles).toBeLessThan(10_000)
      // Who comes back to it is told.
      expect((yield* Effect.flip(forgotten.getText("k1")))._tag).toMatch(/SnapshotExpired|TransactionTooOld|TransactionTimeout/)
      expect((yield* Effect.flip(Effect.andThen(forgotten.put("k1", "1"), forgotten.commit)))._tag).toMatch(
        /SnapshotExpired|TransactionTooOld|TransactionTimeout/
      )
    }).pipe(Effect.scoped)
  )

  it.live("lmdb-js #194 and #335, fjall #256: deleted data kept its space", () =>
    Effect.gen(function* () {
      const disk = newDisk()
      const settings = {
        memtableBytes: 1 << 20,
        walSegmentBytes: 1 << 20,
        tableBytes: 1 << 20,
        levelBytesBase: 1 << 20,
        compression: "none"
      } as const
      const db = yield* open(disk, settings)
      for (let at = 0; at < 8000; at += 200)
        yield* db.write(
          Array.from({ length: 200 }, (_, j) => ({ type: "put", key: `k${at + j}`, value: `${at + j}`.repeat(j % 10 === 0 ? 600 : 60) }) as const),
          { durability: "buffered" }
        )
      yield* db.flush
      const full = (yield* db.stats).disk.total
      expect(full).toBeGreaterThan(1_500_000)
      for (let i = 0; i < 8000; i++) yield* db.delete(`k${i}`, { durability: "buffered" })
      yield* db.compact()
      yield* db.put("one", "1")
      yield* db.flush
      const { disk: left } = yield* db.stats
      expect(left.tables + left.valueFiles).toBeLessThan(full / 20)
      // Not only by its own account.
      const files = disk.list(directory).reduce((sum, name) => sum + disk.stat(`${directory}/${name}`)!.sizeBytes, 0)
      expect(files).toBeLessThan(4_000_000)
      expect(yield* scanned(db)).toEqual(["one=1"])
    }).pipe(Effect.scoped)
  )

  it.live("lmdb-js #14: beyond 126 readers the next one failed with MDB_READERS_FULL, and those of processes that had died were never freed", () =>
    Effect.gen(function* () {
      const db = yield* open(newDisk(), { maxTransactions: 2000 })
      yield* db.put("a", "1")
      const scope = yield* Scope.make()
      for (let i = 0; i < 2000; i++) expect(yield* (yield* Scope.provide(db.snapshot, scope)).getText("a")).toBe("1")
      expect((yield* Effect.flip(Effect.scoped(db.snapshot)))._tag).toBe("TooManySnapshots")
      // Reads of the present need none.
      expect(yield* db.getText("a")).toBe("1")
      yield* db.put("a", "2")
      yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.scoped(Effect.flatMap(db.snapshot, (snapshot) => snapshot.getText("a")))).toBe("2")
      expect((yield* db.stats).snapshots.open).toBe(0)
    }).pipe(Effect.scoped)
  )
})
