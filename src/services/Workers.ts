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
import type { CompactionSpec, FlushSpec, JobResult } from "../domain/compaction/JobSpec.ts"

/** The thread that ran the job ended before it answered. The job's outputs are orphans; run it again as a new job. */
export class WorkerDied extends Data.TaggedError("WorkerDied")<{ readonly detail: string }> {}

export type JobError = IoFailure | Damage | WorkerDied

export class Workers extends Context.Service<
  Workers,
  {
    readonly flush: (directory: string, spec: FlushSpec) => Effect.Effect<JobResult, JobError>
    /** `bytesRead`, one word of shared memory, counts what the job has read so far, for whoever wants to see how far it is. */
    readonly compact: (directory: string, spec: CompactionSpec, bytesRead?: BigInt64Array) => Effect.Effect<JobResult, JobError>
    /** How many jobs run at the same time. */
    readonly parallelism: number
  }
>()("lightning-db/services/Workers") {}
