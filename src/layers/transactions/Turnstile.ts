import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Runs of the body in all, where no schedule says otherwise. */
export const attemptsMax = 100
/** So many retries come as soon as the winner is visible; the following ones take their turn. */
export const immediateRetries = 2
const pauseMsMin = 1
const pauseMsMax = 250

/** A place in the queue of those that lost over the same key. */
export interface Ticket {
  readonly key: number
  first: boolean
  wake: (() => void) | undefined
}

/**
 * Those that keep losing over a key go one after the other: whoever is first goes at once, and the next one when that transaction has ended, by a signal. So a key that all want
 * is always being written by somebody, and hardly any work is thrown away. A pause, doubling and jittered, is how long a turn is waited for at most: who is first may be waiting
 * for something itself.
 */
export class Turnstile {
  private readonly queues = new Map<number, Array<Ticket>>()

  get isEmpty(): boolean {
    return this.queues.size === 0
  }

  hasQueue(key: number): boolean {
    return this.queues.has(key)
  }

  enter(key: number): Ticket {
    const queue = this.queues.get(key)
    const ticket: Ticket = { key, first: queue === undefined, wake: undefined }
    if (queue === undefined) this.queues.set(key, [ticket])
    else queue.push(ticket)
    return ticket
  }

  /** A second time does nothing. */
  leave(ticket: Ticket): void {
    const queue = this.queues.get(ticket.key)
    const at = queue === undefined ? -1 : queue.indexOf(ticket)
    if (queue === undefined || at < 0) return
    queue.splice(at, 1)
    const next = queue[0]
    if (next === undefined) this.queues.delete(ticket.key)
    else if (at === 0) {
      next.first = true
      next.wake?.()
    }
  }

  private ahead(ticket: Ticket): number {
    return Math.max(1, this.queues.get(ticket.key)?.indexOf(ticket) ?? 0)
  }

  /** Until it is this one's turn, or the pause before the retry after so many attempts is over. */
  turn(ticket: Ticket, attempts: number): Effect.Effect<void> {
    if (ticket.first) return Effect.void
    const called = Effect.callback<void>((resume) => {
      if (ticket.first) return resume(Effect.void)
      // In a step of its own: where one after the other ends without a wait, each would else run in the stack of the one before it.
      ticket.wake = () => resume(Effect.yieldNow)
      return Effect.sync(() => {
        ticket.wake = undefined
      })
    })
    return Effect.flatMap(Random.nextBetween(0.5, 1), (jitter) =>
      Effect.timeoutOrElse(called, {
        duration: jitter * Math.min(pauseMsMax, pauseMsMin * this.ahead(ticket) * 2 ** Math.max(0, Math.min(20, attempts - immediateRetries))),
        orElse: () => Effect.void
      })
    )
  }
}
