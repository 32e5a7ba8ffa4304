/** One time that never goes back: not when the wall clock is set back, and not over a restart. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as EngineClockLayer from "../../src/layers/EngineClock.ts"
import { readCurrentManifest } from "../../src/layers/recovery/readState.ts"
import { EngineClock } from "../../src/services/EngineClock.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { simulatedClock, withSimulatedClock } from "../support/simulatedClock.ts"

const startMs = 1_700_000_000_000
const dayMs = 86_400_000

/** A clock whose two hands are set apart. */
const settable = () => {
  const hands = { wallMs: startMs, monotonicMs: 5000 }
  const clock: Clock.Clock = {
    ...simulatedClock(),
    currentTimeMillisUnsafe: () => hands.wallMs,
    monotonicTimeNanosUnsafe: () => BigInt(Math.round(hands.monotonicMs * 1_000_000))
  }
  return { hands, clock }
}

describe("EngineClock", () => {
  it("follows the wall clock forward, and the monotonic one while the wall clock is behind", async () => {
    const { clock, hands } = settable()
    await Effect.runPromise(
      withSimulatedClock(
        Effect.gen(function* () {
          const engine = yield* EngineClock
          expect(engine.nowMs()).toBe(startMs)
          hands.wallMs += 10
          hands.monotonicMs += 10
          expect(engine.nowMs()).toBe(startMs + 10)
          // Set back by a day: time goes on from where it was, as fast as time passes.
          hands.wallMs -= dayMs
          expect(engine.nowMs()).toBe(startMs + 10)
          hands.monotonicMs += 25
          expect(engine.nowMs()).toBe(startMs + 35)
          // Asked more often than once in a millisecond and a half, it still goes as fast as time.
          for (let i = 0; i < 20; i++) {
            hands.monotonicMs += 1.5
            engine.nowMs()
          }
          expect(engine.nowMs()).toBe(startMs + 65)
          // A jump forward is believed, for good.
          hands.wallMs = startMs + dayMs
          expect(engine.nowMs()).toBe(startMs + dayMs)
          hands.wallMs = startMs
          expect(engine.nowMs()).toBe(startMs + dayMs)
          engine.raise(startMs + 2 * dayMs)
          engine.raise(startMs)
          expect(engine.nowMs()).toBe(startMs + 2 * dayMs)
        }).pipe(Effect.provide(EngineClockLayer.layer)),
        clock
      )
    )
  })

  it("survives a restart with the clock set back, whether or not the log holds anything", async () => {
    const disk = new SimulatedDisk()
    const life = (atMs: number, writes: boolean): Promise<void> =>
      Effect.runPromise(
        withSimulatedClock(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openSimulated(disk)
              if (writes) yield* db.put("a", "1")
            })
          ),
          simulatedClock(atMs)
        )
      )
    const storedMs = () => readCurrentManifest(disk, directory, "read")!.state.engineTimeMs
    await life(startMs, true)
    let before = storedMs()
    expect(before).toBeGreaterThanOrEqual(startMs)
    for (const writes of [false, true, false]) {
      await life(startMs - dayMs, writes)
      expect(storedMs()).toBeGreaterThanOrEqual(before)
      before = storedMs()
    }
    expect(before).toBeLessThan(startMs + 1000)
  })
})
