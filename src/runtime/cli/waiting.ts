import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { formatDuration } from "./format/numbers.ts"
import { Output } from "./Output.ts"

/** Shows on a terminal what is being waited for and for how long, where the engine does not say how far it is. */
export const withWaiting = <A, E, R>(what: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Output> =>
  Effect.gen(function* () {
    const output = yield* Output
    if (!output.stderrIsTerminal) return yield* work
    const startMs = performance.now()
    const show = Effect.suspend(() =>
      output.status(`${what}  ${formatDuration(performance.now() - startMs)}`.slice(0, Math.max(0, output.columns() - 1)))
    )
    const loop = yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(250), show)))
    return yield* Effect.ensuring(work, Effect.andThen(Fiber.interrupt(loop), output.status("")))
  })
