import * as Effect from "effect/Effect"
import type { CommitError } from "../../services/Wal.ts"
import { answerSafely } from "./Replies.ts"

interface Waiter {
  readonly sequence: number
  readonly answer: (answer: Effect.Effect<void, CommitError>) => void
}

/** Those that wait until the log has come so far. */
export class Waiters {
  private waiting: Array<Waiter> = []

  get length(): number {
    return this.waiting.length
  }

  add(sequence: number, answer: Waiter["answer"]): void {
    this.waiting.push({ sequence, answer })
  }

  /** Answers those whose sequence is reached and, where there is a `failure`, all others with that. */
  release(reached: number, failure: CommitError | undefined): void {
    if (this.waiting.length === 0) return
    const all = this.waiting
    this.waiting = failure === undefined ? all.filter(({ sequence }) => sequence > reached) : []
    for (const { answer, sequence } of all) {
      if (sequence <= reached) answerSafely(answer, Effect.void)
      else if (failure !== undefined) answerSafely(answer, Effect.fail(failure))
    }
  }
}
