/**
 * The contract of `Database` over sorted arrays in memory: for tests of what uses a database, where its engine does not matter. No durability, no limits beyond
 * those of keys, no compaction; `stats` are those of an empty database.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CorruptFile, DatabaseReadOnly, InvalidKey, InvalidKeyspaceName, KeyspaceNotFound, type DeleteError } from "../../src/domain/errors.ts"
import type {
  DatabaseShape,
  DatabaseStats,
  Entry,
  Key,
  Keyspace,
  Operations,
  Reads,
  ScanRange,
  Snapshot,
  UnsafeReads,
  Value,
  WriteOperation,
  WriteOptions,
  WriteResult
} from "../../src/services/Database.ts"

interface Row {
  readonly key: Buffer
  readonly value: Buffer
}

const bytesOf = (data: Key | Value): Buffer => (typeof data === "string" ? Buffer.from(data) : Buffer.from(data))
const copy = (data: Uint8Array): Uint8Array => new Uint8Array(data)

const keyOf = (key: Key): Buffer => {
  const bytes = bytesOf(key)
  if (bytes.length === 0) throw new InvalidKey({ reason: "Empty" })
  if (bytes.length > 65_536) throw new InvalidKey({ reason: "TooLong", lengthBytes: bytes.length })
  return bytes
}

/** Rows never change once they are in a space, and a space is replaced as a whole: a snapshot is a reference. */
class Space {
  rows: ReadonlyArray<Row> = []

