/**
 * Where verbs write. Results go to standard output, everything else (progress, notes, errors) to standard error, so that a pipe carries only results.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OutputClosed, OutputUnwritable } from "./CliFailure.ts"
import { ioReason } from "./explain.ts"

export interface OutputShape {
  /** Writes to standard output and returns once the chunk has been handed on. Fails when nobody reads any more. */
  readonly write: (chunk: string | Uint8Array) => Effect.Effect<void, OutputClosed>
  /** Writes a line to standard error; a closed standard error is ignored. */
  readonly note: (line: string) => Effect.Effect<void>
  /** Shows one line on a terminal at standard error and keeps it last: notes appear above it. Empty: takes it away. Without a terminal: nothing. */
  readonly status: (line: string) => Effect.Effect<void>
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  /** The current width; where there is no terminal that of COLUMNS, else 80. */
  readonly columns: () => number
  readonly stdoutColours: boolean
  readonly stderrColours: boolean
}

export class Output extends Context.Service<Output, OutputShape>()("lightning-db/runtime/cli/Output") {}

/** NO_COLOR (any non-empty value) wins; then FORCE_COLOR; then whether the stream is a terminal that can. */
export const wantsColours = (isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean => {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false
  if (env["FORCE_COLOR"] !== undefined && env["FORCE_COLOR"] !== "") return env["FORCE_COLOR"] !== "0"
  return isTerminal && env["TERM"] !== "dumb"
}

/** A reader that has gone away is no failure; a disk that is full is one. */
const closedBy = (error: NodeJS.ErrnoException): OutputClosed =>
  error.code === undefined || ["EPIPE", "ECONNRESET", "EIO", "EBADF", "ERR_STREAM_DESTROYED"].includes(error.code)
    ? new OutputClosed()
    : new OutputUnwritable(ioReason(error))

/** Over the streams of this process. */
export const layerProcess: Layer.Layer<Output> = Layer.sync(Output, () => {
  const { stderr, stdout } = process
  let closed: OutputClosed | undefined
  let statusLine = ""
  const eraseLine = "\r\u001b[2K"
  // Without a listener a closed pipe ends the process with a stack trace. Standard error has nowhere to report to.
  stdout.on("error", (error) => {
    closed ??= closedBy(error)
  })
  stderr.on("error", () => {})
  return Output.of({
    write: (chunk) =>
      Effect.callback((resume) => {
        if (closed !== undefined) return resume(Effect.fail(closed))
        stdout.write(chunk, (error) => resume(error === null || error === undefined ? Effect.void : Effect.fail((closed ??= closedBy(error)))))
      }),
    note: (line) =>
      Effect.sync(() => {
        stderr.write(statusLine === "" ? `${line}\n` : `${eraseLine}${line}\n${statusLine}`)
      }),
    status: (line) =>
      Effect.sync(() => {
        if (stderr.isTTY !== true || (line === "" && statusLine === "")) return
        statusLine = line
        stderr.write(eraseLine + line)
      }),
    stdoutIsTerminal: stdout.isTTY === true,
    stderrIsTerminal: stderr.isTTY === true,
    columns: () =>
      (stderr.isTTY === true ? stderr.columns : stdout.isTTY === true ? stdout.columns : undefined) ?? (Number(process.env["COLUMNS"]) || 80),
    stdoutColours: wantsColours(stdout.isTTY === true, process.env),
    stderrColours: wantsColours(stderr.isTTY === true, process.env)
  })
})
