/** Disks that break an engine over them: what the simulation has to find. */
import * as Effect from "effect/Effect"
import type { Disk } from "../../src/services/Disk.ts"

/** Says that it has synced, and has not. */
export const withoutDatasync = (disk: Disk["Service"]): Disk["Service"] => ({ ...disk, datasync: () => Effect.yieldNow })

/** Forgets to make names durable. */
export const withoutDirectorySync = (disk: Disk["Service"]): Disk["Service"] => {
  const sync = disk.sync
  const deaf: Disk["Service"]["sync"] = {
    open: (path, mode) => sync.open(path, mode),
    list: (directory) => sync.list(directory),
    stat: (path) => sync.stat(path),
    makeDirectory: (path) => sync.makeDirectory(path),
    rename: (from, to) => sync.rename(from, to),
    remove: (path) => sync.remove(path),
    link: (from, to) => sync.link(from, to),
    syncDirectory: () => undefined
  }
  return { ...disk, sync: deaf, syncDirectory: () => Effect.yieldNow }
}
