import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { make as makeFaulty } from "../../../src/layers/disk/DiskFaulty.ts"
import { layer as memoryLayer, layerOf, make as makeMemory } from "../../../src/layers/disk/DiskMemory.ts"
import { layer as nodeLayer } from "../../../src/layers/disk/DiskNode.ts"
import { layer, make } from "../../../src/layers/disk/DiskSimulated.ts"
import { make as makeTracing } from "../../../src/layers/disk/DiskTracing.ts"
import { FaultyDisk } from "../../../src/layers/disk/FaultyDisk.ts"
import { attemptIo } from "../../../src/layers/disk/fromSyncDisk.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedCrash, SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { DiskTracer } from "../../../src/layers/disk/TracingDisk.ts"
import { Disk } from "../../../src/services/Disk.ts"

const ones = (length: number): Uint8Array => new Uint8Array(length).fill(1)

describe("DiskSimulated", () => {
  it.effect("syncs only what came before the beginning of the sync, and only at its end", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const worst = () => disk.crashState(seededPrng(1), { mode: "worst" }).files()
      const service = make(disk)
      const handle = yield* service.open("/a", "create")
      const names = yield* Effect.forkChild(service.syncDirectory("/"), { startImmediately: true })
      yield* service.open("/b", "create")
      expect([...worst().keys()]).toEqual([])
      yield* Fiber.join(names)
      expect([...worst().keys()]).toEqual(["a"])

      handle.writev([ones(2)], 0)
      const sync = yield* Effect.forkChild(service.datasync(handle), { startImmediately: true })
      handle.writev([ones(2)], 2)
      expect(worst().get("a")).toEqual(ones(0))
      yield* Fiber.join(sync)
      expect(worst().get("a")).toEqual(ones(2))
    })
  )

  it.effect("fails with the crash that comes while it syncs", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const service = make(disk)
      const handle = yield* service.open("/a", "create")
      const sync = yield* Effect.forkChild(service.datasync(handle), { startImmediately: true })
      disk.crash(seededPrng(1))
      expect(yield* Effect.flip(Fiber.join(sync))).toBeInstanceOf(SimulatedCrash)
      expect((yield* Effect.flip(service.stat("/a"))).code).toBe("ECRASHED")
    })
  )

  it.effect("locks one disk once, and is free after a crash", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const lock = make(disk).lock("/db")
      expect(() => make(disk).lock("/db")).toThrow("locked")
      make(disk.crash(seededPrng(1)))
        .lock("/db")
        .release()
      expect(lock.stillHeld()).toBe(true)
    })
  )
})

describe("layers", () => {
  it.effect("say what kind of disk they are", () =>
    Effect.gen(function* () {
      const describeDisk = Effect.map(Disk, ({ kind, durable, sharedWithWorkers }) => ({ kind, durable, sharedWithWorkers }))
      expect(yield* Effect.provide(describeDisk, nodeLayer)).toEqual({ kind: "node", durable: true, sharedWithWorkers: true })
      expect(yield* Effect.provide(describeDisk, memoryLayer)).toEqual({ kind: "memory", durable: false, sharedWithWorkers: false })
      expect(yield* Effect.provide(describeDisk, layer(new SimulatedDisk()))).toEqual({ kind: "simulated", durable: true, sharedWithWorkers: false })
    })
  )

  it.effect("of memory are fresh, or over the disk they are given", () =>
    Effect.gen(function* () {
      const create = Effect.flatMap(Disk, (disk) => disk.open("/a", "create"))
      yield* Effect.provide(create, memoryLayer, { local: true })
      yield* Effect.provide(create, memoryLayer, { local: true })
      const disk = new MemoryDisk()
      yield* Effect.provide(create, layerOf(disk))
      expect(disk.list("/")).toEqual(["a"])
      expect((yield* Effect.flip(Effect.provide(create, layerOf(disk), { local: true }))).code).toBe("EEXIST")
    })
  )

  it.effect("die of a handle that another disk opened: a mistake of the program, not of the disk", () =>
    Effect.gen(function* () {
      const handle = new MemoryDisk().open("/a", "create")
      const memory = makeMemory(new MemoryDisk())
      const others = [
        make(new SimulatedDisk()),
        makeFaulty(memory, new FaultyDisk(memory.sync)),
        makeTracing(memory, new DiskTracer()),
        yield* Effect.provide(Disk, nodeLayer)
      ]
      for (const disk of others) {
        const exit = yield* Effect.exit(disk.datasync(handle))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain("was opened by another disk")
      }
    })
  )

  it.effect("die of what is not an IoFailure", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        attemptIo(() => {
          throw new Error("a bug")
        })
      )
      expect(Exit.hasDies(exit)).toBe(true)
    })
  )
})
