import * as Effect from "effect/Effect"
import { arch, cpus, loadavg } from "node:os"
import type { OpenError } from "../../src/domain/errors.ts"
import type { Options } from "../../src/domain/options/Options.ts"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"
import type { Case, CaseError, Run } from "./Case.ts"
import type { Figures } from "./Figures.ts"
import { Inputs } from "./Inputs.ts"
import { Latency } from "./Latency.ts"
import { idle, putInBatches } from "./steps.ts"
import { peakResidentBytes, Usage } from "./Usage.ts"

export interface Settings {
  readonly directory: string
  readonly entries: number
  /** Over those of the case. */
  readonly options: Partial<Options>
}

const mib = 1 << 20
/** What reads may keep in memory, all in all. */
const residentBytesMax = 64 * mib
/** What is resident of an entry beside its block: filter and fences, 2.6 bytes at 2 KiB a leaf. Taken off the cache, rounded up. */
const indexBytesPerEntry = 4

export const optionsOf = (one: Case, settings: Settings): Options => ({
  memtableBytes: 16 * mib,
  cacheBytes: Math.max(0, residentBytesMax - settings.entries * indexBytesPerEntry),
  durability: one.durability,
  ...one.options,
  ...settings.options,
  path: settings.directory
})

const withDatabase = <A>(options: Options, use: (db: DatabaseShape) => Effect.Effect<A, CaseError>): Effect.Effect<A, CaseError | OpenError> =>
  Effect.provide(Effect.flatMap(Database, use), layer(options))

const inputsOf = (one: Case, settings: Settings) => new Inputs(settings.entries, one.keys, one.valueBytes)

/** Loads what the case wants to find: all entries in tables of the lowest level. Best done in a process of its own, whose memory is not the case's. */
export const prepare = (one: Case, settings: Settings): Effect.Effect<void, CaseError | OpenError> =>
  one.start === "empty"
    ? Effect.void
    : withDatabase(optionsOf(one, settings), (db) =>
        Effect.gen(function* () {
          const inputs = inputsOf(one, settings)
          yield* one.load === undefined ? putInBatches(db, inputs, inputs.entries, (i) => i, 0, "buffered") : one.load(db, inputs)
          yield* db.flush
          yield* db.compact()
        })
      )

/** Opens, runs and times, closes, reopens, validates. The database was prepared before. */
export const runCase = (one: Case, settings: Settings): Effect.Effect<Figures, CaseError | OpenError> =>
  Effect.gen(function* () {
    const options = optionsOf(one, settings)
    const inputs = inputsOf(one, settings)
    const operations = one.operations(settings.entries)
    const timed = (db: DatabaseShape) =>
      Effect.gen(function* () {
        // Reads are timed once tables are open, code is compiled and the cache is full: a quarter of the operations come before the clock.
        if (!one.writes) yield* one.run({ db, inputs, operations: Math.ceil(operations / 4), latency: new Latency() })
        const latency = new Latency()
        const usage = new Usage()
        const counted = yield* one.run({ db, inputs, operations, latency })
        const seconds = usage.operationsDone()
        if (one.writes) yield* idle(db)
        const used = usage.stop()
        return { counted, latency: latency.figures(), seconds, used, stats: yield* db.stats, peakBytes: peakResidentBytes() }
      })
    const openedMs = performance.now()
    let openMs = 0
    const { counted, latency, peakBytes, seconds, stats, used } = yield* withDatabase(options, (db) => {
      openMs = performance.now() - openedMs
      return timed(db)
    })
    const reopenedMs = performance.now()
    let reopenMs = 0
    yield* withDatabase(options, (db) => {
      reopenMs = performance.now() - reopenedMs
      const run: Run = { db, inputs, operations, latency: new Latency() }
      return one.validate(run, counted)
    })
    return {
      case: one.name,
      about: one.about,
      entries: settings.entries,
      operations,
      valueBytes: one.valueBytes,
      durability: one.durability,
      operationsPerSecond: operations / seconds,
      operationsPerSecondUntilIdle: operations / used.seconds,
      mebibytesPerSecondUntilIdle: (operations * one.valueBytes) / mib / used.seconds,
      ...used,
      ...(latency === undefined ? {} : { latencyUs: latency }),
      peakResidentBytes: peakBytes,
      openMs,
      reopenMs,
      memtableBytes: options.memtableBytes!,
      cacheBytes: options.cacheBytes!,
      valueCacheBytes: options.valueCacheBytes ?? Math.floor(options.cacheBytes! / 4),
      levels: stats.levels.map(({ bytes, tables }) => ({ tables, bytes })),
      diskBytes: stats.disk.total,
      blockCache: { hits: stats.blockCache.hits, misses: stats.blockCache.misses },
      writeAmplification: stats.writeAmplification,
      stalls: stats.stalls,
      commits: stats.commits,
      flushes: stats.flushes.count,
      compactions: stats.compactions.count,
      system: { node: process.version, arch: arch(), cpus: cpus().length, load: loadavg()[0]! }
    }
  })
