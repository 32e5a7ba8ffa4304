import type { WorkOptions, WorkProgress } from "../../services/WorkProgress.ts"

/** How far a task is, for the task itself. */
export class WorkCounter {
  done = 0
  total = 0

  /** Tells who asked for the work where to look. */
  start(options: WorkOptions | undefined): void {
    const progress: WorkProgress = { bytes: () => this.done, bytesTotal: () => this.total }
    options?.onStart?.(progress)
  }
}
