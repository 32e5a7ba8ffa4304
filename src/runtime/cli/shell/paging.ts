/** Output longer than the screen: a screen at a time, through a program or by itself. */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { OutputShape } from "../Output.ts"
import type { Keyboard } from "./Keyboard.ts"
import { textWidth } from "../format/textWidth.ts"
import { PagerClosed, type Writer } from "./Writer.ts"

type Environment = Readonly<Record<string, string | undefined>>

const isProgram = (name: string, env: Environment): boolean =>
  (name.includes("/") ? [""] : (env["PATH"] ?? "").split(path.delimiter)).some((folder) => {
    try {
      const file = path.join(folder, name)
      fs.accessSync(file, fs.constants.X_OK)
      return fs.statSync(file).isFile()
    } catch {
      return false
    }
  })

/** What pages: a command for the shell, the pager built in, or nothing (an empty $PAGER, or cat). */
export const pagerOf = (env: Environment): { readonly kind: "command"; readonly command: string } | { readonly kind: "more" | "none" } => {
  const given = env["PAGER"]?.trim()
  if (given === "" || given === "cat") return { kind: "none" }
  const [program = ""] = given?.split(/\s+/) ?? []
  if (given !== undefined && isProgram(program, env)) return { kind: "command", command: given }
  return env["TERM"] !== "dumb" && isProgram("less", env) ? { kind: "command", command: "less -FRX" } : { kind: "more" }
}

/** Rows the text takes on the screen. */
const rowsOf = (line: string, columns: number): number => Math.max(1, Math.ceil(textWidth(line) / columns))

export interface Paging extends Writer {
  /** After the last write: shows what is left, and waits for the pager to be left. */
  readonly end: Effect.Effect<void>
  /** The shell ends: its pager too. */
  readonly stop: Effect.Effect<void>
}

interface Screen {
  readonly output: OutputShape
  readonly rows: () => number
  readonly keyboard: Keyboard
}

/** A program that takes its text from a pipe and its keys from the terminal. */
class Program {
  readonly #child: ChildProcess
  readonly #giveBack: () => void
  readonly ended: Promise<void>
  #closed = false

  constructor(command: string, keyboard: Keyboard) {
    this.#giveBack = keyboard.lend()
    this.#child = spawn("/bin/sh", ["-c", command], {
      stdio: ["pipe", "inherit", "inherit"],
      // A plain `less` would show colours as codes, and page what fits.
      env: { ...process.env, LESS: process.env["LESS"] ?? "FRX" }
    })
    this.ended = new Promise((resolve) => {
      const done = (): void => {
        if (!this.#closed) this.#giveBack()
        this.#closed = true
        resolve()
      }
      this.#child.once("close", done)
      this.#child.once("error", done)
    })
    this.#child.stdin?.on("error", () => {
      // It was left before the end of the text: the write that follows says so.
    })
  }

  write(chunk: string | Uint8Array): Effect.Effect<void, PagerClosed> {
    return Effect.callback((resume) => {
      const { stdin } = this.#child
      if (this.#closed || stdin === null || !stdin.writable) return resume(Effect.fail(new PagerClosed()))
      const left = (): void => resume(Effect.fail(new PagerClosed()))
      this.#child.once("close", left)
      stdin.write(chunk, (error) => {
        this.#child.off("close", left)
        resume(error === null || error === undefined ? Effect.void : Effect.fail(new PagerClosed()))
      })
    })
  }

  /** Waits until the person has left it. */
  readonly end: Effect.Effect<void> = Effect.promise(() => {
    this.#child.stdin?.end()
    return this.ended
  })

  stop(): void {
    this.#child.kill()
  }
}

const morePrompt = "-- more -- (space: page, enter: line, q: stop)"

/** Waits for a key: how many more rows to show. */
const askMore = ({ keyboard, output, rows }: Screen): Effect.Effect<number, PagerClosed> =>
  Effect.andThen(
    Effect.ignore(output.write(morePrompt)),
    Effect.callback<number, PagerClosed>((resume) => {
      const release = keyboard.read((bytes) => {
        const answer = ((): Effect.Effect<number, PagerClosed> | undefined => {
          switch (String.fromCharCode(bytes[0] ?? 0)) {
            case " ":
              return Effect.succeed(Math.max(1, rows() - 1))
            case "\r":
            case "\n":
              return Effect.succeed(1)
            case "q":
            case "Q":
            case "\u0003":
            case "\u0004":
              return Effect.fail(new PagerClosed())
            default:
              return undefined
          }
        })()
        if (answer === undefined) return
        release()
        resume(Effect.andThen(Effect.ignore(output.write(`\r${" ".repeat(morePrompt.length)}\r`)), answer))
      })
      return Effect.sync(release)
    })
  )

/** Holds back the first screen until it is known whether there is more. */
export const makePaging = (screen: Screen, env: Environment): Paging => {
  const { keyboard, output, rows } = screen
  const pager = pagerOf(env)
  let held = ""
  let heldRows = 0
  let program: Program | undefined
  let paging = pager.kind === "none"
  let rowsLeft = 0

  const more = Effect.fnUntraced(function* (text: string) {
    const lines = text.split("\n")
    const last = lines.pop()
    for (const line of lines) {
      const needed = rowsOf(line, output.columns())
      if (rowsLeft < needed) rowsLeft = yield* askMore(screen)
      rowsLeft -= needed
      yield* output.write(`${line}\n`)
    }
    if (last !== undefined && last !== "") yield* output.write(last)
  })

  const show = (text: string | Uint8Array) => {
    if (pager.kind === "none") return output.write(text)
    if (program !== undefined) return program.write(text)
    return more(typeof text === "string" ? text : Buffer.from(text).toString())
  }

  return {
    write: (chunk) =>
      Effect.suspend(() => {
        if (paging) return show(chunk)
        const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()
        held += text
        for (const line of text.split("\n").slice(1)) heldRows += rowsOf(line, output.columns())
        if (heldRows < rows()) return Effect.void
        paging = true
        if (pager.kind === "command") program = new Program(pager.command, keyboard)
        else rowsLeft = rows() - 1
        const first = held
        held = ""
        return show(first)
      }),
    end: Effect.suspend(() => {
      if (program !== undefined) return program.end
      const rest = held
      held = ""
      return rest === "" ? Effect.void : Effect.ignore(output.write(rest))
    }),
    stop: Effect.sync(() => program?.stop())
  }
}
