import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import { type Claim, claimOf, type CompactionPlan, type MergePlan, type MovePlan, type DropPlan, splitMerge } from "../domain/compaction/CompactionPlan.ts"
import type { JobResult } from "../domain/compaction/JobSpec.ts"
import { defaultPickerOptions, pickCompaction, pickManual, type PickerState } from "../domain/compaction/picker.ts"
import { DatabaseClosed, DatabasePoisoned, fromFailure, type MaintenanceError } from "../domain/errors.ts"
import { Damage, IoFailure } from "../domain/failures.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import type { TableMeta } from "../domain/manifest/TableMeta.ts"
import { Catalog } from "../services/Catalog.ts"
import { type CompactionRange, Compactor } from "../services/Compactor.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest, type ManifestError } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { Tables } from "../services/Tables.ts"
import { TransactionManager } from "../services/TransactionManager.ts"
import { type JobError, WorkerDied, Workers } from "../services/Workers.ts"
import { historyFrom, horizonsOf, outputPolicy } from "./jobs/jobInputs.ts"
import { jobRetries } from "./jobs/jobRetries.ts"
import { levelsOf } from "./tables/levelsOf.ts"

/** A merge with fewer input bytes than this is not worth being cut into several. */
const splitBytesMin = 32 << 20

const bytesOf = (tables: ReadonlyArray<TableMeta>): number => tables.reduce((sum, table) => sum + table.fileBytes, 0)

const condition = "compaction"

