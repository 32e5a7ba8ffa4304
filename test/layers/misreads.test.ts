/** A bit that was read wrongly once is not damage: what is done because of damage is done once it was read twice. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Damage } from "../../src/domain/failures.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import type { FaultRule } from "../../src/layers/disk/FaultRule.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { believedTwice } from "../../src/layers/jobs/believedTwice.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { healthLog, turns } from "../support/healthLog.ts"
import { directory, openOn, openSimulated } from "../support/openEngine.ts"
import { flipByte } from "../support/restorePointDatabase.ts"

const quiet = { level0CompactTrigger: 50, level0SlowTrigger: 60, level0StopTrigger: 70 }

const fill = (db: DatabaseShape) =>
  Effect.forEach(
    [0, 1],
    (round) =>
      Effect.andThen(
        Effect.forEach(
          Array.from({ length: 40 }, (_, i) => i),
          (i) => db.put(`k${i + round * 20}`, new Uint8Array(i % 4 === 0 ? 1500 : 50).fill(i)),
          { discard: true }
        ),
        db.flush
      ),
    { discard: true }
  )

const twoTables = Effect.gen(function* () {
  let faulty: FaultyDisk | undefined
  const disk = DiskFaulty.layerWith((created) => {
    faulty = created
  }).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
  const db = yield* openOn(disk, "/db", quiet)
  const stale: FaultRule = { match: { operation: "open", path: /nowhere/ }, fault: { staleRead: true } }
  faulty!.add(stale)
  yield* fill(db)
  return { db, faulty: faulty!, events: yield* healthLog(db) }
})

/** Each read of files of that kind which `work` makes, misread once, in turn. */
const misreadEach = (kind: RegExp, fault: FaultRule["fault"], work: (db: DatabaseShape) => Effect.Effect<unknown, unknown>, tells: boolean) =>
  Effect.gen(function* () {
    let struck = 0
    for (let nth = 1; nth < 100; nth++) {
      const last = yield* Effect.scoped(
        Effect.gen(function* () {
          const { db, events, faulty } = yield* twoTables
          const rule: FaultRule = { match: { operation: "readAt", path: kind }, nth, times: 1, fault }
          faulty.add(rule)
          yield* work(db)
          if (faulty.strikes(rule) === 0) return true
          struck++
          yield* turns(20)
          expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
          expect(events.flatMap((event) => (event.type === "state" ? [] : [event.type]))).toEqual(tells ? ["notice"] : [])
          if (tells)
            expect(events.at(-1)).toMatchObject({
              resource: expect.stringMatching(kind),
              detail: expect.stringContaining("read again"),
              error: { _tag: "CorruptFile" }
            })
          expect(yield* db.has("k59")).toBe(true)
          return false
        })
      )
      if (last) break
    }
    expect(struck).toBeGreaterThan(3)
  })

const flip = () => ({ bitFlip: { draw: seededPrng(5) } })

describe("one misread", () => {
  it.effect("of a table, in a compaction: the compaction is done, and nothing is in quarantine", () =>
    misreadEach(
      /\.table$/,
      flip(),
      (db) =>
        Effect.gen(function* () {
          yield* db.compact()
          expect((yield* db.stats).compactions.count).toBeGreaterThan(0)
          expect((yield* db.stats).levels[0]!.tables).toBe(0)
        }),
      true
    )
  )

  it.effect("of a table that is stale, in a compaction", () => misreadEach(/\.table$/, { staleRead: true }, (db) => db.compact(), true))

  it.effect("of a table, in a scrub: it finds nothing", () =>
    misreadEach(
      /\.table$/,
      flip(),
      (db) => Effect.tap(db.scrub({ bytesPerSecond: 1 << 30 }), ({ damaged }) => Effect.sync(() => expect(damaged).toEqual([]))),
      true
    )
  )

  it.effect("of a value file, in a verification: it finds nothing", () => misreadEach(/\.values$/, flip(), (db) => db.verify, false))
})

describe("damage", () => {
  it.effect("that is there is quarantined, and told once", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, quiet)
      yield* fill(db)
      const events = yield* healthLog(db)
      const table = `${directory}/${
        disk
          .list(directory)
          .filter((name) => name.endsWith(".table"))
          .toSorted()[0]
      }`
      flipByte(disk, table, 100)
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "CorruptFile", file: table })
      expect(yield* db.health).toMatchObject({ state: "degraded", reasons: [expect.stringContaining("compaction cannot go on")] })
      yield* turns(20)
      expect(events.flatMap((event) => (event.type === "state" ? [] : [event.type]))).toEqual(["damage", "quarantined"])
    })
  )

  it.effect("is believed at the second reading of a place; where every reading finds another place, in the end", () =>
    Effect.gen(function* () {
      const told: Array<Damage> = []
      const readings = (offsets: ReadonlyArray<number>) => {
        let at = 0
        return believedTwice(
          Effect.suspend(() => {
            const offset = offsets[at++]
            return offset === undefined ? Effect.succeed(at) : Effect.fail(new Damage("7.table", offset, "ChecksumMismatch"))
          }),
          (damage) => told.push(damage)
        )
      }
      expect(yield* Effect.flip(readings([5, 5]))).toMatchObject({ offsetBytes: 5 })
      expect(yield* Effect.flip(readings([5, 6, 5]))).toMatchObject({ offsetBytes: 5 })
      expect(yield* Effect.flip(readings([1, 2, 3, 4, 5, 6]))).toMatchObject({ offsetBytes: 4 })
      expect(told).toEqual([])
      expect(yield* readings([5, 6])).toBe(3)
      expect(told.map(({ offsetBytes }) => offsetBytes)).toEqual([5, 6])
    })
  )
})
