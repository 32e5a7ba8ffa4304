/** What the methods can end with that neither read keys nor write them: exactly that, so that a caller who handles all of it has handled everything. */
import type {
  BatchTooLarge,
  CommitOutcomeUnknown,
  CursorNotFound,
  DatabasePoisoned,
  DatabaseReadOnly,
  DiskFull,
  FileError,
  FileReadError,
  FutureMoment,
  Gone,
  HistoryDiverged,
  HistoryGone,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidOptions,
  InvalidRange,
  InvalidRestorePointName,
  InvalidValue,
  JobFailed,
  KeyspaceDropped,
  KeyspaceNotFound,
  LockLost,
  PathExists,
  ReadError,
  RestorePointNotFound,
  RestorePointsBusy,
  TooManySnapshots,
  TooManyWrites,
  WorkStalled,
  WriteStalled
} from "../errors.ts"

/** `flush`. */
export type FlushError = Gone | DatabaseReadOnly | DatabasePoisoned | LockLost | WorkStalled | JobFailed | FileError

/** `compact`. */
export type CompactError = FlushError | InvalidKey | InvalidRange | InvalidKeyspaceName | KeyspaceNotFound

/** `checkpoint`. */
export type CheckpointError = FlushError | PathExists | InvalidOptions

/** `verify`, `verifyAll`. */
export type VerifyError = Gone | WorkStalled | FileReadError

/** `cursors`, `refresh`: what stands in files, and names no key. */
export type ListError = Gone | FileReadError

/** What can come between a commit and its acknowledgement, whatever it holds. */
export type CommitFailure = Gone | DatabaseReadOnly | DatabasePoisoned | CommitOutcomeUnknown | LockLost | WriteStalled | TooManyWrites | DiskFull

/** `keyspace`. `KeyspaceNotFound` where it cannot be created: the database is open for reading only. */
export type KeyspaceError = CommitFailure | InvalidKeyspaceName | InvalidOptions | KeyspaceNotFound

/** `dropKeyspace`. */
export type DropKeyspaceError = CommitFailure | InvalidKeyspaceName | KeyspaceNotFound

/** `createCursor`, `advanceCursor`, `dropCursor`. `InvalidOptions` is for names and positions. */
export type CursorError = CommitFailure | FileReadError | InvalidOptions | CursorNotFound | HistoryGone | HistoryDiverged | FutureMoment

/**
 * `put`. `InvalidOptions` is for the options of the write itself; `FileReadError` for what has to be read first: the value that is replaced, where the keyspace keeps before-images, which
 * also counts towards `BatchTooLarge`.
 */
export type PutError = InvalidKey | InvalidValue | BatchTooLarge | InvalidOptions | KeyspaceDropped | CommitFailure | FileReadError

/** `delete`. */
export type DeleteError = Exclude<PutError, InvalidValue>

/** `begin`. */
export type BeginError = InvalidOptions | TooManySnapshots | DatabaseReadOnly | Gone

/** `at`. */
export type AtError = TooManySnapshots | KeyspaceDropped | HistoryGone | FutureMoment | InvalidRange | Gone | FileReadError

/** What following the log can end with, whatever is wanted of it. */
type FollowError = InvalidKey | InvalidRange | HistoryGone | HistoryDiverged | FutureMoment | TooManySnapshots | Gone | FileReadError

/** `changes`. */
export type ChangesError = FollowError | CursorNotFound | KeyspaceNotFound | InvalidKeyspaceName

/** `watch`: it begins with a scan of what is there. */
export type WatchError = FollowError | ReadError

/** `scrub`. `FileReadError`: read-only databases, where the manifest cannot be read. */
export type ScrubError = InvalidOptions | Gone | FileReadError

/** `createRestorePoint`. */
export type CreateRestorePointError = InvalidRestorePointName | RestorePointsBusy | CheckpointError

/** `removeRestorePoint`. */
export type RemoveRestorePointError = RestorePointNotFound | InvalidRestorePointName | RestorePointsBusy | Gone | FileError
