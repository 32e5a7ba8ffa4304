/** A disk that lives and ends with the object: files as lists of chunks, POSIX names, nothing durable. */
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import { type MemoryFile, MemoryTree } from "./MemoryTree.ts"

const chunkBytes = 1 << 16

export class MemoryDisk implements SyncDisk {
  /** What all files together may take; may be changed at any time. A write that finds less writes what fits, and fails with ENOSPC. */
  capacityBytes: number | undefined
  readonly #tree = new MemoryTree(chunkBytes)

  constructor(options: { readonly capacityBytes?: number | undefined } = {}) {
    this.capacityBytes = options.capacityBytes
  }

  freeBytes(): number | undefined {
    return this.capacityBytes === undefined ? undefined : Math.max(0, this.capacityBytes - this.#tree.usedBytes())
  }

  open(path: string, mode: OpenMode): FileHandle {
    const file = mode === "create" ? this.#tree.create(path, this.capacityBytes).node : this.#tree.file("open", path)
    return new MemoryFileHandle(path, file, mode !== "read", (position, bytes) => this.#tree.fitting(file, position, bytes, this.capacityBytes))
  }

  list(directory: string): ReadonlyArray<string> {
    return [...this.#tree.directory("list", directory).entries.keys()]
  }

  stat(path: string): ReturnType<SyncDisk["stat"]> {
    const node = this.#tree.find("stat", path)
    if (node === undefined) return undefined
    return { kind: node.kind, sizeBytes: node.kind === "file" ? node.content.lengthBytes : 0, inode: node.inode }
  }

  makeDirectory(path: string): void {
    this.#tree.makeDirectory(path)
  }

  rename(from: string, to: string): void {
    this.#tree.rename(from, to)
  }

  remove(path: string): void {
    this.#tree.remove(path)
  }

  link(from: string, to: string): void {
    this.#tree.link(from, to)
  }

  syncDirectory(path: string): void {
    this.#tree.directory("syncDirectory", path)
  }
}

class MemoryFileHandle implements FileHandle {
  readonly path: string
  readonly #file: MemoryFile
  readonly #writable: boolean
  readonly #fitting: (position: number, bytes: number) => number
  #closed = false

  constructor(path: string, file: MemoryFile, writable: boolean, fitting: (position: number, bytes: number) => number) {
    this.path = path
    this.#file = file
    this.#writable = writable
    this.#fitting = fitting
  }

  readAt(into: Uint8Array, position: number): number {
    this.#demand("readAt", false)
    return this.#file.content.read(into, position)
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    this.#demand("writev", true)
    let at = position
    for (const buffer of buffers) {
      const fits = this.#fitting(at, buffer.length)
      this.#file.content.write(fits === buffer.length ? buffer : buffer.subarray(0, fits), at)
      if (fits < buffer.length) throw new IoFailure("writev", this.path, "ENOSPC")
      at += buffer.length
    }
  }

  datasync(): void {
    this.#demand("datasync", false)
  }

  sizeBytes(): number {
    this.#demand("sizeBytes", false)
    return this.#file.content.lengthBytes
  }

  truncate(lengthBytes: number): void {
    this.#demand("truncate", true)
    this.#file.content.truncate(lengthBytes)
  }

  close(): void {
    this.#demand("close", false)
    this.#closed = true
  }

  #demand(operation: string, writes: boolean): void {
    if (this.#closed || (writes && !this.#writable)) throw new IoFailure(operation, this.path, "EBADF")
  }
}
