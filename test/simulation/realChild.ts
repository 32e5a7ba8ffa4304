/** `realChild.ts DIRECTORY NOTES SEED NTH LIFE`: one life of a script on the real file system with worker threads, until it is killed. Writes to NOTES what it was told. */
import { openSync, writeSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"
import { scriptOf } from "./campaign.ts"
import { follow } from "./judging.ts"
import { NotedHistory, realOptions } from "./realNotes.ts"
import { type LifeContext, runFiber } from "./steps.ts"

const [directory, notes, seed, nth, life] = process.argv.slice(2)
const file = openSync(notes!, "a")
const script = scriptOf(Number(seed), Number(nth))
const history = new NotedHistory(file)
const expected = new Set(["TransactionConflict", "KeyspaceNotFound", "KeyspaceDropped", "LockDeadlock", "InvalidBatch", "PathExists"])

const program = Effect.gen(function* () {
  const db = yield* Database
  writeSync(file, "opened\n")
  process.stdout.write("opened\n")
  const context: LifeContext = {
    db,
    history,
    isAlive: () => true,
    note: () => undefined,
    judgeError: (tag, during, cause) => {
      if (!expected.has(tag)) history.violate(`${during} was answered with ${tag}, although nothing failed: ${String(cause)}`)
    },
    checkpointPath: (id) => `${directory}-copy-${id}`,
    onCheckpoint: () => undefined,
    keepsByCursor: false
  }
  yield* Effect.forkChild(follow(context))
  const { fibers } = script.lives[Number(life)]!
  yield* Effect.forEach(
    fibers,
    (steps, number) =>
      runFiber(context, `${life}.${number}`, steps, (what) => {
        if (what !== undefined) history.step(what.split(" ")[1]!)
      }),
    { concurrency: "unbounded" }
  )
  writeSync(file, "done\n")
  return yield* Effect.never
}).pipe(
  Effect.provide(Layer.fresh(LightningDb.layer({ ...realOptions, path: directory! }))),
  Effect.provideService(References.MinimumLogLevel, "None")
)

// The runtime alone does not keep a process alive that only waits.
setInterval(() => undefined, 1 << 30)
await Effect.runPromise(program)
