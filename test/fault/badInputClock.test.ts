/**
 * A wall clock that jumps an hour or a year either way, while the database is open and while it is not. Engine time never goes back; it follows a jump forward for good (what is due by then is
 * due), and runs on by the monotonic clock where the wall clock lies behind it. Leases do not see jumps at all.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { openSimulated } from "../support/openEngine.ts"
import { simulatedClock, withSimulatedClock } from "../support/simulatedClock.ts"

const startMs = 1_700_000_000_000
const second = 1000
const minute = 60 * second
const hour = 60 * minute
const year = 365 * 24 * hour

/** A clock whose wall time can be set apart from its monotonic time, which `pass` moves. */
const movedClock = () => {
  const inner = simulatedClock(startMs)
  let wallMs = 0
  let passedMs = 0
  const wall = () => inner.currentTimeMillisUnsafe() + passedMs + wallMs
  const monotonic = () => inner.monotonicTimeNanosUnsafe() + BigInt(passedMs) * 1_000_000n
  const clock: Clock.Clock = {
    ...inner,
    currentTimeMillisUnsafe: wall,
    currentTimeMillis: Effect.sync(wall),
    currentTimeNanosUnsafe: () => BigInt(wall()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(wall()) * 1_000_000n),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic)
  }
  return {
    clock,
    /** Somebody sets the wall clock by so much. */
    jump: (ms: number) => {
      wallMs += ms
    },
    /** Time passes, on both. */
    pass: (ms: number) => {
      passedMs += ms
    },
    wall
  }
}

const options = { retention: { history: "2000 days", log: "unlimited" }, snapshotLease: "10 minutes" } as const
const use = <A>(disk: SimulatedDisk, clock: Clock.Clock, run: (db: DatabaseShape) => Effect.Effect<A, unknown>) =>
  Effect.runPromise(withSimulatedClock(Effect.scoped(Effect.flatMap(openSimulated(disk, options), run)), clock))

const commitTimes = (db: DatabaseShape) =>
  Effect.map(Stream.runCollect(db.changes({ from: 1, live: false })), (changes) => changes.map(({ commitTimeMs }) => commitTimeMs))
const demandMonotone = (db: DatabaseShape) =>
  Effect.map(commitTimes(db), (times) => {
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    return times
  })
const expiryOf = (db: DatabaseShape, key: string) =>
  Effect.map(Stream.runCollect(db.scan({ prefix: key }, { expiry: true })), ([entry]) => entry?.expiresAt)
/** Until what is due has been removed: by its commit, which the feed shows. */
const reaped = (db: DatabaseShape, key: string) =>
  Effect.gen(function* () {
    for (let i = 0; i < 2000; i++) {
      const versions = yield* Stream.runCollect(db.history(key))
      if (versions.at(-1)?.type === "expire") return versions.length
      yield* i % 50 === 49 ? Effect.promise(() => new Promise<void>((resume) => setImmediate(resume))) : Effect.yieldNow
    }
    throw new Error(`${key} has not been removed`)
  })

