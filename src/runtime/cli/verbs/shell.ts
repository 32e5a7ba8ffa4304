import * as Effect from "effect/Effect"
import { Output } from "../Output.ts"
import { type Shared, usage } from "../shared.ts"

export interface ShellOptions {
  readonly command: ReadonlyArray<string>
  readonly readOnly: boolean
  readonly create: boolean
  readonly keepGoing: boolean
  readonly noHistory: boolean
}

/** A session on one open database: a person at a terminal, a script on standard input, or the commands of `--command`. What it takes is loaded here, not by `--help`. */
export const shell = Effect.fnUntraced(function* (shared: Shared, options: ShellOptions) {
  if (options.readOnly && options.create) return yield* usage("--read-only and --create are both given", "A database is created by writing to it.")
  const output = yield* Output
  const interactive = options.command.length === 0 && process.stdin.isTTY && output.stdoutIsTerminal
  const { openSession } = yield* Effect.promise(() => import("../shell/openSession.ts"))
  const { session, why } = yield* openSession(shared, { ...options, interactive })
  if (interactive) {
    const { runInteractive } = yield* Effect.promise(() => import("../shell/interactive.ts"))
    return yield* runInteractive(session, { why, history: !options.noHistory })
  }
  const { runCommands, runStandardInput } = yield* Effect.promise(() => import("../shell/script.ts"))
  if (why !== undefined && !shared.json) yield* output.note(`${why}: this shell only reads.`)
  yield* options.command.length > 0 ? runCommands(session, options.command, options) : runStandardInput(session, options)
})
