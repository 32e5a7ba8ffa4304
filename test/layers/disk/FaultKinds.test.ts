/** Each kind of fault strikes as it says, in the synchronous calls and in the effects alike. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { describe, expect, it } from "vitest"
import type { FileHandle } from "../../../src/domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../../src/domain/failures.ts"
import * as DiskFaulty from "../../../src/layers/disk/DiskFaulty.ts"
import { make as makeSimulated } from "../../../src/layers/disk/DiskSimulated.ts"
import type { Fault, FaultRule, Strike } from "../../../src/layers/disk/FaultRule.ts"
import { FaultyDisk } from "../../../src/layers/disk/FaultyDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { Disk } from "../../../src/services/Disk.ts"

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.of(...values)
const counting = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)

/** The same calls, as the engine's synchronous code and as its fibers make them. */
interface Calls {
  readonly read: (handle: FileHandle, into: Uint8Array, position: number) => Promise<number>
  readonly writev: (handle: FileHandle, buffers: ReadonlyArray<Uint8Array>, position: number) => Promise<void>
  readonly rename: (from: string, to: string) => Promise<void>
}

const run = <A>(effect: Effect.Effect<A, IoFailure>): Promise<A> => Effect.runPromise(effect)

const both: ReadonlyArray<readonly [string, (disk: Disk["Service"]) => Calls]> = [
  [
    "synchronously",
    (disk) => ({
      read: async (handle, into, position) => handle.readAt(into, position),
      writev: async (handle, buffers, position) => handle.writev(buffers, position),
      rename: async (from, to) => disk.sync.rename(from, to)
    })
  ],
  [
    "as an effect",
    (disk) => ({
      read: (handle, into, position) => run(disk.read(handle, into, position)),
      writev: (handle, buffers, position) => run(disk.writev(handle, buffers, position)),
      rename: (from, to) => run(disk.rename(from, to))
    })
  ]
]

