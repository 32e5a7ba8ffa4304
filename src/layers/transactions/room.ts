import * as Effect from "effect/Effect"
import { TooManyWrites, WriteStalled } from "../../domain/errors.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"

/** Why a write has to wait, as the beginning of the names of the conditions that say that it waits in vain. */
export type Pressure = "flush" | "compaction" | "memory"

/** Who would make room for whom waits for this: memory comes with flushes. */
const makerOf = (pressure: Pressure): string => (pressure === "memory" ? "flush" : pressure)

/** How long and how many may wait, and what is said of it. */
export interface RoomLimits {
  readonly waitTimeoutMs: number
  readonly waitingMax: number
  /** What the memory is held by, in words. */
  readonly memory: () => string
  /** What hangs, in words; undefined where nothing does. */
  readonly hanging: () => string | undefined
}

/** The waits of writers for room, and what is counted of them. */
export const makeRoom = (clock: EngineClock["Service"], health: HealthMonitor["Service"], limits: RoomLimits) => {
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

  /** Nobody waits for ever, and no more than so many at once. `since`: when the wait began. */
  const bounded = <A, E>(wait: Effect.Effect<A, E>, since: number, what: () => string): Effect.Effect<A, E | WriteStalled | TooManyWrites> => {
    const { hanging, waitTimeoutMs, waitingMax } = limits
    if (stalls.waiting >= waitingMax) return Effect.fail(new TooManyWrites({ pendingMax: waitingMax, detail: what() }))
    const nowMs = clock.monotonicMs()
    const timed =
      waitTimeoutMs === Infinity
        ? wait
        : Effect.timeoutOrElse(wait, {
            duration: Math.max(0, since + waitTimeoutMs - nowMs),
            orElse: () => Effect.fail(new WriteStalled({ detail: hanging() ?? what(), waitedMs: clock.monotonicMs() - since }))
          })
    return Effect.acquireUseRelease(
      Effect.sync(() => stalls.waiting++),
      () => timed,
      () =>
        Effect.sync(() => {
          stalls.waiting--
          stalls.totalMs += clock.monotonicMs() - nowMs
        })
    )
  }

  /**
   * Waits for the flusher or the compactor, and looks again: a signal, not a delay. Ends with an error when what it waits for has stopped; what else is wrong with the
   * database does not concern it; and with one when it has waited for too long. Called in the very step in which there was no room.
   */
  const stopped = <A, E>(
    pressure: Pressure,
    sinceMs: number | undefined,
    again: (sinceMs: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | WriteStalled | TooManyWrites> => {
    const nowMs = clock.monotonicMs()
    const since = sinceMs ?? nowMs
    const hopeless = health.conditionOf(makerOf(pressure))
    if (hopeless !== undefined) return Effect.fail(new WriteStalled({ detail: hopeless, waitedMs: nowMs - since }))
    const seen = signals
    if (sinceMs === undefined) stalls.stopped++
    return Effect.andThen(
      bounded(after(seen), since, () => (pressure === "memory" ? limits.memory() : `there is no room before the next ${pressure}`)),
      Effect.suspend(() => again(since))
    )
  }

  return { stalls, changed, stopped, bounded }
}
