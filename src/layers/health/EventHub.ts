import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { HealthEvent } from "../../services/HealthEvents.ts"

/** Events kept for a subscriber that is slow: beyond that the oldest go. */
const eventsKept = 256

interface Subscriber {
  waiting: Array<HealthEvent>
  wake: (() => void) | undefined
}

/** Events from those who report them, in place, to streams that take them when they come to it. Nobody waits for a slow one. */
export class EventHub {
  readonly #subscribers = new Set<Subscriber>()
  #ended = false

  publish(event: HealthEvent): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.waiting.push(event) > eventsKept) subscriber.waiting.shift()
      subscriber.wake?.()
    }
  }

  /** Streams end once they have told what they were told. */
  end(): void {
    this.#ended = true
    for (const subscriber of this.#subscribers) subscriber.wake?.()
  }

  /** Begins with `first` at the time of its first pull; what is published from then on follows. */
  stream(first: () => HealthEvent): Stream.Stream<HealthEvent> {
    return Stream.scoped(
      Stream.fromPull(
        Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => {
              const subscriber: Subscriber = { waiting: [first()], wake: undefined }
              this.#subscribers.add(subscriber)
              return subscriber
            }),
            (subscriber) => Effect.sync(() => this.#subscribers.delete(subscriber))
          ),
          (subscriber) => this.#pull(subscriber)
        )
      )
    )
  }

  #pull(subscriber: Subscriber): Effect.Effect<readonly [HealthEvent, ...Array<HealthEvent>], Cause.Done> {
    const pull: Effect.Effect<readonly [HealthEvent, ...Array<HealthEvent>], Cause.Done> = Effect.suspend(() => {
      const [next, ...rest] = subscriber.waiting
      if (next !== undefined) {
        subscriber.waiting = []
        return Effect.succeed([next, ...rest])
      }
      if (this.#ended) return Cause.done()
      return Effect.andThen(
        Effect.callback<void>((resume) => {
          subscriber.wake = () => {
            subscriber.wake = undefined
            resume(Effect.void)
          }
          return Effect.sync(() => {
            subscriber.wake = undefined
          })
        }),
        pull
      )
    })
    return pull
  }
}
