import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { fromReadFailure } from "../../../domain/errors.ts"
import type { DamageReport } from "../../../services/Database.ts"
import type { WorkOptions, WorkProgress } from "../../../services/WorkProgress.ts"
import { CliFailure } from "../CliFailure.ts"
import { ExitCode } from "../exitCodes.ts"
import { explain } from "../explain.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openReader, printResult, type Shared } from "../shared.ts"

/** Reads and checks every block of every file, the manifest and the log. Goes on behind damage, names every damaged file, and ends with exit code 5 where there is one. */
export const verify = Effect.fnUntraced(function* (shared: Shared) {
  const opened = yield* Effect.result(openReader(shared))
  yield* showVerification(shared, shared.path, (watch) =>
    Result.isSuccess(opened) ? Effect.mapError(opened.success.db.verifyAll(watch), explain) : withoutOpening(shared, opened.failure, watch)
  )
})

/** Runs a verification of what is called so, with its progress, and shows what came of it. */
export const showVerification = Effect.fnUntraced(function* <R>(
  shared: Shared,
  name: string,
  verifying: (watch: WorkOptions) => Effect.Effect<DamageReport, CliFailure, R>
) {
  const output = yield* Output
  const startMs = performance.now()
  let progress: WorkProgress | undefined
  const watch: WorkOptions = {
    onStart: (started) => {
      progress = started
    }
  }
  const report = yield* withProgress(
    () => ({
      verb: `verifying ${name}`,
      done: 0,
      noun: ["file", "files"],
      bytes: progress?.bytes() ?? 0,
      bytesTotal: progress?.bytesTotal(),
      bytesOnly: true
    }),
    shared.json,
    verifying(watch)
  ).pipe(
    Effect.onInterrupt(() =>
      output.note("Stopped. Nothing was changed; what was not reached is not checked. Run the same command again to start over.")
    )
  )
  const ms = performance.now() - startMs
  if (report.damaged.length > 0) return yield* damagedFailure(report)
  const { damaged: _, ...counts } = report
  yield* printResult(
    shared,
    [
      `${name} is sound: every checksum holds`,
      ...formatTable(
        [
          ["tables", formatCount(report.tables)],
          ["value files", formatCount(report.valueFiles)],
          ["blocks", formatCount(report.blocks)],
          ["entries", formatCount(report.entries)],
          ["log segments", formatCount(report.logSegments)],
          ["read", formatBytes(report.bytes + report.logBytes)],
          ["took", formatDuration(ms)],
          ["rate", formatByteRate(report.bytes + report.logBytes, ms)]
        ],
        ["left", "right"],
        "  "
      )
    ],
    { sound: true, ...counts, durationMs: Math.round(ms) }
  )
})

/** Of the memtables that the log is replayed into, as they are without options. */
const memtableBytes = 16 << 20

/** A database that cannot be opened because it is damaged is the one that most needs to be verified: its files are read by themselves. */
const withoutOpening = Effect.fnUntraced(function* (shared: Shared, failure: CliFailure, watch: WorkOptions) {
  // A file that is named and not there keeps it from being opened, too.
  if (failure.exitCode !== ExitCode.corrupt && failure.details?.["code"] !== "ENOENT") return yield* failure
  const [{ verifyAll }, { verifyAsReader }, { nodeDisk }] = yield* Effect.promise(() =>
    Promise.all([
      import("../../../layers/maintenance/verifyAll.ts"),
      import("../../../layers/maintenance/verifyVersion.ts"),
      import("../../../layers/disk/nodeDisk.ts")
    ])
  )
  const parts = { disk: { sync: nodeDisk }, directory: shared.path, memtableBytes }
  const report = yield* Effect.mapError(
    verifyAll(watch, (found) => verifyAsReader(parts, found)),
    (error) => explain(fromReadFailure(error))
  )
  // Where every sum holds and it does not open all the same, that is what is wrong with it.
  return report.damaged.length > 0 ? report : yield* failure
})

const damagedFailure = (report: DamageReport): CliFailure => {
  const failures = report.damaged.map(explain)
  const sound = report.tables + report.valueFiles
  return new CliFailure({
    tag: "CorruptFile",
    message: failures.map(({ message }) => message).join("\n"),
    hint:
      `${sound === 0 ? "" : `${formatNoun(sound, "other file is", "other files are")} sound. `}Keep a copy of the directory. \`lightning points\` shows restore points to go back to, \`lightning repair --dry-run\` what a repair would save.\n` +
      "`lightning inspect` with the path of a file shows what of it can be read.",
    exitCode: ExitCode.corrupt,
    details: {
      ...failures[0]?.details,
      damaged: report.damaged.map((error) => ({ tag: error._tag, ...explain(error).details })),
      soundTables: report.tables,
      soundValueFiles: report.valueFiles
    }
  })
}