const make = Effect.gen(function*() {
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const manifest = yield* Manifest
  const tables = yield* Tables
  const catalog = yield* Catalog
  const transactions = yield* TransactionManager
  const workers = yield* Workers
  const { directory } = yield* Recovery

  const parallel = Math.max(1, options.compactionWorkers)
  const pickerOptions = {
    ...defaultPickerOptions,
    levelZeroTables: options.level0CompactTrigger,
    baseLevelBytes: options.levelBytesBase,
    levelFactor: options.levelBytesFactor,
    grandparentBytesMax: options.tableBytes * 10
  }
  const stats = { count: 0, running: 0, trivialMoves: 0, bytesRead: 0, bytesWritten: 0 }
  /** What running jobs hold, and what a damaged input has taken out of service. */
  let claims: ReadonlyArray<Claim> = []
  let quarantined: ReadonlyArray<Claim> = []
  let listeners: Array<() => void> = []
  let closing = false
  const jobs = yield* FiberSet.make<void, never>()
  const run = yield* FiberSet.runtime(jobs)<never>()

  const jobEnded = Effect.callback<void>((resume) => {
    listeners.push(() => resume(Effect.void))
  })

  const pickerState = (state: ManifestState): PickerState<TableMeta> => ({
    levels: levelsOf(state),
    valueFiles: [...state.valueFiles.values()],
    snapshots: transactions.stripes(),
    horizons: horizonsOf(catalog),
    running: [...claims, ...quarantined]
  })

  const mergePart = (plan: MergePlan<TableMeta>, range: ReturnType<typeof splitMerge>[number] | undefined, snapshots: ReadonlyArray<number>) =>
    Effect.suspend(() => {
      let bytes = 0
      for (const input of plan.inputs) bytes += bytesOf(input.tables)
      for (const file of plan.rewriteValueFiles) bytes += file.fileBytes
      const outputs = 16 + 2 * Math.ceil(bytes / options.tableBytes) + plan.inputs.reduce((sum, input) => sum + input.tables.length, 0) + plan.grandparents.length
      return Effect.flatMap(manifest.takeFileIds(outputs), (outputIds) =>
        workers.compact(directory, {
          inputs: plan.inputs,
          targetLevel: plan.targetLevel,
          range,
          deeper: plan.deeper.map(({ largest, smallest }) => ({ largest, smallest })),
          grandparents: plan.grandparents.map(({ fileBytes, largest, smallest }) => ({ fileBytes, largest, smallest })),
          rewriteValueFiles: plan.rewriteValueFiles,
          snapshots,
          horizons: horizonsOf(catalog),
          nowMs: clock.nowMs(),
          lingering: tables.lingering(),
          outputIds,
          policy: outputPolicy(options, manifest.state())
        }))
    })

  const merge = (plan: MergePlan<TableMeta>) =>
    Effect.gen(function*() {
      const snapshots = transactions.stripes()
      const inputs = plan.inputs.flatMap((input) => input.tables)
      const ranges = parallel > 1 && bytesOf(inputs) >= splitBytesMin ? splitMerge(plan, parallel) : [undefined]
      const results: ReadonlyArray<JobResult> = yield* Effect.forEach(ranges, (range) => mergePart(plan, range, snapshots), { concurrency: ranges.length }).pipe(
        jobRetries(health, condition)
      )
      yield* manifest.commit((state) => ({
        removeTables: inputs.map((table) => table.fileId),
        addTables: results.flatMap((result) => result.tables),
        addValueFiles: results.flatMap((result) => result.valueFiles),
        historyFrom: historyFrom(state, inputs, snapshots[0]!, catalog)
      }), (state) => tables.install(state))
      stats.count++
      for (const result of results) {
        stats.bytesRead += result.stats.bytesRead
        stats.bytesWritten += result.stats.bytesWritten
      }
    })

  const move = (plan: MovePlan<TableMeta>) =>
    Effect.gen(function*() {
      yield* manifest.commit(() => ({
        removeTables: plan.tables.map((table) => table.fileId),
        addTables: plan.tables.map((table) => ({ ...table, level: plan.targetLevel }))
      }), (state) => tables.install(state))
      stats.trivialMoves++
    })

  const drop = (plan: DropPlan<TableMeta>) =>
    manifest.commit(() => ({
      removeTables: plan.tables.map(({ table }) => table.fileId),
      removeValueFiles: plan.valueFiles.map((file) => file.fileId)
    }), (state) => tables.install(state))

  const perform = (plan: CompactionPlan<TableMeta>): Effect.Effect<void, JobError | ManifestError> =>
    plan.type === "merge" ? merge(plan) : plan.type === "move" ? move(plan) : drop(plan)

  /** Holds the plan's claim while it runs. Damage takes its inputs out of service: reads still answer, with the error where the damage is. */
  const claimed = (plan: CompactionPlan<TableMeta>): Effect.Effect<void, JobError | ManifestError> => {
    const claim = claimOf(plan)
    claims = [...claims, claim]
    stats.running++
    return perform(plan).pipe(
      Effect.tapError((error) => Effect.sync(() => {
        if (!(error instanceof Damage)) return
        quarantined = [...quarantined, claim]
        health.degrade(`compaction of ${error.file}`, error.message)
      })),
      Effect.ensuring(Effect.sync(() => {
        claims = claims.filter((other) => other !== claim)
        stats.running--
        const told = listeners
        listeners = []
        for (const listener of told) listener()
        transactions.roomChanged()
        nudge()
      }))
    )
  }

  const nudge = () => {
    while (!closing && claims.length < parallel && health.refusal() === undefined) {
      const plan = pickCompaction(pickerState(manifest.state()), pickerOptions)
      if (plan === undefined) return
      run(claimed(plan).pipe(
        Effect.tapCause((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logWarning("a compaction failed", cause)),
        Effect.ignore,
        Effect.catchDefect((defect) => Effect.sync(() => health.degrade(condition, `compaction died: ${String(defect)}`)))
      ))
    }
  }

  const publicError = (error: JobError | ManifestError): MaintenanceError => {
    if (error instanceof IoFailure || error instanceof Damage) return fromFailure(error)
    if (error instanceof WorkerDied) return new DatabasePoisoned({ detail: error.detail })
    return error
  }

  yield* Effect.addFinalizer(() => Effect.sync(() => {
    closing = true
  }))

  const compact = (range: CompactionRange): Effect.Effect<void, MaintenanceError> =>
    Effect.suspend(() => {
      if (closing) return Effect.fail(new DatabaseClosed({}))
      const refusal = health.refusal()
      if (refusal !== undefined) return Effect.fail(refusal)
      const keyRange = range.keyspace === undefined ? {} : {
        from: { keyspace: range.keyspace, key: range.lower ?? new Uint8Array(0) },
        to: range.upper === undefined ? { keyspace: range.keyspace + 1, key: new Uint8Array(0) } : { keyspace: range.keyspace, key: range.upper }
      }
      const plan = pickManual(pickerState(manifest.state()), keyRange, pickerOptions)
      if (plan === undefined) return Effect.void
      if (plan === "busy") return claims.length === 0 ? Effect.void : Effect.andThen(jobEnded, compact(range))
      return Effect.mapError(claimed(plan), publicError)
    })

  const idle: Effect.Effect<void, MaintenanceError> = Effect.suspend(() => {
    nudge()
    if (claims.length === 0 || closing) return Effect.void
    return Effect.andThen(jobEnded, idle)
  })

  return Compactor.of({ nudge, compact, idle, stats: () => ({ ...stats }) })
})

export const layer: Layer.Layer<
  Compactor,
  never,
  EngineClock | EngineOptions | HealthMonitor | Manifest | Tables | Catalog | TransactionManager | Workers | Recovery
> = Layer.effect(Compactor, make)
