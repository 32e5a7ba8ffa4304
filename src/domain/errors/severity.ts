/** How bad each error is, what the engine does about it, and what is left to the caller: the table of `docs/errors.md`. */
import type { LightningError } from "../errors.ts"
import { Damage, IoFailure } from "../failures.ts"

/**
 * - `caller`: what was asked for cannot be done; nothing is wrong with the database.
 * - `transient`: passes by itself. The engine tries again by the schedule `retry`, where it may.
 * - `recoverable`: lasts until something outside changes. What it concerns is left alone for a while (a circuit breaker); the rest goes on.
 * - `critical`: stored data, or the way to it, cannot be relied on. Nothing is retried; writing stops where it might do harm, reading goes on.
 * - `fatal`: a rule of the engine's own is broken. It stops itself.
 */
export type Severity = "caller" | "transient" | "recoverable" | "critical" | "fatal"

export interface SeverityRow {
  readonly severity: Severity
  /** What the engine does about it by itself. */
  readonly engine: string
  /** What the caller should do. */
  readonly caller: string
}

/** By tag, `DiskError` apart: it depends on the system's code. A class that has no row here is refused by the compiler. */
type Rows = { readonly [Tag in Exclude<LightningError["_tag"], "DiskError">]: SeverityRow }

const caller = (advice: string, engine = "does nothing of the call"): SeverityRow => ({ severity: "caller", engine, caller: advice })
const transient = (engine: string, advice: string): SeverityRow => ({ severity: "transient", engine, caller: advice })
const recoverable = (engine: string, advice: string): SeverityRow => ({ severity: "recoverable", engine, caller: advice })
const critical = (engine: string, advice: string): SeverityRow => ({ severity: "critical", engine, caller: advice })

export const severities: Rows = {
  InvalidKey: caller("correct the key"),
  InvalidValue: caller("correct or split the value"),
  InvalidRange: caller("correct the range"),
  InvalidOptions: caller("correct the options: `problems` lists all that is wrong"),
  InvalidBatch: caller("correct the operation at `index`"),
  BatchTooLarge: caller("split the batch"),
  InvalidKeyspaceName: caller("choose another name"),
  KeyspaceNotFound: caller("create it with `keyspace(name)`"),
  KeyspaceDropped: caller("open it again by name"),
  DatabaseClosed: caller("open it again; keep its scope open for as long as it is used"),
  DatabaseLocked: caller("share the other open, close it, or open with `readOnly`"),
  DatabaseReadOnly: caller("open it without `readOnly`"),
  NotADatabase: caller("check the path", "changes nothing in the directory"),
  PathIsFile: caller("give the path of a directory"),
  PathExists: caller("give a path where nothing is"),
  UnsupportedFormat: caller("open it with a version that knows the format", "changes nothing in the directory"),
  InvalidEvent: caller("correct the event, or its schema"),
  WrongRevision: caller("read the stream again and decide"),
  ProjectionNotFound: caller("start it with `Projection.run`"),
  ProjectionStopped: caller("correct what ended it (`cause`), and run it again", "keeps its position"),
  HistoryGone: caller("start from `oldestSequence`, or keep more (`retention`)"),
  HistoryDiverged: caller("scan a snapshot and follow from its sequence"),
  FutureMoment: caller("ask for a moment that has come"),
  CursorNotFound: caller("make it with `createCursor`"),
  RestorePointNotFound: caller("use one of `available`"),
  InvalidRestorePointName: caller("choose another name, or say which version"),
  RestorePointsBusy: caller("repeat it when the other has ended"),
  RestorePointMismatch: caller("restore it into a new directory", "changes nothing"),
  SavepointNotFound: caller("set it with `tx.savepoint`"),
  TransactionFinished: caller("begin another transaction"),
  TransactionTooLarge: caller("split the transaction", "rolls it back"),
  AtomicOperationFailed: caller("read the value and decide", "does nothing of the batch"),

  TransactionConflict: transient("runs the body again, by the transaction's `retry`", "repeat it, or take a lock first"),
  TransactionTooOld: transient("rolls it back", "run it again, shorter"),
  TransactionTimeout: transient("rolls it back", "give it more time, or less to do"),
  LockTimeout: transient("leaves the transaction open", "wait longer, or run it again"),
  LockDeadlock: transient("tells the one that would close the circle", "run the transaction again"),
  SnapshotExpired: transient("lets go of what the snapshot held", "take a new one, or a longer `snapshotLease`"),
  TooManySnapshots: transient("opens nothing", "end some, then try again"),

  DiskFull: recoverable("keeps reading and everything that frees space; tries again as space comes back", "free space or raise the quota"),
  PermissionDenied: recoverable("tries background work again by the schedule", "give owner, mode or mount back"),
  WriteStalled: recoverable("goes on trying to make room; `health` says why it cannot", "repeat the write when `health` is `healthy`"),

  TooManyWrites: recoverable("writes those that wait", "begin fewer writes at once; repeat this one when others have ended"),
  WorkStalled: recoverable("names what hangs (`health`) and goes on where it can", "look at what hangs; ask again when that is over"),
  JobFailed: recoverable(
    "repeats the job by the schedule; one that dies of a broken rule is put in quarantine (`health`)",
    "see why it ends (`detail`), then ask again; reopen where it is `quarantined`"
  ),

  CorruptFile: critical(
    "answers with the error where the damage is, and only there; takes damaged inputs out of compaction",
    "keep a copy of the directory; restore a checkpoint, or repair"
  ),
  CommitOutcomeUnknown: critical(
    "retries nothing, refuses all later writes, keeps reading (`health`: `readOnly`)",
    "reopen and read whether the write is there before repeating it"
  ),
  DatabasePoisoned: critical("refuses writes since one failed, keeps reading", "check the disk, reopen, repeat the write: it was not done"),
  LockLost: critical("refuses all later writes, keeps reading", "find out who took the directory over; reopen and read back the last writes"),

  DatabaseFailed: {
    severity: "fatal",
    engine: "logs it, stops its actors in order, refuses every call (`health`: `failed`)",
    caller: "close and open again; report the cause"
  }
}

