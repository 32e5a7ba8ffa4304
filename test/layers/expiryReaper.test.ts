/** The reaper: what has expired becomes `expire` records, once, in order, in bounded commits, and only where it is still there. */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { decodeExpiryRow } from "../../src/domain/keys/expiryRows.ts"
import { expiryKeyspace } from "../../src/domain/keys/kinds.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { openSimulated } from "../support/openEngine.ts"
import { readLog } from "../support/readLog.ts"

const startMs = 1_700_000_000_000
const decoder = new TextDecoder()

/** A segment that holds the whole run, so that all of the log can be read. */
const wholeLog = { walSegmentBytes: 16 << 20, memtableBytes: 16 << 20, durability: "buffered" } as const

/** `key@version:expiresAt` of each expire record, by commit. */
const expired = (disk: SimulatedDisk): ReadonlyArray<ReadonlyArray<string>> =>
  readLog(disk)
    .map(({ operations }) =>
      operations.flatMap((each) => (each.type === "expire" ? [`${decoder.decode(each.key)}@${each.version}:${each.expiresAt - startMs}`] : []))
    )
    .filter((records) => records.length > 0)

/** The rows of the index that the log leaves. */
const rows = (disk: SimulatedDisk): ReadonlyArray<string> => {
  const left = new Set<string>()
  for (const { operations } of readLog(disk))
    for (const each of operations) {
      if (each.type === "rangeDelete" || each.keyspace !== expiryKeyspace) continue
      const { expiresAt, key, keyspace } = decodeExpiryRow(each.key)
      const row = `${expiresAt - startMs}/${keyspace}/${decoder.decode(key)}`
      if (each.type === "put") left.add(row)
      else left.delete(row)
    }
  return [...left].sort()
}

/** The reaper's fibers run when others give way, and its commits when the event loop does. */
const until = (what: string, holds: () => boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < 20_000; i++) {
      if (i % 5 === 0 && holds()) return
      yield* i % 100 === 99 ? Effect.promise(() => new Promise<void>((resume) => setImmediate(resume))) : Effect.yieldNow
    }
    throw new Error(`${what} did not come about`)
  })

const settled = Effect.gen(function* () {
  for (let i = 0; i < 500; i++) yield* i % 100 === 99 ? Effect.promise(() => new Promise<void>((resume) => setImmediate(resume))) : Effect.yieldNow
})

const started = Effect.gen(function* () {
  yield* TestClock.setTime(startMs)
  const disk = new SimulatedDisk()
  return { disk, db: yield* openSimulated(disk, wholeLog) }
})

