/**
 * What plain synchronous code throws: no Schema, no Effect, so that the worker entry can load it. `layers` turns these into the public classes of `errors.ts`.
 */

/** A system call failed. `code` is the system's name for it ("EIO", "ENOSPC", …). */
export class IoFailure extends Error {
  readonly _tag = "IoFailure"
  readonly operation: string
  readonly path: string
  readonly code: string
  constructor(operation: string, path: string, code: string, message = `${operation} ${path}: ${code}`) {
    super(message)
    this.operation = operation
    this.path = path
    this.code = code
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
