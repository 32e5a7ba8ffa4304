/** What the process whose system calls fail and the one that looks afterwards have to agree on. */
export const injectedWriters = 8
export const writesPerWriter = 25

export interface InjectedNotes {
  readonly loaded: boolean
  readonly opened: boolean
  readonly done: boolean
  readonly acknowledged: ReadonlyMap<string, number>
  /** Begun, and without an answer or with an unknown one. */
  readonly open: ReadonlySet<string>
  /** Answered with an error that says the write was not done. */
  readonly refused: ReadonlySet<string>
  /** Tags of errors, with what gave them. */
  readonly errors: ReadonlySet<string>
  /** What must never be: wrong answers, defects. */
  readonly complaints: ReadonlyArray<string>
}

/** The last line may be cut. */
export const readInjectedNotes = (text: string): InjectedNotes => {
  const acknowledged = new Map<string, number>()
  const open = new Set<string>()
  const refused = new Set<string>()
  const errors = new Set<string>()
  const complaints: Array<string> = []
  const marks = new Set<string>()
  const heard = (what: string, tag: string): void => {
    if (tag.startsWith("Defect") || tag.startsWith("Untyped")) complaints.push(`${what}: ${tag}`)
    else errors.add(`${what} ${tag}`)
  }
  for (const line of text.split("\n").slice(0, -1)) {
    const [mark = "", first = "", ...others] = line.split(" ")
    const rest = others.join(" ")
    if (mark === "?") open.add(first)
    else if (mark === "!") {
      open.delete(first)
      acknowledged.set(first, Number(rest))
    } else if (mark === "-") {
      heard("write", rest)
      if (rest === "CommitOutcomeUnknown") continue
      open.delete(first)
      refused.add(first)
    } else if (mark === "m") heard(first, rest)
    else if (mark === "r") heard("get", rest)
    else if (mark === "o") heard("open", [first, ...others].join(" "))
    else if (mark === "w") complaints.push(line)
    else marks.add(mark)
  }
  return { loaded: marks.has("loaded"), opened: marks.has("open"), done: marks.has("done"), acknowledged, open, refused, errors, complaints }
}
