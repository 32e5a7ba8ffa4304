import { Worker } from "node:worker_threads"
import { CircuitBreaker, doubling } from "../../domain/breaker/CircuitBreaker.ts"
import type { JobResult } from "../../domain/compaction/JobSpec.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { breakerDefaults, type BreakerSettings } from "../../domain/options/faultOptions.ts"
import type { BreakerSource } from "../../services/Breakers.ts"
import { compactViews } from "./compactViews.ts"
import { JobCancelled } from "./JobRun.ts"
import { fromPosted, type Job, type JobRequest, type WorkerMessage, type WorkerStart } from "./protocol.ts"

/** How a job ended. */
export type JobOutcome =
  | { readonly type: "done"; readonly result: JobResult }
  | { readonly type: "failed"; readonly failure: IoFailure | Damage }
  | { readonly type: "cancelled" }
  /** The thread ended before it answered; the outputs are orphans. */
  | { readonly type: "died"; readonly detail: string }
  /** A broken rule of ours, in the job. */
  | { readonly type: "defect"; readonly cause: unknown }
  /** No thread will take the job, and nothing of it was begun: run it elsewhere. `warning` is set the first time for each reason. */
  | { readonly type: "refused"; readonly warning: string | undefined }

export interface WorkerThreadsOptions {
  /** The module that serves the jobs (`serveJobs`). */
  readonly entry: URL
  /** Threads at most; each is started when there is a job for it. */
  readonly count: number
  /** After so many deaths in a row jobs are refused for a while, then one at a time is given to a thread again. */
  readonly breaker?: BreakerSettings | undefined
  /** The time that breaker goes by. Default: that of the process. */
  readonly monotonicMs?: () => number
}

interface Pending {
  readonly directory: string
  readonly job: Job
  readonly cancel: Int32Array
  readonly done: (outcome: JobOutcome) => void
  readonly bytesRead: BigInt64Array | undefined
}

interface Thread {
  readonly worker: Worker
  readonly hurry: Int32Array
  /** At most one job that was given to the idle thread, and one flush that overtakes it. */
  readonly running: Map<number, Pending>
  isReady: boolean
  error: Error | undefined
}

const sharedWord = (): Int32Array => new Int32Array(new SharedArrayBuffer(4))

/**
 * A few threads that run jobs, one each, flushes before compactions. Where all threads are taken by compactions, a flush is run inside one of them,
 * at its next pause.
 *
 * A thread holds the process only while it has a job. One that dies fails its jobs and is replaced when there is a next one. When no thread ever came
 * up (the entry is missing in a bundle, threads are forbidden), every job is refused from then on; after several deaths in a row the breaker opens, and all are for a while.
 */
export class WorkerThreads {
  readonly #entry: URL
  readonly #count: number
  readonly #deathsMax: number
  readonly #monotonicMs: () => number
  readonly source: BreakerSource
  readonly #threads = new Set<Thread>()
  readonly #flushes: Array<Pending> = []
  readonly #compactions: Array<Pending> = []
  readonly #warned = new Set<string>()
  #ids = 0
  #everReady = false
  #unusable: string | undefined
  #closing = false

  constructor(options: WorkerThreadsOptions) {
    this.#entry = options.entry
    this.#count = options.count
    const { failureThreshold, openForMs, successThreshold } = options.breaker ?? breakerDefaults
    this.#deathsMax = failureThreshold
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
    this.source = {
      breaker: new CircuitBreaker({ failureThreshold, successThreshold, openForMs: doubling(openForMs) }),
      onTransition: undefined
    }
  }

  /** How many threads there are now. */
  get threadCount(): number {
    return this.#threads.size
  }

