/**
 * What a worker thread of `WorkersThreads` runs: jobs over the real file system. It loads nothing of Effect, which would cost more than all the
 * rest.
 */
import { nodeDisk } from "../../layers/disk/nodeDisk.ts"
import { serveJobs } from "../../layers/jobs/serveJobs.ts"
import { startJob } from "../../layers/jobs/startJob.ts"
import { threadPort } from "../../layers/jobs/threadPort.ts"

const { port, start } = threadPort()
serveJobs(port, start, nodeDisk, startJob)
