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
import type { OpenError } from "../../domain/errors.ts"
import {
  Database,
  type DatabaseStats,
  type Health,
  type Key,
  type KeyspaceInfo,
  type ScanRange,
  type Value,
  type VerifyReport,
  type WriteOperation,
  type WriteOptions,
  type WriteResult
} from "../../services/Database.ts"
import { PlainHost } from "./PlainHost.ts"
import { plainOperations } from "./plainOperations.ts"

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
  readonly entries: (range?: ScanRange) => AsyncIterableIterator<[Uint8Array, Uint8Array]>
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
  readonly put: (key: Key, value: Value, options?: WriteOptions) => Promise<WriteResult>
  readonly delete: (key: Key, options?: WriteOptions) => Promise<WriteResult>
  /** All or nothing. An operation without `keyspace` applies to this keyspace (to the default one on the database). */
  readonly batch: (operations: ReadonlyArray<WriteOperation>, options?: WriteOptions) => Promise<WriteResult>
  readonly snapshot: () => Promise<PlainSnapshot>
}

export interface PlainKeyspace extends PlainOperations {
  readonly name: string
}

export interface PlainDatabase extends PlainOperations {
  /** Opens the keyspace, creating it where it does not exist yet. */
  readonly keyspace: (name: string) => Promise<PlainKeyspace>
  readonly keyspaces: () => Promise<ReadonlyArray<KeyspaceInfo>>
  /** Drops the keyspace and all it holds; its space is given back in the background. */
  readonly dropKeyspace: (name: string) => Promise<WriteResult>
  /** Writes the memtables to tables. */
  readonly flush: () => Promise<void>
  /** Rewrites the range (default: all of it) down to its lowest level. */
  readonly compact: (range?: { readonly gte?: Key; readonly lt?: Key; readonly keyspace?: string }) => Promise<void>
  /** A consistent copy in a new directory, which must not exist. */
  readonly checkpoint: (path: string) => Promise<{ readonly path: string; readonly sequence: number; readonly files: number; readonly bytes: number }>
  /** Reads and checks every block of every file. */
  readonly verify: () => Promise<VerifyReport>
  readonly stats: () => DatabaseStats
  readonly health: () => Health
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
  const close = (): Promise<void> => {
    host.isClosed = true
    return (closed ??= runtime.dispose())
  }
  return {
    ...plainOperations(host, db),
    keyspace: (name) =>
      host.run(() => Effect.map(db.keyspace(name), (keyspace): PlainKeyspace => ({ name: keyspace.name, ...plainOperations(host, keyspace) }))),
    keyspaces: () => host.run(() => db.keyspaces),
    dropKeyspace: (name) => host.run(() => db.dropKeyspace(name)),
    flush: () => host.run(() => db.flush),
    compact: (range) => host.run(() => db.compact(range)),
    checkpoint: (path) => host.run(() => db.checkpoint(path)),
    verify: () => host.run(() => db.verify),
    stats: () => host.runSync(db.stats),
    health: () => host.runSync(db.health),
    refresh: () => host.run(() => db.refresh),
    close,
    [Symbol.asyncDispose]: close
  }
}