describe("the reaper", () => {
  it.effect("commits a record with key, version and time, and takes the row away, when the time has come and not before", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      const { sequence } = yield* db.put("a", "1", { ttl: 1000 })
      yield* db.put("b", "1")
      expect(rows(disk)).toEqual(["1000/1/a"])
      yield* TestClock.adjust(999)
      yield* settled
      expect(expired(disk)).toEqual([])
      yield* TestClock.adjust(1)
      yield* until("reaping", () => rows(disk).length === 0)
      expect(expired(disk)).toEqual([[`a@${sequence}:1000`]])
      const last = readLog(disk).at(-1)!
      expect(last.operations.map(({ keyspace, type }) => [type, keyspace])).toEqual([
        ["expire", 1],
        ["delete", expiryKeyspace]
      ])
      expect(last.commitTimeMs).toBe(startMs + 1000)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    }).pipe(Effect.scoped)
  )

  it.effect("is woken by what expires earlier than what it sleeps for", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      yield* db.put("late", "1", { ttl: "1 hour" })
      yield* settled
      yield* db.put("early", "1", { ttl: 1000 })
      yield* db.put("past", "1", { expiresAt: startMs - 5, durability: "sync" })
      yield* until("the past", () => expired(disk).length === 1)
      yield* TestClock.adjust(1000)
      yield* until("the early one", () => expired(disk).length === 2)
      expect(expired(disk).map(([record]) => record!.split("@")[0])).toEqual(["past", "early"])
      yield* TestClock.adjust("1 hour")
      yield* until("the late one", () => rows(disk).length === 0)
      expect(expired(disk)).toHaveLength(3)
    }).pipe(Effect.scoped)
  )

  it.effect("finds what is put later for the very moment it waits for, before and behind the row it waits for", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      yield* db.put("gone", "1", { ttl: 500 })
      yield* db.put("m", "1", { ttl: 1000 })
      yield* TestClock.adjust(500)
      yield* until("reaping", () => expired(disk).length === 1)
      yield* db.put("a", "1", { ttl: 500 })
      yield* db.put("z", "1", { ttl: 500 })
      yield* TestClock.adjust(500)
      yield* until("reaping", () => rows(disk).length === 0)
      expect(expired(disk).map((records) => records.map((record) => record[0]))).toEqual([["g"], ["a", "m", "z"]])
    }).pipe(Effect.scoped)
  )

  it.effect("leaves alone what was written again, moved, or deleted: only the old rows go", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      for (const key of ["stays", "moved", "same", "deleted", "ranged", "added"]) yield* db.put(key, "old", { ttl: 1000 })
      yield* db.put("stays", "new")
      yield* db.put("moved", "new", { ttl: 5000 })
      const { sequence } = yield* db.put("same", "new", { ttl: 1000 })
      yield* db.delete("deleted")
      yield* db.write([
        { type: "deleteRange", prefix: "ranged" },
        { type: "append", key: "added", value: "er" }
      ])
      yield* TestClock.adjust(1000)
      yield* until("reaping", () => rows(disk).length === 1)
      expect(rows(disk)).toEqual(["5000/1/moved"])
      expect(expired(disk)).toEqual([[`same@${sequence}:1000`]])
      expect(yield* scanned(db)).toEqual(["added=older", "moved=new", "stays=new"])
      yield* TestClock.adjust(4000)
      yield* until("the moved one", () => rows(disk).length === 0)
      expect(yield* scanned(db)).toEqual(["added=older", "stays=new"])
    }).pipe(Effect.scoped)
  )

  it.effect("reaps ten thousand values of one moment in commits of a thousand, in the order of their keys", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      const keys = Array.from({ length: 10_000 }, (_, i) => `k${String(i).padStart(5, "0")}`)
      for (let from = 0; from < keys.length; from += 2500)
        yield* db.write(keys.slice(from, from + 2500).map((key) => ({ type: "put", key, value: "v", expiresAt: startMs + 1000 })))
      yield* db.put("other", "v", { ttl: 1001 })
      yield* TestClock.adjust(1000)
      yield* until("reaping", () => rows(disk).length === 1)
      const commits = expired(disk)
      expect(commits.map((records) => records.length)).toEqual(Array.from({ length: 10 }, () => 1000))
      expect(commits.flat().map((record) => record.split("@")[0])).toEqual(keys)
      expect(yield* scanned(db)).toEqual(["other=v"])
      yield* TestClock.adjust(1)
      yield* until("the last one", () => rows(disk).length === 0)
    }).pipe(Effect.scoped)
  )

  it.effect("overlooks nothing that is put while it is reaping, for the same moment and before the row it goes on from", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      const expiresAt = startMs + 1000
      const run = Effect.runForkWith(yield* Effect.context<never>())
      let left = Infinity
      let whenLogged = (): void => undefined
      const disk = new SimulatedDisk({
        onOperation: ({ kind, path }) => {
          if (kind === "writev" && path.endsWith(".log")) whenLogged()
        }
      })
      const db = yield* openSimulated(disk, wholeLog)
      for (let from = 0; from < 5000; from += 2500)
        yield* db.write(Array.from({ length: 2500 }, (_, i) => ({ type: "put", key: `k${from + i}`, value: "v", expiresAt })))
      whenLogged = () => {
        whenLogged = () => undefined
        // With the first commit of the reaper on its way to the disk.
        queueMicrotask(() => {
          left = rows(disk).length
          run(db.put("a", "v", { expiresAt }))
        })
      }
      yield* TestClock.adjust(1000)
      yield* until("reaping", () => left < Infinity && rows(disk).length === 0)
      expect(left).toBeGreaterThanOrEqual(4000)
      expect(expired(disk).flat().length).toBe(5001)
    }).pipe(Effect.scoped)
  )

  /** `expiring`: every other key is written with the same expiry again. */
  const overtaken = (expiring: boolean) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      let looking = false
      const disk = new SimulatedDisk({
        onOperation: ({ kind, path }) => {
          if (kind === "readAt" && path.endsWith(".table")) looking = true
        }
      })
      // Nothing is cached: each look waits for its block.
      const db = yield* openSimulated(disk, { ...wholeLog, cacheBytes: 0, valueThresholdBytes: 1 << 20 })
      const keys = Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, "0")}`)
      yield* db.write(keys.map((key) => ({ type: "put", key, value: new Uint8Array(200), ttl: 1000 })))
      yield* Effect.andThen(db.flush, db.compact())
      yield* settled
      looking = false
      yield* Effect.forkChild(TestClock.adjust(1000))
      yield* until("looking", () => looking)
      for (const [i, key] of keys.toReversed().entries()) {
        yield* expiring && i % 2 === 1 ? db.put(key, "new", { expiresAt: startMs + 1000 }) : db.put(key, "new")
        yield* Effect.yieldNow
      }
      yield* until("reaping", () => rows(disk).length === 0)
      const stay = keys.toReversed().filter((_, i) => !expiring || i % 2 === 0)
      expect(yield* scanned(db)).toEqual(stay.toReversed().map((key) => `${key}=new`))
      // Each record speaks of what was the newest version when it was committed.
      const newest = new Map<string, number>()
      let records = 0
      for (const { operations, sequence } of readLog(disk))
        for (const each of operations) {
          if (each.type === "rangeDelete" || each.keyspace !== 1) continue
          const key = decoder.decode(each.key)
          if (each.type !== "expire") newest.set(key, sequence)
          else {
            records++
            expect(newest.get(key), key).toBe(each.version)
            newest.delete(key)
          }
        }
      expect(records).toBeGreaterThanOrEqual(expiring ? 100 : 0)
      expect(records).toBeLessThan(expiring ? 300 : 200)
    }).pipe(Effect.scoped)
  it.effect("never expires what was written while it looked", () => overtaken(false))
  it.effect("expires what was written while it looked, with the same expiry, as that version", () => overtaken(true))

  it.effect("finds rows and values in tables too, after flush, compaction and reopening; what it reaped leaves them", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      const disk = new SimulatedDisk()
      const settings = { ...wholeLog, memtableBytes: 65_536, cacheBytes: 0 }
      const first = yield* Scope.make()
      const db = yield* Effect.provideService(openSimulated(disk, settings), Scope.Scope, first)
      for (let i = 0; i < 300; i++)
        yield* db.write([
          { type: "put", key: `k${i}`, value: new Uint8Array(300), ttl: 1000 + (i % 10) },
          { type: "put", key: `n${i}`, value: "stays" }
        ])
      yield* Effect.andThen(db.flush, db.compact())
      yield* db.put("k0", "again")
      yield* db.flush
      yield* Scope.close(first, Exit.void)
      const again = yield* openSimulated(disk, settings)
      expect(yield* scanned(again, { prefix: "k" })).toHaveLength(300)
      yield* again.verify
      yield* TestClock.adjust(1004)
      yield* until("the first half", () => expired(disk).flat().length === 149)
      expect(yield* scanned(again, { prefix: "k" })).toHaveLength(151)
      yield* TestClock.adjust(10)
      yield* until("all", () => expired(disk).flat().length === 299)
      expect(yield* scanned(again, { prefix: "k" })).toEqual(["k0=again"])
      yield* Effect.andThen(again.flush, again.compact())
      const { entries } = yield* again.verify
      // 300 that stay and the one written again: neither values, nor records, nor rows are left.
      expect(entries).toBe(301)
    }).pipe(Effect.scoped)
  )

  it.effect("after a crash, whatever that leaves: what is there expires, and no row is left over", () =>
    Effect.gen(function* () {
      let survivors = 0
      for (let seed = 1; seed <= 12; seed++) {
        yield* TestClock.setTime(startMs)
        const disk = new SimulatedDisk()
        const crashed = yield* Effect.gen(function* () {
          const db = yield* openSimulated(disk, wholeLog)
          for (let i = 0; i < 30; i++) yield* db.put(`k${i}`, "v", { ttl: 1000 + i, durability: i === 15 ? "sync" : "buffered" })
          // Half of the crashes come while it reaps.
          if (seed % 2 === 0) {
            yield* TestClock.adjust(1010)
            yield* until("some reaping", () => expired(disk).length > 0)
          }
          return disk.crash(seededPrng(seed), { mode: "random" })
        }).pipe(Effect.scoped)
        yield* TestClock.setTime(startMs)
        const db = yield* openSimulated(crashed, wholeLog)
        const there = yield* scanned(db)
        survivors += there.length
        const before = expired(crashed).flat().length
        yield* TestClock.adjust(2000)
        yield* until(`seed ${seed}: reaping`, () => rows(crashed).length === 0)
        expect(yield* scanned(db), `seed ${seed}`).toEqual([])
        expect(expired(crashed).flat().length, `seed ${seed}`).toBeGreaterThanOrEqual(before + there.length)
        expect(new Set(expired(crashed).flat()).size, `seed ${seed}`).toBe(expired(crashed).flat().length)
      }
      expect(survivors).toBeGreaterThan(12 * 5)
    }).pipe(Effect.scoped)
  )

  it.effect("an expired value does not come back when the clock is set back, also over a reopen", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      const disk = new SimulatedDisk()
      const first = yield* Scope.make()
      const db = yield* Effect.provideService(openSimulated(disk, wholeLog), Scope.Scope, first)
      yield* db.put("a", "1", { ttl: 1000 })
      yield* TestClock.adjust(1000)
      expect(yield* db.get("a")).toBeUndefined()
      yield* TestClock.setTime(startMs)
      expect(yield* db.get("a")).toBeUndefined()
      yield* until("reaping", () => rows(disk).length === 0)
      yield* Scope.close(first, Exit.void)
      const again = yield* openSimulated(disk, wholeLog)
      expect(yield* again.get("a")).toBeUndefined()
      yield* again.put("b", "1", { ttl: 500 })
      expect(rows(disk)).toEqual(["1500/1/b"])
    }).pipe(Effect.scoped)
  )

  it.effect("takes away the rows of a keyspace that was dropped, and those only", () =>
    Effect.gen(function* () {
      const { db, disk } = yield* started
      const orders = yield* db.keyspace("orders")
      yield* orders.put("a", "1", { ttl: 1000 })
      yield* db.put("a", "1", { ttl: 1000 })
      yield* db.dropKeyspace("orders")
      yield* TestClock.adjust(1000)
      yield* until("reaping", () => rows(disk).length === 0)
      expect(expired(disk).flat()).toHaveLength(1)
    }).pipe(Effect.scoped)
  )

  it.effect("an idle database without anything that expires has no timer; with it, one", () =>
    Effect.gen(function* () {
      const sleeps: Array<number> = []
      const clock = yield* Clock.Clock
      // The test's clock, with its controls, and a sleep that is counted.
      const counting: Clock.Clock = Object.assign(Object.create(clock), {
        sleep: (duration: Duration.Duration) => {
          sleeps.push(Duration.toMillis(duration))
          return clock.sleep(duration)
        }
      })
      yield* Effect.gen(function* () {
        yield* TestClock.setTime(startMs)
        const disk = new SimulatedDisk()
        // What waits for a flush, and who watches over it, have timers of their own while they do.
        const db = yield* openSimulated(disk, { ...wholeLog, waitTimeout: "unlimited", watchdog: "unlimited" })
        yield* db.put("a", "1")
        yield* db.write([{ type: "add", key: "n", value: 1 }])
        yield* Effect.andThen(db.flush, db.compact())
        yield* settled
        expect(sleeps).toEqual([])
        yield* db.put("a", "1", { ttl: 700 })
        yield* settled
        expect(sleeps).toEqual([700])
        yield* TestClock.adjust(700)
        yield* until("reaping", () => rows(disk).length === 0)
        yield* settled
        expect(sleeps).toEqual([700])
        // Not longer than a minute: the wall clock may jump.
        yield* db.put("a", "1", { ttl: "1 hour" })
        yield* settled
        expect(sleeps).toEqual([700, 60_000])
      }).pipe(Effect.provideService(Clock.Clock, counting))
    }).pipe(Effect.scoped)
  )

  it.effect("a refused write does not stop it for good: it says so, and goes on when it can", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(startMs)
      let failing = false
      const disk = new SimulatedDisk({ onOperation: ({ kind, path }) => (failing && kind === "readAt" && path.endsWith(".table") ? "fail" : "ok") })
      const db: DatabaseShape = yield* openSimulated(disk, { ...wholeLog, cacheBytes: 0 })
      yield* db.put("a", "1", { ttl: 1000 })
      yield* Effect.andThen(db.flush, db.compact())
      failing = true
      yield* TestClock.adjust(1000)
      yield* settled
      expect((yield* db.health).state).toBe("degraded")
      expect((yield* db.health).reasons.join()).toContain("expired values cannot be removed")
      expect(expired(disk)).toEqual([])
      failing = false
      yield* TestClock.adjust("10 seconds")
      yield* until("reaping", () => expired(disk).length === 1)
      yield* settled
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    }).pipe(Effect.scoped)
  )
})
