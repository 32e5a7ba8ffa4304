import * as Effect from "effect/Effect"
import { WorkStalled } from "../../domain/errors.ts"
import type { Watchdog } from "../../services/Watchdog.ts"

/** What somebody waits for, and the actors that do it. */
export interface WatchedWork {
  readonly work: WorkStalled["work"]
  readonly actors: ReadonlyArray<string>
}

/**
 * Waits as long as the work gets on: fails once none of its actors has moved for `waitTimeoutMs`, and leaves the work alone. The only timer is that of who waits.
 */
export const untilStalled = <A, E>(
  watchdog: Watchdog["Service"],
  waitTimeoutMs: number,
  { actors, work }: WatchedWork,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E | WorkStalled> => {
  if (waitTimeoutMs === Infinity) return wait
  const look = (seen: number): Effect.Effect<never, WorkStalled> =>
    Effect.flatMap(Effect.sleep(waitTimeoutMs), () => {
      const progress = watchdog.progressOf(actors)
      if (progress !== seen) return look(progress)
      return Effect.fail(new WorkStalled({ work, waitedMs: waitTimeoutMs, detail: watchdog.hanging() ?? "it waits for what does not come" }))
    })
  return Effect.raceFirst(
    wait,
    Effect.suspend(() => look(watchdog.progressOf(actors)))
  )
}
