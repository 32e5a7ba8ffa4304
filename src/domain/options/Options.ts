/**
 * The options of opening a database: their types, defaults, ranges, and the check that reports every problem at once.
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidOptions } from "../errors.ts"
import { type BreakerOption, type BreakerSettings, readBreaker, readRetry, type RetryOption, type RetrySettings } from "./faultOptions.ts"
import { didYouMean } from "./didYouMean.ts"
import { historyExpects, type HistoryKept, type HistoryOption, readHistory } from "./historyOption.ts"
import { readDuration } from "./readDuration.ts"
import { readScrub, type ScrubOption, type ScrubSettings } from "./scrubOption.ts"
import { show } from "./show.ts"

const kib = 1024
const mib = 1024 * kib
const gib = 1024 * mib

/** What an acknowledged write is worth: on stable storage, or handed to the operating system (survives a killed process, not a power cut). */
export type Durability = "sync" | "buffered"

/** How table blocks and values are stored. */
export type Compression = "none" | "lz4"

/** Options of opening. All but `path` have defaults. Sizes are bytes. */
export interface Options {
  /** Directory of the database; made by a writable open where it is missing. */
  readonly path: string
  /** What an acknowledged write is worth, where the write itself does not say. Default "sync". */
  readonly durability?: Durability | undefined
  /** Opens beside a live writer: takes no lock and writes nothing. Default false. */
  readonly readOnly?: boolean | undefined
  /**
   * Opens what can be read of a damaged database, for reading only, after reading all of it; `db.salvage` says exactly what is lost. Nothing may write to it meanwhile. Default false.
   */
  readonly salvage?: boolean | undefined
  /** Size at which a memtable is flushed to tables. Default 16 MiB; 64 KiB to 1 GiB. */
  readonly memtableBytes?: number | undefined
  /** Memtables held at most, the one being filled included; writers wait for a flush when all are full. Default 3; 2 to 16. */
  readonly writeBufferCount?: number | undefined
  /** Memory for cached blocks and values together. Default 64 MiB; 0 to 64 GiB. */
  readonly cacheBytes?: number | undefined
  /** The part of `cacheBytes` that caches values by key. Default a quarter of `cacheBytes`; 0 to `cacheBytes`. */
  readonly valueCacheBytes?: number | undefined
  /** Table files held open at once, with their indexes in memory. A read-only open holds all files open, and so many indexes. Default 1,000; 16 to 100,000. */
  readonly maxOpenTables?: number | undefined
  /** Size of a table block before compression. Default 2 KiB; 512 to 32 KiB. Small blocks favour single reads, large ones scans and compression. */
  readonly blockBytes?: number | undefined
  /** Size at which a compaction starts the next table. Default 32 MiB; 64 KiB to 1 GiB. */
  readonly tableBytes?: number | undefined
  /** How table blocks and separated values are compressed; what does not shrink is stored plain. Default "lz4". */
  readonly compression?: Compression | undefined
  /** Values of at least this size are kept apart from their keys, in value files. Default 1 KiB; 64 to 1 GiB. */
  readonly valueThresholdBytes?: number | undefined
  /** Largest value accepted. Default 64 MiB; 1 KiB to 1 GiB. */
  readonly valueBytesMax?: number | undefined
  /** Largest batch accepted, keys and values together. Default 256 MiB, or `valueBytesMax` where that is more; 64 KiB to 1 GiB, and at least `valueBytesMax`. */
  readonly batchBytesMax?: number | undefined
  /** Size of a log segment. Default 64 MiB; 64 KiB to 1 GiB. */
  readonly walSegmentBytes?: number | undefined
  /**
   * Room that is kept ready for the end of the log and the manifest, as a file. Where the disk is full it is given up, and writes that do not free space are refused until there is
   * room for it again. Default 4 MiB; 0 (none) to 1 GiB.
   */
  readonly reserveBytes?: number | undefined
  /** Threads that flush and compact; 0 does that work on the main thread, in slices. Default 1; 0 to 16. */
  readonly compactionWorkers?: number | undefined
  /** Tables in level 0 from which they are compacted. Default 4; 1 to 1,000. */
  readonly level0CompactTrigger?: number | undefined
  /** Tables in level 0 from which writers are slowed. Default 8; at least `level0CompactTrigger`, up to 1,000. */
  readonly level0SlowTrigger?: number | undefined
  /** Tables in level 0 from which writers wait. Default 16; at least `level0SlowTrigger`, up to 1,000. */
  readonly level0StopTrigger?: number | undefined
  /** Size of level 1. Default 64 MiB; 64 KiB to 1 TiB. */
  readonly levelBytesBase?: number | undefined
  /** How many times larger each level is than the one above. Default 10; 2 to 100. */
  readonly levelBytesFactor?: number | undefined
  /** What is kept of the past. Default: what recovery needs, and no history. */
  readonly retention?: Retention | undefined
  /** Memory kept only to validate open transactions; older ones then fail with `TransactionTooOld`. Default 64 MiB; 1 MiB to 1 GiB. */
  readonly validationBytes?: number | undefined
  /** Snapshots, scans and transactions open at once, and, counted for themselves, streams of changes and watchers; one more fails with `TooManySnapshots`. Default 10,000; 1 to 1,000,000. */
  readonly maxTransactions?: number | undefined
  /**
   * Memory for everything the engine holds: memtables, caches, indexes of open tables, the log that is not written yet, jobs. As it runs short caches shrink first, then writers are
   * slowed, and at last writes fail with `WriteStalled`. Default: no budget over all, each part keeps its own; 1 MiB to 1 TiB, at least twice `memtableBytes` × `writeBufferCount`.
   */
  readonly memoryBytes?: number | undefined
  /** Writes that wait for room at once; one more fails with `TooManyWrites`. Default 100,000; 1 to 10,000,000. */
  readonly maxPendingWrites?: number | undefined
  /**
   * How long anything waits for something that does not come: a write for room (`WriteStalled`), a commit for its sync (`CommitOutcomeUnknown`), `flush`, `compact`, `checkpoint` and
   * `verify` for any progress (`WorkStalled`). Default 1 minute; 10 ms to 365 days, or "unlimited". A number is milliseconds.
   */
  readonly waitTimeout?: Duration.Input | "unlimited" | undefined
  /** How long one step of an actor may take before `health` names it. Default 10 seconds; 10 ms to 365 days, or "unlimited". A number is milliseconds. */
  readonly watchdog?: Duration.Input | "unlimited" | undefined
  /** How long a snapshot stays readable; afterwards its reads fail with `SnapshotExpired`. Default 10 minutes; 1 ms to 365 days. A number is milliseconds. */
  readonly snapshotLease?: Duration.Input | undefined
  /** How faults that may pass are tried again: `{ attempts, firstDelay, maxDelay, factor, jitter }`. Default: 5 attempts, 10 ms doubling to 10 seconds, a fifth of jitter. */
  readonly retry?: RetryOption | undefined
  /** When a file or the worker threads are left alone after failures, and for how long: `{ failureThreshold, successThreshold, openFor }`. Default: 3, 1, 1 second. */
  readonly breaker?: BreakerOption | undefined
  /** Reads and checks the whole database in the background, every so often and no faster than that: `{ every, bytesPerSecond }`. Default: only when `scrub` is called. */
  readonly scrub?: ScrubOption | undefined
  /** The directory of the restore points; on the same file system they are hard links. Default: `path` and `.checkpoints`. */
  readonly checkpoints?: string | undefined
}

