import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import {
  type Claim,
  claimOf,
  type CompactionPlan,
  type MergePlan,
  type MovePlan,
  type DropPlan,
  splitMerge
} from "../domain/compaction/CompactionPlan.ts"
import type { JobResult } from "../domain/compaction/JobSpec.ts"
import { defaultPickerOptions, pickCompaction, pickManual, type PickerState } from "../domain/compaction/picker.ts"
import { type Horizon, StripesByKeyspace } from "../domain/compaction/stripes.ts"
import { DatabaseClosed, DiskFull, fromFailure, type FlushError, JobFailed } from "../domain/errors.ts"
import { Damage, IoFailure } from "../domain/failures.ts"
import { fileName } from "../domain/manifest/fileNames.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import type { TableMeta } from "../domain/manifest/TableMeta.ts"
import { Breakers } from "../services/Breakers.ts"
import { Catalog } from "../services/Catalog.ts"
import { type CompactionRange, Compactor } from "../services/Compactor.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest, type ManifestError } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { Retention } from "../services/Retention.ts"
import { Tables } from "../services/Tables.ts"
import { TransactionManager } from "../services/TransactionManager.ts"
import { Watchdog } from "../services/Watchdog.ts"
import type { WorkOptions } from "../services/WorkProgress.ts"
import { type JobError, WorkerDied, Workers } from "../services/Workers.ts"
import { believedTwice, misreadNotice } from "./jobs/believedTwice.ts"
import { JobCounter } from "./jobs/JobCounter.ts"
import { historyFrom, keepVersions, outputPolicy, reliedDrops } from "./jobs/jobInputs.ts"
import { jobError, makeJobRetries, type RunHow } from "./jobs/jobRetries.ts"
import { Quarantine } from "./jobs/Quarantine.ts"
import { watchedJob } from "./jobs/watchedJob.ts"
import { levelsOf } from "./tables/levelsOf.ts"

/** A merge with fewer input bytes than this is not worth being cut into several. */
const splitBytesMin = 32 << 20

const bytesOf = (tables: ReadonlyArray<TableMeta>): number => tables.reduce((sum, table) => sum + table.fileBytes, 0)

/** What a merge reads at most: of value files only what is still alive. */
const inputBytes = (plan: MergePlan<TableMeta>): number =>
  plan.inputs.reduce((sum, input) => sum + bytesOf(input.tables), 0) + plan.rewriteValueFiles.reduce((sum, file) => sum + file.fileBytes, 0)

const condition = "compaction"
const picking = "picker of compactions"

