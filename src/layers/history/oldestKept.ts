import * as Effect from "effect/Effect"
import type { ReadError } from "../../domain/errors.ts"
import { type KeptVersions, KeptCounter } from "../../domain/history/keptVersions.ts"
import { readError } from "../reading/makeReads.ts"
import type { VersionWalk } from "./VersionWalk.ts"

/**
 * The sequence of the oldest version that retention by count keeps of a key; Infinity where there is none. `walk` goes from the newest version back, over no more than `versions`.
 * `check` throws why nothing may be read any more.
 */
export const oldestKept = (
  walk: VersionWalk,
  limits: ReadonlyArray<KeptVersions>,
  versions: number,
  mayBlock: () => boolean,
  check: () => void
): Effect.Effect<number, ReadError> => {
  const counter = new KeptCounter(limits, versions)
  let oldest = Infinity
  const step: Effect.Effect<number, ReadError> = Effect.suspend(() => {
    try {
      check()
      for (;;) {
        const state = walk.advance(mayBlock())
        if (state === "pending") return Effect.andThen(Effect.mapError(walk.bring(), readError), step)
        if (state === "end" || !counter.takes(walk.sequence)) return Effect.succeed(oldest)
        oldest = walk.sequence
      }
    } catch (cause) {
      return Effect.fail(readError(cause))
    }
  })
  return step
}
