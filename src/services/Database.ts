/**
 * The database as applications use it. One contract for every backing: the engine on a directory, on memory, on a simulated disk, or a mock.
 *
 * Promises, the same on every layer:
 * - A write is atomic. When its Effect succeeds with durability "sync" it is on stable storage; with "buffered" the operating system has it (it survives a killed
 *   process, not a power cut); "memory" is what an in-memory database reports.
 * - A read sees every write that was acknowledged before it began. A missing key is `undefined`, never an error.
 * - Bytes returned belong to the caller. Below 1 KiB they may be views of a slab of at most 16 KiB (mind `.buffer`) that the engine never touches again.
 * - Bytes handed in are copied when the write is sequenced: do not change them before the write has answered.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type {
  AtError,
  BatchError,
  BeginError,
  ChangesError,
  CheckpointError,
  CompactError,
  CorruptFile,
  CursorError,
  DeleteError,
  DropKeyspaceError,
  FlushError,
  Gone,
  HistoryError,
  InvalidRange,
  KeyspaceError,
  KeyspaceNotFound,
  ListError,
  PutError,
  ReadError,
  ScanError,
  ScrubError,
  SnapshotError,
  TransactionError,
  UnsupportedFormat,
  VerifyError,
  WatchError
} from "../domain/errors.ts"
import type { BreakerState } from "../domain/breaker/CircuitBreaker.ts"
import type { HistoryOption } from "../domain/options/historyOption.ts"
import type { SalvageReport } from "../domain/repair/RepairReport.ts"
import type { Change, ChangesOptions, CursorInfo, WatchEvent } from "./Changes.ts"
import type { Health, HealthEvent } from "./HealthEvents.ts"
import type { MemoryStats } from "./MemoryBudget.ts"
import type { HistoryOptions, PastSnapshot, Version } from "./History.ts"
import type { RestorePoints } from "./RestorePoints.ts"
import type { ScrubOptions, ScrubReport, ScrubStats } from "./Scrubber.ts"
import type { SpaceStats } from "./SpaceKeeper.ts"
import type { WorkOptions } from "./WorkProgress.ts"
import type { BeginOptions, Transaction, TransactionHandle, TransactionOptions, TransactionStats } from "./Transaction.ts"

/** A string stands for its UTF-8 bytes. Order is the unsigned order of bytes. 1 to 65,536 bytes; no lone surrogates. */
export type Key = string | Uint8Array
/** A string stands for its UTF-8 bytes. May be empty. */
export type Value = string | Uint8Array

export type Durability = "sync" | "buffered"

export interface WriteOptions {
  /** What an acknowledgement means for this write. Default: the `durability` the database was opened with. */
  readonly durability?: Durability | undefined
  /** Opaque bytes (or text) that go with the commit into the log, for readers of the change feed. At most 64 KiB. */
  readonly annotation?: Value | undefined
}

/** When a value goes by itself: one of the two, or none. By engine time, which never goes back. */
export interface Expiry {
  /** After this long. A number is milliseconds. */
  readonly ttl?: Duration.Input | undefined
  /** At this moment; one that has passed makes the value expire at once. A number is milliseconds since 1970. */
  readonly expiresAt?: Date | number | undefined
}

export interface PutOptions extends WriteOptions, Expiry {}

/** What happened to a write. */
export interface WriteResult {
  /** Of the atomic operations of the write, in their order: the value each left (of `versionstampedKey`: the key it made); `undefined` where it left none. Absent where there were none. */
  readonly results?: ReadonlyArray<Uint8Array | undefined> | undefined
  /** Position of the write in the commit order. */
  readonly sequence: number
  /** What the acknowledgement was worth. */
  readonly durability: Durability | "memory"
}

export type WriteOperation =
  | ({ readonly type: "put"; readonly key: Key; readonly value: Value; readonly keyspace?: string | undefined } & Expiry)
  | { readonly type: "delete"; readonly key: Key; readonly keyspace?: string | undefined }
  /** Deletes every key in [gte, lt). */
  | { readonly type: "deleteRange"; readonly gte: Key; readonly lt: Key; readonly keyspace?: string | undefined }
  | { readonly type: "deleteRange"; readonly prefix: Key; readonly keyspace?: string | undefined }
  | AtomicOperation

