/** The reserve, and what writers are told while there is no room. Time stands still unless a test moves it: a sign is enough. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory, openOn, openSimulated } from "../support/openEngine.ts"

const reserveBytes = 65_536
const reserve = `${directory}/RESERVE`

const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })
const usedBytes = (disk: SimulatedDisk) => [...disk.files().values()].reduce((sum, bytes) => sum + bytes.length, 0)
const reserveOf = (disk: SimulatedDisk) => disk.files().get(reserve.slice(1))
const stateOf = (db: DatabaseShape) => Effect.map(db.health, ({ state }) => state)
const value = new Uint8Array(900)

/** Open, with the reserve made, and not a byte more. */
const openFull = (disk: SimulatedDisk, settings = {}) =>
  Effect.gen(function* () {
    const db = yield* openSimulated(disk, { reserveBytes, ...settings })
    yield* turns(300)
    disk.capacityBytes = usedBytes(disk)
    return db
  })

/** What the reserve has left is used up, too. */
const fill = (db: DatabaseShape, disk: SimulatedDisk) =>
  Effect.gen(function* () {
    yield* db.put("last", value)
    disk.capacityBytes = usedBytes(disk)
  })

describe("the reserve", () => {
  it.effect("is made behind an open, whole and synced before it has its name; the next open takes it over", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const inodes: Array<number | undefined> = []
      for (let i = 0; i < 2; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk, { reserveBytes })
            yield* turns(300)
            expect(yield* stateOf(db)).toBe("healthy")
          })
        )
        inodes.push(disk.stat(reserve)?.inode)
      }
      expect(reserveOf(disk)?.length).toBe(reserveBytes)
      expect(reserveOf(disk)?.every((byte) => byte === 0)).toBe(false)
      expect(inodes[0]).toBe(inodes[1])
      expect(disk.files().has(`${reserve.slice(1)}.tmp`)).toBe(false)
      // Renamed last: where the name survives a power cut, so do all of the bytes.
      const whole = reserveOf(disk)!
      let survived = 0
      for (let seed = 0; seed < 40; seed++) {
        const left = reserveOf(disk.crashState(seededPrng(seed)))
        if (left === undefined) continue
        survived++
        expect(Buffer.compare(left, whole), `power cut ${seed}`).toBe(0)
      }
      expect(survived).toBeGreaterThan(0)
      recoverDisk(disk, 1, 65_536)
      expect(reserveOf(disk)?.length).toBe(reserveBytes)
    })
  )

  it.effect("has the size it is to have after the next open, or is gone", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      for (const bytes of [reserveBytes, 40_001, 0, 8192]) {
        yield* Effect.scoped(Effect.andThen(openSimulated(disk, { reserveBytes: bytes }), turns(300)))
        expect(reserveOf(disk)?.length ?? 0).toBe(bytes)
      }
    })
  )

  it.effect("is none in memory, where a full disk is survived all the same", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      const db = yield* openOn(DiskMemory.layerOf(disk), directory, { reserveBytes })
      yield* turns(300)
      expect(disk.list(directory)).not.toContain("RESERVE")
      disk.capacityBytes = 0
      const held = yield* Effect.forkChild(db.put("a", "1"))
      yield* turns(100)
      expect(yield* stateOf(db)).toBe("degraded")
      expect((yield* Effect.flip(db.put("b", "2")))._tag).toBe("DiskFull")
      disk.capacityBytes = undefined
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(held)
      yield* turns(100)
      expect(yield* stateOf(db)).toBe("healthy")
      yield* db.put("b", "2")
      expect(yield* db.getText("a")).toBe("1")
    })
  )

  it.effect("that finds no room at an open: what frees space is taken, nothing else", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* Effect.scoped(Effect.flatMap(openSimulated(disk), (db) => db.put("a", "1")))
      disk.capacityBytes = usedBytes(disk) + 3 * 8192
      const db = yield* openSimulated(disk, { reserveBytes: 1 << 20 })
      yield* turns(300)
      expect(yield* stateOf(db)).toBe("degraded")
      expect((yield* Effect.flip(db.put("b", "2")))._tag).toBe("DiskFull")
      yield* db.delete("a")
      disk.capacityBytes = 1 << 22
      yield* TestClock.adjust("2 seconds")
      yield* turns(300)
      expect(yield* stateOf(db)).toBe("healthy")
      yield* db.put("b", "2")
    })
  )

  it.effect("that an earlier open has left lets a database be opened on a disk without a byte of room", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* Effect.scoped(
        Effect.andThen(
          openFull(disk),
          Effect.sync(() => (disk.capacityBytes = undefined))
        )
      )
      disk.capacityBytes = usedBytes(disk) - reserveBytes / 2
      const again = yield* openSimulated(disk, { reserveBytes })
      yield* again.delete("a")
      expect((yield* Effect.flip(again.put("a", "1")))._tag).toBe("DiskFull")
      disk.capacityBytes += reserveBytes
      yield* TestClock.adjust("2 seconds")
      yield* turns(300)
      yield* again.put("a", "1")
    })
  )
})

