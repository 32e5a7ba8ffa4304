import type { Loss } from "../../domain/repair/Loss.ts"
import type { DirectorySurvey } from "./surveyDirectory.ts"

/** What damage to the log has cost: committed transactions, or only what the change feed could have shown. */
export const logLosses = ({ directory, log, run, state }: DirectorySurvey): ReadonlyArray<Loss> => {
  const { later, laterThrough, through } = run
  const losses: Array<Loss> = []
  const used = new Set(run.run?.groups ?? [])
  // The last group that counts: damage before it has cost nothing that is not in tables, or written again elsewhere.
  let last: { readonly fileId: number; readonly offset: number } | undefined
  log.groups.forEach((group, index) => {
    if (used.has(index)) last = group
  })
  let isTold = false
  for (const { bytes, damage, fileId, sequences } of log.damages) {
    const { detail, file, offsetBytes, reason } = damage
    const isBefore = last !== undefined && (fileId < last.fileId || (fileId === last.fileId && offsetBytes < last.offset))
    const isInTables = sequences === undefined ? isBefore : sequences.last <= through
    // A sealed segment without a transaction holds nothing.
    const isEmpty = sequences === undefined && state?.segments.get(fileId)?.sealed !== undefined
    const base = { file, offsetBytes, reason, detail, range: undefined, entries: undefined, bytes } as const
    if (isInTables || isEmpty) losses.push({ ...base, kind: "retained", sequences, effect: "none" })
    else {
      isTold = true
      losses.push({
        ...base,
        kind: "log",
        sequences: { first: through + 1, last: sequences === undefined ? undefined : Math.max(sequences.last, laterThrough) },
        effect: "stale"
      })
    }
  }
  if (later > 0 && !isTold) {
    losses.push({
      kind: "log",
      file: directory,
      offsetBytes: 0,
      reason: "Missing",
      detail: "a log segment that nothing names",
      range: undefined,
      sequences: { first: through + 1, last: laterThrough },
      entries: undefined,
      bytes: 0,
      effect: "stale"
    })
  }
  return losses
}
