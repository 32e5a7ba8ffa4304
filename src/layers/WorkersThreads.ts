/**
 * Runs jobs on worker threads, beside this one. Where a thread cannot see the disk (memory, simulated, faulty ones), where none is wanted or none can
 * be had, the same jobs run in process.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobResult } from "../domain/compaction/JobSpec.ts"
import { Disk } from "../services/Disk.ts"
import { type JobError, WorkerDied, Workers } from "../services/Workers.ts"
import type { Job } from "./jobs/protocol.ts"
import { type JobOutcome, WorkerThreads, type WorkerThreadsOptions } from "./jobs/WorkerThreads.ts"
import * as InProcess from "./WorkersInProcess.ts"

/** The service over `threads`. The disk is the one the threads see; jobs that no thread takes run on it, here. */
export const make = (threads: WorkerThreads, parallelism: number, disk: Disk["Service"]): Workers["Service"] => {
  const settle = (directory: string, job: Job, outcome: JobOutcome, bytesRead: BigInt64Array | undefined): Effect.Effect<JobResult, JobError> => {
    switch (outcome.type) {
      case "done":
        return Effect.succeed(outcome.result)
      case "failed":
        return Effect.fail(outcome.failure)
      case "died":
        return Effect.fail(new WorkerDied({ detail: outcome.detail }))
      case "defect":
        return Effect.die(outcome.cause)
      // Who cancelled by interruption does not look at this any more: it was the layer, which is closing.
      case "cancelled":
        return Effect.fail(new WorkerDied({ detail: "the workers are shut down" }))
      case "refused": {
        const run = InProcess.runInProcess(disk, directory, job, bytesRead)
        return outcome.warning === undefined
          ? run
          : Effect.andThen(Effect.logWarning(`${outcome.warning}; flush and compaction run on the main thread, in slices`), run)
      }
    }
  }
  const run = (directory: string, job: Job, bytesRead?: BigInt64Array): Effect.Effect<JobResult, JobError> =>
    Effect.callback((resume) => {
      let ended = false
      let whenEnded = (): void => {}
      const whenDone = (outcome: JobOutcome) => {
        ended = true
        whenEnded()
        resume(settle(directory, job, outcome, bytesRead))
      }
      const cancel = threads.submit(directory, job, whenDone, bytesRead)
      // Interruption waits: until the job has ended it may still create files, and its inputs must not be unlinked.
      return Effect.callback<void>((resumeInterrupt) => {
        whenEnded = () => resumeInterrupt(Effect.void)
        if (ended) whenEnded()
        else cancel()
      })
    })
  return {
    parallelism,
    breaker: threads.source,
    flush: (directory, spec, progress) => run(directory, { kind: "flush", spec }, progress),
    compact: (directory, spec, bytesRead) => run(directory, { kind: "compact", spec }, bytesRead)
  }
}

/**
 * Threads are started when first needed, and all have ended when the layer's scope has closed.
 *
 * **Details** `entry` is the module to run in a thread; it is handed in, because only the runtime knows where it lies. With `count` 0, or on a disk that threads cannot
 * see, no thread is ever started. An entry that cannot be loaded is noticed at the first job, which then runs in process, with one warning in the
 * log.
 */
export const layer = (options: WorkerThreadsOptions): Layer.Layer<Workers, never, Disk> =>
  Layer.effect(
    Workers,
    Effect.gen(function* () {
      const disk = yield* Disk
      const clock = yield* Clock.Clock
      if (!disk.sharedWithWorkers || options.count === 0) return InProcess.make(disk)
      const threads = yield* Effect.acquireRelease(
        Effect.sync(() => new WorkerThreads({ monotonicMs: () => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000, ...options })),
        (threads) => Effect.promise(() => threads.close())
      )
      return make(threads, options.count, disk)
    })
  )
