import * as Effect from "effect/Effect"
import type { Watchdog } from "../../services/Watchdog.ts"

/** Two words: see `Workers`. */
const progressWords = (): BigInt64Array => new BigInt64Array(new SharedArrayBuffer(16))

/** A job under the eyes of the watchdog: it gets on as long as the words that it is handed change. */
export const watchedJob = <A, E, R>(
  watchdog: Watchdog["Service"],
  name: string,
  what: string,
  file: string,
  run: (progress: BigInt64Array) => Effect.Effect<A, E, R>,
  progress: BigInt64Array = progressWords()
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const actor = watchdog.job(name)
    actor.begin(what, file, () => Number(Atomics.load(progress, 0) + Atomics.load(progress, 1)))
    return Effect.ensuring(
      run(progress),
      Effect.sync(() => actor.end())
    )
  })
