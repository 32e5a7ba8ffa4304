import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type TransactionError, TransactionFinished } from "../../domain/errors.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { DatabaseShape, WriteResult } from "../../services/Database.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Transaction, TransactionHandle, TransactionOptions, TransactionStats } from "../../services/Transaction.ts"
import type { TransactionManager } from "../../services/TransactionManager.ts"
import type { Wal } from "../../services/Wal.ts"
import type { ReadParts } from "../reading/makeReads.ts"
import { type Enclosing, enclosingIn, EnclosingTransactions } from "./Enclosing.ts"
import { LockTable } from "./LockTable.ts"
import { ConflictFound, OpenTransaction } from "./OpenTransaction.ts"
import { refused, TransactionOutcomes } from "./TransactionOutcomes.ts"
import { defaultSettings, transactionSettings, type TransactionSettings } from "./transactionOptions.ts"
import { type RunParts, TransactionRun } from "./TransactionRun.ts"
import type { TransactionShared } from "./TransactionShared.ts"
import { TransactionView } from "./TransactionSpaces.ts"
import { Turnstile } from "./Turnstile.ts"

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

export const makeTransactions = (parts: TransactionParts): Transactions => {
  const { catalog, checkOpen, clock, durable, memtables, options, reads, transactions, wal } = parts
  const counts = { open: 0, committed: 0, readOnly: 0, rolledBack: 0, conflicts: 0, retries: 0, abandoned: 0 }
  const locks = new LockTable()
  const shared: TransactionShared = { reads, options, clock, catalog, memtables, transactions, locks, counts, checkOpen }
  const outcomes = new TransactionOutcomes(shared)
  const running: RunParts = { shared, outcomes, turnstile: new Turnstile(), wal }
  const defaults = defaultSettings(options.durability)

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
    Effect.contextWith((context: Context.Context<R>): Effect.Effect<A, E | TransactionError, R> => {
      const innermost = Context.get(context, EnclosingTransactions)
      const enclosing = innermost === undefined ? undefined : enclosingIn(shared, innermost)
      if (enclosing !== undefined) return joined(enclosing, innermost, body)
      let settings: TransactionSettings
      try {
        settings = transactionSettings(given, defaults, true)
      } catch (cause) {
        return refused(cause)
      }
      return new TransactionRun(running, body, settings, context, innermost).attempt()
    })

  const begin: DatabaseShape["begin"] = (given) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.suspend(() => {
          try {
            const settings = transactionSettings(given, defaults, false)
            checkOpen()
            return Effect.succeed(new OpenTransaction(shared, settings, undefined))
          } catch (cause) {
            return refused(cause)
          }
        }),
        (tx) => Effect.sync(() => outcomes.rolledBack(tx))
      ),
      (tx): TransactionHandle =>
        new Handle(
          tx,
          commitOf(tx),
          Effect.sync(() => outcomes.rolledBack(tx))
        )
    )

  const commitOf = (tx: OpenTransaction): TransactionHandle["commit"] =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (tx.state !== "open") return Effect.fail(new TransactionFinished({ state: tx.state === "committing" ? "committed" : tx.state }))
        // Only what others could notice enters the commit turn.
        if (!tx.hasEffects) {
          const result: WriteResult = { sequence: tx.sequence, durability: durable ? tx.settings.durability : "memory" }
          outcomes.endedReadOnly(tx)
          return Effect.succeed(result)
        }
        tx.state = "committing"
        return Effect.flatMap(Effect.exit(restore(transactions.commit(tx))), (committed): Effect.Effect<WriteResult, TransactionError> => {
          outcomes.ended(tx, committed)
          if (Exit.isSuccess(committed)) return Effect.succeed(committed.value)
          const found = outcomes.lostOrFailed(committed.cause, { ...defaults, ...tx.settings }, 1)
          return found instanceof ConflictFound ? Effect.fail(outcomes.conflict(found, 1)) : found
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
