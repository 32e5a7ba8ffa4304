import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import type { WorkerStart } from "./protocol.ts"
import type { JobPort } from "./serveJobs.ts"

/** This worker thread's line to the thread that started it, and what it was started with. No Effect here: the worker entry loads it. */
export const threadPort = (): { readonly port: JobPort; readonly start: WorkerStart } => {
  const port = parentPort
  if (port === null) throw new Error("jobs are served in a worker thread; this is the main one")
  return {
    port: {
      postMessage: (message) => port.postMessage(message),
      onRequest: (listener) => void port.on("message", listener),
      takeRequest: () => receiveMessageOnPort(port)?.message
    },
    start: workerData
  }
}
