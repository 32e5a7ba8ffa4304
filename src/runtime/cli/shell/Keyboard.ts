/**
 * The keys of a terminal, given to whom they are for at the moment: the line editor, a running command (which hears only Ctrl-C; the rest waits for the next prompt) or a pager. The
 * terminal is in raw mode throughout, so Ctrl-C is a key here and not a signal, but where code or another program blocks.
 */
import { Readable } from "node:stream"
import type { ReadStream } from "node:tty"

type Mode = "editing" | "running" | "reading" | "lent"

const interruptByte = 3
const tab = 9
const lineFeed = 10
const lineReturn = 13

/** What the line editor reads from: what it is given, and when. */
export class Gate extends Readable {
  readonly isTTY = true
  /** The line editor waits for a completion: keys wait, too. */
  isHeld = false
  readonly #rawMode: (raw: boolean) => void
  readonly #resumed: () => void

  constructor(rawMode: (raw: boolean) => void, resumed: () => void) {
    super({ read: () => undefined })
    this.#rawMode = rawMode
    this.#resumed = resumed
  }

  override pause(): this {
    this.isHeld = true
    return this
  }

  override resume(): this {
    const wasHeld = this.isHeld
    this.isHeld = false
    if (wasHeld) this.#resumed()
    return this
  }

  /** The line editor sees it before this returns. */
  give(bytes: Uint8Array): void {
    this.emit("data", bytes)
  }

  setRawMode(raw: boolean): this {
    this.#rawMode(raw)
    return this
  }
}

export class Keyboard {
  readonly gate: Gate
  readonly #stdin: ReadStream
  #mode: Mode = "running"
  #waiting: Buffer = Buffer.alloc(0)
  #interrupt: () => void = () => undefined
  #read: ((bytes: Buffer) => void) | undefined
  #lastWasReturn = false
  #isGone = false
  readonly #onData = (bytes: Buffer): void => this.#take(bytes)
  readonly #onSignal = (): void => {
    if (this.#mode !== "lent") this.#interrupt()
  }
  #displaced: Array<NodeJS.SignalsListener> = []

  /** `ended` is called when the terminal has gone. */
  constructor(stdin: ReadStream, ended: () => void) {
    this.#stdin = stdin
    this.gate = new Gate(
      (raw) => this.#setRawMode(raw),
      () => setImmediate(() => this.#feed())
    )
    this.#setRawMode(true)
    stdin.on("data", this.#onData)
    // A terminal that has gone fails at every change of its mode, and each failure is told here.
    const gone = (): void => {
      if (this.#isGone) return
      this.#isGone = true
      ended()
    }
    stdin.on("end", gone)
    stdin.on("error", gone)
    // SIGINT from outside, and where the terminal is not raw, is the same as the key. The listeners of the command line would end the shell: they are back when it closes.
    process.on("SIGINT", this.#onSignal)
    this.#displaced = process.listeners("SIGINT").filter((listener) => listener !== this.#onSignal)
    for (const listener of this.#displaced) process.off("SIGINT", listener)
    stdin.resume()
  }

  #setRawMode(raw: boolean): void {
    if (!this.#isGone && !this.#stdin.destroyed) this.#stdin.setRawMode(raw)
  }

  #take(bytes: Buffer): void {
    if (this.#mode === "reading") return this.#read?.(bytes)
    const at = this.#mode === "running" ? bytes.lastIndexOf(interruptByte) : -1
    if (at >= 0) {
      // What was typed ahead of it is taken back with it, as a terminal does.
      this.#waiting = bytes.subarray(at + 1)
      this.#interrupt()
      return
    }
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes])
    this.#feed()
  }

  /** One line at a time: the rest of a paste waits until the line has been run. What follows a Tab waits until that has been answered. */
  #feed(): void {
    while (this.#mode === "editing" && !this.gate.isHeld && this.#waiting.length > 0) {
      const bytes = this.#waiting
      if (this.#lastWasReturn && bytes[0] === lineFeed) {
        this.#lastWasReturn = false
        this.#waiting = bytes.subarray(1)
        continue
      }
      const at = bytes.findIndex((byte) => byte === lineFeed || byte === lineReturn || byte === tab)
      // What ends a part goes alone, after it.
      const end = at < 0 ? bytes.length : Math.max(1, at)
      const part = bytes.subarray(0, end)
      this.#waiting = bytes.subarray(end)
      this.#lastWasReturn = at === 0 && part[0] === lineReturn
      this.gate.give(at === 0 && part[0] === lineFeed ? Buffer.of(lineReturn) : part)
    }
  }

  /** Keys go to the line editor; what was typed ahead comes first. */
  edit(): void {
    this.#mode = "editing"
    // The prompt is there before the first key of what was typed ahead.
    setImmediate(() => this.#feed())
  }

  /** Keys wait; Ctrl-C calls `interrupt`. */
  run(interrupt: () => void): void {
    this.#mode = "running"
    this.#interrupt = interrupt
  }

  /** Keys go to `read` until what it returns is called. */
  read(read: (bytes: Buffer) => void): () => void {
    const before = this.#mode
    this.#mode = "reading"
    this.#read = read
    return () => {
      this.#mode = before
      this.#read = undefined
    }
  }

  /** Another program has the terminal until what this returns is called. */
  lend(): () => void {
    const before = this.#mode
    this.#mode = "lent"
    this.#stdin.pause()
    this.#setRawMode(false)
    return () => {
      this.#setRawMode(true)
      this.#stdin.resume()
      this.#mode = before
    }
  }

  /** Runs what may block: Ctrl-C is a signal meanwhile. */
  readonly blocking = <A>(run: () => A): A => {
    this.#setRawMode(false)
    try {
      return run()
    } finally {
      this.#setRawMode(true)
    }
  }

  close(): void {
    this.#stdin.off("data", this.#onData)
    this.#setRawMode(false)
    for (const listener of this.#displaced) process.on("SIGINT", listener)
    process.off("SIGINT", this.#onSignal)
    this.#stdin.pause()
    this.gate.destroy()
  }
}
