/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The database for code without Effect: promises, and synchronous twins of the reads, over the same engine.
 *
 * What `services/Database.ts` promises holds here too. A promise rejects with the typed error itself (each has a `_tag`), and a synchronous read
 * throws it. Nothing here throws where it returns a promise.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { SalvageReport } from "../../domain/repair/RepairReport.ts"
import type { OpenError } from "../../domain/errors.ts"
import type { Change, ChangesOptions, CursorInfo, WatchEvent } from "../../services/Changes.ts"
import {
  type DamageReport,
  Database,
  type DatabaseStats,
  type Health,
  type Key,
  type KeyspaceInfo,
  type KeyspaceOptions,
  type PutOptions,
  type RangeEstimate,
  type ScanRange,
  type Value,
  type VerifyReport,
  type WriteOperation,
  type WriteOptions,
  type WriteResult
} from "../../services/Database.ts"
import type { HealthEvent } from "../../services/HealthEvents.ts"
import type { HistoryOptions, Version } from "../../services/History.ts"
import type { BeginOptions } from "../../services/Transaction.ts"
import type { CreateRestorePoint, RestorePoint, RestorePointList } from "../../services/RestorePoints.ts"
import type { ScrubOptions, ScrubReport } from "../../services/Scrubber.ts"
import type { WorkOptions } from "../../services/WorkProgress.ts"
import { beginPlain } from "./beginPlain.ts"
import { PlainHost } from "./PlainHost.ts"
import { type PlainIterator, plainIterator } from "./PlainIterator.ts"
import { plainOperations } from "./plainOperations.ts"
import type { PlainTransaction, PlainTransactionHandle, PlainTransactionOptions } from "./PlainTransaction.ts"
import { runPlain } from "./runPlain.ts"

/** Reads that wait for the disk without blocking the event loop. */
export interface PlainAsyncReads {
  readonly get: (key: Key) => Promise<Uint8Array | undefined>
  /** The value decoded as UTF-8. */
  readonly getText: (key: Key) => Promise<string | undefined>
  /** One answer per key, in the order of `keys`, all from one moment. */
  readonly getMany: (keys: ReadonlyArray<Key>) => Promise<ReadonlyArray<Uint8Array | undefined>>
  readonly has: (key: Key) => Promise<boolean>
  /**
   * Entries as [key, value] in key order, brought in chunks, all from the moment of the first one. Ends its lease when finished or broken out of.
   *
   * **Gotchas** What it returns is walked once: call it again to walk again.
   */
  readonly entries: (range?: ScanRange) => PlainIterator<[Uint8Array, Uint8Array]>
  /** How many entries the range holds and what they take, about, without reading them: `Reads.estimate` of the Effect API says how good it is. */
  readonly estimate: (range?: ScanRange) => Promise<RangeEstimate>
}

/** Synchronous twins for hot loops: they block the event loop while a cold block is read. */
export interface PlainSyncReads {
  readonly getSync: (key: Key) => Uint8Array | undefined
  readonly getTextSync: (key: Key) => string | undefined
  readonly getManySync: (keys: ReadonlyArray<Key>) => Array<Uint8Array | undefined>
  readonly hasSync: (key: Key) => boolean
  /** Entries as [key, value] in key order, from the moment of the first one. Ends its lease when finished or broken out of. */
  readonly entriesSync: (range?: ScanRange) => IterableIterator<[Uint8Array, Uint8Array]>
}

export interface PlainReads extends PlainAsyncReads, PlainSyncReads {}

