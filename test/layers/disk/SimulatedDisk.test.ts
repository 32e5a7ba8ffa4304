import { describe, expect, it } from "vitest"
import { IoFailure } from "../../../src/domain/failures.ts"
import type { CrashMode } from "../../../src/layers/disk/crashImage.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { type DiskOperation, SimulatedCrash, SimulatedDisk, type SimulatedFileHandle } from "../../../src/layers/disk/SimulatedDisk.ts"
import { createDurable, filled, read, withDirectory } from "../../support/simulatedFiles.ts"

const crash = (disk: SimulatedDisk, mode: CrashMode, seed = 1): SimulatedDisk => disk.crashState(seededPrng(seed), { mode })

/** The distinct results of `find` over many random crashes of the disk. */
const findings = <A>(disk: SimulatedDisk, find: (found: SimulatedDisk) => A, seeds = 400): ReadonlySet<A> => {
  const found = new Set<A>()
  for (let seed = 0; seed < seeds; seed++) found.add(find(crash(disk, "random", seed)))
  return found
}

describe("SimulatedDisk: bytes", () => {
  it("keeps what was synced in every mode", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(10_000, 7))
    for (const mode of ["worst", "all", "random"] as const) expect(read(crash(disk, mode), "/db/a")).toEqual(filled(10_000, 7))
  })

  it("loses everything unsynced in worst mode and nothing in all mode", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(100, 1))
    const handle = disk.open("/db/a", "write")
    handle.writev([filled(100, 2)], 50)
    handle.truncate(120)
    disk.open("/db/b", "create").writev([filled(3, 3)], 0)
    expect(read(disk, "/db/a")).toHaveLength(120)

    expect(read(crash(disk, "worst"), "/db/a")).toEqual(filled(100, 1))
    expect(read(crash(disk, "worst"), "/db/b")).toBeUndefined()
    expect(crash(disk, "all").hash()).toBe(disk.hash())
  })

  it("keeps any subset of the writes, so a later one may survive an earlier one", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(3 * 4096, 0))
    const handle = disk.open("/db/a", "write")
    for (let i = 0; i < 3; i++) handle.writev([filled(4096, 1)], i * 4096)
    const survivors = findings(disk, (found) => [0, 1, 2].map((i) => read(found, "/db/a")![i * 4096]!).join(""))
    expect([...survivors].sort()).toEqual(["000", "001", "010", "011", "100", "101", "110", "111"])
  })

  it("leaves a hole of zeros when a later write to a growing file survives an earlier one", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(0, 0))
    const handle = disk.open("/db/a", "write")
    handle.writev([filled(512, 1)], 0)
    handle.writev([filled(512, 2)], 512)
    const hole = findings(disk, (found) => {
      const content = read(found, "/db/a")!
      return content.length === 1024 && content[0] === 0 && content[511] === 0 && content[512] === 2
    })
    expect(hole).toContain(true)
  })

  it("may keep the length without the bytes, and the bytes of a torn write up to a sector", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(100, 1))
    disk.open("/db/a", "write").writev([filled(8000, 2)], 100)
    const lengths = findings(disk, (found) => read(found, "/db/a")!.length, 2000)
    expect(lengths).toContain(100)
    expect(lengths).toContain(8100)
    for (const length of lengths) expect(length === 100 || length === 8100 || length % 512 === 0).toBe(true)
    const zeros = findings(disk, (found) => {
      const content = read(found, "/db/a")!
      return content.length === 8100 && content.subarray(100).every((byte) => byte === 0)
    })
    expect(zeros).toContain(true)
    // What lay before the growth is never touched.
    expect(
      findings(disk, (found) =>
        read(found, "/db/a")!
          .subarray(0, 100)
          .every((byte) => byte === 1)
      )
    ).toEqual(new Set([true]))
  })

  it("tears writes at sectors, never inside one", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(5 * 512, 1))
    // From inside sector 0 to inside sector 4.
    disk.open("/db/a", "write").writev([filled(4 * 512, 2)], 100)
    const shapes = new Set<string>()
    for (let seed = 0; seed < 3000; seed++) {
      const content = read(disk.crashState(seededPrng(seed), { sectorBytes: [512] }), "/db/a")!
      const pieces = [0, 1, 2, 3, 4].map((i) => content.subarray(Math.max(100, i * 512), Math.min(2148, (i + 1) * 512)))
      expect(
        pieces.every((piece) => piece.every((byte) => byte === piece[0])),
        `seed ${seed}`
      ).toBe(true)
      expect(content.subarray(0, 100).every((byte) => byte === 1) && content.subarray(2148).every((byte) => byte === 1), `seed ${seed}`).toBe(true)
      shapes.add(pieces.map((piece) => piece[0]).join(""))
    }
    expect(shapes.size).toBe(32)
  })

  it("makes durable only what was written before the sync began", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(2, 0))
    const handle = disk.open("/db/a", "write") as SimulatedFileHandle
    handle.writev([filled(1, 1)], 0)
    const end = handle.beginDatasync()
    handle.writev([filled(1, 2)], 1)
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(Uint8Array.of(0, 0))
    end()
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(Uint8Array.of(1, 0))
    handle.datasync()
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(Uint8Array.of(1, 2))
  })

  it("makes a truncate durable with the sync, and may lose or keep it before", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(1000, 1))
    const handle = disk.open("/db/a", "write")
    handle.truncate(10)
    expect(findings(disk, (found) => read(found, "/db/a")!.length)).toEqual(new Set([10, 1000]))
    handle.datasync()
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(filled(10, 1))
  })

  it("keeps its own copy of bytes that were not synced yet", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(2, 0))
    const buffer = filled(2, 5)
    disk.open("/db/a", "write").writev([buffer], 0)
    buffer.fill(9)
    expect(read(crash(disk, "all"), "/db/a")).toEqual(filled(2, 5))
  })
})

