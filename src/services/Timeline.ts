/**
 * When what was committed, as far as history is kept: time marks, which are rows of keyspace 0 and come with the first commit of each second. Synchronous.
 *
 * The commit turn asks `due` with its commit time, puts the rows it names into the batch, and tells `noted` the sequence: in the very turn, so that the marks are those of the
 * commit order. A database that keeps no history writes none.
 */
import * as Context from "effect/Context"

/** What a commit brings along. */
export interface DueMark {
  readonly second: number
  readonly isLast: boolean
  /** A row to put into keyspace 0. */
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** Rows of keyspace 0 to delete: marks that nobody can ask for any more. */
  readonly obsolete: ReadonlyArray<Uint8Array>
}

export class Timeline extends Context.Service<
  Timeline,
  {
    /** The mark that a commit at this engine time must bring; undefined: none, as nearly always. */
    readonly due: (commitTimeMs: number) => DueMark | undefined
    /** The commit with the mark was sequenced. Call what it returns when that commit fails. */
    readonly noted: (mark: DueMark, sequence: number) => () => void
    /** Engine time, in ms, at which `sequence` is seen: its second, or where no time is known the next one that is. Undefined: there is none. */
    readonly timeOf: (sequence: number) => number | undefined
    /** The last sequence before the given second since 1970, `newest` where there was none since; undefined where the times are not known. */
    readonly sequenceBefore: (second: number, newest: number) => number | undefined
    /** The sequence from which on everything that happened in or after that second is; at most `newest`. */
    readonly floorAt: (second: number, newest: number) => number
  }
>()("lightning-db/services/Timeline") {}
