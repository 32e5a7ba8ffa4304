import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { retryDelayMs } from "../../domain/breaker/retryDelay.ts"
import type { RetrySettings } from "../../domain/options/faultOptions.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"

/** What becomes of an actor that dies too often: the engine cannot do without it (`vital`), or does, and goes on trying (`lesser`). */
export type Importance = "vital" | "lesser"

/**
 * Runs the loop of an actor. Where it dies of a defect it is started again at once, which repeats what it was at, for as often as `retry.attempts` allows in a row; each death is
 * an event of `healthEvents`. From then on a vital one fails the database, and a lesser one is started by the schedule, with the database `degraded`, until it gets something
 * done. A loop that ends by itself, or is interrupted, has ended.
 *
 * `loop` calls what it is handed whenever it has got something done.
 */
export const supervise = (
  { health, retry }: { readonly health: HealthMonitor["Service"]; readonly retry: RetrySettings },
  actor: string,
  importance: Importance,
  loop: (progressed: () => void) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const condition = `actor ${actor}`
    let deaths = 0
    const progressed = () => {
      if (deaths === 0) return
      deaths = 0
      health.heal(condition)
    }
    const run: Effect.Effect<void> = Effect.catchCause(
      Effect.suspend(() => loop(progressed)),
      (cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
        if (health.closed() !== undefined) return Effect.void
        const error = Cause.squash(cause)
        deaths++
        if (importance === "vital" && deaths > retry.attempts) {
          health.fail(actor, error)
          return Effect.void
        }
        health.report({ type: "restarted", resource: actor, deaths, error })
        const logged = Effect.logWarning(`the ${actor} died and is started again`, cause)
        if (deaths <= retry.attempts) return Effect.andThen(Effect.andThen(logged, Effect.yieldNow), run)
        health.degrade(condition, `the ${actor} goes on failing: ${error instanceof Error ? error.message : String(error)}`)
        const pause = Effect.flatMap(Random.next, (random) => Effect.sleep(retryDelayMs(retry, deaths - retry.attempts + 1, random)))
        return Effect.andThen(pause, run)
      }
    )
    return run
  })