const make = Effect.gen(function* () {
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const breakers = yield* Breakers
  const manifest = yield* Manifest
  const tables = yield* Tables
  const catalog = yield* Catalog
  const retention = yield* Retention
  const transactions = yield* TransactionManager
  const workers = yield* Workers
  const watchdog = yield* Watchdog
  const { directory } = yield* Recovery

  if (workers.breaker !== undefined) breakers.adopt("worker threads", "flush and compaction run on the main thread", workers.breaker)
  const parallel = Math.max(1, options.compactionWorkers)
  const pickerOptions = {
    ...defaultPickerOptions,
    levelZeroTables: options.level0CompactTrigger,
    // Writers are slowed from there on: then it is time, whatever it costs.
    levelZeroTablesMax: options.level0SlowTrigger,
    baseLevelBytes: options.levelBytesBase,
    levelFactor: options.levelBytesFactor,
    grandparentBytesMax: options.tableBytes * 10
  }
  const stats = { count: 0, running: 0, trivialMoves: 0, bytesRead: 0, bytesWritten: 0 }
  /** What running jobs hold. */
  let claims: ReadonlyArray<Claim> = []
  const quarantine = new Quarantine(health, condition, directory)
  let listeners: Array<(answer: Effect.Effect<void, FlushError>) => void> = []
  /** Counts the ends of jobs: one between a look and the wait that follows is not missed. */
  let jobsEnded = 0
  /** Callers of `compact` that wait for running jobs: no new ones are begun before them, or they would wait for ever. */
  let manualWaiting = 0
  /** The oldest sequence anyone could read when the last look found only work that snapshots keep from being done; undefined where there was none. */
  let heldAt: number | undefined
  let closing = false
  const jobs = yield* FiberSet.make<void, never>()
  const run = yield* FiberSet.runtime(jobs)<never>()

  const tell = (answer: Effect.Effect<void, FlushError>) => {
    const told = listeners
    listeners = []
    for (const listener of told) listener(answer)
  }
  // Who waits for a job whose failure lasts would wait in vain; the job itself goes on being tried.
  const retries = makeJobRetries({ health, breakers, retry: options.retry }, condition, (error) => tell(Effect.fail(jobError("compaction", error))))

  /** The next end of a job after the one with this number. Fails where a job goes on failing. */
  const jobEndedAfter = (seen: number) =>
    Effect.callback<void, FlushError>((resume) => {
      if (jobsEnded !== seen) return resume(Effect.void)
      listeners.push(resume)
      retries.hurry()
    })

  const pickerState = (state: ManifestState, snapshots: ReadonlyArray<number>): PickerState<TableMeta> => ({
    levels: levelsOf(state),
    valueFiles: [...state.valueFiles.values()],
    snapshots,
    horizons: retention.horizons(snapshots[snapshots.length - 1]!),
    running: [...claims, ...quarantine.claims()]
  })

  const mergePart = (
    plan: MergePlan<TableMeta>,
    range: ReturnType<typeof splitMerge>[number] | undefined,
    snapshots: ReadonlyArray<number>,
    horizons: ReadonlyArray<Horizon>,
    counter: JobCounter | undefined
  ) =>
    Effect.suspend(() => {
      const bytes = inputBytes(plan)
      const outputs =
        16 + 2 * Math.ceil(bytes / options.tableBytes) + plan.inputs.reduce((sum, input) => sum + input.tables.length, 0) + plan.grandparents.length
      return Effect.flatMap(manifest.takeFileIds(outputs), (outputIds) => {
        const spec = {
          inputs: plan.inputs,
          targetLevel: plan.targetLevel,
          range,
          deeper: plan.deeper.map(({ largest, smallest }) => ({ largest, smallest })),
          grandparents: plan.grandparents.map(({ fileBytes, largest, smallest }) => ({ fileBytes, largest, smallest })),
          rewriteValueFiles: plan.rewriteValueFiles,
          snapshots,
          horizons,
          nowMs: clock.nowMs(),
          lingering: tables.lingering(),
          outputIds,
          policy: outputPolicy(options, manifest.state())
        }
        const what = `its merge into level ${plan.targetLevel} that begins with`
        const file = `${directory}/${fileName("table", outputIds[0]!)}`
        return watchedJob(watchdog, "compaction", what, file, (progress) => workers.compact(directory, spec, progress), counter?.word())
      })
    })

  /** An edit that is refused for want of space is tried again, as a job is. */
  const committed = (...edit: Parameters<typeof manifest.commit>) => retries.run(manifest.commit(...edit))

  const merge = (plan: MergePlan<TableMeta>, how: RunHow, counter?: JobCounter) =>
    Effect.gen(function* () {
      const snapshots = transactions.stripes()
      const inputs = plan.inputs.flatMap((input) => input.tables)
      // Repeated, the job keeps what it was to keep at first: that never grows.
      const history = retention.begin(snapshots[snapshots.length - 1]!, inputs)
      const ranges = parallel > 1 && bytesOf(inputs) >= splitBytesMin ? splitMerge(plan, parallel) : [undefined]
      const parts = Effect.suspend(() => {
        counter?.restart()
        return Effect.forEach(ranges, (range) => mergePart(plan, range, snapshots, history.horizons, counter), { concurrency: ranges.length })
      })
      const results: ReadonlyArray<JobResult> = yield* believedTwice(retries.run(parts, how), (damage) =>
        health.report({ ...misreadNotice("a compaction", damage), error: fromFailure(damage) })
      )
      yield* committed(
        (state) => ({
          removeTables: inputs.map((table) => table.fileId),
          addTables: results.flatMap((result) => result.tables),
          addValueFiles: results.flatMap((result) => result.valueFiles),
          historyFrom: historyFrom(state, history, inputs, catalog),
          keepVersions: keepVersions(state, history, inputs),
          dropKeyspaces: reliedDrops(state, history, snapshots[snapshots.length - 1]!, state.flushedThrough.sequence)
        }),
        (state) => tables.install(state)
      )
      stats.count++
      for (const result of results) {
        stats.bytesRead += result.stats.bytesRead
        stats.bytesWritten += result.stats.bytesWritten
      }
    })

  const move = (plan: MovePlan<TableMeta>) =>
    Effect.gen(function* () {
      yield* committed(
        () => ({
          removeTables: plan.tables.map((table) => table.fileId),
          addTables: plan.tables.map((table) => ({ ...table, level: plan.targetLevel }))
        }),
        (state) => tables.install(state)
      )
      stats.trivialMoves++
    })

  const drop = (plan: DropPlan<TableMeta>) =>
    committed(
      (state) => {
        // Since the plan was made, somebody may have begun to read the past. Who comes later is told that it is gone.
        const snapshots = transactions.stripes()
        const history = retention.begin(
          snapshots[snapshots.length - 1]!,
          plan.tables.map(({ table }) => table)
        )
        const stripes = new StripesByKeyspace(snapshots, history.horizons)
        const dropped = plan.tables.filter(({ table }) => stripes.of(table.smallest.keyspace).isDropped).map(({ table }) => table)
        if (dropped.length + plan.valueFiles.length === 0) return undefined
        return {
          removeTables: dropped.map((table) => table.fileId),
          removeValueFiles: plan.valueFiles.map((file) => file.fileId),
          historyFrom: historyFrom(state, history, dropped, catalog),
          keepVersions: keepVersions(state, history, dropped),
          dropKeyspaces: reliedDrops(state, history, snapshots[snapshots.length - 1]!, state.flushedThrough.sequence)
        }
      },
      (state) => tables.install(state)
    )

  const perform = (plan: CompactionPlan<TableMeta>, how: RunHow, counter?: JobCounter): Effect.Effect<void, JobError | ManifestError> =>
    plan.type === "merge" ? merge(plan, { ...how, repeatsDefects: true }, counter) : plan.type === "move" ? move(plan) : drop(plan)

  const take = (plan: CompactionPlan<TableMeta>): Claim => {
    const claim = claimOf(plan)
    claims = [...claims, claim]
    stats.running++
    return claim
  }

  /**
   * Runs the plan and gives its claim back. What cannot be compacted (damage, a bug) is taken out of service, or the next look would find the same plan and fail again,
   * for ever; reads still answer, with the error where the damage is.
   */
  const claimed = (plan: CompactionPlan<TableMeta>, claim: Claim, how: RunHow, counter?: JobCounter): Effect.Effect<void, JobError | ManifestError> =>
    Effect.onExit(perform(plan, how, counter), (exit) =>
      Effect.sync(() => {
        const cause = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? Cause.squash(exit.cause) : undefined
        // What may pass is the caller's to try again.
        const mayPass = cause instanceof IoFailure || cause instanceof WorkerDied || cause instanceof DiskFull
        if (cause !== undefined && !mayPass && health.refusal() === undefined) {
          const detail = cause instanceof Error ? cause.message : String(cause)
          quarantine.add(
            claim,
            cause,
            cause instanceof Damage ? fromFailure(cause) : new JobFailed({ work: "compaction", quarantined: true, detail, cause })
          )
        }
        claims = claims.filter((other) => other !== claim)
        stats.running--
        jobsEnded++
        tell(Effect.void)
        transactions.roomChanged()
        nudge()
      })
    )

  /** Called in the course of what others do: a picker that dies must not take the flusher or a reader along. The next look tries again. */
  const nudge = () => {
    try {
      pick()
      health.heal(picking)
    } catch (cause) {
      health.degrade(picking, `compactions cannot be picked: ${cause instanceof Error ? cause.message : String(cause)}`)
      health.report({ type: "restarted", resource: "picker of compactions", deaths: 1, error: cause })
    }
  }

  const pick = () => {
    heldAt = undefined
    quarantine.review(manifest.state(), catalog.exists)
    while (!closing && manualWaiting === 0 && claims.length < parallel && health.refusal() === undefined) {
      const snapshots = transactions.stripes()
      const plan = pickCompaction(pickerState(manifest.state(), snapshots), pickerOptions)
      if (plan === undefined) {
        // Would there be something to do, were it not for the snapshots? Then their end is worth another look.
        if (snapshots.length > 1 && pickCompaction(pickerState(manifest.state(), snapshots.slice(-1)), pickerOptions) !== undefined)
          heldAt = snapshots[0]!
        return
      }
      run(
        claimed(plan, take(plan), {}).pipe(
          Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logWarning("a compaction failed", cause))),
          Effect.ignoreCause
        )
      )
    }
  }
  transactions.onRelease((sequence) => {
    // Most that end are younger than what holds anything back: nothing is looked through for those.
    if (heldAt !== undefined && sequence <= heldAt && transactions.stripes()[0]! > heldAt) nudge()
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closing = true
    })
  )
  health.onFailed(
    Effect.suspend(() => {
      closing = true
      return FiberSet.clear(jobs)
    })
  )

  /** One try: the plan is picked and claimed in the step that begins it, which nothing may come between. */
  const compactNow = (range: CompactionRange, options: WorkOptions | undefined): Effect.Effect<"done" | "busy", FlushError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (closing) return Effect.fail(health.closed() ?? new DatabaseClosed({}))
        const refusal = health.refusal()
        if (refusal !== undefined) return Effect.fail(refusal)
        const keyRange =
          range.keyspace === undefined
            ? {}
            : {
                from: { keyspace: range.keyspace, key: range.lower ?? new Uint8Array(0) },
                to:
                  range.upper === undefined
                    ? { keyspace: range.keyspace + 1, key: new Uint8Array(0) }
                    : { keyspace: range.keyspace, key: range.upper }
              }
        const plan = pickManual(pickerState(manifest.state(), transactions.stripes()), keyRange, pickerOptions)
        if (plan === undefined) return Effect.succeed("done" as const)
        if (plan !== "busy") {
          const counter = options?.onStart === undefined ? undefined : new JobCounter()
          if (counter !== undefined) {
            counter.bytesTotal = plan.type === "merge" ? inputBytes(plan) : 0
            options?.onStart?.({ bytes: () => counter.bytes(), bytesTotal: () => counter.bytesTotal })
          }
          return Effect.as(
            Effect.mapError(restore(claimed(plan, take(plan), { untilTold: true }, counter)), (error) => jobError("compaction", error)),
            "done" as const
          )
        }
        if (claims.length > 0) return Effect.succeed("busy" as const)
        // Nothing runs: what stands in the way has failed before, and would again.
        const found = quarantine.error()
        return found === undefined ? Effect.succeed("done" as const) : Effect.fail(found)
      })
    )

  const compactWhenFree = (range: CompactionRange, options: WorkOptions | undefined): Effect.Effect<void, FlushError> =>
    Effect.suspend(() => {
      const seen = jobsEnded
      return Effect.flatMap(compactNow(range, options), (answer) =>
        answer === "done" ? Effect.void : Effect.andThen(jobEndedAfter(seen), compactWhenFree(range, options))
      )
    })

  /** Ends when every job has that runs now, or one goes on failing. */
  const settled: Effect.Effect<void> = Effect.suspend(() => {
    const running = claims
    const wait: Effect.Effect<void, FlushError> = Effect.suspend(() => {
      const seen = jobsEnded
      return running.some((claim) => claims.includes(claim)) ? Effect.andThen(jobEndedAfter(seen), wait) : Effect.void
    })
    return Effect.ignore(wait)
  })

  const compact = (range: CompactionRange, options?: WorkOptions): Effect.Effect<void, FlushError> =>
    Effect.acquireUseRelease(
      Effect.sync(() => manualWaiting++),
      () => compactWhenFree(range, options),
      () =>
        Effect.sync(() => {
          manualWaiting--
          nudge()
        })
    ).pipe(
      // What the outputs made superfluous is let go of by jobs of its own, which are quick.
      Effect.andThen(settled)
    )

  const idle: Effect.Effect<void, FlushError> = Effect.suspend(() => {
    nudge()
    const seen = jobsEnded
    if (claims.length === 0 || closing) return Effect.void
    return Effect.andThen(jobEndedAfter(seen), idle)
  })

  return Compactor.of({ nudge, compact, idle, stats: () => ({ ...stats }) })
})

export const layer: Layer.Layer<
  Compactor,
  never,
  | Breakers
  | EngineClock
  | EngineOptions
  | HealthMonitor
  | Manifest
  | Tables
  | Catalog
  | Retention
  | TransactionManager
  | Watchdog
  | Workers
  | Recovery
> = Layer.effect(Compactor, make)
