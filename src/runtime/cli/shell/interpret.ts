/** One input of the shell, from text to result. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { CliFailure, OutputClosed } from "../CliFailure.ts"
import { explain, explainCause } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import type { Output } from "../Output.ts"
import { usage } from "../shared.ts"
import { parseArguments, textOf } from "./arguments.ts"
import { commandNamed, commands } from "./commands.ts"
import { dotCommands, nearest, runDotCommand } from "./dotCommands.ts"
import { inspectValue, type JavaScript, makeJavaScript } from "./JavaScript.ts"
import { jsonText } from "./jsonText.ts"
import type { Done, Session } from "./Session.ts"
import { isUnfinished } from "./unfinished.ts"
import { lex, type Lexed, type Missing, type Word, wordOf } from "./words.ts"
import { PagerClosed, type Writer } from "./Writer.ts"

/** How synchronous JavaScript is run; where there is a terminal, so that Ctrl-C reaches it. */
export type Blocking = <A>(run: () => A) => A

export type Input =
  | { readonly kind: "nothing" }
  /** More lines are needed. */
  | {
      readonly kind: "unfinished"
      readonly missing: Missing | "javascript"
      /** Whether this next line may be the last one. Long values are not looked through again at each line. */
      readonly mayEnd: (line: string) => boolean
    }
  | {
      readonly kind: "ready"
      /** As one line for the history, where it has several. */
      readonly line: string
      readonly run: (out: Writer) => Effect.Effect<Done | undefined, unknown, Output | Scope.Scope>
    }

const javascriptStart = /^\s*(?:=|db\s*\.|await\b)/

/** Whether the input is JavaScript and not a command. */
export const isJavaScript = (session: Session, text: string): boolean =>
  javascriptStart.test(text) || (session.javascript && !text.trimStart().startsWith("."))

/** What the lines typed so far ask for. */
export const interpret = (session: Session, text: string, blocking: Blocking = (run) => run()): Input => {
  const trimmed = text.trimStart()
  if (trimmed === "") return { kind: "nothing" }
  if (isJavaScript(session, text)) {
    const code = trimmed.startsWith("=") ? trimmed.slice(1) : trimmed
    if (isUnfinished(code)) return { kind: "unfinished", missing: "javascript", mayEnd: () => true }
    // A comment to the end of its line would swallow what follows it.
    const line = code.includes("//") ? text : text.split("\n").join(" ")
    return { kind: "ready", line, run: (out) => runJavaScript(session, code, out, blocking) }
  }
  const lexed = lex(text)
  if (lexed.mistake === undefined && lexed.missing !== undefined) {
    const { missing, until } = lexed
    return { kind: "unfinished", missing, mayEnd: (line) => ends(missing, until, line) }
  }
  if (lexed.mistake === undefined && lexed.words.length === 0) return { kind: "nothing" }
  return {
    kind: "ready",
    line: text.includes("\n") ? lexed.words.map(historyWord).join(" ") : text,
    run: (out) => runWords(session, lexed, out)
  }
}

const ends = (missing: Missing, until: string | undefined, line: string): boolean =>
  missing === "heredoc" ? line === until : missing === "single" ? line.includes("'") : missing === "double" ? line.includes('"') : true

const historyWord = ({ quoted, value }: Word): string => (quoted || typeof value !== "string" ? wordOf(value) : value)

const untimed: Done = { untimed: true }

const runWords = (session: Session, { mistake, words }: Lexed, out: Writer): Effect.Effect<Done | undefined, unknown, Output | Scope.Scope> => {
  if (mistake !== undefined) return Effect.fail(usage(mistake.message, mistake.hint))
  const [first, ...rest] = words
  const name = first === undefined ? "" : textOf(first)
  if (name.startsWith(".")) return Effect.as(runDotCommand(session, words, out), untimed)
  // What people type first.
  if (name === "exit" || name === "quit" || name === "help") {
    const dot = { value: name === "help" ? ".help" : ".exit", quoted: false, start: 0 }
    return Effect.as(runDotCommand(session, [dot, ...rest], out), untimed)
  }
  const command = commandNamed(name)
  if (command === undefined) {
    const known = [...commands.map((other) => other.name), ...dotCommands.map((other) => other.name)]
    return Effect.fail(usage(`There is no command ${JSON.stringify(name)}`, `.help lists all commands.${nearest(name, known)}`))
  }
  if (command.writes && session.readOnly) {
    return Effect.fail(
      new CliFailure({
        tag: "DatabaseReadOnly",
        message: `${name} needs the database open for writing, and this shell has it read-only`,
        hint: "Start the shell again without --read-only, when no other process writes to it.",
        exitCode: ExitCode.failure
      })
    )
  }
  return Effect.flatMap(parseArguments(command, rest), (given) => command.run({ session, arguments: given, reads: session.target, out }))
}

/** Made when first asked for: it brings the Promise façade and node:vm. */
export const evaluatorOf = (session: Session, blocking: Blocking): Effect.Effect<JavaScript> =>
  Effect.suspend(() => {
    if (session.evaluator !== undefined) return Effect.succeed(session.evaluator)
    return Effect.tap(
      Effect.promise(() =>
        makeJavaScript({
          db: session.db,
          blocking,
          onClose: () => {
            session.ended = true
          }
        })
      ),
      (made) => Effect.sync(() => (session.evaluator = made))
    )
  })

const runJavaScript = Effect.fnUntraced(function* (session: Session, code: string, out: Writer, blocking: Blocking) {
  const evaluator = yield* evaluatorOf(session, blocking)
  const value = yield* Effect.mapError(evaluator.run(code), (error) => thrown(session, error))
  if (value === undefined) return undefined
  const { output } = session
  yield* out.write(session.format === "json" ? jsonText(session, value) : `${inspectValue(value, output.stdoutColours, output.columns())}\n`)
  return undefined
})

/** What code threw, in one line: typed errors by their tag. With `.stack on`, where it came from. */
const thrown = (session: Session, error: unknown): CliFailure => {
  if (!(error instanceof Error)) {
    return new CliFailure({ tag: "Thrown", message: `Thrown: ${inspectValue(error, false, 80)}`, exitCode: ExitCode.failure })
  }
  const tagged = "_tag" in error && typeof error._tag === "string"
  const explained = tagged ? explain(error) : undefined
  return new CliFailure({
    tag: explained?.tag ?? error.name,
    message: `${explained?.tag ?? error.name}: ${error.message}`,
    hint: session.stacks && error.stack !== undefined ? stackOf(error.stack) : undefined,
    exitCode: explained?.exitCode ?? ExitCode.failure,
    details: explained?.details
  })
}

/** Its lines below the message, up to where the shell called the code. */
const stackOf = (stack: string): string => {
  const lines = stack
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
  const end = lines.findIndex((line) => line.startsWith("at Script.runInThisContext"))
  return (end < 0 ? lines : lines.slice(0, end)).join("\n")
}

/** What a command failed with, in words; `undefined` where it only ended early: its reader has gone, or has seen enough. */
export const failureOf = (cause: Cause.Cause<unknown>): CliFailure | undefined => {
  const error = Cause.squash(cause)
  return error instanceof PagerClosed || error instanceof OutputClosed ? undefined : explainCause(cause)
}
