import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"

/** Codes with which a file system says that it has no hard link to give, at all or to there. */
const linkRefusals = new Set(["EXDEV", "EPERM", "ENOTSUP", "EMLINK", "ENOSYS"])
const copyBytes = 1 << 20

/** A second name for the file, or a synced copy of it where there is none to be had. What cannot be read of it is zeros in the copy. Its new name is durable once the directory is synced. */
export const linkOrCopy = (disk: SyncDisk, from: string, to: string): void => {
  try {
    disk.link(from, to)
  } catch (cause) {
    if (!(cause instanceof IoFailure) || !linkRefusals.has(cause.code)) throw cause
    const source = disk.open(from, "read")
    try {
      const target = disk.open(to, "create")
      try {
        const sizeBytes = source.sizeBytes()
        for (let at = 0; at < sizeBytes; at += copyBytes) {
          const part = new Uint8Array(Math.min(copyBytes, sizeBytes - at))
          readWhatThereIs(source, part, at)
          target.writev([part], at)
        }
        target.datasync()
      } finally {
        target.close()
      }
    } finally {
      source.close()
    }
  }
}

/** A bad sector must not keep the rest from being copied. */
const readWhatThereIs = (source: ReturnType<SyncDisk["open"]>, into: Uint8Array, position: number): void => {
  try {
    source.readAt(into, position)
    return
  } catch (cause) {
    if (!(cause instanceof IoFailure) || cause.code !== "EIO") throw cause
  }
  const sector = 4096
  for (let at = 0; at < into.length; at += sector) {
    try {
      source.readAt(into.subarray(at, Math.min(into.length, at + sector)), position + at)
    } catch (cause) {
      if (!(cause instanceof IoFailure) || cause.code !== "EIO") throw cause
    }
  }
}

/** A new file, whole and synced; its name is durable once the directory is synced. */
export const writeFile = (disk: SyncDisk, path: string, bytes: Uint8Array): void => {
  const handle = disk.open(path, "create")
  try {
    handle.writev([bytes], 0)
    handle.datasync()
  } finally {
    handle.close()
  }
}

/** The directory and the files in it, one level of directories deep. Does nothing where it is not there. */
export const removeDirectory = (disk: SyncDisk, path: string): void => {
  if (disk.stat(path) === undefined) return
  for (const name of disk.list(path)) {
    const child = `${path}/${name}`
    if (disk.stat(child)?.kind === "directory") removeDirectory(disk, child)
    else disk.remove(child)
  }
  disk.remove(path)
}