describe("SimulatedDisk: a failed datasync", () => {
  it("leaves the bytes readable, lets later syncs succeed, and loses the bytes in a crash all the same", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 0))
    const handle = disk.open("/db/a", "write")
    handle.writev([filled(2, 1)], 0)
    disk.failNextDatasync(/a$/)
    expect(() => handle.datasync()).toThrow(new IoFailure("datasync", "/db/a", "EIO"))
    expect(read(disk, "/db/a")).toEqual(Uint8Array.of(1, 1, 0, 0))
    handle.writev([filled(1, 2)], 3)
    handle.datasync()
    for (const mode of ["worst", "all", "random"] as const) expect(read(crash(disk, mode), "/db/a")).toEqual(Uint8Array.of(0, 0, 0, 2))
    handle.writev([filled(2, 1)], 0)
    handle.datasync()
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(Uint8Array.of(1, 1, 0, 2))
  })

  it("fails the sync the hook names, with its code, and of a directory likewise", () => {
    const disk = withDirectory()
    const handle = disk.open("/db/a", "create")
    handle.writev([filled(4, 1)], 0)
    disk.onOperation = ({ kind }) => (kind === "datasync" || kind === "syncDirectory" ? { fail: "ENOSPC" } : "ok")
    expect(() => handle.datasync()).toThrow(new IoFailure("datasync", "/db/a", "ENOSPC"))
    expect(() => disk.syncDirectory("/db")).toThrow(new IoFailure("syncDirectory", "/db", "ENOSPC"))
    disk.onOperation = undefined
    handle.datasync()
    disk.syncDirectory("/db")
    expect(read(crash(disk, "all"), "/db/a")).toBeUndefined()
    expect(disk.list("/db")).toEqual(["a"])
  })

  it("is not met by other files", () => {
    const disk = withDirectory()
    disk.failNextDatasync(/b$/)
    createDurable(disk, "/db/a", filled(4, 1))
    expect(() => createDurable(disk, "/db/b", filled(4, 1))).toThrow("EIO")
  })
})

