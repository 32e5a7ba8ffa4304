import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { DatabasePoisoned, fromFailure, type MaintenanceError } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { ManifestError } from "../../services/Manifest.ts"
import { type JobError, WorkerDied } from "../../services/Workers.ts"

/**
 * A job that failed is run again at once, until it has failed so often in a row: what passes by itself (a thread that died, an interrupted call) is nobody's business. One more
 * than worker threads may die in a row before a job is run without them. From then on the failure counts as lasting, and those who wait are told.
 */
export const attemptsUntilTold = 5
/** Between attempts of a job whose failure lasts: doubling from the first to the last. */
const pauseMsMin = 10
const pauseMsMax = 10_000

/** What a caller of `flush` or `compact` is told. */
export const jobError = (error: JobError | ManifestError): MaintenanceError => {
  if (error instanceof IoFailure || error instanceof Damage) return fromFailure(error)
  if (error instanceof WorkerDied) return new DatabasePoisoned({ detail: error.detail })
  return error
}

export interface JobRetries {
  /**
   * Repeats the job for as long as its failure may pass, with the database `degraded` once it lasts. Damage does not pass, and where the database refuses writes nothing is
   * tried again. `"untilTold"`: a job that is only run for its caller ends with the failure once it lasts.
   */
  readonly run: <A, R>(job: Effect.Effect<A, JobError | ManifestError, R>, how?: "untilTold") => Effect.Effect<A, JobError | ManifestError, R>
  /** Jobs that pause before their next attempt make it now: somebody has come who waits for it. */
  readonly hurry: () => void
}

/** `onLasting` is called at each failed attempt of a job whose failure lasts. The names of the conditions it reports begin with `condition`. */
export const makeJobRetries = (
  health: HealthMonitor["Service"],
  condition: "flush" | "compaction",
  onLasting: (error: JobError | ManifestError) => void
): JobRetries => {
  let runs = 0
  const pausing = new Set<() => void>()
  /** Counts the calls of `hurry`: one between a failed attempt and the pause that follows is not missed. */
  let hurries = 0

  const pause = (attempts: number, seen: number) =>
    Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) =>
      Effect.timeoutOrElse(
        Effect.callback<void>((resume) => {
          if (hurries !== seen) return resume(Effect.void)
          const hurried = () => resume(Effect.void)
          pausing.add(hurried)
          return Effect.sync(() => pausing.delete(hurried))
        }),
        { duration: jitter * Math.min(pauseMsMax, pauseMsMin * 2 ** (attempts - attemptsUntilTold)), orElse: () => Effect.void }
      )
    )

  return {
    run: <A, R>(job: Effect.Effect<A, JobError | ManifestError, R>, how?: "untilTold") =>
      Effect.suspend(() => {
        // A name of its own: jobs run side by side, and one that ends well heals nothing of another.
        const name = `${condition} ${++runs}`
        let attempts = 0
        const attempt: Effect.Effect<A, JobError | ManifestError, R> = Effect.catch(job, (error) => {
          if (error instanceof Damage || health.refusal() !== undefined) return Effect.fail(error)
          attempts++
          if (attempts < attemptsUntilTold) return Effect.andThen(Effect.yieldNow, attempt)
          if (how === "untilTold") return Effect.fail(error)
          const seen = hurries
          health.degrade(name, `${condition}: ${error.message}`)
          onLasting(error)
          return Effect.andThen(pause(attempts, seen), attempt)
        })
        return Effect.ensuring(
          attempt,
          Effect.sync(() => health.heal(name))
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
