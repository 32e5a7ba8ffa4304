/**
 * Room on the disk: the reserve for the end of the log and the manifest, and what becomes of writers while there is none.
 *
 * Space is *low* from the moment a write of the log or the manifest found no room (or the reserve none) until the reserve stands again. While it is, the database is `degraded`, and
 * writes that free nothing are refused before they are sequenced. It looks again at every sign (files were removed) and by a schedule, because space may be freed by others.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { DiskFull } from "../domain/errors.ts"

export interface SpaceStats {
  readonly reserve: number
  readonly low: boolean
}

export class SpaceKeeper extends Context.Service<
  SpaceKeeper,
  {
    /** `undefined` while every write is taken. Asked by each commit: a call and a field. */
    readonly refusal: () => DiskFull | undefined
    /**
     * Runs the attempt, and again for as long as it fails because the disk is full (`isDiskFull`): at once where that made the reserve be given up, then after each sign. Every other
     * failure is its own. Fails with `DiskFull` once the database stops. Nobody else's work is waited for, so who holds something meanwhile holds up nothing that frees space.
     */
    readonly untilRoom: <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DiskFull, R>
    /** What is set aside, in bytes: 0 where none is wanted, it is not made yet, or it was given up. And whether writes that free nothing are refused. */
    readonly stats: () => SpaceStats
    /** Files were removed: there may be room. */
    readonly changed: () => void
    /** Who waits for room is told now that none will come. */
    readonly stop: () => void
  }
>()("lightning-db/services/SpaceKeeper") {}
