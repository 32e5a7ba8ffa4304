/** Errors of disks, files and directories. */
import * as Schema from "effect/Schema"
import { because, Cause, Count, Text } from "./parts.ts"

/** Stored bytes are not what was written. Reading again gives the same answer: restore the file from a checkpoint, or repair the database. */
export class CorruptFile extends Schema.TaggedError<CorruptFile>("lightning-db/CorruptFile")("CorruptFile", {
  file: Schema.String,
  /** Where the damaged unit starts. */
  offsetBytes: Schema.Finite,
  reason: Schema.Literals(["BadMagic", "ChecksumMismatch", "Truncated", "UnsupportedVersion", "Malformed", "Missing", "Unexpected"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.file} is damaged at byte ${this.offsetBytes}: ${this.reason}${because(this.detail)}. Keep a copy of the directory, then restore this database from a checkpoint or backup.`
  }
}

/** The operating system refused an operation. `code` is its name for the fault: remove the cause and try again. */
export class DiskError extends Schema.TaggedError<DiskError>("lightning-db/DiskError")("DiskError", {
  operation: Schema.String,
  path: Schema.String,
  code: Schema.String,
  /** Where in the file, for reads and writes. */
  offsetBytes: Count,
  /** Reading failed so often that the file is left alone for so long: this call was not made. `code` is that of the last failure. */
  retryAfterMs: Count,
  /** What the system said. */
  cause: Cause
}) {
  override get message(): string {
    const where = this.offsetBytes === undefined ? "" : ` at byte ${this.offsetBytes}`
    if (this.retryAfterMs !== undefined)
      return (
        `${this.operation} of ${this.path}${where} was not tried: it failed with ${this.code} too often, and is suspended for another ${Math.ceil(this.retryAfterMs)} ms. ` +
        "Other files are read as ever. Check the disk, then try again."
      )
    return `${this.operation} of ${this.path}${where} failed with ${this.code}. Check the disk and the path, then try again.`
  }
}

/** No space, or no quota, is left. Free some and try again. */
export class DiskFull extends Schema.TaggedError<DiskFull>("lightning-db/DiskFull")("DiskFull", {
  path: Schema.String,
  code: Schema.String,
  /** Where in the file, for writes. */
  offsetBytes: Count,
  /** What the system said. */
  cause: Cause
}) {
  override get message(): string {
    const where = this.offsetBytes === undefined ? "" : ` at byte ${this.offsetBytes}`
    return `No space is left for ${this.path}${where} (${this.code}). Nothing of the refused operation is kept. Free space or raise the quota, then try again: an open database takes deletes meanwhile, and all writes by itself once there is room.`
  }
}

/** The process may not do this to the path. Correct owner, mode or mount, or open with `readOnly`. */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>("lightning-db/PermissionDenied")("PermissionDenied", {
  operation: Schema.String,
  path: Schema.String,
  code: Schema.String,
  /** Where in the file, for reads and writes. */
  offsetBytes: Count,
  /** What the system said. */
  cause: Cause
}) {
  override get message(): string {
    const where = this.offsetBytes === undefined ? "" : ` at byte ${this.offsetBytes}`
    return `${this.operation} of ${this.path}${where} is not permitted (${this.code}). Give this user access to the path, or open with readOnly: true where reading is enough.`
  }
}

/** The directory holds no database. Check the path; a new database is only made in an empty or missing directory, by a writable open. */
export class NotADatabase extends Schema.TaggedError<NotADatabase>("lightning-db/NotADatabase")("NotADatabase", {
  path: Schema.String,
  detail: Text
}) {
  override get message(): string {
    return `${this.path} is not a database${because(this.detail)}. Check the path. A new database needs an empty or missing directory and a writable open.`
  }
}

/** The path is a file; a database is a directory. Give the path of a directory. */
export class PathIsFile extends Schema.TaggedError<PathIsFile>("lightning-db/PathIsFile")("PathIsFile", {
  path: Schema.String
}) {
  override get message(): string {
    return `${this.path} is a file, and a database is a directory. Give the path of a directory, which may be missing.`
  }
}

/** The target of a checkpoint exists already. Give a path where nothing is. */
export class PathExists extends Schema.TaggedError<PathExists>("lightning-db/PathExists")("PathExists", {
  path: Schema.String
}) {
  override get message(): string {
    return `${this.path} exists already. Give a path where nothing is, or remove it first.`
  }
}

/** The file was written by another version of the software, or needs something this build lacks. It is not damaged: open it with a version that knows it. */
export class UnsupportedFormat extends Schema.TaggedError<UnsupportedFormat>("lightning-db/UnsupportedFormat")("UnsupportedFormat", {
  file: Schema.String,
  found: Schema.String,
  supported: Schema.String
}) {
  override get message(): string {
    return `${this.file} has a format this version cannot read: found ${this.found}, supported is ${this.supported}. Nothing was changed. Open it with a version of lightning-db that supports it.`
  }
}
