import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { make } from "../../src/layers/WorkersInProcess.ts"
import { Disk } from "../../src/services/Disk.ts"
import { type JobError, Workers } from "../../src/services/Workers.ts"

/** Workers whose jobs wait at a gate, and fail as long as they are told to. */
export class WorkersControl {
  readonly flushGate = Latch.makeUnsafe(true)
  readonly compactGate = Latch.makeUnsafe(true)
  flushFailure: JobError | undefined = undefined
  compactFailure: JobError | undefined = undefined
  /** So many jobs of either kind still fail, and then none. */
  failuresLeft = Infinity
  /** Thrown instead, as by a bug. */
  compactDefect: unknown = undefined
  flushes = 0
  compactions = 0

  readonly layer: Layer.Layer<Workers, never, Disk> = Layer.effect(
    Workers,
    Effect.map(Disk, (disk) => {
      const inner = make(disk)
      return Workers.of({
        parallelism: 1,
        flush: (directory, spec, progress) =>
          Effect.andThen(
            this.flushGate.await,
            Effect.suspend(() => {
              this.flushes++
              return this.flushFailure === undefined || this.failuresLeft-- <= 0
                ? inner.flush(directory, spec, progress)
                : Effect.fail(this.flushFailure)
            })
          ),
        compact: (directory, spec, progress) =>
          Effect.andThen(
            this.compactGate.await,
            Effect.suspend(() => {
              this.compactions++
              if (this.compactDefect !== undefined) return Effect.die(this.compactDefect)
              return this.compactFailure === undefined || this.failuresLeft-- <= 0
                ? inner.compact(directory, spec, progress)
                : Effect.fail(this.compactFailure)
            })
          )
      })
    })
  )
}