/** How far back the past is kept. Durations may be numbers of milliseconds. */
export interface Retention {
  /** For `at` and `history`: older versions stay readable for so long. `{ versions: n }`, for `history` only: the newest n of each key. Default 0. */
  readonly history?: HistoryOption | undefined
  /** For `changes`: log segments that recovery no longer needs are kept for so long after the last commit in them. Default 0. */
  readonly log?: Duration.Input | "unlimited" | undefined
  /** How much of the log named cursors and slow readers may pin together. Default 1 GiB. */
  readonly cursorBytes?: number | undefined
  /** For `changes`: whether the log keeps with each operation the value it replaced; for keyspaces that do not say it themselves, and the default one. Default false. */
  readonly beforeImages?: boolean | undefined
}

/** For `layerConfig`: `Options` with each option, or all of them, read from configuration. */
export type ConfigOf = Config.Wrap<Options>

/** Options for a database in memory: it has no place on disk. */
export type MemoryOptions = Omit<Options, "path" | "readOnly" | "salvage">

/** Options with every default filled in, checked. */
export interface ResolvedOptions {
  readonly path: string
  readonly durability: Durability
  readonly readOnly: boolean
  readonly salvage: boolean
  readonly memtableBytes: number
  readonly writeBufferCount: number
  readonly cacheBytes: number
  readonly valueCacheBytes: number
  readonly maxOpenTables: number
  readonly blockBytes: number
  readonly tableBytes: number
  readonly compression: Compression
  readonly valueThresholdBytes: number
  readonly valueBytesMax: number
  readonly batchBytesMax: number
  readonly walSegmentBytes: number
  readonly reserveBytes: number
  readonly compactionWorkers: number
  readonly level0CompactTrigger: number
  readonly level0SlowTrigger: number
  readonly level0StopTrigger: number
  readonly levelBytesBase: number
  readonly levelBytesFactor: number
  readonly maxTransactions: number
  readonly snapshotLeaseMs: number
  /** `Infinity` for "unlimited". */
  readonly retention: HistoryKept & { readonly logMs: number; readonly cursorBytes: number; readonly beforeImages: boolean }
  readonly validationBytes: number
  /** `Infinity`: no budget over all. */
  readonly memoryBytes: number
  readonly maxPendingWrites: number
  /** `Infinity` for "unlimited", as for `watchdogMs`. */
  readonly waitTimeoutMs: number
  readonly watchdogMs: number
  readonly retry: RetrySettings
  readonly breaker: BreakerSettings
  readonly scrub: ScrubSettings | undefined
  /** Undefined: beside the database. */
  readonly checkpoints: string | undefined
}

