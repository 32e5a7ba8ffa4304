/** `Disk` over the real file system: `nodeDisk` for the synchronous calls, libuv's thread pool for those that wait for the device. */
import * as fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { Disk } from "../../services/Disk.ts"
import { acquire } from "../lock/DirectoryLock.ts"
import { shortCalls } from "./fromSyncDisk.ts"
import { makeNodeDisk, NodeFileHandle, type NodeFileSystem, removePooled, syncDirectoryPooled } from "./nodeDisk.ts"

/**
 * An Effect around one pooled call. It is uninterruptible because the system call is: were the fiber to go on while the call still runs, the caller
 * would reuse a buffer the kernel reads from, or close a file whose number the call is about to use. Interruption therefore waits for the answer.
 */
const pooled = <A>(start: (done: (failure: IoFailure | undefined, value: A) => void) => void): Effect.Effect<A, IoFailure> =>
  Effect.uninterruptible(
    Effect.callback<A, IoFailure>((resume) => {
      start((failure, value) => resume(failure === undefined ? Effect.succeed(value) : Effect.fail(failure)))
    })
  )

/** A handle of this disk; one of another disk is a mistake of the program, not of the disk. */
const own = (handle: FileHandle): NodeFileHandle => {
  if (handle instanceof NodeFileHandle) return handle
  throw new TypeError(`${handle.path} was opened by another disk`)
}

/** The service over the given `node:fs`. */
export const make = (system: NodeFileSystem, platform: string): Disk["Service"] => {
  const sync = makeNodeDisk(system, platform)
  return {
    kind: "node",
    durable: true,
    sharedWithWorkers: true,
    sync,
    lock: acquire,
    ...shortCalls(sync),
    read: (handle, into, position) => pooled((done) => own(handle).readPooled(into, position, done)),
    writev: (handle, buffers, position) => pooled((done) => own(handle).writevPooled(buffers, position, done)),
    datasync: (handle) => pooled((done) => own(handle).datasyncPooled(done)),
    remove: (path) => pooled((done) => removePooled(system, path, done)),
    syncDirectory: (path) => pooled((done) => syncDirectoryPooled(system, platform, path, done))
  }
}

export const layer: Layer.Layer<Disk> = Layer.sync(Disk, () => make(fs, process.platform))
