/**
 * A disk that can crash: it behaves like the memory disk while it runs, remembers what was not synced, and hands out, on `crash`, a new disk with one of
 * the states a real one may be found in (`crashImage.ts`). It can also refuse operations, lie down at the n-th, and record a run, so that thousands of
 * crashes of one run are drawn without repeating it (`CrashReplayer.ts`). The same seed gives the same disk.
 */
import { hash } from "node:crypto"
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import { crashImage, type CrashOptions } from "./crashImage.ts"
import { type DurabilityEvent, DurableState } from "./DurableState.ts"
import { type MemoryDirectory, type MemoryFile, type MemoryNode, MemoryTree } from "./MemoryTree.ts"
import type { Prng } from "./Prng.ts"

/** Small, so that thousands of states that differ in few bytes share the rest. */
const chunkBytes = 4096

export type DiskOperationKind =
  | "open"
  | "list"
  | "stat"
  | "makeDirectory"
  | "rename"
  | "remove"
  | "link"
  | "syncDirectory"
  | "readAt"
  | "writev"
  | "datasync"
  | "sizeBytes"
  | "truncate"

/** An operation that is about to happen; `bytes` is the length of a read or write, 0 for everything else. */
export interface DiskOperation {
  /** Counts all operations of the disk from 0. */
  readonly index: number
  readonly kind: DiskOperationKind
  readonly path: string
  readonly position: number
  readonly bytes: number
  /** Whether a crash before it and a crash after it can differ. */
  readonly mutates: boolean
}

/** "fail" is EIO; a failed write may leave its first `afterBytes` behind. A failed sync loses what it covered, although it stays readable. */
export type OperationVerdict = "ok" | "fail" | { readonly fail: string; readonly afterBytes?: number }

/**
 * Called before each operation takes effect. May throw `SimulatedCrash`, which stops the disk there with the operation in flight: it may be found done, undone
 * or, a write, done in part. May throw `IoFailure`, which is what the caller gets.
 */
export type OnOperation = (operation: DiskOperation) => OperationVerdict | void

/** What every call on a crashed disk throws. It is an `IoFailure`, so that the program under test meets it as it meets any failing disk. */
export class SimulatedCrash extends IoFailure {
  constructor(operation = "crash", path = "") {
    super(operation, path, "ECRASHED")
  }
}

export interface SimulatedDiskOptions {
  readonly onOperation?: OnOperation
  /** Keep every event with its bytes in `trace`. */
  readonly record?: boolean
  /** What all files together may take. A write that finds less writes what fits, and fails with ENOSPC. */
  readonly capacityBytes?: number | undefined
}

/** A recorded run: what was durable at its start and all that happened since, in order. */
export interface DiskTrace {
  readonly initial: DurableState
  readonly events: ReadonlyArray<DurabilityEvent>
  readonly firstInode: number
}

export class SimulatedDisk implements SyncDisk {
  onOperation: OnOperation | undefined
  /** May be changed at any time; a crash leaves a disk without this limit, unless `next` says otherwise. */
  capacityBytes: number | undefined
  readonly trace: DiskTrace | undefined
  readonly #events: Array<DurabilityEvent> | undefined
  readonly #tree: MemoryTree
  readonly #durable: DurableState
  #operations = 0
  #crashed = false
  #failDatasync: RegExp | undefined

