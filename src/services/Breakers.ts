/**
 * The circuit breakers of an engine: one before each resource that can fail by itself (a file that is read, the worker threads, a job, the making of log segments). What is at
 * rest is not kept: a resource that works has no breaker, and costs nothing. No timer runs here: whether one may be tried again is seen when somebody wants to, and files that
 * cannot be read are wanted by a fiber of `Tables`.
 */
import * as Context from "effect/Context"
import type { BreakerRules, CircuitBreaker } from "../domain/breaker/CircuitBreaker.ts"
import type { BreakerStats } from "./Database.ts"

/** A breaker that is looked after: its transitions are events of `HealthMonitor`, and as long as it is not closed it is a reason of `health`. */
export interface WatchedBreaker {
  /** Whether the call may be made. What is let through must be followed by one of the next three. */
  readonly admit: () => boolean
  readonly succeeded: () => void
  readonly failed: (error: unknown) => void
  readonly abandoned: () => void
  /** The next call is let through, whatever the time. */
  readonly hurry: () => void
  /** While open: how long until a probe is let through. */
  readonly retryAfterMs: () => number
  readonly isClosed: () => boolean
  /** The resource is gone, or done with: so is its breaker. */
  readonly forget: () => void
  /** What it failed with last. */
  readonly error: () => unknown
}

export class Breakers extends Context.Service<
  Breakers,
  {
    /** A new one, closed. `words`: what of the service is missing while it is not closed. `condition`: its name among the conditions of health (default: the resource). */
    readonly open: (resource: string, words: string, rules?: BreakerRules, condition?: string) => WatchedBreaker
    /** One that somebody else keeps (worker threads outlive no engine, but know none): watched until the engine closes. */
    readonly adopt: (resource: string, words: string, source: BreakerSource) => void
    /** Those that are not closed, and those that count failures. */
    readonly stats: () => ReadonlyArray<BreakerStats>
  }
>()("lightning-db/services/Breakers") {}

/** A breaker with its own clock, which tells one listener of its transitions. */
export interface BreakerSource {
  readonly breaker: CircuitBreaker
  onTransition: ((from: CircuitBreaker["state"], error: unknown) => void) | undefined
}
