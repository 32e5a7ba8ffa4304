import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Probe, ReadBreakers } from "./ReadBreakers.ts"

/** Read from where the file failed: about what a read of a user fetches there. */
const probeBytes = 65_536

interface ProbedFiles {
  readonly disk: Disk["Service"]
  readonly reads: ReadBreakers
  /** The path of a file that a live version names; `undefined` for one that is none any more. */
  readonly pathOf: (fileId: number) => string | undefined
  /** Opens it for reading. Throws `IoFailure`. */
  readonly open: (path: string) => FileHandle
}

/**
 * Keeps an eye on the files that are left alone: once the pause of a breaker is over, the place that failed is read, so that health tells of a device that works again though nobody
 * reads there. The fiber that `start` begins, and its only timer, last while there is a breaker that is not closed. A read of a user is as good a probe; while one is under way none is
 * made here.
 */
export const probeReads = ({ disk, open, pathOf, reads }: ProbedFiles, start: (loop: Effect.Effect<void>) => void): void => {
  let running = false
  let wake: (() => void) | undefined
  /** Counts the changes: one between a look and the pause that follows is not missed. */
  let changes = 0
  /** Files that somebody else probes, since the last change. */
  const elsewhere = new Set<number>()

  /** Until something has changed after that many changes, or the time is over. */
  const pause = (seen: number, ms: number | undefined): Effect.Effect<void> => {
    const changed = Effect.callback<void>((resume) => {
      if (changes !== seen) return resume(Effect.void)
      wake = () => resume(Effect.void)
      return Effect.sync(() => {
        wake = undefined
      })
    })
    return ms === undefined ? changed : Effect.timeoutOrElse(changed, { duration: Math.ceil(ms), orElse: () => Effect.void })
  }

  const probe = ({ fileId, offset }: Probe): Effect.Effect<void> =>
    Effect.suspend(() => {
      const path = pathOf(fileId)
      if (path === undefined) {
        reads.forget(fileId)
        return Effect.void
      }
      if (!reads.admitProbe(fileId)) {
        elsewhere.add(fileId)
        return Effect.void
      }
      // A handle of its own, open until the read is over, which cannot be withdrawn.
      return Effect.acquireUseRelease(
        Effect.try({
          try: () => open(path),
          catch: (cause) => {
            if (cause instanceof IoFailure) return cause
            throw cause
          }
        }),
        (handle) => disk.read(handle, new Uint8Array(probeBytes), offset),
        (handle) => Effect.sync(() => handle.close())
      ).pipe(
        Effect.match({
          onSuccess: () => reads.succeeded(fileId),
          onFailure: (failure) => (failure.code === "ENOENT" ? reads.forget(fileId) : reads.probeFailed(fileId, failure.at(offset)))
        }),
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => reads.abandoned(fileId))))
      )
    })

  const loop: Effect.Effect<void> = Effect.suspend(() => {
    const seen = changes
    const next = reads.nextProbe(elsewhere)
    if (next !== undefined) return Effect.andThen(next.inMs > 0 ? pause(seen, next.inMs) : probe(next), loop)
    if (elsewhere.size > 0) return Effect.andThen(pause(seen, undefined), loop)
    running = false
    return Effect.void
  })

  reads.onChange = () => {
    changes++
    elsewhere.clear()
    if (running) return wake?.()
    if (reads.nextProbe(elsewhere) === undefined) return
    running = true
    start(loop)
  }
}
