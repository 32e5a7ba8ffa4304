/**
 * Runs the step machines of flush and compaction off the reader's way: on worker threads over the real file system, or in slices on this thread over `Disk`.
 *
 * Promises: when a job's Effect succeeds, every output file is datasynced and the directory synced. When it fails or is interrupted, outputs are orphans that nothing names.
 * A job is never retried by itself: a repeated job is a new job with new output ids.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Damage, IoFailure } from "../domain/failures.ts"
import type { BreakerSource } from "./Breakers.ts"
import type { CompactionSpec, FlushSpec, JobResult } from "../domain/compaction/JobSpec.ts"

/** The thread that ran the job ended before it answered. The job's outputs are orphans; run it again as a new job. */
export class WorkerDied extends Data.TaggedError("WorkerDied")<{ readonly detail: string }> {}

export type JobError = IoFailure | Damage | WorkerDied

export class Workers extends Context.Service<
  Workers,
  {
    /** `progress`, shared memory: the bytes that the job has read so far and, in a second word where there is one, the requests it has made: for whoever wants to see that it gets on. */
    readonly flush: (directory: string, spec: FlushSpec, progress?: BigInt64Array) => Effect.Effect<JobResult, JobError>
    readonly compact: (directory: string, spec: CompactionSpec, progress?: BigInt64Array) => Effect.Effect<JobResult, JobError>
    /** Of the threads, where there are some: while it is open, jobs run on this one. */
    readonly breaker?: BreakerSource | undefined
    /** How many jobs run at the same time. */
    readonly parallelism: number
  }
>()("lightning-db/services/Workers") {}
