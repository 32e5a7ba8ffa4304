/**
 * When the engine does something that it must not do in the middle of a step: through a reference, so that a simulation orders it with everything else. The default is the
 * event loop's own order.
 */
import * as Context from "effect/Context"

export interface TurnsShape {
  /** Runs it once what runs now has run to its end. */
  readonly afterStep: (run: () => void) => void
  /** Runs it once everything that is ready has had its turn of the event loop. */
  readonly afterTurn: (run: () => void) => void
}

export const Turns: Context.Reference<TurnsShape> = Context.Reference<TurnsShape>("lightning-db/services/Turns", {
  defaultValue: () => ({
    afterStep: (run) => queueMicrotask(run),
    afterTurn: (run) => {
      setImmediate(run)
    }
  })
})
