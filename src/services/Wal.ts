/**
 * The ordered log of committed transactions, and with it the commit order itself.
 *
 * Promises: file order is call order. A group is everything that was submitted while the previous group was written; it is synced when any member asks. Transactions become
 * visible in order and without holes, after their group is written (and synced, where asked), and only then are their callers answered. A group that finds no room is taken back,
 * durably, and written again once there is some: its members wait, and those behind them; where the database closes before, they get `DiskFull`, and were never written. Any other
 * failed write, and every failed sync, ends the log: the members of that group get `CommitOutcomeUnknown`, everything sequenced after it `DatabasePoisoned`, and `visibleSequence`
 * never moves again.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { GroupBuilder } from "../domain/wal/GroupBuilder.ts"
import type {
  CommitOutcomeUnknown,
  DatabaseClosed,
  DatabaseFailed,
  DatabasePoisoned,
  DatabaseReadOnly,
  DiskFull,
  LockLost
} from "../domain/errors.ts"
import type { WriteResult } from "./Database.ts"
import type { LogView } from "./LogView.ts"

export type CommitError = CommitOutcomeUnknown | DatabasePoisoned | DatabaseReadOnly | DatabaseClosed | DatabaseFailed | DiskFull | LockLost
export type CommitReply = Exit.Exit<WriteResult, CommitError>

export interface WalStats {
  readonly transactions: number
  readonly groups: number
  readonly syncs: number
  /** Bytes of groups written by this process, padding included. */
  readonly logBytes: number
}

export class Wal extends Context.Service<
  Wal,
  {
    /** Where the transaction of the current turn is encoded. Synchronous turns only: encode, assign, `submit`, without giving up the thread in between. */
    readonly builder: () => GroupBuilder
    /** The sequence the next transaction gets. */
    readonly nextSequence: () => number
    /** Takes the transaction just encoded, with `nextSequence()`; `reply` is called once, when it is visible or failed. Cannot fail, cannot be withdrawn. */
    readonly submit: (sync: boolean, reply: (answer: CommitReply) => void) => void
    /** The turn broke between encoding and `submit`: the group that was gathering cannot be trusted, and the log ends. */
    readonly abandon: (cause: unknown) => void
    readonly visibleSequence: () => number
    /** Everything up to here is on stable storage. */
    readonly durableSequence: () => number
    /** Whether the next sequence is reserved in the manifest. A later open starts beyond what is reserved, so that no sequence is ever given out twice. */
    readonly hasReservation: () => boolean
    /** Resolves when it may be, or never will be: look again. */
    readonly awaitReservation: Effect.Effect<void>
    /** Bytes encoded and not yet written. */
    readonly pendingBytes: () => number
    /** Resolves when everything submitted before is visible (or fails with why it never will be). */
    readonly awaitVisible: (sequence: number) => Effect.Effect<void, CommitError>
    /** Resolves when everything up to `sequence` is on stable storage, syncing if no one else has. */
    readonly ensureDurable: (sequence: number) => Effect.Effect<void, CommitError>
    /** Logical position of the log after the last transaction ≤ `sequence` whose group is complete: where a replay that skips flushed transactions may start. */
    readonly positionAfter: (sequence: number) => number
    /** What is there of the log, for its readers, and what of it may go. */
    readonly log: LogView
    /** Bytes of the log on disk. */
    readonly diskBytes: () => number
    readonly stats: () => WalStats
  }
>()("lightning-db/services/Wal") {}
