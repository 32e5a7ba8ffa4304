import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { InvalidKey, InvalidOptions } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import type { Operations, Reads, Snapshot, UnsafeReads, WriteOptions } from "../../services/Database.ts"
import type { PlainAsyncReads, PlainOperations, PlainSnapshot, PlainSyncReads } from "./PlainDatabase.ts"
import type { PlainHost } from "./PlainHost.ts"
import { plainEntries } from "./plainEntries.ts"

/** Code without types may hand in anything: what the engine would take for something else, or stumble over, is refused here. */
const checkKeys = (keys: unknown): void => {
  if (!Array.isArray(keys)) throw new InvalidKey({ reason: "WrongType", found: `${describeType(keys)} instead of an array of keys` })
}

const checkWriteOptions = (options: unknown): void => {
  if (options === undefined) return
  if (typeof options !== "object" || options === null) {
    throw new InvalidOptions({ problems: [`the options of a write must be an object such as { durability: "sync" }, found ${describeType(options)}`] })
  }
  const problems = Object.keys(options).filter((name) => name !== "durability").map((name) => `${JSON.stringify(name)} is not an option of a write; the option is durability`)
  if (problems.length > 0) throw new InvalidOptions({ problems })
}

const asyncReads = (host: PlainHost, reads: Reads): PlainAsyncReads => ({
  get: (key) => host.run(() => reads.get(key)),
  getText: (key) => host.run(() => reads.getText(key)),
  getMany: (keys) =>
    host.run(() => {
      checkKeys(keys)
      return reads.getMany(keys)
    }),
  has: (key) => host.run(() => reads.has(key)),
  entries: (range) => plainEntries(host, reads.scan(range))
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
    checkKeys(keys)
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

/** The snapshot lives in a scope of its own within the database's. */
const openSnapshot = (host: PlainHost, acquire: Operations["snapshot"]): Promise<PlainSnapshot> =>
  host.run(() => {
    const scope = Scope.forkUnsafe(host.scope)
    let closed: Promise<void> | undefined
    const close = (): Promise<void> => closed ??= host.release(Scope.close(scope, Exit.void))
    const plain = (snapshot: Snapshot): PlainSnapshot => ({
      ...asyncReads(host, snapshot),
      ...syncReads(host, snapshot.unsafe),
      sequence: snapshot.sequence,
      keyspace: (name) => host.run(() => Effect.map(snapshot.keyspace(name), (reads) => asyncReads(host, reads))),
      close,
      [Symbol.asyncDispose]: close
    })
    return Scope.provide(acquire, scope).pipe(
      Effect.map(plain),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  })

/** The operations of a database or a keyspace. */
export const plainOperations = (host: PlainHost, operations: Operations): PlainOperations => {
  const write = (options: WriteOptions | undefined, make: () => ReturnType<Operations["put"]>): ReturnType<PlainOperations["put"]> =>
    host.run(() => {
      checkWriteOptions(options)
      return make()
    })
  return {
    ...asyncReads(host, operations),
    ...syncReads(host, operations.unsafe),
    put: (key, value, options) => write(options, () => operations.put(key, value, options)),
    delete: (key, options) => write(options, () => operations.delete(key, options)),
    batch: (batch, options) => write(options, () => operations.write(batch, options)),
    snapshot: () => openSnapshot(host, operations.snapshot)
  }
}
