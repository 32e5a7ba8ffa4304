import * as Effect from "effect/Effect"
import { drawInt, type Prng } from "../../src/layers/disk/Prng.ts"

/** Where fibers wait between their steps, and are let on in a drawn order: each of them keeps its transaction open over the steps of many others. */
export class Turnstile {
  readonly #prng: Prng
  readonly #waiting: Array<() => void> = []
  #running = 0

  constructor(prng: Prng) {
    this.#prng = prng
  }

  /** By chance: at once, after some turns of the scheduler, or when others were let on before. */
  readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    const drawn = this.#prng()
    if (drawn < 0.35) return Effect.void
    if (drawn < 0.6) return drawn < 0.5 ? Effect.yieldNow : Effect.repeat(Effect.yieldNow, { times: 3 })
    return this.wait
  })

  /** Until it is let on. */
  readonly wait: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.#waiting.push(wake)
    return Effect.sync(() => {
      const at = this.#waiting.indexOf(wake)
      if (at >= 0) this.#waiting.splice(at, 1)
    })
  })

  /** Runs all at once, lets those that wait on, and ends with them. `share`: the part of those waiting that goes on in each turn. */
  run<A, E, R>(fibers: ReadonlyArray<Effect.Effect<A, E, R>>, share: number): Effect.Effect<ReadonlyArray<A>, E, R> {
    const pacer = Effect.gen({ self: this }, function* () {
      while (this.#running > 0) {
        for (let count = Math.ceil(this.#waiting.length * share); count > 0; count--) {
          const at = drawInt(this.#prng, this.#waiting.length)
          const [wake] = this.#waiting.splice(at, 1)
          wake!()
        }
        yield* Effect.yieldNow
      }
    })
    return Effect.suspend(() => {
      this.#running = fibers.length
      const counted = fibers.map((fiber) =>
        Effect.ensuring(
          fiber,
          Effect.sync(() => this.#running--)
        )
      )
      return Effect.map(Effect.all([Effect.all(counted, { concurrency: "unbounded" }), pacer], { concurrency: 2 }), ([results]) => results)
    })
  }
}
