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
export type { WorkOptions, WorkProgress } from "../../services/WorkProgress.ts"
export type { HistoryOption } from "../../domain/options/historyOption.ts"
export type { Compression, ConfigOf, Durability, MemoryOptions, Options, Retention } from "../../domain/options/Options.ts"

export {
  AtomicOperationFailed,
  BatchTooLarge,
  CommitOutcomeUnknown,
  CorruptFile,
  CursorNotFound,
  DatabaseClosed,
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
  InvalidValue,
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
  SavepointNotFound,
  SnapshotExpired,
  TooManySnapshots,
  TransactionConflict,
  TransactionFinished,
  TransactionTimeout,
  TransactionTooLarge,
  TransactionTooOld,
  UnsupportedFormat,
  WriteStalled,
  WrongRevision
} from "../../domain/errors.ts"
export type {
  BatchError,
  ChangesError,
  CursorError,
  FileError,
  FileReadError,
  HistoryError,
  LightningError,
  LockError,
  MaintenanceError,
  OpenError,
  ReadError,
  ScanError,
  SnapshotError,
  TransactionError,
  TransactionReadError,
  TransactionScanError,
  TransactionWriteError,
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
