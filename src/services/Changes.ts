/**
 * The change feed, as applications use it: committed transactions in commit order, gap-free from history into live.
 */
import type { Key } from "./Database.ts"

export interface ChangesOptions {
  /** The first sequence wanted, inclusive. Default: the next commit. With `cursor`: where that stands. */
  readonly from?: number | undefined
  /** Only operations of this keyspace (default: of all); transactions without any are left out. */
  readonly keyspace?: string | undefined
  /** Only operations on keys with this prefix; range deletes that touch it are cut to it. */
  readonly prefix?: Key | undefined
  /** Whether to go on with new commits when history ends. Default true. */
  readonly live?: boolean | undefined
  /** The name of a durable cursor to start from (`db.createCursor`). Reading does not move it: `db.advanceCursor` does. */
  readonly cursor?: string | undefined
}

/**
 * Bytes belong to the receiver. `keyspace` is its name; "default" for the default one.
 *
 * `before` is the value the operation replaced, where its keyspace keeps that (`beforeImages`): `null` where there was none, and absent where it was not kept when this was
 * committed, which says nothing. It is what all changes before this one, and the range deletes of its own transaction, have left: also where its time was over by then and its `expire` had
 * not come, which then never does.
 */
export type ChangeOperation =
  | {
      readonly type: "put"
      readonly keyspace: string
      readonly key: Uint8Array
      readonly value: Uint8Array
      /** Engine time in ms. */
      readonly expiresAt: number | undefined
      /** The atomic operation this is the result of: its name. */
      readonly atomic: string | undefined
      readonly before?: Uint8Array | null | undefined
    }
  | {
      readonly type: "delete"
      readonly keyspace: string
      readonly key: Uint8Array
      readonly atomic: string | undefined
      readonly before?: Uint8Array | null | undefined
    }
  /** Deletes [gte, lt). What it deletes is not shown: delete by key where that is wanted. */
  | { readonly type: "deleteRange"; readonly keyspace: string; readonly gte: Uint8Array; readonly lt: Uint8Array }
  /** A value reached its time. `version` is the sequence of the write that expired. */
  | {
      readonly type: "expire"
      readonly keyspace: string
      readonly key: Uint8Array
      readonly expiresAt: number
      readonly version: number
      readonly before?: Uint8Array | null | undefined
    }
  | { readonly type: "createKeyspace"; readonly keyspace: string }
  | { readonly type: "dropKeyspace"; readonly keyspace: string }

/** One committed transaction. */
export interface Change {
  readonly sequence: number
  /** Engine time of the commit, in ms. */
  readonly commitTimeMs: number
  readonly annotation: Uint8Array | undefined
  readonly operations: ReadonlyArray<ChangeOperation>
}

/** A named durable cursor: a position that is kept in the database, and pins the log from there on, up to `retention.cursorBytes`; beyond that its reader gets `HistoryGone`. */
export interface CursorInfo {
  readonly name: string
  /** The first sequence its reader has not acknowledged. */
  readonly next: number
}

/** What `watch` shows: the value now, then each change of it. */
export type WatchEvent =
  | { readonly type: "put"; readonly sequence: number; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "delete"; readonly sequence: number; readonly key: Uint8Array }
  /** All keys in [gte, lt) are gone. */
  | { readonly type: "deleteRange"; readonly sequence: number; readonly gte: Uint8Array; readonly lt: Uint8Array }