  static find(rows: ReadonlyArray<Row>, key: Buffer): number {
    let low = 0
    let high = rows.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (Buffer.compare(rows[middle]!.key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  static get(rows: ReadonlyArray<Row>, key: Buffer): Buffer | undefined {
    const row = rows[Space.find(rows, key)]
    return row !== undefined && row.key.equals(key) ? row.value : undefined
  }

  put(key: Buffer, value: Buffer | undefined): void {
    const at = Space.find(this.rows, key)
    const present = this.rows[at]?.key.equals(key) === true
    this.rows = [...this.rows.slice(0, at), ...(value === undefined ? [] : [{ key, value }]), ...this.rows.slice(present ? at + 1 : at)]
  }
}

const select = (rows: ReadonlyArray<Row>, range: ScanRange): Array<Entry> => {
  const within = rows.filter(
    ({ key }) =>
      (range.gte === undefined || Buffer.compare(key, bytesOf(range.gte)) >= 0) &&
      (range.gt === undefined || Buffer.compare(key, bytesOf(range.gt)) > 0) &&
      (range.lte === undefined || Buffer.compare(key, bytesOf(range.lte)) <= 0) &&
      (range.lt === undefined || Buffer.compare(key, bytesOf(range.lt)) < 0) &&
      (range.prefix === undefined || key.subarray(0, bytesOf(range.prefix).length).equals(bytesOf(range.prefix)))
  )
  if (range.reverse === true) within.reverse()
  return within
    .slice(0, range.limit ?? within.length)
    .map(({ key, value }) => ({ key: copy(key), value: range.keysOnly === true ? new Uint8Array(0) : copy(value) }))
}

const readsOf = (rows: () => ReadonlyArray<Row>): Reads & { readonly unsafe: UnsafeReads } => {
  const get = (key: Key): Uint8Array | undefined => {
    const value = Space.get(rows(), keyOf(key))
    return value === undefined ? undefined : copy(value)
  }
  const text = (key: Key): string | undefined => Space.get(rows(), keyOf(key))?.toString()
  const attempt = <A>(read: () => A): Effect.Effect<A, InvalidKey> => Effect.try({ try: read, catch: (error) => error as InvalidKey })
  return {
    get: (key) => attempt(() => get(key)),
    getText: (key) => attempt(() => text(key)),
    getMany: (keys) => attempt(() => keys.map(get)),
    has: (key) => attempt(() => get(key) !== undefined),
    scan: (range = {}) => Stream.suspend(() => Stream.fromIterable(select(rows(), range))),
    estimate: (range = {}) =>
      Effect.sync(() => {
        const found = select(rows(), range)
        return { entries: found.length, bytes: found.reduce((sum, { key, value }) => sum + key.length + value.length, 0) }
      }),
    unsafe: {
      get,
      getText: text,
      getMany: (keys) => keys.map(get),
      has: (key) => get(key) !== undefined,
      entries: (range = {}) =>
        select(rows(), range)
          .map(({ key, value }): [Uint8Array, Uint8Array] => [key, value])
          .values()
    }
  }
}

export interface MapDatabaseOptions {
  readonly readOnly?: boolean
  /** Makes `verify` fail as it does for a damaged file. */
  readonly damaged?: boolean
  /** Called before each write; what it throws is what the write fails with. */
  readonly beforeWrite?: (operations: ReadonlyArray<WriteOperation>) => void
}

/** The data behind one or more opens. */
export class MapStore {
  readonly spaces = new Map<string, Space>([["", new Space()]])
  sequence = 0

  /** Everything in a keyspace ("": the default one) as text. */
  entries(keyspace = ""): Array<[string, string]> {
    return (this.spaces.get(keyspace)?.rows ?? []).map(({ key, value }) => [key.toString(), value.toString()])
  }
}

const emptyStats: Omit<DatabaseStats, "path" | "visibleSequence" | "durableSequence"> = {
  flushedSequence: 0,
  levels: [],
  disk: { tables: 0, valueFiles: 0, valueFilesLive: 0, log: 0, manifest: 0, total: 0 },
  space: { reserve: 0, low: false },
  breakers: [],
  retention: { logSegments: 0, logFromSequence: undefined, historyFromSequence: 0 },
  memory: {
    budget: undefined,
    used: {
      memtables: 0,
      spareMemtables: 0,
      validation: 0,
      readMemtables: 0,
      pendingLog: 0,
      tableIndexes: 0,
      jobs: 0,
      snapshots: 0,
      blockCache: 0,
      valueCache: 0,
      total: 0
    },
    cacheCapacity: 0,
    pressure: "none"
  },
  memtables: { active: 1, frozen: 0, bytes: 0, entries: 0 },
  transactions: {
    open: 0,
    oldestAgeMs: undefined,
    committed: 0,
    readOnly: 0,
    rolledBack: 0,
    conflicts: 0,
    retries: 0,
    abandoned: 0,
    locksHeld: 0,
    locksWaiting: 0,
    validationBytes: 0
  },
  blockCache: { bytes: 0, capacityBytes: 0, hits: 0, misses: 0 },
  valueCache: { bytes: 0, capacityBytes: 0, hits: 0, misses: 0 },
  commits: { transactions: 0, groups: 0, syncs: 0, logBytes: 0 },
  flushes: { count: 0, bytes: 0 },
  compactions: { count: 0, running: 0, trivialMoves: 0, bytesRead: 0, bytesWritten: 0 },
  writeAmplification: 1,
  stalls: { slowed: 0, stopped: 0, waiting: 0, totalMs: 0 },
  snapshots: { open: 0, expired: 0, oldestSequence: undefined, oldestAgeMs: undefined },
  scrub: { running: false, lastStarted: undefined, lastFinished: undefined, bytes: 0, damaged: 0 },
  recovery: { replayedTransactions: 0, replayedBytes: 0, cutBytes: 0, laterGroupsCut: 0, durationMs: 0 }
}

export const makeMapDatabase = (store: MapStore, options: MapDatabaseOptions = {}): DatabaseShape => {
  const write = (
    home: string,
    operations: ReadonlyArray<WriteOperation>,
    writeOptions: WriteOptions | undefined
  ): Effect.Effect<WriteResult, DeleteError> =>
    Effect.try({
      try: (): WriteResult => {
        if (options.readOnly === true) throw new DatabaseReadOnly({})
        options.beforeWrite?.(operations)
        const prepared = operations.map((operation) => {
          if (operation.type !== "put" && operation.type !== "delete" && !(operation.type === "deleteRange" && "gte" in operation))
            throw new Error(`${operation.type} is not part of this map`)
          const space = store.spaces.get(operation.keyspace ?? home)
          if (space === undefined) throw new KeyspaceNotFound({ name: operation.keyspace ?? home })
          // Everything that can fail comes first: a batch is applied as a whole or not at all.
          for (const key of operation.type === "deleteRange" ? [operation.gte, operation.lt] : [operation.key]) keyOf(key)
          return { operation, space }
        })
        for (const { operation, space } of prepared) {
          if (operation.type === "put") space.put(keyOf(operation.key), bytesOf(operation.value))
          else if (operation.type === "delete") space.put(keyOf(operation.key), undefined)
          else for (const { key } of select(space.rows, { gte: operation.gte, lt: operation.lt })) space.put(Buffer.from(key), undefined)
        }
        return { sequence: ++store.sequence, durability: writeOptions?.durability ?? "memory" }
      },
      // Of what its callers ask for: whoever gives it something else sees that, too.
      catch: (error) => error as DeleteError
    })

  const snapshotOf = (name: string) =>
    Effect.sync((): Snapshot => {
      const frozen = new Map([...store.spaces].map(([space, { rows }]) => [space, rows] as const))
      return {
        ...readsOf(() => frozen.get(name) ?? []),
        sequence: store.sequence,
        keyspace: (other) =>
          frozen.has(other) ? Effect.succeed(readsOf(() => frozen.get(other) ?? [])) : Effect.fail(new KeyspaceNotFound({ name: other }))
      }
    })

  const operationsOf = (name: string): Operations => ({
    ...readsOf(() => store.spaces.get(name)?.rows ?? []),
    put: (key, value, writeOptions) => write(name, [{ type: "put", key, value }], writeOptions),
    delete: (key, writeOptions) => write(name, [{ type: "delete", key }], writeOptions),
    write: (operations, writeOptions) => write(name, operations, writeOptions),
    snapshot: snapshotOf(name),
    at: () => Effect.die("the past is not part of this map"),
    history: () => Stream.die("history is not part of this map"),
    watch: () => Stream.die("watching is not part of this map")
  })

  return {
    ...operationsOf(""),
    transaction: () => Effect.die("transactions are not part of this map"),
    begin: () => Effect.die("transactions are not part of this map"),
    changes: () => Stream.die("the feed is not part of this map"),
    createCursor: () => Effect.die("cursors are not part of this map"),
    advanceCursor: () => Effect.die("cursors are not part of this map"),
    dropCursor: () => Effect.die("cursors are not part of this map"),
    cursors: Effect.succeed([]),
    keyspace: (name) =>
      Effect.suspend((): Effect.Effect<Keyspace, InvalidKeyspaceName | KeyspaceNotFound> => {
        if (name === "") return Effect.fail(new InvalidKeyspaceName({ name, detail: "it is empty." }))
        if (!store.spaces.has(name)) {
          if (options.readOnly === true) return Effect.fail(new KeyspaceNotFound({ name }))
          store.spaces.set(name, new Space())
        }
        return Effect.succeed({ name, ...operationsOf(name) })
      }),
    keyspaces: Effect.sync(() =>
      [...store.spaces.keys()]
        .filter((name) => name !== "")
        .toSorted()
        .map((name) => ({ name, tableBytes: 0 }))
    ),
    dropKeyspace: (name) =>
      Effect.suspend(() =>
        store.spaces.delete(name)
          ? Effect.succeed<WriteResult>({ sequence: ++store.sequence, durability: "memory" })
          : Effect.fail(new KeyspaceNotFound({ name }))
      ),
    health: Effect.succeed({ state: options.readOnly === true ? "readOnly" : "healthy", reasons: [] }),
    healthEvents: Stream.empty,
    refresh: Effect.void,
    flush: Effect.void,
    compact: () => Effect.void,
    checkpoint: (path) => Effect.succeed({ path, sequence: store.sequence, files: 0, bytes: 0 }),
    createRestorePoint: () => Effect.die("not of this double"),
    restorePoints: Effect.succeed({ points: [], damaged: [] }),
    verifyRestorePoint: () => Effect.die("not of this double"),
    removeRestorePoint: () => Effect.die("not of this double"),
    scrub: () => Effect.succeed({ files: 0, bytes: 0, damaged: [] }),
    verify: Effect.suspend(() =>
      options.damaged === true
        ? Effect.fail(new CorruptFile({ file: "000007.table", offsetBytes: 4096, reason: "ChecksumMismatch", detail: "" }))
        : Effect.succeed({
            tables: 0,
            valueFiles: 0,
            blocks: 0,
            entries: [...store.spaces.values()].reduce((sum, { rows }) => sum + rows.length, 0),
            bytes: 0,
            logSegments: 0,
            logBytes: 0
          })
    ),
    verifyAll: (work) =>
      Effect.sync(() => {
        work?.onStart?.({ bytes: () => 0, bytesTotal: () => 0 })
        const entries = [...store.spaces.values()].reduce((sum, { rows }) => sum + rows.length, 0)
        const damage = new CorruptFile({ file: "000007.table", offsetBytes: 4096, reason: "ChecksumMismatch", detail: "" })
        return {
          tables: 0,
          valueFiles: 0,
          blocks: 0,
          entries,
          bytes: 0,
          logSegments: 0,
          logBytes: 0,
          damaged: options.damaged === true ? [damage] : []
        }
      }),
    stats: Effect.sync(() => ({ path: "memory", visibleSequence: store.sequence, durableSequence: store.sequence, ...emptyStats }))
  }
}
