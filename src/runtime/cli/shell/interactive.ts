/** The shell at a terminal: prompt, line, command, again. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as path from "node:path"
import { escapeText } from "../format/bytesText.ts"
import { paint } from "../format/paint.ts"
import type { Output } from "../Output.ts"
import { formatFailure } from "../run.ts"
import { version } from "../version.ts"
import { makeCompleter } from "./complete.ts"
import { HistoryFile, historyMax, historyPath, isKept } from "./historyFile.ts"
import { evaluatorOf, failureOf, interpret, type Input } from "./interpret.ts"
import { Keyboard } from "./Keyboard.ts"
import { LineEditor, type Typed } from "./LineEditor.ts"
import { makePaging, type Paging } from "./paging.ts"
import type { Session } from "./Session.ts"
import { timing } from "./timing.ts"

export interface InteractiveOptions {
  /** Why the database could not be opened for writing. */
  readonly why: string | undefined
  readonly history: boolean
}

interface Terminal {
  readonly session: Session
  readonly keyboard: Keyboard
  readonly editor: LineEditor
  readonly history: HistoryFile
  /** The lines of an unfinished input, each with its break. */
  pending: string
  /** Names of keyspaces, for Tab: as of the last prompt. */
  keyspaces: ReadonlyArray<string>
}

const promptOf = ({ javascript, keyspace, readOnly }: Session): string => {
  const where = keyspace === undefined ? "" : `/${escapeText(keyspace)}`
  return `lightning${where}${readOnly ? " (read-only)" : ""}${javascript ? " js" : ""}> `
}

const banner = Effect.fnUntraced(function* ({ db, output, path: directory, readOnly }: Session, why: string | undefined) {
  const { visibleSequence } = yield* db.stats
  const style = paint(output.stdoutColours)
  const mode = readOnly ? `read-only, as of now: refresh moves forward${why === undefined ? "" : ` (${escapeText(why)})`}` : "open for writing"
  yield* output.write(
    `${style("bold", `lightning ${version}`)}  ${escapeText(path.resolve(directory))}  sequence ${visibleSequence}\n${mode}\nType .help for commands, .exit to end.\n`
  )
})

/** A terminal that opens for the shell, and is as it was when the shell ends. */
const openTerminal = (session: Session, options: InteractiveOptions) =>
  Effect.acquireRelease(
    Effect.sync((): Terminal => {
      const history = new HistoryFile(options.history ? historyPath(process.env) : undefined, (line) => process.stderr.write(`${escapeText(line)}\n`))
      session.history.push(...history.load())
      const keyboard = new Keyboard(process.stdin, () => editor.end())
      const editor: LineEditor = new LineEditor(
        keyboard,
        process.stdout,
        session.history.toReversed(),
        historyMax,
        makeCompleter({
          session,
          keyspaces: () => terminal.keyspaces,
          pending: () => terminal.pending,
          javascript: () => Effect.runPromise(evaluatorOf(session, keyboard.blocking))
        })
      )
      const terminal: Terminal = { session, keyboard, editor, history, pending: "", keyspaces: [] }
      return terminal
    }),
    ({ editor, keyboard }) =>
      Effect.sync(() => {
        editor.close()
        keyboard.close()
        process.stdin.unref()
      })
  )

/** What goes wrong in JavaScript that nobody waits for would end the process. */
const guardBackground = (session: Session) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const report = (error: unknown): void => {
        const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
        process.stderr.write(`\nerror in the background: ${escapeText(message)}\n`)
      }
      const onError = (error: unknown): void => {
        if (session.evaluator === undefined) throw error
        report(error)
      }
      process.on("uncaughtException", onError)
      process.on("unhandledRejection", onError)
      return onError
    }),
    (onError) =>
      Effect.sync(() => {
        process.off("uncaughtException", onError)
        process.off("unhandledRejection", onError)
      })
  )

