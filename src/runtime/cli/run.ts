/** Runs the command line: parses, runs the verb, prints failures, and says which exit code the process ends with. */
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { CliFailure, OutputClosed, OutputUnwritable, QuietExit } from "./CliFailure.ts"
import { lightning } from "./commands.ts"
import { completions } from "./completions.ts"
import { layerEnvironment } from "./environment.ts"
import { explainCause } from "./explain.ts"
import { ExitCode } from "./exitCodes.ts"
import { escapeText } from "./format/bytesText.ts"
import { paint } from "./format/paint.ts"
import { wrapHelp } from "./format/wrapHelp.ts"
import type { Opener } from "./Opener.ts"
import { Output } from "./Output.ts"
import { version } from "./version.ts"

/** Every failure looks the same: what happened, then what to do. With `--json` it is one object on one line. */
export const formatFailure = (failure: CliFailure, json: boolean, colours: boolean): string => {
  if (json) {
    const { details, exitCode, hint, message, tag } = failure
    return JSON.stringify({ error: { tag, message, ...(hint === undefined ? {} : { hint }), exitCode, ...details } })
  }
  const style = paint(colours)
  const stack = failure.details?.["stack"]
  return [
    `${style("red", "error")}: ${failure.message.split("\n").map(escapeText).join("\n")}`,
    ...(failure.hint === undefined ? [] : failure.hint.split("\n").map((line) => `  ${escapeText(line)}`)),
    ...(failure.tag === "Unexpected" && typeof stack === "string" ? [stack] : [])
  ].join("\n")
}

/** `--json` must hold for errors of parsing too, when no flags were parsed. Nothing after `--` is a flag. */
const asksForJson = (args: ReadonlyArray<string>): boolean => {
  const end = args.indexOf("--")
  return (end < 0 ? args : args.slice(0, end)).includes("--json")
}

/** effect/cli sets suggestions apart by blank lines: "…\n\n  Did you mean this?\n    get". */
const inOneLine = (message: string): string =>
  message
    .replace(/\s*Did you mean this\?\s*/, "; did you mean ")
    .replace(/\n\s*/g, ", ")
    .replace("Expected a string representing a finite number", "Expected a number")

/** The formatter leaves out the empty line between the list of verbs and the examples. */
const withGaps = (help: string): string =>
  // oxlint-disable-next-line no-control-regex
  `${help.replace(/([^\n])\n((?:\u001b\[\d+m)*EXAMPLES)/, "$1\n\n$2").trimEnd()}\n`

/** Help goes to standard output when it was asked for; a mistake gets the mistake and where to find help, not a page of it. */
const presenter = (output: Output["Service"], json: boolean): CliOutput.Presenter => {
  const formatter = CliOutput.defaultFormatter({ colors: output.stdoutColours, globalFlags: "summary" })
  // The presenter has no way to fail; whether the reader has gone away is decided with the exit code.
  const say = (text: string): Effect.Effect<void> => Effect.orDie(output.write(text))
  const fitted = (help: string): string => (output.stdoutIsTerminal ? wrapHelp(help, Math.max(40, output.columns())) : help)
  return {
    present: (event) => {
      switch (event._tag) {
        case "Help":
          return say(fitted(withGaps(formatter.formatHelpDoc(event.helpDoc))))
        case "Version":
          return say(json ? `${JSON.stringify({ name: event.name, version: event.version })}\n` : `${event.name} ${event.version}\n`)
        case "InvalidInvocation":
          return output.note(
            formatFailure(
              new CliFailure({
                tag: "Usage",
                message: event.errors.map((error) => inOneLine(error.message)).join("\n"),
                hint: `Try: ${event.commandPath.join(" ")} --help`,
                exitCode: ExitCode.usage
              }),
              json,
              output.stderrColours
            )
          )
      }
    }
  }
}

const exitCodeOf = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>, json: boolean): Effect.fn.Return<ExitCode, never, Output> {
  const output = yield* Output
  if (Cause.hasInterruptsOnly(cause)) return ExitCode.interrupted
  const error = Cause.squash(cause)
  if (error instanceof OutputClosed && !(error instanceof OutputUnwritable)) return ExitCode.ok
  if (error instanceof QuietExit) return error.exitCode
  // The presenter has shown it. Without errors it was a command without a verb, which is answered by its help.
  if (CliError.isCliError(error) && error._tag === "ShowHelp") return error.errors.length > 0 ? ExitCode.usage : ExitCode.ok
  const failure = explainCause(cause)
  yield* output.note(formatFailure(failure, json, output.stderrColours))
  return failure.exitCode
})

/** Runs `lightning` with these arguments. Never fails: the answer is the exit code. */
export const runCli = (args: ReadonlyArray<string>): Effect.Effect<ExitCode, never, Output | Opener> =>
  Effect.gen(function* () {
    const output = yield* Output
    const json = asksForJson(args)
    const exit = yield* Command.runWith(lightning, { version })(args).pipe(
      Effect.provideService(CliOutput.Presenter, presenter(output, json)),
      // Neither a wizard nor log levels: nothing here asks questions, and nothing logs.
      Effect.provideService(CliConfig.CliConfig, CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions(output)] })),
      Effect.provide(layerEnvironment),
      Effect.as(ExitCode.ok),
      Effect.exit
    )
    return Exit.isSuccess(exit) ? exit.value : yield* exitCodeOf(exit.cause, json)
  })
