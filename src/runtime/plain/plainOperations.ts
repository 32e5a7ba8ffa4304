import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Operations, Reads, Snapshot, UnsafeReads } from "../../services/Database.ts"
import type { PastSnapshot } from "../../services/History.ts"
import type { PlainAsyncReads, PlainOperations, PlainSnapshot, PlainSyncReads } from "./PlainDatabase.ts"
import { inOwnScope } from "./inOwnScope.ts"
import type { PlainHost } from "./PlainHost.ts"
import { plainEntries } from "./plainEntries.ts"
import { plainIterator } from "./PlainIterator.ts"

const asyncReads = (host: PlainHost, reads: Reads): PlainAsyncReads => ({
  get: (key) => host.run(() => reads.get(key)),
  getText: (key) => host.run(() => reads.getText(key)),
  getMany: (keys) => host.run(() => reads.getMany(keys)),
  has: (key) => host.run(() => reads.has(key)),
  entries: (range) => plainEntries(host, reads.scan(range)),
  estimate: (range) => host.run(() => reads.estimate(range))
})

const syncReads = (host: PlainHost, unsafe: UnsafeReads): PlainSyncReads => ({
  getSync: (key) => {
    host.check()
    return unsafe.get(key)
  },
  getTextSync: (key) => {
    host.check()
    return unsafe.getText(key)
  },
  getManySync: (keys) => {
    host.check()
    return unsafe.getMany(keys)
  },
  hasSync: (key) => {
    host.check()
    return unsafe.has(key)
  },
  entriesSync: (range) => {
    host.check()
    return guardedEntries(host, unsafe.entries(range))
  }
})

/** Ends, with its lease, at the first step after the database is closed. */
const guardedEntries = (host: PlainHost, entries: IterableIterator<[Uint8Array, Uint8Array]>): IterableIterator<[Uint8Array, Uint8Array]> => {
  const end = (): IteratorResult<[Uint8Array, Uint8Array]> => entries.return?.() ?? { done: true, value: undefined }
  const guarded: IterableIterator<[Uint8Array, Uint8Array]> = {
    next: () => {
      if (host.isClosed) end()
      host.check()
      return entries.next()
    },
    return: end,
    [Symbol.iterator]: () => guarded
  }
  return guarded
}

/** A snapshot, of now or of a moment of the past, lives in a scope of its own within the database's. */
const openSnapshot = (host: PlainHost, acquire: Effect.Effect<Snapshot | PastSnapshot, unknown, Scope.Scope>): Promise<PlainSnapshot> =>
  inOwnScope(host, acquire, (snapshot, close) => ({
    ...asyncReads(host, snapshot),
    ...syncReads(host, snapshot.unsafe),
    sequence: snapshot.sequence,
    keyspace: (name) => host.run(() => Effect.map(snapshot.keyspace(name), (reads) => asyncReads(host, reads))),
    close,
    [Symbol.asyncDispose]: close
  }))

/** The operations of a database or a keyspace. */
export const plainOperations = (host: PlainHost, operations: Operations): PlainOperations => ({
  ...asyncReads(host, operations),
  ...syncReads(host, operations.unsafe),
  put: (key, value, options) => host.run(() => operations.put(key, value, options)),
  delete: (key, options) => host.run(() => operations.delete(key, options)),
  batch: (batch, options) => host.run(() => operations.write(batch, options)),
  snapshot: () => openSnapshot(host, operations.snapshot),
  at: (moment) => openSnapshot(host, operations.at(moment)),
  history: (key, options) => plainIterator(host, operations.history(key, options), (version) => version),
  watch: (wanted) => plainIterator(host, operations.watch(wanted), (event) => event, true)
})
