/** Errors of transactions and atomic operations. */
import * as Schema from "effect/Schema"
import { Count, inBatch } from "./parts.ts"

/**
 * Another commit changed what this transaction relied on. Nothing was written. `db.transaction` repeats its body by its retry schedule; this error is what is left when that
 * has ended, or what `retry: false` asks for.
 */
export class TransactionConflict extends Schema.TaggedError<TransactionConflict>("lightning-db/TransactionConflict")("TransactionConflict", {
  /** The keyspace in which they met. */
  keyspace: Schema.String,
  /** What this transaction had read (under "snapshot": written) there: [start, end) as bytes; `end` absent is the end of the keyspace. A point is [key, key‖00). */
  start: Schema.Uint8Array,
  end: Schema.optional(Schema.Uint8Array),
  /** The commit that won. */
  winningSequence: Schema.Finite,
  /** How often the body was run. */
  attempts: Schema.Finite
}) {
  override get message(): string {
    return (
      `The transaction met another one in keyspace ${JSON.stringify(this.keyspace)}, which committed as ${this.winningSequence}, in all of its ${this.attempts} ` +
      `${this.attempts === 1 ? "attempt" : "attempts"}. Nothing was written. Repeat it, make it shorter, give it a more patient retry schedule, or take a lock first (tx.lock).`
    )
  }
}

/** The transaction has been open longer than the engine can tell what changed meanwhile. Nothing was written: run it again, shorter. */
export class TransactionTooOld extends Schema.TaggedError<TransactionTooOld>("lightning-db/TransactionTooOld")("TransactionTooOld", {
  /** The snapshot it read from. */
  sequence: Schema.Finite,
  ageMs: Schema.Finite,
  /** `time`: beyond its lease. `window`: more was committed meanwhile than is kept for validation. */
  reason: Schema.Literals(["time", "window"])
}) {
  override get message(): string {
    return `The transaction was open for ${Math.round(this.ageMs)} ms, ${this.reason === "time" ? "beyond its lease" : "while more was committed than is kept to validate it"}. Nothing was written. Run it again, with less between its first read and its commit.`
  }
}

/** The transaction read more, or wrote more, than one may. Nothing was written: split it. */
export class TransactionTooLarge extends Schema.TaggedError<TransactionTooLarge>("lightning-db/TransactionTooLarge")("TransactionTooLarge", {
  what: Schema.Literals(["reads", "writes"]),
  bytes: Schema.Finite,
  bytesMax: Schema.Finite
}) {
  override get message(): string {
    return `The transaction's ${this.what} take ${this.bytes} bytes, more than the limit of ${this.bytesMax}. Nothing was written. Split it; scan ranges instead of single keys where it only reads.`
  }
}

/** The transaction, retries included, took longer than its `timeout`. Nothing was written. */
export class TransactionTimeout extends Schema.TaggedError<TransactionTimeout>("lightning-db/TransactionTimeout")("TransactionTimeout", {
  timeoutMs: Schema.Finite,
  attempts: Schema.Finite
}) {
  override get message(): string {
    return `The transaction was not done within its timeout of ${this.timeoutMs} ms (${this.attempts} ${this.attempts === 1 ? "attempt" : "attempts"}). Nothing was written. Give it more time, or less to do.`
  }
}

/** The transaction is over: it was committed, rolled back, or has failed. Begin another one. */
export class TransactionFinished extends Schema.TaggedError<TransactionFinished>("lightning-db/TransactionFinished")("TransactionFinished", {
  state: Schema.Literals(["committed", "rolledBack", "failed"])
}) {
  override get message(): string {
    return `The transaction is over (${this.state}). Begin another one; do not keep \`tx\` beyond the body that was given it.`
  }
}

/** The transaction has no savepoint of this name: it was never set, or a rollback to an earlier one removed it. */
export class SavepointNotFound extends Schema.TaggedError<SavepointNotFound>("lightning-db/SavepointNotFound")("SavepointNotFound", {
  name: Schema.String
}) {
  override get message(): string {
    return `The transaction has no savepoint ${JSON.stringify(this.name)}. Set it with tx.savepoint(name); rolling back to an earlier savepoint removes the later ones.`
  }
}

/** A lock was not free in time. Nothing was written; locks taken before stay with the transaction until it ends. */
export class LockTimeout extends Schema.TaggedError<LockTimeout>("lightning-db/LockTimeout")("LockTimeout", {
  waitedMs: Schema.Finite
}) {
  override get message(): string {
    return `A lock was not free within ${Math.round(this.waitedMs)} ms. Wait longer (tx.lock(keys, { timeout })), or hold locks for less time.`
  }
}

/** Waiting for the lock would have closed a circle of transactions that wait for each other. Let this transaction end, and run it again. */
export class LockDeadlock extends Schema.TaggedError<LockDeadlock>("lightning-db/LockDeadlock")("LockDeadlock", {}) {
  override get message(): string {
    return "Waiting for this lock would have closed a circle of transactions that wait for each other. Run the transaction again, and take all its locks with one tx.lock call."
  }
}

/** An atomic operation could not be applied to the value there is. Nothing of its batch was written. */
export class AtomicOperationFailed extends Schema.TaggedError<AtomicOperationFailed>("lightning-db/AtomicOperationFailed")("AtomicOperationFailed", {
  /** `Compare`: the value is not the expected one. `NotANumber`: it is not eight bytes. `Overflow`: the result does not fit 64 bits. `TooLarge`: it would grow beyond its limit. */
  reason: Schema.Literals(["Compare", "NotANumber", "Overflow", "TooLarge"]),
  /** Position of the operation in its batch. */
  index: Count
}) {
  override get message(): string {
    const what = {
      Compare: "found another value than the expected one. Read it again and decide",
      NotANumber: "found a value that is no 64-bit number. Use it only on keys that hold numbers",
      Overflow: "would exceed 64 bits",
      TooLarge: "would make the value larger than its limit"
    }[this.reason]
    return `The atomic operation${inBatch(this.index)} ${what}. Nothing was written.`
  }
}
