import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Who asked the engine for the time. */
const caller = (): string =>
  (new Error("who").stack ?? "")
    .split("\n")
    .slice(1)
    .find((line) => !/killingClock|EngineClock/.test(line)) ?? ""

/**
 * A clock that dies where it is read: whatever actor asks it the time in the named file, once armed, meets a defect, as of a broken rule in its own code. Otherwise it is the clock
 * it is made over.
 */
export class KillingClock implements Clock.Clock {
  readonly #inner: Clock.Clock
  #where: RegExp | undefined
  #left = 0
  /** How often it has killed. */
  kills = 0

  constructor(inner: Clock.Clock) {
    this.#inner = inner
  }

  /** The next `times` readings die whose caller's line of the stack (function and file) matches. */
  arm(where: RegExp, times = 1): void {
    this.#where = where
    this.#left = times
  }

  #strike(): void {
    if (this.#left === 0 || this.#where === undefined || !this.#where.test(caller())) return
    this.#left--
    this.kills++
    throw new TypeError("killed by the test")
  }

  currentTimeMillisUnsafe(): number {
    this.#strike()
    return this.#inner.currentTimeMillisUnsafe()
  }
  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.currentTimeMillisUnsafe())
  currentTimeNanosUnsafe(): bigint {
    return this.#inner.currentTimeNanosUnsafe()
  }
  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.currentTimeNanosUnsafe())
  monotonicTimeNanosUnsafe(): bigint {
    this.#strike()
    return this.#inner.monotonicTimeNanosUnsafe()
  }
  readonly monotonicTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep(duration: Parameters<Clock.Clock["sleep"]>[0]): Effect.Effect<void> {
    return this.#inner.sleep(duration)
  }
}

/** What it makes (an engine) goes by a clock that can kill; the test itself keeps its own. */
export const withKillingClock = <A, E, R>(clock: KillingClock, open: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(open, Clock.Clock, clock)

/** Over the clock there is. */
export const killingClock: Effect.Effect<KillingClock> = Effect.map(Clock.Clock, (inner) => new KillingClock(inner))