describe("a clock that jumps", () => {
  for (const [how, by] of [
    ["an hour", hour],
    ["a year", year]
  ] as const) {
    it(`${how} forward: engine time follows, what is due by then is gone for good, leases are not`, async () => {
      const disk = new SimulatedDisk()
      const time = movedClock()
      await use(disk, time.clock, (db) =>
        Effect.gen(function* () {
          const { sequence } = yield* db.put("short", "1", { ttl: by - minute })
          yield* db.put("long", "1", { ttl: by + 30 * minute })
          const snapshot = yield* db.snapshot
          const then = new Date(time.wall())
          time.pass(2 * second)
          time.jump(by)
          // A lease of ten minutes is one of ten minutes; it still reads what it saw.
          expect(yield* snapshot.getText("short")).toBe("1")
          expect(yield* db.getText("short")).toBeUndefined()
          expect(yield* db.getText("long")).toBe("1")
          yield* db.put("after", "1")
          const times = yield* demandMonotone(db)
          expect(times.at(-1)! - times[0]!).toBeGreaterThanOrEqual(by)
          // Both moments can still be asked for.
          const past = yield* db.at(sequence)
          expect(yield* past.getText("short")).toBe("1")
          expect(yield* (yield* db.at(new Date(then.getTime() + second))).getText("long")).toBe("1")
          // Set back, time does not go back with it: what was gone stays gone.
          time.jump(-by)
          yield* db.put("back", "1")
          expect(yield* db.getText("short")).toBeUndefined()
          const later = yield* demandMonotone(db)
          expect(later.at(-1)! - later[0]!).toBeGreaterThanOrEqual(by)
          time.pass(9 * minute)
          expect(yield* snapshot.getText("long")).toBe("1")
          time.pass(2 * minute)
          expect(yield* Effect.flip(snapshot.getText("long"))).toMatchObject({ _tag: "SnapshotExpired" })
          time.pass(20 * minute)
          expect(yield* db.getText("long")).toBeUndefined()
        }).pipe(Effect.scoped)
      )
    })

    it(`${how} back: engine time goes on by the monotonic clock; what was to live lives on, and ends in its time`, async () => {
      const disk = new SimulatedDisk()
      const time = movedClock()
      await use(disk, time.clock, (db) =>
        Effect.gen(function* () {
          yield* db.put("ten", "1", { ttl: 10 * minute })
          const before = yield* expiryOf(db, "ten")
          time.jump(-by)
          yield* db.put("twenty", "1", { ttl: 20 * minute })
          // From engine time, and not from what the wall says.
          expect(yield* expiryOf(db, "twenty")).toBeGreaterThanOrEqual(before! + 10 * minute)
          expect(yield* expiryOf(db, "twenty")).toBeLessThan(before! + 10 * minute + second)
          time.pass(9 * minute)
          expect(yield* db.getText("ten")).toBe("1")
          time.pass(minute + second)
          expect(yield* db.getText("ten")).toBeUndefined()
          expect(yield* db.getText("twenty")).toBe("1")
          time.pass(10 * minute)
          expect(yield* db.getText("twenty")).toBeUndefined()
          yield* db.put("last", "1")
          const times = yield* demandMonotone(db)
          expect(times.at(-1)! - times[0]!).toBeGreaterThanOrEqual(20 * minute)
        })
      )
    })

    it(`${how} back or forward between two opens: commit times never go back, and nothing that had expired is there again`, async () => {
      const disk = new SimulatedDisk()
      const time = movedClock()
      await use(disk, time.clock, (db) =>
        Effect.gen(function* () {
          yield* db.put("kept", "1")
          yield* db.put("gone", "1", { ttl: minute })
          yield* db.put("alive", "1", { ttl: by + 2 * hour })
          time.pass(2 * minute)
          yield* db.put("mark", "1")
          expect(yield* db.getText("gone")).toBeUndefined()
        })
      )
      let before = 0
      for (const jump of [-by, -by, 3 * by]) {
        time.jump(jump)
        await use(disk, time.clock, (db) =>
          Effect.gen(function* () {
            expect(yield* db.getText("gone"), `${jump}`).toBeUndefined()
            expect(yield* db.getText("kept")).toBe("1")
            // The last jump ends where the wall was a jump further than at first.
            expect(yield* db.getText("alive")).toBe("1")
            const { sequence } = yield* db.put("kept", "1")
            const times = yield* demandMonotone(db)
            expect(times.at(-1)).toBeGreaterThanOrEqual(before)
            before = times.at(-1)!
            expect(sequence).toBeGreaterThan(3)
            if (jump < 0) yield* db.flush
          })
        )
      }
      // A moment that has not come, by engine time, is refused, however late the wall says it is.
      time.jump(-2 * by)
      await use(disk, time.clock, (db) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(Effect.scoped(db.at(new Date(before + hour))))).toMatchObject({ _tag: "FutureMoment" })
          yield* Effect.scoped(db.at(new Date(before)))
          time.pass(by + 2 * hour)
          expect(yield* db.getText("alive")).toBeUndefined()
        })
      )
    })
  }

  it("a jump forward is what the reaper goes by, too, and its records say when", async () => {
    const disk = new SimulatedDisk()
    const time = movedClock()
    await use(disk, time.clock, (db) => db.put("gone", "1", { ttl: hour }))
    time.jump(year)
    await use(disk, time.clock, (db) =>
      Effect.gen(function* () {
        expect(yield* reaped(db, "gone")).toBe(2)
        const times = yield* demandMonotone(db)
        expect(times.at(-1)! - times[0]!).toBeGreaterThanOrEqual(year)
      })
    )
    // Back again: the record stands, and time goes on from there.
    time.jump(-year)
    await use(disk, time.clock, (db) =>
      Effect.gen(function* () {
        expect(yield* db.getText("gone")).toBeUndefined()
        yield* db.put("new", "1", { ttl: hour })
        yield* demandMonotone(db)
        expect(yield* expiryOf(db, "new")).toBeGreaterThanOrEqual(startMs + year + hour)
        time.pass(hour + second)
        expect(yield* db.getText("new")).toBeUndefined()
      })
    )
  })
})
