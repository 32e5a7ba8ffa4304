import * as Data from "effect/Data"
import type { ExitCode } from "./exitCodes.ts"

/** A failure in the words of the person at the terminal. Everything a verb can fail with becomes one of these before it is printed. */
export class CliFailure extends Data.TaggedError("CliFailure")<{
  /** What went wrong, as a stable name for scripts: the tag of the engine's error or one of the command line's own. */
  readonly tag: string
  /** What happened, one sentence without a full stop. */
  readonly message: string
  /** What to do about it, one sentence per line. */
  readonly hint?: string | undefined
  readonly exitCode: ExitCode
  /** More for `--json`: file, line, offset, counts. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}> {}

/** The reader of standard output has gone away (`| head`): stop quietly, this is not an error. */
export class OutputClosed extends Data.TaggedError("OutputClosed")<{}> {}

/** Standard output cannot be written, and not because its reader has gone: the disk behind it is full. What was printed is incomplete, which is an error. */
export class OutputUnwritable extends OutputClosed {
  readonly reason: string
  constructor(reason: string) {
    super()
    this.reason = reason
  }
}

/** Everything has been said on standard output; what is left is the exit code. */
export class QuietExit extends Data.TaggedError("QuietExit")<{ readonly exitCode: ExitCode }> {}
