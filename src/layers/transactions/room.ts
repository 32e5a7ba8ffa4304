import * as Effect from "effect/Effect"
import { WriteStalled } from "../../domain/errors.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"

/** Why a write has to wait, as the beginning of the names of the conditions that say that it waits in vain. */
export type Pressure = "flush" | "compaction"

/** The waits of writers for room, and what is counted of them. */
export const makeRoom = (clock: EngineClock["Service"], health: HealthMonitor["Service"]) => {
  const stalls = { slowed: 0, stopped: 0, waiting: 0, totalMs: 0 }
  let waiting: Array<() => void> = []
  /** Counts the signals: one that comes between a look and the wait that follows is not missed. */
  let signals = 0

  /** There may be room again. */
  const changed = (): void => {
    signals++
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }

  /** The next signal after the one with this number. */
  const after = (seen: number) =>
    Effect.callback<void>((resume) => {
      if (signals !== seen) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      waiting.push(wake)
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== wake)
      })
    })

  /**
   * Waits for the flusher or the compactor, and looks again: a signal, not a delay. Ends with an error when what it waits for has stopped; what else is wrong with the
   * database does not concern it. Called in the very step in which there was no room.
   */
  const stopped = <A, E>(
    pressure: Pressure,
    sinceMs: number | undefined,
    again: (sinceMs: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | WriteStalled> => {
    const nowMs = clock.monotonicMs()
    const since = sinceMs ?? nowMs
    const hopeless = health.conditionOf(pressure)
    if (hopeless !== undefined) return Effect.fail(new WriteStalled({ detail: hopeless, waitedMs: nowMs - since }))
    const seen = signals
    if (sinceMs === undefined) stalls.stopped++
    return Effect.andThen(
      Effect.acquireUseRelease(
        Effect.sync(() => stalls.waiting++),
        () => after(seen),
        () =>
          Effect.sync(() => {
            stalls.waiting--
            stalls.totalMs += clock.monotonicMs() - nowMs
          })
      ),
      Effect.suspend(() => again(since))
    )
  }

  return { stalls, changed, stopped }
}
