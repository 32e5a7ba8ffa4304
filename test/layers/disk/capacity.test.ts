/** Disks of limited size: what fits is written, the rest is refused as a full disk refuses it, and what is removed is given back. */
import { tmpdir } from "node:os"
import { describe, expect, it } from "vitest"
import type { SyncDisk } from "../../../src/domain/disk/SyncDisk.ts"
import { FaultyDisk } from "../../../src/layers/disk/FaultyDisk.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { nodeDisk } from "../../../src/layers/disk/nodeDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { TracingDisk } from "../../../src/layers/disk/TracingDisk.ts"

const ones = (length: number): Uint8Array => new Uint8Array(length).fill(1)
const codeOf = (run: () => unknown): string => {
  try {
    run()
    return "done"
  } catch (cause) {
    return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)
  }
}

for (const [name, make] of [
  ["memory", (capacityBytes?: number) => new MemoryDisk({ capacityBytes })],
  ["simulated", (capacityBytes?: number) => new SimulatedDisk({ capacityBytes })]
] as const) {
  describe(`a ${name} disk of limited size`, () => {
    it("writes what fits, and fails with ENOSPC", () => {
      const disk = make(100)
      expect(disk.freeBytes()).toBe(100)
      const file = disk.open("/a", "create")
      file.writev([ones(60)], 0)
      expect(disk.freeBytes()).toBe(40)
      expect(codeOf(() => file.writev([ones(30), ones(30)], 60))).toBe("ENOSPC")
      expect(file.sizeBytes()).toBe(100)
      expect(disk.freeBytes()).toBe(0)
      // In place there is room; and neither for a name nor behind a hole there is any.
      file.writev([ones(100)], 0)
      expect(codeOf(() => disk.open("/b", "create"))).toBe("ENOSPC")
      expect(codeOf(() => file.writev([ones(1)], 200))).toBe("ENOSPC")
      expect(file.sizeBytes()).toBe(100)
    })

    it("gives back what is cut and removed, counts a file of two names once, and may grow", () => {
      const disk = make(100)
      const file = disk.open("/a", "create")
      file.writev([ones(100)], 0)
      disk.link("/a", "/b")
      disk.remove("/a")
      expect(disk.freeBytes()).toBe(0)
      file.truncate(70)
      expect(disk.freeBytes()).toBe(30)
      disk.remove("/b")
      expect(disk.freeBytes()).toBe(100)
      disk.capacityBytes = 50
      const other = disk.open("/c", "create")
      expect(codeOf(() => other.writev([ones(60)], 0))).toBe("ENOSPC")
      disk.capacityBytes = 60
      expect(codeOf(() => other.writev([ones(60)], 0))).toBe("done")
      disk.capacityBytes = undefined
      expect(disk.freeBytes()).toBeUndefined()
      expect(codeOf(() => other.writev([ones(1000)], 0))).toBe("done")
    })
  })
}

describe("room that is left", () => {
  it("is told through the disks over another one, and by the system", () => {
    const inner: SyncDisk = new SimulatedDisk({ capacityBytes: 10 })
    expect(new FaultyDisk(inner).freeBytes?.("/")).toBe(10)
    expect(new TracingDisk(inner).freeBytes("/")).toBe(10)
    expect(nodeDisk.freeBytes?.(tmpdir())).toBeGreaterThan(0)
    expect(nodeDisk.freeBytes?.("/there/is/no/such/directory")).toBeUndefined()
  })

  it("a write that did not fit is one that a crash may leave in part", () => {
    const disk = new SimulatedDisk({ capacityBytes: 5000 })
    const file = disk.open("/a", "create")
    expect(codeOf(() => file.writev([ones(9000)], 0))).toBe("ENOSPC")
    disk.syncDirectory("/")
    const lengths = new Set(Array.from({ length: 40 }, (_, seed) => disk.crashState(seededPrng(seed)).files().get("a")?.length))
    expect(lengths.has(0) && lengths.has(5000)).toBe(true)
    expect(Math.max(...[...lengths].map(Number))).toBe(5000)
  })
})
