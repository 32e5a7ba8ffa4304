/**
 * The graph of layers: what an application opens.
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const db = yield* Database
 *   yield* db.put("greeting", "hello")
 * }).pipe(Effect.provide(LightningDb.layer({ path: "./data" })))
 * ```
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { InvalidOptions, OpenError, RestoreError, RollBackError } from "../domain/errors.ts"
import { type ConfigOf, type MemoryOptions, type Options, type ResolvedOptions, resolveOptions } from "../domain/options/Options.ts"
import * as BlockCacheLayer from "../layers/BlockCache.ts"
import * as BreakersLayer from "../layers/Breakers.ts"
import * as CatalogLayer from "../layers/Catalog.ts"
import * as CompactorLayer from "../layers/Compactor.ts"
import * as DatabaseLayer from "../layers/Database.ts"
import * as DiskMemory from "../layers/disk/DiskMemory.ts"
import * as DiskNode from "../layers/disk/DiskNode.ts"
import * as EngineClockLayer from "../layers/EngineClock.ts"
import * as EntropyLayer from "../layers/Entropy.ts"
import * as ExpiryReaperLayer from "../layers/ExpiryReaper.ts"
import * as FlusherLayer from "../layers/Flusher.ts"
import * as HealthMonitorLayer from "../layers/HealthMonitor.ts"
import * as ManifestLayer from "../layers/Manifest.ts"
import * as MemoryBudgetLayer from "../layers/MemoryBudget.ts"
import * as MemtablesLayer from "../layers/Memtables.ts"
import * as DatabaseReadOnly from "../layers/readOnly/DatabaseReadOnly.ts"
import * as RecoveryLayer from "../layers/Recovery.ts"
import { repairDirectory, type RepairError, type RepairOptions } from "../layers/repair/repairDirectory.ts"
import * as SalvageLayer from "../layers/repair/salvage.ts"
import * as RetentionLayer from "../layers/Retention.ts"
import type { CheckpointReport } from "../layers/maintenance/checkpoint.ts"
import * as restorePoint from "../layers/restorePoints/restorePoint.ts"
import type { RestoreOptions, RollBackOptions, RollBackReport } from "../layers/restorePoints/restorePoint.ts"
import * as ScrubberLayer from "../layers/Scrubber.ts"
import * as SpaceKeeperLayer from "../layers/SpaceKeeper.ts"
import * as TablesLayer from "../layers/Tables.ts"
import * as TimelineLayer from "../layers/Timeline.ts"
import * as TransactionManagerLayer from "../layers/TransactionManager.ts"
import * as ValueCacheLayer from "../layers/ValueCache.ts"
import * as WalLayer from "../layers/Wal.ts"
import * as WatchdogLayer from "../layers/Watchdog.ts"
import * as WorkersInProcess from "../layers/WorkersInProcess.ts"
import * as WorkersThreads from "../layers/WorkersThreads.ts"
import { Database, type DatabaseShape } from "../services/Database.ts"
import type { Disk } from "../services/Disk.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import type { Entropy } from "../services/Entropy.ts"
import type { Workers } from "../services/Workers.ts"
import type { RepairReport } from "../domain/repair/RepairReport.ts"
import type { PlainDatabase } from "./plain/PlainDatabase.ts"
import { workerEntryUrl } from "./worker/workerEntryUrl.ts"

export type { MemoryOptions, Options, RestoreOptions, RollBackOptions, RollBackReport }

/** Each line needs those below it; shutdown goes from top to bottom: refuse, stop jobs, drain and sync the log, close files, unlock. */
const engine = (options: ResolvedOptions, entropy: Layer.Layer<Entropy>): Layer.Layer<Database, OpenError, Disk | Workers> =>
  options.readOnly
    ? options.salvage
      ? salvager(options, entropy)
      : reader(options, entropy)
    : DatabaseLayer.layer.pipe(
        Layer.provideMerge(Layer.mergeAll(ExpiryReaperLayer.layer, ScrubberLayer.layer)),
        Layer.provideMerge(FlusherLayer.layer),
        Layer.provideMerge(CompactorLayer.layer),
        Layer.provideMerge(TransactionManagerLayer.layer),
        Layer.provideMerge(WalLayer.layer),
        Layer.provideMerge(RetentionLayer.layer),
        Layer.provideMerge(TimelineLayer.layer),
        Layer.provideMerge(CatalogLayer.layer),
        Layer.provideMerge(TablesLayer.layer),
        Layer.provideMerge(Layer.mergeAll(MemtablesLayer.layer, BlockCacheLayer.layer, ValueCacheLayer.layer)),
        Layer.provideMerge(ManifestLayer.layer),
        Layer.provideMerge(SpaceKeeperLayer.layer),
        Layer.provideMerge(RecoveryLayer.layer),
        Layer.provideMerge(Layer.mergeAll(MemoryBudgetLayer.layer, WatchdogLayer.layer)),
        Layer.provideMerge(BreakersLayer.layer),
        Layer.provideMerge(Layer.mergeAll(Layer.succeed(EngineOptions, options), EngineClockLayer.layer, HealthMonitorLayer.layer, entropy))
      )

