import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { Slab } from "../domain/bytes/Slab.ts"
import type { InvalidKeyspaceName } from "../domain/errors.ts"
import {
  type CommitFailure,
  fromReadFailure,
  InvalidOptions,
  InvalidRange,
  KeyspaceDropped,
  KeyspaceNotFound,
  type Gone,
  type SnapshotError
} from "../domain/errors.ts"
import { encodeId, encodeKeyspaceRow, keyspaceRowKey, type KeyspaceSettings, nextIdKey } from "../domain/keys/catalogRows.ts"
import { droppedRowKey } from "../domain/keys/droppedRows.ts"
import { KeyEncoder } from "../domain/keys/encodeKey.ts"
import { keyBounds } from "../domain/keys/KeyBounds.ts"
import { defaultKeyspace, systemKeyspace } from "../domain/keys/kinds.ts"
import { isConfiguredAs, keyspaceSettings, withSettings } from "../domain/options/keyspaceOptions.ts"
import { Catalog } from "../services/Catalog.ts"
import { Compactor } from "../services/Compactor.ts"
import {
  Database,
  type DatabaseShape,
  type Keyspace,
  type Operations,
  type Snapshot,
  type WriteOperation,
  type WriteResult
} from "../services/Database.ts"
import { BlockCache } from "../services/BlockCache.ts"
import { Breakers } from "../services/Breakers.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Entropy } from "../services/Entropy.ts"
import { Flusher } from "../services/Flusher.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { MemoryBudget } from "../services/MemoryBudget.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"
import { Retention } from "../services/Retention.ts"
import { Scrubber } from "../services/Scrubber.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { Tables } from "../services/Tables.ts"
import { Timeline } from "../services/Timeline.ts"
import { type SnapshotLease, TransactionManager } from "../services/TransactionManager.ts"
import { ValueCache } from "../services/ValueCache.ts"
import { Wal } from "../services/Wal.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { keyspaceInfo, keyspaceNameBytes } from "./keyspaceNames.ts"
import { makeFeed } from "./feed/makeFeed.ts"
import { makeHistory } from "./history/makeHistory.ts"
import { isCheckpointPath, makeCheckpoint, noCheckpointPath } from "./maintenance/checkpoint.ts"
import { makeRestorePoints } from "./restorePoints/makeRestorePoints.ts"
import { pointsBeside } from "./restorePoints/pointDirectory.ts"
import { makeStats } from "./maintenance/stats.ts"
import { watchMemory } from "./memory/watchMemory.ts"
import { verifyAll } from "./maintenance/verifyAll.ts"
import { verifyVersion, type VerifyWatch } from "./maintenance/verifyVersion.ts"
import { makeFewAtOnce } from "./maintenance/fewAtOnce.ts"
import { WorkCounter } from "./maintenance/WorkCounter.ts"
import { makeReads, type ReadParts, type ReadTarget } from "./reading/makeReads.ts"
import { PointReader } from "./reading/PointReader.ts"
import { goneError, snapshotError } from "./reading/thrownErrors.ts"
import { makeMaintenance } from "./watch/makeMaintenance.ts"
import type { WatchedWork } from "./watch/untilStalled.ts"
import { watchedDisk } from "./watch/watchedDisk.ts"
import { watchedVerification } from "./watch/watchedVerification.ts"
import { ownRows } from "./transactions/ownRows.ts"
import { makeTransactions } from "./transactions/makeTransactions.ts"

