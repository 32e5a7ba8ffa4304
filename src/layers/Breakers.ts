import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type BreakerRules, type BreakerState, CircuitBreaker, doubling } from "../domain/breaker/CircuitBreaker.ts"
import { Breakers, type BreakerSource, type WatchedBreaker } from "../services/Breakers.ts"
import type { BreakerStats } from "../services/Database.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"

interface Entry {
  readonly resource: string
  readonly breaker: CircuitBreaker
  sinceMs: number
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The plain part: also what a read-only database uses. */
export const makeBreakers = (
  clock: EngineClock["Service"],
  health: Pick<HealthMonitor["Service"], "degrade" | "heal" | "report">,
  defaults: BreakerRules
): Breakers["Service"] => {
  const entries = new Set<Entry>()

  /** What follows from a transition, whoever keeps the breaker. */
  const tell = (entry: Entry, words: string, condition: string, from: BreakerState, error: unknown) => {
    const { breaker, resource } = entry
    const to = breaker.state
    if (from === to) return
    entry.sinceMs = clock.nowMs()
    if (to === "closed") health.heal(condition)
    else if (to === "open") health.degrade(condition, `${words}: ${wordsOf(error)}`)
    health.report({ type: "breaker", resource, from, to, error })
  }

  const open: Breakers["Service"]["open"] = (resource, words, rules = defaults, condition = resource) => {
    const breaker = new CircuitBreaker(rules)
    const entry: Entry = { resource, breaker, sinceMs: clock.nowMs() }
    let error: unknown
    entries.add(entry)
    const after = <A>(run: () => A): A => {
      const from = breaker.state
      const answer = run()
      tell(entry, words, condition, from, error)
      return answer
    }
    const watched: WatchedBreaker = {
      admit: () => after(() => breaker.admit(clock.monotonicMs())),
      succeeded: () => after(() => breaker.succeeded()),
      failed: (cause) => {
        error = cause
        after(() => breaker.failed(clock.monotonicMs()))
      },
      abandoned: () => breaker.abandoned(),
      hurry: () => after(() => breaker.hurry()),
      retryAfterMs: () => breaker.retryAfterMs(clock.monotonicMs()),
      isClosed: () => breaker.state === "closed",
      forget: () => {
        entries.delete(entry)
        health.heal(condition)
      },
      error: () => error
    }
    return watched
  }

  return {
    open,
    adopt: (resource: string, words: string, source: BreakerSource) => {
      const entry: Entry = { resource, breaker: source.breaker, sinceMs: clock.nowMs() }
      entries.add(entry)
      source.onTransition = (from, error) => tell(entry, words, resource, from, error)
    },
    stats: () =>
      [...entries]
        .filter(({ breaker }) => breaker.state !== "closed" || breaker.failures > 0)
        .map(({ breaker, resource, sinceMs }): BreakerStats => ({ resource, state: breaker.state, failures: breaker.failures, since: sinceMs }))
  }
}

const make = Effect.gen(function* () {
  const { breaker } = yield* EngineOptions
  return Breakers.of(
    makeBreakers(yield* EngineClock, yield* HealthMonitor, {
      failureThreshold: breaker.failureThreshold,
      successThreshold: breaker.successThreshold,
      openForMs: doubling(breaker.openForMs)
    })
  )
})

export const layer: Layer.Layer<Breakers, never, EngineClock | EngineOptions | HealthMonitor> = Layer.effect(Breakers, make)
