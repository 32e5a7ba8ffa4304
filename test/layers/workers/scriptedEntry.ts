/** A worker entry whose jobs do what the first output id says, not what the spec says; their answer tells by which thread. */
import { threadId } from "node:worker_threads"
import type { JobResult } from "../../../src/domain/compaction/JobSpec.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import { nodeDisk } from "../../../src/layers/disk/nodeDisk.ts"
import type { Job } from "../../../src/layers/jobs/protocol.ts"
import { serveJobs } from "../../../src/layers/jobs/serveJobs.ts"
import { threadPort } from "../../../src/layers/jobs/threadPort.ts"
import { Script } from "./Script.ts"

let flushes = 0

const answer = (): JobResult => ({
  tables: [],
  valueFiles: [],
  stats: { bytesRead: 0, bytesWritten: 0, entriesRead: threadId, entriesWritten: 0, sequencesElided: 0, valuesMoved: 0 }
})

function* run({ kind, spec }: Job): StepMachine<JobResult> {
  const before = flushes
  switch (spec.outputIds[0]) {
    case Script.exit:
      process.exit(3)
    case Script.crash:
      // Outside of the job: nothing catches it.
      queueMicrotask(() => {
        throw new Error("the thread crashed")
      })
      break
    case Script.untilCancelled:
      yield { step: "create", kind: "table", fileId: spec.outputIds[1]! }
      for (;;) yield { step: "pause" }
    case Script.untilFlush:
      while (flushes === before) yield { step: "pause" }
  }
  if (kind === "flush") flushes++
  return answer()
}

const { port, start } = threadPort()
serveJobs(port, start, nodeDisk, run)
