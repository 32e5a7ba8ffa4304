/**
 * The commit turn and the snapshots. A write is one synchronous turn: validate, encode, sequence, insert (invisible); the log does the rest.
 * Interactive transactions (`layers/transactions`) hand in what they gathered, with a `validate` that runs in that turn.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Batch } from "../domain/batch/Batch.ts"
import type { CommitHead } from "../domain/batch/CommitHead.ts"
import type { BatchError, DeleteError, PutError, SnapshotExpired } from "../domain/errors.ts"
import type { PutOptions, WriteOperation, WriteOptions, WriteResult } from "./Database.ts"

/** A pinned moment. Compaction keeps what it sees until it is released or its lease ends. */
export interface SnapshotLease {
  readonly sequence: number
  /** Throws `SnapshotExpired` once the lease has ended, and `DatabaseClosed` once the database has: a read through it must fail, never change. */
  readonly check: () => void
  readonly expired: () => SnapshotExpired | undefined
  readonly release: () => void
  /** A lease for one read under this one: it ends with its own release, and at the latest when this lease ends. `onEnd` runs once. */
  readonly under: (onEnd: () => void) => SnapshotLease
}

/** A lease without the functions around it: what each transaction has one of. */
export interface Lease {
  readonly sequence: number
  /** Monotonic ms. */
  readonly openedMs: number
  /** Ends it; a second time does nothing. */
  end(): void
  /** The same lease as functions that can be handed around. */
  handle(): SnapshotLease
}

/** Who is told when a lease has ended, by itself or by its owner. */
export interface LeaseOwner {
  leaseEnded(byTime: boolean): void
}

export interface SnapshotStats {
  readonly open: number
  readonly expired: number
  readonly oldestSequence: number | undefined
  readonly oldestAgeMs: number | undefined
}

/** A range that counts as written by a commit, although it is not: [start, end) of a keyspace. */
export interface ConflictRange {
  readonly keyspace: number
  readonly start: Uint8Array
  readonly end: Uint8Array
}

/** A commit as the interactive transactions and the engine's own actors ask for it. */
export interface CommitRequest<E> {
  /** Must exist at sequencing, else `KeyspaceDropped`; `undefined` where `fill` itself looks after that. */
  readonly keyspace: number | undefined
  readonly options: WriteOptions | undefined
  /** Fills the batch (and finishes it); runs in the commit turn, again in every attempt. May throw the refusals of a batch, `AtomicOperationFailed`, and `NotAtHand`. */
  readonly fill: (batch: Batch, head: CommitHead) => void
  /**
   * Asked in the turn that gives out the sequence, before `fill`, with the engine time of the commit and the monotonic time: an answer refuses the commit, with that. Cost follows
   * the transaction; no I/O.
   */
  readonly validate?: ((commitTimeMs: number, monotonicMs: number) => E | undefined) | undefined
  /** Ranges that count as written, for the validation of others. With some, a commit takes a sequence even where its batch is empty. Kept, not copied. */
  readonly conflicts?: ReadonlyArray<ConflictRange> | undefined
  /** As in `write`. */
  readonly sequenced?: ((sequence: number) => (() => void) | undefined) | undefined
  /** It only takes away: let through while the disk is full, and for a while where too many tables stop other writers, as it may be what makes room. Asked only then. */
  readonly frees?: boolean | undefined
}

export class TransactionManager extends Context.Service<
  TransactionManager,
  {
    /**
     * One atomic batch. `keyspace` is where operations without one of their own go. `sequenced` runs in the commit turn itself, with the sequence: what every later turn must
     * already know (the catalog's head) is changed there. It returns what takes that back, for when the commit fails, whether or not its caller still waits.
     */
    readonly write: (
      keyspace: number,
      operations: ReadonlyArray<WriteOperation>,
      options: WriteOptions | undefined,
      sequenced?: (sequence: number) => () => void
    ) => Effect.Effect<WriteResult, BatchError>
    /** A batch that is validated first: see `CommitRequest`. */
    readonly commit: <E = never>(request: CommitRequest<E>) => Effect.Effect<WriteResult, BatchError | E>
    /**
     * The same, whose first turn is here and now. Undefined: the log has it, and `settled` is called once with what became of it, maybe before this returns. Else what the commit
     * comes to, or has to wait for first; `settled` is not called then.
     */
    readonly commitNow: <E = never>(
      request: CommitRequest<E>,
      settled: (exit: Exit.Exit<WriteResult, BatchError | E>) => void
    ) => Effect.Effect<WriteResult, BatchError | E> | undefined
    /**
     * The newest commit > `above` that wrote the key (or deleted it, by key or range), not counting `expire` records; 0 where there is none, -1 where too much was committed
     * since to tell. Looks at memtables only, those kept for validation included.
     */
    readonly newestOfKey: (keyspace: number, hash: number, key: Uint8Array, start: number, end: number, above: number) => number
    /** The same for [start, end); `end` undefined is the end of the keyspace. */
    readonly newestInRange: (keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number) => number
    /** Keeps what validation from `sequence` on needs, within `validationBytes`, until what it returns is called. */
    readonly keepValidation: (sequence: number) => () => void
    /** The two halves of `keepValidation`, for those who keep the sequence themselves: each call of the one is ended by one of the other. */
    readonly beginValidation: (sequence: number) => void
    readonly endValidation: (sequence: number) => void
    /** Memory kept only to validate open transactions. */
    readonly validationBytes: () => number
    /** A lease at the last visible sequence, as its bare object. Throws `TooManySnapshots`. */
    readonly openLease: (owner: LeaseOwner | undefined) => Lease
    /** The oldest open lease whose owner is such a one. For statistics: it looks through them. */
    readonly oldestLeaseOf: (isWanted: (owner: LeaseOwner) => boolean) => Lease | undefined
    /** A lease at a sequence of the past that is still kept: see `snapshot`. */
    readonly snapshotAt: (sequence: number, onEnd?: () => void) => SnapshotLease
    /** A batch of one, without the array: the hot path of `put` and `delete`. `value` undefined deletes. */
    readonly writeOne: <IsDelete extends boolean>(
      keyspace: number,
      key: unknown,
      value: unknown,
      isDelete: IsDelete,
      options: WriteOptions | PutOptions | undefined
    ) => Effect.Effect<WriteResult, IsDelete extends true ? DeleteError : PutError>
    /**
     * A lease at the last visible sequence. `onEnd` runs once, when it is released or its time is over. Throws `TooManySnapshots` where `maxTransactions` are open, unless the
     * read is one that ends by itself (`brief`).
     */
    readonly snapshot: (onEnd?: () => void, brief?: boolean) => SnapshotLease
    /** Called in the commit turn of a batch that puts values which expire, with the least of their times (`batch.firstExpiry`): the reaper may have to wake earlier. */
    readonly onExpiring: (listener: (expiresAt: number) => void) => void
    /** Called when leases have ended, with the lowest of their sequences: what they held back may go now. */
    readonly onRelease: (listener: (sequence: number) => void) => void
    /** Ascending sequences some reader may still ask for, the visible one included: what flush and compaction must keep apart. */
    readonly stripes: () => ReadonlyArray<number>
    readonly snapshots: () => SnapshotStats
    readonly stalls: () => { readonly slowed: number; readonly stopped: number; readonly waiting: number; readonly totalMs: number }
    /** There may be room again: stalled writers look. */
    readonly roomChanged: () => void
    /** Bytes of keys and values handed in by callers. */
    readonly userBytes: () => number
  }
>()("lightning-db/services/TransactionManager") {}
