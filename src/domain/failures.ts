/**
 * What plain synchronous code throws: no Schema, no Effect, so that the worker entry can load it. `layers` turns these into the public classes of `errors.ts`.
 */

/** A system call failed. `code` is the system's name for it ("EIO", "ENOSPC", …). */
export class IoFailure extends Error {
  readonly _tag = "IoFailure"
  readonly operation: string
  readonly path: string
  readonly code: string
  /** Where in the file it was to read or write. */
  readonly offsetBytes: number | undefined
  /** The call was not made: what it goes to is left alone for so long, after failures. */
  readonly retryAfterMs: number | undefined
  constructor(
    operation: string,
    path: string,
    code: string,
    message = `${operation} ${path}: ${code}`,
    offsetBytes: number | undefined = undefined,
    retryAfterMs: number | undefined = undefined
  ) {
    super(message)
    this.operation = operation
    this.path = path
    this.code = code
    this.offsetBytes = offsetBytes
    this.retryAfterMs = retryAfterMs
  }

  /** The same, with the place in the file where it is not known yet. */
  at(offsetBytes: number): IoFailure {
    return this.offsetBytes === undefined ? new IoFailure(this.operation, this.path, this.code, this.message, offsetBytes, this.retryAfterMs) : this
  }
}

export type DamageReason = "BadMagic" | "ChecksumMismatch" | "Truncated" | "UnsupportedVersion" | "Malformed" | "Missing" | "Unexpected"

/** Stored bytes are not what was written. `file` is the path, `offsetBytes` where the damaged unit starts. */
export class Damage extends Error {
  readonly _tag = "Damage"
  readonly file: string
  readonly offsetBytes: number
  readonly reason: DamageReason
  readonly detail: string
  constructor(file: string, offsetBytes: number, reason: DamageReason, detail = "") {
    super(`${file} is damaged at byte ${offsetBytes}: ${reason}${detail === "" ? "" : ` (${detail})`}`)
    this.file = file
    this.offsetBytes = offsetBytes
    this.reason = reason
    this.detail = detail
  }
}
