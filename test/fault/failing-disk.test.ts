/** Invariant 4: what fails is said, nothing that was refused ever appears, reading goes on, and reopening works. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import type { FaultRule } from "../../src/layers/disk/FaultyDisk.ts"
import { type DiskOperationKind, SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { complaintsAfter } from "../support/complaintsAfter.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { type FaultRun, type FaultStep, runWithFaults } from "../support/faultRun.ts"

/** A run takes some milliseconds. */
const hangMs = 10_000

const outcomes = (run: FaultRun): ReadonlyArray<string> => [...new Set(run.attempts.map(({ outcome }) => outcome))]

const steps: ReadonlyArray<FaultStep> = [4, -3, 5, "flush", 4, -4, 6, "flush", 3, "compact", -2, 5]

describe("failing disk", () => {
  for (const durability of [1, -1]) {
    it(`a failed datasync of the log (${durability > 0 ? "sync" : "buffered, then sync"} writes): its group does not know, those behind it are refused, reading goes on`, async () => {
      const disk = new SimulatedDisk()
      const run = await Effect.runPromise(
        runWithFaults(
          disk,
          [durability * 3, durability * 4, 6, 3, 3, 3],
          [{ match: { operation: "datasync", path: /000001\.log$/ }, nth: 2, fault: { code: "EIO" } }],
          { armed: "later" }
        )
      )
      expect(run.strikes).toBe(1)
      expect(outcomes(run)).toEqual(["Acknowledged", "CommitOutcomeUnknown", "DatabasePoisoned"])
      expect(run.health?.state).toBe("readOnly")
      expect(run.readable).toEqual(run.attempts.filter(({ outcome }) => outcome === "Acknowledged").map(({ number }) => number))
      expect(complaintsAfter(disk, run, 31)).toEqual([])
    })
  }

  for (const afterBytes of [0, 1, 100, 4096]) {
    it(`a log write that fails after ${afterBytes} bytes is never retried into success`, async () => {
      const disk = new SimulatedDisk()
      const run = await Effect.runPromise(
        runWithFaults(disk, [3, -4, 6, 3, -3], [{ match: { operation: "writev", path: /\.log$/ }, nth: 3, fault: { code: "EIO", afterBytes } }], {
          armed: "later",
          valueBytes: 900
        })
      )
      expect(run.strikes).toBe(1)
      expect(outcomes(run)).toContain("CommitOutcomeUnknown")
      expect(outcomes(run)).toContain("DatabasePoisoned")
      expect(run.readable).toEqual(run.attempts.filter(({ outcome }) => outcome === "Acknowledged").map(({ number }) => number))
      expect(complaintsAfter(disk, run, 32)).toEqual([])
    })
  }

  it("a manifest that cannot be synced ends writing, not reading", async () => {
    const disk = new SimulatedDisk()
    const run = await Effect.runPromise(
      runWithFaults(disk, [5, "flush", 5, 5], [{ match: { operation: "datasync", path: /\.manifest$/ }, fault: { code: "EIO" } }], { armed: "later" })
    )
    expect(run.health?.state).toBe("readOnly")
    expect(run.readable?.slice(0, 5)).toEqual([0, 1, 2, 3, 4])
    expect(complaintsAfter(disk, run, 33)).toEqual([])
  })

  for (const operation of ["open", "writev", "datasync"] as const) {
    it(`tables that cannot be written (${operation}) for good: writers are told once no room is left, reading goes on, closing ends`, async () => {
      const disk = new SimulatedDisk()
      const run = await Effect.runPromise(
        runWithFaults(
          disk,
          [20, 20, 20, -20, 20, 20, 20, 20, 20],
          [{ match: { operation, path: /\.(?:table|values)$/ }, fault: { code: "ENOSPC" } }],
          { valueBytes: 1500 }
        ),
        {
          signal: AbortSignal.timeout(hangMs)
        }
      )
      expect(outcomes(run)).toEqual(["Acknowledged", "WriteStalled"])
      expect(run.health?.state).toBe("degraded")
      expect(run.health?.reasons.join()).toContain("ENOSPC")
      expect(run.maintenance).toEqual(["open and close: Acknowledged"])
      expect(run.readable).toEqual(run.attempts.filter(({ outcome }) => outcome === "Acknowledged").map(({ number }) => number))
      expect(complaintsAfter(disk, run, 34)).toEqual([])
    })
  }

  it("a full disk: flush and compact say so after their attempts, and writing goes on", async () => {
    const disk = new SimulatedDisk()
    const run = await Effect.runPromise(
      runWithFaults(disk, [5, "flush", 5, "compact", "flush", -3], [{ match: { operation: "writev", path: /\.table$/ }, fault: { code: "ENOSPC" } }]),
      { signal: AbortSignal.timeout(hangMs) }
    )
    expect(run.maintenance).toEqual(["flush: DiskFull", "compact: DiskFull", "flush: DiskFull", "open and close: Acknowledged"])
    expect(outcomes(run)).toEqual(["Acknowledged"])
    expect(run.health).toMatchObject({ state: "degraded" })
    expect(complaintsAfter(disk, run, 35)).toEqual([])
  })

  it("a second writer: once the lock is lost nothing is acknowledged any more", async () => {
    const disk = new SimulatedDisk()
    const outcomes = await Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk)
            yield* db.put("before", "1")
            // Another process has opened the directory: its lock is gone, and CURRENT is another file.
            recoverDisk(disk, 51, 65_536)
            const first = yield* Effect.flip(db.put("after", "2"))
            const second = yield* Effect.flip(db.put("later", "3"))
            return { first: first._tag, second: second._tag, read: yield* db.getText("before"), unread: yield* db.getText("after") }
          })
        )
      )
    )
    expect(outcomes).toEqual({ first: "LockLost", second: "DatabasePoisoned", read: "1", unread: undefined })
  })

  it("fails every call in turn: each kind of operation, each time it is made", async () => {
    const kinds: ReadonlyArray<DiskOperationKind> = ["datasync", "writev", "syncDirectory", "rename", "remove", "open", "readAt", "stat", "list"]
    const codes = ["EIO", "ENOSPC"]
    let runs = 0
    let struck = 0
    const wrong: Array<string> = []
    for (const operation of kinds) {
      // Each file has its own kind of trouble: the log, the manifest and what names it, tables and values.
      for (const path of [/\.log$/, /(?:\.manifest|CURRENT|CURRENT\.tmp|\/db)$/, /\.(?:table|values)$/]) {
        for (let nth = 1; nth <= 40; nth += nth < 8 ? 1 : 4) {
          const disk = new SimulatedDisk()
          const rule: FaultRule = { match: { operation, path }, nth, fault: { code: codes[nth % 2]!, afterBytes: nth * 37 } }
          const run = await Effect.runPromise(runWithFaults(disk, steps, [rule], { valueBytes: nth % 3 === 0 ? 1500 : 120 }), {
            signal: AbortSignal.timeout(hangMs)
          }).catch((cause: unknown) => String(cause))
          if (typeof run === "string") {
            wrong.push(`${operation} ${path} nth ${nth}: hangs (${run})`)
            continue
          }
          runs++
          struck += run.strikes
          const defects = [...run.attempts.map(({ outcome }) => outcome), ...run.maintenance].filter((outcome) => outcome.includes("Defect"))
          const complaints = [...defects, ...complaintsAfter(disk, run, nth)]
          if (complaints.length > 0) wrong.push(`${operation} ${path} nth ${nth}: ${complaints.slice(0, 3).join("; ")}`)
          // The operation is not made so often: more would change nothing.
          if (run.strikes === 0) break
        }
      }
    }
    console.log(`failing disk: ${runs} runs, of which ${struck} met their fault`)
    expect(wrong).toEqual([])
    expect(struck).toBeGreaterThan(60)
  }, 120_000)
})
