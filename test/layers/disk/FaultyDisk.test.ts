import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import { IoFailure } from "../../../src/domain/failures.ts"
import * as DiskFaulty from "../../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../../src/layers/disk/DiskMemory.ts"
import { make as makeSimulated } from "../../../src/layers/disk/DiskSimulated.ts"
import { FaultyDisk, type FaultRule } from "../../../src/layers/disk/FaultyDisk.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { Disk } from "../../../src/services/Disk.ts"

const zeros = (length: number): Uint8Array => new Uint8Array(length)
const ones = (length: number): Uint8Array => new Uint8Array(length).fill(1)

describe("FaultyDisk", () => {
  it("fails the nth match, as often as told, and counts", () => {
    const rule: FaultRule = { match: { operation: "writev", path: /log$/ }, nth: 2, times: 2, fault: { code: "EIO" } }
    const disk = new FaultyDisk(new MemoryDisk(), [rule])
    const log = disk.open("/log", "create")
    const other = disk.open("/other", "create")
    const outcomes = [log, other, log, log, other, log].map((handle) => {
      try {
        handle.writev([ones(1)], 0)
        return "ok"
      } catch (cause) {
        return (cause as IoFailure).code
      }
    })
    expect(outcomes).toEqual(["ok", "ok", "EIO", "EIO", "ok", "ok"])
    expect(disk.strikes(rule)).toBe(2)
    expect(disk.strikes({ ...rule })).toBe(0)
  })

  it("strikes once where only nth is given, and always where neither is", () => {
    const once: FaultRule = { match: { operation: "stat" }, nth: 2, fault: { code: "EIO" } }
    const always: FaultRule = { match: { operation: "list" }, fault: { code: "EACCES" } }
    const disk = new FaultyDisk(new MemoryDisk(), [once, always])
    disk.stat("/")
    expect(() => disk.stat("/")).toThrow("EIO")
    disk.stat("/")
    for (let i = 0; i < 3; i++) expect(() => disk.list("/")).toThrow("EACCES")
    expect(disk.strikes(always)).toBe(3)
    disk.clear()
    disk.list("/")
    expect(disk.strikes(always)).toBe(0)
  })

  it("fails every operation that is named", () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const handle = disk.open("/a", "create")
    disk.add({ match: {}, fault: { code: "EIO" } })
    for (const run of [
      () => disk.open("/a", "read"),
      () => disk.list("/"),
      () => disk.stat("/"),
      () => disk.makeDirectory("/d"),
      () => disk.rename("/a", "/b"),
      () => disk.remove("/a"),
      () => disk.link("/a", "/b"),
      () => disk.syncDirectory("/"),
      () => handle.readAt(zeros(1), 0),
      () => handle.writev([ones(1)], 0),
      () => handle.datasync(),
      () => handle.sizeBytes(),
      () => handle.truncate(0)
    ])
      expect(run).toThrow(IoFailure)
    disk.clear()
    expect(disk.list("/")).toEqual(["a"])
  })

  it("leaves the first bytes of a write that runs into a full disk", () => {
    const disk = new FaultyDisk(new MemoryDisk(), [{ match: { operation: "writev" }, nth: 1, fault: { code: "ENOSPC", afterBytes: 3 } }])
    const handle = disk.open("/a", "create")
    expect(() => handle.writev([ones(2), ones(2), ones(2)], 0)).toThrow("ENOSPC")
    expect(handle.sizeBytes()).toBe(3)
  })

  it("reads short, and flips a bit of what is read but not of the file", () => {
    const inner = new MemoryDisk()
    const flip: FaultRule = { match: {}, nth: 1, fault: { bitFlip: { offset: 5, bit: 3 } } }
    const disk = new FaultyDisk(inner, [flip])
    const handle = disk.open("/a", "create")
    handle.writev([zeros(10)], 0)
    // A read that does not cover the byte is no match.
    handle.readAt(zeros(5), 0)
    expect(disk.strikes(flip)).toBe(0)
    const into = zeros(4)
    expect(handle.readAt(into, 3)).toBe(4)
    expect(into).toEqual(Uint8Array.of(0, 0, 8, 0))
    handle.readAt(into, 3)
    expect(into).toEqual(zeros(4))

    disk.add({ match: { path: /a/ }, nth: 1, fault: { shortRead: 2 } })
    expect(handle.readAt(zeros(4), 0)).toBe(2)
    expect(handle.readAt(zeros(4), 0)).toBe(4)

    disk.add({ match: {}, fault: { bitFlip: { offset: 12, bit: 0 } } })
    expect(handle.readAt(zeros(10), 5)).toBe(5)
  })

  it("lies about writes and syncs", () => {
    const simulated = new SimulatedDisk()
    const disk = new FaultyDisk(simulated, [
      { match: {}, nth: 2, fault: { lieOnWrite: true } },
      { match: { operation: "datasync" }, fault: { lieOnWrite: true } },
      { match: { operation: "truncate" }, fault: { lieOnWrite: true } },
      { match: { operation: "remove" }, fault: { lieOnWrite: true } },
      { match: { operation: "readAt" }, fault: { lieOnWrite: true } }
    ])
    const handle = disk.open("/a", "create")
    disk.syncDirectory("/")
    handle.writev([ones(2)], 0)
    handle.writev([ones(2)], 2)
    handle.datasync()
    handle.truncate(0)
    disk.remove("/a")
    const into = zeros(4)
    expect(handle.readAt(into, 0)).toBe(2)
    expect(into).toEqual(Uint8Array.of(1, 1, 0, 0))
    expect(simulated.crashState(seededPrng(1), { mode: "worst" }).stat("/a")?.sizeBytes).toBe(0)
  })

  it("makes a failed datasync lose what it covered", () => {
    const simulated = new SimulatedDisk()
    const disk = new FaultyDisk(simulated, [{ match: { operation: "datasync" }, nth: 1, fault: { code: "EIO" } }])
    const handle = disk.open("/a", "create")
    disk.syncDirectory("/")
    handle.writev([ones(2)], 0)
    expect(() => handle.datasync()).toThrow("EIO")
    handle.datasync()
    expect(handle.sizeBytes()).toBe(2)
    expect(simulated.crashState(seededPrng(1), { mode: "all" }).stat("/a")?.sizeBytes).toBe(0)
  })
})

