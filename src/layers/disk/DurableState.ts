/**
 * What of a disk is on stable storage, and what is only on its way there: the model a simulated crash is drawn from.
 *
 * It follows the events of a run and knows, per file, the synced content and the ordered writes and length changes since; per directory, the
 * synced names; and, over all directories, the ordered name operations since. A crash keeps everything synced and any subset of the rest, which is
 * what POSIX allows and what real disks do: not a prefix, because a cache writes back in any order. `crashImage.ts` draws it.
 *
 * After a failed sync the worst is assumed: what it covered stays readable, is clean in the cache, so that no later sync writes it, and is lost.
 */
import { ChunkedBytes } from "./ChunkedBytes.ts"
import { type MemoryDirectory, type MemoryTree, rootInode } from "./MemoryTree.ts"

/** One thing that happened. `covers` is how many events had happened when that sync began: it vouches for nothing later. */
export type DurabilityEvent =
  | { readonly kind: "create" | "makeDirectory" | "link" | "remove"; readonly inode: number; readonly directory: number; readonly name: string }
  | {
      readonly kind: "rename"
      readonly inode: number
      readonly fromDirectory: number
      readonly fromName: string
      readonly directory: number
      readonly name: string
    }
  | { readonly kind: "write"; readonly inode: number; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly inode: number; readonly lengthBytes: number }
  | { readonly kind: "datasync"; readonly inode: number; readonly covers: number; readonly failed: boolean }
  | { readonly kind: "syncDirectory"; readonly directory: number; readonly covers: number; readonly failed: boolean }

export type ContentEvent = Extract<DurabilityEvent, { readonly kind: "write" | "truncate" }>
export type NameEvent = Extract<DurabilityEvent, { readonly name: string }>

/** An event that is not durable yet, and its number in the run. */
interface Pending<E> {
  readonly serial: number
  readonly event: E
}

export interface DurableFile {
  readonly synced: ChunkedBytes
  pending: Array<Pending<ContentEvent>>
}

export type DurableEntries = Map<string, number>

export class DurableState {
  readonly files: Map<number, DurableFile>
  readonly directories: Map<number, DurableEntries>
  pendingNames: Array<Pending<NameEvent>>
  readonly chunkBytes: number
  #events: number

  constructor(chunkBytes: number) {
    this.chunkBytes = chunkBytes
    this.files = new Map()
    this.directories = new Map([[rootInode, new Map()]])
    this.pendingNames = []
    this.#events = 0
  }

  /** Everything in `tree` is durable, as it is after a crash. */
  static of(tree: MemoryTree): DurableState {
    const state = new DurableState(tree.chunkBytes)
    const add = (directory: MemoryDirectory): void => {
      const entries: DurableEntries = new Map()
      state.directories.set(directory.inode, entries)
      for (const [name, node] of directory.entries) {
        entries.set(name, node.inode)
        if (node.kind === "directory") add(node)
        else if (!state.files.has(node.inode)) state.files.set(node.inode, { synced: node.content.fork(), pending: [] })
      }
    }
    add(tree.root)
    return state
  }

  /** How many events have been applied. */
  get events(): number {
    return this.#events
  }

  /** An independent copy that counts its events from 0; contents are shared until written. */
  fork(): DurableState {
    const copy = new DurableState(this.chunkBytes)
    // Pending serials become negative, so that every later sync covers them, as it would here.
    const shifted = <E>(pending: ReadonlyArray<Pending<E>>) => pending.map(({ serial, event }) => ({ serial: serial - this.#events, event }))
    for (const [inode, file] of this.files) copy.files.set(inode, { synced: file.synced.fork(), pending: shifted(file.pending) })
    for (const [inode, entries] of this.directories) copy.directories.set(inode, new Map(entries))
    copy.pendingNames = shifted(this.pendingNames)
    return copy
  }

  apply(event: DurabilityEvent): void {
    const serial = this.#events++
    switch (event.kind) {
      case "write":
      case "truncate":
        return void this.#file(event.inode).pending.push({ serial, event })
      case "datasync":
        return this.#datasync(this.#file(event.inode), event.covers, event.failed)
      case "syncDirectory":
        return this.#syncDirectory(event.directory, event.covers, event.failed)
      case "create":
        this.#file(event.inode)
        return void this.pendingNames.push({ serial, event })
      case "makeDirectory":
        this.#entries(event.inode)
        return void this.pendingNames.push({ serial, event })
      default:
        this.pendingNames.push({ serial, event })
    }
  }

  #file(inode: number): DurableFile {
    let file = this.files.get(inode)
    if (file === undefined) this.files.set(inode, (file = { synced: new ChunkedBytes(this.chunkBytes), pending: [] }))
    return file
  }

  #entries(inode: number): DurableEntries {
    let entries = this.directories.get(inode)
    if (entries === undefined) this.directories.set(inode, (entries = new Map()))
    return entries
  }

  #datasync(file: DurableFile, covers: number, failed: boolean): void {
    const covered = file.pending.filter(({ serial }) => serial < covers)
    file.pending = file.pending.filter(({ serial }) => serial >= covers)
    if (!failed) for (const { event } of covered) applyContent(file.synced, event)
  }

  #syncDirectory(directory: number, covers: number, failed: boolean): void {
    const isCovered = ({ serial, event }: Pending<NameEvent>): boolean =>
      serial < covers && (event.directory === directory || (event.kind === "rename" && event.fromDirectory === directory))
    const covered = this.pendingNames.filter(isCovered)
    this.pendingNames = this.pendingNames.filter((pending) => !isCovered(pending))
    if (failed) return
    const dropped = new Set<number>()
    for (const { event } of covered) {
      const entries = this.#entries(event.directory)
      const replaced = entries.get(event.name)
      if (replaced !== undefined) dropped.add(replaced)
      if (event.kind === "remove") {
        entries.delete(event.name)
        continue
      }
      entries.set(event.name, event.inode)
      if (event.kind !== "rename") continue
      const source = this.#entries(event.fromDirectory)
      if (source.get(event.fromName) === event.inode) source.delete(event.fromName)
    }
    for (const inode of dropped) if (!this.#isNamed(inode)) this.files.delete(inode)
  }

  /** Whether a crash could still leave a name of this inode. */
  #isNamed(inode: number): boolean {
    for (const entries of this.directories.values()) for (const named of entries.values()) if (named === inode) return true
    return this.pendingNames.some(({ event }) => event.inode === inode)
  }
}

export const applyContent = (content: ChunkedBytes, event: ContentEvent): void => {
  if (event.kind === "write") content.write(event.bytes, event.position)
  else content.truncate(event.lengthBytes)
}
