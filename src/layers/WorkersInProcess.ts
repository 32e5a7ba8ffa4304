/** Runs jobs on this thread, in slices: between two of them the event loop turns. For memory and simulated disks, and where threads cannot be had. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobResult } from "../domain/compaction/JobSpec.ts"
import { Damage, IoFailure } from "../domain/failures.ts"
import { Disk } from "../services/Disk.ts"
import { type JobError, Workers } from "../services/Workers.ts"
import { JobFiles } from "./jobs/JobFiles.ts"
import { JobRun } from "./jobs/JobRun.ts"
import type { Job } from "./jobs/protocol.ts"
import { startJob } from "./jobs/startJob.ts"

/** How many requests are served between two turns of the event loop, unless the machine itself asks for a pause. */
const requestsPerSlice = 16

/** Runs the job here. Interruption takes effect between two slices; the outputs are removed then, as after a failure. */
export const runInProcess = (disk: Disk["Service"], directory: string, job: Job, bytesRead?: BigInt64Array): Effect.Effect<JobResult, JobError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new JobRun(startJob(job), new JobFiles(disk.sync, directory, bytesRead))),
    (run) => {
      const slice = Effect.suspend((): Effect.Effect<boolean, JobError> => {
        try {
          for (let served = 0; served < requestsPerSlice; served++) {
            const progress = run.advance()
            if (progress === "done") return Effect.succeed(true)
            if (progress === "pause") break
          }
          return Effect.succeed(false)
        } catch (cause) {
          return cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause)
        }
      })
      const turn: Effect.Effect<JobResult, JobError> = Effect.flatMap(slice, (isDone) =>
        isDone ? Effect.sync(() => run.result) : Effect.andThen(Effect.yieldNow, turn)
      )
      return turn
    },
    (run) => Effect.sync(() => run.close())
  )

export const make = (disk: Disk["Service"]): Workers["Service"] => ({
  parallelism: 1,
  flush: (directory, spec, progress) => runInProcess(disk, directory, { kind: "flush", spec }, progress),
  compact: (directory, spec, bytesRead) => runInProcess(disk, directory, { kind: "compact", spec }, bytesRead)
})

export const layer: Layer.Layer<Workers, never, Disk> = Layer.effect(Workers, Effect.map(Disk, make))
