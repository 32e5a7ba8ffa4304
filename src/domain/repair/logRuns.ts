/** A group of the log that is what was written. */
export interface LoggedGroup {
  readonly firstSequence: number
  readonly count: number
  /** Whether it names the group before it, in log order, as its previous one: then nothing is missing between. */
  readonly follows: boolean
}

/** Groups that follow one another without a hole. */
export interface LogRun {
  /** Which of the groups, oldest first. */
  readonly groups: ReadonlyArray<number>
  readonly first: number
  readonly last: number
}

/**
 * Cuts the groups of a log, in order, where something is missing. Sequences that adjoin prove that nothing is; so does the chain of sums, over sequences that were given up. A group that
 * was written again by an open is passed over the second time.
 */
export const runsOf = (groups: ReadonlyArray<LoggedGroup>): ReadonlyArray<LogRun> => {
  const runs: Array<{ readonly groups: Array<number>; readonly first: number; last: number }> = []
  groups.forEach(({ count, firstSequence, follows }, index) => {
    const last = firstSequence + count - 1
    const run = runs.at(-1)
    if (run !== undefined && last <= run.last && firstSequence >= run.first) return
    if (run !== undefined && firstSequence > run.last && (follows || firstSequence === run.last + 1)) {
      run.groups.push(index)
      run.last = last
    } else runs.push({ groups: [index], first: firstSequence, last })
  })
  return runs
}

export interface ChosenRun {
  /** Undefined: nothing of the log is of use. */
  readonly run: LogRun | undefined
  /** Everything up to here is in tables or in the run. */
  readonly through: number
  /** Transactions behind the hole, whose groups are sound and are left out: what came before them is missing. */
  readonly later: number
  /** The last of them; `through` where there is none. */
  readonly laterThrough: number
}

/**
 * Of the log, what goes on from the tables without a hole: the longest prefix. `flushed` is the last sequence that is in tables. Groups behind a hole are not taken: what is between
 * may have been conditions of theirs.
 */
export const chooseRun = (runs: ReadonlyArray<LogRun>, flushed: number, isGap: (from: number, to: number) => boolean): ChosenRun => {
  let run: LogRun | undefined
  for (const candidate of runs) {
    if (candidate.last < flushed) continue
    if (candidate.first <= flushed + 1 || isGap(flushed + 1, candidate.first)) run = candidate
    break
  }
  const through = Math.max(flushed, run?.last ?? 0)
  let later = 0
  let laterThrough = through
  for (const candidate of runs) {
    if (candidate === run || candidate.last <= through) continue
    later += candidate.last - Math.max(through, candidate.first - 1)
    laterThrough = Math.max(laterThrough, candidate.last)
  }
  return { run, through, later, laterThrough }
}
