import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Database } from "../../src/services/Database.ts"

/** The layer's database, until the scope closes; a new one each time. */
export const openLayer = <E, R>(layer: Layer.Layer<Database, E, R>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Database))

/** Where files of tests lie that sync thousands of times and do not test the device: in memory where the system has such a place. */
export const quickRoot = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir()

/** An empty directory, removed with all it holds when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(quickRoot, "lightning-test-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)