/** What the process runs short of, or what was interrupted: the same call may well succeed a moment later. */
export const transientCodes: ReadonlySet<string> = new Set(["EINTR", "EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "EBUSY", "ETIMEDOUT"])
/** The file is not what it was: trying again finds the same. */
export const lostCodes: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ESTALE"])

export const diskSeverities: Readonly<Record<"transient" | "recoverable" | "critical", SeverityRow>> = {
  transient: transient("tries reads and background jobs again by `retry`; a log write is never tried again", "try again; raise what ran short"),
  recoverable: recoverable(
    "after `breaker.failureThreshold` failures leaves that file alone for `breaker.openFor`, then probes it",
    "check the disk"
  ),
  critical: critical("answers with the error for that file, and only there", "bring the file back, or restore a checkpoint")
}

/** Of a `DiskError` or an `IoFailure`, by the system's code. */
const ofCode = (code: string): SeverityRow =>
  transientCodes.has(code) ? diskSeverities.transient : lostCodes.has(code) ? diskSeverities.critical : diskSeverities.recoverable

/** The row of an error: its severity, what the engine does, what the caller should do. */
export const severityRowOf = (error: LightningError | IoFailure | Damage): SeverityRow => {
  if (error instanceof Damage) return severities.CorruptFile
  if (error instanceof IoFailure) {
    if (error.code === "ENOSPC" || error.code === "EDQUOT") return severities.DiskFull
    return ofCode(error.code)
  }
  return error._tag === "DiskError" ? ofCode(error.code) : severities[error._tag]
}

/** How bad it is. See `docs/errors.md`. */
export const severityOf = (error: LightningError | IoFailure | Damage): Severity => severityRowOf(error).severity

/** Whether a failed call of the system may succeed a moment later. */
export const mayPass = (cause: unknown): boolean =>
  (cause instanceof IoFailure || (typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "DiskError" && "code" in cause)) &&
  typeof cause.code === "string" &&
  transientCodes.has(cause.code)
