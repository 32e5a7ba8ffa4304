/** Lines with editing, history and completion, over `node:readline`. */
import * as readline from "node:readline"
import type { Keyboard } from "./Keyboard.ts"

export type Typed =
  | { readonly kind: "line"; readonly text: string }
  /** Ctrl-C; `wasEmpty`: there was nothing to take back. */
  | { readonly kind: "interrupt"; readonly wasEmpty: boolean }
  /** Ctrl-D, or the terminal has gone. */
  | { readonly kind: "end" }

/** What may stand in place of the last part of the line, and that part. */
export type Completion = readonly [candidates: ReadonlyArray<string>, typed: string]
export type Completer = (line: string) => Completion | Promise<Completion>

export class LineEditor {
  readonly #keyboard: Keyboard
  readonly #reader: readline.Interface
  /** Newest first, as `node:readline` keeps it. */
  #kept: ReadonlyArray<string>
  #list: Array<string> | undefined
  #resolve: ((typed: Typed) => void) | undefined
  #ended = false

  constructor(keyboard: Keyboard, output: NodeJS.WriteStream, history: ReadonlyArray<string>, historyMax: number, completer: Completer) {
    this.#keyboard = keyboard
    this.#kept = history
    this.#reader = readline.createInterface({
      input: keyboard.gate,
      output,
      terminal: true,
      history: [...history],
      historySize: historyMax,
      completer: (line: string, callback: (error: Error | null, result?: [Array<string>, string]) => void) => {
        const answer = ([candidates, typed]: Completion): void => callback(null, [[...candidates], typed])
        const found = completer(line)
        if (!(found instanceof Promise)) return answer(found)
        // A completion that fails is none.
        found.then(answer, () => answer([[], line]))
      }
    })
    this.#reader.on("line", (text) => this.#answer({ kind: "line", text }))
    this.#reader.on("SIGINT", () => {
      const wasEmpty = this.#reader.line === ""
      // The line stays to be read; it is only not run.
      output.write(wasEmpty ? "\n" : "^C\n")
      this.#answer({ kind: "interrupt", wasEmpty })
    })
    this.#reader.on("SIGCONT", () => this.#reader.prompt(true))
    this.#reader.on("close", () => {
      this.#ended = true
      this.#answer({ kind: "end" })
    })
    // It adds each line by itself. What is kept is decided by whole commands, so its list is put back.
    this.#reader.on("history", (list) => {
      this.#list = list
      list.splice(0, list.length, ...this.#kept)
    })
  }

  #answer(typed: Typed): void {
    const resolve = this.#resolve
    this.#resolve = undefined
    this.#keyboard.run(() => undefined)
    resolve?.(typed)
  }

  read(prompt: string): Promise<Typed> {
    if (this.#ended) return Promise.resolve({ kind: "end" })
    return new Promise((resolve) => {
      this.#resolve = resolve
      // Also takes away what Ctrl-C left in the line.
      this.#reader.write(null, { ctrl: true, name: "e" })
      this.#reader.write(null, { ctrl: true, name: "u" })
      this.#reader.setPrompt(prompt)
      this.#reader.prompt()
      this.#keyboard.edit()
    })
  }

  /** For arrow up, newest first. */
  keep(history: ReadonlyArray<string>): void {
    this.#kept = history
    this.#list?.splice(0, this.#list.length, ...history)
  }

  /** The terminal has gone: whoever waits for a line is told. */
  end(): void {
    this.#reader.close()
  }

  close(): void {
    this.#resolve = undefined
    this.#reader.close()
  }
}