/**
 * Operations on the value there is, applied in commit order: they never conflict, however many write the same key at once. Numbers are 64-bit, signed, little-endian; a missing
 * value counts as 0 for `add`, and as no value for the others; one that has expired is missing. What they leave never expires. What cannot be applied fails the whole batch
 * with `AtomicOperationFailed`.
 */
export type AtomicOperation =
  | { readonly type: "add" | "min" | "max"; readonly key: Key; readonly value: number | bigint; readonly keyspace?: string | undefined }
  /** Byte by byte; the shorter one counts as filled up with zeros. A missing value counts as empty. */
  | { readonly type: "and" | "or" | "xor"; readonly key: Key; readonly value: Value; readonly keyspace?: string | undefined }
  /** Appends where the result has at most `bytesMax` bytes (default: the largest value there may be). */
  | {
      readonly type: "append"
      readonly key: Key
      readonly value: Value
      readonly bytesMax?: number | undefined
      readonly keyspace?: string | undefined
    }
  /** Puts (or deletes, where `value` is undefined) only if the value is `expected` (missing, where that is undefined); else the batch fails. */
  | {
      readonly type: "compareAndSet"
      readonly key: Key
      readonly expected: Value | undefined
      readonly value: Value | undefined
      readonly keyspace?: string | undefined
    }
  /** Puts only where there is no value; else leaves what is there. */
  | { readonly type: "setOnce"; readonly key: Key; readonly value: Value; readonly keyspace?: string | undefined }
  /** Puts at key ‖ versionstamp ‖ suffix. A versionstamp is ten bytes that ascend in commit order: sequence (8) ‖ index in the batch (2), big-endian. */
  | {
      readonly type: "versionstampedKey"
      readonly key: Key
      readonly suffix?: Key | undefined
      readonly value: Value
      readonly keyspace?: string | undefined
    }
  /** Puts the value ‖ versionstamp. */
  | { readonly type: "versionstampedValue"; readonly key: Key; readonly value: Value; readonly keyspace?: string | undefined }

/** Bounds of a scan; all are optional, `prefix` intersects the others. At most one of `gte`/`gt` and one of `lte`/`lt`. */
export interface ScanRange {
  readonly gte?: Key | undefined
  readonly gt?: Key | undefined
  readonly lte?: Key | undefined
  readonly lt?: Key | undefined
  readonly prefix?: Key | undefined
  /** From the last key to the first. */
  readonly reverse?: boolean | undefined
  /** At most this many entries. */
  readonly limit?: number | undefined
  /** Every `value` comes out empty, and none is read from a value file: for counting, and for lists of keys. Default false. */
  readonly keysOnly?: boolean | undefined
}

/** What a range holds, about. */
export interface RangeEstimate {
  /** Whole, never negative. */
  readonly entries: number
  /** What the range takes in tables and value files, as stored, and in memtables. */
  readonly bytes: number
}

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** When it goes by itself: engine time in ms since 1970. Only in a scan that asks for it (`ScanOptions.expiry`), of an entry that expires. */
  readonly expiresAt?: number | undefined
}

/** What a scan tells of each entry besides its key and value. */
export interface ScanOptions {
  /** Entries that expire carry `expiresAt`, so that a copy can expire with them. Default false. */
  readonly expiry?: boolean | undefined
}

/** The reads of a database, a keyspace or a snapshot. */
export interface Reads {
  readonly get: (key: Key) => Effect.Effect<Uint8Array | undefined, ReadError>
  /** The value decoded as UTF-8. */
  readonly getText: (key: Key) => Effect.Effect<string | undefined, ReadError>
  /** One answer per key, in the order of `keys`, all from one moment. */
  readonly getMany: (keys: ReadonlyArray<Key>) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, ReadError>
  readonly has: (key: Key) => Effect.Effect<boolean, ReadError>
  /** Entries in key order, in chunks, all from the moment the stream is started. */
  readonly scan: (range?: ScanRange, options?: ScanOptions) => Stream.Stream<Entry, ScanError>
  /**
   * How many entries the range holds and what they take, from what is in memory of each table: no leaf and no value file is read. `reverse` and `keysOnly` mean nothing to it,
   * `limit` bounds the entries.
   *
   * **Details** Each table that a bound falls into is off by at most one leaf (`blockBytes`) for that bound, as long as entries are of about one size within the table. A range that
   * holds all of a keyspace has no such error: once compacted, its number is exact. Until then keys that were overwritten or deleted across tables that are not merged yet may count
   * more than once, or be taken off although they were not there; versions kept for history and snapshots, and values that have expired, may count too.
   */
  readonly estimate: (range?: ScanRange) => Effect.Effect<RangeEstimate, ReadError | InvalidRange>
}

