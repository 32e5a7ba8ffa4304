import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { isDiskFull } from "../domain/disk/diskFull.ts"
import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import { DatabasePoisoned, DiskFull, LockLost } from "../domain/errors.ts"
import { IoFailure } from "../domain/failures.ts"
import type { ManifestEdit } from "../domain/manifest/ManifestEdit.ts"
import { encodeCurrent } from "../domain/manifest/current.ts"
import { currentFileName, currentTemporaryFileName, fileName } from "../domain/manifest/fileNames.ts"
import { encodeManifest, encodeManifestEdit } from "../domain/manifest/manifestFile.ts"
import { applyEdit, fileIdBlock, type ManifestState } from "../domain/manifest/ManifestState.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest, type ManifestError } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { closeQuietly } from "./disk/closeQuietly.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { attemptIo } from "./disk/fromSyncDisk.ts"
import { isDefect, publicCause } from "./jobs/causes.ts"
import { crc32 } from "./crc32.ts"

/**
 * After so many bytes of edits (or as many as the state itself takes, which a large database must not write again and again) a manifest file is followed by a new one, which
 * starts with the state as it is. Tests make it small, to see it happen.
 */
export const RolloverBytes = Context.Reference<number>("lightning-db/layers/Manifest/RolloverBytes", { defaultValue: () => 1 << 20 })
/** Ids that stay free for the next open, which may take them only from what is reserved already. */
const fileIdsKeptFree = 4096

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const space = yield* SpaceKeeper
  const { directory, manifest: opened } = yield* Recovery
  const rolloverBytes = yield* RolloverBytes
  const actor = (yield* Watchdog).actor("manifest")
  const queue = yield* Semaphore.make(1)
  let state: ManifestState = opened.state
  let handle: FileHandle = opened.handle
  let fileId = opened.fileId
  let tail = { lengthBytes: opened.lengthBytes, lastSum: opened.lastSum }
  /** Of the file, without the edits since: what a new file would at least be as long as. */
  let headBytes = opened.lengthBytes
  let currentInode = opened.currentInode
  let nextFileId = Math.max(fileId, opened.fileId) + 1
  let failure: ManifestError | undefined
  /** The current file may end in an edit, or a part of one, that was never said to be durable: nothing more is appended to it. */
  let torn = false
  let closed = false
  /** Of a file that was given up for want of room and has left no trace. */
  let unusedId: number | undefined
  /** A `CURRENT.tmp` of ours that was given up and could not be removed. */
  let temporaryLeft = false
  const currentPath = `${directory}/${currentFileName}`
  const temporaryPath = `${directory}/${currentTemporaryFileName}`

  /** Every writable open replaces the file: whoever took the directory over is noticed here, whatever became of LOCK. */
  const stillOurs = () => disk.sync.stat(currentPath)?.inode === currentInode

  const fail = (cause: unknown): ManifestError => {
    if (failure === undefined) {
      // Only a database that stops leaves an edit without room: nothing was lost by that.
      if (cause instanceof DiskFull) return (failure = cause)
      const detail = cause instanceof Error ? cause.message : String(cause)
      failure =
        cause instanceof LockLost
          ? cause
          : isDefect(cause)
            ? health.fail("manifest", cause)
            : new DatabasePoisoned({ detail, cause: publicCause(cause) })
      health.refuseWrites(new DatabasePoisoned({ detail, cause: publicCause(cause) }), detail)
    }
    return failure
  }

  /** Between the steps of an edit that begins files of its own. */
  const demandOpen = Effect.suspend(() => (closed ? Effect.fail(new IoFailure("writev", handle.path, "EBADF")) : Effect.void))

  const removed = (path: string): boolean => {
    try {
      disk.sync.remove(path)
      return true
    } catch (cause) {
      if (!(cause instanceof IoFailure)) throw cause
      return cause.code === "ENOENT"
    }
  }

  /** A manifest file with the whole state, and the next `CURRENT` that names it, all durable. Where there is no room, nothing of it stays. */
  const writeAnew = (id: number, path: string, bytes: Uint8Array): Effect.Effect<FileHandle, IoFailure> =>
    Effect.suspend(() => {
      const opened: Array<FileHandle> = []
      let isNamed = false
      return Effect.gen(function* () {
        const next = yield* disk.open(path, "create")
        opened.push(next)
        yield* disk.writev(next, [bytes], 0)
        yield* disk.datasync(next)
        yield* demandOpen
        if (temporaryLeft) removed(temporaryPath)
        const current = yield* disk.open(temporaryPath, "create")
        opened.push(current)
        isNamed = true
        yield* disk.writev(current, [encodeCurrent(crc32, id)], 0)
        yield* disk.datasync(current)
        opened.pop()
        yield* attemptIo(() => current.close())
        yield* disk.syncDirectory(directory)
        return next
      }).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            for (const handle of opened) closeQuietly(handle)
            if (!isDiskFull(error)) return
            if (isNamed) temporaryLeft = !removed(temporaryPath)
            if (removed(path)) unusedId = id
          })
        )
      )
    })

  /** A new file with the whole state, `next`. The old one stays the current one until the rename. */
  const rollOver = (next: ManifestState) =>
    Effect.gen(function* () {
      const id = unusedId ?? nextFileId++
      unusedId = undefined
      const path = `${directory}/${fileName("manifest", id)}`
      const encoded = encodeManifest(crc32, id, next)
      const written = yield* writeAnew(id, path, encoded.bytes)
      yield* demandOpen
      if (!stillOurs()) return yield* new LockLost({ path: directory })
      // From here on nobody can tell which of the two files a crash would find: no room for the rename is as bad as every other failure.
      yield* Effect.orDie(disk.rename(temporaryPath, currentPath))
      currentInode = disk.sync.stat(currentPath)?.inode ?? -1
      yield* disk.syncDirectory(directory)
      const oldPath = `${directory}/${fileName("manifest", fileId)}`
      handle.close()
      handle = written
      fileId = id
      tail = { lengthBytes: encoded.lengthBytes, lastSum: encoded.lastSum }
      headBytes = encoded.lengthBytes
      torn = false
      yield* Effect.ignore(disk.remove(oldPath))
      space.changed()
    })

  const append = (edit: ManifestEdit): Effect.Effect<void, IoFailure | LockLost> =>
    Effect.gen(function* () {
      const record = encodeManifestEdit(crc32, tail, edit)
      yield* Effect.tapError(disk.writev(handle, [record.bytes], tail.lengthBytes), () => Effect.sync(() => (torn = true)))
      yield* disk.datasync(handle)
      if (!stillOurs()) return yield* new LockLost({ path: directory })
      tail = { lengthBytes: record.lengthBytes, lastSum: record.lastSum }
    })

  /**
   * Makes the edit durable: as a record at the end of the file, or as part of the state at the head of a new one, which is due once there are enough edits, and the only way after an
   * append that found no room.
   *
   * Such an append leaves the edit, whole or in part, at the end of the old file, and nobody has synced it. Until the rename a crash finds that file, with the edit or without it, and
   * either is right: what an edit names is durable before the edit is handed in, what it takes away is removed only after it is durable, and nothing that came later was decided on
   * either assumption, because edits wait for one another. The file ends there, so a part of the edit is a torn tail. After the rename a crash finds the new file, with the edit.
   */
  const persist = (edit: ManifestEdit, next: ManifestState) =>
    space.untilRoom(
      Effect.suspend(() => {
        actor.begin("an edit of", handle.path)
        if (torn) return rollOver(next)
        if (tail.lengthBytes - headBytes <= Math.max(rolloverBytes, headBytes)) return append(edit)
        // No room for a new file is no reason to give up the reserve: the old one is as good.
        return Effect.catchIf(rollOver(next), isDiskFull, () => append(edit))
      }).pipe(Effect.ensuring(Effect.sync(() => actor.end())))
    )

  // Whatever hangs, a database that closes does not wait for it: of an edit that was given up both outcomes are right, as of one that found no room.
  let isOverdue = false
  let giveUp: (() => void) | undefined
  const giveUpIfClosing = () => {
    if (isOverdue && health.closed() !== undefined) giveUp?.()
  }
  actor.onOverdue = () => {
    isOverdue = true
    giveUpIfClosing()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => health.onChange(giveUpIfClosing)),
    (end) => Effect.sync(end)
  )

  /** Undefined: given up. */
  const seenThrough = <A, E>(persisting: Fiber.Fiber<A, E>) =>
    Effect.callback<Exit.Exit<A, E> | undefined>((resume) => {
      isOverdue = false
      giveUp = () => resume(Effect.succeed(undefined))
      persisting.addObserver((exit) => resume(Effect.succeed(exit)))
    })

  const commit: Manifest["Service"]["commit"] = (build, applied) =>
    // Once begun an edit is seen through: an interrupted caller must not leave a durable edit that nobody applied.
    queue.withPermit(
      Effect.uninterruptible(
        Effect.suspend(() => {
          if (failure !== undefined) return Effect.fail(failure)
          const edit = build(state)
          if (edit === undefined) return Effect.void
          const timed = { ...edit, engineTimeMs: clock.nowMs() }
          const next = applyEdit(state, timed)
          return Effect.gen(function* () {
            const exit = yield* seenThrough(yield* Effect.forkDetach(persist(timed, next), { startImmediately: true }))
            if (exit === undefined)
              return yield* fail(new DatabasePoisoned({ detail: "the database was closed, and the sync of its manifest did not come back" }))
            if (Exit.isFailure(exit)) return yield* fail(Cause.squash(exit.cause))
            // In one step: between two of a fiber others may run, and would find a state that the rest of the engine does not know yet.
            state = next
            try {
              applied?.(state)
            } catch (cause) {
              // Durable and half applied: what is in memory is no longer what is on disk.
              return yield* Effect.die(health.fail("manifest", cause))
            }
          })
        })
      )
    )

  const reserve = commit((s) => (nextFileId + fileIdsKeptFree > s.fileIdsThrough ? { fileIdsThrough: nextFileId + fileIdBlock } : undefined))

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      // What comes too late (the seal behind a sync that was given up) must not touch a directory that somebody else may have opened meanwhile.
      closed = true
      failure ??= new DatabasePoisoned({ detail: "the database was closed before this edit was durable" })
      handle.close()
    })
  )

  return Manifest.of({
    state: () => state,
    commit,
    takeFileIds: (count) =>
      Effect.suspend(() => {
        const take = () => {
          const ids = Array.from({ length: count }, (_, i) => nextFileId + i)
          nextFileId += count
          return ids
        }
        if (nextFileId + count + fileIdsKeptFree <= state.fileIdsThrough) return Effect.succeed(take())
        return Effect.map(reserve, take)
      }),
    diskBytes: () => tail.lengthBytes,
    stillOurs
  })
})

export const layer: Layer.Layer<Manifest, never, Disk | EngineClock | HealthMonitor | Recovery | SpaceKeeper | Watchdog> = Layer.effect(
  Manifest,
  make
)
