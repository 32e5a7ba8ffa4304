/** The tour: real files in, questions answered, a process killed in mid-write, everything acknowledged still there. */
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import type { DatabaseStats } from "../../../services/Database.ts"
import type { CliFailure, OutputClosed } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun, formatRate } from "../format/numbers.ts"
import { type Paint, paint } from "../format/paint.ts"
import { type Align, formatTable } from "../format/table.ts"
import { Opener } from "../Opener.ts"
import { Output } from "../Output.ts"
import { crashInMidWrite, findFiles, findRecords } from "./crash.ts"
import { prepareDirectory } from "./directory.ts"
import { importFiles, metadataKeyspace } from "./importFiles.ts"
import { askQuestions, type QueryAnswers } from "./queries.ts"
import { writers, writersKeyspace } from "./records.ts"

export interface TourOptions {
  /** The tree whose text files are imported. */
  readonly root: string
  /** The database; removed and made again at each run. */
  readonly path: string
  /** Files are imported until this many bytes are reached. */
  readonly bytesMax: number
  /** The writing process is killed once this many of its writes were acknowledged. */
  readonly acknowledgedMin: number
  readonly writerEntry: URL
  readonly json: boolean
}

export interface Proof {
  readonly claim: string
  readonly holds: boolean
  readonly found: string
}

export interface TourReport {
  readonly holds: boolean
  readonly milliseconds: number
  readonly path: string
  readonly import: { readonly files: number; readonly bytes: number; readonly milliseconds: number; readonly capped: boolean }
  readonly disk: DatabaseStats["disk"]
  readonly queries: QueryAnswers
  readonly crash: {
    readonly pid: number
    readonly acknowledged: number
    readonly inFlight: number
    readonly inFlightKept: number
    readonly milliseconds: number
  }
  readonly reopen: { readonly milliseconds: number; readonly recovery: DatabaseStats["recovery"] }
  readonly proofs: ReadonlyArray<Proof>
}

