import type { StepMachine } from "../../domain/steps.ts"
import type { JobFiles } from "./JobFiles.ts"

/** Thrown into a machine that is cancelled. */
export class JobCancelled extends Error {
  constructor() {
    super("the job was cancelled")
  }
}

/** What a request was: at a pause the driver may do something else before it goes on. */
export type Progress = "served" | "pause" | "done"

/**
 * A step machine over files, request by request: the one driver of jobs, in a worker and on the main thread alike. No Effect here: the worker entry
 * loads it.
 *
 * **Gotchas** `close` must follow, whatever happened: it gives the files back and, unless the job is done, removes its outputs.
 */
export class JobRun<A> {
  readonly #machine: StepMachine<A>
  readonly #files: JobFiles
  #answer: Uint8Array | undefined
  #thrown: { readonly cause: unknown } | undefined
  #done: { readonly result: A } | undefined

  constructor(machine: StepMachine<A>, files: JobFiles) {
    this.#machine = machine
    this.#files = files
  }

  /** Serves the machine's next request. What the machine does not catch (`IoFailure`, `Damage`, `JobCancelled`) is thrown, and the run is over. */
  advance(): Progress {
    const thrown = this.#thrown
    const answer = this.#answer
    this.#thrown = this.#answer = undefined
    const step = this.#step(thrown, answer)
    if (step.done) {
      this.#files.syncDirectory()
      this.#done = { result: step.value }
      return "done"
    }
    try {
      this.#answer = this.#files.perform(step.value)
    } catch (cause) {
      this.#thrown = { cause }
    }
    return step.value.step === "pause" ? "pause" : "served"
  }

  #step(thrown: { readonly cause: unknown } | undefined, answer: Uint8Array | undefined) {
    try {
      return thrown === undefined ? this.#machine.next(answer) : this.#machine.throw(thrown.cause)
    } catch (cause) {
      throw this.#files.located(cause)
    }
  }

  /** The machine's next request is answered with `JobCancelled`. */
  cancel(): void {
    this.#thrown = { cause: new JobCancelled() }
  }

  /** Once `advance` has said "done". */
  get result(): A {
    if (this.#done === undefined) throw new Error("the job is not done")
    return this.#done.result
  }

  close(): void {
    this.#files.close(this.#done === undefined)
  }
}

export interface RunHooks {
  /** Asked before each request is served. */
  readonly cancelled: () => boolean
  /** Called at each pause. */
  readonly onPause: () => void
}

/** Runs a machine to its end on this thread. */
export const runToEnd = <A>(machine: StepMachine<A>, files: JobFiles, hooks: RunHooks): A => {
  const run = new JobRun(machine, files)
  try {
    for (;;) {
      const progress = run.advance()
      if (progress === "done") return run.result
      if (progress === "pause") hooks.onPause()
      if (hooks.cancelled()) run.cancel()
    }
  } finally {
    run.close()
  }
}