/** Synchronous twins of the reads, for hot loops: same rules; they throw the same errors. They block the event loop while a cold block is read. */
export interface UnsafeReads {
  readonly get: (key: Key) => Uint8Array | undefined
  readonly getText: (key: Key) => string | undefined
  readonly getMany: (keys: ReadonlyArray<Key>) => Array<Uint8Array | undefined>
  readonly has: (key: Key) => boolean
  /** Entries as [key, value], from one moment. Ends its lease when finished or broken out of. */
  readonly entries: (range?: ScanRange) => IterableIterator<[Uint8Array, Uint8Array]>
}

/** An unchanging view. Ends with its scope or its lease; afterwards its reads fail with `SnapshotExpired`. */
export interface Snapshot extends Reads {
  /** The last sequence this view contains. */
  readonly sequence: number
  /** The same view of another keyspace. */
  readonly keyspace: (name: string) => Effect.Effect<Reads, KeyspaceNotFound>
  readonly unsafe: UnsafeReads
}

/** What a database and each of its keyspaces can do. */
export interface Operations extends Reads {
  readonly put: (key: Key, value: Value, options?: PutOptions) => Effect.Effect<WriteResult, PutError>
  readonly delete: (key: Key, options?: WriteOptions) => Effect.Effect<WriteResult, DeleteError>
  /** All or nothing. An operation without `keyspace` applies to this keyspace (to the default one on the database). */
  readonly write: (operations: ReadonlyArray<WriteOperation>, options?: WriteOptions) => Effect.Effect<WriteResult, BatchError>
  readonly snapshot: Effect.Effect<Snapshot, SnapshotError, Scope.Scope>
  /**
   * As it was after the commit `moment`, or at the beginning of the second in which a `Date` lies; as far back as the history of this keyspace is kept (`retention.history`,
   * `KeyspaceOptions.history`). What follows in the same second as a `Date` is not part of it.
   */
  readonly at: (moment: number | Date) => Effect.Effect<PastSnapshot, AtError, Scope.Scope>
  /** The versions of a key, oldest first, as far back as they are kept: see `at`. */
  readonly history: (key: Key, options?: HistoryOptions) => Stream.Stream<Version, HistoryError>
  /** The value of a key, or of all keys with a prefix, now (as puts), and from then on each change of it. */
  readonly watch: (wanted: { readonly key: Key } | { readonly prefix: Key }) => Stream.Stream<WatchEvent, WatchError>
  readonly unsafe: UnsafeReads
}

/** How a keyspace is kept; given where it is created, and changed by opening it with others. */
export interface KeyspaceOptions {
  /** How far back `at` and `history` reach in it; or how many versions of each key `history` shows. Default: the `retention.history` of the database. */
  readonly history?: HistoryOption | undefined
  /** Whether `changes` shows with each operation the value it replaced (`before`), from now on. Default: the `retention.beforeImages` of the database. */
  readonly beforeImages?: boolean | undefined
}

/** An isolated, ordered space of keys; all keyspaces of a database share one commit order, and one `write` may span them. */
export interface Keyspace extends Operations {
  readonly name: string
}

export interface KeyspaceInfo {
  readonly name: string
  /** Bytes of tables that hold only this keyspace (level 0 tables are shared and not counted). */
  readonly tableBytes: number
  /**
   * How long its own options say that its history is kept, in ms; `Infinity`: without end. Absent where they say nothing, and `retention.history` of the database counts, and where it is
   * kept by count.
   */
  readonly historyMs?: number
  /** How many versions of each key its own options keep instead. */
  readonly historyVersions?: number
  /** Whether its own options have the log keep the values that are replaced. Absent where they say nothing, and `retention.beforeImages` of the database counts. */
  readonly beforeImages?: boolean
}

