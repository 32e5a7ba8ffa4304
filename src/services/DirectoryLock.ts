/**
 * The promise that one writer at a time has a database directory. Plain values without Effect: `LockFailure` becomes a public error at the
 * boundary of the engine.
 */
export interface DirectoryLock {
  readonly directory: string
  /** False once the lock was released, or the file that carries it is no longer the one at its path (somebody removed or replaced it). */
  readonly stillHeld: () => boolean
  /** Gives the lock back; a second call does nothing. */
  readonly release: () => void
}

/** Somebody else holds the directory. `heldByPid` comes from a note the holder left, and is for the message only. */
export class LockFailure extends Error {
  readonly _tag = "LockFailure"
  readonly path: string
  readonly heldByPid: number | undefined
  constructor(path: string, heldByPid: number | undefined) {
    super(`${path} is locked${heldByPid === undefined ? "" : ` by process ${heldByPid}`}`)
    this.path = path
    this.heldByPid = heldByPid
  }
}