interface Spec<A> {
  readonly accepts: (value: unknown) => value is A
  readonly expects: string
  /** Undefined where the option has no constant default. */
  readonly default: A | undefined
}

const spec = <A>(schema: Schema.Schema<A>, expects: string, fallback: A | undefined): Spec<A> => ({
  accepts: Schema.is(schema),
  expects,
  default: fallback
})

const integer = (minimum: number, maximum: number, fallback: number | undefined): Spec<number> =>
  spec(Schema.Int.check(Schema.isBetween({ minimum, maximum })), `a whole number from ${minimum} to ${maximum}`, fallback)

const oneOf = <const A extends ReadonlyArray<string>>(literals: A, fallback: A[number]): Spec<A[number]> =>
  spec(Schema.Literals(literals), `one of ${literals.map((literal) => JSON.stringify(literal)).join(", ")}`, fallback)

const leaseMsMax = Duration.toMillis(Duration.days(365))

const duration = 'a duration (a number of milliseconds, "5 minutes", a Duration)'

/** The problems of `retention`, and what it says where it has none. */
const readRetention = (given: unknown): { readonly problems: ReadonlyArray<string>; readonly retention: ResolvedOptions["retention"] } => {
  const problems: Array<string> = []
  let kept: HistoryKept = { historyMs: 0, historyVersions: undefined }
  const retention = { logMs: 0, cursorBytes: gib, beforeImages: false }
  if (given === undefined) return { problems, retention: { ...kept, ...retention } }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return { problems: [`retention must be an object such as { history: "1 day" }, found ${show(given)}`], retention: { ...kept, ...retention } }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (name === "history") {
      const history = readHistory(value)
      if (history === undefined) problems.push(`retention.history must be ${historyExpects}, found ${show(value)}`)
      else kept = history
    } else if (name === "log") {
      const ms = value === "unlimited" ? Infinity : readDuration(value)
      if (ms >= 0) retention.logMs = ms
      else problems.push(`retention.log must be ${duration}, or "unlimited", found ${show(value)}`)
    } else if (name === "cursorBytes") {
      if (typeof value === "number" && Number.isInteger(value) && value >= mib && value <= 1024 * gib) retention.cursorBytes = value
      else problems.push(`retention.cursorBytes must be a whole number from ${mib} to ${1024 * gib}, found ${show(value)}`)
    } else if (name === "beforeImages") {
      if (typeof value === "boolean") retention.beforeImages = value
      else problems.push(`retention.beforeImages must be true or false, found ${show(value)}`)
    } else problems.push(`"retention.${name}" is not an option; the options are history, log, cursorBytes, beforeImages`)
  }
  return { problems, retention: { ...kept, ...retention } }
}

const isLease = Schema.makeFilter((input: unknown) => {
  const ms = readDuration(input)
  return ms >= 1 && ms <= leaseMsMax
})

/** For a clock that may be switched off. */
const patience = (fallbackMs: number) =>
  spec(
    Schema.Unknown.check(
      Schema.makeFilter((input: unknown) => {
        const ms = readDuration(input)
        return input === "unlimited" || (ms >= 10 && ms <= leaseMsMax)
      })
    ),
    'a duration from 10 milliseconds to 365 days (a number of milliseconds, "5 minutes", a Duration), or "unlimited"',
    fallbackMs as unknown
  )

const patienceMs = (given: unknown): number => (given === "unlimited" ? Infinity : readDuration(given))

const isPath = Schema.NonEmptyString.check(Schema.makeFilter((path: string) => !path.includes("\0")))