export type { Health, HealthState } from "./HealthEvents.ts"

/** A circuit breaker that is not at rest. */
export interface BreakerStats {
  /** What it stands before: the path of a file, "worker threads", "flush", … */
  readonly resource: string
  readonly state: BreakerState
  /** Failures in a row. */
  readonly failures: number
  /** When it came into this state, by the wall clock: ms since 1970. */
  readonly since: number
}

export interface VerifyReport {
  readonly tables: number
  readonly valueFiles: number
  readonly blocks: number
  readonly entries: number
  /** Of tables and value files. */
  readonly bytes: number
  readonly logSegments: number
  /** Of the log, as far as it is visible, and the manifest. */
  readonly logBytes: number
}

/** What `verifyAll` found. The counts are of what is sound. */
export interface DamageReport extends VerifyReport {
  /** One for each damaged file, with its first damage. Empty where everything is sound. */
  readonly damaged: ReadonlyArray<CorruptFile | UnsupportedFormat>
}

export interface LevelStats {
  readonly level: number
  readonly tables: number
  readonly bytes: number
  /** Every version of every key, and deletes, counted. */
  readonly entries: number
}

export interface DatabaseStats {
  readonly path: string
  readonly visibleSequence: number
  readonly durableSequence: number
  readonly flushedSequence: number
  readonly levels: ReadonlyArray<LevelStats>
  /** Bytes on disk by part. `valueFilesLive`: what tables still point to. */
  readonly disk: {
    readonly tables: number
    readonly valueFiles: number
    readonly valueFilesLive: number
    readonly log: number
    readonly manifest: number
    readonly total: number
  }
  /**
   * Of the room on the disk: bytes set aside for the end of log and manifest (0: none are, or they had to be given up), and whether writes that free nothing are refused until there is
   * room again, which a read-only database does not know of its writer.
   */
  readonly space: SpaceStats
  /** How far back the log and the history of the default keyspace go. */
  readonly retention: {
    /** Files of the log: what is not in tables yet, and what is kept for `changes`. */
    readonly logSegments: number
    /** The oldest commit in a finished one of them; undefined where there is none with a commit. */
    readonly logFromSequence: number | undefined
    /** The oldest commit that `at` can go back to; 0 where nothing was given up yet. */
    readonly historyFromSequence: number
  }
  /**
   * What the engine holds in memory by part, in bytes (jobs, snapshots and transactions by estimate), and what is left of the budget (`memoryBytes`; undefined: none) for both caches.
   * `pressure`: "none"; "caches" have less than they were given; "writers" are slowed; "full": they wait.
   */
  readonly memory: MemoryStats
  readonly memtables: { readonly active: number; readonly frozen: number; readonly bytes: number; readonly entries: number }
  readonly blockCache: { readonly bytes: number; readonly capacityBytes: number; readonly hits: number; readonly misses: number }
  readonly valueCache: { readonly bytes: number; readonly capacityBytes: number; readonly hits: number; readonly misses: number }
  readonly commits: { readonly transactions: number; readonly groups: number; readonly syncs: number; readonly logBytes: number }
  readonly flushes: { readonly count: number; readonly bytes: number }
  readonly compactions: {
    readonly count: number
    readonly running: number
    readonly trivialMoves: number
    readonly bytesRead: number
    readonly bytesWritten: number
  }
  /** Bytes written to disk by log, flush and compaction, over bytes handed in by the application. */
  readonly writeAmplification: number
  /** Circuit breakers with failures: a resource that works has none here. */
  readonly breakers: ReadonlyArray<BreakerStats>
  readonly stalls: { readonly slowed: number; readonly stopped: number; readonly waiting: number; readonly totalMs: number }
  readonly transactions: TransactionStats
  readonly snapshots: {
    readonly open: number
    readonly expired: number
    readonly oldestSequence: number | undefined
    readonly oldestAgeMs: number | undefined
  }
  readonly scrub: ScrubStats
  readonly recovery: {
    readonly replayedTransactions: number
    readonly replayedBytes: number
    readonly cutBytes: number
    readonly laterGroupsCut: number
    readonly durationMs: number
  }
}