  /** An empty disk, or one on which everything in `tree` is durable; the tree then belongs to the disk. */
  constructor(options: SimulatedDiskOptions = {}, tree: MemoryTree = new MemoryTree(chunkBytes)) {
    this.onOperation = options.onOperation
    this.capacityBytes = options.capacityBytes
    this.#tree = tree
    this.#durable = DurableState.of(tree)
    if (options.record === true) {
      this.#events = []
      this.trace = { initial: this.#durable.fork(), events: this.#events, firstInode: tree.nextInode }
    }
  }

  /** How many operations have been asked for, reads included. */
  get operations(): number {
    return this.#operations
  }

  get crashed(): boolean {
    return this.#crashed
  }

  /** Stops this disk and its handles for good and returns what a restart finds. */
  crash(prng: Prng, options: CrashOptions & { readonly next?: SimulatedDiskOptions } = {}): SimulatedDisk {
    const found = this.crashState(prng, options)
    this.#crashed = true
    return found
  }

  /** What a restart would find if the disk crashed now; this one goes on. */
  crashState(prng: Prng, options: CrashOptions & { readonly next?: SimulatedDiskOptions } = {}): SimulatedDisk {
    return new SimulatedDisk(options.next, crashImage(this.#durable, prng, this.#tree.nextInode, options))
  }

  /** The next datasync (of a file whose path matches) fails with EIO, and a crash loses what it covered. */
  failNextDatasync(path: RegExp = /(?:)/): void {
    this.#failDatasync = path
  }

  /** Identifies the names and contents as they can be read now. Two disks with the same files have the same hash. Costs what changed since the last one of a disk that shares contents with this. */
  hash(): string {
    let text = ""
    this.#walk((path, node) => (text += `${path.length}:${path}:${node.kind === "file" ? node.content.digest() : ""};`))
    return hash("sha1", text, "base64")
  }

  /** Copies of all files by path, in order of their paths, and directories as empty ones whose path ends in "/". */
  files(): ReadonlyMap<string, Uint8Array> {
    const found = new Map<string, Uint8Array>()
    this.#walk((path, node) => found.set(path, node.kind === "file" ? node.content.toBytes() : new Uint8Array(0)))
    return found
  }

  /** Everything in the order of names, each directory (its path ends in "/") before what it holds. */
  #walk(visit: (path: string, node: MemoryNode) => void): void {
    const walk = (directory: MemoryDirectory, prefix: string): void => {
      for (const name of [...directory.entries.keys()].sort()) {
        const node = directory.entries.get(name)!
        if (node.kind === "file") {
          visit(prefix + name, node)
          continue
        }
        visit(`${prefix}${name}/`, node)
        walk(node, `${prefix}${name}/`)
      }
    }
    walk(this.#tree.root, "")
  }

  open(path: string, mode: OpenMode): FileHandle {
    const file = this.#perform("open", path, 0, 0, mode === "create", () => {
      if (mode !== "create") return this.#tree.file("open", path)
      const { directory, name, node } = this.#tree.create(path, this.capacityBytes)
      this.#note({ kind: "create", inode: node.inode, directory: directory.inode, name })
      return node
    })
    return new SimulatedFileHandle(this.#access, path, file, mode !== "read")
  }

  list(directory: string): ReadonlyArray<string> {
    return this.#perform("list", directory, 0, 0, false, () => [...this.#tree.directory("list", directory).entries.keys()])
  }

  stat(path: string): ReturnType<SyncDisk["stat"]> {
    return this.#perform("stat", path, 0, 0, false, () => {
      const node = this.#tree.find("stat", path)
      if (node === undefined) return undefined
      return { kind: node.kind, sizeBytes: node.kind === "file" ? node.content.lengthBytes : 0, inode: node.inode }
    })
  }

