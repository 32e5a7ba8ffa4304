/**
 * A whole terminal that is redrawn in place. It is drawn on the alternate screen, so that what was on the terminal is there again afterwards, whatever ends it: the scope gives
 * everything back.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { stripVTControlCharacters } from "node:util"
import type { OutputClosed } from "../CliFailure.ts"
import { cutToWidth, textWidth } from "../format/textWidth.ts"
import { Output } from "../Output.ts"

const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"
const home = "\u001b[H"
const clearLine = "\u001b[K"
const clearBelow = "\u001b[J"

const keyInterrupt = "\u0003"
const keyEscape = "\u001b"

/** What somebody wants who typed this; several keys may come at once, and an arrow key is a sequence that begins with the escape character. */
const wishOf = (typed: string): "quit" | "interrupt" | undefined => {
  if (typed.includes(keyInterrupt)) return "interrupt"
  if (typed === keyEscape) return "quit"
  // oxlint-disable-next-line no-control-regex
  return /q/i.test(typed.replaceAll(/\u001b[[O][\d;]*[ -~]/g, "")) ? "quit" : undefined
}

export interface Screen {
  /** Draws, again whenever the terminal changes its size, and waits until the time is over or somebody has had enough. Ctrl-C interrupts. */
  readonly drawUntil: (frame: () => ReadonlyArray<string>, ms: number) => Effect.Effect<"quit" | "time", OutputClosed>
}

/** Lines that fit: cut to the columns (a coloured line that is too long loses its colours), and to the rows. The last row stays free, so that nothing scrolls. */
export const fitLines = (lines: ReadonlyArray<string>, columns: number, rows: number): ReadonlyArray<string> => {
  const fitting = lines.map((line) => {
    const text = stripVTControlCharacters(line)
    return textWidth(text) <= columns ? line : cutToWidth(text, columns)
  })
  const room = Math.max(1, rows - 1)
  return fitting.length <= room ? fitting : [...fitting.slice(0, room - 1), cutToWidth(`… ${lines.length - room + 1} more lines`, columns)]
}

export const openScreen: Effect.Effect<Screen, OutputClosed, Output | Scope.Scope> = Effect.gen(function* () {
  const output = yield* Output
  const { stdin, stdout } = process
  const readsKeys = stdin.isTTY === true
  yield* Effect.acquireRelease(output.write(enter), () => Effect.ignore(output.write(leave)))
  /** Typed at any time, also while the database is asked. */
  let wish: "quit" | "interrupt" | undefined
  let onWish: (() => void) | undefined
  let onResize: (() => void) | undefined
  const keyed = (chunk: Buffer): void => {
    wish ??= wishOf(chunk.toString())
    if (wish !== undefined) onWish?.()
  }
  const resized = (): void => onResize?.()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      stdout.on("resize", resized)
      if (!readsKeys) return
      stdin.setRawMode(true)
      stdin.on("data", keyed)
      stdin.resume()
    }),
    () =>
      Effect.sync(() => {
        stdout.off("resize", resized)
        if (!readsKeys) return
        stdin.off("data", keyed)
        stdin.setRawMode(false)
        // An open standard input would keep the process from ending.
        stdin.pause()
      })
  )
  const draw = (frame: () => ReadonlyArray<string>) => {
    const lines = fitLines(frame(), Math.max(1, stdout.columns ?? 80), Math.max(2, stdout.rows ?? 24))
    return output.write(home + lines.map((line) => `${line}${clearLine}\r\n`).join("") + clearBelow)
  }
  const pause = (ms: number): Effect.Effect<"quit" | "time" | "resize"> =>
    Effect.callback<"quit" | "time" | "resize">((resume) => {
      const timer = setTimeout(() => end("time"), ms)
      const end = (what: "quit" | "time" | "resize" | "interrupt") => {
        clearTimeout(timer)
        resume(what === "interrupt" ? Effect.interrupt : Effect.succeed(what))
      }
      onResize = () => end("resize")
      onWish = () => {
        if (wish !== undefined) end(wish)
      }
      onWish()
      return Effect.sync(() => clearTimeout(timer))
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          onResize = undefined
          onWish = undefined
        })
      )
    )
  const drawUntil = (frame: () => ReadonlyArray<string>, ms: number): Effect.Effect<"quit" | "time", OutputClosed> =>
    Effect.gen(function* () {
      const endsMs = performance.now() + ms
      for (;;) {
        yield* draw(frame)
        const what = yield* pause(Math.max(0, endsMs - performance.now()))
        if (what !== "resize") return what
      }
    })
  return { drawUntil }
})
