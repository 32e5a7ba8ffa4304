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

export { Database } from "../../services/Database.ts"
export type {
  DatabaseShape,
  DatabaseStats,
  Entry,
  Health,
  HealthState,
  Key,
  Keyspace,
  KeyspaceInfo,
  LevelStats,
  Operations,
  Reads,
  ScanRange,
  Snapshot,
  UnsafeReads,
  Value,
  VerifyReport,
  WriteOperation,
  WriteOptions,
  WriteResult
} from "../../services/Database.ts"
export type { Compression, ConfigOf, Durability, MemoryOptions, Options } from "../../domain/options/Options.ts"

export {
  BatchTooLarge,
  CommitOutcomeUnknown,
  CorruptFile,
  DatabaseClosed,
  DatabaseLocked,
  DatabasePoisoned,
  DatabaseReadOnly,
  DiskError,
  DiskFull,
  InvalidBatch,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidOptions,
  InvalidRange,
  InvalidValue,
  KeyspaceDropped,
  KeyspaceNotFound,
  LockLost,
  NotADatabase,
  PathExists,
  PathIsFile,
  PermissionDenied,
  SnapshotExpired,
  TooManySnapshots,
  UnsupportedFormat,
  WriteStalled
} from "../../domain/errors.ts"
export type {
  FileError,
  FileReadError,
  LightningError,
  MaintenanceError,
  OpenError,
  ReadError,
  ScanError,
  SnapshotError,
  WriteError
} from "../../domain/errors.ts"

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
