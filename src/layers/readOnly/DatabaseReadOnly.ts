import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import { Slab } from "../../domain/bytes/Slab.ts"
import { BlockCache as BlockCacheStore } from "../../domain/cache/BlockCache.ts"
import { ValueCache as ValueCacheStore } from "../../domain/cache/ValueCache.ts"
import {
  DatabaseClosed,
  DatabaseReadOnly,
  InvalidKeyspaceName,
  InvalidOptions,
  KeyspaceDropped,
  KeyspaceNotFound,
  NotADatabase,
  type OpenError,
  PathIsFile
} from "../../domain/errors.ts"
import type { KeyspaceSettings } from "../../domain/keys/catalogRows.ts"
import { currentFileName, fileName, reserveFileName } from "../../domain/manifest/fileNames.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { KeyEncoder } from "../../domain/keys/encodeKey.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import { isConfiguredAs, keyspaceSettings } from "../../domain/options/keyspaceOptions.ts"
import { Database, type DatabaseStats, type Keyspace, type Operations, type Snapshot } from "../../services/Database.ts"
import { Breakers } from "../../services/Breakers.ts"
import { Disk } from "../../services/Disk.ts"
import { EngineClock } from "../../services/EngineClock.ts"
import { EngineOptions } from "../../services/EngineOptions.ts"
import { Entropy } from "../../services/Entropy.ts"
import { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { SnapshotLease } from "../../services/TransactionManager.ts"
import type { Version } from "../../services/Tables.ts"
import * as CatalogLayer from "../Catalog.ts"
import { checkMoment, atError, momentOf, oldestOf, resolveMoment, retentionOf } from "../history/moment.ts"
import { makeVersions } from "../history/makeVersions.ts"
import { pastSnapshot } from "../history/pastSnapshot.ts"
import { keyspaceInfo, keyspaceNameBytes } from "../keyspaceNames.ts"
import { makeReads, type ReadParts, type ReadTarget } from "../reading/makeReads.ts"
import { goneError, listError, snapshotError } from "../reading/thrownErrors.ts"
import { levelStats } from "../maintenance/stats.ts"
import { tellProgress } from "../recovery/tellProgress.ts"
import { makePointReader, Salvaged } from "../repair/SalvagedReads.ts"
import type { View } from "../reading/View.ts"
import { openError } from "../Recovery.ts"
import { SnapshotLeases } from "../SnapshotLeases.ts"
import { readerMemory } from "../memory/readerMemory.ts"
import { makeTables } from "../Tables.ts"
import { readMarks, timeOf } from "../Timeline.ts"
import { makeReaderFeed } from "./makeReaderFeed.ts"
import { noTransactions } from "./noTransactions.ts"
import { goneDatabase, isSameDatabase, NoDatabase, openReadOnly, type ReadOnlyState } from "./openReadOnly.ts"
import { makeReaderUpkeep } from "./readerUpkeep.ts"

const readOnlyRefusal = () => new DatabaseReadOnly({ detail: "it was opened with readOnly: true" })
const refused = Effect.suspend(() => Effect.fail(readOnlyRefusal()))

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const health = yield* HealthMonitor
  const breakers = yield* Breakers
  const salvage = yield* Salvaged
  const directory = options.path
  const startedMs = clock.monotonicMs()

  const probing = yield* FiberSet.runtime(yield* FiberSet.make<void, never>())<never>()
  const cache = new BlockCacheStore(options.cacheBytes - options.valueCacheBytes, options.blockBytes)
  const onReplay = yield* tellProgress(directory, clock.monotonicMs)
  const blank = yield* Effect.try({
    try: () => {
      if (disk.sync.stat(directory)?.kind === "file") throw new PathIsFile({ path: directory })
      let tables: ReturnType<typeof makeTables> | undefined
      const opened = openReadOnly(
        disk.sync,
        directory,
        options.memtableBytes,
        (state) => {
          tables?.close()
          tables = makeTables({
            disk,
            directory,
            cache,
            maxOpenTables: options.maxOpenTables,
            monotonicMs: clock.monotonicMs,
            initial: state,
            faults: { breakers, health, retry: options.retry },
            probing,
            removes: false
          })
          tables.openFiles()
        },
        onReplay
      )
      return { opened, tables: tables! }
    },
    catch: (cause) =>
      cause instanceof NoDatabase ? new NotADatabase({ path: directory, detail: "there is no database to read" }) : openError(directory, cause)
  })
  const { tables } = blank
  let opened = blank.opened
  const valueCache = new ValueCacheStore(options.valueCacheBytes, opened.sequence)
  let closed = false
  const leases = new SnapshotLeases(clock.monotonicMs, options.snapshotLeaseMs, () => undefined, {
    openMax: options.maxTransactions,
    closed: () => (closed ? new DatabaseClosed({ path: directory }) : undefined)
  })
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.andThen(
        Effect.sleep(Math.max(1, Math.min(options.snapshotLeaseMs, 5000))),
        Effect.sync(() => leases.reap())
      )
    )
  )

  const reopen = (): ReadOnlyState => {
    try {
      return openReadOnly(disk.sync, directory, options.memtableBytes, (state) => {
        // Restored, or made anew: what is known of this one (tables by their ids, the seed of hashes, cached values) would be taken for its own.
        if (!isSameDatabase(state, opened.state)) {
          throw new Damage(
            `${directory}/${currentFileName}`,
            0,
            "Unexpected",
            "another database is in the directory now: close this one, and open it"
          )
        }
        tables.openFilesOf(state)
      })
    } catch (cause) {
      throw cause instanceof NoDatabase ? goneDatabase(directory) : cause
    }
  }

  /** What is known of keyspaces and times, as of what was read last. */
  const readProjections = (version: Version, { memtables, sequence, state }: ReadOnlyState) => {
    clock.raise(state.engineTimeMs)
    const view: View = { memtables, version, sequence, timeMs: 0 }
    return {
      catalog: CatalogLayer.make(directory, CatalogLayer.readRows(tables, view), options.retention),
      marks: readMarks(directory, tables, view),
      readMs: clock.nowMs()
    }
  }
  let projections = yield* Effect.try({
    try: () => readProjections(tables.current(), opened),
    catch: (cause) => openError(directory, cause)
  })

  const parts: ReadParts = {
    tables,
    valueCache,
    // Each refresh makes new ones, and the old ones stay as they are.
    holdMemtables: () => () => undefined,
    hashSeed: opened.state.hashSeed,
    point: makePointReader(tables, salvage),
    encoder: new KeyEncoder(),
    slab: new Slab()
  }

  const checkOpen = () => {
    if (closed) throw new DatabaseClosed({ path: directory })
  }

  const present: View = {
    get memtables() {
      return opened.memtables
    },
    get version() {
      return tables.current()
    },
    get sequence() {
      return opened.sequence
    },
    get timeMs() {
      return clock.nowMs()
    }
  }

  const latest = (keyspace: number, name: string): ReadTarget => ({
    keyspace,
    check: () => {
      checkOpen()
      if (!projections.catalog.exists(keyspace)) throw new KeyspaceDropped({ name })
    },
    view: () => present,
    lease: (onEnd, brief) => leases.open(opened.sequence, onEnd, brief)
  })

  const past = (keyspace: number, lease: SnapshotLease, view: View): ReadTarget => ({
    keyspace,
    check: () => {
      checkOpen()
      lease.check()
    },
    view: () => view,
    lease: lease.under
  })

  const attemptList = <A>(run: () => A) => Effect.try({ try: run, catch: listError })

  const snapshotOf = (keyspace: number, name: string) =>
    Effect.gen(function* () {
      const { lease, view } = yield* Effect.acquireRelease(
        Effect.suspend(() => {
          try {
            latest(keyspace, name).check()
            const version = tables.current()
            // First, as it may refuse; the pin follows in the same step.
            const lease = leases.open(opened.sequence, () => tables.unpin(version))
            tables.pin()
            const view: View = { memtables: opened.memtables, version, sequence: opened.sequence, timeMs: clock.nowMs() }
            return Effect.succeed({ view, lease })
          } catch (cause) {
            return Effect.fail(snapshotError(cause))
          }
        }),
        (held) => Effect.sync(held.lease.release)
      )
      const names = new Map(projections.catalog.names().map((entry) => [entry.name, entry.id]))
      const { reads, unsafe } = makeReads(parts, past(keyspace, lease, view))
      const snapshot: Snapshot = {
        ...reads,
        unsafe,
        sequence: lease.sequence,
        keyspace: (wanted) => {
          const id = names.get(wanted)
          return id === undefined
            ? Effect.fail(new KeyspaceNotFound({ name: String(wanted) }))
            : Effect.succeed(makeReads(parts, past(id, lease, view)).reads)
        }
      }
      return snapshot
    })

  const atOf =
    (keyspace: number, name: string): Operations["at"] =>
    (given) =>
      Effect.gen(function* () {
        const held = yield* Effect.acquireRelease(
          Effect.suspend(() => {
            try {
              checkOpen()
              const { catalog, marks, readMs } = projections
              const { historyFrom } = opened.state
              const newest = opened.sequence
              const oldest = oldestOf(historyFrom, keyspace)
              const { sequence, timeMs } = resolveMoment(momentOf(given), {
                timeline: { sequenceBefore: (second, last) => marks.sequenceBefore(second, last), timeOf: (at) => timeOf(marks, at) },
                // What the writer has committed since is not known here.
                nowMs: () => readMs,
                lastSequence: () => newest,
                oldest: () => oldest
              })
              checkMoment({ name, sequence, newest, oldest, droppedAt: catalog.droppedIds().get(keyspace) })
              const version = tables.current()
              const lease = leases.open(sequence, () => tables.unpin(version))
              tables.pin()
              const view: View = { memtables: opened.memtables, version, sequence, timeMs }
              return Effect.succeed({ historyFrom, lease, view })
            } catch (cause) {
              return Effect.fail(atError(cause))
            }
          }),
          ({ lease }) => Effect.sync(lease.release)
        )
        const { historyFrom, lease, view } = held
        return pastSnapshot(
          keyspace,
          lease.sequence,
          (id) => makeReads(parts, past(id, lease, view)),
          (id) => oldestOf(historyFrom, id)
        )
      })

  const histories = makeVersions({
    reads: parts,
    catalog: {
      exists: (id) => projections.catalog.exists(id),
      // What the writer was opened with is not known here: where nothing else says it, by what its jobs have left.
      historyVersions: (id) =>
        projections.catalog.settings(id).historyMs === undefined && options.retention.historyVersions === undefined
          ? (opened.state.keptVersions.get(id)?.at(-1)?.count ?? 0)
          : projections.catalog.historyVersions(id)
    },
    retention: { historyFrom: () => opened.state.historyFrom, keptVersions: () => opened.state.keptVersions },
    transactions: { snapshot: (onEnd) => leases.open(opened.sequence, onEnd) },
    checkOpen,
    viewOf: () => ({ memtables: opened.memtables, version: tables.current(), sequence: opened.sequence, timeMs: 0 })
  })

  /** The present as it is now, whatever is refreshed while it is read: a watcher's first look. */
  const still = (keyspace: number, name: string): ReadTarget => {
    const target = latest(keyspace, name)
    const version = tables.current()
    const view: View = { memtables: opened.memtables, version, sequence: opened.sequence, timeMs: clock.nowMs() }
    return {
      ...target,
      view: () => view,
      lease: (onEnd, brief) => {
        const lease = leases.open(
          view.sequence,
          () => {
            tables.unpin(version)
            onEnd()
          },
          brief
        )
        tables.pin()
        return lease
      }
    }
  }

  const feed = makeReaderFeed({
    reads: parts,
    disk,
    directory,
    heldBytesMax: options.retention.cursorBytes,
    readersMax: options.maxTransactions,
    state: () => opened.state,
    sequence: () => opened.sequence,
    catalog: () => projections.catalog,
    checkOpen,
    latest: still
  })

  const operationsOf = (keyspace: number, name: string): Operations => {
    const { reads, unsafe } = makeReads(parts, latest(keyspace, name))
    return {
      ...reads,
      unsafe,
      put: () => refused,
      delete: () => refused,
      write: () => refused,
      snapshot: snapshotOf(keyspace, name),
      at: atOf(keyspace, name),
      history: histories(keyspace, name),
      watch: feed.watch(keyspace, name)
    }
  }

  const stats = (): DatabaseStats => {
    const { state } = opened
    let tableBytes = 0
    let valueBytes = 0
    let liveBytes = 0
    for (const table of state.tables.values()) {
      tableBytes += table.fileBytes
      for (const ref of table.valueRefs) liveBytes += ref.bytes
    }
    for (const file of state.valueFiles.values()) valueBytes += file.fileBytes
    // As the files lie there now: the writer may have gone on, and a name may be gone.
    const sizeOf = (name: string) => {
      try {
        return disk.sync.stat(`${directory}/${name}`)?.sizeBytes ?? 0
      } catch (cause) {
        if (cause instanceof IoFailure) return 0
        throw cause
      }
    }
    let logBytes = 0
    for (const fileId of state.segments.keys()) logBytes += sizeOf(fileName("log", fileId))
    const manifestBytes = sizeOf(fileName("manifest", opened.manifestId))
    const open = leases.stats()
    return {
      path: directory,
      visibleSequence: opened.sequence,
      durableSequence: opened.sequence,
      flushedSequence: state.flushedThrough.sequence,
      space: { reserve: sizeOf(reserveFileName), low: false },
      breakers: breakers.stats(),
      levels: levelStats(tables.current()),
      disk: {
        tables: tableBytes,
        valueFiles: valueBytes,
        valueFilesLive: liveBytes,
        log: logBytes,
        manifest: manifestBytes,
        total: tableBytes + valueBytes + logBytes + manifestBytes
      },
      retention: retentionOf(state),
      memory: readerMemory({
        memtables: opened.memtables.reduce((sum, memtable) => sum + memtable.memoryBytes, 0),
        tableIndexes: tables.indexBytes(),
        blockCache: cache.bytesAllocated,
        valueCache: valueCache.bytesAllocated,
        cacheCapacity: options.cacheBytes
      }),
      memtables: {
        active: 1,
        frozen: opened.memtables.length - 1,
        bytes: opened.memtables.reduce((sum, memtable) => sum + memtable.memoryBytes, 0),
        entries: opened.memtables.reduce((sum, memtable) => sum + memtable.entryCount, 0)
      },
      blockCache: { bytes: cache.bytesUsed, capacityBytes: cache.capacityBytes, hits: cache.hits, misses: cache.misses },
      valueCache: { bytes: valueCache.bytes, capacityBytes: valueCache.capacityBytes, hits: valueCache.hits, misses: valueCache.misses },
      commits: { transactions: 0, groups: 0, syncs: 0, logBytes: 0 },
      flushes: { count: 0, bytes: 0 },
      compactions: { count: 0, running: 0, trivialMoves: 0, bytesRead: 0, bytesWritten: 0 },
      writeAmplification: 0,
      stalls: { slowed: 0, stopped: 0, waiting: 0, totalMs: 0 },
      transactions: noTransactions,
      snapshots: open,
      scrub: scrubStats(),
      recovery: {
        replayedTransactions: opened.replayedTransactions,
        replayedBytes: opened.replayedBytes,
        cutBytes: 0,
        laterGroupsCut: 0,
        durationMs: openMs
      }
    }
  }
  const { scrubStats, ...ownUpkeep } = yield* makeReaderUpkeep({
    disk,
    entropy,
    clock,
    directory,
    options,
    closed: () => (closed ? new DatabaseClosed({ path: directory }) : undefined),
    lineageId: () => opened.state.lineageId
  })
  const openMs = clock.monotonicMs() - startedMs

  // Before the one that closes, and so after it: streams that end find the database closed.
  yield* feed.start
  health.refuseWrites(readOnlyRefusal(), salvage === undefined ? "opened with readOnly: true" : "opened with salvage: true")
  yield* health.started
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      health.stopping()
      tables.close()
    })
  )

  return Database.of({
    ...operationsOf(defaultKeyspace, "default"),
    keyspace: (name, given) =>
      Effect.suspend((): Effect.Effect<Keyspace, InvalidKeyspaceName | KeyspaceNotFound | InvalidOptions | DatabaseReadOnly> => {
        let wanted: KeyspaceSettings
        try {
          keyspaceNameBytes(name)
          wanted = keyspaceSettings(given)
        } catch (cause) {
          if (cause instanceof InvalidKeyspaceName || cause instanceof InvalidOptions) return Effect.fail(cause)
          throw cause
        }
        const { catalog } = projections
        const id = catalog.idOf(name)
        if (id === undefined) return Effect.fail(new KeyspaceNotFound({ name }))
        // With other options it would be configured anew.
        if (!isConfiguredAs(catalog.settings(id), wanted)) return refused
        const keyspace: Keyspace = { name, ...operationsOf(id, name) }
        return Effect.succeed(keyspace)
      }),
    transaction: () => refused,
    begin: () => refused,
    changes: feed.changes,
    createCursor: () => refused,
    advanceCursor: () => refused,
    dropCursor: () => refused,
    cursors: feed.cursors,
    dropKeyspace: () => refused,
    keyspaces: Effect.try({
      try: () => {
        checkOpen()
        const { catalog } = projections
        return catalog.names().map(({ id, name }) => keyspaceInfo(name, id, opened.state, catalog.settings(id)))
      },
      catch: goneError
    }),
    health: Effect.sync(health.current),
    salvage,
    healthEvents: health.events,
    refresh: attemptList(() => {
      checkOpen()
      const next = reopen()
      // In one step, whatever fails afterwards: the new tables show nothing of an older moment.
      const version = tables.install(next.state)
      opened = next
      // What is cached was read at an earlier sequence, and the writer's writes were never noted here.
      valueCache.raiseFloor(next.sequence)
      projections = readProjections(version, next)
    }),
    flush: refused,
    compact: () => refused,
    ...ownUpkeep,
    stats: Effect.sync(stats)
  })
})

/** Beside a live writer, or alone: takes no lock and writes nothing. May show transactions that the writer has logged and not acknowledged yet. */
export const layer: Layer.Layer<Database, OpenError, Breakers | Disk | EngineOptions | EngineClock | Entropy | HealthMonitor> = Layer.effect(
  Database,
  make
)
