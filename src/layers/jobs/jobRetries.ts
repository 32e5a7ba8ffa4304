import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Damage } from "../../domain/failures.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"

/** Exponential from 10 ms, at most 10 s apart, with jitter, for as long as it takes: space may come back, a thread is replaced. */
const schedule = Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("10 seconds")]).pipe(Schedule.jittered)

/**
 * Repeats a job that failed for a passing reason, with the database `degraded` meanwhile. Damage does not pass: it ends the retries.
 */
export const jobRetries =
  (health: HealthMonitor["Service"], condition: string) =>
  <A, E, R>(job: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    job.pipe(
      Effect.tapError((error) =>
        Effect.sync(() => health.degrade(condition, `${condition}: ${error instanceof Error ? error.message : String(error)}`))
      ),
      Effect.retry({ schedule, while: (error) => !(error instanceof Damage) && health.refusal() === undefined }),
      Effect.tap(() => Effect.sync(() => health.heal(condition)))
    )
