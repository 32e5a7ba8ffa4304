/** `Disk` over another `Disk`, failing by rules. Work never leaves the main thread on it: a worker would open the files past the rules. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { Disk } from "../../services/Disk.ts"
import { FaultyDisk, FaultyFileHandle, type FaultRule } from "./FaultyDisk.ts"
import { attemptIo, shortCalls } from "./fromSyncDisk.ts"

const own = (handle: FileHandle): FaultyFileHandle => {
  if (handle instanceof FaultyFileHandle) return handle
  throw new TypeError(`${handle.path} was opened by another disk`)
}

/** The service of `faulty`, whose `inner` must be the synchronous side of `inner`. */
export const make = (inner: Disk["Service"], faulty: FaultyDisk): Disk["Service"] => {
  const unless = (admit: () => boolean, run: () => Effect.Effect<void, IoFailure>): Effect.Effect<void, IoFailure> =>
    Effect.flatMap(attemptIo(admit), (admitted) => (admitted ? run() : Effect.void))
  return {
    kind: "faulty",
    durable: inner.durable,
    sharedWithWorkers: false,
    sync: faulty,
    lock: inner.lock,
    ...shortCalls(faulty),
    read: (handle, into, position) =>
      Effect.flatMap(
        attemptIo(() => own(handle).planRead(into, position)),
        (plan) => Effect.map(inner.read(own(handle).inner, plan.into, position), plan.finish)
      ),
    writev: (handle, buffers, position) =>
      Effect.flatMap(
        attemptIo(() => own(handle).planWrite(buffers, position)),
        ({ buffers, failure }) => {
          const written = inner.writev(own(handle).inner, buffers, position)
          return failure === undefined ? written : Effect.andThen(written, Effect.fail(failure))
        }
      ),
    datasync: (handle) =>
      unless(
        () => own(handle).planDatasync(),
        () => inner.datasync(own(handle).inner)
      ),
    syncDirectory: (path) =>
      unless(
        () => faulty.admit("syncDirectory", path),
        () => inner.syncDirectory(path)
      )
  }
}

/** The disk below, failing by `rules`. */
export const layer = (rules: ReadonlyArray<FaultRule>): Layer.Layer<Disk, never, Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (inner) => make(inner, new FaultyDisk(inner.sync, rules)))
  )

/** The disk below, failing as `control` decides at any time: rules are added to the `FaultyDisk` it is handed. */
export const layerWith = (control: (faulty: FaultyDisk) => void): Layer.Layer<Disk, never, Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (inner) => {
      const faulty = new FaultyDisk(inner.sync)
      control(faulty)
      return make(inner, faulty)
    })
  )
