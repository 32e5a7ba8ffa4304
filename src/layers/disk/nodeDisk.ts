/**
 * The real file system as a `SyncDisk`: plain synchronous `node:fs`, no Effect, because the worker entry loads this module too.
 *
 * Every system error becomes an `IoFailure` with the system's own code. Short reads and short writes, which the system may return at any
 * time (signals, quotas, a nearly full disk), are continued here, so that no caller has to think of them.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"

type Callback = (cause: Error | null) => void
type Counted = (cause: Error | null, count: number) => void

/**
 * The part of `node:fs` that is used; a test hands in one that returns short counts or fails. Spelled out, so that no public declaration names a module of Node's, whose
 * types an application may not have.
 */
export interface NodeFileSystem {
  readonly closeSync: (fd: number) => void
  readonly fdatasync: (fd: number, done: Callback) => void
  readonly fdatasyncSync: (fd: number) => void
  readonly fstatSync: (fd: number) => { readonly size: number }
  readonly fsync: (fd: number, done: Callback) => void
  readonly fsyncSync: (fd: number) => void
  readonly ftruncateSync: (fd: number, length: number) => void
  readonly linkSync: (from: string, to: string) => void
  readonly mkdirSync: (path: string, options: { readonly recursive: true }) => unknown
  readonly open: (path: string, flags: string, done: (cause: Error | null, fd: number) => void) => void
  readonly openSync: (path: string, flags: string | number) => number
  readonly read: (fd: number, into: Uint8Array, offset: number, length: number, position: number, done: Counted) => void
  readonly readSync: (fd: number, into: Uint8Array, offset: number, length: number, position: number) => number
  readonly readdirSync: (path: string) => Array<string>
  readonly renameSync: (from: string, to: string) => void
  readonly rmdirSync: (path: string) => void
  readonly statfsSync?: (path: string) => { readonly bavail: number; readonly blocks?: number; readonly bsize: number }
  readonly statSync: (
    path: string,
    options: { readonly throwIfNoEntry: false }
  ) => { readonly isDirectory: () => boolean; readonly size: number; readonly ino: number } | undefined
  readonly unlink: (path: string, done: Callback) => void
  readonly unlinkSync: (path: string) => void
  readonly writeSync: (fd: number, from: Uint8Array, offset: number, length: number, position: number) => number
  readonly writev: (fd: number, buffers: ReadonlyArray<Uint8Array>, position: number, done: Counted) => void
  readonly writevSync: (fd: number, buffers: ReadonlyArray<Uint8Array>, position: number) => number
}

/** Most buffers one `writev` system call takes (IOV_MAX of Linux, macOS and the BSDs). */
export const vectorBuffersMax = 1024

/** Most bytes asked of one system call: above 2^31 - 1 macOS refuses and Node's binding cannot count. */
export const callBytesMax = 1 << 30

/** Node has names for the errors that libuv knows; EDQUOT, for one, is "UNKNOWN" to it, or "Unknown system error -122". */
const codeOf = (cause: unknown): string => {
  if (!(cause instanceof Error && "code" in cause && typeof cause.code === "string")) return "EUNKNOWN"
  if (!("errno" in cause) || !/^unknown/i.test(cause.code)) return cause.code
  const { errno } = cause
  return Object.entries(os.constants.errno).find(([, number]) => -number === errno)?.[0] ?? "EUNKNOWN"
}

/** The `IoFailure` for whatever a `node:fs` call threw or handed to its callback. */
export const toIoFailure = (operation: string, path: string, cause: unknown): IoFailure => {
  if (cause instanceof IoFailure) return cause
  return new IoFailure(operation, path, codeOf(cause), cause instanceof Error ? `${operation} ${path}: ${cause.message}` : undefined)
}

/** What is left of a vectored write: hands out slices that one system call takes, and is told how much of each was written. */
export class PendingWrite {
  readonly #buffers: ReadonlyArray<Uint8Array>
  #index = 0
  #offset = 0
  position: number

  constructor(buffers: ReadonlyArray<Uint8Array>, position: number) {
    this.#buffers = buffers
    this.position = position
    this.#skipEmpty()
  }

  get done(): boolean {
    return this.#index === this.#buffers.length
  }

  /** The next buffers to write at `position`: at most `vectorBuffersMax`, at most `callBytesMax` bytes, none empty. */
  next(): Array<Uint8Array> {
    const slices: Array<Uint8Array> = []
    let room = callBytesMax
    for (let i = this.#index; i < this.#buffers.length && slices.length < vectorBuffersMax && room > 0; i++) {
      const buffer = this.#buffers[i]!
      const start = i === this.#index ? this.#offset : 0
      if (start === buffer.length) continue
      const end = Math.min(buffer.length, start + room)
      slices.push(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end))
      room -= end - start
    }
    return slices
  }

  /** Notes that `countBytes` of what `next` returned reached the system. */
  advance(countBytes: number): void {
    this.position += countBytes
    let left = countBytes
    while (left > 0) {
      const step = Math.min(left, this.#buffers[this.#index]!.length - this.#offset)
      this.#offset += step
      left -= step
      this.#skipEmpty()
    }
  }

  #skipEmpty(): void {
    while (this.#index < this.#buffers.length && this.#offset === this.#buffers[this.#index]!.length) {
      this.#index++
      this.#offset = 0
    }
  }
}

