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
import type { InvalidOptions, OpenError } from "../../src/domain/errors.ts"
import { type ConfigOf, type MemoryOptions, type Options, type ResolvedOptions, resolveOptions } from "../../src/domain/options/Options.ts"
import * as BlockCacheLayer from "../../src/layers/BlockCache.ts"
import * as CatalogLayer from "../../src/layers/Catalog.ts"
import * as CompactorLayer from "../../src/layers/Compactor.ts"
import * as DatabaseLayer from "../../src/layers/Database.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskNode from "../../src/layers/disk/DiskNode.ts"
import * as EngineClockLayer from "../../src/layers/EngineClock.ts"
import * as EntropyLayer from "../../src/layers/Entropy.ts"
import * as FlusherLayer from "../../src/layers/Flusher.ts"
import * as HealthMonitorLayer from "../../src/layers/HealthMonitor.ts"
import * as ManifestLayer from "../../src/layers/Manifest.ts"
import * as MemtablesLayer from "../../src/layers/Memtables.ts"
import * as RecoveryLayer from "../../src/layers/Recovery.ts"
import * as TablesLayer from "../../src/layers/Tables.ts"
import * as TransactionManagerLayer from "../../src/layers/TransactionManager.ts"
import * as ValueCacheLayer from "../../src/layers/ValueCache.ts"
import * as WalLayer from "../../src/layers/Wal.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as WorkersThreads from "../../src/layers/WorkersThreads.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"
import type { Disk } from "../../src/services/Disk.ts"
import { EngineOptions } from "../../src/services/EngineOptions.ts"
import type { Entropy } from "../../src/services/Entropy.ts"
import type { Workers } from "../../src/services/Workers.ts"
import { workerEntryUrl } from "../../src/runtime/worker/workerEntryUrl.ts"

export type { MemoryOptions, Options }

/** Each line needs those below it; shutdown goes from top to bottom: refuse, stop jobs, drain and sync the log, close files, unlock. */
const engine = (options: ResolvedOptions, entropy: Layer.Layer<Entropy>): Layer.Layer<Database, OpenError, Disk | Workers> =>
  DatabaseLayer.layer.pipe(
    Layer.provideMerge(FlusherLayer.layer),
    Layer.provideMerge(CompactorLayer.layer),
    Layer.provideMerge(TransactionManagerLayer.layer),
    Layer.provideMerge(WalLayer.layer),
    Layer.provideMerge(CatalogLayer.layer),
    Layer.provideMerge(TablesLayer.layer),
    Layer.provideMerge(Layer.mergeAll(MemtablesLayer.layer, BlockCacheLayer.layer, ValueCacheLayer.layer)),
    Layer.provideMerge(ManifestLayer.layer),
    Layer.provideMerge(RecoveryLayer.layer),
    Layer.provideMerge(Layer.mergeAll(Layer.succeed(EngineOptions, options), EngineClockLayer.layer, HealthMonitorLayer.layer, entropy))
  )

/** Layers are shared by reference within a program; two databases must share none of theirs. So each is built apart, and only its `Database` comes out. */
const apart = <R>(build: Effect.Effect<Layer.Layer<Database, OpenError, R>, OpenError>): Layer.Layer<Database, OpenError, R> =>
  Layer.effectContext(Effect.gen(function*() {
    const layer = yield* build
    const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), yield* Effect.scope)
    return Context.make(Database, Context.get(context, Database))
  }))

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
  apart(Effect.map(resolved(options), (checked) =>
    engine(checked, EntropyLayer.layer).pipe(
      // One thread more than compactions may take: a flush never waits behind one.
      Layer.provide(WorkersThreads.layer({ entry: workerEntryUrl, count: checked.compactionWorkers === 0 ? 0 : checked.compactionWorkers + 1 })),
      Layer.provide(DiskNode.layer)
    )))

/** The same engine on an in-memory disk, gone with its scope: for tests. Starts no threads; reports durability "memory". */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<Database, OpenError> =>
  apart(Effect.map(resolved({ memtableBytes: 1 << 20, walSegmentBytes: 1 << 20, ...options, path: "/memory" }), (checked) =>
    engine(checked, EntropyLayer.layer).pipe(Layer.provide(WorkersInProcess.layer), Layer.provide(Layer.fresh(DiskMemory.layer)))))

