import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import { DatabasePoisoned, LockLost } from "../domain/errors.ts"
import type { IoFailure } from "../domain/failures.ts"
import { encodeCurrent } from "../domain/manifest/current.ts"
import { currentFileName, currentTemporaryFileName, fileName } from "../domain/manifest/fileNames.ts"
import { encodeManifest, encodeManifestEdit } from "../domain/manifest/manifestFile.ts"
import { applyEdit, fileIdBlock, type ManifestState } from "../domain/manifest/ManifestState.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest, type ManifestError } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { attemptIo } from "./disk/fromSyncDisk.ts"
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
  const { directory, manifest: opened } = yield* Recovery
  const rolloverBytes = yield* RolloverBytes
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
  const currentPath = `${directory}/${currentFileName}`

  /** Every writable open replaces the file: whoever took the directory over is noticed here, whatever became of LOCK. */
  const stillOurs = () => disk.sync.stat(currentPath)?.inode === currentInode

  const fail = (cause: unknown): ManifestError => {
    if (failure === undefined) {
      const detail = cause instanceof Error ? cause.message : String(cause)
      failure = cause instanceof LockLost ? cause : new DatabasePoisoned({ detail })
      health.refuseWrites(new DatabasePoisoned({ detail }), detail)
    }
    return failure
  }

  /** A new file with the whole state. The old one stays the current one until the rename. */
  const rollOver = Effect.gen(function* () {
    const id = nextFileId++
    const path = `${directory}/${fileName("manifest", id)}`
    const encoded = encodeManifest(crc32, id, state)
    const next = yield* disk.open(path, "create")
    yield* disk.writev(next, [encoded.bytes], 0)
    yield* disk.datasync(next)
    const temporary = `${directory}/${currentTemporaryFileName}`
    const current = yield* disk.open(temporary, "create")
    yield* disk.writev(current, [encodeCurrent(crc32, id)], 0)
    yield* disk.datasync(current)
    yield* attemptIo(() => current.close())
    yield* disk.syncDirectory(directory)
    if (!stillOurs()) return yield* new LockLost({ path: directory })
    yield* disk.rename(temporary, currentPath)
    currentInode = disk.sync.stat(currentPath)?.inode ?? -1
    yield* disk.syncDirectory(directory)
    const oldPath = `${directory}/${fileName("manifest", fileId)}`
    handle.close()
    handle = next
    fileId = id
    tail = { lengthBytes: encoded.lengthBytes, lastSum: encoded.lastSum }
    headBytes = encoded.lengthBytes
    yield* Effect.ignore(disk.remove(oldPath))
  })

  const append = (record: ReturnType<typeof encodeManifestEdit>): Effect.Effect<void, IoFailure | LockLost> =>
    Effect.gen(function* () {
      yield* disk.writev(handle, [record.bytes], tail.lengthBytes)
      yield* disk.datasync(handle)
      if (!stillOurs()) return yield* new LockLost({ path: directory })
      tail = { lengthBytes: record.lengthBytes, lastSum: record.lastSum }
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
            const exit = yield* Effect.exit(
              Effect.gen(function* () {
                if (tail.lengthBytes - headBytes > Math.max(rolloverBytes, headBytes)) yield* rollOver
                yield* append(encodeManifestEdit(crc32, tail, timed))
              })
            )
            if (Exit.isFailure(exit)) return yield* fail(Cause.squash(exit.cause))
            // In one step: between two of a fiber others may run, and would find a state that the rest of the engine does not know yet.
            state = next
            applied?.(state)
          })
        })
      )
    )

  const reserve = commit((s) => (nextFileId + fileIdsKeptFree > s.fileIdsThrough ? { fileIdsThrough: nextFileId + fileIdBlock } : undefined))

  yield* Effect.addFinalizer(() => Effect.sync(() => handle.close()))

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

export const layer: Layer.Layer<Manifest, never, Disk | EngineClock | HealthMonitor | Recovery> = Layer.effect(Manifest, make)