/** A system that takes no byte and names no error has no room: treated as a full disk, because looping on it would hang. */
const noProgress = (path: string): IoFailure => new IoFailure("writev", path, "ENOSPC", `writev ${path}: the system took no bytes`)

type Done<A> = (failure: IoFailure | undefined, value: A) => void

/**
 * An open file. The `*Pooled` methods run in libuv's thread pool and report through a callback; they cannot be withdrawn, so buffers belong to the
 * system until then. `close` refuses every later call at once, but gives the descriptor back only after the pooled calls in flight have ended: a
 * descriptor closed under a running call could already name another file.
 */
export class NodeFileHandle implements FileHandle {
  readonly path: string
  readonly fd: number
  readonly #fs: NodeFileSystem
  #closed = false
  #pooledCalls = 0

  constructor(system: NodeFileSystem, path: string, fd: number) {
    this.#fs = system
    this.path = path
    this.fd = fd
  }

  get closed(): boolean {
    return this.#closed
  }

  readAt(into: Uint8Array, position: number): number {
    this.#demandOpen("readAt")
    let filled = 0
    try {
      while (filled < into.length) {
        const count = this.#fs.readSync(this.fd, into, filled, Math.min(into.length - filled, callBytesMax), position + filled)
        if (count === 0) break
        filled += count
      }
    } catch (cause) {
      throw toIoFailure("readAt", this.path, cause).at(position + filled)
    }
    return filled
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    this.#demandOpen("writev")
    const pending = new PendingWrite(buffers, position)
    try {
      while (!pending.done) {
        const slices = pending.next()
        const only = slices[0]!
        const count =
          slices.length === 1
            ? this.#fs.writeSync(this.fd, only, 0, only.length, pending.position)
            : this.#fs.writevSync(this.fd, slices, pending.position)
        if (count === 0) throw noProgress(this.path)
        pending.advance(count)
      }
    } catch (cause) {
      throw toIoFailure("writev", this.path, cause).at(pending.position)
    }
  }

  /**
   * fdatasync on Linux. On macOS, where fsync and fdatasync leave the bytes in the drive's own cache, libuv asks for `F_FULLFSYNC` under both names, and
   * where the file system refuses that for a barrier or a plain fsync, without telling: Node has no way to ask which one it was.
   */
  datasync(): void {
    this.#demandOpen("datasync")
    try {
      this.#fs.fdatasyncSync(this.fd)
    } catch (cause) {
      throw toIoFailure("datasync", this.path, cause)
    }
  }

  sizeBytes(): number {
    this.#demandOpen("sizeBytes")
    try {
      return this.#fs.fstatSync(this.fd).size
    } catch (cause) {
      throw toIoFailure("sizeBytes", this.path, cause)
    }
  }

  truncate(lengthBytes: number): void {
    this.#demandOpen("truncate")
    try {
      this.#fs.ftruncateSync(this.fd, lengthBytes)
    } catch (cause) {
      throw toIoFailure("truncate", this.path, cause)
    }
  }

  close(): void {
    this.#demandOpen("close")
    this.#closed = true
    if (this.#pooledCalls === 0) this.#release()
  }

  /** `readAt` in the thread pool. */
  readPooled(into: Uint8Array, position: number, done: Done<number>): void {
    if (this.#refuseClosed("read", done, 0)) return
    let filled = 0
    const step = (): void => {
      this.#fs.read(this.fd, into, filled, Math.min(into.length - filled, callBytesMax), position + filled, (cause, count) => {
        if (cause !== null) return this.#finish(done, toIoFailure("read", this.path, cause).at(position + filled), filled)
        filled += count
        if (count === 0 || filled === into.length) return this.#finish(done, undefined, filled)
        step()
      })
    }
    this.#start(done, 0, "read", step)
  }

