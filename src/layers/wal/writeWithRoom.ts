import * as Effect from "effect/Effect"
import type { DiskFull } from "../../domain/errors.ts"
import type { IoFailure } from "../../domain/failures.ts"
import type { SpaceKeeper } from "../../services/SpaceKeeper.ts"
import type { PendingGroup } from "./PendingGroup.ts"

/**
 * Writes the group that found no room once there is some: the same sequences and commit times, and nobody was told anything.
 *
 * Each attempt that fails is first taken back: `cutBack` cuts the segment where its last whole group ends, and syncs that cut. From there on no crash can show a byte of the attempt, so
 * the segment is what it was before, and the group may be written again, or given up by a database that closes. Were the cut not there, a group that was written whole before the
 * failure was reported would stand in the log twice, and what follows the second one would hang on nothing. A cut that fails is a failed sync: the end.
 *
 * `write` says where the disk is full, and throws everything else; `found` is what the first attempt met.
 */
export const writeWithRoom = (
  space: SpaceKeeper["Service"],
  write: (group: PendingGroup) => IoFailure | undefined,
  group: PendingGroup,
  cutBack: Effect.Effect<void, IoFailure>,
  found: IoFailure
): Effect.Effect<void, IoFailure | DiskFull> => {
  let full: IoFailure | undefined = found
  return space.untilRoom(
    Effect.suspend(() => {
      full ??= write(group)
      if (full === undefined) return Effect.void
      const failed = full
      full = undefined
      return Effect.andThen(cutBack, Effect.fail(failed))
    })
  )
}