describe("SimulatedDisk: names", () => {
  it("may lose a file whose bytes were synced but whose directory was not", () => {
    const disk = withDirectory()
    const handle = disk.open("/db/a", "create")
    handle.writev([filled(4, 1)], 0)
    handle.datasync()
    expect(read(crash(disk, "worst"), "/db/a")).toBeUndefined()
    expect(findings(disk, (found) => read(found, "/db/a")?.length)).toEqual(new Set([undefined, 4]))
  })

  it("loses a directory that was made but not synced into its parent, with all that was synced inside", () => {
    const disk = new SimulatedDisk()
    disk.makeDirectory("/db")
    createDurable(disk, "/db/a", filled(1, 1))
    expect(crash(disk, "worst").files().size).toBe(0)
    expect([...crash(disk, "all").files().keys()]).toEqual(["db/", "db/a"])
  })

  it("renames atomically: the old content or the new, never none and never a mixture", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/CURRENT", filled(600, 1))
    createDurable(disk, "/db/CURRENT.tmp", filled(700, 2))
    disk.rename("/db/CURRENT.tmp", "/db/CURRENT")
    const states = findings(disk, (found) => `${read(found, "/db/CURRENT")?.length} ${read(found, "/db/CURRENT.tmp")?.length}`)
    expect(states).toEqual(new Set(["600 700", "700 undefined"]))
    disk.syncDirectory("/db")
    expect(read(crash(disk, "worst"), "/db/CURRENT")).toEqual(filled(700, 2))
    expect(crash(disk, "worst").list("/db")).toEqual(["CURRENT"])
  })

  it("finds a renamed file empty when its bytes were never synced", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/CURRENT", filled(6, 1))
    const handle = disk.open("/db/CURRENT.tmp", "create")
    handle.writev([filled(7, 2)], 0)
    disk.rename("/db/CURRENT.tmp", "/db/CURRENT")
    disk.syncDirectory("/db")
    expect(read(crash(disk, "worst"), "/db/CURRENT")).toEqual(new Uint8Array(0))
  })

  it("does not rename a file whose create was lost", () => {
    const disk = withDirectory()
    disk.open("/db/a", "create")
    disk.rename("/db/a", "/db/b")
    const states = findings(disk, (found) => found.list("/db").join())
    expect(states).toEqual(new Set(["", "a", "b"]))
  })

  it("rests every operation on those before it: a file has one name whatever was lost", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 1))
    disk.rename("/db/a", "/db/b")
    disk.rename("/db/b", "/db/c")
    expect(findings(disk, (found) => found.list("/db").join())).toEqual(new Set(["a", "b", "c"]))
  })

  it("does not lose a file to another that took its name after a rename that was lost", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 1))
    disk.rename("/db/a", "/db/b")
    disk.open("/db/a", "create").writev([filled(2, 2)], 0)
    const kept = findings(disk, (found) => read(found, "/db/a")?.length === 4 || read(found, "/db/b")?.length === 4)
    expect(kept).toEqual(new Set([true]))
  })

  it("may bring a removed file back, until the directory is synced", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 1))
    disk.remove("/db/a")
    expect(read(crash(disk, "worst"), "/db/a")).toEqual(filled(4, 1))
    expect(findings(disk, (found) => found.list("/db").length)).toEqual(new Set([0, 1]))
    // A file made under that name cannot be there while the old one still is.
    disk.open("/db/a", "create").writev([filled(2, 2)], 0)
    for (const length of findings(disk, (found) => read(found, "/db/a")?.length)) expect([undefined, 0, 2, 4]).toContain(length)
    disk.remove("/db/a")
    disk.syncDirectory("/db")
    expect(read(crash(disk, "worst"), "/db/a")).toBeUndefined()
  })

  it("keeps links to one file together, and either name by itself", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 1))
    disk.link("/db/a", "/db/b")
    disk.remove("/db/a")
    const states = findings(disk, (found) => found.list("/db").toSorted().join())
    expect(states).toEqual(new Set(["", "a", "b", "a,b"]))
    const both = crash(disk, "all")
    expect(both.list("/db")).toEqual(["b"])
    disk.link("/db/b", "/db/a")
    disk.syncDirectory("/db")
    const found = crash(disk, "worst")
    found.open("/db/a", "write").writev([filled(1, 9)], 0)
    expect(read(found, "/db/b")).toEqual(Uint8Array.of(9, 1, 1, 1))
  })

  it("moves between directories as a whole, durable once either is synced", () => {
    const disk = withDirectory()
    disk.makeDirectory("/db/sub")
    createDurable(disk, "/db/a", filled(4, 1))
    disk.rename("/db/a", "/db/sub/a")
    expect(findings(disk, (found) => [...found.files().keys()].join())).toEqual(new Set(["db/,db/a,db/sub/", "db/,db/sub/,db/sub/a"]))
    disk.syncDirectory("/db/sub")
    expect([...crash(disk, "worst").files().keys()]).toEqual(["db/", "db/sub/", "db/sub/a"])
  })

  it("syncs only the directory it was asked to", () => {
    const disk = withDirectory()
    disk.makeDirectory("/db/sub")
    disk.syncDirectory("/db")
    disk.open("/db/a", "create")
    disk.open("/db/sub/b", "create")
    disk.syncDirectory("/db/sub")
    expect([...crash(disk, "worst").files().keys()]).toEqual(["db/", "db/sub/", "db/sub/b"])
  })

  it("does not cover names that changed after the sync began", () => {
    const disk = withDirectory()
    disk.open("/db/a", "create")
    const end = disk.beginSyncDirectory("/db")
    disk.open("/db/b", "create")
    end()
    expect(crash(disk, "worst").list("/db")).toEqual(["a"])
  })

  it("keeps a removed file for whoever has it open", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(4, 1))
    const handle = disk.open("/db/a", "write")
    disk.remove("/db/a")
    disk.syncDirectory("/db")
    handle.writev([filled(1, 2)], 0)
    handle.datasync()
    const into = new Uint8Array(4)
    handle.readAt(into, 0)
    expect(into).toEqual(Uint8Array.of(2, 1, 1, 1))
    expect(crash(disk, "all").list("/db")).toEqual([])
  })
})