  makeDirectory(path: string): void {
    this.#perform("makeDirectory", path, 0, 0, true, () => {
      for (const { directory, name, node } of this.#tree.makeDirectory(path)) {
        this.#note({ kind: "makeDirectory", inode: node.inode, directory: directory.inode, name })
      }
    })
  }

  rename(from: string, to: string): void {
    this.#perform("rename", from, 0, 0, true, () => {
      const moved = this.#tree.rename(from, to)
      if (moved === undefined) return
      this.#note({
        kind: "rename",
        inode: moved.to.node.inode,
        fromDirectory: moved.from.directory.inode,
        fromName: moved.from.name,
        directory: moved.to.directory.inode,
        name: moved.to.name
      })
    })
  }

  remove(path: string): void {
    this.#perform("remove", path, 0, 0, true, () => {
      const { directory, name, node } = this.#tree.remove(path)
      this.#note({ kind: "remove", inode: node.inode, directory: directory.inode, name })
    })
  }

  link(from: string, to: string): void {
    this.#perform("link", from, 0, 0, true, () => {
      const { directory, name, node } = this.#tree.link(from, to)
      this.#note({ kind: "link", inode: node.inode, directory: directory.inode, name })
    })
  }

  freeBytes(): number | undefined {
    return this.capacityBytes === undefined ? undefined : Math.max(0, this.capacityBytes - this.#tree.usedBytes())
  }

  syncDirectory(path: string): void {
    this.beginSyncDirectory(path)()
  }

  /** Begins a sync of the directory and returns what ends it: operations in between are not covered. */
  beginSyncDirectory(path: string): () => void {
    return this.#beginSync("syncDirectory", path, () => {
      const { inode } = this.#tree.directory("syncDirectory", path)
      return (covers, failed) => ({ kind: "syncDirectory", directory: inode, covers, failed })
    })
  }

  /** What the handles may do with the disk. */
  readonly #access: DiskAccess = {
    perform: (kind, path, position, bytes, mutates, run, partial) => this.#perform(kind, path, position, bytes, mutates, run, partial),
    beginDatasync: (path, file) =>
      this.#beginSync("datasync", path, () => (covers, failed) => ({ kind: "datasync", inode: file.inode, covers, failed })),
    note: (event) => this.#note(event),
    fitting: (file, position, bytes) => this.#tree.fitting(file, position, bytes, this.capacityBytes),
    failDatasync: (file) => this.#note({ kind: "datasync", inode: file.inode, covers: this.#durable.events, failed: true })
  }

  #note(event: DurabilityEvent): void {
    this.#durable.apply(event)
    this.#events?.push(event)
  }

  /** Counts the operation and asks the hook; throws what the hook throws, and the crash if there was one. */
  #admit(kind: DiskOperationKind, path: string, position: number, bytes: number, mutates: boolean): OperationVerdict {
    if (this.#crashed) throw new SimulatedCrash(kind, path)
    const index = this.#operations++
    return this.onOperation?.({ index, kind, path, position, bytes, mutates }) ?? "ok"
  }

  /** Runs one operation as the hook decides. `partial` does the first bytes of a write only. */
  #perform<A>(
    kind: DiskOperationKind,
    path: string,
    position: number,
    bytes: number,
    mutates: boolean,
    run: () => A,
    partial?: (bytes: number) => void
  ): A {
    let verdict: OperationVerdict
    try {
      verdict = this.#admit(kind, path, position, bytes, mutates)
    } catch (cause) {
      if (cause instanceof SimulatedCrash && !this.#crashed) this.#stopDuring(mutates ? run : undefined)
      throw cause
    }
    if (verdict === "ok") return run()
    const { fail, afterBytes } = verdict === "fail" ? { fail: "EIO", afterBytes: 0 } : { afterBytes: 0, ...verdict }
    if (afterBytes > 0) partial?.(afterBytes)
    throw new IoFailure(kind, path, fail)
  }

  /** The crash came with this operation in flight: to the model it is one more thing that was not synced. */
  #stopDuring(run: (() => unknown) | undefined): void {
    try {
      run?.()
    } catch {
      // It would have failed anyway: nothing was in flight.
    }
    this.#crashed = true
  }

  #beginSync(kind: "datasync" | "syncDirectory", path: string, prepare: () => SyncEvent): () => void {
    let verdict: OperationVerdict
    let thrown: IoFailure | undefined
    try {
      verdict = this.#admit(kind, path, 0, 0, true)
    } catch (cause) {
      if (cause instanceof SimulatedCrash) this.#crashed = true
      if (!(cause instanceof IoFailure) || cause instanceof SimulatedCrash) throw cause
      thrown = cause
      verdict = "fail"
    }
    if (kind === "datasync" && this.#failDatasync?.test(path) === true) {
      this.#failDatasync = undefined
      verdict = "fail"
    }
    const event = prepare()
    const covers = this.#durable.events
    const failed = verdict !== "ok"
    return () => {
      if (this.#crashed) throw new SimulatedCrash(kind, path)
      this.#note(event(covers, failed))
      if (failed) throw thrown ?? new IoFailure(kind, path, typeof verdict === "string" ? "EIO" : verdict.fail)
    }
  }
}