for (const [how, callsOf] of both) {
  describe(`faults ${how}`, () => {
    const prepare = async (...faults: ReadonlyArray<Fault>) => {
      const inner = makeSimulated(new SimulatedDisk())
      const strikes: Array<Strike> = []
      const faulty = new FaultyDisk(inner.sync, [], (strike) => strikes.push(strike))
      const disk = DiskFaulty.make(inner, faulty)
      const calls = callsOf(disk)
      const a = faulty.open("/a", "create")
      const b = faulty.open("/b", "create")
      a.writev([counting(16)], 0)
      b.writev([counting(16, 100)], 0)
      for (const fault of faults) faulty.add({ match: { path: /a$/ }, nth: 1, fault })
      const content = (handle: FileHandle): Uint8Array => {
        const file = inner.sync.open(handle.path, "read")
        const into = new Uint8Array(64)
        return into.subarray(0, file.readAt(into, 0))
      }
      const read = async (handle: FileHandle, length: number, position: number): Promise<Uint8Array> => {
        const into = new Uint8Array(length).fill(0xee)
        return into.subarray(0, await calls.read(handle, into, position))
      }
      return { a, b, calls, content, faulty, read, strikes }
    }

    it("a short write says it was whole", async () => {
      const { a, calls, content, strikes } = await prepare({ shortWrite: 3 })
      await calls.writev(a, [bytes(90, 91), bytes(92, 93)], 16)
      expect(content(a)).toEqual(Uint8Array.of(...counting(16), 90, 91, 92))
      expect(strikes.map(({ call }) => call)).toEqual([{ operation: "writev", path: "/a", position: 16, bytes: 4 }])
    })

    it("a bit is flipped on its way to the disk, and the caller's bytes are left alone", async () => {
      const { a, calls, content } = await prepare({ bitFlipOnWrite: { offset: 18, bit: 7 } })
      const mine = [bytes(1, 2), bytes(3, 4)]
      // A write that does not cover the byte is no match.
      await calls.writev(a, [bytes(0)], 0)
      await calls.writev(a, mine, 16)
      expect(content(a).subarray(16)).toEqual(bytes(1, 2, 0x83, 4))
      expect(mine).toEqual([bytes(1, 2), bytes(3, 4)])
    })

    it("a bit is drawn anew for each strike", async () => {
      const { a, faulty, read } = await prepare()
      faulty.add({ match: { path: /a$/ }, times: 20, fault: { bitFlip: { draw: seededPrng(4) } } })
      const seen = new Set<string>()
      for (let i = 0; i < 20; i++) {
        const found = await read(a, 16, 0)
        const differing = [...found].flatMap((byte, at) => (byte === at ? [] : [at]))
        expect(differing).toHaveLength(1)
        seen.add(`${differing[0]} ${found[differing[0]!]}`)
      }
      expect(seen.size).toBeGreaterThan(10)
      expect(await read(a, 16, 0)).toEqual(counting(16))
    })

    it("a write lands elsewhere in the file", async () => {
      const { a, calls, content } = await prepare({ misdirected: { byBytes: -4 } })
      await calls.writev(a, [bytes(90, 91)], 6)
      expect(content(a)).toEqual(Uint8Array.of(0, 1, 90, 91, ...counting(12, 4)))
    })

    it("a write lands in another file, or, where there is none, nowhere", async () => {
      const { a, b, calls, content, faulty } = await prepare({ misdirected: { path: "/b", byBytes: 1 } })
      await calls.writev(a, [bytes(90, 91)], 6)
      expect(content(a)).toEqual(counting(16))
      expect(content(b).subarray(6, 10)).toEqual(bytes(106, 90, 91, 109))
      faulty.add({ match: { operation: "writev" }, nth: 1, fault: { misdirected: { path: (path) => `${path}.none` } } })
      await calls.writev(a, [bytes(90, 91)], 6)
      expect(content(a)).toEqual(counting(16))
    })

    it("a read comes from elsewhere in the file, or from another", async () => {
      const { a, content, faulty, read } = await prepare({ misdirected: { byBytes: 3 } })
      expect(await read(a, 4, 2)).toEqual(counting(4, 5))
      faulty.add({ match: { path: /a$/, operation: "readAt" }, nth: 1, fault: { misdirected: { path: "/b" } } })
      expect(await read(a, 4, 2)).toEqual(counting(4, 102))
      // Past the end of the other place it is short.
      faulty.add({ match: { path: /a$/, operation: "readAt" }, nth: 1, fault: { misdirected: { byBytes: 12 } } })
      expect(await read(a, 4, 2)).toEqual(bytes(14, 15))
      expect(await read(a, 4, 2)).toEqual(counting(4, 2))
      expect(content(a)).toEqual(counting(16))
    })

    it("a stale read returns what was there before the last write to any of the bytes", async () => {
      const { a, calls, faulty, read } = await prepare()
      faulty.add({ match: { path: /a$/ }, nth: 3, times: 9, fault: { staleRead: true } })
      await calls.writev(a, [bytes(50, 51)], 4)
      await calls.writev(a, [bytes(60), bytes(61)], 5)
      await calls.writev(a, [bytes(70, 71)], 15)
      expect(await read(a, 4, 3)).toEqual(bytes(3, 50, 60, 61))
      expect(await read(a, 3, 15)).toEqual(bytes(70, 71))
      expect(await read(a, 4, 3)).toEqual(bytes(3, 50, 51, 6))
      // Of the older write only this byte is asked for.
      expect(await read(a, 1, 4)).toEqual(bytes(4))
      // The file is as long as it is; what was not there is zeros.
      expect(await read(a, 3, 15)).toEqual(bytes(15, 0))
      // What was written before the rule is not known.
      expect(await read(a, 2, 0)).toEqual(bytes(0, 1))
    })

    it("a stale read of a name returns the file that was replaced", async () => {
      const { calls, faulty, read } = await prepare()
      faulty.add({ match: { path: /a$/ }, nth: 2, fault: { staleRead: true } })
      await calls.rename("/b", "/a")
      const renamed = faulty.open("/a", "read")
      expect(await read(renamed, 4, 0)).toEqual(counting(4, 100))
      expect(await read(renamed, 4, 0)).toEqual(counting(4))
      faulty.remove("/a")
      const created = faulty.open("/a", "create")
      await calls.writev(created, [bytes(1)], 0)
      faulty.add({ match: { path: /a$/ }, nth: 1, fault: { staleRead: true } })
      expect(await read(created, 4, 0)).toEqual(bytes(0))
    })

    it("strikes by chance, the same with the same seed", async () => {
      const rates = await Promise.all(
        [7, 7, 8].map(async (seed) => {
          const { a, faulty } = await prepare()
          const rule: FaultRule = {
            match: { operation: "sizeBytes" },
            nth: 11,
            chance: { probability: 0.25, prng: seededPrng(seed) },
            fault: { code: "EIO" }
          }
          faulty.add(rule)
          const struck = Array.from({ length: 210 }, () => {
            try {
              a.sizeBytes()
              return "."
            } catch {
              return "x"
            }
          }).join("")
          expect(struck.slice(0, 10)).toBe("..........")
          expect(faulty.strikes(rule)).toBe(struck.split("x").length - 1)
          return struck
        })
      )
      expect(rates[0]).toBe(rates[1])
      expect(rates[0]).not.toBe(rates[2])
      const strikes = rates[0]!.split("x").length - 1
      expect(strikes).toBeGreaterThan(30)
      expect(strikes).toBeLessThan(70)
    })

    it("strikes by chance no more often than told", async () => {
      const { a, faulty } = await prepare()
      faulty.add({ match: { operation: "sizeBytes" }, times: 2, chance: { probability: 1, prng: seededPrng(1) }, fault: { code: "EIO" } })
      expect(() => a.sizeBytes()).toThrow("EIO")
      expect(() => a.sizeBytes()).toThrow("EIO")
      expect(a.sizeBytes()).toBe(16)
    })
  })
}

