/** Runs `lightning` inside the test, over a database in memory and captured output: most of what a person sees, without a process for each case. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OutputClosed } from "../../../src/runtime/cli/CliFailure.ts"
import { Opener, type OpenRequest } from "../../../src/runtime/cli/Opener.ts"
import { Output } from "../../../src/runtime/cli/Output.ts"
import { runCli } from "../../../src/runtime/cli/run.ts"
import { makeMapDatabase, type MapDatabaseOptions, MapStore } from "../../support/mapDatabase.ts"

export interface RunOptions extends MapDatabaseOptions {
  readonly store?: MapStore
  /** No database there: a read-only open fails, deletes are refused. */
  readonly absent?: boolean
  /** What opening fails with. */
  readonly openFailure?: unknown
  /** Standard output is a terminal of this many columns. */
  readonly terminalColumns?: number
  readonly colours?: boolean
  /** Standard output closes after this many writes. */
  readonly closeAfterWrites?: number
}

export interface RunResult {
  readonly code: number
  readonly out: string
  readonly outBytes: Buffer
  readonly err: string
  /** Status lines shown on the terminal. */
  readonly statuses: ReadonlyArray<string>
  readonly opens: ReadonlyArray<OpenRequest>
  readonly store: MapStore
}

export interface Captured {
  readonly layer: Layer.Layer<Output>
  readonly out: () => Buffer
  readonly err: () => string
  readonly statuses: Array<string>
}

export const captureOutput = (options: Pick<RunOptions, "terminalColumns" | "colours" | "closeAfterWrites"> = {}): Captured => {
  const chunks: Array<Buffer> = []
  const statuses: Array<string> = []
  let err = ""
  const isTerminal = options.terminalColumns !== undefined
  return {
    out: () => Buffer.concat(chunks),
    err: () => err,
    statuses,
    layer: Layer.succeed(Output)({
      write: (chunk) =>
        Effect.suspend(() => {
          if (chunks.length >= (options.closeAfterWrites ?? Number.POSITIVE_INFINITY)) return Effect.fail(new OutputClosed())
          chunks.push(Buffer.from(chunk))
          return Effect.void
        }),
      note: (line) =>
        Effect.sync(() => {
          err += `${line}\n`
        }),
      status: (line) =>
        Effect.sync(() => {
          if (isTerminal && line !== "") statuses.push(line)
        }),
      stdoutIsTerminal: isTerminal,
      stderrIsTerminal: isTerminal,
      columns: () => options.terminalColumns ?? 80,
      stdoutColours: options.colours ?? false,
      stderrColours: options.colours ?? false
    })
  }
}

export const lightning = async (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<RunResult> => {
  const store = options.store ?? new MapStore()
  const opens: Array<OpenRequest> = []
  const captured = captureOutput(options)
  const opener = Layer.succeed(Opener)({
    open: (request) =>
      Effect.suspend(() => {
        opens.push(request)
        return options.openFailure === undefined
          ? Effect.succeed(makeMapDatabase(store, { ...options, readOnly: request.readOnly }))
          : Effect.fail(options.openFailure)
      }),
    exists: () => Effect.succeed(options.absent !== true)
  })
  const code = await Effect.runPromise(runCli(args).pipe(Effect.provide(Layer.mergeAll(captured.layer, opener))))
  return { code, out: captured.out().toString(), outBytes: captured.out(), err: captured.err(), statuses: captured.statuses, opens, store }
}
