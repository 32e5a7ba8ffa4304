/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Transactions for code without Effect.
 *
 * What `services/Transaction.ts` promises holds here too. A transaction is synchronous: its reads and writes answer at once, and throw the typed error. Awaiting what they
 * answer works as well, so a body may be written either way.
 */
import type * as Duration from "effect/Duration"
import type { Expiry, Key, ScanRange, Value, WriteOperation, WriteResult } from "../../services/Database.ts"
import type { BeginOptions, TransactionRange } from "../../services/Transaction.ts"

export interface PlainTransactionOptions extends BeginOptions {
  /**
   * How often the body may be run, when commits of others get in its way: a whole number from 1. Default 100; the first two repetitions at once when the winner is visible, then
   * with pauses that grow from 1 ms to 250 ms. `false`: once.
   */
  readonly retry?: number | false | undefined
}

/** What a transaction sees of one keyspace, own writes included. After the end of the transaction everything here throws `TransactionFinished`. */
export interface PlainTransactionReads {
  readonly get: (key: Key) => Uint8Array | undefined
  /** The value decoded as UTF-8. */
  readonly getText: (key: Key) => string | undefined
  /** One answer per key, in the order of `keys`. */
  readonly getMany: (keys: ReadonlyArray<Key>) => Array<Uint8Array | undefined>
  readonly has: (key: Key) => boolean
  /** Entries as [key, value] in key order, own writes included, up to those made before the first step. The range counts as read as far as it was walked. */
  readonly entries: (range?: ScanRange) => IterableIterator<[Uint8Array, Uint8Array]>
}

/** A transaction's view of one keyspace. What is read here counts as read: see `peek`. */
export interface PlainTransactionSpace extends PlainTransactionReads {
  /** Reads that add no conflict: another commit may change what they returned. */
  readonly peek: PlainTransactionReads
  readonly put: (key: Key, value: Value, expiry?: Expiry) => void
  readonly delete: (key: Key) => void
  readonly deleteRange: (range: TransactionRange) => void
  /** The same operations as `batch`, the atomic ones among them: these are resolved when the transaction commits, and do not conflict. */
  readonly write: (operations: ReadonlyArray<WriteOperation>) => void
  /** Counts the range as read, although it was not. */
  readonly addReadConflict: (range: TransactionRange) => void
  /** Counts the range as written, although it is not: other transactions that read it conflict with this one, and under "snapshot" this one with them. */
  readonly addWriteConflict: (range: TransactionRange) => void
}

export interface PlainTransaction extends PlainTransactionSpace {
  /** The last sequence its snapshot contains. */
  readonly sequence: number
  /** The same transaction in another keyspace, which must exist. */
  readonly keyspace: (name: string) => PlainTransactionSpace
  /** Remembers this point. A name used again moves to here. */
  readonly savepoint: (name: string) => void
  /** Takes back the writes since the savepoint, which stays; later ones are forgotten. What was read since still counts as read. */
  readonly rollbackTo: (name: string) => void
  /**
   * Waits for exclusive locks on these keys of the default keyspace (or of `keyspace`), held until the transaction ends. Locks only exclude other `lock` calls. Taken before
   * anything was read or written they move the snapshot to now, so that what is read under them cannot conflict over these keys.
   */
  readonly lock: (
    keys: ReadonlyArray<Key>,
    options?: { readonly timeout?: Duration.Input | undefined; readonly keyspace?: string | undefined }
  ) => Promise<void>
  /** Sets the annotation of the commit. */
  readonly annotate: (annotation: Value) => void
}

/** A transaction whose end is in its owner's hands. Disposing rolls back what is neither committed nor rolled back. */
export interface PlainTransactionHandle extends PlainTransaction {
  /** Nothing is retried here. After any answer the transaction is over. */
  readonly commit: () => Promise<WriteResult>
  /** After the end it does nothing. */
  readonly rollback: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}
