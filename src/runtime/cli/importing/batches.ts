/** Packs entries into atomic batches, and keeps count of what was refused and why. */
import type { WriteOperation } from "../../../services/Database.ts"

/** One entry of the input: its put, with the puts that belong to it (its metadata), and what it is called when something is wrong with it. */
export interface ImportItem {
  readonly type: "item"
  readonly operations: ReadonlyArray<WriteOperation>
  /** Bytes of keys and values, as counted in the summary. */
  readonly bytes: number
}

/** Input that cannot be stored. */
export interface ImportProblem {
  readonly type: "problem"
  /** The file it is in. */
  readonly file: string
  /** From 1, where the file is read by lines. */
  readonly line?: number | undefined
  readonly reason: string
}

/** Left out on purpose: counted, never a failure. */
export interface ImportSkip {
  readonly type: "skip"
  readonly reason: string
}

export type ImportEvent = ImportItem | ImportProblem | ImportSkip

export interface ImportBatch {
  readonly operations: ReadonlyArray<WriteOperation>
  readonly entries: number
  readonly bytes: number
  /** Bytes of input consumed up to the end of this batch, for progress. */
  readonly inputBytes: number
  /** Nothing follows: this is what stopped the import. What came before it is in this batch. */
  readonly stop?: ImportProblem | undefined
}

export interface BatchOptions {
  readonly onError: "stop" | "skip"
  readonly operationsMax: number
  readonly bytesMax: number
}

/** Counts of what did not become entries. */
export interface ImportTally {
  problems: number
  /** The first few, for the summary. */
  readonly firstProblems: Array<ImportProblem>
  readonly skips: Map<string, number>
}

export const makeTally = (): ImportTally => ({ problems: 0, firstProblems: [], skips: new Map() })

const firstProblemsMax = 20

/**
 * Yields batches of at most `operationsMax` operations and about `bytesMax` bytes (an entry larger than that goes alone). `inputBytes` is read at each yield.
 * With `onError` "stop" the first problem ends the sequence, after everything before it.
 */
export async function* packBatches(
  source: AsyncIterable<ReadonlyArray<ImportEvent>>,
  options: BatchOptions,
  tally: ImportTally,
  inputBytes: () => number,
  onProblem: (problem: ImportProblem) => void
): AsyncGenerator<ImportBatch, void, undefined> {
  let operations: Array<WriteOperation> = []
  let entries = 0
  let bytes = 0
  const flush = (stop?: ImportProblem): ImportBatch => {
    const batch: ImportBatch = { operations, entries, bytes, inputBytes: inputBytes(), ...(stop === undefined ? {} : { stop }) }
    operations = []
    entries = 0
    bytes = 0
    return batch
  }
  for await (const events of source) {
    for (const event of events) {
      if (event.type === "skip") tally.skips.set(event.reason, (tally.skips.get(event.reason) ?? 0) + 1)
      else if (event.type === "problem") {
        tally.problems++
        if (tally.firstProblems.length < firstProblemsMax) tally.firstProblems.push(event)
        if (options.onError === "stop") return yield flush(event)
        onProblem(event)
      } else {
        if (entries > 0 && (operations.length + event.operations.length > options.operationsMax || bytes + event.bytes > options.bytesMax))
          yield flush()
        operations.push(...event.operations)
        entries++
        bytes += event.bytes
      }
    }
  }
  if (entries > 0) yield flush()
}

/** "data.jsonl:17: not JSON: …" */
export const formatProblem = (problem: ImportProblem): string =>
  `${problem.file}${problem.line === undefined ? "" : `:${problem.line}`}: ${problem.reason}`
