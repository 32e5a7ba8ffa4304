import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { retryDelayMs } from "../../domain/breaker/retryDelay.ts"
import type { BreakerRules } from "../../domain/breaker/CircuitBreaker.ts"
import { fromFailure, type FlushError, JobFailed } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { retryDefaults, type RetrySettings } from "../../domain/options/faultOptions.ts"
import type { Breakers, WatchedBreaker } from "../../services/Breakers.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { ManifestError } from "../../services/Manifest.ts"
import { type JobError, WorkerDied } from "../../services/Workers.ts"

/**
 * A job that failed is run again at once, until it has failed so often in a row: what passes by itself (a thread that died, an interrupted call) is nobody's business. From then
 * on the failure counts as lasting: the breaker of the job opens, and those who wait are told. By default; see the option `retry`.
 */
export const attemptsUntilTold = retryDefaults.attempts

/** What a caller of `flush` or `compact` is told. A thread that died takes nothing along: the memtable, or the inputs, are as they were. */
export const jobError = (work: JobFailed["work"], error: JobError | ManifestError): FlushError => {
  if (error instanceof IoFailure || error instanceof Damage) return fromFailure(error)
  if (error instanceof WorkerDied) return new JobFailed({ work, quarantined: false, detail: error.detail, cause: error })
  return error
}

export interface JobRetries<Failure extends Error = JobError | ManifestError> {
  /**
   * Repeats the job for as long as its failure may pass, with the database `degraded` once it lasts. Damage does not pass, and where the database refuses writes nothing is
   * tried again.
   */
  readonly run: <A, E extends Failure, R>(job: Effect.Effect<A, E, R>, how?: RunHow) => Effect.Effect<A, E, R>
  /** Jobs that pause before their next attempt make it now: somebody has come who waits for it. */
  readonly hurry: () => void
}

export interface RunHow {
  /** A job that is only run for its caller ends with the failure once it lasts. */
  readonly untilTold?: boolean
  /** One that dies of a defect is run again, too, as often as one that fails; then it ends with the defect. */
  readonly repeatsDefects?: boolean
}

/** What all who repeat something share. */
export interface RetryParts {
  readonly health: HealthMonitor["Service"]
  readonly breakers: Breakers["Service"]
  readonly retry: RetrySettings
}

/** The breaker of a job opens when its attempts are used up, and for the pauses of the schedule: each attempt after them is a probe. */
const rulesOf = (retry: RetrySettings): BreakerRules => ({
  failureThreshold: retry.attempts,
  successThreshold: 1,
  openForMs: (openings) => retryDelayMs(retry, openings + 1, 0.5)
})

/**
 * `onLasting` is called at each failed attempt of a job whose failure lasts. The names of the conditions it reports, and of its breakers, begin with `condition`; `words` say what
 * of the service is missing meanwhile.
 */
export const makeJobRetries = <Failure extends Error = JobError | ManifestError>(
  { breakers, health, retry }: RetryParts,
  condition: string,
  onLasting: (error: Failure) => void,
  words: string = condition
): JobRetries<Failure> => {
  const rules = rulesOf(retry)
  let runs = 0
  const pausing = new Set<() => void>()
  /** Counts the calls of `hurry`: one between a failed attempt and the pause that follows is not missed. */
  let hurries = 0

  const pause = (openings: number, seen: number) =>
    Effect.flatMap(Random.next, (random) =>
      Effect.timeoutOrElse(
        Effect.callback<void>((resume) => {
          if (hurries !== seen) return resume(Effect.void)
          const hurried = () => resume(Effect.void)
          pausing.add(hurried)
          return Effect.sync(() => pausing.delete(hurried))
        }),
        { duration: retryDelayMs(retry, openings + 1, random), orElse: () => Effect.void }
      )
    )

  return {
    run: <A, E extends Failure, R>(job: Effect.Effect<A, E, R>, how: RunHow = {}): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        // A name of its own: jobs run side by side, and one that ends well heals nothing of another.
        const name = `${condition} ${++runs}`
        let breaker: WatchedBreaker | undefined
        let attempts = 0
        let defects = 0
        const attempt: Effect.Effect<A, E, R> = Effect.catchCause(job, (cause) => {
          const failed = Cause.findErrorOption(cause)
          if (failed._tag === "None") {
            if (Cause.hasInterruptsOnly(cause) || how.repeatsDefects !== true || ++defects >= retry.attempts || health.refusal() !== undefined)
              return Effect.failCause(cause)
            return Effect.andThen(Effect.yieldNow, attempt)
          }
          const error = failed.value
          if (error instanceof Damage || health.refusal() !== undefined) return Effect.failCause(cause)
          attempts++
          if (how.untilTold === true) return attempts < retry.attempts ? Effect.andThen(Effect.yieldNow, attempt) : Effect.failCause(cause)
          breaker ??= breakers.open(name, words, rules)
          breaker.failed(error)
          if (breaker.isClosed()) return Effect.andThen(Effect.yieldNow, attempt)
          const seen = hurries
          onLasting(error)
          return Effect.andThen(
            Effect.tap(pause(attempts - retry.attempts + 1, seen), () =>
              Effect.sync(() => {
                breaker?.hurry()
                breaker?.admit()
              })
            ),
            attempt
          )
        })
        return Effect.onExit(attempt, (exit) =>
          Effect.sync(() => {
            if (breaker === undefined) return
            if (exit._tag === "Success") breaker.succeeded()
            breaker.forget()
          })
        )
      }),
    hurry: () => {
      hurries++
      const hurried = [...pausing]
      pausing.clear()
      for (const wake of hurried) wake()
    }
  }
}
