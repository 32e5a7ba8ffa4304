/** What a worker thread of `WorkersThreads` runs: jobs over the real file system. It loads nothing of Effect, so that a thread is ready in a few milliseconds. */
import { parentPort, workerData } from "node:worker_threads"
import { nodeDisk } from "../../layers/disk/nodeDisk.ts"
import { serveJobs } from "../../layers/jobs/serveJobs.ts"
import { startJob } from "../../layers/jobs/startJob.ts"

if (parentPort === null) throw new Error("this module is the entry of a worker thread; it does nothing on its own")
serveJobs(parentPort, workerData, nodeDisk, startJob)