/** Every option: what it accepts, the words for that, and its default. */
export const optionSpecs = {
  path: spec(isPath, "a path as a string, not empty", undefined),
  durability: oneOf(["sync", "buffered"], "sync"),
  readOnly: spec(Schema.Boolean, "true or false", false),
  salvage: spec(Schema.Boolean, "true or false", false),
  memtableBytes: integer(64 * kib, gib, 16 * mib),
  writeBufferCount: integer(2, 16, 3),
  cacheBytes: integer(0, 64 * gib, 64 * mib),
  valueCacheBytes: integer(0, 64 * gib, undefined),
  maxOpenTables: integer(16, 100_000, 1000),
  blockBytes: integer(512, 32 * kib, 2 * kib),
  tableBytes: integer(64 * kib, gib, 32 * mib),
  compression: oneOf(["none", "lz4"], "lz4"),
  valueThresholdBytes: integer(64, gib, kib),
  valueBytesMax: integer(kib, gib, 64 * mib),
  batchBytesMax: integer(64 * kib, gib, 256 * mib),
  walSegmentBytes: integer(64 * kib, gib, 64 * mib),
  reserveBytes: integer(0, gib, 4 * mib),
  compactionWorkers: integer(0, 16, 1),
  level0CompactTrigger: integer(1, 1000, 4),
  level0SlowTrigger: integer(1, 1000, 8),
  level0StopTrigger: integer(1, 1000, 16),
  levelBytesBase: integer(64 * kib, 1024 * gib, 64 * mib),
  levelBytesFactor: integer(2, 100, 10),
  maxTransactions: integer(1, 1_000_000, 10_000),
  retention: spec(Schema.Unknown, 'an object such as { history: "1 day" }', undefined as unknown),
  validationBytes: integer(mib, gib, 64 * mib),
  memoryBytes: integer(mib, 1024 * gib, undefined),
  maxPendingWrites: integer(1, 10_000_000, 100_000),
  waitTimeout: patience(60_000),
  watchdog: patience(10_000),
  snapshotLease: spec(
    Schema.Unknown.check(isLease),
    'a duration from 1 millisecond to 365 days (a number of milliseconds, "5 minutes", a Duration)',
    600_000 as unknown
  ),
  retry: spec(Schema.Unknown, "an object such as { attempts: 5 }", undefined as unknown),
  breaker: spec(Schema.Unknown, "an object such as { failureThreshold: 3 }", undefined as unknown),
  scrub: spec(Schema.Unknown, 'an object such as { every: "7 days" }', undefined as unknown),
  checkpoints: spec(isPath, "a path as a string, not empty", undefined)
} satisfies { readonly [K in keyof Options]-?: Spec<unknown> | Spec<Exclude<Options[K], undefined>> }

const optionNames = Object.keys(optionSpecs)

type SizeOption = { readonly [K in keyof ResolvedOptions]: ResolvedOptions[K] extends number ? K : never }[keyof ResolvedOptions]

