/** A disk that a reader keeps while the machine behind it is found as it is after a crash: what it opens from then on it opens there. */
import * as Layer from "effect/Layer"
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { fromSyncDisk } from "../../src/layers/disk/fromSyncDisk.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { acquireOn } from "../../src/layers/lock/ObjectLock.ts"
import { Disk } from "../../src/services/Disk.ts"

/** For reading only. `now` says which disk is there. */
export const movedDisk = (now: () => SimulatedDisk): Layer.Layer<Disk> => {
  const refuse = (): never => {
    throw new Error("a reader changes the directory")
  }
  const sync: SyncDisk = {
    open: (path, mode) => (mode === "read" ? now().open(path, mode) : refuse()),
    list: (path) => now().list(path),
    stat: (path) => now().stat(path),
    makeDirectory: refuse,
    rename: refuse,
    remove: refuse,
    link: refuse,
    syncDirectory: refuse
  }
  return Layer.sync(Disk, () =>
    fromSyncDisk(sync, { kind: "simulated", durable: true, sharedWithWorkers: false, lock: (path) => acquireOn(sync, path) })
  )
}
