import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { retryDelayMs } from "../../domain/breaker/retryDelay.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import type { RetrySettings } from "../../domain/options/faultOptions.ts"

/** Repeats a read that failed with what may pass (an interrupted call, a shortage of handles or memory): once at once, then by the schedule, `retry.attempts` times in all. */
export type RetriedRead = <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const makeReadRetries =
  (retry: RetrySettings): RetriedRead =>
  <A, E, R>(read: Effect.Effect<A, E, R>) => {
    const after = (failures: number): Effect.Effect<A, E, R> =>
      Effect.catch(read, (error) => {
        if (!mayPass(error) || failures + 1 >= retry.attempts) return Effect.fail(error)
        const pause =
          failures === 0 ? Effect.yieldNow : Effect.flatMap(Random.next, (random) => Effect.sleep(retryDelayMs(retry, failures + 1, random)))
        return Effect.andThen(pause, after(failures + 1))
      })
    return after(0)
  }
