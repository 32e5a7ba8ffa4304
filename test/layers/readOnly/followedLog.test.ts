/** The log beside a writer that moves on between any two of the reader's operations: what is being written is waited for, and never taken for damage, a gap or an end. */
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { LogPositions } from "../../../src/layers/feed/LogPositions.ts"
import { LogReader } from "../../../src/layers/feed/LogReader.ts"
import { FollowedLog } from "../../../src/layers/readOnly/FollowedLog.ts"
import { readCurrentManifest } from "../../../src/layers/recovery/readState.ts"
import { attemptIo } from "../../../src/layers/disk/fromSyncDisk.ts"
import { requiredAfter } from "../../support/crashSweep.ts"
import { MovingDisk } from "../../support/MovingDisk.ts"
import { directory } from "../../support/openEngine.ts"
import { recordRun } from "../../support/recordedRun.ts"
import { drawWorkload, everyKind } from "../../support/workload.ts"

const record = (seed: number) =>
  Effect.runPromise(
    recordRun({
      disk: new SimulatedDisk({ record: true }),
      steps: drawWorkload(seed, {
        steps: 70,
        keys: 60,
        structureChance: 0.3,
        burst: 5,
        largeChance: 0.3,
        weights: { reopen: 2 },
        ...everyKind,
        interactiveChance: 0
      }),
      settings: { manifestRolloverBytes: 20_480, retention: { log: "unlimited" } }
    })
  )

describe("a followed log", () => {
  // Many short ones: what a broken rule shows depends on where two operations meet.
  for (let seed = 91; seed <= 106; seed++) {
    it(`grows with its writer, in whole groups and without a gap, seed ${seed}`, async () => {
      const run = await record(seed)
      const written = requiredAfter(run, "any")
      const { events } = run.trace
      let reached = 0
      for (let i = 0; i < 12; i++) {
        const prng = seededPrng(seed * 1000 + i)
        const pace = [1, 3, 12, 60][i % 4]!
        const moving = new MovingDisk(run.trace, { prng, at: 200 + drawInt(prng, 100), pace, directory })
        const where = () => `seed ${seed}, reader ${i}, after ${moving.at} of ${events.length} operations`
        const state = (() => {
          for (;;) {
            try {
              return readCurrentManifest(moving, directory, "read")!.state
            } catch {
              // The manifest was replaced between two steps: once more.
            }
          }
        })()
        const log = new FollowedLog(moving, directory, state, 1 << 30, () => undefined)
        const stop = log.onMoved(() => undefined)
        const positions = new LogPositions({ log, nextSequence: log.nextSequence, visibleSequence: log.visibleSequence }, { state: () => log.state })
        log.look()
        const reader = new LogReader(
          {
            disk: { read: (handle, into, position) => attemptIo(() => handle.readAt(into, position)) },
            log,
            positions,
            openSegment: log.openSegment
          },
          positions.start(0)
        )
        let next = 0
        for (let looks = 0; looks < 20_000; looks++) {
          const before = log.visibleSequence()
          const at = moving.at
          log.look()
          if (log.visibleSequence() < Math.max(before, written[at]!)) throw new Error(`it ends with ${log.visibleSequence()}: ${where()}`)
          for (let found = reader.advance(); found !== "end"; found = reader.advance()) {
            if (found === "needs") {
              Effect.runSync(reader.load)
              continue
            }
            const { firstSequence, transactionCount } = reader.group!.header
            // Groups are written again by an open, with what was seen already.
            if (positions.afterLost(Math.max(next, 1)) < firstSequence) throw new Error(`${firstSequence} follows ${next - 1}: ${where()}`)
            next = Math.max(next, firstSequence + transactionCount)
            reader.moveTo(next)
          }
          if (next - 1 !== log.visibleSequence()) throw new Error(`${next - 1} was read, of ${log.visibleSequence()}: ${where()}`)
          if (moving.at >= events.length && log.visibleSequence() === run.oracle.last) break
        }
        expect(next - 1, where()).toBe(run.oracle.last)
        reached++
        reader.close()
        stop()
      }
      expect(reached).toBe(12)
    })
  }
})
