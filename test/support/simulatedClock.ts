import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Whoever sleeps as long as this does something now and then, which would make the time pass by itself: in a run it never comes to it. */
const longSleepMs = 2000

/** A clock that moves by a tick (a tenth of a millisecond, unless it is told) each time it is read, and by the whole time slept: runs over it are reproducible, and nothing waits. */
export const simulatedClock = (startMs = 1_700_000_000_000, tickNanos = 100_000n, sleepMsMax = longSleepMs): Clock.Clock => {
  let nanos = BigInt(startMs) * 1_000_000n
  const now = () => (nanos += tickNanos)
  return {
    currentTimeMillisUnsafe: () => Number(now() / 1_000_000n),
    currentTimeMillis: Effect.sync(() => Number(now() / 1_000_000n)),
    currentTimeNanosUnsafe: now,
    currentTimeNanos: Effect.sync(now),
    monotonicTimeNanosUnsafe: now,
    monotonicTimeNanos: Effect.sync(now),
    sleep: (duration) =>
      Effect.suspend(() => {
        const ms = Duration.toMillis(duration)
        if (ms >= sleepMsMax) return Effect.never
        nanos += BigInt(Math.ceil(ms)) * 1_000_000n
        return Effect.yieldNow
      })
  }
}

/** Runs the effect by a clock of its own. */
export const withSimulatedClock = <A, E, R>(effect: Effect.Effect<A, E, R>, clock: Clock.Clock = simulatedClock()): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Clock.Clock, clock)
