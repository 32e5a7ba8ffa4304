import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { type BatchError, type TransactionConflict, type TransactionError, TransactionTooOld } from "../../domain/errors.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import type { WriteResult } from "../../services/Database.ts"
import type { Transaction } from "../../services/Transaction.ts"
import type { Wal } from "../../services/Wal.ts"
import { type Enclosing, EnclosingTransactions } from "./Enclosing.ts"
import { type CommitRefusal, ConflictFound, OpenTransaction } from "./OpenTransaction.ts"
import { type CommitExit, refused, type TransactionOutcomes } from "./TransactionOutcomes.ts"
import type { TransactionSettings } from "./transactionOptions.ts"
import type { TransactionShared } from "./TransactionShared.ts"
import { TransactionView } from "./TransactionSpaces.ts"
import { attemptsMax, immediateRetries, type Ticket, type Turnstile } from "./Turnstile.ts"

export interface RunParts {
  readonly shared: TransactionShared
  readonly outcomes: TransactionOutcomes
  readonly turnstile: Turnstile
  readonly wal: Wal["Service"]
}

type Answer<A, E, R> = Effect.Effect<A, E | TransactionError, R>

/**
 * One call of `db.transaction`: its attempts, one after the other. An attempt is a single step of the caller's fiber, which nothing can come between: it opens the transaction, runs
 * the body in a fiber of its own (so that time can end it), and commits; where the body waits for nothing and its group is written at once, all of that is over before the step is.
 * Else the caller waits for `resume`, and `cancel` is what its interruption does.
 */
export class TransactionRun<A, E, R> {
  private readonly parts: RunParts
  private readonly body: (tx: Transaction) => Effect.Effect<A, E, R>
  private readonly settings: TransactionSettings
  private readonly context: Context.Context<R>
  private readonly outer: Enclosing | undefined
  private attempts = 0
  private deadlineMs: number | undefined = undefined
  private ticket: Ticket | undefined = undefined
  private step: ((conflict: TransactionConflict) => Effect.Effect<unknown, Cause.Done<unknown>>) | undefined = undefined

  // Of the present attempt.
  private resume: (answer: Answer<A, E, R>) => void = ignored
  private tx: OpenTransaction | undefined = undefined
  private exit: Exit.Exit<A, E> | undefined = undefined
  /** What is waited for: the body, or room for the commit. */
  private waiting: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private timer: Fiber.Fiber<void> | undefined = undefined
  private isOver = false
  private isOverdue = false

  constructor(
    parts: RunParts,
    body: (tx: Transaction) => Effect.Effect<A, E, R>,
    settings: TransactionSettings,
    context: Context.Context<R>,
    outer: Enclosing | undefined
  ) {
    this.parts = parts
    this.body = body
    this.settings = settings
    this.context = context
    this.outer = outer
  }

  /** One attempt, and what follows from it. Run it once, or again where it has lost. */
  attempt(): Answer<A, E, R> {
    return Effect.callback((resume) => {
      this.resume = resume
      this.begin()
      return this.isOver ? undefined : Effect.suspend(() => this.cancel())
    })
  }

  private begin(): void {
    const { context, outer, settings } = this
    const { shared } = this.parts
    this.attempts++
    this.isOver = false
    let tx: OpenTransaction
    try {
      shared.checkOpen()
      tx = new OpenTransaction(shared, settings, this.deadlineMs)
    } catch (cause) {
      return this.answer(refused(cause))
    }
    this.tx = tx
    this.deadlineMs = tx.deadlineMs
    tx.isTimed = true
    let body: Effect.Effect<A, E, R>
    try {
      body = this.body(new TransactionView(tx))
    } catch (cause) {
      body = Effect.die(cause)
    }
    const enclosing: Enclosing = { shared, tx, frame: undefined, outer }
    const fiber = Effect.runForkWith(Context.add(context, EnclosingTransactions, enclosing))(body)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.bodyEnded(tx, exit)
    this.waiting = fiber
    fiber.addObserver((ended) => this.bodyEnded(tx, ended))
    const leftMs = Math.max(0, tx.deadlineMs - shared.clock.monotonicMs())
    if (leftMs === Infinity) return
    const timer = Effect.runForkWith(context)(Effect.sleep(leftMs))
    this.timer = timer
    timer.addObserver((slept) => {
      if (!Exit.isSuccess(slept) || this.timer !== timer) return
      this.isOverdue = true
      fiber.interruptUnsafe()
    })
  }

  private answer(answer: Answer<A, E, R>): void {
    this.isOver = true
    this.resume(answer)
  }

