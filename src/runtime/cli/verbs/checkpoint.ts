import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../CliFailure.ts"
import { explain, ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openReader, printResult, realPath, type Shared, usage } from "../shared.ts"

/** A copy as of one moment, made from a read-only open: no lock is taken, and nothing of the database is written. */
export const checkpoint = Effect.fnUntraced(function* (shared: Shared, options: { readonly destination: string }) {
  const { destination } = options
  const output = yield* Output
  if (destination === "") return yield* usage("The destination is empty", "Give a directory that is not there yet.")
  const inside = path.relative(realPath(shared.path), realPath(destination))
  if (inside === "" || (!inside.startsWith("..") && !path.isAbsolute(inside)))
    return yield* usage(`${destination} is within the database itself`, "Give a directory beside it.")
  const { db } = yield* openReader(shared)
  yield* makeRoom(destination)
  const { disk } = yield* db.stats
  const startMs = performance.now()
  const report = yield* withProgress(
    () => ({ verb: "copying", noun: ["file", "files"], bytesTotal: disk.tables + disk.valueFiles, ...sizeOf(destination) }),
    shared.json,
    Effect.mapError(db.checkpoint(destination), explain)
  ).pipe(Effect.onInterrupt(() => output.note(`Stopped. Nothing is left at ${destination}: run the same command again to make the copy.`)))
  const durationMs = performance.now() - startMs
  yield* printResult(
    shared,
    [
      `copied ${shared.path} to ${destination} as of sequence ${formatCount(report.sequence)}: ${formatNoun(report.files, "file")}, ${formatBytes(report.bytes)}, ${formatDuration(durationMs)}`
    ],
    { path: destination, sequence: report.sequence, files: report.files, bytes: report.bytes, durationMs: Math.round(durationMs) }
  )
})

/** An empty directory is as good as none; anything else in the way stays as it is. */
export const makeRoom = (destination: string): Effect.Effect<void, CliFailure> =>
  Effect.suspend(() => {
    const refuse = (message: string, hint: string) =>
      Effect.fail(new CliFailure({ tag: "PathExists", message, hint, exitCode: ExitCode.failure, details: { path: destination } }))
    try {
      const stat = fs.statSync(destination, { throwIfNoEntry: false })
      if (stat === undefined) return Effect.void
      if (!stat.isDirectory()) return refuse(`${destination} is a file`, "Give a directory that is not there yet.")
      const names = fs.readdirSync(destination)
      if (names.length === 0) {
        fs.rmdirSync(destination)
        return Effect.void
      }
      return names.includes("CURRENT.checkpoint") && !names.includes("CURRENT")
        ? refuse(`${destination} holds a checkpoint that was cut short`, "Remove the directory, then run the command again.")
        : refuse(`${destination} is there and not empty`, "Give a directory that is not there yet, or remove it first.")
    } catch (error) {
      return refuse(
        `${destination} cannot be written: ${ioReason(error)}`,
        "Give a directory that is not there yet, beneath one that can be written."
      )
    }
  })

/** What there is of it so far; a file that has just gone counts as none. */
const sizeOf = (directory: string): { readonly done: number; readonly bytes: number } => {
  let bytes = 0
  let names: ReadonlyArray<string>
  try {
    names = fs.readdirSync(directory)
  } catch {
    return { done: 0, bytes: 0 }
  }
  for (const name of names) bytes += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0
  return { done: names.length, bytes }
}
