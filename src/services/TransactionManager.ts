/**
 * The commit turn and the snapshots. A write is one synchronous turn: validate, encode, sequence, insert (invisible); the log does the rest.
 * Isolation levels above atomic batches arrive with interactive transactions; sequences, leases and order are those they will use.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { SnapshotExpired, WriteError } from "../domain/errors.ts"
import type { WriteOperation, WriteOptions, WriteResult } from "./Database.ts"

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

export interface SnapshotStats {
  readonly open: number
  readonly expired: number
  readonly oldestSequence: number | undefined
  readonly oldestAgeMs: number | undefined
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
    ) => Effect.Effect<WriteResult, WriteError>
    /** A batch of one, without the array: the hot path of `put` and `delete`. `value` undefined deletes. */
    readonly writeOne: (
      keyspace: number,
      key: unknown,
      value: unknown,
      isDelete: boolean,
      options: WriteOptions | undefined
    ) => Effect.Effect<WriteResult, WriteError>
    /**
     * A lease at the last visible sequence. `onEnd` runs once, when it is released or its time is over. Throws `TooManySnapshots` where `maxTransactions` are open, unless the
     * read is one that ends by itself (`brief`).
     */
    readonly snapshot: (onEnd?: () => void, brief?: boolean) => SnapshotLease
    /** Called when leases have ended: what they held back may go now. */
    readonly onRelease: (listener: () => void) => void
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
