import * as Effect from "effect/Effect"
import { RecoveryProgress } from "../../services/RecoveryProgress.ts"

const everyMs = 1000

/** A function that a recovery calls with the bytes it has replayed, for whoever is to be told, once a second. */
export const tellProgress = (path: string, monotonicMs: () => number): Effect.Effect<(replayedBytes: number) => void> =>
  Effect.gen(function* () {
    const told = yield* RecoveryProgress
    const context = yield* Effect.context<never>()
    const startedMs = monotonicMs()
    let dueMs = startedMs + everyMs
    return (replayedBytes: number) => {
      const nowMs = monotonicMs()
      if (nowMs < dueMs) return
      dueMs = nowMs + everyMs
      const elapsedMs = nowMs - startedMs
      if (told !== undefined) told({ path, replayedBytes, elapsedMs })
      else
        Effect.runSyncWith(context)(
          Effect.logInfo(`opening ${path}: ${Math.round(replayedBytes / 2 ** 20)} MiB of the log replayed after ${Math.round(elapsedMs / 1000)} s`)
        )
    }
  })
