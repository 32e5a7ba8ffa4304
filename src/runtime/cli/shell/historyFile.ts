/** What was typed, from one session to the next: one line each in a file that only its owner reads. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { ioReason } from "../explain.ts"

export const historyMax = 1_000
/** A longer line is not kept: it is data, not a command. */
const lineCharsMax = 10_000

type Environment = Readonly<Record<string, string | undefined>>

/** A relative $XDG_STATE_HOME is invalid by its specification, and ignored. */
export const historyPath = (env: Environment): string => {
  const state = env["XDG_STATE_HOME"]
  const home = env["HOME"]
  const base =
    state !== undefined && path.isAbsolute(state) ? state : path.join(home === undefined || home === "" ? os.homedir() : home, ".local", "state")
  return path.join(base, "lightning", "history")
}

export class HistoryFile {
  readonly #file: string | undefined
  readonly #note: (line: string) => void
  #failed = false

  /** Without a file nothing is kept beyond the session. `note` is told, once, that the file cannot be used. */
  constructor(file: string | undefined, note: (line: string) => void) {
    this.#file = file
    this.#note = note
  }

  #attempt<A>(run: (file: string) => A): A | undefined {
    if (this.#file === undefined || this.#failed) return undefined
    try {
      return run(this.#file)
    } catch (error) {
      this.#failed = true
      this.#note(`The history is not kept: ${this.#file}: ${ioReason(error)}`)
      return undefined
    }
  }

  /** Oldest first. Cuts the file to its newest lines where it has become twice as long as it may be. */
  load(): Array<string> {
    return (
      this.#attempt((file) => {
        if (!fs.existsSync(file)) return []
        const all = fs.readFileSync(file, "utf8").split("\n").filter(isKept)
        const lines = all.slice(-historyMax)
        fs.chmodSync(file, 0o600)
        if (all.length > historyMax) {
          // Another shell that writes to it at this moment loses its last line at most.
          const next = `${file}.${process.pid}`
          fs.writeFileSync(next, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 })
          fs.renameSync(next, file)
        }
        return lines
      }) ?? []
    )
  }

  /** Appends at once: several shells share the file, and a killed one loses nothing. */
  append(line: string): void {
    this.#attempt((file) => {
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
      fs.appendFileSync(file, `${line}\n`, { mode: 0o600 })
    })
  }
}

// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u001f\u007f-\u009f]/

/** Secrets are typed with a space before them. What could steer the terminal when it comes back is not kept either, and not taken from the file. */
export const isKept = (line: string): boolean => line.trim() !== "" && !line.startsWith(" ") && line.length <= lineCharsMax && !controls.test(line)
