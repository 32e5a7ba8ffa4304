/**
 * Every error an application can receive, in both faces of the database. Each has a `_tag`, fields a program can act on, and a `message` a person can.
 *
 * A missing key is never an error, and a broken rule of the engine's own is a defect, not one of these. `failures.ts` holds what plain code throws below;
 * `fromFailure` translates. The worker entry must not reach this module: Schema costs it 50 MB.
 */
import * as Schema from "effect/Schema"
import {
  CorruptFile,
  DiskError,
  DiskFull,
  PermissionDenied,
  type NotADatabase,
  type PathIsFile,
  type PathExists,
  UnsupportedFormat
} from "./errors/files.ts"
import type { DatabaseFailed } from "./errors/failed.ts"
import type { HistoryGone, WrongRevision, InvalidEvent, ProjectionNotFound, ProjectionStopped } from "./errors/time.ts"
import type { AtError, ChangesError, CreateRestorePointError, PutError, RemoveRestorePointError, WatchError } from "./errors/methods.ts"
import { because, Cause, Count, inBatch, Text } from "./errors/parts.ts"
import type { InvalidRestorePointName, RestorePointMismatch, RestorePointNotFound, RestorePointProblem } from "./errors/restorePoints.ts"
import type { JobFailed, WorkStalled } from "./errors/pressure.ts"
import type {
  TransactionConflict,
  TransactionTooOld,
  TransactionTooLarge,
  TransactionTimeout,
  TransactionFinished,
  SavepointNotFound,
  LockTimeout,
  LockDeadlock,
  AtomicOperationFailed
} from "./errors/transactions.ts"
import { keyBytesMax } from "./keys/kinds.ts"
import { Damage, IoFailure } from "./failures.ts"

export * from "./errors/failed.ts"
export * from "./errors/files.ts"
export type * from "./errors/methods.ts"
export * from "./errors/pressure.ts"
export * from "./errors/restorePoints.ts"
export { severityOf, severityRowOf, type Severity, type SeverityRow } from "./errors/severity.ts"
export * from "./errors/time.ts"
export * from "./errors/transactions.ts"

/** What a newer or older file is measured against, in the words of `UnsupportedFormat`. */
export const supportedFormat = "format 1"

/* What the caller handed in ------------------------------------------------------------------------------------------------------------------------------ */

/** The key cannot be stored. Nothing was done: hand in a string or Uint8Array of 1 to 65,536 bytes, without lone surrogates. */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("lightning-db/InvalidKey")("InvalidKey", {
  reason: Schema.Literals(["Empty", "TooLong", "LoneSurrogate", "WrongType"]),
  /** Length of the key where it is too long. */
  lengthBytes: Count,
  /** What was handed in instead, where the type is wrong. */
  found: Text,
  /** Position of the operation in its batch. */
  index: Count
}) {
  override get message(): string {
    const where = inBatch(this.index)
    switch (this.reason) {
      case "Empty":
        return `The key${where} is empty. A key has at least one byte.`
      case "TooLong":
        return `The key${where} has ${this.lengthBytes ?? "too many"} bytes. Keep keys at ${keyBytesMax} bytes or fewer, for example by hashing the long part.`
      case "LoneSurrogate":
        return `The key${where} holds a lone surrogate, which has no UTF-8 form. Use a well-formed string (see String.prototype.toWellFormed) or a Uint8Array.`
      case "WrongType":
        return `The key${where} is ${this.found ?? "of another type"}. Use a string or a Uint8Array.`
    }
  }
}

/** The value cannot be stored. Nothing was done: hand in a string or Uint8Array within `valueBytesMax`. */
export class InvalidValue extends Schema.TaggedError<InvalidValue>("lightning-db/InvalidValue")("InvalidValue", {
  reason: Schema.Literals(["TooLarge", "LoneSurrogate", "WrongType"]),
  /** Length of the value where it is too large and its length is known. */
  lengthBytes: Count,
  bytesMax: Count,
  found: Text,
  /** Position of the operation in its batch. */
  index: Count
}) {
  override get message(): string {
    const where = inBatch(this.index)
    switch (this.reason) {
      case "TooLarge":
        return `The value${where} has ${this.lengthBytes === undefined ? "more" : `${this.lengthBytes} bytes, more`} than the limit of ${this.bytesMax} bytes. Split it over several keys, or open the database with a larger valueBytesMax.`
      case "LoneSurrogate":
        return `The value${where} holds a lone surrogate, which has no UTF-8 form. Use a well-formed string (see String.prototype.toWellFormed) or a Uint8Array.`
      case "WrongType":
        return `The value${where} is ${this.found ?? "of another type"}. Use a string or a Uint8Array.`
    }
  }
}

