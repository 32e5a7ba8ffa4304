import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"

/**
 * Two directories as one, for reading: a name is looked up in the first, then in the second, both called by the path of the first. Nothing can be written through it.
 */
export const firstOf = (first: SyncDisk, directory: string, second: SyncDisk, secondDirectory: string): SyncDisk => {
  const below = (path: string) => (path.startsWith(`${directory}/`) ? `${secondDirectory}${path.slice(directory.length)}` : path)
  const refuse = (operation: string) => (path: string) => {
    throw new IoFailure(operation, path, "EROFS")
  }
  return {
    open: (path, mode) => {
      if (mode !== "read") throw new IoFailure("open", path, "EROFS")
      return first.stat(path) === undefined ? second.open(below(path), mode) : first.open(path, mode)
    },
    list: (path) => [...new Set([...(first.stat(path) === undefined ? [] : first.list(path)), ...second.list(below(path))])],
    stat: (path) => first.stat(path) ?? second.stat(path === directory ? secondDirectory : below(path)),
    makeDirectory: refuse("makeDirectory"),
    rename: refuse("rename"),
    remove: refuse("remove"),
    link: refuse("link"),
    syncDirectory: () => undefined
  }
}
