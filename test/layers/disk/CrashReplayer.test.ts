import { describe, expect, it } from "vitest"
import { CrashReplayer, crashStateAt } from "../../../src/layers/disk/CrashReplayer.ts"
import { drawInt, seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { createDurable, filled, read, withDirectory } from "../../support/simulatedFiles.ts"

/** A run with some of everything. */
const busyRun = (disk: SimulatedDisk, seed: number, onStep: () => void = () => {}): void => {
  const prng = seededPrng(seed)
  disk.makeDirectory("/db")
  disk.syncDirectory("/")
  for (let step = 0; step < 200; step++) {
    const path = `/db/${drawInt(prng, 4)}`
    const other = `/db/${drawInt(prng, 4)}`
    const exists = disk.stat(path) !== undefined
    const action = drawInt(prng, 10)
    if (!exists) {
      disk.open(path, "create").close()
    } else if (action < 4) {
      const handle = disk.open(path, "write")
      handle.writev([filled(1 + drawInt(prng, 6000), step)], drawInt(prng, 9000))
      if (prng() < 0.5) handle.datasync()
    } else if (action === 4) {
      disk.open(path, "write").truncate(drawInt(prng, 5000))
    } else if (action === 5) {
      disk.remove(path)
    } else if (action === 6) {
      disk.rename(path, other)
    } else if (action === 7 && disk.stat(other) === undefined) {
      disk.link(path, other)
    } else {
      disk.syncDirectory("/db")
    }
    onStep()
  }
}

describe("CrashReplayer", () => {
  it("draws the same states from a recorded run as the running disk did, and the same again for the same seed", () => {
    for (let seed = 0; seed < 10; seed++) {
      const disk = new SimulatedDisk({ record: true })
      const live: Array<readonly [number, string]> = []
      busyRun(disk, seed, () => live.push([disk.trace!.events.length, disk.crashState(seededPrng(seed + live.length)).hash()]))
      const replayer = new CrashReplayer(disk.trace!)
      live.forEach(([events, hash], i) => {
        replayer.advanceTo(events)
        expect(replayer.position).toBe(events)
        const found = replayer.crash(seededPrng(seed + i))
        expect(found.hash(), `seed ${seed}, event ${events}`).toBe(hash)
        // What the found disk does to its files stays with it.
        for (const path of found.files().keys()) if (!path.endsWith("/")) found.open(path, "write").writev([filled(5000, 255)], 0)
        expect(replayer.crash(seededPrng(seed + i)).hash(), `seed ${seed}, event ${events}, again`).toBe(hash)
      })
      expect(crashStateAt(disk.trace!, disk.trace!.events.length, seededPrng(1), { mode: "all" }).files()).toEqual(
        disk.crashState(seededPrng(1), { mode: "all" }).files()
      )
    }
  })

  it("begins from what was durable or pending when the recording began", () => {
    const first = withDirectory()
    createDurable(first, "/db/a", filled(4, 1))
    const disk = first.crash(seededPrng(1), { mode: "worst", next: { record: true } })
    disk.open("/db/a", "write").writev([filled(1, 2)], 0)
    expect(read(crashStateAt(disk.trace!, 0, seededPrng(1), { mode: "all" }), "/db/a")).toEqual(filled(4, 1))
    expect(read(crashStateAt(disk.trace!, 1, seededPrng(1), { mode: "all" }), "/db/a")).toEqual(Uint8Array.of(2, 1, 1, 1))
    // Backwards, too, though that starts over.
    expect(read(crashStateAt(disk.trace!, 0, seededPrng(1), { mode: "all" }), "/db/a")).toEqual(filled(4, 1))
  })

  it("refuses to go back or past the end", () => {
    const disk = new SimulatedDisk({ record: true })
    disk.open("/a", "create")
    const replayer = new CrashReplayer(disk.trace!)
    replayer.advanceTo(1)
    expect(() => replayer.advanceTo(0)).toThrow(RangeError)
    expect(() => replayer.advanceTo(2)).toThrow(RangeError)
  })

  it("gives new files inodes that no file of the run had", () => {
    const disk = new SimulatedDisk({ record: true })
    busyRun(disk, 3)
    const taken = new Set(disk.list("/db").map((name) => disk.stat(`/db/${name}`)?.inode))
    const found = crashStateAt(disk.trace!, disk.trace!.events.length, seededPrng(1))
    found.open("/fresh", "create")
    expect(taken).not.toContain(found.stat("/fresh")?.inode)
  })

  it("finds many different states", () => {
    const disk = new SimulatedDisk({ record: true })
    busyRun(disk, 5)
    const hashes = new Set<string>()
    for (let n = 0; n <= disk.trace!.events.length; n++) hashes.add(crashStateAt(disk.trace!, n, seededPrng(n)).hash())
    expect(hashes.size).toBeGreaterThan(disk.trace!.events.length / 4)
  })
})

describe("hash", () => {
  it("tells names, lengths and bytes apart", () => {
    const hashes = ["a", "b"].flatMap((name) =>
      [filled(0, 0), filled(1, 0), filled(2, 0), filled(2, 1)].map((content) => {
        const disk = new SimulatedDisk()
        disk.open(`/${name}`, "create").writev([content], 0)
        return disk.hash()
      })
    )
    expect(new Set(hashes).size).toBe(8)
  })
})
