import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import {
  type BatchError,
  DatabaseClosed,
  DatabaseFailed,
  type Gone,
  InvalidOptions,
  TooManySnapshots,
  TransactionConflict,
  TransactionTimeout,
  type TransactionTooOld
} from "../../domain/errors.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import type { WriteResult } from "../../services/Database.ts"
import { type CommitRefusal, ConflictFound, type OpenTransaction, timeOver } from "./OpenTransaction.ts"
import type { TransactionSettings } from "./transactionOptions.ts"
import type { TransactionShared } from "./TransactionShared.ts"

/** How a commit came out. */
export type CommitExit = Exit.Exit<WriteResult, BatchError | CommitRefusal>

/** What a commit fails with, as far as it is not a conflict. */
export type Refusal = BatchError | TransactionTooOld

const isRefusal = (cause: unknown): cause is TooManySnapshots | Gone | InvalidOptions =>
  cause instanceof TooManySnapshots || cause instanceof DatabaseClosed || cause instanceof DatabaseFailed || cause instanceof InvalidOptions

/** What is thrown before a transaction is open. */
export const refused = (cause: unknown): Effect.Effect<never, TooManySnapshots | Gone | InvalidOptions> => {
  if (isRefusal(cause)) return Effect.fail(cause)
  throw cause
}

/** How transactions end: the counts, and the errors their callers see. */
export class TransactionOutcomes {
  private readonly shared: TransactionShared

  constructor(shared: TransactionShared) {
    this.shared = shared
  }

  conflict(found: ConflictFound, attempts: number): TransactionConflict {
    const { keyspace } = found
    return new TransactionConflict({
      keyspace: keyspace === defaultKeyspace ? "default" : (this.shared.catalog.nameOf(keyspace) ?? `#${keyspace}`),
      start: found.start.slice(),
      ...(found.end === undefined ? {} : { end: found.end.slice() }),
      winningSequence: found.winningSequence,
      attempts
    })
  }

  timeout(settings: TransactionSettings, attempts: number): TransactionTimeout {
    return new TransactionTimeout({ timeoutMs: settings.timeoutMs, attempts })
  }

  /** Counts how the commit came out, and ends the transaction. */
  ended(tx: OpenTransaction, exit: CommitExit): void {
    const { counts } = this.shared
    if (Exit.isSuccess(exit)) {
      counts.committed++
      tx.finish("committed")
      return
    }
    if (Cause.squash(exit.cause) instanceof ConflictFound) counts.conflicts++
    else counts.rolledBack++
    tx.finish("failed")
  }

  /** It had nothing that others could notice. */
  endedReadOnly(tx: OpenTransaction): void {
    this.shared.counts.readOnly++
    tx.finish("committed")
  }

  /** A second time does nothing. */
  rolledBack(tx: OpenTransaction): void {
    if (tx.state !== "open") return
    this.shared.counts.rolledBack++
    tx.finish("rolledBack")
  }

  /** What a commit that failed says, where it lost: the conflict; where not: what its caller sees. */
  lostOrFailed(
    cause: Cause.Cause<BatchError | CommitRefusal>,
    settings: TransactionSettings,
    attempts: number
  ): ConflictFound | Effect.Effect<never, Refusal | TransactionTimeout> {
    const refusal = Cause.squash(cause)
    if (refusal instanceof ConflictFound) return refusal
    if (refusal === timeOver) return Effect.fail(this.timeout(settings, attempts))
    // Everything else is what it is, interruption included.
    return Effect.failCause(cause as Cause.Cause<Refusal>)
  }
}
