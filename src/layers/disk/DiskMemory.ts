/** `Disk` in memory: for tests and for databases that need not outlive the process. */
import * as Layer from "effect/Layer"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Disk } from "../../services/Disk.ts"
import { acquireOn } from "../lock/ObjectLock.ts"
import { fromSyncDisk } from "./fromSyncDisk.ts"
import { MemoryDisk } from "./MemoryDisk.ts"

export const make = (disk: SyncDisk): Disk["Service"] =>
  fromSyncDisk(disk, { kind: "memory", durable: false, sharedWithWorkers: false, lock: (directory) => acquireOn(disk, directory) })

/** A fresh, empty disk each time the layer is built. */
export const layer: Layer.Layer<Disk> = Layer.sync(Disk, () => make(new MemoryDisk()))

/** This disk, so that a database can be closed and opened again on it. */
export const layerOf = (disk: MemoryDisk): Layer.Layer<Disk> => Layer.sync(Disk, () => make(disk))
