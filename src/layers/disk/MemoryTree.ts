/**
 * Directories, names and inodes in memory: what the memory disk is, and what the simulated disk shows while it is running.
 *
 * Paths are split at "/"; absolute and relative ones start at the same root. Every method throws `IoFailure` with the code POSIX gives. The
 * methods that change something return the inodes and names they touched, which is what the simulated disk remembers.
 */
import { IoFailure } from "../../domain/failures.ts"
import { ChunkedBytes } from "./ChunkedBytes.ts"

export interface MemoryFile {
  readonly kind: "file"
  readonly inode: number
  readonly content: ChunkedBytes
}

export interface MemoryDirectory {
  readonly kind: "directory"
  readonly inode: number
  readonly entries: Map<string, MemoryNode>
}

export type MemoryNode = MemoryFile | MemoryDirectory

/** A name in a directory and what it stands for. */
export interface MemoryEntry {
  readonly directory: MemoryDirectory
  readonly name: string
  readonly node: MemoryNode
}

export const rootInode = 1

export class MemoryTree {
  readonly root: MemoryDirectory
  readonly chunkBytes: number
  #nextInode: number

  constructor(chunkBytes: number, root?: MemoryDirectory, nextInode = rootInode + 1) {
    this.chunkBytes = chunkBytes
    this.root = root ?? { kind: "directory", inode: rootInode, entries: new Map() }
    this.#nextInode = nextInode
  }

  get nextInode(): number {
    return this.#nextInode
  }

  /** What is at `path`, or, when given, at `parts` of it. */
  find(operation: string, path: string, parts = partsOf(path)): MemoryNode | undefined {
    let node: MemoryNode = this.root
    for (const name of parts) {
      if (node.kind === "file") throw new IoFailure(operation, path, "ENOTDIR")
      const next = node.entries.get(name)
      if (next === undefined) return undefined
      node = next
    }
    return node
  }

  file(operation: string, path: string): MemoryFile {
    const node = this.find(operation, path)
    if (node === undefined) throw new IoFailure(operation, path, "ENOENT")
    if (node.kind === "directory") throw new IoFailure(operation, path, "EISDIR")
    return node
  }

  directory(operation: string, path: string, parts = partsOf(path)): MemoryDirectory {
    const node = this.find(operation, path, parts)
    if (node === undefined) throw new IoFailure(operation, path, "ENOENT")
    if (node.kind === "file") throw new IoFailure(operation, path, "ENOTDIR")
    return node
  }

  /** On a disk of `capacityBytes` a name, too, needs a byte of room. */
  create(path: string, capacityBytes?: number): MemoryEntry & { readonly node: MemoryFile } {
    const { directory, name } = this.#place("open", path)
    if (directory.entries.has(name)) throw new IoFailure("open", path, "EEXIST")
    if (capacityBytes !== undefined && this.usedBytes() >= capacityBytes) throw new IoFailure("open", path, "ENOSPC")
    const node: MemoryFile = { kind: "file", inode: this.#nextInode++, content: new ChunkedBytes(this.chunkBytes) }
    directory.entries.set(name, node)
    return { directory, name, node }
  }

  /** The directories that had to be made, outermost first. */
  makeDirectory(path: string): ReadonlyArray<MemoryEntry> {
    const made: Array<MemoryEntry> = []
    let directory = this.root
    for (const name of partsOf(path)) {
      let node = directory.entries.get(name)
      if (node === undefined) {
        node = { kind: "directory", inode: this.#nextInode++, entries: new Map() }
        directory.entries.set(name, node)
        made.push({ directory, name, node })
      }
      if (node.kind === "file") throw new IoFailure("makeDirectory", path, "EEXIST")
      directory = node
    }
    return made
  }

  rename(from: string, to: string): { readonly from: MemoryEntry; readonly to: MemoryEntry } | undefined {
    const source = this.#existing("rename", from)
    const { directory, name } = this.#place("rename", to)
    const replaced = directory.entries.get(name)
    // POSIX: two names of one file, nothing happens.
    if (replaced === source.node) return undefined
    if (replaced !== undefined) refuseReplacement(source.node, replaced, from)
    if (source.node.kind === "directory" && holds(source.node, directory)) throw new IoFailure("rename", from, "EINVAL")
    source.directory.entries.delete(source.name)
    directory.entries.set(name, source.node)
    return { from: source, to: { directory, name, node: source.node } }
  }

  /** Removes a file's name or an empty directory. */
  remove(path: string): MemoryEntry {
    const entry = this.#existing("remove", path)
    if (entry.node.kind === "directory" && entry.node.entries.size > 0) throw new IoFailure("remove", path, "ENOTEMPTY")
    entry.directory.entries.delete(entry.name)
    return entry
  }

  link(from: string, to: string): MemoryEntry {
    const source = this.#existing("link", from)
    if (source.node.kind === "directory") throw new IoFailure("link", from, "EPERM")
    const { directory, name } = this.#place("link", to)
    if (directory.entries.has(name)) throw new IoFailure("link", to, "EEXIST")
    directory.entries.set(name, source.node)
    return { directory, name, node: source.node }
  }

  /** Lengths of all files that have a name, each counted once. */
  usedBytes(): number {
    const counted = new Set<number>()
    let bytes = 0
    const count = (directory: MemoryDirectory): void => {
      for (const node of directory.entries.values()) {
        if (node.kind === "directory") count(node)
        else if (!counted.has(node.inode)) {
          counted.add(node.inode)
          bytes += node.content.lengthBytes
        }
      }
    }
    count(this.root)
    return bytes
  }

  /** How many of `bytes` that are to be written at `position` of the file find room on a disk of `capacityBytes`. */
  fitting(file: MemoryFile, position: number, bytes: number, capacityBytes: number | undefined): number {
    const grows = position + bytes - file.content.lengthBytes
    if (capacityBytes === undefined || grows <= 0) return bytes
    const lacking = grows - Math.max(0, capacityBytes - this.usedBytes())
    return Math.max(0, bytes - Math.max(0, lacking))
  }

  #existing(operation: string, path: string): MemoryEntry {
    const { directory, name } = this.#place(operation, path)
    const node = directory.entries.get(name)
    if (node === undefined) throw new IoFailure(operation, path, "ENOENT")
    return { directory, name, node }
  }

  /** The directory a path's last name belongs in. */
  #place(operation: string, path: string): { readonly directory: MemoryDirectory; readonly name: string } {
    const parts = partsOf(path)
    const name = parts.pop()
    // The root has no name: it cannot be made, moved or removed.
    if (name === undefined) throw new IoFailure(operation, path, "EBUSY")
    return { directory: this.directory(operation, path, parts), name }
  }
}

const partsOf = (path: string): Array<string> => {
  const parts: Array<string> = []
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue
    if (part === "..") parts.pop()
    else parts.push(part)
  }
  return parts
}

const refuseReplacement = (moved: MemoryNode, replaced: MemoryNode, path: string): void => {
  if (replaced.kind === "file") {
    if (moved.kind === "directory") throw new IoFailure("rename", path, "ENOTDIR")
    return
  }
  if (moved.kind === "file") throw new IoFailure("rename", path, "EISDIR")
  if (replaced.entries.size > 0) throw new IoFailure("rename", path, "ENOTEMPTY")
}

const holds = (outer: MemoryDirectory, inner: MemoryDirectory): boolean => {
  if (outer === inner) return true
  for (const node of outer.entries.values()) if (node.kind === "directory" && holds(node, inner)) return true
  return false
}
