import * as Effect from "effect/Effect"
import type { Disk } from "../../services/Disk.ts"
import type { Watchdog } from "../../services/Watchdog.ts"

/** The disk for one kind of work, each of its waiting calls a step of that name: where one hangs, the call and the file are named, and each that returns is progress. */
export const watchedDisk = (disk: Disk["Service"], watchdog: Watchdog["Service"], name: string): Disk["Service"] => {
  const watched = <A, E>(what: string, file: string, call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const actor = watchdog.job(name)
      actor.begin(what, file)
      return Effect.ensuring(
        call,
        Effect.sync(() => actor.end())
      )
    })
  return {
    ...disk,
    read: (handle, into, position) => watched("read of", handle.path, disk.read(handle, into, position)),
    writev: (handle, buffers, position) => watched("write to", handle.path, disk.writev(handle, buffers, position)),
    datasync: (handle) => watched("datasync of", handle.path, disk.datasync(handle)),
    syncDirectory: (path) => watched("sync of", path, disk.syncDirectory(path)),
    open: (path, mode) => watched("open of", path, disk.open(path, mode)),
    link: (from, to) => watched("link of", from, disk.link(from, to)),
    rename: (from, to) => watched("rename of", from, disk.rename(from, to)),
    remove: (path) => watched("removal of", path, disk.remove(path))
  }
}
