/** How far a long task is. It is told nothing by a clock: whoever shows it reads it when it likes. */
export interface WorkProgress {
  /** Bytes done so far. */
  readonly bytes: () => number
  /** Bytes there are to do; may grow while more of the work is found. 0 while that is not known. */
  readonly bytesTotal: () => number
}

export interface WorkOptions {
  /** Called once, when the work begins; what it is handed can be read until the work ends. */
  readonly onStart?: ((progress: WorkProgress) => void) | undefined
}
