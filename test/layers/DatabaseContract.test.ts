import { afterAll, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { databaseContract } from "../contracts/Database.contract.ts"
import type { DatabaseFixture } from "../contracts/database/fixture.ts"
import { snapshotsContract } from "../contracts/database/snapshots.ts"
import { openLayer, quickRoot, temporaryDirectory } from "../support/openLayer.ts"

databaseContract({
  name: "in memory",
  durabilityOf: () => "memory",
  open: (options) => openLayer(LightningDb.layerMemory(options)),
  checkpoints: undefined
})

const root = fs.mkdtempSync(path.join(quickRoot, "lightning-checkpoints-"))
let made = 0
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

const onDirectory = (name: string, compactionWorkers: number): DatabaseFixture => ({
  name,
  durabilityOf: (asked) => asked,
  open: (options) =>
    Effect.flatMap(temporaryDirectory, (directory) =>
      openLayer(LightningDb.layer({ compactionWorkers, ...options, path: path.join(directory, "db") }))
    ),
  checkpoints: {
    newPath: () => path.join(root, String(made++)),
    open: (at) => openLayer(LightningDb.layer({ path: at, memtableBytes: 65_536, compactionWorkers }))
  }
})

databaseContract(onDirectory("on a directory", 0))
// A thread takes its time to start: the part of the contract that has most of flush and compaction in it.
describe("Database: on a directory, with worker threads", () => {
  snapshotsContract(onDirectory("with worker threads", 1))
})
