/** Makes a `Disk` service from a `SyncDisk`. */
import * as Effect from "effect/Effect"
import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import type { DirectoryLock } from "../../services/DirectoryLock.ts"
import type { Disk, DiskKind } from "../../services/Disk.ts"

export interface FromSyncDiskOptions {
  readonly kind: DiskKind
  readonly durable: boolean
  readonly sharedWithWorkers: boolean
  readonly lock: (directory: string) => DirectoryLock
}

/** Runs a synchronous call; what it throws is its typed failure, and anything but an `IoFailure` is a bug of ours: a defect. */
export const attemptIo = <A>(run: () => A): Effect.Effect<A, IoFailure> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      return cause instanceof IoFailure ? Effect.fail(cause) : Effect.die(cause)
    }
  })

/**
 * The calls that are short everywhere (names, stat, open): done in place. Only those that wait for the device need a pool, and those differ from
 * layer to layer.
 */
export const shortCalls = (sync: SyncDisk): Pick<Disk["Service"], "open" | "list" | "stat" | "makeDirectory" | "rename" | "remove" | "link"> => ({
  open: (path, mode) => attemptIo(() => sync.open(path, mode)),
  list: (directory) => attemptIo(() => sync.list(directory)),
  stat: (path) => attemptIo(() => sync.stat(path)),
  makeDirectory: (path) => attemptIo(() => sync.makeDirectory(path)),
  rename: (from, to) => attemptIo(() => sync.rename(from, to)),
  remove: (path) => attemptIo(() => sync.remove(path)),
  link: (from, to) => attemptIo(() => sync.link(from, to))
})

/**
 * The service over any `SyncDisk`: what other layers do in a pool happens here in the next turn of the fiber scheduler, so that fibers interleave as they
 * would over a real disk, and, as there, a call that was begun is not withdrawn by interruption.
 */
export const fromSyncDisk = (sync: SyncDisk, options: FromSyncDiskOptions): Disk["Service"] => ({
  ...options,
  sync,
  ...shortCalls(sync),
  read: (handle: FileHandle, into, position) => afterYield(() => handle.readAt(into, position)),
  writev: (handle: FileHandle, buffers, position) => afterYield(() => handle.writev(buffers, position)),
  datasync: (handle: FileHandle) => afterYield(() => handle.datasync()),
  syncDirectory: (path) => afterYield(() => sync.syncDirectory(path))
})

const afterYield = <A>(run: () => A): Effect.Effect<A, IoFailure> => Effect.uninterruptible(Effect.andThen(Effect.yieldNow, attemptIo(run)))
