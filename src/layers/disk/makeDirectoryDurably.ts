import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"

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