const verification: WatchedWork = { work: "verify", actors: ["verification"] }

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const health = yield* HealthMonitor
  const breakers = yield* Breakers
  const recovery = yield* Recovery
  const manifest = yield* Manifest
  const memory = yield* MemoryBudget
  const memtables = yield* Memtables
  const tables = yield* Tables
  const blockCache = yield* BlockCache
  const valueCache = yield* ValueCache
  const catalog = yield* Catalog
  const retention = yield* Retention
  const timeline = yield* Timeline
  const wal = yield* Wal
  const transactions = yield* TransactionManager
  const flusher = yield* Flusher
  const compactor = yield* Compactor
  const watchdog = yield* Watchdog
  const scrubber = yield* Scrubber
  const space = yield* SpaceKeeper

  const parts: ReadParts = {
    tables,
    valueCache,
    holdMemtables: memtables.hold,
    hashSeed: manifest.state().hashSeed,
    point: new PointReader(tables),
    encoder: new KeyEncoder(),
    slab: new Slab()
  }

  const checkOpen = () => {
    const closed = health.closed()
    if (closed !== undefined) throw closed
  }

  /** One object for all reads of the present: its fields are asked for within one synchronous step. */
  const present = {
    get memtables() {
      return memtables.all()
    },
    get version() {
      return tables.current()
    },
    get sequence() {
      return wal.visibleSequence()
    },
    get timeMs() {
      return clock.nowMs()
    }
  }

  const latest = (keyspace: number, name: string): ReadTarget => ({
    keyspace,
    check: () => {
      checkOpen()
      if (!catalog.exists(keyspace)) throw new KeyspaceDropped({ name })
    },
    view: () => present,
    lease: transactions.snapshot
  })

  const past = (keyspace: number, lease: SnapshotLease, timeMs = clock.nowMs()): ReadTarget => {
    const view = {
      get memtables() {
        return memtables.all()
      },
      get version() {
        return tables.current()
      },
      sequence: lease.sequence,
      timeMs
    }
    const check = () => {
      checkOpen()
      lease.check()
    }
    // A read under a snapshot ends with itself, and at the latest with the snapshot's own lease.
    return { keyspace, check, view: () => view, lease: lease.under }
  }

  const interactive = makeTransactions({ reads: parts, options, clock, catalog, memtables, transactions, wal, checkOpen, durable: disk.durable })
  const histories = makeHistory({
    reads: parts,
    clock,
    catalog,
    retention,
    timeline,
    transactions,
    wal,
    checkOpen,
    past,
    viewOf: (lease) => past(systemKeyspace, lease).view()
  })
  const feed = makeFeed({
    reads: parts,
    disk,
    directory: recovery.directory,
    options,
    clock,
    catalog,
    health,
    manifest,
    transactions,
    wal,
    checkOpen,
    latest
  })
  yield* feed.start

  const whileOpen = <A>(run: () => A): Effect.Effect<A, Gone> =>
    Effect.try({
      try: () => {
        checkOpen()
        return run()
      },
      catch: goneError
    })

  const openLease = (keyspace: number, name: string): Effect.Effect<SnapshotLease, SnapshotError> =>
    Effect.suspend(() => {
      try {
        latest(keyspace, name).check()
        return Effect.succeed(transactions.snapshot())
      } catch (cause) {
        return Effect.fail(snapshotError(cause))
      }
    })

  const snapshotOf = (keyspace: number, name: string) =>
    Effect.gen(function* () {
      const lease = yield* Effect.acquireRelease(openLease(keyspace, name), (held) => Effect.sync(held.release))
      // One moment for all of its keyspaces, whenever they are asked for.
      const timeMs = clock.nowMs()
      // Names as they are now: a keyspace dropped later is still read by this snapshot.
      const names = new Map(catalog.names().map((entry) => [entry.name, entry.id]))
      // A drop counts from its commit on, and the catalog knows of it as soon as that is sequenced: this snapshot may be of before. Of several of one name the first to go.
      const back = new Set<string>()
      for (const [id, at] of catalog.droppedIds()) {
        const dropped = at > lease.sequence ? catalog.nameOf(id) : undefined
        if (dropped === undefined || back.has(dropped)) continue
        names.set(dropped, id)
        back.add(dropped)
      }
      const { reads, unsafe } = makeReads(parts, past(keyspace, lease, timeMs))
      const snapshot: Snapshot = {
        ...reads,
        unsafe,
        sequence: lease.sequence,
        keyspace: (wanted) =>
          Effect.suspend(() => {
            const id = names.get(wanted)
            if (id === undefined) return Effect.fail(new KeyspaceNotFound({ name: String(wanted) }))
            return Effect.succeed(makeReads(parts, past(id, lease, timeMs)).reads)
          })
      }
      return snapshot
    })

  const operationsOf = (keyspace: number, name: string): Operations => {
    const { reads, unsafe } = makeReads(parts, latest(keyspace, name))
    return {
      ...reads,
      unsafe,
      put: (key, value, writeOptions) => transactions.writeOne(keyspace, key, value, false, writeOptions),
      delete: (key, writeOptions) => transactions.writeOne(keyspace, key, undefined, true, writeOptions),
      write: (operations, writeOptions) => transactions.write(keyspace, operations, writeOptions),
      snapshot: snapshotOf(keyspace, name),
      at: histories.at(keyspace, name),
      history: histories.history(keyspace, name),
      watch: feed.watch(keyspace, name)
    }
  }

  // --- The catalog changes one at a time: who creates a keyspace twice gets the same one.
  const catalogQueue = yield* Semaphore.make(1)

  const nameBytes = (name: string): Effect.Effect<Uint8Array, InvalidKeyspaceName> =>
    Effect.try({ try: () => keyspaceNameBytes(name), catch: (cause) => cause as InvalidKeyspaceName })

  /** What the options of a keyspace say. */
  const settingsOf = (given: unknown): Effect.Effect<KeyspaceSettings, InvalidOptions> =>
    Effect.try({
      try: () => keyspaceSettings(given),
      catch: (cause) => {
        if (cause instanceof InvalidOptions) return cause
        throw cause
      }
    })

  const keyspace: DatabaseShape["keyspace"] = (name, given) =>
    Effect.gen(function* () {
      const bytes = yield* nameBytes(name)
      const wanted = yield* settingsOf(given)
      const closed = health.closed()
      if (closed !== undefined) return yield* closed
      const isConfigured = (id: number) => isConfiguredAs(catalog.settings(id), wanted)
      const found = catalog.idOf(name)
      if (found !== undefined && isConfigured(found)) return keyspaceNamed(found, name)
      return yield* catalogQueue.withPermit(
        Effect.suspend((): Effect.Effect<Keyspace, CommitFailure> => {
          const known = catalog.idOf(name)
          if (known !== undefined && isConfigured(known)) return Effect.succeed(keyspaceNamed(known, name))
          const id = known ?? catalog.nextId()
          const before = catalog.settings(id)
          const settings = withSettings(before, wanted)
          const row: WriteOperation = { type: "put", key: keyspaceRowKey(bytes), value: encodeKeyspaceRow({ ...settings, id }) }
          const written = ownRows(
            transactions.write(
              systemKeyspace,
              known === undefined ? [row, { type: "put", key: nextIdKey, value: encodeId(id + 1) }] : [row],
              { durability: "sync" },
              () => {
                if (known === undefined) {
                  catalog.created(name, id, settings)
                  return () => catalog.creationFailed(name, id)
                }
                catalog.configured(id, settings)
                return () => catalog.configured(id, before)
              }
            )
          )
          return Effect.map(written, () => keyspaceNamed(id, name))
        })
      )
    })

  const keyspaceNamed = (id: number, name: string): Keyspace => ({ name, ...operationsOf(id, name) })

  const dropKeyspace: DatabaseShape["dropKeyspace"] = (name) =>
    Effect.gen(function* () {
      const bytes = yield* nameBytes(name)
      return yield* catalogQueue.withPermit(
        Effect.suspend((): Effect.Effect<WriteResult, CommitFailure | KeyspaceNotFound> => {
          const id = catalog.idOf(name)
          if (id === undefined) return Effect.fail(new KeyspaceNotFound({ name }))
          const dropped = ownRows(
            transactions.write(
              systemKeyspace,
              [
                { type: "delete", key: keyspaceRowKey(bytes) },
                { type: "put", key: droppedRowKey(id), value: bytes }
              ],
              { durability: "sync" },
              (sequence) => {
                catalog.dropped(name, id, sequence)
                valueCache.dropKeyspace(id, sequence)
                return () => catalog.dropFailed(name, id)
              }
            )
          )
          return Effect.tap(dropped, () => Effect.sync(compactor.nudge))
        })
      )
    })

  const { maintenance, watched } = yield* makeMaintenance({ health, watchdog, waitTimeoutMs: options.waitTimeoutMs })

  const compact: DatabaseShape["compact"] = (range, workOptions) =>
    watched(
      { work: "compact", actors: ["flusher", "compaction"] },
      Effect.gen(function* () {
        let id: number | undefined
        if (range?.keyspace !== undefined) {
          yield* nameBytes(range.keyspace)
          id = catalog.idOf(range.keyspace)
          if (id === undefined) return yield* new KeyspaceNotFound({ name: range.keyspace })
        } else if (range?.gte !== undefined || range?.lt !== undefined) id = defaultKeyspace
        const bounds = yield* Effect.try({
          try: () => {
            if (range !== undefined && (typeof range !== "object" || range === null)) return keyBounds(range)
            const { keyspace: _keyspace, ...rest } = range ?? {}
            for (const name of ["gt", "lte", "prefix", "reverse", "limit", "keysOnly"]) {
              if (Object.hasOwn(rest, name)) throw new InvalidRange({ detail: `compact takes gte, lt and keyspace, and not ${name}.` })
            }
            return keyBounds(rest)
          },
          catch: (cause) => {
            if (cause instanceof InvalidRange) return cause
            throw cause
          }
        })
        yield* flusher.flush
        yield* compactor.compact({ keyspace: id, lower: bounds.lower, upper: bounds.upper }, workOptions)
      })
    )

  const fewVerifications = yield* makeFewAtOnce
  const fewCheckpoints = yield* makeFewAtOnce
  const verified = (watch: VerifyWatch) =>
    fewVerifications(
      watchedVerification(watchdog, recovery.directory, watch, (counted) =>
        verifyVersion({ disk, directory: recovery.directory, tables, manifest, wal }, counted)
      )
    )

  const stats = makeStats({
    blockCache,
    breakers,
    compactor,
    flusher,
    manifest,
    memory,
    memtables,
    options,
    recovery,
    scrubber,
    space,
    tables,
    transactions,
    transactionStats: interactive.stats,
    valueCache,
    wal
  })

  watchMemory({ memory, options, blockCache, valueCache, compactor, memtables, tables, transactions, wal })
  const droppedAfter = (sequence: number): boolean => {
    for (const at of catalog.droppedIds().values()) if (at > sequence && at <= wal.visibleSequence()) return true
    return false
  }

  const checkpoint = (path: string) =>
    fewCheckpoints(
      makeCheckpoint({ disk: watchedDisk(disk, watchdog, "checkpoint"), entropy, flusher, tables, directory: recovery.directory, droppedAfter }, path)
    )
  const watchedCheckpoint = (path: string) => watched({ work: "checkpoint", actors: ["flusher", "checkpoint"] }, checkpoint(path))
  const restorePoints = yield* makeRestorePoints({
    disk,
    points: options.checkpoints ?? pointsBeside(recovery.directory),
    memtableBytes: options.memtableBytes,
    nowMs: () => clock.nowMs(),
    lineageId: () => manifest.state().lineageId,
    checkpoint: watchedCheckpoint,
    guarded: maintenance,
    verifying: fewVerifications
  })

  yield* health.started
  compactor.nudge()
  // Registered last, so it runs first: newcomers are refused before anything they need is taken down.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      health.stopping()
      transactions.roomChanged()
    })
  )

  return Database.of({
    ...operationsOf(defaultKeyspace, "default"),
    transaction: interactive.transaction,
    begin: interactive.begin,
    changes: feed.changes,
    createCursor: feed.createCursor,
    advanceCursor: feed.advanceCursor,
    dropCursor: feed.dropCursor,
    cursors: feed.cursors,
    keyspace,
    dropKeyspace,
    keyspaces: whileOpen(() => catalog.names().map(({ id, name }) => keyspaceInfo(name, id, manifest.state(), catalog.settings(id)))),
    health: Effect.sync(health.current),
    healthEvents: health.events,
    refresh: whileOpen(() => undefined),
    flush: watched({ work: "flush", actors: ["flusher"] }, flusher.flush),
    compact,
    checkpoint: (path) => (isCheckpointPath(path) ? watchedCheckpoint(path) : Effect.fail(noCheckpointPath())),
    ...restorePoints,
    scrub: (scrubOptions) => maintenance(scrubber.run(scrubOptions)),
    verify: watched(
      verification,
      Effect.mapError(verified({ counter: new WorkCounter() }), (error) =>
        error._tag === "Damage" || error._tag === "IoFailure" ? fromReadFailure(error) : error
      )
    ),
    verifyAll: (workOptions) => watched(verification, Effect.mapError(verifyAll(workOptions, verified), fromReadFailure)),
    stats: Effect.sync(stats)
  })
})

export const layer: Layer.Layer<
  Database,
  never,
  | Breakers
  | Disk
  | EngineOptions
  | EngineClock
  | Entropy
  | HealthMonitor
  | Recovery
  | Manifest
  | MemoryBudget
  | Memtables
  | Tables
  | BlockCache
  | ValueCache
  | Catalog
  | Retention
  | Timeline
  | Wal
  | Watchdog
  | TransactionManager
  | Flusher
  | Compactor
  | Scrubber
  | SpaceKeeper
> = Layer.effect(Database, make)
