import * as Effect from "effect/Effect"
import type { Watchdog } from "../../services/Watchdog.ts"
import { noPace } from "../maintenance/verifyLog.ts"
import type { VerifyWatch } from "../maintenance/verifyVersion.ts"

/** A verification under the eyes of the watchdog: it gets on with everything that it reads. */
export const watchedVerification = <A, E>(
  watchdog: Watchdog["Service"],
  directory: string,
  watch: VerifyWatch,
  run: (watch: VerifyWatch) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const { pace = noPace } = watch
    let reads = 0
    const actor = watchdog.job("verification")
    actor.begin("the reading of", directory, () => reads)
    const counted: VerifyWatch = {
      ...watch,
      pace: (bytes) => {
        reads++
        return pace(bytes)
      }
    }
    return Effect.ensuring(
      run(counted),
      Effect.sync(() => actor.end())
    )
  })
