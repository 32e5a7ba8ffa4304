import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { WorkProgress } from "../../../services/WorkProgress.ts"
import { CliFailure } from "../CliFailure.ts"
import { ask, canAsk } from "../confirm.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatCount } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { printResult, type Shared, usage } from "../shared.ts"
import { momentText, pointJson } from "./points.ts"

export interface RollbackFlags {
  readonly name: string
  readonly discard: boolean
  readonly yes: boolean
  readonly dir: Option.Option<string>
  readonly unverified: boolean
}

/** Sets the database back to a restore point; what is there becomes one itself, unless it is to be given up. */
export const rollback = Effect.fnUntraced(function* (shared: Shared, flags: RollbackFlags) {
  const { name } = flags
  const output = yield* Output
  if (!flags.yes && !canAsk(output))
    return yield* usage(`Nobody can be asked whether ${shared.path} is to be set back to ${name}`, "Give --yes to do so without being asked.")
  if (!flags.yes) {
    const kept = flags.discard ? "What is there now is given up." : "What is there now is kept as a restore point."
    const typed = yield* ask(`${shared.path} is to be set back to restore point ${name}. ${kept} Type the name of the restore point to do so:`)
    if (typed !== name) {
      return yield* new CliFailure({
        tag: "NotConfirmed",
        message: "That is not its name: nothing was changed",
        hint: "Run the command again, or give --yes.",
        exitCode: ExitCode.failure
      })
    }
  }
  const { rollBack } = yield* Effect.promise(() => import("../../LightningDb.ts"))
  let progress: WorkProgress | undefined
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
    Effect.mapError(
      rollBack({
        path: shared.path,
        to: name,
        verify: !flags.unverified,
        keepPresent: !flags.discard,
        ...(Option.isSome(flags.dir) ? { checkpoints: flags.dir.value } : {}),
        onStart: (started) => {
          progress = started
        }
      }),
      (error) => withWayOut(explain(error), shared, flags)
    )
  ).pipe(
    Effect.onInterrupt(() =>
      output.note("Stopped. The database is what it was, or what it was set back to: `lightning points` and `lightning stats` tell.")
    )
  )
  const { kept, point } = report
  yield* printResult(
    shared,
    [
      `set ${shared.path} back to ${point.id}, made ${momentText(point.createdAtMs)}, sequence ${formatCount(point.sequence)}`,
      ...(kept === undefined ? [] : [`what was there is kept as ${kept.id}; \`lightning rollback ${kept.id}\` brings it back`])
    ],
    { path: shared.path, point: pointJson(point), kept: kept === undefined ? null : pointJson(kept) }
  )
})

/** A database that is damaged is the one that most needs to be set back: where it is the database, and not the restore point, there is a way. */
const withWayOut = (failure: CliFailure, shared: Shared, flags: RollbackFlags): CliFailure => {
  const file = failure.details?.["file"]
  const isPresent = typeof file === "string" && (file === shared.path || file.startsWith(`${shared.path}/`))
  if (failure.tag !== "CorruptFile" || flags.discard || !isPresent) return failure
  return new CliFailure({
    tag: failure.tag,
    message: failure.message,
    hint: `What is there now cannot be kept as a restore point, so nothing was changed. Keep a copy of ${shared.path}, then run the command again with --discard-present.`,
    exitCode: failure.exitCode,
    ...(failure.details === undefined ? {} : { details: failure.details })
  })
}
