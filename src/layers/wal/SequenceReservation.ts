import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { RetrySettings } from "../../domain/options/faultOptions.ts"
import type { Breakers } from "../../services/Breakers.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { Manifest, ManifestError } from "../../services/Manifest.ts"
import { makeJobRetries } from "../jobs/jobRetries.ts"
import { supervise } from "../jobs/supervise.ts"

export interface SequenceReservationInput {
  readonly manifest: Manifest["Service"]
  readonly health: HealthMonitor["Service"]
  readonly breakers: Breakers["Service"]
  readonly retry: RetrySettings
  /** Sequences reserved at a time. */
  readonly atOnce: number
  /** The last one that is reserved already. */
  readonly through: number
  /** The next one to be given out. */
  readonly next: () => number
}

/** The sequences that the manifest keeps for this open: a later one starts beyond them, so that none is ever given out twice. */
export class SequenceReservation {
  /** The last one that may be given out. */
  through: number
  private readonly input: SequenceReservationInput
  private readonly wanted = Latch.makeUnsafe(false)
  private waiting: Array<() => void> = []

  constructor(input: SequenceReservationInput) {
    this.input = input
    this.through = input.through
  }

  /** Another block. */
  want(): void {
    this.wanted.openUnsafe()
  }

  /** `answer` is called once there is another block, or never will be. */
  await(answer: () => void): void {
    this.waiting.push(answer)
    this.want()
  }

  /** Those who wait look again. */
  answer(): void {
    const { waiting } = this
    this.waiting = []
    for (const answer of waiting) answer()
  }

  /** The actor: another block once half of the present one is used, which at full speed is minutes ahead of need. A manifest that cannot be written ends it: those who wait are told. */
  get keep(): Effect.Effect<void> {
    const { atOnce, breakers, health, manifest, next, retry } = this.input
    const retries = makeJobRetries<ManifestError>({ breakers, health, retry }, "sequences", () => {}, "no sequences can be reserved")
    const loop = (progressed: () => void) =>
      Effect.ignore(
        Effect.gen({ self: this }, function* () {
          if (this.waiting.length > 0) this.want()
          while (true) {
            yield* this.wanted.await
            this.wanted.closeUnsafe()
            // Within a block from the next sequence, however many were given out while the last edit was on its way.
            yield* retries.run(
              manifest.commit(
                () => ({ sequencesThrough: Math.max(this.through, next()) + atOnce }),
                (state) => {
                  this.through = state.sequencesThrough
                  this.answer()
                }
              )
            )
            progressed()
          }
        })
      )
    return Effect.ensuring(
      supervise({ health, retry }, "reserver of sequences", "vital", loop),
      Effect.sync(() => this.answer())
    )
  }
}
