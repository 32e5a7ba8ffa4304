/**
 * Interactive transactions, as applications use them.
 *
 * Promises:
 * - A transaction reads one snapshot, with its own writes over it. Nothing it writes is seen by anyone before it commits; then all of it is, across keyspaces.
 * - `serializable` (default): strict serializability. What it read (keys, absences, ranges) must not have changed when it commits, else `TransactionConflict`.
 *   `snapshot`: only what it wrote must not have changed (first committer wins); write skew is possible.
 * - A transaction that writes nothing never conflicts and costs no more than a snapshot.
 * - A body that fails or is interrupted leaves nothing behind.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type {
  InvalidKeyspaceName,
  KeyspaceNotFound,
  LockError,
  SavepointNotFound,
  TransactionConflict,
  TransactionError,
  TransactionFinished,
  TransactionReadError,
  TransactionScanError,
  TransactionWriteError
} from "../domain/errors.ts"
import type { Durability, Entry, Expiry, Key, ScanRange, UnsafeReads, Value, WriteOperation, WriteResult } from "./Database.ts"

export type IsolationLevel = "serializable" | "snapshot"

export interface BeginOptions {
  /** Default "serializable". */
  readonly isolation?: IsolationLevel | undefined
  /** What an acknowledged commit means. Default: the `durability` the database was opened with. */
  readonly durability?: Durability | undefined
  /** Opaque bytes (or text) that go with the commit into the log, for readers of the change feed. At most 64 KiB. */
  readonly annotation?: Value | undefined
  /** How long the transaction may be open, retries included. Default 60 seconds. */
  readonly timeout?: Duration.Input | undefined
}

export interface TransactionOptions extends BeginOptions {
  /**
   * When the body is run again after a conflict; each time once the winner is visible. Default: the first two times at once; then those that lost over the same key take turns,
   * waiting for theirs at most from 1 ms, doubling, to 250 ms, jittered; 100 runs in all. `false`: never.
   */
  readonly retry?: Schedule.Schedule<unknown, TransactionConflict> | false | undefined
}

/** A range for conflicts and deletes: [gte, lt), or all keys with a prefix. */
export type TransactionRange = { readonly gte: Key; readonly lt: Key } | { readonly prefix: Key }

export interface TransactionReads {
  readonly get: (key: Key) => Effect.Effect<Uint8Array | undefined, TransactionReadError>
  readonly getText: (key: Key) => Effect.Effect<string | undefined, TransactionReadError>
  readonly getMany: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, TransactionReadError>
  readonly has: (key: Key) => Effect.Effect<boolean, TransactionReadError>
  /**
   * Own writes included, up to those made before the stream was started. The range counts as read as far as the stream was consumed, in chunks that grow from one entry on;
   * `limit` and `unsafe.entries` are exact.
   */
  readonly scan: (range?: ScanRange) => Stream.Stream<Entry, TransactionScanError>
}

/** Synchronous twins, for hot loops and for the Promise facade: same rules; they throw the same errors, and block while a cold block is read. */
export interface UnsafeTransactionSpace {
  readonly get: (key: Key) => Uint8Array | undefined
  readonly getText: (key: Key) => string | undefined
  readonly getMany: (keys: ReadonlyArray<Key>) => Array<Uint8Array | undefined>
  readonly has: (key: Key) => boolean
  readonly entries: (range?: ScanRange) => IterableIterator<[Uint8Array, Uint8Array]>
  readonly put: (key: Key, value: Value, expiry?: Expiry) => void
  readonly delete: (key: Key) => void
  readonly deleteRange: (range: TransactionRange) => void
  readonly write: (operations: ReadonlyArray<WriteOperation>) => void
  /** Reads that add no conflict. */
  readonly peek: UnsafeReads
}

/** A transaction's view of one keyspace. */
export interface TransactionSpace extends TransactionReads {
  readonly put: (key: Key, value: Value, expiry?: Expiry) => Effect.Effect<void, TransactionWriteError>
  readonly delete: (key: Key) => Effect.Effect<void, TransactionWriteError>
  readonly deleteRange: (range: TransactionRange) => Effect.Effect<void, TransactionWriteError>
  /**
   * The same operations as `db.write`, the atomic ones among them: these are resolved when the transaction commits, and do not conflict. Reading their key does: it shows what
   * they make of the snapshot's value. What a versionstamp goes into is only seen once it is committed.
   */
  readonly write: (operations: ReadonlyArray<WriteOperation>) => Effect.Effect<void, TransactionWriteError>
  /** Reads that add no conflict: another commit may change what they returned. */
  readonly peek: TransactionReads
  /** Counts the range as read, although it was not. */
  readonly addReadConflict: (range: TransactionRange) => Effect.Effect<void, TransactionWriteError>
  /** Counts the range as written, although it is not: other transactions that read it conflict with this one, and under "snapshot" this one with them. */
  readonly addWriteConflict: (range: TransactionRange) => Effect.Effect<void, TransactionWriteError>
  readonly unsafe: UnsafeTransactionSpace
}

export interface Transaction extends TransactionSpace {
  /** The last sequence its snapshot contains. */
  readonly sequence: number
  /** The same transaction in another keyspace, which must exist. */
  readonly keyspace: (name: string) => Effect.Effect<TransactionSpace, KeyspaceNotFound | InvalidKeyspaceName | TransactionFinished>
  /** Remembers this point. A name used again moves to here. */
  readonly savepoint: (name: string) => Effect.Effect<void, TransactionFinished>
  /** Takes back the writes since the savepoint, which stays; later ones are forgotten. What was read since still counts as read. */
  readonly rollbackTo: (name: string) => Effect.Effect<void, SavepointNotFound | TransactionFinished>
  /**
   * Waits for exclusive locks on these keys of the default keyspace (or of `keyspace`), held until the transaction ends. Locks only exclude other `tx.lock` calls; fair, first
   * come first served. Taken before anything was read or written they move the snapshot to now, so that what is read under them cannot conflict over these keys.
   */
  readonly lock: (
    keys: ReadonlyArray<Key>,
    options?: { readonly timeout?: Duration.Input | undefined; readonly keyspace?: string | undefined }
  ) => Effect.Effect<void, LockError | KeyspaceNotFound>
  /** Sets the annotation of the commit. */
  readonly annotate: (annotation: Value) => Effect.Effect<void, TransactionWriteError>
}

/** A transaction whose end is in its owner's hands. The scope rolls back what is neither committed nor rolled back. */
export interface TransactionHandle extends Transaction {
  /** Nothing is retried here. After any answer the transaction is over. */
  readonly commit: Effect.Effect<WriteResult, TransactionError>
  readonly rollback: Effect.Effect<void>
}

export interface TransactionStats {
  readonly open: number
  readonly oldestAgeMs: number | undefined
  readonly committed: number
  readonly readOnly: number
  readonly rolledBack: number
  readonly conflicts: number
  readonly retries: number
  /** Left behind without an end: interrupted in a way that skipped their scope, or beyond their lease. */
  readonly abandoned: number
  readonly locksHeld: number
  readonly locksWaiting: number
  /** Memory kept only to validate open transactions. */
  readonly validationBytes: number
}