const remember = ({ editor, history, session }: Terminal, line: string): void => {
  if (!isKept(line) || session.history.at(-1) === line) return
  session.history.push(line)
  if (session.history.length > historyMax) session.history.shift()
  history.append(line)
  editor.keep(session.history.toReversed())
}

/** Runs one command. Ctrl-C ends it, and not the shell. */
const runInput = (terminal: Terminal, input: Extract<Input, { readonly kind: "ready" }>) =>
  Effect.gen(function* () {
    const { keyboard, session } = terminal
    const { output } = session
    const paging: Paging = makePaging({ output, keyboard, rows: () => process.stdout.rows || 24 }, session.pager ? process.env : { PAGER: "" })
    const startMs = performance.now()
    let ms = 0
    const work = Effect.scoped(input.run(paging)).pipe(Effect.ensuring(Effect.sync(() => (ms = performance.now() - startMs))))
    const fiber = yield* Effect.forkChild(work)
    keyboard.run(() => fiber.interruptUnsafe())
    const exit = yield* Fiber.await(fiber).pipe(Effect.onInterrupt(() => paging.stop))
    yield* paging.end.pipe(Effect.onInterrupt(() => paging.stop))
    if (Exit.isSuccess(exit)) {
      if (session.timer && !session.ended && exit.value?.untimed !== true)
        yield* output.write(`${paint(output.stdoutColours)("dim", timing(exit.value, ms))}\n`)
      return
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* output.note(`Stopped after ${timing(undefined, ms)}.`)
    const failure = failureOf(exit.cause)
    if (failure !== undefined) yield* output.note(formatFailure(failure, session.format === "json", output.stderrColours))
  })

const quitHint = "Press Ctrl-C again or Ctrl-D to end, or type .exit."

/** Reads lines until they make one input; `undefined` where there is none (any more). */
const readInput = Effect.fnUntraced(function* (terminal: Terminal, onInterrupt: (wasEmpty: boolean) => void) {
  const { editor, keyboard, session } = terminal
  terminal.pending = ""
  let text = ""
  let mayEnd: ((line: string) => boolean) | undefined
  for (;;) {
    const typed: Typed = yield* Effect.promise(() => editor.read(mayEnd === undefined ? promptOf(session) : "... "))
    if (typed.kind === "end") {
      session.ended = true
      yield* session.output.write("\n")
      return undefined
    }
    if (typed.kind === "interrupt") {
      onInterrupt(typed.wasEmpty && mayEnd === undefined)
      return undefined
    }
    text = mayEnd === undefined ? typed.text : `${text}\n${typed.text}`
    if (mayEnd !== undefined && !mayEnd(typed.text)) {
      terminal.pending = `${text}\n`
      continue
    }
    const input: Input = interpret(session, text, keyboard.blocking)
    if (input.kind === "nothing") return undefined
    if (input.kind === "ready") return input
    mayEnd = input.mayEnd
    terminal.pending = `${text}\n`
  }
})

export const runInteractive = Effect.fnUntraced(function* (
  session: Session,
  options: InteractiveOptions
): Effect.fn.Return<void, unknown, Output | Scope.Scope> {
  yield* banner(session, options.why)
  const terminal = yield* openTerminal(session, options)
  yield* guardBackground(session)
  const onHangUp = (): void => terminal.editor.end()
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", onHangUp)),
    () => Effect.sync(() => process.off("SIGHUP", onHangUp))
  )
  let interrupts = 0
  while (!session.ended) {
    const keyspaces = yield* Effect.result(session.db.keyspaces)
    terminal.keyspaces = keyspaces._tag === "Success" ? keyspaces.success.map(({ name }) => name) : []
    let wasInterrupt = false
    const input = yield* readInput(terminal, (wasEmpty) => {
      wasInterrupt = wasEmpty
    })
    if (wasInterrupt) {
      if (++interrupts > 1) break
      yield* session.output.note(quitHint)
      continue
    }
    interrupts = 0
    if (input === undefined) continue
    remember(terminal, input.line)
    yield* runInput(terminal, input)
  }
})
