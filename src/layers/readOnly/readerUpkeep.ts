import * as Effect from "effect/Effect"
import { type Gone, fromReadFailure } from "../../domain/errors.ts"
import { scrubRateDefault } from "../../domain/options/scrubOption.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { DatabaseShape } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { Entropy } from "../../services/Entropy.ts"
import type { RestorePoints } from "../../services/RestorePoints.ts"
import type { ScrubReport, ScrubStats } from "../../services/Scrubber.ts"
import { isCheckpointPath, noCheckpointPath } from "../maintenance/checkpoint.ts"
import { checkpointAsReader } from "../maintenance/checkpointAsReader.ts"
import { makeFewAtOnce } from "../maintenance/fewAtOnce.ts"
import { paceOf, rateOf } from "../maintenance/pacing.ts"
import { verifyAll } from "../maintenance/verifyAll.ts"
import { verifyAsReader, type VerifyWatch } from "../maintenance/verifyVersion.ts"
import { makeRestorePoints } from "../restorePoints/makeRestorePoints.ts"
import { pointsBeside } from "../restorePoints/pointDirectory.ts"

export interface ReaderUpkeep extends Pick<DatabaseShape, "checkpoint" | "scrub" | "verify" | "verifyAll">, RestorePoints {
  readonly scrubStats: () => ScrubStats
}

/** Copies and verifications without the writer's lock: of what is on disk now, which may be newer than what this open shows. */
export const makeReaderUpkeep = (parts: {
  readonly disk: Disk["Service"]
  readonly entropy: Entropy["Service"]
  readonly clock: EngineClock["Service"]
  readonly directory: string
  readonly options: ResolvedOptions
  readonly closed: () => Gone | undefined
  readonly lineageId: () => Uint8Array
}): Effect.Effect<ReaderUpkeep> =>
  Effect.gen(function* () {
    const { clock, closed, directory, disk, entropy, lineageId, options } = parts
    const { memtableBytes } = options
    const guarded = <A, E>(run: Effect.Effect<A, E>): Effect.Effect<A, E | Gone> =>
      Effect.suspend((): Effect.Effect<A, E | Gone> => {
        const gone = closed()
        return gone === undefined ? run : Effect.fail(gone)
      })
    const fewVerifications = yield* makeFewAtOnce
    const fewCheckpoints = yield* makeFewAtOnce
    const checkpoint = (path: string) => fewCheckpoints(checkpointAsReader({ disk, entropy, directory, memtableBytes }, path))
    const restorePoints = yield* makeRestorePoints({
      disk,
      points: options.checkpoints ?? pointsBeside(directory),
      memtableBytes,
      nowMs: () => clock.nowMs(),
      lineageId,
      checkpoint,
      guarded,
      verifying: fewVerifications
    })
    const everyFile = (watch?: VerifyWatch) =>
      fewVerifications(Effect.mapError(verifyAsReader({ disk, directory, memtableBytes }, watch), fromReadFailure))

    let stats: ScrubStats = { running: false, lastStarted: undefined, lastFinished: undefined, bytes: 0, damaged: 0 }
    const scrub: DatabaseShape["scrub"] = Effect.fnUntraced(function* (work) {
      const rate = yield* rateOf(work, options.scrub?.bytesPerSecond ?? scrubRateDefault)
      const from = stats.bytes
      stats = { ...stats, running: true, lastStarted: clock.nowMs() }
      const pace = paceOf(rate, clock.monotonicMs, (bytes) => {
        stats = { ...stats, bytes: stats.bytes + bytes }
      })
      const { damaged, tables, valueFiles } = yield* guarded(verifyAll(work, (watch) => everyFile({ ...watch, pace }))).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            stats = { ...stats, running: false }
          })
        )
      )
      stats = { ...stats, lastFinished: clock.nowMs(), damaged: damaged.length }
      const report: ScrubReport = { files: tables + valueFiles, bytes: stats.bytes - from, damaged }
      return report
    })

    return {
      ...restorePoints,
      checkpoint: (path) => (isCheckpointPath(path) ? guarded(checkpoint(path)) : Effect.fail(noCheckpointPath())),
      scrub,
      scrubStats: () => stats,
      verify: guarded(everyFile()),
      verifyAll: (work) => guarded(verifyAll(work, everyFile))
    }
  })
