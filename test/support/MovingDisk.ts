import type { FileHandle, OpenMode, SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { IoFailure } from "../../src/domain/failures.ts"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { drawInt, type Prng } from "../../src/layers/disk/Prng.ts"
import type { DiskTrace, SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"

/**
 * What a reader sees of a recorded run that goes on beside it: between any two of the reader's operations some of the writer's happen, and of the write that is on its way a part
 * may be there already. Reading only.
 */
export class MovingDisk implements SyncDisk {
  /** How many events have happened. */
  at: number
  readonly #trace: DiskTrace
  readonly #replayer: CrashReplayer
  readonly #prng: Prng
  readonly #directory: string
  /** The writer's operations for each of the reader's, at most. */
  readonly #pace: number
  #now: SimulatedDisk

  constructor(trace: DiskTrace, input: { readonly prng: Prng; readonly at: number; readonly pace: number; readonly directory: string }) {
    this.#trace = trace
    this.#prng = input.prng
    this.#pace = input.pace
    this.#directory = input.directory
    this.#replayer = new CrashReplayer(trace)
    this.#replayer.advanceTo(input.at)
    this.at = input.at
    this.#now = this.#look()
  }

  /** The disk of this moment; then time goes on. */
  moment(): SimulatedDisk {
    const now = this.#now
    const steps = drawInt(this.#prng, this.#pace + 1)
    if (steps > 0 && this.at < this.#trace.events.length) {
      this.at = Math.min(this.#trace.events.length, this.at + steps)
      this.#replayer.advanceTo(this.at)
      this.#now = this.#look()
    }
    return now
  }

  open(path: string, mode: OpenMode): FileHandle {
    if (mode !== "read") throw new Error(`a reader opens ${path} to write`)
    const disk = this.moment()
    disk.open(path, mode).close()
    return new MovingHandle(this, path, disk)
  }

  list(directory: string): ReadonlyArray<string> {
    return this.moment().list(directory)
  }

  stat(path: string): ReturnType<SyncDisk["stat"]> {
    return this.moment().stat(path)
  }

  makeDirectory(path: string): never {
    throw new Error(`a reader makes ${path}`)
  }

  rename(from: string): never {
    throw new Error(`a reader renames ${from}`)
  }

  remove(path: string): never {
    throw new Error(`a reader removes ${path}`)
  }

  link(from: string): never {
    throw new Error(`a reader links ${from}`)
  }

  syncDirectory(path: string): never {
    throw new Error(`a reader syncs ${path}`)
  }

  #look(): SimulatedDisk {
    const disk = this.#replayer.crash(this.#prng, { mode: "all" })
    const next = this.#trace.events[this.at]
    if (next?.kind !== "write" || this.#prng() < 0.5 || disk.stat(this.#directory) === undefined) return disk
    const cut = drawInt(this.#prng, next.bytes.length + 1)
    const isHead = this.#prng() < 0.5
    for (const name of disk.list(this.#directory)) {
      const path = `${this.#directory}/${name}`
      if (disk.stat(path)?.inode !== next.inode) continue
      const handle = disk.open(path, "write")
      handle.writev([isHead ? next.bytes.subarray(0, cut) : next.bytes.subarray(cut)], isHead ? next.position : next.position + cut)
      handle.close()
    }
    return disk
  }
}

/** Reads the file as it is at each moment; once its name is gone, as it was last. */
class MovingHandle implements FileHandle {
  readonly path: string
  readonly #disk: MovingDisk
  readonly #inode: number
  #last: SimulatedDisk

  constructor(disk: MovingDisk, path: string, now: SimulatedDisk) {
    this.#disk = disk
    this.path = path
    this.#last = now
    this.#inode = now.stat(path)!.inode
  }

  readAt(into: Uint8Array, position: number): number {
    const handle = this.#file()
    try {
      return handle.readAt(into, position)
    } finally {
      handle.close()
    }
  }

  sizeBytes(): number {
    const handle = this.#file()
    try {
      return handle.sizeBytes()
    } finally {
      handle.close()
    }
  }

  writev(): void {
    throw new IoFailure("writev", this.path, "EBADF")
  }

  datasync(): void {
    throw new IoFailure("datasync", this.path, "EBADF")
  }

  truncate(): void {
    throw new IoFailure("truncate", this.path, "EBADF")
  }

  close(): void {}

  #file(): FileHandle {
    const now = this.#disk.moment()
    if (now.stat(this.path)?.inode === this.#inode) this.#last = now
    return this.#last.open(this.path, "read")
  }
}
