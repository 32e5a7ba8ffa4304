/** `Disk` over another `Disk`, recorded: what takes several turns is recorded with a beginning and an end. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { Disk } from "../../services/Disk.ts"
import { shortCalls } from "./fromSyncDisk.ts"
import type { DiskOperationKind } from "./SimulatedDisk.ts"
import { type DiskTracer, totalBytes, TracingDisk, TracingFileHandle } from "./TracingDisk.ts"

const own = (handle: FileHandle): FileHandle => {
  if (handle instanceof TracingFileHandle) return handle.inner
  throw new TypeError(`${handle.path} was opened by another disk`)
}

export const make = (inner: Disk["Service"], tracer: DiskTracer): Disk["Service"] => {
  const tracing = new TracingDisk(inner.sync, tracer)
  const traced = <A>(
    kind: DiskOperationKind,
    path: string,
    position: number,
    length: number,
    run: () => Effect.Effect<A, IoFailure>
  ): Effect.Effect<A, IoFailure> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const end = tracer.begin(kind, path, position, length)
        return Effect.onExit(run(), (exit) => Effect.sync(() => end(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)))
      })
    )
  return {
    kind: "tracing",
    durable: inner.durable,
    sharedWithWorkers: false,
    sync: tracing,
    lock: inner.lock,
    ...shortCalls(tracing),
    read: (handle, into, position) => traced("readAt", handle.path, position, into.length, () => inner.read(own(handle), into, position)),
    writev: (handle, buffers, position) =>
      traced("writev", handle.path, position, totalBytes(buffers), () => inner.writev(own(handle), buffers, position)),
    datasync: (handle) => traced("datasync", handle.path, 0, 0, () => inner.datasync(own(handle))),
    syncDirectory: (path) => traced("syncDirectory", path, 0, 0, () => inner.syncDirectory(path))
  }
}

/** The disk below, recorded in `tracer`. */
export const layer = (tracer: DiskTracer): Layer.Layer<Disk, never, Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (inner) => make(inner, tracer))
  )
