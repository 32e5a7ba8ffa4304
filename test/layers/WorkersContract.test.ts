import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskNode from "../../src/layers/disk/DiskNode.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as WorkersThreads from "../../src/layers/WorkersThreads.ts"
import { workerEntryUrl } from "../../src/runtime/worker/workerEntryUrl.ts"
import { Disk } from "../../src/services/Disk.ts"
import { Workers } from "../../src/services/Workers.ts"
import { type WorkersFixture, workersContract } from "../contracts/Workers.contract.ts"

const fixtureOf = async (layer: Layer.Layer<Workers, never, Disk>, disk: Layer.Layer<Disk>, root: string | undefined): Promise<WorkersFixture> => {
  const directory = root ?? mkdtempSync(join(tmpdir(), "lightning-workers-"))
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(Layer.provideMerge(layer, disk), scope))
  const { sync } = Context.get(context, Disk)
  sync.makeDirectory(directory)
  return {
    workers: Context.get(context, Workers),
    disk: sync,
    root: directory,
    dispose: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      if (root === undefined) rmSync(directory, { recursive: true })
    }
  }
}

workersContract("in process, over memory", () => fixtureOf(WorkersInProcess.layer, DiskMemory.layer, "db"))
workersContract("in process, over the file system", () => fixtureOf(WorkersInProcess.layer, DiskNode.layer, undefined))
workersContract("one thread", () => fixtureOf(WorkersThreads.layer({ entry: workerEntryUrl, count: 1 }), DiskNode.layer, undefined))
workersContract("two threads", () => fixtureOf(WorkersThreads.layer({ entry: workerEntryUrl, count: 2 }), DiskNode.layer, undefined))
workersContract("threads that cannot see the disk", () =>
  fixtureOf(WorkersThreads.layer({ entry: workerEntryUrl, count: 2 }), DiskMemory.layer, "db")
)