  private bodyEnded(tx: OpenTransaction, exit: Exit.Exit<A, E>): void {
    this.waiting = undefined
    if (this.timer !== undefined) this.stopTimer(this.timer)
    // Nobody waits for it any more: who cancelled looks after the rest.
    if (this.isOver) return
    const { outcomes, shared } = this.parts
    if (this.isOverdue || Exit.isFailure(exit)) {
      // What a read says of a transaction whose time is over, the caller hears of its timeout.
      const isOverdue = this.isOverdue || (Exit.isFailure(exit) && tx.isOverdue && Cause.squash(exit.cause) instanceof TransactionTooOld)
      shared.counts.rolledBack++
      tx.finish("rolledBack")
      return this.answer(isOverdue ? Effect.fail(outcomes.timeout(this.settings, this.attempts)) : exit)
    }
    if (tx.state !== "open") return this.answer(exit)
    // Only what others could notice enters the commit turn.
    if (!tx.hasEffects) {
      outcomes.endedReadOnly(tx)
      return this.answer(exit)
    }
    tx.state = "committing"
    this.exit = exit
    let committing: Effect.Effect<WriteResult, BatchError | CommitRefusal> | undefined
    try {
      committing = shared.transactions.commitNow(tx, (committed) => this.committed(tx, committed))
    } catch (cause) {
      // A broken rule of ours. This may be an observer of the body's fiber: what is thrown in it nobody would hear of, and the caller would wait for ever.
      return this.committed(tx, Exit.die(cause))
    }
    if (committing === undefined) return
    const fiber = Effect.runForkWith(this.context)(committing)
    const committed = fiber.pollUnsafe()
    if (committed !== undefined) return this.committed(tx, committed)
    this.waiting = fiber
    fiber.addObserver((ended) => this.committed(tx, ended))
  }

  private committed(tx: OpenTransaction, committed: CommitExit): void {
    this.waiting = undefined
    if (this.isOver) return
    const { outcomes, turnstile } = this.parts
    outcomes.ended(tx, committed)
    if (Exit.isSuccess(committed)) {
      const exit = this.exit!
      // Who lost to this one goes before whatever this caller does next: or a fast loop could keep all others out.
      return this.answer(turnstile.isEmpty ? exit : Effect.andThen(Effect.yieldNow, exit))
    }
    const found = outcomes.lostOrFailed(committed.cause, this.settings, this.attempts)
    this.answer(found instanceof ConflictFound ? this.lost(found) : found)
  }

  private stopTimer(timer: Fiber.Fiber<void>): void {
    this.timer = undefined
    timer.interruptUnsafe()
  }

  /** The caller is interrupted: the body's finalizers run before anything of the transaction is let go. */
  private cancel(): Effect.Effect<void> {
    this.isOver = true
    const { tx, waiting } = this
    const letGo = Effect.sync(() => {
      if (tx === undefined || (tx.state !== "open" && tx.state !== "committing")) return
      this.parts.shared.counts.rolledBack++
      tx.finish(tx.state === "open" ? "rolledBack" : "failed")
    })
    return waiting === undefined ? letGo : Effect.andThen(Fiber.interrupt(waiting), letGo)
  }

  /** Another attempt, where it is worth one. */
  private lost(found: ConflictFound): Answer<A, E, R> {
    const { outcomes, shared } = this.parts
    const goOn = Effect.flatMap(this.again(found), (more): Answer<A, E, R> => {
      if (!more) return Effect.fail(outcomes.conflict(found, this.attempts))
      if (shared.clock.monotonicMs() >= this.deadlineMs!) return Effect.fail(outcomes.timeout(this.settings, this.attempts))
      shared.counts.retries++
      return this.attempt()
    })
    // Once for all attempts: the place it may get in a queue is given up when all is over.
    if (this.settings.retry !== undefined || this.attempts > 1) return goOn
    return Effect.ensuring(
      goOn,
      Effect.sync(() => {
        if (this.ticket !== undefined) this.parts.turnstile.leave(this.ticket)
      })
    )
  }

  /** Its place among those that lose over the key; where it loses over another one, it goes there. */
  private place(found: ConflictFound): Ticket {
    const { turnstile } = this.parts
    const key = keyOf(found)
    if (this.ticket !== undefined && this.ticket.key !== key) {
      turnstile.leave(this.ticket)
      this.ticket = undefined
    }
    return (this.ticket ??= turnstile.enter(key))
  }

  /** Waits until it is worth another attempt; false where there is none. */
  private again(found: ConflictFound): Effect.Effect<boolean> {
    const { attempts } = this
    const { retry } = this.settings
    const { outcomes, shared, turnstile, wal } = this.parts
    if (retry === false || (retry === undefined && attempts >= attemptsMax)) return Effect.succeed(false)
    // Until the winner is visible another attempt would only lose again; where it never will be, the next commit says why.
    const settled = Effect.ignore(wal.awaitVisible(found.winningSequence))
    if (retry === undefined) {
      // Where others are already taking turns, one that comes at once would only make them lose.
      if (attempts <= immediateRetries && !turnstile.hasQueue(keyOf(found))) return Effect.as(settled, true)
      return Effect.suspend(() => Effect.as(Effect.andThen(settled, turnstile.turn(this.place(found), attempts)), true))
    }
    const scheduled = Effect.andThen(
      settled,
      Effect.suspend(() =>
        Effect.flatMap(this.step === undefined ? Schedule.toStepWithSleep(retry) : Effect.succeed(this.step), (next) => {
          this.step = next
          return Effect.match(next(outcomes.conflict(found, attempts)), { onFailure: () => false, onSuccess: () => true })
        })
      )
    )
    // A pause of the schedule may be longer than what is left.
    const leftMs = Math.max(0, this.deadlineMs! - shared.clock.monotonicMs())
    return leftMs === Infinity ? scheduled : Effect.timeoutOrElse(scheduled, { duration: leftMs, orElse: () => Effect.succeed(true) })
  }
}

/** Of the queue of those that lose over the same key. */
const keyOf = ({ keyspace, start }: ConflictFound): number => keyHash(keyspace, start, 0, start.length)

const ignored = () => {}
