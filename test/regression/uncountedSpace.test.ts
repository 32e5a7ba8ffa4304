/** How much room there is, where the system says nothing about it. */
import * as fs from "node:fs"
import { expect, it } from "vitest"
import { makeNodeDisk } from "../../src/layers/disk/nodeDisk.ts"

it("a file system that does not count its blocks (of user space, or behind a network) is not taken for a full one", () => {
  const silent = makeNodeDisk({ ...fs, statfsSync: () => ({ bsize: 512, blocks: 0, bavail: 0 }) }, "linux")
  expect(silent.freeBytes?.("/")).toBeUndefined()
  const full = makeNodeDisk({ ...fs, statfsSync: () => ({ bsize: 512, blocks: 100, bavail: 0 }) }, "linux")
  expect(full.freeBytes?.("/")).toBe(0)
})
