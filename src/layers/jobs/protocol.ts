/**
 * What the main thread and a worker say to each other. Everything is plain data; memtables and flags are shared memory. No Effect here: the worker
 * entry loads it.
 *
 * ```
 *   main                                      worker
 *   new Worker ─────────────────────────────► loads the entry
 *   ◄──────────────────────────────── "ready"
 *   JobRequest ─────────────────────────────► compaction: read, merge, write, … pause …
 *   JobRequest (a flush) + hurry ───────────►   at a pause: hurry is set, so take the flush, run it to its end, go on
 *   ◄─────────────── "done" or "failed" of each, by id
 *   cancel = 1 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►   before the next request: outputs are removed, "failed" with "cancelled"
 * ```
 *
 * A job is posted only to a worker that is ready. So one that never became ready has begun nothing, and its job can be run elsewhere.
 */
import type { CompactionSpec, FlushSpec, JobResult } from "../../domain/compaction/JobSpec.ts"
import { Damage, type DamageReason, IoFailure } from "../../domain/failures.ts"
import { JobCancelled } from "./JobRun.ts"

export type Job = { readonly kind: "flush"; readonly spec: FlushSpec } | { readonly kind: "compact"; readonly spec: CompactionSpec }

export interface JobRequest {
  readonly id: number
  readonly directory: string
  readonly job: Job
  /** One word, set to 1 by the main thread when nobody wants the result any more. */
  readonly cancel: Int32Array
  /** Counted in the worker's `hurry`: taken at the next pause of what is running. */
  readonly hurries: boolean
  /** One word: how many bytes the job has read so far, for whoever shows it. */
  readonly bytesRead?: BigInt64Array | undefined
}

/** Handed to a worker at its start. */
export interface WorkerStart {
  /** One word: how many requests wait that may overtake what is running. */
  readonly hurry: Int32Array
}

export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly id: number; readonly result: JobResult }
  | { readonly type: "failed"; readonly id: number; readonly failure: PostedFailure }

/** Errors lose their class and their fields on the way between threads, so these travel as data. */
export type PostedFailure =
  | {
      readonly type: "io"
      readonly operation: string
      readonly path: string
      readonly code: string
      readonly message: string
      readonly offsetBytes: number | undefined
    }
  | { readonly type: "damage"; readonly file: string; readonly offsetBytes: number; readonly reason: DamageReason; readonly detail: string }
  | { readonly type: "cancelled" }
  | { readonly type: "defect"; readonly message: string; readonly stack: string | undefined }

export const toPosted = (cause: unknown): PostedFailure => {
  if (cause instanceof IoFailure)
    return { type: "io", operation: cause.operation, path: cause.path, code: cause.code, message: cause.message, offsetBytes: cause.offsetBytes }
  if (cause instanceof Damage) return { type: "damage", file: cause.file, offsetBytes: cause.offsetBytes, reason: cause.reason, detail: cause.detail }
  if (cause instanceof JobCancelled) return { type: "cancelled" }
  return cause instanceof Error
    ? { type: "defect", message: cause.message, stack: cause.stack }
    : { type: "defect", message: String(cause), stack: undefined }
}

/** The failure as the class it was; a defect as an `Error` with the stack it had. */
export const fromPosted = (failure: PostedFailure): IoFailure | Damage | JobCancelled | Error => {
  switch (failure.type) {
    case "io":
      return new IoFailure(failure.operation, failure.path, failure.code, failure.message, failure.offsetBytes)
    case "damage":
      return new Damage(failure.file, failure.offsetBytes, failure.reason, failure.detail)
    case "cancelled":
      return new JobCancelled()
    case "defect": {
      const error = new Error(failure.message)
      if (failure.stack !== undefined) error.stack = failure.stack
      return error
    }
  }
}
