import * as Exit from "effect/Exit"
import type { WriteResult } from "../../services/Database.ts"
import type { CommitError, CommitReply } from "../../services/Wal.ts"

type Reply = (answer: CommitReply) => void

/**
 * Runs what somebody waits for. It may run the code of an application in this very stack (observers of fibers, callbacks), and what that throws is no failure of the log, nor may it
 * keep the others waiting: the host hears of it, as of everything that is thrown where nobody catches it.
 */
export const answerSafely = <A>(reply: (answer: A) => void, answer: A): void => {
  try {
    reply(answer)
  } catch (cause) {
    queueMicrotask(() => {
      throw cause
    })
  }
}

/**
 * Those that wait for a group, in the order of their sequences. Each is forgotten as it is answered and the list is used again: lists that were left to the collector, once they are
 * old, keep all that their callbacks hold alive until the next full collection, which is everything of every commit.
 */
export class Replies {
  private readonly waiting: Array<Reply | undefined> = []
  private count = 0

  get length(): number {
    return this.count
  }

  push(reply: Reply): void {
    this.waiting[this.count++] = reply
  }

  /** The first of them has `firstSequence`. Afterwards there are none. */
  succeed(firstSequence: number, durability: WriteResult["durability"]): void {
    const { count, waiting } = this
    for (let i = 0; i < count; i++) {
      const reply = waiting[i]!
      waiting[i] = undefined
      answerSafely(reply, Exit.succeed({ sequence: firstSequence + i, durability }))
    }
    this.count = 0
  }

  fail(error: CommitError): void {
    const { count, waiting } = this
    const answer = Exit.fail(error)
    for (let i = 0; i < count; i++) {
      const reply = waiting[i]!
      waiting[i] = undefined
      answerSafely(reply, answer)
    }
    this.count = 0
  }
}
