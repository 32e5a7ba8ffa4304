/** A worker entry that does real jobs, and dies of each one while a file named `die` lies beside the database. */
import { existsSync } from "node:fs"
import { nodeDisk } from "../../../src/layers/disk/nodeDisk.ts"
import { serveJobs } from "../../../src/layers/jobs/serveJobs.ts"
import { startJob } from "../../../src/layers/jobs/startJob.ts"
import { threadPort } from "../../../src/layers/jobs/threadPort.ts"

const { port, start } = threadPort()
serveJobs(
  {
    ...port,
    onRequest: (listener) =>
      port.onRequest((request) => {
        if (existsSync(`${request.directory}/../die`)) process.exit(3)
        listener(request)
      })
  },
  start,
  nodeDisk,
  startJob
)