/** Checks options and fills in defaults. All problems are reported at once. An option that is `undefined` counts as absent. */
export const resolveOptions = (input: unknown): Result.Result<ResolvedOptions, InvalidOptions> => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return Result.fail(new InvalidOptions({ problems: [`options must be an object such as { path: "./data" }, found ${show(input)}`] }))
  }
  const given: Record<string, unknown> = { ...input }
  const problems: Array<string> = []
  const refused = new Set<string>()
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(optionSpecs, name)) continue
    const meant = didYouMean(name, optionNames)
    problems.push(
      `${JSON.stringify(name)} is not an option${meant === undefined ? `; the options are ${optionNames.join(", ")}` : `; did you mean ${meant}?`}`
    )
  }
  const read = <A>(name: keyof Options, one: Spec<A>, fallback: A): A => {
    const value = given[name]
    if (value === undefined) return fallback
    if (one.accepts(value)) return value
    refused.add(name)
    problems.push(`${name} must be ${one.expects}, found ${show(value)}`)
    return fallback
  }
  if (given["path"] === undefined) problems.push("path is missing: name the directory of the database")
  const at = optionSpecs
  const cacheBytes = read("cacheBytes", at.cacheBytes, at.cacheBytes.default!)
  const memoryBytes = read("memoryBytes", at.memoryBytes, Infinity)
  // Of a budget a batch takes a quarter, unless it is said.
  const batchShare = Math.floor(memoryBytes / 4)
  const valueBytesMax = read("valueBytesMax", at.valueBytesMax, Math.min(at.valueBytesMax.default!, batchShare))
  const kept = readRetention(given["retention"])
  problems.push(...kept.problems)
  const retry = readRetry(given["retry"])
  const breaker = readBreaker(given["breaker"])
  const scrub = readScrub(given["scrub"])
  problems.push(...retry.problems, ...breaker.problems, ...scrub.problems)
  const resolved: ResolvedOptions = {
    path: read("path", at.path, ""),
    durability: read("durability", at.durability, at.durability.default!),
    readOnly: read("readOnly", at.readOnly, read("salvage", at.salvage, at.salvage.default!)),
    salvage: given["salvage"] === true,
    memtableBytes: read("memtableBytes", at.memtableBytes, at.memtableBytes.default!),
    writeBufferCount: read("writeBufferCount", at.writeBufferCount, at.writeBufferCount.default!),
    cacheBytes,
    valueCacheBytes: read("valueCacheBytes", at.valueCacheBytes, Math.floor(cacheBytes / 4)),
    maxOpenTables: read("maxOpenTables", at.maxOpenTables, at.maxOpenTables.default!),
    blockBytes: read("blockBytes", at.blockBytes, at.blockBytes.default!),
    tableBytes: read("tableBytes", at.tableBytes, at.tableBytes.default!),
    compression: read("compression", at.compression, at.compression.default!),
    valueThresholdBytes: read("valueThresholdBytes", at.valueThresholdBytes, at.valueThresholdBytes.default!),
    valueBytesMax,
    batchBytesMax: read("batchBytesMax", at.batchBytesMax, Math.max(Math.min(at.batchBytesMax.default!, batchShare), valueBytesMax)),
    walSegmentBytes: read("walSegmentBytes", at.walSegmentBytes, at.walSegmentBytes.default!),
    reserveBytes: read("reserveBytes", at.reserveBytes, at.reserveBytes.default!),
    compactionWorkers: read("compactionWorkers", at.compactionWorkers, at.compactionWorkers.default!),
    level0CompactTrigger: read("level0CompactTrigger", at.level0CompactTrigger, at.level0CompactTrigger.default!),
    level0SlowTrigger: read("level0SlowTrigger", at.level0SlowTrigger, at.level0SlowTrigger.default!),
    level0StopTrigger: read("level0StopTrigger", at.level0StopTrigger, at.level0StopTrigger.default!),
    levelBytesBase: read("levelBytesBase", at.levelBytesBase, at.levelBytesBase.default!),
    levelBytesFactor: read("levelBytesFactor", at.levelBytesFactor, at.levelBytesFactor.default!),
    maxTransactions: read("maxTransactions", at.maxTransactions, at.maxTransactions.default!),
    retention: kept.retention,
    validationBytes: read("validationBytes", at.validationBytes, at.validationBytes.default!),
    memoryBytes,
    maxPendingWrites: read("maxPendingWrites", at.maxPendingWrites, at.maxPendingWrites.default!),
    waitTimeoutMs: patienceMs(read("waitTimeout", at.waitTimeout, at.waitTimeout.default)),
    watchdogMs: patienceMs(read("watchdog", at.watchdog, at.watchdog.default)),
    snapshotLeaseMs: readDuration(read("snapshotLease", at.snapshotLease, at.snapshotLease.default)),
    retry: retry.settings,
    breaker: breaker.settings,
    scrub: scrub.settings,
    checkpoints: read<string | undefined>("checkpoints", at.checkpoints, undefined)
  }
  const atMost = (small: SizeOption, large: SizeOption): void => {
    // A default that stands in for a refused option says nothing about what the caller meant.
    if (!refused.has(small) && !refused.has(large) && resolved[small] > resolved[large])
      problems.push(`${small} (${resolved[small]}) must not be above ${large} (${resolved[large]})`)
  }
  if (given["salvage"] === true && given["readOnly"] === false)
    problems.push("salvage opens for reading only: leave out readOnly: false, or repair the database to write to it")
  atMost("valueCacheBytes", "cacheBytes")
  atMost("valueBytesMax", "batchBytesMax")
  atMost("level0CompactTrigger", "level0SlowTrigger")
  atMost("level0SlowTrigger", "level0StopTrigger")
  const { memtableBytes, writeBufferCount } = resolved
  if (!refused.has("batchBytesMax") && resolved.batchBytesMax > memoryBytes / 2)
    problems.push(`batchBytesMax (${resolved.batchBytesMax}) must not be above half of memoryBytes (${memoryBytes})`)
  if (!refused.has("memtableBytes") && !refused.has("writeBufferCount") && memoryBytes < 2 * memtableBytes * writeBufferCount)
    problems.push(
      `memoryBytes (${memoryBytes}) must be at least twice memtableBytes × writeBufferCount (${2 * memtableBytes * writeBufferCount}): what memtables take with their indexes, and everything else`
    )
  return problems.length === 0 ? Result.succeed(resolved) : Result.fail(new InvalidOptions({ problems }))
}
