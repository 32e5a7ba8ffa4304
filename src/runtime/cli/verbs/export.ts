import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { explain } from "../explain.ts"
import { type Column, ColumnSurvey, parseFields, type WantedColumn } from "../exporting/columns.ts"
import { delimited } from "../exporting/delimited.ts"
import { type Compression, type Destination, type Format, resolveDestination } from "../exporting/destination.ts"
import { attempt, unwritable } from "../exporting/io.ts"
import { jsonLines } from "../exporting/jsonLines.ts"
import { type Moment, openMoment, parseAt } from "../exporting/moment.ts"
import { type ExportReport, printReport } from "../exporting/report.ts"
import { type Position, type ResumeState, stateOf } from "../exporting/resumeState.ts"
import { surveyEntries } from "../exporting/survey.ts"
import { formatProblem, problemsMax, Tally } from "../exporting/tally.ts"
import type { ExportTarget } from "../exporting/target.ts"
import { countingSink, fileSink, stdoutSink, streamSink } from "../exporting/textSink.ts"
import { textTarget } from "../exporting/textTarget.ts"
import { treeTarget } from "../exporting/treeTarget.ts"
import { TreeWriter } from "../exporting/treeWriter.ts"
import {
  commandOf,
  removeUnfinished,
  findUnfinished,
  finishOutput,
  keepState,
  type KeptDestination,
  pathsOf,
  type Resumed,
  type UnfinishedPaths
} from "../exporting/unfinished.ts"
import { walk } from "../exporting/walk.ts"
import { formatNoun } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { type ProgressState, withProgress } from "../progress.ts"
import { openReader, realPath, type Shared, usage } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"

export interface ExportFlags extends BoundFlags {
  /** A file, a directory, or `-` for standard output. */
  readonly destination: string
  readonly format: Option.Option<Format>
  readonly compress: Option.Option<Compression>
  readonly level: Option.Option<number>
  readonly fields: Option.Option<string>
  readonly all: boolean
  readonly at: Option.Option<string>
  readonly onError: "stop" | "skip"
  readonly ignoreExpiry: boolean
  readonly overwrite: boolean
  readonly restart: boolean
  readonly dryRun: boolean
  readonly salvage: boolean
}

/** An export lasts as long as it lasts. The lease holds back nobody: what a read-only open reads from are files that this process has open. */
const leaseMs = 365 * 24 * 3_600_000

interface Wanted {
  readonly at: number | Date | undefined
  readonly fields: ReadonlyArray<WantedColumn> | undefined
}

/** What the flags say, where they can be judged without looking at anything. */
const check = Effect.fnUntraced(function* (shared: Shared, flags: ExportFlags, { format, kind }: Destination) {
  const at = Option.isNone(flags.at) ? undefined : yield* parseAt(flags.at.value)
  if (flags.all && Option.isSome(shared.keyspace)) return yield* usage("--all and --keyspace are both given", "--all takes every keyspace.")
  if (flags.ignoreExpiry && format !== "tree") return yield* usage("--ignore-expiry applies to directory trees only", "The other formats keep it.")
  if (flags.restart && kind !== "file" && kind !== "tree") return yield* usage("--restart applies to files and directory trees only")
  if (Option.isNone(flags.fields)) return { at, fields: undefined } satisfies Wanted
  if (format !== "csv" && format !== "tsv") return yield* usage("--fields applies to CSV and TSV only")
  const fields = parseFields(flags.fields.value)
  if (typeof fields === "string") return yield* usage(fields, "For example: --fields key,total:number,customer.name")
  return { at, fields } satisfies Wanted
})

