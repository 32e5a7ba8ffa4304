import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { IoFailure } from "../../domain/failures.ts"
import type { RetrySettings } from "../../domain/options/faultOptions.ts"
import type { Breakers } from "../../services/Breakers.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { LogSegment } from "../../services/LogSegment.ts"
import type { ManifestError } from "../../services/Manifest.ts"
import { makeJobRetries } from "../jobs/jobRetries.ts"
import { supervise } from "../jobs/supervise.ts"

export interface SegmentPreparerInput {
  readonly health: HealthMonitor["Service"]
  readonly breakers: Breakers["Service"]
  readonly retry: RetrySettings
  readonly prepare: Effect.Effect<LogSegment, IoFailure | ManifestError>
  /** No further segment is wanted. */
  readonly isOver: () => boolean
  /** There is one. */
  readonly onReady: () => void
}

/** The next segment, made before it is needed. */
export class SegmentPreparer {
  /** It is there: durable, and named. */
  ready: LogSegment | undefined
  private readonly input: SegmentPreparerInput
  private readonly wanted = Latch.makeUnsafe(true)

  constructor(input: SegmentPreparerInput) {
    this.input = input
  }

  /** Gives it away; another one is made. */
  take(): LogSegment | undefined {
    const taken = this.ready
    this.ready = undefined
    return taken
  }

  want(): void {
    this.wanted.openUnsafe()
  }

  /**
   * The actor. Nothing is refused for want of it: groups go on into the current segment, whose end is only put off. So it is tried for as long as it takes, unless writes are refused
   * anyway.
   */
  get keep(): Effect.Effect<void> {
    const { breakers, health, isOver, onReady, prepare, retry } = this.input
    const retries = makeJobRetries<ManifestError | IoFailure>(
      { breakers, health, retry },
      "log segment",
      () => {},
      "the next log segment cannot be prepared"
    )
    const loop = (progressed: () => void) =>
      Effect.ignore(
        Effect.gen({ self: this }, function* () {
          this.want()
          while (true) {
            yield* this.wanted.await
            this.wanted.closeUnsafe()
            if (this.ready !== undefined || isOver()) continue
            // As a whole or not at all: a segment that is named and that nobody holds would leak its handle.
            yield* retries.run(
              Effect.uninterruptible(
                Effect.map(prepare, (segment) => {
                  this.ready = segment
                  onReady()
                })
              )
            )
            progressed()
          }
        })
      )
    return supervise({ health, retry }, "segment preparer", "lesser", loop)
  }
}
