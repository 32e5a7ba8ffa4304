/** What an import says at its end: for a person, and as JSON. */
import type { Durability } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { ExitCode } from "../exitCodes.ts"
import { escapeText, formatLineCut } from "../format/bytesText.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun, formatRate } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { formatProblem, type ImportProblem, type ImportTally } from "./batches.ts"
import type { ImportState } from "./importing.ts"
import type { StoredPlace } from "./resume.ts"

const skipNames: Readonly<Record<string, readonly [string, string]>> = {
  symbolicLink: ["symbolic link", "symbolic links"],
  specialFile: ["special file", "special files"],
  extension: ["file with another extension", "files with another extension"],
  excluded: ["excluded directory", "excluded directories"]
}

const entriesOf = (n: number): string => formatNoun(n, "entry", "entries")

const tallyRows = (tally: ImportTally, skipped: string): Array<[string, string]> => {
  const left = [...tally.skips].map(([reason, n]) => formatNoun(n, ...(skipNames[reason] ?? [reason, reason])))
  return [
    ...(tally.problems > 0 ? [[skipped, `${entriesOf(tally.problems)} that could not be read`] as [string, string]] : []),
    ...(left.length > 0 ? [["left out", left.join(", ")] as [string, string]] : [])
  ]
}

const tallyJson = (tally: ImportTally): object => ({
  skipped: tally.problems,
  problems: tally.firstProblems.map(({ file, line, reason }) => ({ file, line, reason })),
  leftOut: Object.fromEntries(tally.skips)
})

/** "line 1,001 of orders.jsonl", "the file after 17 others": where an import goes on. */
export const describePlace = (place: { readonly lines: number; readonly end: number }, name: string): string =>
  place.lines > 0 ? `line ${formatCount(place.lines + 1)} of ${name}` : `${name}, after its first ${formatNoun(place.end, "file")}`

/** `before`: what earlier runs of this import had stored; counts are of all runs, rates of this one. */
export const summaryLines = (state: ImportState, before: StoredPlace | undefined, ms: number, durability: Durability): Array<string> => [
  `imported ${entriesOf(state.entries)}, ${formatBytes(state.bytes)}, in ${formatDuration(ms)}`,
  ...formatTable(
    [
      ["rate", `${formatByteRate(state.bytes - (before?.bytes ?? 0), ms)}, ${formatRate(state.entries - (before?.entries ?? 0), ms)}`],
      ["batches", `${formatCount(state.batches)}, ${durability}`],
      ...(before === undefined ? [] : [["resumed", `after ${entriesOf(before.entries)} of an earlier run`]]),
      ...tallyRows(state.tally, "skipped")
    ],
    [],
    "  "
  )
]

export const summaryJson = (state: ImportState, before: StoredPlace | undefined, ms: number, durability: Durability): unknown => ({
  entries: state.entries,
  bytes: state.bytes,
  durationMs: Math.round(ms),
  batches: state.batches,
  sequence: state.sequence,
  durability,
  ...(before === undefined ? {} : { resumed: { entries: before.entries, bytes: before.bytes, line: before.lines + 1 } }),
  ...tallyJson(state.tally)
})

/** What a dry run found. */
export interface Rehearsal {
  entries: number
  bytes: number
  readonly first: Array<{ readonly key: Uint8Array; readonly value: Uint8Array; readonly keyspace: string | undefined }>
  /** That records name. */
  readonly keyspaces: Set<string>
  stop: ImportProblem | undefined
}

const namesMax = 10

const describeNames = (names: ReadonlySet<string>): string =>
  [...names]
    .slice(0, namesMax)
    .map((name) => escapeText(name))
    .join(", ") + (names.size > namesMax ? ` and ${formatNoun(names.size - namesMax, "other")}` : "")

export const rehearsalLines = (rehearsal: Rehearsal, tally: ImportTally, columns: number): Array<string> => {
  const cells = rehearsal.first.map(({ key, keyspace, value }) => [
    formatLineCut(key, 40),
    formatLineCut(value, Math.max(20, columns - 46)),
    ...(keyspace === undefined ? [] : [`in ${keyspace}`])
  ])
  return [
    `would import ${entriesOf(rehearsal.entries)}, ${formatBytes(rehearsal.bytes)}; nothing was written`,
    ...formatTable(
      [...(rehearsal.keyspaces.size === 0 ? [] : [["keyspaces", describeNames(rehearsal.keyspaces)]]), ...tallyRows(tally, "would skip")],
      [],
      "  "
    ),
    ...(cells.length === 0 ? [] : ["first entries", ...formatTable(cells, [], "  ")])
  ]
}

export const rehearsalJson = (rehearsal: Rehearsal, tally: ImportTally, fieldsOf: (entry: Rehearsal["first"][number]) => object): unknown => ({
  dryRun: true,
  entries: rehearsal.entries,
  bytes: rehearsal.bytes,
  keyspaces: [...rehearsal.keyspaces],
  first: rehearsal.first.map(fieldsOf),
  ...tallyJson(tally)
})

/** What a problem ends an import with. `resumable`: running it again goes on from here. */
export const stopped = (
  stop: ImportProblem,
  counts: { readonly entries: number; readonly bytes: number },
  kind: "import" | "resumable" | "dryRun"
): CliFailure => {
  const are = counts.entries === 1 ? "is" : "are"
  const before = `${entriesOf(counts.entries)} before it ${kind === "dryRun" ? "would be" : are} stored. `
  const again = kind === "dryRun" ? "" : " and run the command again"
  return new CliFailure({
    tag: "MalformedInput",
    message: formatProblem(stop),
    hint:
      before +
      (stop.fatal === true
        ? `Nothing after it can be read. Correct or restore the input${again}.`
        : `Correct the input${again}, or leave out what cannot be read with --on-error skip${kind === "resumable" ? ", which goes on from here" : ""}.`),
    exitCode: ExitCode.failure,
    details: { file: stop.file, line: stop.line, reason: stop.reason, entries: counts.entries, bytes: counts.bytes }
  })
}
