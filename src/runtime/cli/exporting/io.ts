/** File operations of an export. A failure names the destination and says what to do; none is left half done by Ctrl-C, which would close a file under a write. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the device",
  EDQUOT: "the quota of this user is used up",
  EFBIG: "a file may not be larger than it is now",
  EROFS: "the file system is read-only",
  ENAMETOOLONG: "the name is too long",
  EEXIST: "it exists",
  EXDEV: "it is on another file system"
}

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

export const writeReason = (error: unknown): string => reasons[codeOf(error) ?? ""] ?? ioReason(error)

/** `resumable`: what was written stays, and the same command takes it up again. */
export const unwritable = (name: string, error: unknown, resumable: boolean): CliFailure => {
  const code = codeOf(error)
  const full = code === "ENOSPC" || code === "EDQUOT"
  return new CliFailure({
    tag: full ? "DiskFull" : "DestinationUnwritable",
    message: `${name} cannot be written: ${writeReason(error)}`,
    hint: full
      ? resumable
        ? `Free space, then run the same command again: it goes on where it stopped. What is written so far is in ${name}; remove it to give up.`
        : "Free space, then run the same command again."
      : code === "ENOENT"
        ? "The directory it lies in must exist."
        : "Give a destination that this user may write.",
    exitCode: ExitCode.failure,
    details: { path: name, ...(code === undefined ? {} : { code }) }
  })
}

/** One operation of `node:fs` by its callback. */
export const operation = <A>(run: (done: (error: Error | null, value?: A) => void) => void, onError: (error: unknown) => CliFailure) =>
  Effect.uninterruptible(
    Effect.callback<A | undefined, CliFailure>((resume) =>
      run((error, value) => resume(error === null || error === undefined ? Effect.succeed(value) : Effect.fail(onError(error))))
    )
  )

/** The same for what is quick and synchronous. */
export const attempt = <A>(run: () => A, onError: (error: unknown) => CliFailure): Effect.Effect<A, CliFailure> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (error) {
      return Effect.fail(onError(error))
    }
  })

/** Makes what happened in a directory (names given and taken) durable, where the platform can. */
export const syncDirectory = (directory: string): void => {
  if (process.platform === "win32") return
  const fd = fs.openSync(directory, "r")
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** Gives a finished file its name: only where there is none yet, unless it may replace one. Throws EEXIST. */
export const giveName = (from: string, to: string, replaces: boolean): void => {
  if (replaces) fs.renameSync(from, to)
  else {
    try {
      // A rename would replace what somebody else has put there meanwhile.
      fs.linkSync(from, to)
      fs.unlinkSync(from)
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw error
      // A file system without links.
      if (fs.existsSync(to)) throw Object.assign(new Error(`${to} exists`), { code: "EEXIST" })
      fs.renameSync(from, to)
    }
  }
  syncDirectory(path.dirname(to))
}
