/** The shell without a person: commands from standard input or from `--command`, up to the first mistake. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as readline from "node:readline"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatNoun } from "../format/numbers.ts"
import { formatFailure } from "../run.ts"
import { usage } from "../shared.ts"
import { failureOf, interpret, type Input } from "./interpret.ts"
import type { Session } from "./Session.ts"
import { timing } from "./timing.ts"
import type { Writer } from "./Writer.ts"

interface Place {
  readonly what: "line" | "command"
  /** From 1. */
  readonly number: number
}

interface Located {
  readonly place: Place
  readonly input: Input
}

export interface ScriptOptions {
  readonly keepGoing: boolean
}

const unfinished: Readonly<Record<string, string>> = {
  single: "A quote (') is not closed",
  double: 'A quote (") is not closed',
  escape: "The last character is a backslash",
  heredoc: "The line that ends a value (<<) is missing",
  javascript: "A bracket or a template is not closed"
}

const whole = (input: Input): Input => {
  if (input.kind !== "unfinished") return input
  const { missing } = input
  return { kind: "ready", line: "", run: () => Effect.fail(usage(unfinished[missing] ?? missing)) }
}

/** Puts lines together to inputs. */
const fromLines = (session: Session, lines: AsyncIterator<string, unknown>): Effect.Effect<Located | undefined, unknown> => {
  let read = 0
  const readLine = Effect.tryPromise({
    try: () => lines.next(),
    catch: (error) =>
      new CliFailure({ tag: "InputUnreadable", message: `Standard input cannot be read: ${ioReason(error)}`, exitCode: ExitCode.failure })
  })
  return Effect.gen(function* () {
    for (;;) {
      const first = yield* readLine
      read++
      if (first.done === true) return undefined
      const place: Place = { what: "line", number: read }
      const parts = [first.value]
      let input = interpret(session, first.value)
      while (input.kind === "unfinished") {
        const next = yield* readLine
        if (next.done === true) break
        read++
        parts.push(next.value)
        if (input.mayEnd(next.value)) input = interpret(session, parts.join("\n"))
      }
      if (input.kind !== "nothing") return { place, input: whole(input) }
    }
  })
}

const located = (failure: CliFailure, { number, what }: Place): CliFailure =>
  new CliFailure({
    tag: failure.tag,
    message: `${what} ${number}: ${failure.message}`,
    hint: failure.hint,
    exitCode: failure.exitCode,
    details: { ...failure.details, [what]: number }
  })

const run = Effect.fnUntraced(function* (session: Session, next: Effect.Effect<Located | undefined, unknown>, { keepGoing }: ScriptOptions) {
  const { output } = session
  const out: Writer = { write: output.write }
  let commands = 0
  const failures: Array<CliFailure> = []
  while (!session.ended) {
    const found = yield* next
    if (found === undefined) break
    const { input, place } = found
    if (input.kind !== "ready") continue
    commands++
    const startMs = performance.now()
    const exit = yield* Effect.exit(Effect.scoped(input.run(out)))
    if (Exit.isSuccess(exit)) {
      if (session.timer && exit.value?.untimed !== true) yield* output.note(timing(exit.value, performance.now() - startMs))
      continue
    }
    // Ctrl-C ends a script. So does a reader that has gone: nothing that follows could be seen to happen.
    const failure = Cause.hasInterruptsOnly(exit.cause) ? undefined : failureOf(exit.cause)
    if (failure === undefined) return yield* Effect.failCause(exit.cause)
    if (!keepGoing) return yield* located(failure, place)
    failures.push(failure)
    yield* output.note(formatFailure(located(failure, place), session.format === "json", output.stderrColours))
  }
  const [first] = failures
  if (first === undefined) return
  return yield* new CliFailure({
    tag: "CommandsFailed",
    message: `${formatNoun(failures.length, "command")} of ${commands} failed`,
    hint: "The exit code is that of the first.",
    exitCode: first.exitCode === ExitCode.ok ? ExitCode.failure : first.exitCode,
    details: { failed: failures.length, commands }
  })
})

/** Commands of `--command`, each whole by itself. */
export const runCommands = (session: Session, texts: ReadonlyArray<string>, options: ScriptOptions) => {
  let at = 0
  return run(
    session,
    Effect.sync(() => {
      const text = texts[at++]
      return text === undefined ? undefined : { place: { what: "command", number: at }, input: whole(interpret(session, text)) }
    }),
    options
  )
}

/** Commands of standard input, to its end. */
export const runStandardInput = (session: Session, options: ScriptOptions) =>
  Effect.acquireUseRelease(
    Effect.sync(() => readline.createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })),
    (lines) => run(session, fromLines(session, lines[Symbol.asyncIterator]()), options),
    (lines) =>
      Effect.sync(() => {
        lines.close()
        // Nothing more is read: an open pipe would keep the process.
        process.stdin.destroy()
      })
  )