/** An unchanging view. Close it; otherwise it ends with its lease. Afterwards its reads fail with `SnapshotExpired`. */
export interface PlainSnapshot extends PlainReads {
  /** The last sequence this view contains. */
  readonly sequence: number
  /** The same view of another keyspace. */
  readonly keyspace: (name: string) => Promise<PlainAsyncReads>
  readonly close: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export interface PlainOperations extends PlainReads {
  /** `ttl` (milliseconds, or a duration as "5 minutes") or `expiresAt` say when the value goes by itself. */
  readonly put: (key: Key, value: Value, options?: PutOptions) => Promise<WriteResult>
  readonly delete: (key: Key, options?: WriteOptions) => Promise<WriteResult>
  /** All or nothing, atomic operations included. An operation without `keyspace` applies to this keyspace (to the default one on the database). */
  readonly batch: (operations: ReadonlyArray<WriteOperation>, options?: WriteOptions) => Promise<WriteResult>
  readonly snapshot: () => Promise<PlainSnapshot>
  /** As it was after the commit `moment`, or at the beginning of the second in which a `Date` lies; as far back as history is kept (`retention.history`). */
  readonly at: (moment: number | Date) => Promise<PlainSnapshot>
  /** The versions of a key, oldest first, as far back as they are kept (`retention.history`). */
  readonly history: (key: Key, options?: HistoryOptions) => PlainIterator<Version>
  /** The value of a key, or of all keys with a prefix, as it is at this call (as puts), and from then on each change of it. */
  readonly watch: (wanted: { readonly key: Key } | { readonly prefix: Key }) => PlainIterator<WatchEvent>
}

export interface PlainKeyspace extends PlainOperations {
  readonly name: string
}

export interface PlainDatabase extends PlainOperations {
  /**
   * Runs the body in a transaction and commits it; after a conflict runs it again, by `retry`. Answers with what the body answers.
   *
   * **Details** A body that throws or rejects leaves nothing behind, and this rejects with the very same error. `tx` is for this run of the body only.
   * **Gotchas** A call within the body is a transaction of its own: it commits by itself, whatever becomes of the outer one, and the two can conflict with, and wait for, each
   * other. Use `tx` throughout, and `tx.savepoint` for what may have to be taken back.
   */
  readonly transaction: <A>(body: (tx: PlainTransaction) => A | PromiseLike<A>, options?: PlainTransactionOptions) => Promise<A>
  /** A transaction whose end is in the caller's hands. Nothing is retried. */
  readonly begin: (options?: BeginOptions) => Promise<PlainTransactionHandle>
  /**
   * Committed transactions in commit order, without gaps, from history into live. A slow reader reads from disk, and holds up nobody.
   *
   * **Details** Begins with this call: commits made after it are seen, whenever the first `next` comes.
   */
  readonly changes: (options?: ChangesOptions) => PlainIterator<Change>
  /** Makes a durable cursor where there is none of this name, at `next` (default: the next commit); answers where it stands. See `changes`. */
  readonly createCursor: (name: string, next?: number) => Promise<CursorInfo>
  /** Everything below `next` is done with. A cursor never moves back. */
  readonly advanceCursor: (name: string, next: number) => Promise<CursorInfo>
  readonly dropCursor: (name: string) => Promise<void>
  readonly cursors: () => Promise<ReadonlyArray<CursorInfo>>
  /** Opens the keyspace, creating it where it does not exist yet. */
  readonly keyspace: (name: string, options?: KeyspaceOptions) => Promise<PlainKeyspace>
  readonly keyspaces: () => Promise<ReadonlyArray<KeyspaceInfo>>
  /** Drops the keyspace and all it holds; its space is given back in the background. */
  readonly dropKeyspace: (name: string) => Promise<WriteResult>
  /** Writes the memtables to tables. */
  readonly flush: () => Promise<void>
  /** Rewrites the range (default: all of it) down to its lowest level. */
  readonly compact: (range?: { readonly gte?: Key; readonly lt?: Key; readonly keyspace?: string }, options?: WorkOptions) => Promise<void>
  /** A consistent copy in a new directory, which must not exist. */
  readonly checkpoint: (path: string) => Promise<{ readonly path: string; readonly sequence: number; readonly files: number; readonly bytes: number }>
  /** A checkpoint with a name, beside the database. A name that is taken gets its next version (`nightly@2`). It is there whole, or not at all. */
  readonly createRestorePoint: (options: CreateRestorePoint) => Promise<RestorePoint>
  /** Oldest first. To go back to one, close the database: `rollBack`, `restore`. */
  readonly restorePoints: () => Promise<RestorePointList>
  /** Reads and checks every block of it. Rejects with the first damage. */
  readonly verifyRestorePoint: (reference: string, options?: WorkOptions) => Promise<VerifyReport>
  /** Removes one; of a name with several versions, it must say which. */
  readonly removeRestorePoint: (reference: string) => Promise<void>
  /** Reads through the whole database once, no faster than `bytesPerSecond`. Damage is no failure: it is in the report, in `health`, and in `stats().scrub`. */
  readonly scrub: (options?: ScrubOptions) => Promise<ScrubReport>
  /** Reads and checks every block of every file. */
  readonly verify: () => Promise<VerifyReport>
  /** As `verify`, but damage is no failure: it goes on with the next file, and names every damaged one. */
  readonly verifyAll: (options?: WorkOptions) => Promise<DamageReport>
  readonly stats: () => DatabaseStats
  readonly health: () => Health
  /** The present state, then whatever happens to the health of the database, for as long as it is open. Who is slow misses the oldest of more than 256 events. */
  readonly healthEvents: () => PlainIterator<HealthEvent>
  /** Of a database that was opened with `salvage`: what was found and what is lost. */
  readonly salvage: SalvageReport | undefined
  /** Read-only databases: moves forward to what the writer has logged since. */
  readonly refresh: () => Promise<void>
  /**
   * Drains, syncs, closes and unlocks. May be called again; every call waits for the same end.
   *
   * **Details** Writes that have their place in the order are still acknowledged. Those that wait for room, and every other use from now on, end with
   * `DatabaseClosed`.
   */
  readonly close: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** Opens the database of `layer`. Rejects with its error. */
export const openPlain = async (layer: Layer.Layer<Database, OpenError>): Promise<PlainDatabase> => {
  const runtime = ManagedRuntime.make(layer)
  let context: Context.Context<Database>
  try {
    context = await runtime.context()
  } catch (error) {
    await runtime.dispose()
    throw error
  }
  const db = Context.get(context, Database)
  const host = new PlainHost(context, runtime.scope, Effect.runSync(db.stats).path)
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= host.close().then(() => runtime.dispose()))
  return {
    ...plainOperations(host, db),
    transaction: (body, options) => runPlain(host, db, body, options),
    begin: (options) => beginPlain(host, db, options),
    changes: (options) => plainIterator(host, db.changes(options), (change) => change, true),
    createCursor: (name, next) => host.run(() => db.createCursor(name, next)),
    advanceCursor: (name, next) => host.run(() => db.advanceCursor(name, next)),
    dropCursor: (name) => host.run(() => db.dropCursor(name)),
    cursors: () => host.run(() => db.cursors),
    keyspace: (name, options) =>
      host.run(() =>
        Effect.map(db.keyspace(name, options), (keyspace): PlainKeyspace => ({ name: keyspace.name, ...plainOperations(host, keyspace) }))
      ),
    keyspaces: () => host.run(() => db.keyspaces),
    dropKeyspace: (name) => host.run(() => db.dropKeyspace(name)),
    flush: () => host.run(() => db.flush),
    compact: (range, options) => host.run(() => db.compact(range, options)),
    checkpoint: (path) => host.run(() => db.checkpoint(path)),
    createRestorePoint: (options) => host.run(() => db.createRestorePoint(options)),
    restorePoints: () => host.run(() => db.restorePoints),
    verifyRestorePoint: (reference, options) => host.run(() => db.verifyRestorePoint(reference, options)),
    removeRestorePoint: (reference) => host.run(() => db.removeRestorePoint(reference)),
    scrub: (options) => host.run(() => db.scrub(options)),
    verify: () => host.run(() => db.verify),
    verifyAll: (options) => host.run(() => db.verifyAll(options)),
    stats: () => host.runSync(db.stats),
    health: () => host.runSync(db.health),
    healthEvents: () => plainIterator(host, db.healthEvents, (event) => event, true),
    salvage: db.salvage,
    refresh: () => host.run(() => db.refresh),
    close,
    [Symbol.asyncDispose]: close
  }
}