/** Everything that is printed for a person; with `--json` nothing is, until the report. */
const narrator = (output: Output["Service"], style: Paint, json: boolean) => {
  // A wrapped line would break the columns; without a terminal nothing is cut.
  const fit = (line: string): string => {
    const columns = output.stdoutIsTerminal ? output.columns() : Number.POSITIVE_INFINITY
    return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`
  }
  const say = (lines: ReadonlyArray<string>): Effect.Effect<void, OutputClosed> =>
    json ? Effect.void : output.write(lines.map((line) => `${line.trimEnd()}\n`).join(""))
  return {
    say,
    step: (number: number, title: string) => say(["", `${style("cyan", String(number))}  ${style("bold", title)}`]),
    table: (rows: ReadonlyArray<ReadonlyArray<string>>, align: ReadonlyArray<Align>) => say(formatTable(rows, align, "   ").map(fit))
  }
}

export const runTour = Effect.fnUntraced(function* (options: TourOptions): Effect.fn.Return<TourReport, CliFailure | OutputClosed, Output | Opener> {
  const output = yield* Output
  const style = paint(output.stdoutColours)
  const { say, step, table } = narrator(output, style, options.json)
  const startMs = performance.now()
  const shownPath = path.relative(process.cwd(), options.path) || "."

  yield* say([`${style("bold", "Lightning DB")}  a tour on real files, in ${shownPath}  (Node ${process.versions.node})`])
  yield* prepareDirectory(options.path)

  const served = yield* Effect.scoped(
    Effect.gen(function* () {
      const db = yield* open(options.path)
      yield* step(1, "Import: every text file of the installed dependencies, path -> content")
      const imported = yield* importFiles(db, { root: options.root, exclude: options.path, bytesMax: options.bytesMax, quiet: options.json })
      yield* Effect.mapError(db.flush, explain)
      const { disk } = yield* db.stats
      const stored = disk.tables + disk.valueFiles
      yield* table(
        [
          ["files", formatCount(imported.files), `and as many rows of metadata in the keyspace ${metadataKeyspace}`],
          ["bytes", formatBytes(imported.bytes), imported.capped ? `the tour takes no more than ${formatBytes(options.bytesMax)}` : ""],
          ["time", formatDuration(imported.milliseconds), "every batch on stable storage before the next"],
          ["rate", formatByteRate(imported.bytes, imported.milliseconds), formatRate(imported.files, imported.milliseconds)],
          ["tables", formatBytes(stored), `on disk, ${(imported.bytes / Math.max(1, stored)).toFixed(1)} times smaller than the files`],
          ["log", formatBytes(disk.log), `on disk, given back as the log moves on; ${formatBytes(disk.total)} in all`]
        ],
        ["left", "right"]
      )

      yield* step(2, "Ask")
      const answers = yield* askQuestions(db, [...imported.checksums.keys()])
      const { backward, get, prefix, random, snapshot } = answers
      yield* table(
        [
          [
            "get",
            formatDuration(get.milliseconds),
            `${get.key}, ${formatBytes(get.bytes)}; ${formatDuration(get.againMilliseconds)} the second time`
          ],
          ["metadata", "", get.metadata],
          ["random gets", formatRate(random.gets, random.milliseconds), `${formatCount(random.gets)} whole files, checked and decompressed`],
          [
            "prefix scan",
            formatDuration(prefix.milliseconds),
            `${prefix.prefix}… ${formatNoun(prefix.entries, "entry", "entries")}, ${formatBytes(prefix.bytes)}, from ${prefix.first[0] ?? "-"}`
          ],
          ["backward", formatDuration(backward.milliseconds), `the last before ${backward.lt}: ${backward.keys[0] ?? "-"}`],
          [
            "snapshot",
            formatCount(snapshot.entriesInSnapshot),
            `entries as before, while ${formatCount(snapshot.overwritten)} are overwritten and ${formatCount(snapshot.deleted)} deleted (${formatCount(snapshot.entriesNow)} outside it)`
          ]
        ],
        ["left", "right"]
      )
      return { imported, disk, answers }
    })
  )
  const { answers, disk, imported } = served

  yield* step(3, `Kill: ${writers} fibers of another process write with durability "sync", until SIGKILL`)
  const crash = yield* crashInMidWrite(options)
  yield* table(
    [
      [
        "acknowledged",
        formatCount(crash.acknowledged),
        `writes in ${formatDuration(crash.milliseconds)}, each on stable storage before it was reported`
      ],
      ["in flight", formatCount(crash.inFlight), `begun and not acknowledged when process ${crash.pid} was killed`]
    ],
    ["left", "right"]
  )

  yield* step(4, "Reopen, and look for everything that was promised")
  const proved = yield* Effect.scoped(
    Effect.gen(function* () {
      const reopenMs = performance.now()
      const db = yield* open(options.path)
      const milliseconds = performance.now() - reopenMs
      const { recovery } = yield* db.stats
      const records = yield* findRecords(yield* Effect.mapError(db.keyspace(writersKeyspace), explain), crash)
      const files = yield* findFiles(db, imported.checksums, crc32)
      const proofs: ReadonlyArray<Proof> = [
        {
          claim: "no acknowledged write is missing",
          holds: records.missing === 0 && records.checked === crash.acknowledged,
          found: `${formatCount(records.checked - records.missing)} of ${formatCount(crash.acknowledged)} there`
        },
        { claim: "each has the value that was written", holds: records.wrong === 0, found: `${formatCount(records.wrong)} differ` },
        {
          claim: "nothing is there that nobody wrote",
          holds: records.invented === 0 && records.inFlightKept <= crash.inFlight,
          found: `${formatCount(records.invented)} such; ${formatCount(records.inFlightKept)} of ${formatCount(crash.inFlight)} in flight had made it`
        },
        {
          claim: "every imported file is as it was",
          holds: files.wrong === 0 && files.missing === 0,
          found: `${formatCount(files.checked)} checksums compared, ${formatCount(files.wrong + files.missing)} differ`
        },
        { claim: "the snapshot did not move", holds: answers.snapshot.unchanged, found: `sequence ${formatCount(answers.snapshot.sequence)}` },
        { claim: "writes were in flight at the kill", holds: crash.inFlight > 0, found: formatCount(crash.inFlight) }
      ]
      return { milliseconds, recovery, records, proofs }
    })
  )
  yield* table(
    [
      [
        "opened in",
        formatDuration(proved.milliseconds),
        `${formatNoun(proved.recovery.replayedTransactions, "transaction")} replayed from the log (${formatBytes(proved.recovery.replayedBytes)})` +
          (proved.recovery.cutBytes > 0 ? `, a torn tail of ${formatBytes(proved.recovery.cutBytes)} cut` : "")
      ]
    ],
    ["left", "right"]
  )
  yield* say(
    formatTable(
      proved.proofs.map((proof) => [proof.holds ? "holds" : "FAILS", proof.claim, proof.found]),
      [],
      "   "
    ).map((line, i) => (proved.proofs[i]!.holds ? line.replace("holds", style("green", "holds")) : style("red", line)))
  )

  const report: TourReport = {
    holds: proved.proofs.every((proof) => proof.holds),
    milliseconds: Math.round(performance.now() - startMs),
    path: options.path,
    import: { files: imported.files, bytes: imported.bytes, milliseconds: Math.round(imported.milliseconds), capped: imported.capped },
    disk,
    queries: answers,
    crash: {
      pid: crash.pid,
      acknowledged: crash.acknowledged,
      inFlight: crash.inFlight,
      inFlightKept: proved.records.inFlightKept,
      milliseconds: Math.round(crash.milliseconds)
    },
    reopen: { milliseconds: proved.milliseconds, recovery: proved.recovery },
    proofs: proved.proofs
  }
  if (options.json) yield* output.write(`${JSON.stringify(report)}\n`)
  const verdict = report.holds
    ? style("green", "Everything acknowledged is there.")
    : style("red", "A proof failed: this is a fault of Lightning DB.")
  yield* say(["", `${verdict}  ${formatDuration(report.milliseconds)} in all; the database stays in ${shownPath}.`])
  yield* say(["", style("bold", "Try next"), ...nextCommands(shownPath, answers)])
  return report
})

const open = Effect.fnUntraced(function* (directory: string) {
  const opener = yield* Opener
  return yield* Effect.mapError(opener.open({ path: directory, readOnly: false }), explain)
})

const nextCommands = (shownPath: string, { get, prefix }: QueryAnswers): Array<string> =>
  formatTable(
    [
      [`npm start -- get ${get.key} --path ${shownPath}`, "one file"],
      [`npm start -- scan --prefix ${prefix.prefix} --limit 5 --path ${shownPath}`, "a few of a package"],
      [`npm start -- get ${get.key} --keyspace ${metadataKeyspace} --path ${shownPath}`, "its metadata"],
      [`npm start -- stats --path ${shownPath}`, "what it consists of"],
      [`npm start -- verify --path ${shownPath}`, "every checksum of it"],
      ["npm start -- --help", "all commands"]
    ],
    [],
    "   "
  )