export const exportVerb = Effect.fnUntraced(function* (shared: Shared, flags: ExportFlags) {
  const startMs = performance.now()
  const output = yield* Output
  const range = yield* boundsOf(shared, flags)
  const destination = yield* resolveDestination(flags, shared.path)
  const wanted = yield* check(shared, flags, destination)
  const opened = yield* openReader(shared, { snapshotLeaseMs: leaseMs, bulk: true, salvage: flags.salvage })

  const kept =
    flags.dryRun || destination.kind === "stdout" || destination.kind === "stream" ? undefined : { destination, paths: yield* lookAt(destination) }
  const command = commandOf(shared, optionsOf(shared, flags, destination))
  const resumed =
    kept === undefined
      ? undefined
      : yield* findUnfinished(kept.paths, {
          opened,
          command,
          all: flags.all,
          at: wanted.at,
          restart: flags.restart,
          note: (why) => output.note(`Starting again: ${why}.`)
        })
  const moment = resumed?.moment ?? (yield* Effect.mapError(openMoment(opened, { all: flags.all, at: wanted.at }), explain))
  const tally = new Tally(resumed?.position ?? null)
  const columns = yield* columnsOf(shared, flags, destination, moment, range, wanted, resumed)
  const entriesTotal = columns.entries ?? (yield* estimate(moment, range))

  const state: Omit<ResumeState, "version" | "writer" | "position"> = {
    command,
    sequence: moment.sequence,
    spaces: moment.spaces.map(({ name }) => name ?? null),
    columns: columns.columns ?? null,
    entriesTotal: entriesTotal ?? null
  }
  /** Where the next run goes on. */
  let safe = resumed?.position ?? null
  let complete = false
  const keep = Effect.suspend(() => (kept === undefined ? Effect.void : keepState(kept.paths, stateOf({ ...state, position: safe }))))
  // Before the output: what lies there without it is not an export's.
  yield* keep
  if (kept !== undefined)
    yield* Effect.addFinalizer((exit) => (Exit.isFailure(exit) && safe === null && !complete ? removeUnfinished(kept.paths) : Effect.void))
  if (resumed !== undefined) yield* output.note(`Going on after ${formatNoun(tally.entries, "entry", "entries")}, as of sequence ${moment.sequence}.`)

  const target = yield* targetOf(shared, flags, destination, kept?.paths, resumed, columns.columns ?? [])
  const before = { entries: tally.entries, dataBytes: tally.dataBytes }
  const work = walk(
    {
      spaces: moment.spaces,
      range,
      onError: flags.onError,
      hint:
        (destination.format === "tree" ? "JSON lines take every entry: name a file .jsonl. " : "") +
        "Or leave out what cannot be written, and count it, with --on-error skip.",
      onProblem: (problem) => (shared.json || tally.skipped > problemsMax ? Effect.void : output.note(`skipped ${formatProblem(problem)}`)),
      checkpoint: (bytes) =>
        Effect.suspend(() => {
          safe = tally.position(bytes) ?? null
          return keep
        })
    },
    target,
    tally
  )
  yield* withProgress(() => progressOf(tally, entriesTotal), shared.json, work).pipe(
    Effect.onInterrupt(() => output.note(stoppedLine(kept?.paths, safe, tally)))
  )
  complete = true
  if (kept !== undefined) yield* finishOutput(kept.destination, kept.paths)
  const report: ExportReport = {
    destination,
    name: flags.destination,
    tally,
    columns: columns.columns,
    sequence: moment.sequence,
    outputBytes: target.bytes(),
    durationMs: performance.now() - startMs,
    entriesBefore: before.entries,
    dataBytesBefore: before.dataBytes,
    dryRun: flags.dryRun
  }
  yield* printReport(shared, report)
})

/** What must be the same for an export to be gone on with. `--on-error` may change: it is how one goes on past a problem. */
const optionsOf = (shared: Shared, flags: ExportFlags, destination: Destination): Readonly<Record<string, unknown>> => {
  const { all, at, fields, gt, gte, ignoreExpiry, lt, lte, prefix, salvage } = flags
  const given = { at, fields, gt, gte, lt, lte, prefix, keyspace: shared.keyspace }
  return {
    ...destination,
    hex: shared.hex,
    all,
    ignoreExpiry,
    // What the damaged database holds is not what a sound one does.
    ...(salvage ? { salvage } : {}),
    ...Object.fromEntries(Object.entries(given).map(([name, value]) => [name, Option.getOrNull(value)]))
  }
}

const lookAt = (destination: KeptDestination) =>
  attempt(
    () => pathsOf(destination),
    (error) => unwritable(destination.path, error, false)
  )

