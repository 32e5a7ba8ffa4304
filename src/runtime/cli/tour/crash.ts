/** Step three of the tour: a process is killed while it writes, and what it was promised is looked for. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { DatabaseShape, Reads } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { recordKey, recordValue, writers } from "./records.ts"
import { Reports } from "./reports.ts"

export interface CrashOptions {
  readonly path: string
  readonly round: number
  /** The module of the writing process. */
  readonly writerEntry: URL
  /** It is killed once this many writes were acknowledged. */
  readonly acknowledgedMin: number
}

export interface Crash {
  readonly round: number
  readonly pid: number
  readonly reports: Reports
  readonly acknowledged: number
  readonly inFlight: number
  /** From the first acknowledgement to the kill. */
  readonly milliseconds: number
}

const childFailed = (reason: string): CliFailure =>
  new CliFailure({ tag: "TourWriter", message: `The writing process ${reason}`, exitCode: ExitCode.failure })

const startUpMsMax = 60_000

/** Starts the writing process, kills it in mid-write, and returns what it had been promised. Interrupting this kills it as well. */
export const crashWriter = (options: CrashOptions): Effect.Effect<Crash, CliFailure> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [fileURLToPath(options.writerEntry), options.path, String(options.round)], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    const reports = new Reports()
    let complaint = ""
    let fault: CliFailure | undefined
    let firstMs: number | undefined
    let killedMs: number | undefined
    const timer = setTimeout(() => {
      fault = childFailed(`had only ${reports.acknowledgedTotal} writes acknowledged after ${startUpMsMax / 1000} seconds`)
      child.kill("SIGKILL")
    }, startUpMsMax)
    child.stdout.setEncoding("latin1")
    child.stderr.setEncoding("utf8")
    child.stderr.on("data", (text: string) => {
      complaint = (complaint + text).slice(0, 4000)
    })
    child.stdout.on("data", (text: string) => {
      try {
        reports.push(text)
      } catch (error) {
        fault ??= childFailed(error instanceof Error ? error.message : String(error))
        child.kill("SIGKILL")
      }
      if (reports.acknowledgedTotal > 0) firstMs ??= performance.now()
      if (killedMs === undefined && reports.acknowledgedTotal >= options.acknowledgedMin && reports.inFlight > 0) {
        killedMs = performance.now()
        child.kill("SIGKILL")
      }
    })
    child.once("error", (error) => {
      fault ??= childFailed(`did not start: ${error.message}`)
    })
    // "close", not "exit": only then is the pipe read to its end, with everything that was acknowledged before the kill.
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      if (fault !== undefined) return resume(Effect.fail(fault))
      if (signal !== "SIGKILL" || killedMs === undefined)
        return resume(Effect.fail(childFailed(`ended by itself (${signal ?? `exit code ${code}`}). ${complaint.trim()}`)))
      resume(
        Effect.succeed({
          round: options.round,
          pid: child.pid ?? 0,
          reports,
          acknowledged: reports.acknowledgedTotal,
          inFlight: reports.inFlight,
          milliseconds: killedMs - (firstMs ?? killedMs)
        })
      )
    })
    return Effect.sync(() => {
      clearTimeout(timer)
      child.kill("SIGKILL")
    })
  })

const roundsMax = 5

/** Repeats the crash until a write was under way when it came: a process killed between two writes would prove little. */
export const crashInMidWrite = Effect.fnUntraced(function* (options: Omit<CrashOptions, "round">) {
  for (let round = 1; ; round++) {
    const crash = yield* crashWriter({ ...options, round })
    if (crash.inFlight > 0) return crash
    if (round === roundsMax) return yield* childFailed(`was killed ${roundsMax} times, and never in mid-write`)
  }
})

export interface CrashFindings {
  /** Acknowledged records that are not there. */
  readonly missing: number
  /** Records with another value than the one written. */
  readonly wrong: number
  /** Records that were in flight and are there: their outcome was open, and being there whole is allowed. */
  readonly inFlightKept: number
  /** Records that nobody wrote. */
  readonly invented: number
  readonly checked: number
}

const batch = 1_000

/** Looks for every acknowledged record of the crash and compares its value; then looks at what else is there. */
export const findRecords = Effect.fnUntraced(function* (records: Reads, { reports, round }: Crash) {
  let missing = 0
  let wrong = 0
  let checked = 0
  for (let writer = 0; writer < writers; writer++) {
    const acknowledged = reports.acknowledged[writer]!
    for (let from = 0; from < acknowledged; from += batch) {
      const ids = Array.from({ length: Math.min(batch, acknowledged - from) }, (_, i) => ({ round, writer, number: from + i }))
      const values = yield* Effect.mapError(records.getMany(ids.map(recordKey)), explain)
      for (const [i, id] of ids.entries()) {
        const value = values[i]
        checked++
        if (value === undefined) missing++
        else if (Buffer.compare(value, Buffer.from(recordValue(id))) !== 0) wrong++
      }
    }
  }
  let inFlightKept = 0
  let invented = 0
  yield* Stream.runForEachArray(Stream.mapError(records.scan({ prefix: `${round}/` }), explain), (entries) =>
    Effect.sync(() => {
      for (const { key, value } of entries) {
        const name = Buffer.from(key).toString()
        const [, writer = -1, number = -1] = name.split("/").map(Number)
        const id = { round, writer, number }
        const began = number < (reports.started[writer] ?? 0) && recordKey(id) === name
        if (!began) invented++
        else if (number >= reports.acknowledged[writer]!) {
          if (Buffer.compare(value, Buffer.from(recordValue(id))) === 0) inFlightKept++
          else wrong++
        }
      }
    })
  )
  return { missing, wrong, inFlightKept, invented, checked } satisfies CrashFindings
})

/** Compares every imported file with the checksum taken when it was read from the file system. */
export const findFiles = Effect.fnUntraced(function* (
  db: DatabaseShape,
  checksums: ReadonlyMap<string, number>,
  crc32: (bytes: Uint8Array) => number
) {
  let right = 0
  let wrong = 0
  yield* Stream.runForEachArray(Stream.mapError(db.scan(), explain), (entries) =>
    Effect.sync(() => {
      for (const { key, value } of entries) {
        if (checksums.get(Buffer.from(key).toString()) === crc32(value)) right++
        else wrong++
      }
    })
  )
  return { checked: right + wrong, wrong, missing: checksums.size - right }
})