/** Reads beside a writer need neither log nor actors. */
const reader = (options: ResolvedOptions, entropy: Layer.Layer<Entropy>): Layer.Layer<Database, OpenError, Disk> =>
  DatabaseReadOnly.layer.pipe(
    Layer.provide(BreakersLayer.layer),
    Layer.provide(Layer.mergeAll(Layer.succeed(EngineOptions, options), EngineClockLayer.layer, HealthMonitorLayer.layer, entropy))
  )

/** The same over what can be read of a damaged database. */
const salvager = (options: ResolvedOptions, entropy: Layer.Layer<Entropy>): Layer.Layer<Database, OpenError, Disk> =>
  SalvageLayer.layer(reader(options, entropy)).pipe(
    Layer.provide(Layer.mergeAll(Layer.succeed(EngineOptions, options), EngineClockLayer.layer, entropy))
  )

/** Layers are shared by reference within a program; two databases must share none of theirs. So each is built apart, and only its `Database` comes out. */
const apart = <R>(build: Effect.Effect<Layer.Layer<Database, OpenError, R>, OpenError>): Layer.Layer<Database, OpenError, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const layer = yield* build
      const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), yield* Effect.scope)
      return Context.make(Database, Context.get(context, Database))
    })
  )

const resolved = (options: unknown): Effect.Effect<ResolvedOptions, InvalidOptions> =>
  Effect.suspend(() => {
    const result = resolveOptions(options)
    return Result.isSuccess(result) ? Effect.succeed(result.success) : Effect.fail(result.failure)
  })

/** A database over a disk and workers of your own: simulated, faulty, traced. `entropy` is for reproducible runs. */
export const layerCore = (options: Options, entropy: Layer.Layer<Entropy> = EntropyLayer.layer): Layer.Layer<Database, OpenError, Disk | Workers> =>
  apart(Effect.map(resolved(options), (checked) => engine(checked, entropy)))

/** A database on a directory of the file system, with flush and compaction on worker threads. */
export const layer = (options: Options): Layer.Layer<Database, OpenError> =>
  apart(
    Effect.map(resolved(options), (checked) =>
      engine(checked, EntropyLayer.layer).pipe(
        Layer.provide(WorkersThreads.layer({ entry: workerEntryUrl, count: checked.compactionWorkers, breaker: checked.breaker })),
        Layer.provide(DiskNode.layer)
      )
    )
  )

/** The same engine on an in-memory disk, gone with its scope: for tests. Starts no threads; reports durability "memory". */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<Database, OpenError> =>
  apart(
    Effect.map(resolved({ memtableBytes: 1 << 20, walSegmentBytes: 1 << 20, ...options, path: "/memory" }), (checked) =>
      engine(checked, EntropyLayer.layer).pipe(Layer.provide(WorkersInProcess.layer), Layer.provide(Layer.fresh(DiskMemory.layer)))
    )
  )

/** `layer` with its options, or each of them, from configuration. */
export const layerConfig = (options: ConfigOf): Layer.Layer<Database, OpenError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/**
 * A database in a new directory, from a restore point or from any checkpoint, which is not touched. Every block is read and checked first. Cut short, the new directory is no database, and
 * can be removed.
 */
