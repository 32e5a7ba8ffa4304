import * as Effect from "effect/Effect"
import { jsonField } from "../format/bytesText.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun, formatRate } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { printResult, type Shared } from "../shared.ts"
import type { Column } from "./columns.ts"
import type { Destination } from "./destination.ts"
import { problemsMax, type Tally } from "./tally.ts"

export interface ExportReport {
  readonly destination: Destination
  /** The destination as it was given. */
  readonly name: string
  readonly tally: Tally
  readonly columns: ReadonlyArray<Column> | undefined
  readonly sequence: number
  readonly outputBytes: number
  readonly durationMs: number
  /** What an earlier run had done. */
  readonly entriesBefore: number
  readonly dataBytesBefore: number
  readonly dryRun: boolean
}

/** On standard output; on standard error where that carries the entries. */
export const printReport = Effect.fnUntraced(function* (shared: Shared, report: ExportReport) {
  const output = yield* Output
  const { tally } = report
  if (!shared.json && tally.skipped > problemsMax) yield* output.note(`… and ${formatCount(tally.skipped - problemsMax)} more`)
  if (report.destination.kind !== "stdout") return yield* printResult(shared, linesOf(report), jsonOf(report))
  for (const line of shared.json ? [JSON.stringify(jsonOf(report))] : linesOf(report)) yield* output.note(line)
})

const linesOf = (report: ExportReport): Array<string> => {
  const { columns, dataBytesBefore, destination, dryRun, durationMs, entriesBefore, name, outputBytes, sequence, tally } = report
  const what = `${formatNoun(tally.entries, "entry", "entries")}, ${formatBytes(tally.dataBytes)}`
  const compression = destination.kind === "tree" || destination.compression === "none" ? "" : `, ${destination.compression}`
  return [
    dryRun
      ? `would export ${what}; nothing was written`
      : `exported ${what}, to ${destination.kind === "stdout" ? "standard output" : name} in ${formatDuration(durationMs)}`,
    ...formatTable(
      [
        ["as of", `sequence ${sequence}`],
        ["format", `${destination.format}${compression}, ${formatBytes(outputBytes)}${dryRun && compression !== "" ? " before compression" : ""}`],
        ...(columns === undefined ? [] : [["columns", columns.map(({ name, type }) => (type === "text" ? name : `${name}:${type}`)).join(", ")]]),
        ["rate", `${formatByteRate(tally.dataBytes - dataBytesBefore, durationMs)}, ${formatRate(tally.entries - entriesBefore, durationMs)}`],
        ...(entriesBefore > 0 ? [["resumed", `after ${formatNoun(entriesBefore, "entry", "entries")} of an earlier run`]] : []),
        ...(tally.skipped > 0 ? [["skipped", `${formatNoun(tally.skipped, "entry", "entries")} that cannot be written`]] : [])
      ],
      [],
      "  "
    )
  ]
}

const jsonOf = ({ columns, destination, dryRun, durationMs, entriesBefore, name, outputBytes, sequence, tally }: ExportReport): unknown => ({
  format: destination.format,
  ...(destination.kind === "tree" ? {} : { compression: destination.compression }),
  path: name,
  entries: tally.entries,
  bytes: outputBytes,
  dataBytes: tally.dataBytes,
  sequence,
  durationMs: Math.round(durationMs),
  skipped: tally.skipped,
  problems: tally.problems.map(({ keyBase64, keyspace, reason }) => ({
    ...jsonField("key", Buffer.from(keyBase64, "base64")),
    ...(keyspace === null ? {} : { keyspace }),
    reason
  })),
  ...(columns === undefined ? {} : { columns }),
  ...(entriesBefore > 0 ? { resumedAfter: entriesBefore } : {}),
  dryRun
})
