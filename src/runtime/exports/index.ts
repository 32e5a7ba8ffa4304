/** `lightning-db`: the database, its errors and options, and the two services it can be given anew (`Disk`, `Workers`) with their layers. */

/** Opening: `layer`, `layerMemory`, `layerConfig`, `layerCore`, `tag`, and `open` for code without Effect. */
export * as LightningDb from "../LightningDb.ts"
export type {
  PlainAsyncReads,
  PlainDatabase,
  PlainKeyspace,
  PlainOperations,
  PlainReads,
  PlainSnapshot,
  PlainSyncReads
} from "../plain/PlainDatabase.ts"
export type { PlainIterator } from "../plain/PlainIterator.ts"
export type { PlainTransaction, PlainTransactionHandle, PlainTransactionOptions, PlainTransactionSpace } from "../plain/PlainTransaction.ts"

export { Database } from "../../services/Database.ts"
export type {
  AtomicOperation,
  BreakerStats,
  DamageReport,
  DatabaseShape,
  DatabaseStats,
  Entry,
  Expiry,
  Health,
  HealthState,
  Key,
  Keyspace,
  KeyspaceInfo,
  KeyspaceOptions,
  LevelStats,
  Operations,
  PutOptions,
  RangeEstimate,
  Reads,
  ScanOptions,
  ScanRange,
  Snapshot,
  UnsafeReads,
  Value,
  VerifyReport,
  WriteOperation,
  WriteOptions,
  WriteResult
} from "../../services/Database.ts"
export type { HealthEvent, HealthReport } from "../../services/HealthEvents.ts"
export type { BreakerState } from "../../domain/breaker/CircuitBreaker.ts"
export type { BreakerSource } from "../../services/Breakers.ts"
export type {
  BeginOptions,
  IsolationLevel,
  Transaction,
  TransactionHandle,
  TransactionOptions,
  TransactionRange,
  TransactionReads,
  TransactionSpace,
  TransactionStats,
  UnsafeTransactionSpace
} from "../../services/Transaction.ts"
export type { Change, ChangeOperation, ChangesOptions, CursorInfo, WatchEvent } from "../../services/Changes.ts"
export type { HistoryOptions, PastSnapshot, Version } from "../../services/History.ts"
export type { CreateRestorePoint, RestorePoint, RestorePointList, RestorePoints } from "../../services/RestorePoints.ts"
export type { ScrubOptions, ScrubReport, ScrubStats } from "../../services/Scrubber.ts"
export type { ScrubOption } from "../../domain/options/scrubOption.ts"
export type { MemoryStats } from "../../services/MemoryBudget.ts"
export type { WorkOptions, WorkProgress } from "../../services/WorkProgress.ts"
export type { RepairError, RepairOptions } from "../../layers/repair/repairDirectory.ts"
export type { QuarantinedFile, RepairReport, SalvageReport } from "../../domain/repair/RepairReport.ts"
export type { Loss, LostRange, LostSequences } from "../../domain/repair/Loss.ts"
export type { KeyPlace } from "../../domain/compaction/KeySpan.ts"
export type { BreakerOption, RetryOption } from "../../domain/options/faultOptions.ts"
export type { HistoryOption } from "../../domain/options/historyOption.ts"
export type { Compression, ConfigOf, Durability, MemoryOptions, Options, Retention } from "../../domain/options/Options.ts"

export {
  AtomicOperationFailed,
  BatchTooLarge,
  CommitOutcomeUnknown,
  CorruptFile,
  CursorNotFound,
  DatabaseClosed,
  DatabaseFailed,
  DatabaseLocked,
  DatabasePoisoned,
  DatabaseReadOnly,
  DiskError,
  DiskFull,
  FutureMoment,
  HistoryDiverged,
  HistoryGone,
  InvalidBatch,
  InvalidEvent,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidOptions,
  InvalidRange,
  InvalidRestorePointName,
  InvalidValue,
  JobFailed,
  KeyspaceDropped,
  KeyspaceNotFound,
  LockDeadlock,
  LockLost,
  LockTimeout,
  NotADatabase,
  PathExists,
  PathIsFile,
  PermissionDenied,
  ProjectionNotFound,
  ProjectionStopped,
  RestorePointMismatch,
  RestorePointNotFound,
  RestorePointsBusy,
  SavepointNotFound,
  severityOf,
  severityRowOf,
  SnapshotExpired,
  TooManySnapshots,
  TooManyWrites,
  TransactionConflict,
  TransactionFinished,
  TransactionTimeout,
  TransactionTooLarge,
  TransactionTooOld,
  UnsupportedFormat,
  WorkStalled,
  WriteStalled,
  WrongRevision
} from "../../domain/errors.ts"
export type {
  AtError,
  BatchError,
  BeginError,
  ChangesError,
  CheckpointError,
  CommitFailure,
  CompactError,
  CreateRestorePointError,
  CursorError,
  DeleteError,
  DropKeyspaceError,
  FileError,
  FileReadError,
  FlushError,
  Gone,
  HistoryError,
  KeyspaceError,
  LightningError,
  ListError,
  LockError,
  MaintenanceError,
  OpenError,
  PutError,
  ReadError,
  RemoveRestorePointError,
  RestoreError,
  RestorePointError,
  RestorePointReadError,
  RollBackError,
  ScanError,
  ScrubError,
  Severity,
  SeverityRow,
  SnapshotError,
  TransactionError,
  TransactionReadError,
  TransactionScanError,
  TransactionWriteError,
  VerifyError,
  WatchError,
  WriteError
} from "../../domain/errors.ts"

/** Named append-only lists of events, and all of them in commit order. */
export * as EventStreams from "../streams/EventStreams.ts"
/** Keyspaces that are folded from the change feed. */
export * as Projection from "../projections/Projection.ts"
/** Places in the commit order as bytes. */
export * as Versionstamp from "../streams/Versionstamp.ts"

/* For `layerCore`: a disk and workers of your own. */

export { Disk } from "../../services/Disk.ts"
export type { DiskKind, FileStat } from "../../services/Disk.ts"
export type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
export type { DirectoryLock } from "../../services/DirectoryLock.ts"
export { LockFailure } from "../../services/DirectoryLock.ts"
/** What the parts of a disk throw, and the engine turns into the errors above. */
export { Damage, IoFailure } from "../../domain/failures.ts"
export type { DamageReason } from "../../domain/failures.ts"
export * as DiskMemory from "../../layers/disk/DiskMemory.ts"
export * as DiskNode from "../../layers/disk/DiskNode.ts"

export { WorkerDied, Workers } from "../../services/Workers.ts"
export type { JobError } from "../../services/Workers.ts"
export type { CompactionSpec, FlushSpec, JobResult } from "../../domain/compaction/JobSpec.ts"
export * as WorkersInProcess from "../../layers/WorkersInProcess.ts"
export * as WorkersThreads from "../../layers/WorkersThreads.ts"
export { workerEntryUrl } from "../worker/workerEntryUrl.ts"
