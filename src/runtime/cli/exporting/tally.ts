/** What an export has done so far, and what it could not. */
import { CliFailure } from "../CliFailure.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatLineCut } from "../format/bytesText.ts"
import type { ExportEntry } from "./encoder.ts"
import type { ExportProblem, Position } from "./resumeState.ts"

/** Problems that are named; the others are counted. */
export const problemsMax = 10

export class Tally {
  entries: number
  /** Bytes of keys and values. */
  dataBytes: number
  skipped: number
  readonly problems: Array<ExportProblem>
  /** The keyspace that is under way, and its last entry that is done with. */
  space: number
  lastKey: Uint8Array | undefined

  constructor(from: Position | null) {
    this.entries = from?.entries ?? 0
    this.dataBytes = from?.dataBytes ?? 0
    this.skipped = from?.skipped ?? 0
    this.problems = [...(from?.problems ?? [])]
    this.space = from?.space ?? 0
    this.lastKey = from === null ? undefined : new Uint8Array(Buffer.from(from.lastKeyBase64, "base64"))
  }

  done({ key, value }: ExportEntry): void {
    this.entries++
    this.dataBytes += key.length + value.length
    this.lastKey = key
  }

  refused({ key, keyspace }: ExportEntry, reason: string): ExportProblem {
    const problem = { keyBase64: Buffer.from(key).toString("base64"), keyspace: keyspace ?? null, reason }
    this.skipped++
    if (this.problems.length < problemsMax) this.problems.push(problem)
    return problem
  }

  /** Undefined before the first entry. */
  position(bytes: number): Position | undefined {
    const { dataBytes, entries, lastKey, problems, skipped, space } = this
    return lastKey === undefined
      ? undefined
      : { space, lastKeyBase64: Buffer.from(lastKey).toString("base64"), bytes, entries, dataBytes, skipped, problems }
  }
}

/** "users/a/b: it ends with a slash" */
export const formatProblem = ({ keyBase64, keyspace, reason }: ExportProblem): string =>
  `${keyspace === null ? "" : `${keyspace}: `}${formatLineCut(Buffer.from(keyBase64, "base64"), 200)}: ${reason}`

/** `--on-error stop`. */
export const unexportable = (problem: ExportProblem, hint: string): CliFailure =>
  new CliFailure({
    tag: "Unexportable",
    message: `The entry ${formatProblem(problem)}`,
    hint,
    exitCode: ExitCode.failure,
    details: { ...problem }
  })