/** The bounds of a scan or range contradict each other. Nothing was read or written: correct the range. */
export class InvalidRange extends Schema.TaggedError<InvalidRange>("lightning-db/InvalidRange")("InvalidRange", {
  detail: Schema.String
}) {
  override get message(): string {
    return `The range is invalid: ${this.detail}`
  }
}

/** The options are unknown or out of range. `problems` lists all of them: correct them and try again. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>("lightning-db/InvalidOptions")("InvalidOptions", {
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const count = this.problems.length
    return `${count === 1 ? "An option is" : `${count} options are`} invalid. Correct ${count === 1 ? "it" : "them"}: ${this.problems.join("; ")}`
  }
}

/** An operation of the batch has the wrong shape. Nothing of the batch was written: correct the operation at `index`. */
export class InvalidBatch extends Schema.TaggedError<InvalidBatch>("lightning-db/InvalidBatch")("InvalidBatch", {
  /** Position of the operation in the batch; absent where the batch itself is no list. */
  index: Count,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.index === undefined ? "The batch" : `Operation ${this.index} of the batch`} is invalid: ${this.detail} Nothing was written.`
  }
}

/** The batch is larger than one transaction may be. Nothing was written: split it. */
export class BatchTooLarge extends Schema.TaggedError<BatchTooLarge>("lightning-db/BatchTooLarge")("BatchTooLarge", {
  bytes: Schema.Finite,
  bytesMax: Schema.Finite,
  /** Of `bytes`: values that the batch replaces, where the keyspace keeps them (`beforeImages`). How far they had been counted when it was too much. */
  beforeImageBytes: Schema.optionalKey(Schema.Finite),
  /** How many operations there may be, where there are more: each takes memory of its own, however small it is. */
  operationsMax: Schema.optionalKey(Schema.Finite)
}) {
  override get message(): string {
    if (this.operationsMax !== undefined)
      return `The batch has more than ${this.operationsMax} operations, the limit for its batchBytesMax of ${this.bytesMax}. Nothing was written: split it into smaller batches, or open the database with a larger batchBytesMax.`
    const images =
      this.beforeImageBytes === undefined ? "" : `, ${this.beforeImageBytes} of them values that it replaces and its keyspace keeps (beforeImages)`
    return `The batch takes ${this.bytes} bytes${images}, more than the limit of ${this.bytesMax}. Nothing was written: split it into smaller batches, or open the database with a larger batchBytesMax.`
  }
}

/** The name cannot name a keyspace. Choose another. */
export class InvalidKeyspaceName extends Schema.TaggedError<InvalidKeyspaceName>("lightning-db/InvalidKeyspaceName")("InvalidKeyspaceName", {
  name: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.name)} cannot name a keyspace: ${this.detail}`
  }
}

/** No keyspace has this name. Create it with `db.keyspace(name)`, or look at `db.keyspaces` for those that exist. */
export class KeyspaceNotFound extends Schema.TaggedError<KeyspaceNotFound>("lightning-db/KeyspaceNotFound")("KeyspaceNotFound", {
  name: Schema.String
}) {
  override get message(): string {
    return `There is no keyspace ${JSON.stringify(this.name)}. Create it by opening it with keyspace(name) on a writable database.`
  }
}

/** The keyspace was dropped after it was opened. Nothing was done: open it again by name, which creates an empty one. */
export class KeyspaceDropped extends Schema.TaggedError<KeyspaceDropped>("lightning-db/KeyspaceDropped")("KeyspaceDropped", {
  name: Schema.String
}) {
  override get message(): string {
    return `The keyspace ${JSON.stringify(this.name)} was dropped after it was opened. Open it again with keyspace(name) to start with an empty one.`
  }
}

/* The state of the database ------------------------------------------------------------------------------------------------------------------------------ */

/** The database is closed or closing. Nothing was done: open it again. */
export class DatabaseClosed extends Schema.TaggedError<DatabaseClosed>("lightning-db/DatabaseClosed")("DatabaseClosed", {
  path: Text
}) {
  override get message(): string {
    return `The database${this.path === undefined ? "" : ` at ${this.path}`} is closed. Open it again; keep its layer's scope open for as long as it is used.`
  }
}

/** Another open holds the directory. Close it, or open with `readOnly`. With this process's own pid, it is open a second time right here. */
export class DatabaseLocked extends Schema.TaggedError<DatabaseLocked>("lightning-db/DatabaseLocked")("DatabaseLocked", {
  path: Schema.String,
  /** The holder, where it could be told. */
  pid: Count,
  detail: Text
}) {
  override get message(): string {
    const holder = this.pid === undefined ? "another open" : `process ${this.pid}`
    return `The database at ${this.path} is held by ${holder}${because(this.detail)}. Close it there, share one open, or open with readOnly: true to read beside it.`
  }
}