export const restore = (options: RestoreOptions): Effect.Effect<CheckpointReport, RestoreError> =>
  restorePoint.restore(options).pipe(Effect.provide(Layer.mergeAll(EntropyLayer.layer, DiskNode.layer)))

/**
 * Sets a closed database back to one of its restore points, as a whole or not at all, whenever the machine stops. What is there now becomes a restore point itself before
 * (`keepPresent: false` gives it up). Feed readers that are further than the restore point hear `HistoryDiverged`.
 */
export const rollBack = (options: RollBackOptions): Effect.Effect<RollBackReport, RollBackError> =>
  restorePoint.rollBack(options).pipe(Effect.provide(Layer.mergeAll(EntropyLayer.layer, DiskNode.layer)))

/** `restore` for code without Effect. */
export const restorePromise = (options: RestoreOptions): Promise<CheckpointReport> => Effect.runPromise(restore(options))

/** `rollBack` for code without Effect. */
export const rollBackPromise = (options: RollBackOptions): Promise<RollBackReport> => Effect.runPromise(rollBack(options))

/** What stands for the database named `Name` where a program says what it needs. */
export type NamedDatabase<Name extends string> = Context.ServiceClass.Shape<`lightning-db/Database/${Name}`, DatabaseShape>

/** The service of a further database, with the same layers. Spelled out, because a declaration cannot name all that an inferred class would bring along. */
export interface DatabaseTag<Name extends string> extends Context.ServiceClass<NamedDatabase<Name>, `lightning-db/Database/${Name}`, DatabaseShape> {
  readonly from: <E, R>(source: Layer.Layer<Database, E, R>) => Layer.Layer<NamedDatabase<Name>, E, R>
  readonly layer: (options: Options) => Layer.Layer<NamedDatabase<Name>, OpenError>
  readonly layerMemory: (options?: MemoryOptions) => Layer.Layer<NamedDatabase<Name>, OpenError>
  readonly layerCore: (options: Options) => Layer.Layer<NamedDatabase<Name>, OpenError, Disk | Workers>
  readonly layerConfig: (options: ConfigOf) => Layer.Layer<NamedDatabase<Name>, OpenError | Config.ConfigError>
}

/** Service class for a further database in the same program: `class Orders extends LightningDb.tag("orders") {}` has the same layers under its own tag. */
export const tag = <const Name extends string>(name: Name): DatabaseTag<Name> => {
  const service = Context.Service<NamedDatabase<Name>, DatabaseShape>()(`lightning-db/Database/${name}`)
  const from = <E, R>(source: Layer.Layer<Database, E, R>): Layer.Layer<NamedDatabase<Name>, E, R> =>
    Layer.effect(service, Database).pipe(Layer.provide(source))
  return Object.assign(service, {
    from,
    layer: (options: Options) => from(layer(options)),
    layerMemory: (options?: MemoryOptions) => from(layerMemory(options)),
    layerCore: (options: Options) => from(layerCore(options)),
    layerConfig: (options: ConfigOf) => from(layerConfig(options))
  })
}

/** Opens a database for code without Effect. */
export const open = async (options: Options): Promise<PlainDatabase> => {
  const { openPlain } = await import("./plain/PlainDatabase.ts")
  return openPlain(layer(options))
}

/** As `repair`, over a disk of your own. */
export const repairCore = (
  options: RepairOptions,
  entropy: Layer.Layer<Entropy> = EntropyLayer.layer
): Effect.Effect<RepairReport, RepairError, Disk> => repairDirectory(options).pipe(Effect.provide(Layer.merge(EngineClockLayer.layer, entropy)))

/**
 * Makes a sound database of a damaged one: `into` a directory that is not there yet, or in place, after all its files have a second name in `backup`. Nobody may have it open. A sound
 * database is left as it is. The report says what was lost, and nothing else was; with `dryRun` it says what would be.
 */
export const repair = (options: RepairOptions): Effect.Effect<RepairReport, RepairError> => repairCore(options).pipe(Effect.provide(DiskNode.layer))
