/** Packs entries into atomic batches, and keeps count of what was refused and why. */
import type { WriteOperation } from "../../../services/Database.ts"

/** How far an event is into its source, so that an import can go on after it. */
interface Placed {
  /** Bytes of the decoded input up to its end; for a tree, how many things of it were looked at. */
  readonly end?: number | undefined
  /** Lines up to its end. */
  readonly lines?: number | undefined
  /** For a tree: a sum over names, sizes and times of all up to here, which tells whether it is still the same one. */
  readonly sum?: number | undefined
}

/** One entry of the input: its put, with the puts that belong to it (its metadata), and what it is called when something is wrong with it. */
export interface ImportItem extends Placed {
  readonly type: "item"
  readonly operations: ReadonlyArray<WriteOperation>
  /** Bytes of keys and values, as counted in the summary. */
  readonly bytes: number
}

/** Input that cannot be stored. */
export interface ImportProblem extends Placed {
  readonly type: "problem"
  /** The file it is in. */
  readonly file: string
  /** From 1, where the file is read by lines. */
  readonly line?: number | undefined
  readonly reason: string
  /** Nothing after it can be read: it ends the import also where problems are skipped. */
  readonly fatal?: boolean | undefined
}

/** Left out on purpose: counted, never a failure. */
export interface ImportSkip extends Placed {
  readonly type: "skip"
  readonly reason: string
}

export type ImportEvent = ImportItem | ImportProblem | ImportSkip

/** Counts of what did not become entries. */
export interface ImportTally {
  problems: number
  /** The first few, for the summary. */
  readonly firstProblems: Array<ImportProblem>
  readonly skips: Map<string, number>
}

export const makeTally = (before?: Pick<ImportPlace, "problems" | "skips">): ImportTally => ({
  problems: before?.problems ?? 0,
  firstProblems: [],
  skips: new Map(Object.entries(before?.skips ?? {}))
})

/** Where an import is after a batch: what comes next, and what was counted so far. */
export interface ImportPlace {
  /** Which of the sources, from 0. */
  readonly source: number
  readonly end: number
  readonly lines: number
  readonly sum: number
  readonly problems: number
  readonly skips: Readonly<Record<string, number>>
}

export interface ImportBatch {
  readonly operations: ReadonlyArray<WriteOperation>
  readonly entries: number
  readonly bytes: number
  /** Bytes of input consumed up to the end of this batch, for progress. */
  readonly inputBytes: number
  readonly place: ImportPlace
  /** Nothing follows. */
  readonly last: boolean
  /** What stopped the import, after what is in this batch. */
  readonly stop?: ImportProblem | undefined
}

export interface BatchOptions {
  readonly onError: "stop" | "skip"
  readonly operationsMax: number
  readonly bytesMax: number
  /** Which of the sources the group that was just taken belongs to. Default: there is one. */
  readonly source?: (() => number) | undefined
}

const firstProblemsMax = 20

/**
 * Yields batches of at most `operationsMax` operations and about `bytesMax` bytes (an entry larger than that goes alone); the last one says so, and may be empty. `inputBytes` is
 * read at each yield. With `onError` "stop" the first problem ends the sequence, after everything before it; a fatal one does in any case.
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
  let seen: ImportEvent | undefined
  let seenSource = 0
  const flush = (last: boolean, stop?: ImportProblem): ImportBatch => {
    const place: ImportPlace = {
      source: seenSource,
      end: seen?.end ?? 0,
      lines: seen?.lines ?? 0,
      sum: seen?.sum ?? 0,
      // The problem that stops an import is met again when it goes on.
      problems: stop === undefined ? tally.problems : tally.problems - 1,
      skips: Object.fromEntries(tally.skips)
    }
    const batch: ImportBatch = { operations, entries, bytes, inputBytes: inputBytes(), place, last, ...(stop === undefined ? {} : { stop }) }
    operations = []
    entries = 0
    bytes = 0
    return batch
  }
  for await (const events of source) {
    const from = options.source?.() ?? 0
    for (const event of events) {
      if (event.type === "skip") tally.skips.set(event.reason, (tally.skips.get(event.reason) ?? 0) + 1)
      else if (event.type === "problem") {
        tally.problems++
        if (tally.firstProblems.length < firstProblemsMax) tally.firstProblems.push(event)
        if (options.onError === "stop" || event.fatal === true) return yield flush(true, event)
        onProblem(event)
      } else {
        if (entries > 0 && (operations.length + event.operations.length > options.operationsMax || bytes + event.bytes > options.bytesMax))
          yield flush(false)
        for (const operation of event.operations) operations.push(operation)
        entries++
        bytes += event.bytes
      }
      seen = event
      seenSource = from
    }
  }
  yield flush(true)
}

/** "data.jsonl:17: not JSON: …" */
export const formatProblem = (problem: ImportProblem): string =>
  `${problem.file}${problem.line === undefined ? "" : `:${problem.line}`}: ${problem.reason}`
