/** `Disk` over a `SimulatedDisk`: syncs have a beginning and an end in different turns, and cover only what came before their beginning. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { Disk } from "../../services/Disk.ts"
import { acquireOn } from "../lock/ObjectLock.ts"
import { attemptIo, fromSyncDisk } from "./fromSyncDisk.ts"
import { type SimulatedDisk, SimulatedFileHandle } from "./SimulatedDisk.ts"

const inTwoTurns = (begin: () => () => void): Effect.Effect<void, IoFailure> =>
  Effect.uninterruptible(Effect.flatMap(attemptIo(begin), (end) => Effect.andThen(Effect.yieldNow, attemptIo(end))))

const own = (handle: FileHandle): SimulatedFileHandle => {
  if (handle instanceof SimulatedFileHandle) return handle
  throw new TypeError(`${handle.path} was opened by another disk`)
}

export const make = (disk: SimulatedDisk): Disk["Service"] => ({
  ...fromSyncDisk(disk, { kind: "simulated", durable: true, sharedWithWorkers: false, lock: (directory) => acquireOn(disk, directory) }),
  datasync: (handle) => inTwoTurns(() => own(handle).beginDatasync()),
  syncDirectory: (path) => inTwoTurns(() => disk.beginSyncDirectory(path))
})

export const layer = (disk: SimulatedDisk): Layer.Layer<Disk> => Layer.sync(Disk, () => make(disk))
