import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isDiskFull } from "../domain/disk/diskFull.ts"
import type { SyncDisk } from "../domain/disk/SyncDisk.ts"
import { DatabaseLocked, fromFailure, NotADatabase, type OpenError, PathIsFile } from "../domain/errors.ts"
import { IoFailure } from "../domain/failures.ts"
import { currentFileName, reserveFileName } from "../domain/manifest/fileNames.ts"
import { sequenceBlock } from "../domain/manifest/ManifestState.ts"
import { LockFailure } from "../services/DirectoryLock.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Entropy } from "../services/Entropy.ts"
import { Recovery } from "../services/Recovery.ts"
import { makeDirectoryDurably, syncNameOf } from "./disk/makeDirectoryDurably.ts"
import { listDirectory } from "./recovery/readState.ts"
import { ForeignDirectory, LogMoved, recover } from "./recovery/recover.ts"
import { tellProgress } from "./recovery/tellProgress.ts"

/** Sequences reserved at a time: at opening, and ahead of need. Tests make it small, to see it happen. */
export const SequenceBlock = Context.Reference<number>("lightning-db/layers/Recovery/SequenceBlock", { defaultValue: () => sequenceBlock })

/** Throws `PathIsFile`, `IoFailure`. */
const ensureDirectory = (disk: SyncDisk, path: string): void => {
  const stat = disk.stat(path)
  if (stat?.kind === "file") throw new PathIsFile({ path })
  if (stat === undefined) makeDirectoryDurably(disk, path)
  // An earlier open may have made it and come no further: without a name that lasts, nothing in it does.
  else if (disk.stat(`${path}/${currentFileName}`) === undefined) syncNameOf(disk, path)
}

/** Whether there was one. */
const giveUpReserve = (disk: SyncDisk, directory: string): boolean => {
  try {
    disk.remove(`${directory}/${reserveFileName}`)
    return true
  } catch (cause) {
    if (!(cause instanceof IoFailure)) throw cause
    return false
  }
}

/** Turns what opening throws into what it promises to fail with; anything else is a defect. */
export const openError = (path: string, cause: unknown): OpenError => {
  if (cause instanceof LockFailure)
    return new DatabaseLocked({ path: cause.path, ...(cause.heldByPid === undefined ? {} : { pid: cause.heldByPid }) })
  if (cause instanceof LogMoved) return new DatabaseLocked({ path, detail: cause.message })
  if (cause instanceof ForeignDirectory) return new NotADatabase({ path, detail: cause.message })
  if (cause instanceof PathIsFile || cause instanceof NotADatabase) return cause
  return fromFailure(cause)
}

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const sequencesReserved = yield* SequenceBlock
  const directory = options.path

  yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        ensureDirectory(disk.sync, directory)
        // Looked at before anything is made there: a mistyped path must not leave a lock file among somebody's documents.
        const { foreign } = listDirectory(disk.sync, directory)
        if (foreign.length > 0 && disk.sync.stat(`${directory}/${currentFileName}`) === undefined) throw new ForeignDirectory(directory, foreign)
        return disk.lock(directory)
      },
      catch: (cause) => openError(directory, cause)
    }),
    (held) => Effect.sync(() => held.release())
  )

  const onReplay = yield* tellProgress(directory, clock.monotonicMs)
  const recoverNow = () =>
    recover({
      disk: disk.sync,
      directory,
      memtableBytes: options.memtableBytes,
      randomBytes: entropy.bytes,
      raiseTime: (ms) => {
        clock.raise(ms)
        return clock.nowMs()
      },
      monotonicMs: clock.monotonicMs,
      sequencesReserved,
      onReplay
    })
  const recovered = yield* Effect.try({
    try: () => {
      try {
        return recoverNow()
      } catch (cause) {
        // A few pages are enough for an open; with the reserve an earlier one has left, a database on a full disk can be opened, and what fills the disk deleted.
        if (!isDiskFull(cause) || !giveUpReserve(disk.sync, directory)) throw cause
        return recoverNow()
      }
    },
    catch: (cause) => openError(directory, cause)
  })
  // Log and manifest close them; unless the open fails before those exist.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const handle of [recovered.segment.handle, recovered.manifest.handle]) {
        try {
          handle.close()
        } catch (cause) {
          if (!(cause instanceof IoFailure)) throw cause
        }
      }
    })
  )
  return Recovery.of({ directory, ...recovered })
})

export const layer: Layer.Layer<Recovery, OpenError, Disk | EngineOptions | EngineClock | Entropy> = Layer.effect(Recovery, make)