/** Of CSV: as they were when the export began, or after a look at all entries where the types depend on them. */
const columnsOf = Effect.fnUntraced(function* (
  shared: Shared,
  flags: ExportFlags,
  { format }: Destination,
  { spaces }: Moment,
  range: Parameters<typeof surveyEntries>[1],
  { fields }: Wanted,
  resumed: Resumed | undefined
) {
  if (resumed !== undefined) return { columns: resumed.state.columns ?? undefined, entries: resumed.state.entriesTotal ?? undefined }
  if (format !== "csv" && format !== "tsv") return { columns: undefined, entries: undefined }
  const survey = new ColumnSurvey(fields, flags.all, shared.hex)
  const count = { entries: 0, dataBytes: 0 }
  const entries = yield* withProgress(
    () => ({ verb: "looking at", done: count.entries, noun: ["entry", "entries"], bytes: count.dataBytes }),
    shared.json,
    surveyEntries(spaces, range, survey, count)
  )
  return { columns: survey.columns(), entries }
})

/** About how many entries there are, for the time left. */
const estimate = ({ spaces }: Moment, range: Parameters<typeof surveyEntries>[1]) =>
  Effect.forEach(spaces, ({ reads }) => reads.estimate(range)).pipe(
    Effect.map((found) => found.reduce((sum, { entries }) => sum + entries, 0)),
    Effect.orElseSucceed(() => undefined)
  )

const targetOf = Effect.fnUntraced(function* (
  shared: Shared,
  flags: ExportFlags,
  destination: Destination,
  paths: UnfinishedPaths | undefined,
  resumed: Resumed | undefined,
  columns: ReadonlyArray<Column>
) {
  if (destination.kind === "tree") return yield* treeOf(shared, flags, destination, paths, resumed)
  const encoder = destination.format === "jsonl" ? jsonLines(shared.hex) : delimited(destination.format, columns)
  const sink = flags.dryRun
    ? countingSink()
    : yield* destination.kind === "stdout"
        ? stdoutSink(destination)
        : destination.kind === "stream"
          ? streamSink(destination.path, destination)
          : fileSink(paths!.part, resumed?.position.bytes, destination)
  return textTarget(encoder, sink, resumed !== undefined)
})

const treeOf = Effect.fnUntraced(function* (
  shared: Shared,
  flags: ExportFlags,
  destination: Extract<Destination, { readonly kind: "tree" }>,
  paths: UnfinishedPaths | undefined,
  resumed: Resumed | undefined
) {
  const onError = (error: unknown) => unwritable(paths?.part ?? destination.path, error, true)
  const root = destination.into ? destination.path : (paths?.part ?? destination.path)
  const writer =
    paths === undefined
      ? undefined
      : yield* attempt(() => {
          if (destination.into) fs.rmSync(paths.part, { recursive: true, force: true })
          if (destination.into || resumed === undefined) fs.mkdirSync(paths.part)
          return new TreeWriter({ root, work: destination.into ? paths.part : undefined, onError }, resumed !== undefined)
        }, onError)
  // As keys would name them: the database may lie in the tree that is written to.
  const reserved = [realPath(shared.path), ...(paths === undefined ? [] : [paths.part, paths.state])]
    .map((name) => path.relative(destination.path, name).replaceAll(path.sep, "/"))
    .filter((name) => name !== "" && name !== ".." && !name.startsWith("../") && !path.isAbsolute(name))
  const target: ExportTarget = treeTarget({
    writer,
    all: flags.all,
    ignoreExpiry: flags.ignoreExpiry,
    reserved,
    bytesBefore: resumed?.position.bytes ?? 0,
    onError
  })
  return target
})

const progressOf = (tally: Tally, entriesTotal: number | undefined): ProgressState => {
  const done = tally.entries + tally.skipped
  // The total is known in entries: those to come are taken to be like those that were. An estimate that was too low is not believed any longer.
  const bytesTotal = entriesTotal === undefined || done === 0 || entriesTotal < done ? undefined : (tally.dataBytes / done) * entriesTotal
  return { verb: "exporting", done: tally.entries, noun: ["entry", "entries"], bytes: tally.dataBytes, bytesTotal }
}

const stoppedLine = (paths: UnfinishedPaths | undefined, safe: Position | null, tally: Tally): string =>
  paths === undefined || safe === null
    ? `Stopped after ${formatNoun(tally.entries, "entry", "entries")}. Run the same command again to start anew.`
    : `Stopped. ${formatNoun(safe.entries, "entry is", "entries are")} in ${paths.part}. Run the same command again to go on from there.`
