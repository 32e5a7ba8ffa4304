/**
 * A full disk is survived in place: nothing acknowledged is lost, nothing refused appears, every call ends, and writes resume by themselves.
 *
 * `LIGHTNING_SPACE_SECONDS` gives the histories more time than they take in `npm test`, `LIGHTNING_SPACE_SEED` begins with others.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { describe, expect, it } from "vitest"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { FaultRule, FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { WriteResult } from "../../src/services/Database.ts"
import { complaintsAfter } from "../support/complaintsAfter.ts"
import { crashSweep, recoverDisk } from "../support/crashSweep.ts"
import { type FaultRun, type FaultStep, runWithFaults } from "../support/faultRun.ts"
import { directory, openOn } from "../support/openEngine.ts"
import { listEverything, VerifiedFiles } from "../support/readEverything.ts"
import { simulatedClock, withSimulatedClock } from "../support/simulatedClock.ts"
import { type SpaceRun, type SpaceShape, spaceRun } from "../support/spaceRun.ts"

const hangMs = 60_000
const secondsMax = Number(process.env["LIGHTNING_SPACE_SECONDS"] ?? "4")
const firstSeed = Number(process.env["LIGHTNING_SPACE_SEED"] ?? "1")

const run = (shape: SpaceShape): Promise<SpaceRun> => Effect.runPromise(spaceRun(shape), { signal: AbortSignal.timeout(hangMs) })

const drawn = (seed: number): SpaceShape => ({
  seed,
  capacityBytes: [100_000, 130_000, 180_000][seed % 3]!,
  reserveBytes: [32_768, 0, 65_536, 8192][seed % 4]!,
  relief: seed % 2 === 0 ? "grow" : "delete",
  closeLow: seed % 5 === 3
})

describe("full disk", () => {
  it(
    "random histories: nothing acknowledged is lost, nothing refused appears, every call ends, health comes back",
    async () => {
      const total = { histories: 0, states: 0, low: 0, healed: 0, refused: 0, acknowledged: 0, deletedWhileLow: 0, heldUntilGrown: 0, closedLow: 0 }
      const endMs = performance.now() + secondsMax * 1000
      for (let seed = firstSeed; seed < firstSeed + 8 || performance.now() < endMs; seed++) {
        const shape = drawn(seed)
        const recorded = await run(shape)
        expect(recorded.complaints, `seed ${seed}`).toEqual([])
        const stride = Math.max(1, Math.ceil(recorded.trace.events.length / 60))
        total.states += crashSweep(recorded, { seed, stride, randomStates: 2, nestedEvery: 97 }).states
        total.histories++
        total.low += recorded.low
        total.healed += recorded.healed
        total.refused += recorded.outcomes.get("DiskFull") ?? 0
        total.acknowledged += recorded.outcomes.get("Acknowledged") ?? 0
        total.deletedWhileLow += recorded.deletedWhileLow
        total.heldUntilGrown += recorded.heldUntilGrown
        total.closedLow += shape.closeLow === true ? 1 : 0
      }
      console.log(`full disk: ${JSON.stringify(total)}`)
      for (const [what, count] of Object.entries(total)) expect(count, what).toBeGreaterThan(0)
    },
    (secondsMax + 60) * 1000
  )

  it("failures that are reported after the bytes were written, stopped at each operation", async () => {
    for (const [seed, path, every, afterBytes] of [
      [1, /\.log$/, 9, 1e9],
      [2, /\.log$/, 7, 4096],
      [3, /\.manifest$/, 3, 1e9],
      [4, /\.manifest$/, 2, 50],
      [5, /\.(?:log|manifest)$|CURRENT\.tmp$/, 4, 1e9]
    ] as const) {
      const shape = { seed, capacityBytes: 1 << 24, relief: "grow", patienceTurns: 60, settings: { manifestRolloverBytes: 12_288 } } as const
      const recorded = await run({ ...shape, reserveBytes: seed % 2 === 0 ? 0 : 8192, strikes: { path, every, afterBytes } })
      expect(recorded.complaints, `seed ${seed}`).toEqual([])
      expect(recorded.struck, `seed ${seed}`).toBeGreaterThan(2)
      const report = crashSweep(recorded, { seed, randomStates: 1, nestedEvery: 150 })
      console.log(
        `written and denied: ${report.states + report.nestedStates} states at ${report.stops} of ${report.events} operations, ${recorded.struck} strikes`
      )
    }
  }, 60_000)

  it("a history stopped at each of its operations", async () => {
    let held = 0
    for (const [seed, relief, reserveBytes] of [
      [1, "grow", 32_768],
      [6, "grow", 0],
      [7, "delete", 32_768],
      [8, "delete", 8192],
      [9, "grow", 16_384]
    ] as const) {
      const recorded = await run({ seed, capacityBytes: 70_000, reserveBytes, relief, patienceTurns: 60 })
      expect(recorded.complaints, `seed ${seed}`).toEqual([])
      expect(Math.min(recorded.low, recorded.healed)).toBeGreaterThan(0)
      held += recorded.heldUntilGrown
      const report = crashSweep(recorded, { seed, randomStates: 2, nestedEvery: 80 })
      console.log(`full disk, at each operation: ${report.states + report.nestedStates} states at ${report.stops} of ${report.events} operations`)
    }
    expect(held).toBeGreaterThan(0)
  }, 60_000)
})

const steps: ReadonlyArray<FaultStep> = [4, -3, 5, "flush", 4, -4, 6, "flush", 3, "compact", -2, 5]
const places = {
  log: /\.log$/,
  manifest: /\.manifest$/,
  "next CURRENT": /CURRENT\.tmp$/,
  tables: /\.(?:table|values)$/,
  reserve: /RESERVE(?:\.tmp)?$/
} as const
const survived = new Set(["Acknowledged", "DiskFull"])

describe("no room at the n-th write", () => {
  for (const [place, path] of Object.entries(places)) {
    it(`of ${place}: whatever was written of it`, async () => {
      let struck = 0
      const wrong: Array<string> = []
      for (const operation of ["writev", "open"] as const) {
        for (const afterBytes of operation === "open" ? [0] : [0, 37, 5000, 1e9]) {
          for (let nth = 1; nth <= 40; nth += nth < 8 ? 1 : 3) {
            const disk = new SimulatedDisk()
            const code = nth % 2 === 0 ? "ENOSPC" : "EDQUOT"
            const rule: FaultRule = { match: { operation, path }, nth, times: 1 + ((nth + afterBytes) % 3), fault: { code, afterBytes } }
            const found: FaultRun = await Effect.runPromise(
              runWithFaults(disk, steps, [rule], {
                valueBytes: nth % 3 === 0 ? 1500 : 120,
                manifestRolloverBytes: 12_288,
                reserveBytes: place === "reserve" || nth % 2 === 0 ? 16_384 : 0,
                patient: true
              }),
              { signal: AbortSignal.timeout(hangMs) }
            )
            const where = `${operation} nth ${nth}, ${afterBytes} bytes of it`
            const others = [...new Set([...found.attempts.map(({ outcome }) => outcome), ...found.maintenance.map((told) => told.split(": ")[1]!)])]
            for (const outcome of others) if (!survived.has(outcome)) wrong.push(`${where}: ${outcome}`)
            if (found.health !== undefined && found.health.state !== "healthy" && found.health.state !== "degraded")
              wrong.push(`${where}: ${JSON.stringify(found.health)}`)
            wrong.push(...complaintsAfter(disk, found, nth).map((complaint) => `${where}: ${complaint}`))
            struck += found.strikes
            if (found.strikes === 0) break
          }
        }
      }
      console.log(`no room, ${place}: ${struck} strikes`)
      expect(wrong).toEqual([])
      expect(struck).toBeGreaterThan(place === "reserve" || place === "next CURRENT" ? 4 : 30)
    }, 60_000)
  }
})

describe("a group that is held", () => {
  const opened = (disk: SimulatedDisk, reserveBytes = 0) =>
    Effect.gen(function* () {
      let faulty: FaultyDisk | undefined
      const layer = DiskFaulty.layerWith((created) => {
        faulty = created
      }).pipe(Layer.provide(DiskSimulated.layer(disk)))
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openOn(layer, directory, { reserveBytes }), scope)
      return { db, faulty: faulty!, close: Scope.close(scope, Exit.void) }
    })
  const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })
  const keysIn = (disk: SimulatedDisk) => {
    const { manifest, memtables, nextSequence, visibleSequence } = recoverDisk(disk, 1, 65_536)
    const entries = listEverything({ disk, directory, state: manifest.state, memtables, sequence: visibleSequence }, new VerifiedFiles())
    return { keys: entries.map(({ key }) => Buffer.from(key).toString()), nextSequence }
  }
  /** The failure may be reported after all of the group was written. */
  const full = (afterBytes: number): FaultRule => ({ match: { operation: "writev", path: /\.log$/ }, fault: { code: "ENOSPC", afterBytes } })

  for (const afterBytes of [0, 100, 1e9]) {
    it(`is neither written nor unknown where the database closes before there is room (${afterBytes} bytes of it had been written)`, async () => {
      const disk = new SimulatedDisk()
      const told = await Effect.runPromise(
        withSimulatedClock(
          Effect.gen(function* () {
            const { close, db, faulty } = yield* opened(disk)
            yield* db.put("before", "1", { durability: "buffered" })
            faulty.add(full(afterBytes))
            const writes = []
            for (const durability of ["buffered", "sync"] as const)
              writes.push(yield* Effect.forkDetach(Effect.flip(db.put(`held ${durability}`, "2", { durability })), { startImmediately: true }))
            yield* turns(100)
            const refused = yield* Effect.flip(db.put("refused", "3"))
            const deleting = yield* Effect.forkDetach(Effect.flip(db.delete("before")), { startImmediately: true })
            const { visibleSequence } = yield* db.stats
            yield* turns(100)
            const read = yield* db.getText("before")
            yield* close
            const tags = []
            for (const fiber of [...writes, deleting]) tags.push((yield* Fiber.join(fiber))._tag)
            return { tags, refused: refused._tag, read, visibleSequence }
          })
        ),
        { signal: AbortSignal.timeout(hangMs) }
      )
      expect(told).toEqual({ tags: ["DiskFull", "DiskFull", "DiskFull"], refused: "DiskFull", read: "1", visibleSequence: 1 })
      for (let seed = 0; seed < 24; seed++) {
        const left = disk.crashState(seededPrng(seed), { mode: (["all", "worst", "random"] as const)[seed % 3]! })
        const found = keysIn(left)
        expect(found.keys, `power cut ${seed}`).toEqual(["before"])
        expect(found.nextSequence).toBeGreaterThan(4)
      }
      expect(keysIn(disk).keys).toEqual(["before"])
    })

    it(`is written once there is room, with the sequence it had (${afterBytes} bytes of it had been written before)`, async () => {
      const disk = new SimulatedDisk()
      const results = await Effect.runPromise(
        withSimulatedClock(
          Effect.gen(function* () {
            const { close, db, faulty } = yield* opened(disk)
            yield* db.put("a", "1", { durability: "buffered" })
            faulty.add(full(afterBytes))
            const writing = yield* Effect.forkDetach(db.put("b", "2", { durability: "buffered" }), { startImmediately: true })
            // Gives up its answer, and nothing else.
            const givenUp = yield* Effect.forkDetach(db.delete("a"), { startImmediately: true })
            yield* turns(50)
            yield* Fiber.interrupt(givenUp)
            const unseen = yield* db.getText("b")
            faulty.clear()
            const written: WriteResult = yield* Fiber.join(writing)
            while ((yield* db.health).state !== "healthy") yield* turns(20)
            const after = yield* db.put("c", "3")
            yield* close
            return { unseen, sequences: [written.sequence, after.sequence] }
          }),
          simulatedClock(undefined, undefined, 60_000)
        ),
        { signal: AbortSignal.timeout(hangMs) }
      )
      expect(results).toEqual({ unseen: undefined, sequences: [2, 4] })
      for (let seed = 0; seed < 12; seed++) {
        const left = disk.crashState(seededPrng(seed), { mode: (["all", "worst", "random"] as const)[seed % 3]! })
        expect(keysIn(left).keys, `power cut ${seed}`).toEqual(["b", "c"])
      }
    })
  }

  for (const operation of ["truncate", "datasync"] as const) {
    it(`is of unknown outcome where it cannot be taken back (${operation} fails)`, async () => {
      const disk = new SimulatedDisk()
      const told = await Effect.runPromise(
        withSimulatedClock(
          Effect.gen(function* () {
            const { close, db, faulty } = yield* opened(disk)
            yield* db.put("before", "1")
            faulty.add(full(50))
            // Even with the code of a full disk: a sync that fails has lost what it covered.
            faulty.add({ match: { operation, path: /\.log$/ }, fault: { code: "ENOSPC" } })
            const first = yield* Effect.flip(db.put("first", "2", { durability: "buffered" }))
            const second = yield* Effect.flip(db.put("second", "3"))
            const { state } = yield* db.health
            yield* close
            return [first._tag, second._tag, state]
          })
        ),
        { signal: AbortSignal.timeout(hangMs) }
      )
      expect(told).toEqual(["CommitOutcomeUnknown", "DatabasePoisoned", "readOnly"])
      expect(keysIn(disk).keys).toContain("before")
    })
  }
})
