import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/**
 * How many checkpoints, and how many verifications, of one database run at once; those that are begun besides wait for their turn. Each holds files open and reads buffers of its own,
 * and more of them at once get none of them done earlier.
 */
export const maintenanceAtOnce = 4

/** Lets so many of what goes through it run at once, in the order in which they came. */
export const makeFewAtOnce: Effect.Effect<<A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>> = Effect.map(
  Semaphore.make(maintenanceAtOnce),
  (turns) => turns.withPermit
)