export interface DatabaseShape extends Operations, RestorePoints {
  /**
   * Runs the body in a transaction and commits it; after a conflict runs it again, by `retry`. The body's own failure or interruption rolls everything back. A call within the
   * body of another one, on the same database, joins that as a savepoint: its failure takes back its own writes only, and its options are not looked at.
   */
  readonly transaction: <A, E, R>(
    body: (tx: Transaction) => Effect.Effect<A, E, R>,
    options?: TransactionOptions
  ) => Effect.Effect<A, E | TransactionError, R>
  /** A transaction whose end is in the caller's hands. */
  readonly begin: (options?: BeginOptions) => Effect.Effect<TransactionHandle, BeginError, Scope.Scope>
  /** Committed transactions in commit order, without gaps, from history into live. A slow reader reads from disk, and holds up nobody. */
  readonly changes: (options?: ChangesOptions) => Stream.Stream<Change, ChangesError>
  /** Makes a durable cursor where there is none of this name, at `next` (default: the next commit); answers where it stands. See `changes`. */
  readonly createCursor: (name: string, next?: number) => Effect.Effect<CursorInfo, CursorError>
  /** Everything below `next` is done with. A cursor never moves back. */
  readonly advanceCursor: (name: string, next: number) => Effect.Effect<CursorInfo, CursorError>
  readonly dropCursor: (name: string) => Effect.Effect<void, CursorError>
  readonly cursors: Effect.Effect<ReadonlyArray<CursorInfo>, ListError>
  /** Opens the keyspace, creating it where it does not exist yet. */
  readonly keyspace: (name: string, options?: KeyspaceOptions) => Effect.Effect<Keyspace, KeyspaceError>
  readonly keyspaces: Effect.Effect<ReadonlyArray<KeyspaceInfo>, Gone>
  /** Drops the keyspace and all it holds; its space is given back in the background. Snapshots taken before still read it. */
  readonly dropKeyspace: (name: string) => Effect.Effect<WriteResult, DropKeyspaceError>
  readonly health: Effect.Effect<Health>
  /** Of a database that was opened with `salvage`: what was found and what is lost. */
  readonly salvage?: SalvageReport | undefined
  /** The present state, then whatever happens to the health of the database, until it closes: for logs and alerts. Who is slow misses the oldest of more than 256 events. */
  readonly healthEvents: Stream.Stream<HealthEvent>
  /** Read-only databases: moves forward to what the writer has logged since. */
  readonly refresh: Effect.Effect<void, ListError>
  /** Writes the memtables to tables; when it returns, everything visible before is in tables. */
  readonly flush: Effect.Effect<void, FlushError>
  /** Rewrites the range (default: all of it) down to its lowest level, and returns when that is done. */
  readonly compact: (
    range?: { readonly gte?: Key; readonly lt?: Key; readonly keyspace?: string },
    options?: WorkOptions
  ) => Effect.Effect<void, CompactError>
  /**
   * A consistent copy in a new directory, which must not exist. Files are linked where the file system can.
   *
   * **Details** Of a database that is open for reading only it is made beside the writer, which it neither waits for nor holds up: what is not in tables yet is copied from the log.
   */
  readonly checkpoint: (
    path: string
  ) => Effect.Effect<{ readonly path: string; readonly sequence: number; readonly files: number; readonly bytes: number }, CheckpointError>
  /** Reads through the whole database once, no faster than `bytesPerSecond`. Damage is no failure: it is in the report, in `health`, and in `stats.scrub`. See the option `scrub`. */
  readonly scrub: (options?: ScrubOptions) => Effect.Effect<ScrubReport, ScrubError>
  /** Reads and checks every block of every table and value file, the manifest, and the log as far as it is visible. */
  readonly verify: Effect.Effect<VerifyReport, VerifyError>
  /** As `verify`, but damage is no failure: it goes on with the next file, and names every file that is damaged, as far as the manifest can be read to say which there are. */
  readonly verifyAll: (options?: WorkOptions) => Effect.Effect<DamageReport, VerifyError>
  readonly stats: Effect.Effect<DatabaseStats>
}

export class Database extends Context.Service<Database, DatabaseShape>()("lightning-db/services/Database") {}