describe("DiskFaulty", () => {
  const rules: ReadonlyArray<FaultRule> = [
    { match: { operation: "datasync" }, nth: 1, fault: { code: "EIO" } },
    { match: { operation: "datasync" }, nth: 2, fault: { lieOnWrite: true } },
    { match: { operation: "writev" }, nth: 1, fault: { code: "ENOSPC", afterBytes: 1 } },
    { match: { operation: "readAt" }, nth: 1, fault: { code: "EIO" } },
    // The read that failed was a match, too.
    { match: {}, nth: 2, fault: { bitFlip: { offset: 0, bit: 7 } } },
    { match: { operation: "syncDirectory" }, nth: 1, fault: { code: "EIO" } },
    { match: { operation: "open" }, nth: 2, fault: { code: "EMFILE" } }
  ]

  const program = (disk: Disk["Service"]) =>
    Effect.gen(function* () {
      const code = <A>(effect: Effect.Effect<A, IoFailure>) => Effect.map(Effect.flip(effect), (failure) => failure.code)
      expect([disk.kind, disk.sharedWithWorkers]).toEqual(["faulty", false])
      const handle = yield* disk.open("/a", "create")
      expect(yield* code(disk.open("/a", "read"))).toBe("EMFILE")
      expect(yield* code(disk.syncDirectory("/"))).toBe("EIO")
      yield* disk.syncDirectory("/")
      expect(yield* code(disk.writev(handle, [ones(2)], 0))).toBe("ENOSPC")
      expect(handle.sizeBytes()).toBe(1)
      yield* disk.writev(handle, [ones(2)], 0)
      const into = zeros(2)
      expect(yield* code(disk.read(handle, into, 0))).toBe("EIO")
      expect(yield* disk.read(handle, into, 0)).toBe(2)
      expect(into).toEqual(Uint8Array.of(0x81, 1))
      expect(yield* code(disk.datasync(handle))).toBe("EIO")
      yield* disk.datasync(handle)
      yield* disk.datasync(handle)
    })

  it("strikes the effects of the disk below it", () =>
    Effect.runPromise(Effect.provide(Effect.flatMap(Disk, program), DiskFaulty.layer(rules).pipe(Layer.provide(DiskMemory.layer)))))

  it("hands out its control", async () => {
    let faulty: FaultyDisk | undefined
    const layer = DiskFaulty.layerWith((control) => {
      faulty = control
      for (const rule of rules) control.add(rule)
    })
    await Effect.runPromise(Effect.provide(Effect.flatMap(Disk, program), layer.pipe(Layer.provide(DiskMemory.layer))))
    expect(rules.map((rule) => faulty!.strikes(rule))).toEqual(rules.map(() => 1))
  })

  it("never lets the simulated disk below count a failed or invented sync", async () => {
    const simulated = new SimulatedDisk()
    simulated.open("/a", "create").datasync()
    simulated.syncDirectory("/")
    const inner = makeSimulated(simulated)
    const disk = DiskFaulty.make(inner, new FaultyDisk(inner.sync, rules.slice(0, 2)))
    await Effect.runPromise(
      Effect.gen(function* () {
        const handle = yield* disk.open("/a", "write")
        yield* disk.writev(handle, [ones(3)], 0)
        yield* Effect.flip(disk.datasync(handle))
        yield* disk.writev(handle, [ones(2)], 3)
        yield* disk.datasync(handle)
        expect(simulated.crashState(seededPrng(1), { mode: "worst" }).files().get("a")).toEqual(zeros(0))
        yield* disk.datasync(handle)
        expect(simulated.crashState(seededPrng(1), { mode: "worst" }).files().get("a")).toEqual(Uint8Array.of(0, 0, 0, 1, 1))
      })
    )
  })
})