describe("faults of single calls", () => {
  const prepare = (rules: ReadonlyArray<FaultRule>) => {
    const inner = makeSimulated(new SimulatedDisk())
    inner.sync.open("/a", "create").writev([counting(4)], 0)
    const faulty = new FaultyDisk(inner.sync, rules)
    return { inner, faulty, disk: DiskFaulty.make(inner, faulty) }
  }

  it("the lock fails only where it is named", () => {
    const { disk, faulty } = prepare([{ match: {}, fault: { code: "EIO" } }])
    disk.lock("/db").release()
    faulty.add({ match: { operation: "lock" }, fault: { code: "EACCES" } })
    expect(() => disk.lock("/db")).toThrow("EACCES")
  })

  it("a read that does not block can be told from one that does", async () => {
    const { disk, faulty } = prepare([{ match: { operation: "read" }, fault: { code: "EIO" } }])
    const handle = faulty.open("/a", "read")
    expect(handle.readAt(counting(4), 0)).toBe(4)
    const failure = await run(Effect.flip(disk.read(handle, counting(4), 0)) as Effect.Effect<IoFailure>)
    expect([failure.operation, failure.code]).toEqual(["read", "EIO"])
  })

  it("a delay holds back the call or its answer on the clock, and other faults strike all the same", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const slow: FaultRule = { match: { operation: "writev" }, nth: 1, fault: { delayMs: 100 } }
        const answer: FaultRule = { match: { operation: "writev" }, nth: 1, fault: { delayMs: 50, answer: "late" } }
        const { disk, faulty, inner } = prepare([slow, answer])
        const size = () => inner.sync.stat("/a")?.sizeBytes
        const handle = yield* disk.open("/a", "write")
        const first = yield* Effect.forkChild(disk.writev(handle, [counting(8)], 0), { startImmediately: true })
        const interruption = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
        yield* TestClock.adjust(99)
        expect(size()).toBe(4)
        yield* TestClock.adjust(1)
        expect(size()).toBe(8)
        // As any write that was begun, it is not withdrawn.
        expect(interruption.pollUnsafe()).toBe(undefined)
        yield* TestClock.adjust(50)
        expect(interruption.pollUnsafe()).not.toBe(undefined)
        expect([faulty.strikes(slow), faulty.strikes(answer)]).toEqual([1, 1])

        faulty.add({ match: {}, fault: { delayMs: 10 } })
        faulty.add({ match: {}, fault: { code: "ENOSPC" } })
        for (const call of [disk.stat("/a"), disk.list("/"), disk.makeDirectory("/d"), disk.rename("/a", "/b"), disk.link("/a", "/b")]) {
          const failing = yield* Effect.forkChild(Effect.flip(call as Effect.Effect<unknown, IoFailure>), { startImmediately: true })
          yield* TestClock.adjust(9)
          expect(failing.pollUnsafe()).toBe(undefined)
          yield* TestClock.adjust(1)
          expect((yield* Fiber.join(failing)).code).toBe("ENOSPC")
        }
        // Calls that cannot wait count a delay, and are not held back.
        expect(() => handle.sizeBytes()).toThrow("ENOSPC")
      }).pipe(Effect.provide(TestClock.layer()), Effect.scoped)
    ))
})