/** Another process took the directory over while it was open here. Writes have stopped and the outcome of the last ones is unknown: find out who did, then reopen. */
export class LockLost extends Schema.TaggedError<LockLost>("lightning-db/LockLost")("LockLost", {
  path: Schema.String,
  detail: Text
}) {
  override get message(): string {
    return (
      `The lock of the database at ${this.path} was lost${because(this.detail)}. Writing has stopped and the last writes may or may not be kept. ` +
      "Make sure that nothing copies or removes files of a live database, then reopen and read back what was written last."
    )
  }
}

/** An earlier write or sync failed, and this write was never attempted: it is safe to repeat once the database is open again. */
export class DatabasePoisoned extends Schema.TaggedError<DatabasePoisoned>("lightning-db/DatabasePoisoned")("DatabasePoisoned", {
  detail: Text,
  cause: Cause
}) {
  override get message(): string {
    return `The database refuses writes because an earlier one failed${because(this.detail)}. This write was not done. Reads go on. Check the disk, reopen the database, then write again.`
  }
}

/** The database does not take writes: it was opened with `readOnly`, or it turned read-only to protect what is stored. Nothing was done. */
export class DatabaseReadOnly extends Schema.TaggedError<DatabaseReadOnly>("lightning-db/DatabaseReadOnly")("DatabaseReadOnly", {
  detail: Text
}) {
  override get message(): string {
    return `The database is read-only${because(this.detail)}. Nothing was written. Open it without readOnly to write; if it turned read-only by itself, health says why.`
  }
}

/** The write reached the disk in part, or its sync failed: it may or may not be kept. Never repeat it blindly: reopen, and read whether it is there. */
export class CommitOutcomeUnknown extends Schema.TaggedError<CommitOutcomeUnknown>("lightning-db/CommitOutcomeUnknown")("CommitOutcomeUnknown", {
  detail: Text,
  cause: Cause
}) {
  override get message(): string {
    return `The write failed on its way to stable storage, so it may or may not be kept${because(this.detail)}. Reopen the database and read whether it is there before repeating it.`
  }
}

/** The write waited for the engine to catch up, and what it waited for will not come, or has not come for `waitTimeout`. Nothing was written: look at `health`, repeat when it is healthy. */
export class WriteStalled extends Schema.TaggedError<WriteStalled>("lightning-db/WriteStalled")("WriteStalled", {
  detail: Text,
  waitedMs: Count
}) {
  override get message(): string {
    return (
      `The write waited${this.waitedMs === undefined ? "" : ` ${Math.round(this.waitedMs)} ms`} for flush, compaction or memory, which cannot go on${because(this.detail)}. ` +
      "Nothing was written. See health for the reason; repeat the write when it is gone."
    )
  }
}

/** The lease of the snapshot has ended. Take a new snapshot, or open the database with a longer `snapshotLease`. */
export class SnapshotExpired extends Schema.TaggedError<SnapshotExpired>("lightning-db/SnapshotExpired")("SnapshotExpired", {
  sequence: Schema.Finite,
  leaseMs: Count
}) {
  override get message(): string {
    return `The snapshot at sequence ${this.sequence} has expired${this.leaseMs === undefined ? "" : ` after its lease of ${this.leaseMs} ms`}. Take a new one, or open the database with a longer snapshotLease.`
  }
}

/** As many snapshots, scans and transactions, or as many streams of changes and watchers, are open as `maxTransactions` allows. Nothing was opened: end some (close their scope, finish or leave their loops), then try again. */
export class TooManySnapshots extends Schema.TaggedError<TooManySnapshots>("lightning-db/TooManySnapshots")("TooManySnapshots", {
  openMax: Schema.Finite
}) {
  override get message(): string {
    return `${this.openMax} snapshots, scans and transactions, or streams of changes, are open, which is the limit. Close those that are done with (end their scope or loop), or open the database with a larger maxTransactions.`
  }
}

/* What each method can return ---------------------------------------------------------------------------------------------------------------------------- */

/** There is no database to ask any more. */
export type Gone = DatabaseClosed | DatabaseFailed

/** What reading a file can end with. */
export type FileReadError = CorruptFile | UnsupportedFormat | PermissionDenied | DiskError

/** What reading and writing files can end with. */
export type FileError = FileReadError | DiskFull

/** Opening a database. */
export type OpenError = InvalidOptions | DatabaseLocked | NotADatabase | PathIsFile | FileError

/** `get`, `getText`, `getMany`, `has`. */
export type ReadError = InvalidKey | KeyspaceDropped | SnapshotExpired | Gone | FileReadError

/** `snapshot`. */
export type SnapshotError = TooManySnapshots | KeyspaceDropped | Gone

/** `scan` and `entries`. */
export type ScanError = InvalidRange | TooManySnapshots | ReadError

