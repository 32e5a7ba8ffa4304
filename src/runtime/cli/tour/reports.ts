/**
 * What the writing child tells its parent over a pipe: `+ writer number` before a write begins, `= writer number` once it is acknowledged. Each is written by a
 * blocking system call before the child goes on, so whatever the child did before it was killed can be read from the pipe afterwards.
 */
import { writers } from "./records.ts"

export const startedLine = (writer: number, number: number): string => `+ ${writer} ${number}\n`
export const acknowledgedLine = (writer: number, number: number): string => `= ${writer} ${number}\n`

/** Reads the child's reports. A last line that was cut in the middle is no report. */
export class Reports {
  /** How many writes each writer has begun, and how many of them were acknowledged; numbers run from 0, so these are counts and next numbers at once. */
  readonly started: Array<number> = Array.from({ length: writers }, () => 0)
  readonly acknowledged: Array<number> = Array.from({ length: writers }, () => 0)
  #rest = ""

  push(text: string): void {
    const lines = (this.#rest + text).split("\n")
    this.#rest = lines.pop()!
    for (const line of lines) {
      const [kind, writer, number] = line.split(" ")
      const counts = kind === "+" ? this.started : kind === "=" ? this.acknowledged : undefined
      const index = Number(writer)
      if (counts === undefined || counts[index] !== Number(number))
        throw new Error(`the writing process reported ${JSON.stringify(line)} out of turn`)
      counts[index]!++
    }
  }

  get acknowledgedTotal(): number {
    return this.acknowledged.reduce((sum, n) => sum + n, 0)
  }

  /** Writes begun and not acknowledged. */
  get inFlight(): number {
    return this.started.reduce((sum, n) => sum + n, 0) - this.acknowledgedTotal
  }
}
