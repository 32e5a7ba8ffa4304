/** Turns whatever a verb failed with into a `CliFailure`: what happened, what to do, and an exit code. */
import * as Cause from "effect/Cause"
import type { LightningError } from "../../domain/errors.ts"
import { CliFailure, OutputUnwritable } from "./CliFailure.ts"
import { ExitCode } from "./exitCodes.ts"

/** Tags with an exit code of their own; every other tag is `failure`. */
const exitCodes: { readonly [Tag in LightningError["_tag"]]?: ExitCode } = {
  DatabaseLocked: ExitCode.locked,
  LockLost: ExitCode.locked,
  CorruptFile: ExitCode.corrupt,
  KeyspaceNotFound: ExitCode.notFound,
  InvalidKey: ExitCode.usage,
  InvalidRange: ExitCode.usage,
  InvalidOptions: ExitCode.usage,
  InvalidKeyspaceName: ExitCode.usage,
  InvalidRestorePointName: ExitCode.usage,
  RestorePointNotFound: ExitCode.notFound,
  RestorePointsBusy: ExitCode.locked
}

/**
 * What to type next, where the engine's own words (they speak to programs) leave the person at a terminal with a question. A hint stands in place of the second and
 * later sentences of the engine's message; without one the whole message is shown.
 */
const hints: { readonly [Tag in LightningError["_tag"]]?: string } = {
  DatabaseLocked: "Stop the process that writes to it, or wait until it is done. Verbs that only read work beside it.",
  NotADatabase: "Check --path. `lightning put` and `lightning import` create a database in a missing or empty directory.",
  PathIsFile: "Give the directory of a database with --path.",
  KeyspaceNotFound: "`lightning keyspaces` lists them. `put` and `import` create the one they are given.",
  CorruptFile:
    "Keep a copy of the directory. `lightning verify` shows whether more is damaged, --salvage reads what can be read. `lightning points` shows restore points to go back to; " +
    "`lightning repair --dry-run` what a repair would save.",
  PermissionDenied: "Give this user access to the path. Verbs that only read need read access alone.",
  DiskFull: "Free space on that disk, then run the command again: what was acknowledged is stored.",
  DatabaseReadOnly: "Run `lightning stats` to see why."
}

const firstSentence = (message: string): string => {
  const end = message.search(/\.\s/)
  return (end < 0 ? message : message.slice(0, end)).replace(/\.$/, "")
}

const isTagged = (error: unknown): error is Error & { readonly _tag: string } =>
  error instanceof Error && "_tag" in error && typeof error._tag === "string"

/** The fields of a tagged error that JSON can carry. */
const detailsOf = (error: object): Record<string, unknown> => {
  const details: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(error)) {
    if (name.startsWith("_") || name === "cause" || name === "name" || name === "message" || name === "stack") continue
    if ((value !== undefined && typeof value !== "object") || Array.isArray(value)) details[name] = value
  }
  return details
}

/** The engine says why a directory is not a database; that there is nothing at all is said as the other verbs say it. */
const messageOf = (error: Error & { readonly _tag: string }): string =>
  error._tag === "NotADatabase" && "path" in error && "detail" in error && error.detail === "there is no database to read"
    ? `There is no database at ${String(error.path)}`
    : error.message

const hintOf = (tag: string): string | undefined => (Object.hasOwn(hints, tag) ? hints[tag as LightningError["_tag"]] : undefined)
const exitCodeOf = (tag: string): ExitCode =>
  (Object.hasOwn(exitCodes, tag) ? exitCodes[tag as LightningError["_tag"]] : undefined) ?? ExitCode.failure

export const explain = (error: unknown): CliFailure => {
  if (error instanceof CliFailure) return error
  if (error instanceof OutputUnwritable) {
    return new CliFailure({
      tag: "OutputUnwritable",
      message: `Standard output cannot be written: ${error.reason}`,
      hint: "What was printed is incomplete.",
      exitCode: ExitCode.failure
    })
  }
  if (isTagged(error)) {
    const hint = hintOf(error._tag)
    return new CliFailure({
      tag: error._tag,
      message: hint === undefined ? error.message.replace(/\.$/, "") : firstSentence(messageOf(error)),
      hint,
      exitCode: exitCodeOf(error._tag),
      details: detailsOf(error)
    })
  }
  return new CliFailure({
    tag: "Unexpected",
    message: error instanceof Error ? error.message : String(error),
    hint: "This is a fault of lightning itself. Please report it with the command and this message.",
    exitCode: ExitCode.failure,
    details: error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}
  })
}

/** The one failure to show for a cause: the first typed error, else the defect. */
export const explainCause = (cause: Cause.Cause<unknown>): CliFailure => explain(Cause.squash(cause))

const ioReasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "is a directory",
  ENOTDIR: "is not a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENOSPC: "no space is left on the device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than is allowed",
  EROFS: "the file system is read-only"
}

/** A failed system call of Node in a few words: "no such file or directory". */
export const ioReason = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  return code === undefined ? error.message : (ioReasons[code] ?? `${code}: ${error.message}`)
}
