import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import { Disk } from "../../src/services/Disk.ts"
import { directory } from "./openEngine.ts"

/** Names of the log segments that are there, oldest first. */
export const logFiles = (disk: SyncDisk): ReadonlyArray<string> =>
  disk
    .list(directory)
    .filter((name) => name.endsWith(".log"))
    .sort()

/** A disk whose datasyncs of the log wait for a gate. */
export const gatedSyncs = (inner: SyncDisk, gate: Latch.Latch): Layer.Layer<Disk> => {
  const disk = DiskMemory.make(inner)
  return Layer.succeed(Disk, {
    ...disk,
    datasync: (handle) => (handle.path.endsWith(".log") ? Effect.andThen(gate.await, disk.datasync(handle)) : disk.datasync(handle))
  })
}

/** A disk that knows which files are open for reading. */
export class CountingDisk {
  readonly sync: SyncDisk
  readonly open = new Map<string, number>()

  constructor(inner: SyncDisk) {
    const { open } = this
    this.sync = {
      open: (path, mode) => {
        const handle = inner.open(path, mode)
        if (mode !== "read") return handle
        open.set(path, (open.get(path) ?? 0) + 1)
        return {
          path,
          readAt: (into, position) => handle.readAt(into, position),
          writev: (buffers, position) => handle.writev(buffers, position),
          datasync: () => handle.datasync(),
          sizeBytes: () => handle.sizeBytes(),
          truncate: (length) => handle.truncate(length),
          close: () => {
            handle.close()
            open.set(path, open.get(path)! - 1)
          }
        }
      },
      list: (path) => inner.list(path),
      stat: (path) => inner.stat(path),
      makeDirectory: (path) => inner.makeDirectory(path),
      rename: (from, to) => inner.rename(from, to),
      remove: (path) => inner.remove(path),
      link: (from, to) => inner.link(from, to),
      syncDirectory: (path) => inner.syncDirectory(path)
    }
  }

  /** How many handles of log segments are open for reading. */
  get logsOpen(): number {
    let count = 0
    for (const [path, open] of this.open) if (path.endsWith(".log")) count += open
    return count
  }

  get service(): Disk["Service"] {
    return DiskMemory.make(this.sync)
  }
}
