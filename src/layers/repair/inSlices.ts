import * as Effect from "effect/Effect"
import type { OpenError } from "../../domain/errors.ts"
import type { WorkCounter } from "../maintenance/WorkCounter.ts"
import { repairError } from "./repairError.ts"

/** A line of the log for so many bytes. */
const bytesPerLine = 1 << 30

/** A step is a millisecond of work at most, mostly far less. */
const stepsPerSlice = 8

/** Runs long plain work in turns of the event loop. With `logs` it says at Info how far it is, by bytes read. Interrupted, it ends at the next turn. */
export const inSlices = <A>(
  directory: string,
  work: () => Generator<void, A, void>,
  counter: WorkCounter,
  logs = true
): Effect.Effect<A, OpenError> =>
  Effect.suspend(() => {
    const steps = work()
    let told = 0
    const advance = Effect.try({
      try: () => {
        let step = steps.next()
        for (let i = 1; i < stepsPerSlice && step.done !== true; i++) step = steps.next()
        return step
      },
      catch: (cause) => repairError(directory, cause)
    })
    const run: Effect.Effect<A, OpenError> = Effect.gen(function* () {
      for (;;) {
        const step = yield* advance
        if (step.done === true) return step.value
        if (logs && counter.done - told >= bytesPerLine) {
          told = counter.done
          yield* Effect.logInfo(`${directory}: ${Math.round(counter.done / 2 ** 20)} of ${Math.round(counter.total / 2 ** 20)} MiB read`)
        }
        yield* Effect.yieldNow
      }
    })
    // Closes what it holds open.
    return Effect.onExit(run, () => Effect.sync(() => void steps.return(undefined as never)))
  })
