import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { make } from "../../../src/layers/disk/DiskNode.ts"
import {
  callBytesMax,
  makeNodeDisk,
  type NodeFileHandle,
  type NodeFileSystem,
  PendingWrite,
  toIoFailure,
  vectorBuffersMax
} from "../../../src/layers/disk/nodeDisk.ts"

let root: string
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-node-disk-"))
})
afterEach(() => fs.rmSync(root, { recursive: true }))

/** `node:fs` with some calls replaced. */
const over = (part: Partial<Record<keyof NodeFileSystem, unknown>>): NodeFileSystem => ({ ...fs, ...part }) as NodeFileSystem

const filled = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff)

const systemError = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: as the test wants it`), { code })

/** A system that reads and writes at most `most` bytes a call, like one that is interrupted all the time. */
const hasty = (most: number): { readonly system: NodeFileSystem; readonly calls: { count: number } } => {
  const calls = { count: 0 }
  const shortened = (buffers: ReadonlyArray<NodeJS.ArrayBufferView>): Array<Uint8Array> => {
    let left = most
    const parts: Array<Uint8Array> = []
    for (const buffer of buffers) {
      const part = new Uint8Array(buffer.buffer, buffer.byteOffset, Math.min(left, buffer.byteLength))
      left -= part.length
      parts.push(part)
      if (left === 0) break
    }
    return parts
  }
  const system = over({
    readSync: (fd: number, into: NodeJS.ArrayBufferView, offset: number, length: number, position: number) => {
      calls.count++
      return fs.readSync(fd, into, offset, Math.min(length, most), position)
    },
    writeSync: (fd: number, buffer: Uint8Array, offset: number, length: number, position: number) => {
      calls.count++
      return fs.writeSync(fd, buffer, offset, Math.min(length, most), position)
    },
    writevSync: (fd: number, buffers: ReadonlyArray<NodeJS.ArrayBufferView>, position: number) => {
      calls.count++
      return fs.writevSync(fd, shortened(buffers), position)
    },
    read: (fd: number, into: Uint8Array, offset: number, length: number, position: number, done: (cause: Error | null, count: number) => void) => {
      calls.count++
      fs.read(fd, into, offset, Math.min(length, most), position, done)
    },
    writev: (fd: number, buffers: ReadonlyArray<NodeJS.ArrayBufferView>, position: number, done: (cause: Error | null, count: number) => void) => {
      calls.count++
      fs.writev(fd, shortened(buffers), position, done)
    }
  })
  return { system, calls }
}

describe("PendingWrite", () => {
  it("gives at most as many buffers and bytes as one call takes, and none that are empty", () => {
    const empty = new Uint8Array(0)
    const buffers = [empty, ...Array.from({ length: 3000 }, (_, i) => filled(i % 3)), empty]
    const pending = new PendingWrite(buffers, 100)
    let written = 0
    while (!pending.done) {
      const slices = pending.next()
      expect(slices.length).toBeLessThanOrEqual(vectorBuffersMax)
      expect(slices.every((slice) => slice.length > 0)).toBe(true)
      const bytes = slices.reduce((sum, slice) => sum + slice.length, 0)
      written += bytes
      pending.advance(bytes)
      expect(pending.position).toBe(100 + written)
    }
    expect(written).toBe(3000)
  })

  it("cuts a buffer that is larger than one call takes", () => {
    // One page of memory, said to be larger: nothing is read of it.
    const huge = Object.assign(Object.create(Uint8Array.prototype), {}) as Uint8Array
    Object.defineProperty(huge, "length", { value: callBytesMax + 10 })
    Object.defineProperty(huge, "subarray", { value: (start: number, end: number) => ({ length: end - start }) })
    const pending = new PendingWrite([huge], 0)
    expect(pending.next().map((slice) => slice.length)).toEqual([callBytesMax])
    pending.advance(callBytesMax)
    expect(pending.next().map((slice) => slice.length)).toEqual([10])
    pending.advance(10)
    expect(pending.done).toBe(true)
  })
})

describe("short counts", () => {
  for (const most of [1, 3, 1000]) {
    it(`are continued when the system moves ${most} bytes a call`, async () => {
      const { system, calls } = hasty(most)
      const disk = make(system, "linux")
      const handle = disk.sync.open(path.join(root, "a"), "create")
      const buffers = [filled(5), new Uint8Array(0), filled(700), filled(2)]
      const content = new Uint8Array([...filled(5), ...filled(700), ...filled(2)])
      handle.writev(buffers, 3)
      handle.writev([filled(10)], 710)
      const into = new Uint8Array(800)
      expect(handle.readAt(into, 3)).toBe(717)
      expect(into.subarray(0, 707)).toEqual(content)
      expect(into.subarray(707, 717)).toEqual(filled(10))

      await Effect.runPromise(disk.writev(handle, buffers, 2000))
      const pooled = new Uint8Array(707)
      expect(await Effect.runPromise(disk.read(handle, pooled, 2000))).toBe(707)
      expect(pooled).toEqual(content)
      if (most < 1000) expect(calls.count).toBeGreaterThan(4 * Math.floor(707 / most))
      handle.close()
    })
  }
})

describe("failures", () => {
  const fail = (code: string) => () => {
    throw systemError(code)
  }
  const failLater =
    (code: string) =>
    (...args: ReadonlyArray<unknown>) => {
      setImmediate(args.at(-1) as (cause: Error) => void, systemError(code))
    }

  it("treat a write that makes no progress as a full disk, instead of trying for ever", async () => {
    const disk = make(
      over({
        writeSync: () => 0,
        writevSync: () => 0,
        writev: (...args: ReadonlyArray<unknown>) => (args.at(-1) as (cause: null, count: number) => void)(null, 0)
      }),
      "linux"
    )
    const handle = disk.sync.open(path.join(root, "a"), "create")
    expect(() => handle.writev([filled(3)], 0)).toThrow(expect.objectContaining({ _tag: "IoFailure", operation: "writev", code: "ENOSPC" }))
    expect(() => handle.writev([filled(3), filled(3)], 0)).toThrow(expect.objectContaining({ code: "ENOSPC" }))
    expect((await Effect.runPromise(Effect.flip(disk.writev(handle, [filled(3)], 0)))).code).toBe("ENOSPC")
    handle.close()
  })

  it("name the operation, the path and the system's code", async () => {
    const file = path.join(root, "a")
    fs.writeFileSync(file, "x")
    const disk = make(
      over({
        readSync: fail("EIO"),
        writeSync: fail("ENOSPC"),
        fdatasyncSync: fail("EIO"),
        fstatSync: fail("EIO"),
        ftruncateSync: fail("EFBIG"),
        fsyncSync: fail("EIO"),
        read: failLater("EIO"),
        writev: failLater("EDQUOT"),
        fdatasync: failLater("EIO"),
        fsync: failLater("EIO"),
        linkSync: fail("EPERM"),
        closeSync: fail("EIO")
      }),
      "linux"
    )
    const handle = disk.sync.open(file, "write")
    const failures = [
      () => handle.readAt(new Uint8Array(1), 0),
      () => handle.writev([filled(1)], 0),
      () => handle.datasync(),
      () => handle.sizeBytes(),
      () => handle.truncate(0),
      () => disk.sync.syncDirectory(root),
      () => disk.sync.link(file, `${file}2`)
    ].map((run) => {
      try {
        run()
      } catch (cause) {
        return toIoFailure("?", "?", cause)
      }
      throw new Error("nothing was thrown")
    })
    // A close that fails has closed the file: nobody is told.
    handle.close()
    expect(() => handle.readAt(new Uint8Array(1), 0)).toThrow("EBADF")
    expect(failures.map(({ operation, path, code }) => [operation, path, code])).toEqual([
      ["readAt", file, "EIO"],
      ["writev", file, "ENOSPC"],
      ["datasync", file, "EIO"],
      ["sizeBytes", file, "EIO"],
      ["truncate", file, "EFBIG"],
      ["syncDirectory", root, "EIO"],
      ["link", file, "EPERM"]
    ])
    const pooled = disk.sync.open(file, "write")
    for (const [effect, operation, code] of [
      [disk.read(pooled, new Uint8Array(1), 0), "read", "EIO"],
      [disk.writev(pooled, [filled(1)], 0), "writev", "EDQUOT"],
      [disk.datasync(pooled), "datasync", "EIO"],
      [disk.syncDirectory(root), "syncDirectory", "EIO"]
    ] as const) {
      const failure = await Effect.runPromise(Effect.flip<unknown, unknown, never>(effect))
      expect(failure).toMatchObject({ _tag: "IoFailure", operation, code })
    }
  })

  it("answer at once where node refuses the arguments", async () => {
    const disk = make(fs, "linux")
    const handle = disk.sync.open(path.join(root, "a"), "create")
    expect((await Effect.runPromise(Effect.flip(disk.read(handle, new Uint8Array(1), 1.5)))).code).toBe("ERR_OUT_OF_RANGE")
    expect(() => handle.readAt(new Uint8Array(1), 1.5)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }))
    handle.close()
  })

  it("have a code even where the system gave none", () => {
    expect(toIoFailure("x", "y", new Error("?"))).toMatchObject({ operation: "x", path: "y", code: "EUNKNOWN" })
    expect(toIoFailure("x", "y", "?")).toMatchObject({ code: "EUNKNOWN" })
    // As node's synchronous and other calls say it.
    for (const code of ["UNKNOWN", "Unknown system error -122"]) {
      expect(toIoFailure("x", "y", Object.assign(new Error("?"), { code, errno: -os.constants.errno.EDQUOT })).code).toBe("EDQUOT")
      expect(toIoFailure("x", "y", Object.assign(new Error("?"), { code, errno: -9999 })).code).toBe("EUNKNOWN")
    }
  })
})

describe("NodeFileHandle", () => {
  it("keeps its descriptor until pooled calls have ended", async () => {
    const closed: Array<number> = []
    const pending: Array<() => void> = []
    const system = over({
      closeSync: (fd: number) => {
        closed.push(fd)
        fs.closeSync(fd)
      },
      fdatasync: (_fd: number, done: (cause: Error | null) => void) => void pending.push(() => done(null))
    })
    const disk = make(system, "linux")
    const handle = disk.sync.open(path.join(root, "a"), "create") as NodeFileHandle
    const first = Effect.runPromise(disk.datasync(handle))
    const second = Effect.runPromise(disk.datasync(handle))
    expect(pending).toHaveLength(2)
    handle.close()
    expect(handle.closed).toBe(true)
    expect(closed).toEqual([])
    pending[0]!()
    await first
    expect(closed).toEqual([])
    pending[1]!()
    await second
    expect(closed).toEqual([handle.fd])
  })

  it("makes interruption wait for the system call", async () => {
    const pending: Array<() => void> = []
    const disk = make(over({ fdatasync: (_fd: number, done: (cause: Error | null) => void) => void pending.push(() => done(null)) }), "linux")
    const handle = disk.sync.open(path.join(root, "a"), "create")
    const fiber = Effect.runFork(disk.datasync(handle))
    let ended = false
    fiber.addObserver(() => (ended = true))
    fiber.interruptUnsafe()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(ended).toBe(false)
    pending[0]!()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(ended).toBe(true)
    handle.close()
  })
})

describe("platforms", () => {
  it("have no directory sync on Windows", async () => {
    const system = over({ openSync: () => expect.fail("opened"), open: () => expect.fail("opened") })
    makeNodeDisk(system, "win32").syncDirectory(root)
    await Effect.runPromise(make(system, "win32").syncDirectory(root))
  })
})