  /**
   * Queues the job. `done` is called once, possibly before this returns. The function returned cancels: a job that waits ends at once, one that runs
   * at its next request; either way `done` says when nothing touches its files any more.
   */
  submit(directory: string, job: Job, done: (outcome: JobOutcome) => void, bytesRead?: BigInt64Array): () => void {
    if (this.#closing) {
      done({ type: "died", detail: "the workers are shut down" })
      return nothing
    }
    if (this.#unusable !== undefined) {
      done(this.#refusal(this.#unusable))
      return nothing
    }
    if (!this.#noting(undefined, (breaker) => breaker.admit(this.#monotonicMs()))) {
      done(this.#refusal(`worker threads died ${this.#deathsMax} times in a row`))
      return nothing
    }
    const pending: Pending = { directory, job, cancel: sharedWord(), done, bytesRead }
    const queue = job.kind === "flush" ? this.#flushes : this.#compactions
    queue.push(pending)
    this.#dispatch()
    return () => {
      const at = queue.indexOf(pending)
      if (at >= 0) {
        queue.splice(at, 1)
        this.source.breaker.abandoned()
        done({ type: "cancelled" })
      } else Atomics.store(pending.cancel, 0, 1)
    }
  }

  /** Cancels what runs, waits until it has ended, and ends the threads. */
  async close(): Promise<void> {
    this.#closing = true
    for (const pending of [...this.#flushes.splice(0), ...this.#compactions.splice(0)])
      pending.done({ type: "died", detail: "the workers are shut down" })
    for (const thread of this.#threads) {
      for (const pending of thread.running.values()) Atomics.store(pending.cancel, 0, 1)
    }
    await Promise.all([...this.#threads].map(endOf))
  }

  /** Does something to the breaker, and tells who watches it of a transition. */
  #noting<A>(error: unknown, run: (breaker: CircuitBreaker) => A): A {
    const { breaker } = this.source
    const from = breaker.state
    const answer = run(breaker)
    if (breaker.state !== from) this.source.onTransition?.(from, error)
    return answer
  }

  #refusal(reason: string): JobOutcome {
    if (this.#warned.has(reason)) return { type: "refused", warning: undefined }
    this.#warned.add(reason)
    return { type: "refused", warning: reason }
  }

  #dispatch(): void {
    while (this.#flushes.length + this.#compactions.length > 0) {
      const idle = this.#idleThread()
      const thread = idle ?? this.#compactingThread()
      const next = this.#flushes.length > 0 || idle === undefined ? this.#flushes : this.#compactions
      if (thread === undefined || next.length === 0) return
      this.#give(thread, next.shift()!)
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.running.size === 0) return thread
    if (this.#threads.size >= this.#count) return undefined
    try {
      return this.#start()
    } catch (cause) {
      // Threads are forbidden here, or the address is none that Node loads.
      this.#cannotStart(cause instanceof Error ? cause.message : String(cause))
      return undefined
    }
  }

  #compactingThread(): Thread | undefined {
    for (const thread of this.#threads) {
      const [only, another] = thread.running.values()
      if (only !== undefined && another === undefined && only.job.kind === "compact") return thread
    }
    return undefined
  }

  #give(thread: Thread, pending: Pending): void {
    const overtakes = thread.running.size > 0
    const id = ++this.#ids
    thread.running.set(id, pending)
    thread.worker.ref()
    if (thread.isReady) this.#post(thread, id, pending, overtakes)
  }

  #post(thread: Thread, id: number, { bytesRead, cancel, directory, job }: Pending, hurries: boolean): void {
    const request: JobRequest = { id, directory, job: compactViews(job), cancel, hurries, bytesRead }
    thread.worker.postMessage(request)
    // After the request, so that who sees the count finds the request.
    if (hurries) Atomics.add(thread.hurry, 0, 1)
  }

  #start(): Thread {
    const workerData: WorkerStart = { hurry: sharedWord() }
    const worker = new Worker(this.#entry, {
      name: "lightning-db",
      workerData,
      // Flags and variables of the host (coverage, inspectors, loaders of a test runner) are meant for its own code.
      execArgv: [],
      env: {},
      // Keys and blocks lie outside the heap; a merge keeps little else. A heap that grows beyond this is a bug that must not take the process along.
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 }
    })
    const thread: Thread = { worker, hurry: workerData.hurry, running: new Map(), isReady: false, error: undefined }
    this.#threads.add(thread)
    worker.on("message", (message: WorkerMessage) => this.#receive(thread, message))
    worker.on("error", (error) => {
      thread.error = error instanceof Error ? error : new Error(String(error))
    })
    worker.on("messageerror", (error) => {
      thread.error = error
      void worker.terminate()
    })
    worker.on("exit", (code) => this.#ended(thread, code))
    return thread
  }

  #receive(thread: Thread, message: WorkerMessage): void {
    if (message.type === "ready") {
      thread.isReady = this.#everReady = true
      let isFirst = true
      for (const [id, pending] of thread.running) {
        this.#post(thread, id, pending, !isFirst)
        isFirst = false
      }
      return
    }
    const pending = thread.running.get(message.id)!
    thread.running.delete(message.id)
    this.#noting(undefined, (breaker) => breaker.succeeded())
    if (thread.running.size === 0) thread.worker.unref()
    pending.done(message.type === "done" ? message : outcomeOf(fromPosted(message.failure)))
    this.#dispatch()
  }

  #ended(thread: Thread, code: number): void {
    this.#threads.delete(thread)
    const detail = thread.error === undefined ? `the thread exited with code ${code}` : thread.error.message
    const lost = [...thread.running.values()]
    thread.running.clear()
    if (lost.length > 0 && !this.#closing) this.#noting(new Error(`worker threads died: ${detail}`), (breaker) => breaker.failed(this.#monotonicMs()))
    for (const pending of lost) {
      // What was cancelled has its answer: nobody touches its files any more.
      if (Atomics.load(pending.cancel, 0) !== 0) pending.done({ type: "cancelled" })
      else if (thread.isReady) pending.done({ type: "died", detail })
      else pending.done(this.#refusal(this.#reasonFor(detail)))
    }
    if (thread.isReady) this.#dispatch()
    else this.#cannotStart(detail)
  }

  #reasonFor(detail: string): string {
    return `worker threads cannot be started from ${this.#entry.href} (${detail})`
  }

  /** Before the first thread came up this is for good; later it may be a shortage that passes. What waits goes elsewhere in both cases. */
  #cannotStart(detail: string): void {
    const reason = this.#reasonFor(detail)
    if (!this.#everReady) this.#unusable = reason
    for (const pending of [...this.#flushes.splice(0), ...this.#compactions.splice(0)]) pending.done(this.#refusal(reason))
  }
}

const nothing = (): void => {}

/** The thread's jobs have been answered or cancelled: it is ended once the last of them is. */
const endOf = async ({ running, worker }: Thread): Promise<void> => {
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()))
  if (running.size === 0) void worker.terminate()
  else {
    worker.on("message", () => {
      if (running.size === 0) void worker.terminate()
    })
  }
  await exited
}

const outcomeOf = (failure: IoFailure | Damage | JobCancelled | Error): JobOutcome => {
  if (failure instanceof IoFailure || failure instanceof Damage) return { type: "failed", failure }
  return failure instanceof JobCancelled ? { type: "cancelled" } : { type: "defect", cause: failure }
}