describe("SimulatedDisk: crashing", () => {
  it("stops for good: the disk and its handles throw, the one found works", () => {
    const disk = withDirectory()
    const handle = disk.open("/db/a", "create")
    const found = disk.crash(seededPrng(1), { mode: "all" })
    expect(disk.crashed).toBe(true)
    expect(() => handle.readAt(new Uint8Array(1), 0)).toThrow(SimulatedCrash)
    expect(() => handle.writev([filled(1, 1)], 0)).toThrow(SimulatedCrash)
    expect(() => handle.datasync()).toThrow(SimulatedCrash)
    expect(() => disk.list("/db")).toThrow(SimulatedCrash)
    expect(() => disk.syncDirectory("/db")).toThrow(SimulatedCrash)
    handle.close()
    found.open("/db/a", "write").writev([filled(1, 1)], 0)
    expect(found.crashed).toBe(false)
  })

  it("does not end a sync that was running", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(1, 0))
    const handle = disk.open("/db/a", "write") as SimulatedFileHandle
    handle.writev([filled(1, 1)], 0)
    const end = handle.beginDatasync()
    const found = disk.crash(seededPrng(1), { mode: "worst" })
    expect(end).toThrow(SimulatedCrash)
    expect(read(found, "/db/a")).toEqual(filled(1, 0))
  })

  it("stops at the operation the hook chooses, which may be found done, undone or, a write, in part", () => {
    const lengths = new Set<number | undefined>()
    for (let seed = 0; seed < 300; seed++) {
      const disk = withDirectory()
      createDurable(disk, "/db/a", filled(0, 0))
      const handle = disk.open("/db/a", "write")
      disk.onOperation = ({ kind }) => {
        if (kind === "writev") throw new SimulatedCrash()
      }
      expect(() => handle.writev([filled(4096, 1)], 0)).toThrow(SimulatedCrash)
      expect(() => handle.sizeBytes()).toThrow(SimulatedCrash)
      lengths.add(read(disk.crash(seededPrng(seed)), "/db/a")?.length)
    }
    expect(lengths).toContain(0)
    expect(lengths).toContain(4096)
    expect([...lengths].some((length) => length !== undefined && length > 0 && length < 4096)).toBe(true)
  })

  it("does not count the sync it stopped in as done", () => {
    const disk = withDirectory()
    createDurable(disk, "/db/a", filled(1, 0))
    const handle = disk.open("/db/a", "write")
    handle.writev([filled(1, 1)], 0)
    disk.onOperation = ({ kind }) => {
      if (kind === "datasync") throw new SimulatedCrash()
    }
    expect(() => handle.datasync()).toThrow(SimulatedCrash)
    expect(read(disk.crash(seededPrng(1), { mode: "worst" }), "/db/a")).toEqual(filled(1, 0))
  })

  it("counts operations and tells the hook each of them before it happens", () => {
    const seen: Array<DiskOperation> = []
    const disk = new SimulatedDisk()
    disk.onOperation = (operation) => void seen.push(operation)
    const handle = disk.open("/a", "create")
    handle.writev([filled(3, 1), filled(2, 1)], 10)
    handle.readAt(new Uint8Array(4), 1)
    handle.truncate(7)
    handle.datasync()
    disk.rename("/a", "/b")
    disk.syncDirectory("/")
    disk.stat("/b")
    expect(disk.operations).toBe(8)
    expect(seen.map(({ index, kind, path, position, bytes, mutates }) => `${index} ${kind} ${path} ${position} ${bytes} ${mutates}`)).toEqual([
      "0 open /a 0 0 true",
      "1 writev /a 10 5 true",
      "2 readAt /a 1 4 false",
      "3 truncate /a 7 0 true",
      "4 datasync /a 0 0 true",
      "5 rename /a 0 0 true",
      "6 syncDirectory / 0 0 true",
      "7 stat /b 0 0 false"
    ])
  })

  it("fails the operation the hook names, leaving the first bytes of a write", () => {
    const disk = new SimulatedDisk()
    const handle = disk.open("/a", "create")
    disk.onOperation = ({ kind }) => (kind === "writev" ? { fail: "ENOSPC", afterBytes: 2 } : "fail")
    expect(() => handle.writev([filled(4, 1)], 0)).toThrow(new IoFailure("writev", "/a", "ENOSPC"))
    expect(() => disk.open("/b", "create")).toThrow(new IoFailure("open", "/b", "EIO"))
    disk.onOperation = () => {
      throw new IoFailure("test", "x", "ETEST")
    }
    expect(() => handle.truncate(0)).toThrow("ETEST")
    expect(() => handle.datasync()).toThrow("ETEST")
    disk.onOperation = undefined
    expect(handle.sizeBytes()).toBe(2)
    expect(disk.stat("/b")).toBeUndefined()
    expect(disk.crashed).toBe(false)
  })
})
