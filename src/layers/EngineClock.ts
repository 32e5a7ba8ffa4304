import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { EngineClock } from "../services/EngineClock.ts"

const make = Effect.map(Clock.Clock, (clock) => {
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
  let last = Math.floor(clock.currentTimeMillisUnsafe())
  let lastMonotonic = monotonicMs()
  return EngineClock.of({
    monotonicMs,
    nowMs: (known) => {
      const monotonic = known ?? monotonicMs()
      const carried = last + Math.max(0, monotonic - lastMonotonic)
      const wall = clock.currentTimeMillisUnsafe()
      const now = Math.floor(Math.max(carried, wall))
      if (now > last) {
        // While the wall clock is behind, the fraction of a millisecond that is cut off here must not be lost: called often, time would run slow.
        lastMonotonic = carried >= wall ? lastMonotonic + (now - last) : monotonic
        last = now
      }
      return last
    },
    raise: (ms) => {
      if (ms > last) {
        last = ms
        lastMonotonic = monotonicMs()
      }
    }
  })
})

export const layer: Layer.Layer<EngineClock> = Layer.effect(EngineClock, make)