describe("without room", () => {
  it.effect("the write that finds none is taken: the reserve makes room; from then on only what frees space is", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openFull(disk)
      yield* turns(10)
      expect(yield* stateOf(db)).toBe("healthy")
      yield* db.put("a", "1")
      expect(reserveOf(disk)).toBeUndefined()
      const { reasons, state } = yield* db.health
      expect(state).toBe("degraded")
      expect(reasons.join()).toMatch(/no space is left for .*ENOSPC/)
      const refused: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>> = [
        db.put("b", "2"),
        db.write([
          { type: "delete", key: "a" },
          { type: "put", key: "c", value: "3" }
        ]),
        db.write([{ type: "add", key: "n", value: 1 }]),
        db.transaction((tx) => tx.put("d", "4"))
      ]
      for (const write of refused) {
        const error = yield* Effect.flip(write)
        expect(error._tag).toBe("DiskFull")
        expect(error.message).toMatch(/Free space .*by itself once there is room/)
      }
      const { visibleSequence } = yield* db.stats
      yield* db.delete("b")
      yield* db.write([
        { type: "delete", key: "b" },
        { type: "deleteRange", gte: "x", lt: "z" }
      ])
      yield* db.transaction((tx) => tx.delete("b"))
      yield* db.keyspace("doomed")
      yield* db.dropKeyspace("doomed")
      expect((yield* db.stats).visibleSequence).toBe(visibleSequence + 5)
      expect(yield* db.getText("a")).toBe("1")
    })
  )

  it.effect("what is deleted and compacted makes room, and writes resume: no clock, no reopening", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, { reserveBytes })
      yield* turns(300)
      for (let i = 0; i < 200; i++) yield* db.put(`k${i}`, value, { durability: "buffered" })
      yield* db.compact()
      yield* turns(300)
      disk.capacityBytes = usedBytes(disk)
      yield* db.put("a", "1")
      expect(yield* stateOf(db)).toBe("degraded")
      yield* db.write([{ type: "deleteRange", gte: "k", lt: "l" }])
      yield* db.compact()
      yield* turns(2000)
      expect(yield* stateOf(db)).toBe("healthy")
      expect(reserveOf(disk)?.length).toBe(reserveBytes)
      yield* db.put("b", "2")
    })
  )

  it.effect("room that others make is found by the schedule: after a second, then twice as long, at most ten seconds", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openFull(disk)
      yield* fill(db, disk)
      expect(yield* stateOf(db)).toBe("degraded")
      // Pauses of 1, 2, 4, 8 seconds, a fifth more or less each, go by in vain.
      yield* TestClock.adjust("30 seconds")
      disk.capacityBytes! += 2 * reserveBytes
      yield* turns(100)
      expect(yield* stateOf(db)).toBe("degraded")
      yield* TestClock.adjust("12 seconds")
      yield* turns(300)
      expect(yield* stateOf(db)).toBe("healthy")
      yield* db.put("b", "2")
      expect(reserveOf(disk)?.length).toBe(reserveBytes)
    })
  )

  it.effect("who waits for a memtable is told at once, and deletes go on waiting", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openFull(disk, { writeBufferCount: 2 })
      disk.capacityBytes = usedBytes(disk)
      const outcomes: Array<string> = []
      const writers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 400 }, (_, i) => i),
          (i) =>
            Effect.map(Effect.result(db.put(`k${i}`, value)), (result) => void outcomes.push(result._tag === "Success" ? "ok" : result.failure._tag)),
          { concurrency: "unbounded", discard: true }
        )
      )
      yield* turns(3000)
      disk.capacityBytes = undefined
      yield* TestClock.adjust("30 seconds")
      yield* turns(3000)
      yield* Fiber.join(writers)
      expect(new Set(outcomes)).toEqual(new Set(["ok", "DiskFull"]))
      expect(yield* stateOf(db)).toBe("healthy")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.effect("an edit of the manifest waits for room, and closing ends that", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openSimulated(disk, { reserveBytes: 0 }), scope)
      yield* db.put("a", "1")
      yield* turns(300)
      // There is room for the table, and none for the edit that names it.
      disk.onOperation = ({ kind, path }) => (kind === "writev" && path.endsWith(".manifest") ? { fail: "ENOSPC", afterBytes: 100 } : "ok")
      const flushing = yield* Effect.forkDetach(Effect.exit(db.flush), { startImmediately: true })
      yield* turns(500)
      expect(flushing.pollUnsafe()).toBeUndefined()
      expect(yield* stateOf(db)).toBe("degraded")
      expect(yield* db.getText("a")).toBe("1")
      yield* Scope.close(scope, Exit.void)
      const exit = yield* Fiber.join(flushing)
      expect(Exit.isFailure(exit)).toBe(true)
      disk.onOperation = undefined
      const again = yield* openSimulated(disk)
      expect(yield* again.getText("a")).toBe("1")
      yield* again.flush
    })
  )
})
