import type { JobResult } from "../../domain/compaction/JobSpec.ts"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { compactViews } from "./compactViews.ts"
import { JobFiles } from "./JobFiles.ts"
import { runToEnd } from "./JobRun.ts"
import { type Job, type JobRequest, toPosted, type WorkerMessage, type WorkerStart } from "./protocol.ts"

/** The worker's end of the line to the main thread. */
export interface JobPort {
  readonly postMessage: (message: WorkerMessage) => void
  /** Called with each request, when nothing else runs. */
  readonly onRequest: (listener: (request: JobRequest) => void) => void
  /** The next request, if one has arrived. */
  readonly takeRequest: () => JobRequest | undefined
}

/**
 * The worker's side: runs each job it is sent to its end, on this thread. A job that hurries is run within the running one, at its next pause: a
 * writer that waits for a flush must not wait for a whole compaction. No Effect here: the worker entry loads it.
 */
export const serveJobs = (port: JobPort, { hurry }: WorkerStart, disk: SyncDisk, start: (job: Job) => StepMachine<JobResult>): void => {
  const overtake = (): void => {
    while (Atomics.load(hurry, 0) > 0) {
      const request = port.takeRequest()
      if (request === undefined) return
      serve(request)
    }
  }
  const serve = ({ bytesRead, cancel, directory, hurries, id, job }: JobRequest): void => {
    if (hurries) Atomics.sub(hurry, 0, 1)
    try {
      const result = runToEnd(start(job), new JobFiles(disk, directory, bytesRead), {
        cancelled: () => Atomics.load(cancel, 0) !== 0,
        onPause: overtake
      })
      port.postMessage({ type: "done", id, result: compactViews(result) })
    } catch (cause) {
      port.postMessage({ type: "failed", id, failure: toPosted(cause) })
    }
  }
  port.onRequest(serve)
  port.postMessage({ type: "ready" })
}
