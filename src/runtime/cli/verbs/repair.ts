import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as path from "node:path"
import type { RepairReport } from "../../../domain/repair/RepairReport.ts"
import type { WorkProgress } from "../../../services/WorkProgress.ts"
import { QuietExit } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { lossJson, lossLines } from "../format/losses.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { printResult, realPath, type Shared, usage } from "../shared.ts"

export interface RepairFlags {
  readonly directory: Option.Option<string>
  readonly into: Option.Option<string>
  readonly backup: Option.Option<string>
  readonly dryRun: boolean
}

/** Makes a sound database of a damaged one, and says what was lost. */
export const repair = Effect.fnUntraced(function* (shared: Shared, flags: RepairFlags) {
  const output = yield* Output
  const directory = Option.getOrElse(flags.directory, () => shared.path)
  const into = Option.getOrUndefined(flags.into)
  const backup = Option.getOrUndefined(flags.backup)
  if (into !== undefined && backup !== undefined)
    return yield* usage("--into and --backup exclude each other", "Repair into a new directory, or in place after a backup.")
  const target = into ?? backup
  if (target === undefined && !flags.dryRun)
    return yield* usage("It is not said where to", "Give --into <directory>, or --backup <directory> to repair in place, or --dry-run to look first.")
  if (target === "") return yield* usage("The directory is empty", "Give a directory that is not there yet.")
  if (target !== undefined && isWithin(directory, target))
    return yield* usage(`${target} is within the database itself`, "Give a directory beside it.")
  const startMs = performance.now()
  let progress: WorkProgress | undefined
  const { repair: run } = yield* Effect.promise(() => import("../../LightningDb.ts"))
  const report = yield* withProgress(
    () => ({
      verb: `reading ${directory}`,
      done: 0,
      noun: ["file", "files"],
      bytes: progress?.bytes() ?? 0,
      bytesTotal: progress?.bytesTotal(),
      bytesOnly: true
    }),
    shared.json,
    Effect.mapError(
      run({
        path: directory,
        into,
        backup,
        dryRun: flags.dryRun,
        onStart: (started) => {
          progress = started
        }
      }),
      explain
    )
  ).pipe(
    Effect.onInterrupt(() =>
      output.note("Stopped. The database is as it was, unless it says otherwise: run the same command again, with another new directory.")
    )
  )
  const durationMs = Math.round(performance.now() - startMs)
  yield* printResult(shared, linesOf(report, durationMs), { ...report, losses: report.losses.map(lossJson), durationMs })
  if (report.outcome === "planned") return yield* new QuietExit({ exitCode: ExitCode.corrupt })
})

const isWithin = (directory: string, target: string): boolean => {
  const inside = path.relative(realPath(directory), realPath(target))
  return inside === "" || (!inside.startsWith("..") && !path.isAbsolute(inside))
}

const linesOf = (report: RepairReport, durationMs: number): ReadonlyArray<string> => {
  const { losses, made, namedKeyspaces, outcome, path: directory, quarantined, read } = report
  if (outcome === "healthy") return [`${directory} is sound: there is nothing to repair, and nothing was changed`]
  const lines: Array<string> = [
    outcome === "planned"
      ? `${directory} is damaged. Nothing was changed`
      : report.backup === undefined
        ? `repaired ${directory} into ${report.into}`
        : `repaired ${directory}; what was there before is in ${report.backup}`
  ]
  const real = losses.filter(({ effect }) => effect !== "none")
  lines.push(real.length === 0 ? "nothing of the data is lost" : outcome === "planned" ? "would be lost:" : "lost:")
  for (const loss of real) lines.push(...lossLines(loss))
  const others = losses.filter(({ effect }) => effect === "none")
  if (others.length > 0) lines.push("damaged, without loss of data:", ...others.flatMap(lossLines))
  if (report.laterTransactions > 0)
    lines.push(`left out: ${formatNoun(report.laterTransactions, "later transaction", "later transactions")}, because earlier ones are missing`)
  for (const { id, name } of namedKeyspaces) lines.push(`keyspace ${id} had lost its name: it is called ${name} now`)
  if (quarantined.length > 0)
    lines.push(
      `${outcome === "planned" ? "would go to" : "in"} quarantine: ${quarantined
        .slice(0, 8)
        .map(({ name }) => name)
        .join(", ")}${quarantined.length > 8 ? ` and ${quarantined.length - 8} more` : ""}`
    )
  lines.push(
    ...formatTable(
      [
        ["as of sequence", formatCount(report.sequence)],
        ["read", formatBytes(read.bytes)],
        ["files kept as they are", formatCount(made.keptFiles)],
        ["tables written again", formatCount(made.rewrittenTables)],
        ["tables merged", formatCount(made.mergedTables)],
        ["values moved", formatCount(made.movedValues)],
        ["transactions from the log", formatCount(made.replayedTransactions)],
        ["took", formatDuration(durationMs)]
      ],
      ["left", "right"],
      "  "
    )
  )
  return lines
}