/** Writes without atomic operations: `put` and `delete` end with less (`PutError`, `DeleteError`). */
export type WriteError = PutError | InvalidBatch | KeyspaceNotFound

/** `write`, with its atomic operations. */
export type BatchError = WriteError | AtomicOperationFailed

/** Reads inside a transaction. */
export type TransactionReadError = ReadError | TransactionFinished | TransactionTooLarge | TransactionTooOld | AtomicOperationFailed

/** Scans inside a transaction. */
export type TransactionScanError = TransactionReadError | InvalidRange | TooManySnapshots

/** Writes inside a transaction are gathered: what can be wrong with them at once. */
export type TransactionWriteError =
  | InvalidKey
  | InvalidValue
  | InvalidRange
  | InvalidBatch
  | InvalidOptions
  | TransactionFinished
  | TransactionTooLarge

/** `tx.lock`. */
export type LockError = InvalidKey | InvalidOptions | TransactionFinished | TransactionTooOld | LockTimeout | LockDeadlock | TooManySnapshots | Gone

/** Beginning and committing a transaction: what `db.transaction` adds to the errors of its body. */
export type TransactionError =
  | BatchError
  | TooManySnapshots
  | TransactionConflict
  | TransactionTooOld
  | TransactionTooLarge
  | TransactionTimeout
  | TransactionFinished

/** `history`. */
export type HistoryError = TooManySnapshots | ReadError | HistoryGone | InvalidRange

/** All that `flush`, `compact`, `checkpoint` and `verify` can end with; each has a type of its own. */
export type MaintenanceError =
  | InvalidKey
  | InvalidRange
  | InvalidKeyspaceName
  | KeyspaceNotFound
  | Gone
  | DatabaseReadOnly
  | DatabasePoisoned
  | LockLost
  | WorkStalled
  | JobFailed
  | PathExists
  | FileError

/** Making and removing restore points: `CreateRestorePointError` or `RemoveRestorePointError`. */
export type RestorePointError = CreateRestorePointError | RemoveRestorePointError

/** Verifying one. They are listed with a `ListError`. */
export type RestorePointReadError = RestorePointNotFound | InvalidRestorePointName | RestorePointMismatch | Gone | FileReadError

/** `restore`. */
export type RestoreError = RestorePointProblem | InvalidOptions | NotADatabase | PathExists | FileError

/** `rollBack`. */
export type RollBackError = RestorePointProblem | InvalidOptions | DatabaseLocked | NotADatabase | PathExists | FileError

/** Every error of the package. */
export type LightningError =
  | OpenError
  | ScanError
  | WriteError
  | MaintenanceError
  | RestorePointError
  | RestorePointReadError
  | TransactionError
  | TransactionScanError
  | LockError
  | SavepointNotFound
  | HistoryError
  | AtError
  | ChangesError
  | WatchError
  | WrongRevision
  | InvalidEvent
  | ProjectionNotFound
  | ProjectionStopped

/* Translation -------------------------------------------------------------------------------------------------------------------------------------------- */

const fromIoFailure = (e: IoFailure): DiskFull | PermissionDenied | DiskError => {
  switch (e.code) {
    case "ENOSPC":
    case "EDQUOT":
      return new DiskFull({ path: e.path, code: e.code, offsetBytes: e.offsetBytes, cause: e })
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new PermissionDenied({ operation: e.operation, path: e.path, code: e.code, offsetBytes: e.offsetBytes, cause: e })
    default:
      return new DiskError({ operation: e.operation, path: e.path, code: e.code, offsetBytes: e.offsetBytes, retryAfterMs: e.retryAfterMs, cause: e })
  }
}

const fromDamage = (e: Damage): CorruptFile | UnsupportedFormat =>
  e.reason === "UnsupportedVersion"
    ? new UnsupportedFormat({ file: e.file, found: e.detail === "" ? "an unknown version" : e.detail, supported: supportedFormat })
    : new CorruptFile({ file: e.file, offsetBytes: e.offsetBytes, reason: e.reason, detail: e.detail })

/** Translates what plain code threw. One that is translated already passes through; anything else is a broken rule of ours and is thrown again, as a defect. */
export const fromFailure = (e: unknown): FileError => {
  if (e instanceof Damage) return fromDamage(e)
  if (e instanceof IoFailure) return fromIoFailure(e)
  if (e instanceof CorruptFile || e instanceof UnsupportedFormat || e instanceof DiskFull || e instanceof PermissionDenied || e instanceof DiskError)
    return e
  throw e
}

/** `fromFailure` for paths that only read, where a disk cannot be full. */
export const fromReadFailure = (e: unknown): FileReadError => {
  const error = fromFailure(e)
  return error instanceof DiskFull
    ? new DiskError({ operation: "read", path: error.path, code: error.code, offsetBytes: error.offsetBytes, cause: error.cause })
    : error
}
