import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { WorkProgress } from "../../../services/WorkProgress.ts"
import { explain } from "../explain.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { printResult, type Shared } from "../shared.ts"
import { makeRoom } from "./checkpoint.ts"

export interface RestoreFlags {
  readonly from: string
  readonly destination: Option.Option<string>
  readonly dir: Option.Option<string>
  readonly unverified: boolean
}

/** A database of its own from a restore point or a checkpoint, checked first. */
export const restore = Effect.fnUntraced(function* (shared: Shared, flags: RestoreFlags) {
  const output = yield* Output
  const destination = Option.getOrElse(flags.destination, () => shared.path)
  const { restore: restoreFrom } = yield* Effect.promise(() => import("../../LightningDb.ts"))
  yield* makeRoom(destination)
  const startMs = performance.now()
  let progress: WorkProgress | undefined
  const report = yield* withProgress(
    () => ({
      verb: `verifying ${flags.from}`,
      done: 0,
      noun: ["file", "files"],
      bytes: progress?.bytes() ?? 0,
      bytesTotal: progress?.bytesTotal(),
      bytesOnly: true
    }),
    shared.json,
    Effect.mapError(
      restoreFrom({
        path: shared.path,
        from: flags.from,
        to: destination,
        verify: !flags.unverified,
        ...(Option.isSome(flags.dir) ? { checkpoints: flags.dir.value } : {}),
        onStart: (started) => {
          progress = started
        }
      }),
      explain
    )
  ).pipe(Effect.onInterrupt(() => output.note(`Stopped. There is no database at ${destination}: run the same command again to make it.`)))
  const durationMs = performance.now() - startMs
  yield* printResult(
    shared,
    [
      `restored ${flags.from} to ${destination} as of sequence ${formatCount(report.sequence)}: ${formatNoun(report.files, "file")}, ${formatBytes(report.bytes)}, ${formatDuration(durationMs)}`
    ],
    { from: flags.from, path: destination, sequence: report.sequence, files: report.files, bytes: report.bytes, durationMs: Math.round(durationMs) }
  )
})
