/**
 * What transactions did, as their callers saw it: the material of the checker. Objects are of two kinds. A list holds numbers, each appended once in the whole history; a
 * register holds a number, each written once, or nothing. A caller keeps to one kind per key. Keys are compared as text.
 */
import * as Effect from "effect/Effect"
import type { IsolationLevel } from "../../../src/services/Transaction.ts"

export type RecordedOperation =
  | { readonly kind: "append"; readonly key: string; readonly element: number }
  | { readonly kind: "readList"; readonly key: string; readonly elements: ReadonlyArray<number> }
  /** `value` undefined deletes. */
  | { readonly kind: "write"; readonly key: string; readonly value: number | undefined }
  | { readonly kind: "read"; readonly key: string; readonly value: number | undefined }
  /** Registers in [from, to): each one not found was read as missing. */
  | { readonly kind: "scan"; readonly from: string; readonly to: string; readonly found: ReadonlyMap<string, number> }
  | { readonly kind: "deleteRange"; readonly from: string; readonly to: string }

export const isWrite = ({ kind }: RecordedOperation): boolean => kind === "append" || kind === "write" || kind === "deleteRange"

/** `fail`: certainly without effect. `unknown`: nobody was told; an effect that is seen makes it `ok`, at no known end. */
export type Outcome = "ok" | "fail" | "unknown"

export interface RecordedTransaction {
  readonly id: number
  readonly level: IsolationLevel
  /** Moments of one counter for the whole history: before the call that began it, and after the answer that ended it. */
  readonly begun: number
  readonly ended: number
  readonly outcome: Outcome
  /** Tag of the error where it failed. */
  readonly error?: string | undefined
  /** The last sequence of its snapshot, as the engine says; undefined for a write without reads, or where it is not known. */
  readonly snapshot?: number | undefined
  /** Its place in the commit order, where it wrote and its caller was told. */
  readonly sequence?: number | undefined
  readonly operations: ReadonlyArray<RecordedOperation>
}

export type History = ReadonlyArray<RecordedTransaction>

export interface OpenRecord {
  readonly add: (operation: RecordedOperation) => void
  readonly readAt: (snapshot: number) => void
  readonly wrote: () => boolean
  /** Forgets what was done while `inner` ran: its writes were taken back, and what it read of them was nobody's business. */
  readonly without: <A, E, R>(inner: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly end: (outcome: Outcome, told?: { readonly sequence?: number | undefined; readonly error?: string | undefined }) => void
}

/** Notes transactions as they begin and end. What has not ended when the history is taken is `unknown`. */
export class HistoryRecorder {
  #moment = 0
  #openNow = 0
  readonly #transactions: Array<RecordedTransaction & { readonly open: boolean }> = []
  /** The most transactions that were open at the same time. */
  openMax = 0

  begin(level: IsolationLevel): OpenRecord {
    const id = this.#transactions.length
    const operations: Array<RecordedOperation> = []
    const begun = this.#moment++
    let snapshot: number | undefined
    this.#transactions.push({ id, level, begun, ended: Infinity, outcome: "unknown", operations, open: true })
    this.openMax = Math.max(this.openMax, ++this.#openNow)
    return {
      add: (operation) => void operations.push(operation),
      readAt: (sequence) => {
        snapshot = sequence
        this.#transactions[id] = { ...this.#transactions[id]!, snapshot }
      },
      wrote: () => operations.some(isWrite),
      without: (inner) =>
        Effect.suspend(() => {
          const { length } = operations
          return Effect.tap(inner, () => Effect.sync(() => void operations.splice(length)))
        }),
      end: (outcome, told) => {
        if (!this.#transactions[id]!.open) throw new Error(`transaction ${id} ended twice`)
        this.#openNow--
        const ended = outcome === "unknown" ? Infinity : this.#moment++
        this.#transactions[id] = { id, level, begun, ended, outcome, error: told?.error, snapshot, sequence: told?.sequence, operations, open: false }
      }
    }
  }

  get history(): History {
    return this.#transactions
  }
}
