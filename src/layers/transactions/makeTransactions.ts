import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import {
  type BatchError,
  DatabaseClosed,
  InvalidOptions,
  TooManySnapshots,
  TransactionConflict,
  type TransactionError,
  TransactionFinished,
  TransactionTimeout,
  TransactionTooOld
} from "../../domain/errors.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import type { DatabaseShape, WriteResult } from "../../services/Database.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Transaction, TransactionHandle, TransactionOptions, TransactionStats } from "../../services/Transaction.ts"
import type { Wal } from "../../services/Wal.ts"
import type { ReadParts } from "../reading/makeReads.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { Catalog } from "../../services/Catalog.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { LockTable } from "./LockTable.ts"
import { type CommitRefusal, ConflictFound, type JoinedFrame, OpenTransaction, timeOver } from "./OpenTransaction.ts"
import { attemptsMax, immediateRetries, type Ticket, Turnstile } from "./Turnstile.ts"
import { defaultSettings, transactionSettings, type TransactionSettings } from "./transactionOptions.ts"
import type { TransactionShared } from "./TransactionShared.ts"
import { TransactionView } from "./TransactionSpaces.ts"

export interface TransactionParts {
  readonly reads: ReadParts
  readonly options: ResolvedOptions
  readonly clock: EngineClock["Service"]
  readonly catalog: Catalog["Service"]
  readonly memtables: Memtables["Service"]
  readonly transactions: TransactionManager["Service"]
  readonly wal: Wal["Service"]
  /** Throws why nothing may be done any more. */
  readonly checkOpen: () => void
  /** Whether what is written outlives the process. */
  readonly durable: boolean
}

export interface Transactions {
  readonly transaction: DatabaseShape["transaction"]
  readonly begin: DatabaseShape["begin"]
  readonly stats: () => TransactionStats
}

/** The transactions in whose bodies a fiber runs, the innermost first: one per database at most. */
interface Enclosing {
  readonly shared: TransactionShared
  readonly tx: OpenTransaction
  /** Where that one was joined. */
  readonly frame: JoinedFrame | undefined
  readonly outer: Enclosing | undefined
}

const EnclosingTransactions = Context.Reference<Enclosing | undefined>("lightning-db/layers/EnclosingTransactions", { defaultValue: () => undefined })

const enclosingIn = (shared: TransactionShared, innermost: Enclosing | undefined): Enclosing | undefined => {
  for (let at = innermost; at !== undefined; at = at.outer) if (at.shared === shared) return at.tx.state === "open" ? at : undefined
  return undefined
}

const isRefusal = (cause: unknown): cause is TooManySnapshots | DatabaseClosed | InvalidOptions =>
  cause instanceof TooManySnapshots || cause instanceof DatabaseClosed || cause instanceof InvalidOptions