type SyncEvent = (covers: number, failed: boolean) => DurabilityEvent

interface DiskAccess {
  readonly perform: <A>(
    kind: DiskOperationKind,
    path: string,
    position: number,
    bytes: number,
    mutates: boolean,
    run: () => A,
    partial?: (bytes: number) => void
  ) => A
  readonly beginDatasync: (path: string, file: MemoryFile) => () => void
  readonly note: (event: DurabilityEvent) => void
  readonly fitting: (file: MemoryFile, position: number, bytes: number) => number
  readonly failDatasync: (file: MemoryFile) => void
}

/** An open file of a `SimulatedDisk`. */
export class SimulatedFileHandle implements FileHandle {
  readonly path: string
  readonly #disk: DiskAccess
  readonly #file: MemoryFile
  readonly #writable: boolean
  #closed = false

  constructor(disk: DiskAccess, path: string, file: MemoryFile, writable: boolean) {
    this.path = path
    this.#disk = disk
    this.#file = file
    this.#writable = writable
  }

  readAt(into: Uint8Array, position: number): number {
    this.#demand("readAt", false)
    return this.#disk.perform("readAt", this.path, position, into.length, false, () => this.#file.content.read(into, position))
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    this.#demand("writev", true)
    const bytes = concat(buffers)
    const write = (part: Uint8Array): void => {
      if (part.length === 0) return
      this.#file.content.write(part, position)
      this.#disk.note({ kind: "write", inode: this.#file.inode, position, bytes: part })
    }
    this.#disk.perform(
      "writev",
      this.path,
      position,
      bytes.length,
      true,
      () => {
        const fits = this.#disk.fitting(this.#file, position, bytes.length)
        write(bytes.subarray(0, fits))
        if (fits < bytes.length) throw new IoFailure("writev", this.path, "ENOSPC")
      },
      (count) => write(bytes.subarray(0, count))
    )
  }

  datasync(): void {
    this.beginDatasync()()
  }

  /** Begins a datasync and returns what ends it: writes in between are not covered. */
  beginDatasync(): () => void {
    this.#demand("datasync", false)
    return this.#disk.beginDatasync(this.path, this.#file)
  }

  /** A datasync that failed somewhere above this disk: what it would have covered is lost in a crash. */
  failDatasync(): void {
    this.#demand("datasync", false)
    this.#disk.failDatasync(this.#file)
  }

  sizeBytes(): number {
    this.#demand("sizeBytes", false)
    return this.#disk.perform("sizeBytes", this.path, 0, 0, false, () => this.#file.content.lengthBytes)
  }

  truncate(lengthBytes: number): void {
    this.#demand("truncate", true)
    this.#disk.perform("truncate", this.path, lengthBytes, 0, true, () => {
      this.#file.content.truncate(lengthBytes)
      this.#disk.note({ kind: "truncate", inode: this.#file.inode, lengthBytes })
    })
  }

  close(): void {
    this.#demand("close", false)
    this.#closed = true
  }

  #demand(operation: string, writes: boolean): void {
    if (this.#closed || (writes && !this.#writable)) throw new IoFailure(operation, this.path, "EBADF")
  }
}

/** A copy, because the caller may reuse its buffers while the model still remembers what was in them. */
const concat = (buffers: ReadonlyArray<Uint8Array>): Uint8Array => {
  let length = 0
  for (const buffer of buffers) length += buffer.length
  const bytes = new Uint8Array(length)
  let at = 0
  for (const buffer of buffers) {
    bytes.set(buffer, at)
    at += buffer.length
  }
  return bytes
}
