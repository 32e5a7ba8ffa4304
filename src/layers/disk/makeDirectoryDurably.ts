import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"

export const parentOf = (path: string): string => {
  const trimmed = path.replace(/[\\/]+$/, "")
  const cut = Math.max(trimmed.lastIndexOf("/"), trimmed.lastIndexOf("\\"))
  return cut < 0 ? "." : cut === 0 ? trimmed.slice(0, 1) : trimmed.slice(0, cut)
}

/** Makes the directory and its missing parents, each name durable in its own parent: a database whose directory a power cut takes away is lost as a whole. Throws `IoFailure`. */
export const makeDirectoryDurably = (disk: SyncDisk, path: string): void => {
  const parents: Array<string> = []
  for (let at = path; ;) {
    const parent = parentOf(at)
    parents.push(parent)
    if (parent === at || disk.stat(parent) !== undefined) break
    at = parent
  }
  disk.makeDirectory(path)
  for (const parent of parents.reverse()) disk.syncDirectory(parent)
}

/** A parent that may not be opened was not made by us. */
const closedToUs = new Set(["EACCES", "EPERM", "ERR_ACCESS_DENIED"])

/**
 * Makes the name of a directory that is there durable, and those of its parents: whoever made it may have been stopped before that, or failed at it. Throws `IoFailure`, but not
 * where a parent may not be read.
 */
export const syncNameOf = (disk: SyncDisk, path: string): void => {
  for (let at = path, parent = parentOf(at); parent !== at; at = parent, parent = parentOf(at)) {
    try {
      disk.syncDirectory(parent)
    } catch (cause) {
      if (!(cause instanceof IoFailure) || !closedToUs.has(cause.code)) throw cause
    }
    if (parent === ".") return
  }
}
