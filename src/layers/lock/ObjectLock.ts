/** The directory lock of disks that exist only as objects: one table per disk, gone with it. */
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { type DirectoryLock, LockFailure } from "../../services/DirectoryLock.ts"

const locksByDisk = new WeakMap<SyncDisk, Map<string, DirectoryLock>>()

const locksOf = (disk: SyncDisk): Map<string, DirectoryLock> => {
  let locks = locksByDisk.get(disk)
  if (locks === undefined) locksByDisk.set(disk, (locks = new Map()))
  return locks
}

const normal = (directory: string): string =>
  directory
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/")

/** Takes `directory` of `disk`; throws `LockFailure` while somebody has it. */
export const acquireOn = (disk: SyncDisk, directory: string): DirectoryLock => {
  const locks = locksOf(disk)
  const key = normal(directory)
  if (locks.has(key)) throw new LockFailure(directory, process.pid)
  const lock: DirectoryLock = {
    directory,
    stillHeld: () => locks.get(key) === lock,
    release: () => {
      if (locks.get(key) === lock) locks.delete(key)
    }
  }
  locks.set(key, lock)
  return lock
}

/** For tests: takes the lock away from its holder, as removing LOCK under a running database does. */
export const steal = (disk: SyncDisk, directory: string): void => {
  locksOf(disk).delete(normal(directory))
}
