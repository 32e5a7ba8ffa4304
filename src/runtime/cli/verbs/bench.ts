import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Latencies, type Measured } from "../benching/Latencies.ts"
import {
  batchEntries,
  callers,
  measureBatches,
  measureCallers,
  measureCommits,
  measureGets,
  measureScan,
  measureSync,
  valueBytes
} from "../benching/measures.ts"
import { type BenchResults, reference, verdictOf } from "../benching/verdict.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain, ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatBytes, formatCount, formatDuration } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import { formatTable } from "../format/table.ts"
import { Opener } from "../Opener.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { printResult, realPath, type Shared, usage } from "../shared.ts"
import { withWaiting } from "../waiting.ts"

export interface BenchOptions {
  readonly dir: Option.Option<string>
  readonly seconds: number
}

/** Data, its log, and a compaction that writes it once more. */
const spaceBytesMin = 600_000_000
/** Of `statfs`: tmpfs and ramfs. */
const memoryFileSystems = new Set([0x01021994, 0x858458f6])
/** What each measure gets of the time. */
const shares = { sync: 0.2, commits: 0.15, callers: 0.15, batches: 0.2, gets: 0.15, scan: 0.15 } as const

export const bench = Effect.fnUntraced(function* (shared: Shared, options: BenchOptions) {
  if (options.seconds < 1 || options.seconds > 600) return yield* usage("--seconds is not between 1 and 600", "Give a whole number of seconds.")
  const parent = Option.isSome(options.dir) ? options.dir.value : path.dirname(realPath(shared.path))
  const output = yield* Output
  const isMemory = yield* checkSpace(parent)
  const startMs = performance.now()
  const results = yield* Effect.scoped(
    Effect.flatMap(temporaryDirectory(parent), (directory) => measureAll(shared, directory, options.seconds * 1000))
  ).pipe(Effect.onInterrupt(() => output.note("Stopped. The temporary directory is removed.")))
  const processors = os.availableParallelism()
  const load = os.loadavg()[0]! / processors
  const verdict = verdictOf(results, { load, isMemory })
  const style = paint(output.stdoutColours)
  yield* printResult(
    shared,
    [
      ...formatTable(rowsOf(results), ["left", "right", "right", "right", "right"]).map((line, i) =>
        i === 0 ? style("bold", line.trimEnd()) : line.trimEnd()
      ),
      "",
      ...verdict
    ],
    {
      directory: parent,
      processors,
      load,
      node: process.versions.node,
      valueBytes,
      batchEntries,
      callers,
      results,
      reference,
      verdict,
      durationMs: Math.round(performance.now() - startMs)
    }
  )
})

const rowsOf = (results: BenchResults): ReadonlyArray<ReadonlyArray<string>> => {
  const row = (what: string, name: keyof BenchResults): ReadonlyArray<string> => {
    const { p50Ms, p99Ms, perSecond }: Measured = results[name]
    return [what, formatCount(perSecond), formatLatency(p50Ms), formatLatency(p99Ms), formatCount(reference[name].perSecond)]
  }
  return [
    ["", "per second", "p50", "p99", "reference"],
    row("sync of the disk, 4 KiB", "sync"),
    row("durable commits, one caller", "commits"),
    row(`durable commits, ${callers} callers`, "callers"),
    row(`puts in batches of ${formatCount(batchEntries)}`, "batches"),
    row("random gets", "gets"),
    row("entries scanned", "scan")
  ]
}

/** Below a hundredth of a millisecond in microseconds. */
const formatLatency = (ms: number): string =>
  ms < 0.01 ? `${(ms * 1000).toFixed(2)} µs` : ms < 1 ? `${Math.round(ms * 1000)} µs` : formatDuration(ms)

/** Whether the directory is in memory. Fails where nothing can be measured there. */
const checkSpace = (parent: string): Effect.Effect<boolean, CliFailure> =>
  Effect.suspend(() => {
    try {
      const { bavail, bsize, type } = fs.statfsSync(parent)
      if (bavail * bsize >= spaceBytesMin) return Effect.succeed(memoryFileSystems.has(type))
      return Effect.fail(
        new CliFailure({
          tag: "DiskFull",
          message: `${parent} has ${formatBytes(bavail * bsize)} free, and a measurement may take ${formatBytes(spaceBytesMin)} for a moment`,
          hint: "Give a directory on another disk with --dir.",
          exitCode: ExitCode.failure,
          details: { path: parent, freeBytes: bavail * bsize }
        })
      )
    } catch (error) {
      return Effect.fail(notWritable(parent, error))
    }
  })

const notWritable = (parent: string, error: unknown): CliFailure =>
  new CliFailure({
    tag: "DirectoryUnusable",
    message: `Nothing can be measured in ${parent}: ${ioReason(error)}`,
    hint: "Give a directory that can be written with --dir.",
    exitCode: ExitCode.failure,
    details: { path: parent }
  })

const temporaryDirectory = (parent: string) =>
  Effect.acquireRelease(
    Effect.try({ try: () => fs.mkdtempSync(path.join(parent, ".lightning-bench-")), catch: (error) => notWritable(parent, error) }),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  )

const measureAll = (shared: Shared, directory: string, totalMs: number) =>
  Effect.gen(function* () {
    const opener = yield* Opener
    const measure = <E, R>(
      verb: string,
      noun: readonly [string, string],
      share: number,
      work: (ms: number, into: Latencies) => Effect.Effect<Measured, E, R>
    ) => {
      const into = new Latencies()
      return withProgress(
        () => ({ verb: `measuring ${verb}`, done: into.count, noun, bytes: 0 }),
        shared.json,
        Effect.mapError(work(share * totalMs, into), explain)
      )
    }
    const sync = yield* Effect.scoped(measure("syncs", ["sync", "syncs"], shares.sync, (ms, into) => measureSync(directory, ms, into)))
    return yield* Effect.scoped(
      Effect.gen(function* () {
        const db = yield* Effect.mapError(opener.open({ path: path.join(directory, "data"), readOnly: false }), explain)
        const commits = yield* measure("commits", ["commit", "commits"], shares.commits, (ms, into) => measureCommits(db, ms, into))
        const many = yield* measure("commits of many", ["commit", "commits"], shares.callers, (ms, into) => measureCallers(db, ms, into))
        const batches = yield* measure("batches", ["put", "puts"], shares.batches, (ms, into) => measureBatches(db, ms, into))
        yield* withWaiting("writing tables", Effect.mapError(db.flush, explain))
        const gets = yield* measure("gets", ["get", "gets"], shares.gets, (ms, into) => measureGets(db, Math.max(1, batches.count), ms, into))
        const scan = yield* measure("scans", ["entry", "entries"], shares.scan, (ms, into) => measureScan(db, ms, into))
        return { sync, commits, callers: many, batches, gets, scan } satisfies BenchResults
      })
    )
  })
