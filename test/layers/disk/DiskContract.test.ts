import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { make as makeFaulty } from "../../../src/layers/disk/DiskFaulty.ts"
import { make as makeMemory } from "../../../src/layers/disk/DiskMemory.ts"
import { make as makeNode } from "../../../src/layers/disk/DiskNode.ts"
import { make as makeSimulated } from "../../../src/layers/disk/DiskSimulated.ts"
import { make as makeTracing } from "../../../src/layers/disk/DiskTracing.ts"
import { FaultyDisk } from "../../../src/layers/disk/FaultyDisk.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { DiskTracer } from "../../../src/layers/disk/TracingDisk.ts"
import type { Disk } from "../../../src/services/Disk.ts"
import { diskContract, type DiskFixture } from "../../contracts/Disk.contract.ts"

const inMemory = (disk: Disk["Service"]): DiskFixture => {
  disk.sync.makeDirectory("/data/db")
  return { disk, root: "/data/db", dispose: () => {} }
}

const node = (): DiskFixture => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-disk-"))
  return { disk: makeNode(fs, process.platform), root, dispose: () => fs.rmSync(root, { recursive: true }) }
}

const over = (fixture: DiskFixture, wrap: (inner: Disk["Service"]) => Disk["Service"]): DiskFixture => ({ ...fixture, disk: wrap(fixture.disk) })
const faulty = (inner: Disk["Service"]) => makeFaulty(inner, new FaultyDisk(inner.sync))
const tracing = (inner: Disk["Service"]) => makeTracing(inner, new DiskTracer())

diskContract("node", node)
diskContract("memory", () => inMemory(makeMemory(new MemoryDisk())))
diskContract("simulated", () => inMemory(makeSimulated(new SimulatedDisk({ record: true }))))
diskContract("faulty without rules, over node", () => over(node(), faulty))
diskContract("faulty without rules, over simulated", () => over(inMemory(makeSimulated(new SimulatedDisk())), faulty))
diskContract("tracing, over node", () => over(node(), tracing))
diskContract("tracing, over faulty, over memory", () => over(over(inMemory(makeMemory(new MemoryDisk())), faulty), tracing))
