/** What every layer of `Disk` promises; run by `test/layers/disk/DiskContract.test.ts` on each of them. */
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { FileHandle } from "../../src/domain/disk/SyncDisk.ts"
import { IoFailure } from "../../src/domain/failures.ts"
import { LockFailure } from "../../src/services/DirectoryLock.ts"
import type { Disk } from "../../src/services/Disk.ts"

/** A disk to test, an existing empty directory on it, and what is to be done afterwards. */
export interface DiskFixture {
  readonly disk: Disk["Service"]
  readonly root: string
  readonly dispose: () => void
}

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

const filled = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff)

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (cause) {
    expect(cause).toBeInstanceOf(IoFailure)
    return (cause as IoFailure).code
  }
  return "nothing was thrown"
}

const readAll = (handle: FileHandle): Uint8Array => {
  const into = new Uint8Array(handle.sizeBytes())
  expect(handle.readAt(into, 0)).toBe(into.length)
  return into
}

export const diskContract = (name: string, make: () => DiskFixture): void => {
  describe(`Disk contract: ${name}`, () => {
    let fixture: DiskFixture
    let disk: Disk["Service"]
    let at: (file: string) => string
    const opened: Array<FileHandle> = []
    const open = (file: string, mode: "read" | "create" | "write"): FileHandle => {
      const handle = disk.sync.open(at(file), mode)
      opened.push(handle)
      return handle
    }
    const create = (file: string, content: Uint8Array): void => {
      const handle = disk.sync.open(at(file), "create")
      handle.writev([content], 0)
      handle.close()
    }
    const contentOf = (file: string): Uint8Array => {
      const handle = disk.sync.open(at(file), "read")
      try {
        return readAll(handle)
      } finally {
        handle.close()
      }
    }

    beforeEach(() => {
      fixture = make()
      disk = fixture.disk
      at = (file) => `${fixture.root}/${file}`
    })
    afterEach(() => {
      for (const handle of opened.splice(0)) {
        try {
          handle.close()
        } catch {
          // The test closed it.
        }
      }
      fixture.dispose()
    })

    describe("files", () => {
      it("reads what was written, and short only at the end", () => {
        const handle = open("a", "create")
        handle.writev([bytes(1, 2, 3), bytes(), bytes(4, 5)], 0)
        expect(readAll(handle)).toEqual(bytes(1, 2, 3, 4, 5))
        const into = new Uint8Array(8)
        expect(handle.readAt(into, 3)).toBe(2)
        expect(into.subarray(0, 2)).toEqual(bytes(4, 5))
        expect(handle.readAt(into, 5)).toBe(0)
        expect(handle.readAt(into, 500)).toBe(0)
        expect(handle.readAt(new Uint8Array(0), 0)).toBe(0)
        handle.datasync()
      })

      it("overwrites in place and shows holes as zeros", () => {
        const handle = open("a", "create")
        handle.writev([bytes(1, 2, 3)], 0)
        handle.writev([bytes(9)], 1)
        handle.writev([bytes(7)], 200_000)
        expect(handle.sizeBytes()).toBe(200_001)
        const content = readAll(handle)
        expect(content.subarray(0, 4)).toEqual(bytes(1, 9, 3, 0))
        expect(content.subarray(4, 200_000).every((byte) => byte === 0)).toBe(true)
        expect(content[200_000]).toBe(7)
      })

      it("writes many buffers across many chunks", () => {
        const handle = open("a", "create")
        const buffers = Array.from({ length: 2500 }, (_, i) => filled(i % 97, i))
        handle.writev(buffers, 5)
        expect(readAll(handle).subarray(5)).toEqual(Uint8Array.from(buffers.flatMap((buffer) => [...buffer])))
      })

      it("writes nothing for no bytes", () => {
        const handle = open("a", "create")
        handle.writev([], 10)
        handle.writev([bytes()], 10)
        expect(handle.sizeBytes()).toBe(0)
      })

      it("keeps its own copy of what was written", () => {
        const handle = open("a", "create")
        const buffer = bytes(1, 2, 3)
        handle.writev([buffer], 0)
        buffer.fill(9)
        expect(readAll(handle)).toEqual(bytes(1, 2, 3))
      })

      it("truncates, and what grows again is zeros", () => {
        const handle = open("a", "create")
        handle.writev([filled(10_000, 1)], 0)
        handle.truncate(3)
        expect(handle.sizeBytes()).toBe(3)
        handle.truncate(6000)
        const content = readAll(handle)
        expect(content.subarray(0, 3)).toEqual(filled(3, 1))
        expect(content.subarray(3).every((byte) => byte === 0)).toBe(true)
        handle.truncate(0)
        expect(handle.sizeBytes()).toBe(0)
      })

      it("creates only what is not there, and opens only what is", () => {
        expect(codeOf(() => open("a", "read"))).toBe("ENOENT")
        expect(codeOf(() => open("a", "write"))).toBe("ENOENT")
        open("a", "create")
        expect(codeOf(() => open("a", "create"))).toBe("EEXIST")
        expect(codeOf(() => open("missing/a", "create"))).toBe("ENOENT")
        expect(codeOf(() => open("a/b", "create"))).toBe("ENOTDIR")
      })

      it("writes through a handle opened for writing, not through one for reading", () => {
        create("a", bytes(1, 2, 3))
        open("a", "write").writev([bytes(8)], 2)
        const reader = open("a", "read")
        expect(readAll(reader)).toEqual(bytes(1, 2, 8))
        expect(codeOf(() => reader.writev([bytes(1)], 0))).toBe("EBADF")
        expect(["EBADF", "EINVAL"]).toContain(codeOf(() => reader.truncate(0)))
      })

      it("refuses everything after close", () => {
        const handle = open("a", "create")
        handle.close()
        expect(codeOf(() => handle.readAt(new Uint8Array(1), 0))).toBe("EBADF")
        expect(codeOf(() => handle.writev([bytes(1)], 0))).toBe("EBADF")
        expect(codeOf(() => handle.datasync())).toBe("EBADF")
        expect(codeOf(() => handle.sizeBytes())).toBe("EBADF")
        expect(codeOf(() => handle.truncate(0))).toBe("EBADF")
        expect(codeOf(() => handle.close())).toBe("EBADF")
      })
    })

    describe("names", () => {
      it("lists, and tells what is there", () => {
        create("a", bytes(1, 2))
        disk.sync.makeDirectory(at("d"))
        expect([...disk.sync.list(fixture.root)].sort()).toEqual(["a", "d"])
        expect(disk.sync.stat(at("a"))).toMatchObject({ kind: "file", sizeBytes: 2 })
        expect(disk.sync.stat(at("d"))).toMatchObject({ kind: "directory" })
        expect(disk.sync.stat(at("nothing"))).toBeUndefined()
        expect(codeOf(() => disk.sync.list(at("nothing")))).toBe("ENOENT")
        expect(codeOf(() => disk.sync.list(at("a")))).toBe("ENOTDIR")
      })

      it("makes directories with their parents, again and again", () => {
        disk.sync.makeDirectory(at("x/y/z"))
        disk.sync.makeDirectory(at("x/y/z"))
        create("x/y/z/a", bytes(1))
        expect(disk.sync.list(at("x/y/z"))).toEqual(["a"])
        expect(codeOf(() => disk.sync.makeDirectory(at("x/y/z/a")))).toBe("EEXIST")
      })

      it("renames over what is there, keeping the inode", () => {
        create("a", bytes(1))
        create("b", bytes(2, 2))
        const inode = disk.sync.stat(at("a"))?.inode
        const old = open("b", "read")
        disk.sync.rename(at("a"), at("b"))
        expect(disk.sync.list(fixture.root)).toEqual(["b"])
        expect(contentOf("b")).toEqual(bytes(1))
        expect(disk.sync.stat(at("b"))?.inode).toBe(inode)
        // The replaced file lives on for whoever has it open.
        expect(readAll(old)).toEqual(bytes(2, 2))
        expect(codeOf(() => disk.sync.rename(at("a"), at("c")))).toBe("ENOENT")
        expect(codeOf(() => disk.sync.rename(at("b"), at("missing/c")))).toBe("ENOENT")
      })

      it("moves between directories", () => {
        disk.sync.makeDirectory(at("d"))
        create("a", bytes(1))
        disk.sync.rename(at("a"), at("d/b"))
        expect(disk.sync.stat(at("a"))).toBeUndefined()
        expect(contentOf("d/b")).toEqual(bytes(1))
      })

      it("removes a name; open handles still read the file", () => {
        create("a", bytes(1, 2, 3))
        const handle = open("a", "write")
        disk.sync.remove(at("a"))
        expect(disk.sync.stat(at("a"))).toBeUndefined()
        handle.writev([bytes(4)], 3)
        expect(readAll(handle)).toEqual(bytes(1, 2, 3, 4))
        create("a", bytes(9))
        expect(readAll(handle)).toEqual(bytes(1, 2, 3, 4))
        expect(codeOf(() => disk.sync.remove(at("nothing")))).toBe("ENOENT")
      })

      it("removes empty directories only", () => {
        disk.sync.makeDirectory(at("d"))
        create("d/a", bytes(1))
        expect(codeOf(() => disk.sync.remove(at("d")))).toBe("ENOTEMPTY")
        disk.sync.remove(at("d/a"))
        disk.sync.remove(at("d"))
        expect(disk.sync.list(fixture.root)).toEqual([])
      })

      it("links a file under a second name", () => {
        create("a", bytes(1, 2))
        disk.sync.link(at("a"), at("b"))
        expect(disk.sync.stat(at("b"))?.inode).toBe(disk.sync.stat(at("a"))?.inode)
        open("b", "write").writev([bytes(7)], 0)
        expect(contentOf("a")).toEqual(bytes(7, 2))
        disk.sync.remove(at("a"))
        expect(contentOf("b")).toEqual(bytes(7, 2))
        create("c", bytes())
        expect(codeOf(() => disk.sync.link(at("b"), at("c")))).toBe("EEXIST")
        expect(codeOf(() => disk.sync.link(at("nothing"), at("d")))).toBe("ENOENT")
      })

      it("gives different files different inodes", () => {
        create("a", bytes())
        create("b", bytes())
        expect(disk.sync.stat(at("a"))?.inode).not.toBe(disk.sync.stat(at("b"))?.inode)
      })

      it("syncs directories that exist", () => {
        disk.sync.syncDirectory(fixture.root)
        expect(codeOf(() => disk.sync.syncDirectory(at("nothing")))).toBe("ENOENT")
      })
    })

    describe("effects", () => {
      it.effect("write, sync and read the same files as the synchronous calls", () =>
        Effect.gen(function* () {
          yield* disk.makeDirectory(at("d"))
          const handle = yield* disk.open(at("d/a"), "create")
          opened.push(handle)
          const buffers = Array.from({ length: 1500 }, (_, i) => filled(i % 13, i))
          yield* disk.writev(handle, buffers, 2)
          yield* disk.writev(handle, [], 0)
          yield* disk.datasync(handle)
          yield* disk.syncDirectory(at("d"))
          const into = new Uint8Array(handle.sizeBytes() + 10)
          expect(yield* disk.read(handle, into, 0)).toBe(handle.sizeBytes())
          expect(into.subarray(0, handle.sizeBytes())).toEqual(readAll(handle))
          expect(into.subarray(2, handle.sizeBytes())).toEqual(Uint8Array.from(buffers.flatMap((buffer) => [...buffer])))
          expect(yield* disk.read(handle, new Uint8Array(0), 0)).toBe(0)
          expect(yield* disk.list(at("d"))).toEqual(["a"])
          yield* disk.link(at("d/a"), at("d/b"))
          yield* disk.rename(at("d/b"), at("d/c"))
          expect((yield* disk.stat(at("d/c")))?.inode).toBe((yield* disk.stat(at("d/a")))?.inode)
          yield* disk.remove(at("d/a"))
          expect(yield* disk.list(at("d"))).toEqual(["c"])
        })
      )

      it.effect("fail with the same codes as the synchronous calls throw", () =>
        Effect.gen(function* () {
          expect((yield* Effect.flip(disk.open(at("a"), "read"))).code).toBe("ENOENT")
          expect((yield* Effect.flip(disk.list(at("a")))).code).toBe("ENOENT")
          expect((yield* Effect.flip(disk.remove(at("a")))).code).toBe("ENOENT")
          expect((yield* Effect.flip(disk.rename(at("a"), at("b")))).code).toBe("ENOENT")
          expect((yield* Effect.flip(disk.link(at("a"), at("b")))).code).toBe("ENOENT")
          expect((yield* Effect.flip(disk.syncDirectory(at("a")))).code).toBe("ENOENT")
          const handle = yield* disk.open(at("a"), "create")
          expect((yield* Effect.flip(disk.makeDirectory(at("a")))).code).toBe("EEXIST")
          handle.close()
          expect((yield* Effect.flip(disk.read(handle, new Uint8Array(1), 0))).code).toBe("EBADF")
          expect((yield* Effect.flip(disk.writev(handle, [bytes(1)], 0))).code).toBe("EBADF")
          expect((yield* Effect.flip(disk.datasync(handle))).code).toBe("EBADF")
        })
      )

      it.live("let other fibers run, and finish although interrupted", () =>
        Effect.gen(function* () {
          const handle = open("a", "create")
          let others = 0
          const other = yield* Effect.forkChild(
            Effect.forever(
              Effect.andThen(
                Effect.sync(() => others++),
                Effect.yieldNow
              )
            )
          )
          yield* disk.writev(handle, [filled(50_000, 3)], 0)
          yield* disk.datasync(handle)
          yield* Fiber.interrupt(other)
          expect(others).toBeGreaterThan(0)

          const into = new Uint8Array(50_000)
          const fiber = yield* Effect.forkChild(disk.read(handle, into, 0), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
          // Interruption returned, so the system is done with the buffer and has filled it.
          expect(into).toEqual(filled(50_000, 3))
          expect(Exit.isSuccess(yield* Fiber.await(yield* Effect.forkChild(disk.datasync(handle), { startImmediately: true })))).toBe(true)
        })
      )

      it.live("finish on a handle that is closed meanwhile", () =>
        Effect.gen(function* () {
          const handle = open("a", "create")
          handle.writev([filled(50_000, 3)], 0)
          const into = new Uint8Array(50_000)
          const fiber = yield* Effect.forkChild(disk.read(handle, into, 0), { startImmediately: true })
          handle.close()
          const exit = yield* Fiber.await(fiber)
          // Done in full or refused; never bytes of another file.
          if (Exit.isSuccess(exit)) expect(into).toEqual(filled(50_000, 3))
          else expect(into).toEqual(new Uint8Array(50_000))
          expect(codeOf(() => handle.sizeBytes())).toBe("EBADF")
        })
      )

      it.effect("run concurrently on one handle", () =>
        Effect.gen(function* () {
          const handle = open("a", "create")
          yield* Effect.forEach(
            Array.from({ length: 40 }, (_, i) => i),
            (i) => disk.writev(handle, [filled(1000, i)], i * 1000),
            {
              concurrency: "unbounded",
              discard: true
            }
          )
          yield* Effect.forEach(
            Array.from({ length: 40 }, (_, i) => i),
            (i) => {
              const into = new Uint8Array(1000)
              return Effect.map(disk.read(handle, into, i * 1000), (count) => {
                expect(count).toBe(1000)
                expect(into).toEqual(filled(1000, i))
              })
            },
            { concurrency: "unbounded", discard: true }
          )
        })
      )
    })

    describe("lock", () => {
      it("has one holder at a time", () => {
        const lock = disk.lock(fixture.root)
        expect(lock.stillHeld()).toBe(true)
        let failure: unknown
        try {
          disk.lock(fixture.root)
        } catch (cause) {
          failure = cause
        }
        expect(failure).toBeInstanceOf(LockFailure)
        expect(failure).toMatchObject({ _tag: "LockFailure", path: fixture.root, heldByPid: process.pid })
        expect(lock.stillHeld()).toBe(true)
        lock.release()
        lock.release()
        expect(lock.stillHeld()).toBe(false)
        const again = disk.lock(fixture.root)
        expect(again.stillHeld()).toBe(true)
        expect(lock.stillHeld()).toBe(false)
        again.release()
      })
    })
  })
}