const refused = (cause: unknown): Effect.Effect<never, TooManySnapshots | DatabaseClosed | InvalidOptions> => {
  if (isRefusal(cause)) return Effect.fail(cause)
  throw cause
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const makeTransactions = (parts: TransactionParts): Transactions => {
  const { catalog, checkOpen, clock, durable, memtables, options, reads, transactions, wal } = parts
  const counts = { open: 0, committed: 0, readOnly: 0, rolledBack: 0, conflicts: 0, retries: 0, abandoned: 0 }
  const locks = new LockTable()
  const turnstile = new Turnstile()
  const shared: TransactionShared = { reads, options, clock, catalog, memtables, transactions, locks, counts, checkOpen }
  const defaults = defaultSettings(options.durability)

  const conflictError = (found: ConflictFound, attempts: number) =>
    new TransactionConflict({
      keyspace: found.keyspace === defaultKeyspace ? "default" : (catalog.nameOf(found.keyspace) ?? `#${found.keyspace}`),
      start: found.start.slice(),
      ...(found.end === undefined ? {} : { end: found.end.slice() }),
      winningSequence: found.winningSequence,
      attempts
    })

  const timeoutError = (settings: TransactionSettings, attempts: number) => new TransactionTimeout({ timeoutMs: settings.timeoutMs, attempts })

  /** Throws `TooManySnapshots`, `DatabaseClosed`. */
  const open = (settings: TransactionSettings, deadlineMs: number | undefined): OpenTransaction => {
    checkOpen()
    return new OpenTransaction(shared, settings, deadlineMs)
  }

  /** Only what others could notice enters the commit turn. */
  const commit = (tx: OpenTransaction): Effect.Effect<WriteResult, BatchError | CommitRefusal> => {
    if (tx.hasEffects) {
      tx.state = "committing"
      return transactions.commit(tx)
    }
    return Effect.succeed({ sequence: tx.sequence, durability: durable ? tx.settings.durability : "memory" })
  }

  /** Counts how the commit came out, and ends the transaction. */
  const ended = (tx: OpenTransaction, exit: Exit.Exit<WriteResult, BatchError | CommitRefusal>): void => {
    if (Exit.isSuccess(exit)) {
      if (tx.hasEffects) counts.committed++
      else counts.readOnly++
      tx.finish("committed")
      return
    }
    if (Cause.squash(exit.cause) instanceof ConflictFound) counts.conflicts++
    else counts.rolledBack++
    tx.finish("failed")
  }

  /** The body in a fiber of its own, so that time can end it; where it does not wait for anything, that is over here. */
  const runBody = <A, E, R>(
    restore: Restore,
    tx: OpenTransaction,
    body: (tx: Transaction) => Effect.Effect<A, E, R>
  ): Effect.Effect<Exit.Exit<A, E> | typeof timeOver, never, R> =>
    Effect.withFiber((current) => {
      const enclosing: Enclosing = { shared, tx, frame: undefined, outer: Context.get(current.context, EnclosingTransactions) }
      const running = Effect.provideService(
        Effect.suspend(() => body(new TransactionView(tx))),
        EnclosingTransactions,
        enclosing
      )
      return Effect.flatMap(Effect.forkChild(running, { startImmediately: true }), (fiber) => {
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) return Effect.succeed(exit)
        const leftMs = Math.max(0, tx.deadlineMs - clock.monotonicMs())
        const awaited = Fiber.await(fiber)
        const waited = leftMs === Infinity ? awaited : Effect.timeoutOrElse(awaited, { duration: leftMs, orElse: () => Effect.succeed(timeOver) })
        return Effect.flatMap(
          Effect.exit(restore<Exit.Exit<A, E> | typeof timeOver, never, never>(waited)),
          (answer): Effect.Effect<Exit.Exit<A, E> | typeof timeOver> =>
            Exit.isSuccess(answer)
              ? answer.value === timeOver
                ? Effect.as(Fiber.interrupt(fiber), answer.value)
                : Effect.succeed(answer.value)
              : // Interrupted: the body's finalizers run before anything of the transaction is let go.
                Effect.as(Fiber.interrupt(fiber), Exit.failCause(answer.cause))
        )
      })
    })

  const run = <A, E, R>(
    body: (tx: Transaction) => Effect.Effect<A, E, R>,
    settings: TransactionSettings
  ): Effect.Effect<A, E | TransactionError, R> =>
    Effect.uninterruptibleMask((restore) => {
      let deadlineMs: number | undefined
      let ticket: Ticket | undefined
      let step: ((conflict: TransactionConflict) => Effect.Effect<unknown, Cause.Done<unknown>>) | undefined

      const attempt = (attempts: number): Effect.Effect<A, E | TransactionError, R> =>
        Effect.suspend(() => {
          let tx: OpenTransaction
          try {
            tx = open(settings, deadlineMs)
          } catch (cause) {
            return refused(cause)
          }
          deadlineMs = tx.deadlineMs
          tx.isTimed = true
          return Effect.flatMap(runBody(restore, tx, body), (exit) => {
            if (exit === timeOver || Exit.isFailure(exit)) {
              // What a read says of a transaction whose time is over, the caller hears of its timeout.
              const isOverdue = exit === timeOver || (tx.isOverdue && Cause.squash(exit.cause) instanceof TransactionTooOld)
              counts.rolledBack++
              tx.finish("rolledBack")
              return isOverdue ? Effect.fail(timeoutError(settings, attempts)) : (exit as Exit.Exit<A, E>)
            }
            if (tx.state !== "open") return exit
            return Effect.flatMap(Effect.exit(restore(commit(tx))), (committed) => {
              ended(tx, committed)
              if (!Exit.isSuccess(committed)) return failed(committed.cause, attempts)
              // Who lost to this one goes before whatever this caller does next: or a fast loop could keep all others out.
              return turnstile.isEmpty ? exit : Effect.andThen(Effect.yieldNow, exit)
            })
          })
        })

      const failed = (cause: Cause.Cause<BatchError | CommitRefusal>, attempts: number): Effect.Effect<A, E | TransactionError, R> => {
        const refusal = Cause.squash(cause)
        if (refusal === timeOver) return Effect.fail(timeoutError(settings, attempts))
        // Everything else is what it is, interruption included.
        if (!(refusal instanceof ConflictFound)) return Effect.failCause(cause as Cause.Cause<BatchError | TransactionTooOld>)
        const goOn = Effect.flatMap(restore(again(refusal, attempts)), (more) => {
          if (!more) return Effect.fail(conflictError(refusal, attempts))
          if (clock.monotonicMs() >= deadlineMs!) return Effect.fail(timeoutError(settings, attempts))
          counts.retries++
          return attempt(attempts + 1)
        })
        // From the first time it may have a place in a queue, that is given up when all is over.
        if (settings.retry !== undefined || attempts !== immediateRetries + 1) return goOn
        return Effect.ensuring(
          goOn,
          Effect.sync(() => {
            if (ticket !== undefined) turnstile.leave(ticket)
          })
        )
      }

      /** Its place among those that lose over the key; where it loses over another one, it goes there. */
      const place = (found: ConflictFound): Ticket => {
        const key = keyHash(found.keyspace, found.start, 0, found.start.length)
        if (ticket !== undefined && ticket.key !== key) {
          turnstile.leave(ticket)
          ticket = undefined
        }
        return (ticket ??= turnstile.enter(key))
      }

      /** Waits until it is worth another attempt; false where there is none. */
      const again = (found: ConflictFound, attempts: number): Effect.Effect<boolean> => {
        const { retry } = settings
        if (retry === false || (retry === undefined && attempts >= attemptsMax)) return Effect.succeed(false)
        // Until the winner is visible another attempt would only lose again; where it never will be, the next commit says why.
        const settled = Effect.ignore(wal.awaitVisible(found.winningSequence))
        if (retry === undefined) {
          if (attempts <= immediateRetries) return Effect.as(settled, true)
          const own = place(found)
          return Effect.as(Effect.andThen(settled, turnstile.turn(own, attempts)), true)
        }
        const scheduled = Effect.andThen(
          settled,
          Effect.suspend(() =>
            Effect.flatMap(step === undefined ? Schedule.toStepWithSleep(retry) : Effect.succeed(step), (next) => {
              step = next
              return Effect.match(next(conflictError(found, attempts)), { onFailure: () => false, onSuccess: () => true })
            })
          )
        )
        // A pause of the schedule may be longer than what is left.
        const leftMs = Math.max(0, deadlineMs! - clock.monotonicMs())
        return leftMs === Infinity ? scheduled : Effect.timeoutOrElse(scheduled, { duration: leftMs, orElse: () => Effect.succeed(true) })
      }

      return attempt(1)
    })

  const joined = <A, E, R>(
    { frame: outerFrame, tx }: Enclosing,
    innermost: Enclosing | undefined,
    body: (tx: Transaction) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const frame = tx.joined(outerFrame)
      return Effect.onExit(
        Effect.provideService(
          Effect.suspend(() => body(new TransactionView(tx, frame))),
          EnclosingTransactions,
          { shared, tx, frame, outer: innermost }
        ),
        (exit) =>
          Effect.sync(() => {
            tx.left(frame)
            if (Exit.isFailure(exit) && tx.state === "open") tx.rollbackFrame(frame)
          })
      )
    })

  const transaction: DatabaseShape["transaction"] = <A, E, R>(
    body: (tx: Transaction) => Effect.Effect<A, E, R>,
    given?: TransactionOptions
  ): Effect.Effect<A, E | TransactionError, R> =>
    Effect.withFiber((current): Effect.Effect<A, E | TransactionError, R> => {
      const innermost = Context.get(current.context, EnclosingTransactions)
      const enclosing = enclosingIn(shared, innermost)
      if (enclosing !== undefined) return joined(enclosing, innermost, body)
      try {
        return run(body, transactionSettings(given, defaults, true))
      } catch (cause) {
        return refused(cause)
      }
    })

  const begin: DatabaseShape["begin"] = (given) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.suspend(() => {
          try {
            return Effect.succeed(open(transactionSettings(given, defaults, false), undefined))
          } catch (cause) {
            return refused(cause)
          }
        }),
        (tx) => Effect.sync(() => rollback(tx))
      ),
      (tx): TransactionHandle =>
        new Handle(
          tx,
          commitOf(tx),
          Effect.sync(() => rollback(tx))
        )
    )

  const rollback = (tx: OpenTransaction): void => {
    if (tx.state !== "open") return
    counts.rolledBack++
    tx.finish("rolledBack")
  }

  const commitOf = (tx: OpenTransaction): TransactionHandle["commit"] =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (tx.state !== "open") return Effect.fail(new TransactionFinished({ state: tx.state === "committing" ? "committed" : tx.state }))
        const settings: TransactionSettings = { ...defaults, ...tx.settings }
        return Effect.flatMap(Effect.exit(restore(commit(tx))), (committed): Effect.Effect<WriteResult, TransactionError> => {
          ended(tx, committed)
          if (Exit.isSuccess(committed)) return Effect.succeed(committed.value)
          const refusal = Cause.squash(committed.cause)
          if (refusal === timeOver) return Effect.fail(timeoutError(settings, 1))
          if (!(refusal instanceof ConflictFound)) return Effect.failCause(committed.cause as Cause.Cause<BatchError | TransactionTooOld>)
          return Effect.fail(conflictError(refusal, 1))
        })
      })
    )

  const oldestAgeMs = (): number | undefined => {
    const oldest = transactions.oldestLeaseOf((owner) => owner instanceof OpenTransaction)
    return oldest === undefined ? undefined : clock.monotonicMs() - oldest.openedMs
  }

  return {
    transaction,
    begin,
    stats: () => ({
      ...counts,
      oldestAgeMs: oldestAgeMs(),
      locksHeld: locks.heldCount,
      locksWaiting: locks.waitingCount,
      validationBytes: transactions.validationBytes()
    })
  }
}

class Handle extends TransactionView implements TransactionHandle {
  readonly commit: TransactionHandle["commit"]
  readonly rollback: TransactionHandle["rollback"]
  constructor(tx: OpenTransaction, commit: TransactionHandle["commit"], rollback: TransactionHandle["rollback"]) {
    super(tx)
    this.commit = commit
    this.rollback = rollback
  }
}