  /** `writev` in the thread pool. */
  writevPooled(buffers: ReadonlyArray<Uint8Array>, position: number, done: Done<void>): void {
    if (this.#refuseClosed("writev", done, undefined)) return
    const pending = new PendingWrite(buffers, position)
    const step = (): void => {
      if (pending.done) return this.#finish(done, undefined, undefined)
      this.#fs.writev(this.fd, pending.next(), pending.position, (cause, count) => {
        if (cause !== null) return this.#finish(done, toIoFailure("writev", this.path, cause).at(pending.position), undefined)
        if (count === 0) return this.#finish(done, noProgress(this.path).at(pending.position), undefined)
        pending.advance(count)
        step()
      })
    }
    this.#start(done, undefined, "writev", step)
  }

  /** `datasync` in the thread pool. */
  datasyncPooled(done: Done<void>): void {
    if (this.#refuseClosed("datasync", done, undefined)) return
    this.#start(done, undefined, "datasync", () => {
      this.#fs.fdatasync(this.fd, (cause) => {
        this.#finish(done, cause === null ? undefined : toIoFailure("datasync", this.path, cause), undefined)
      })
    })
  }

  #demandOpen(operation: string): void {
    if (this.#closed) throw new IoFailure(operation, this.path, "EBADF")
  }

  #refuseClosed<A>(operation: string, done: Done<A>, value: A): boolean {
    if (!this.#closed) return false
    done(new IoFailure(operation, this.path, "EBADF"), value)
    return true
  }

  /** `node:fs` throws at once for arguments it refuses (a position out of range): that, too, is an answer. */
  #start<A>(done: Done<A>, value: A, operation: string, step: () => void): void {
    this.#pooledCalls++
    try {
      step()
    } catch (cause) {
      this.#finish(done, toIoFailure(operation, this.path, cause), value)
    }
  }

  #finish<A>(done: Done<A>, failure: IoFailure | undefined, value: A): void {
    this.#pooledCalls--
    if (this.#closed && this.#pooledCalls === 0) this.#release()
    done(failure, value)
  }

  #release(): void {
    try {
      this.#fs.closeSync(this.fd)
    } catch {
      // The descriptor is gone all the same, and what mattered was said by `datasync`: an error here would only stop what is right.
    }
  }
}

/** What is no file, as a pipe, must not keep an open waiting for ever: it is opened, and found empty. Windows has neither. */
const neverWaiting = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0)
const openFlags: Readonly<Record<OpenMode, string | number>> = { read: neverWaiting, create: "wx+", write: "r+" }

const attempt = <A>(operation: string, path: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw toIoFailure(operation, path, cause)
  }
}

/** A `SyncDisk` over the given `node:fs`. `platform` decides what the system cannot do: Windows has no directory sync. */
export const makeNodeDisk = (system: NodeFileSystem, platform: string): SyncDisk => ({
  open: (path, mode) => attempt("open", path, () => new NodeFileHandle(system, path, system.openSync(path, openFlags[mode]))),
  list: (directory) => attempt("list", directory, () => system.readdirSync(directory)),
  stat: (path) =>
    attempt("stat", path, () => {
      const found = system.statSync(path, { throwIfNoEntry: false })
      if (found === undefined) return undefined
      return { kind: found.isDirectory() ? "directory" : "file", sizeBytes: found.size, inode: found.ino }
    }),
  makeDirectory: (path) => attempt("makeDirectory", path, () => void system.mkdirSync(path, { recursive: true })),
  rename: (from, to) => attempt("rename", from, () => system.renameSync(from, to)),
  remove: (path) =>
    attempt("remove", path, () => {
      try {
        system.unlinkSync(path)
      } catch (cause) {
        // unlink refuses a directory with EISDIR (Linux) or EPERM (POSIX, macOS, Windows).
        if (!system.statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw cause
        system.rmdirSync(path)
      }
    }),
  link: (from, to) => attempt("link", from, () => system.linkSync(from, to)),
  freeBytes: (path) => {
    try {
      const found = system.statfsSync?.(path)
      // One that has no blocks at all does not count them: of user space, say. It must not be taken for a full one.
      return found === undefined || found.blocks === 0 ? undefined : found.bavail * found.bsize
    } catch {
      // A file system that does not tell.
      return undefined
    }
  },
  syncDirectory: (path) =>
    attempt("syncDirectory", path, () => {
      if (platform === "win32") return
      const fd = system.openSync(path, "r")
      try {
        system.fsyncSync(fd)
      } finally {
        system.closeSync(fd)
      }
    })
})

/** `syncDirectory` in the thread pool. */
export const syncDirectoryPooled = (system: NodeFileSystem, platform: string, path: string, done: Done<void>): void => {
  if (platform === "win32") return done(undefined, undefined)
  system.open(path, "r", (openCause, fd) => {
    if (openCause !== null) return done(toIoFailure("syncDirectory", path, openCause), undefined)
    system.fsync(fd, (cause) => {
      try {
        system.closeSync(fd)
      } catch (closeCause) {
        return done(toIoFailure("syncDirectory", path, cause ?? closeCause), undefined)
      }
      done(cause === null ? undefined : toIoFailure("syncDirectory", path, cause), undefined)
    })
  })
}

/** `remove` in the thread pool: giving back the blocks of a large file takes the system milliseconds. */
export const removePooled = (system: NodeFileSystem, path: string, done: Done<void>): void => {
  system.unlink(path, (cause) => {
    if (cause === null) return done(undefined, undefined)
    try {
      if (!system.statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw cause
      system.rmdirSync(path)
    } catch (failure) {
      return done(toIoFailure("remove", path, failure), undefined)
    }
    done(undefined, undefined)
  })
}

/** The file system of this process. */
export const nodeDisk: SyncDisk = makeNodeDisk(fs, process.platform)
