/**
 * One writer after the other, each acknowledgement marked by a system call of its own, for whoever watches the system calls.
 *
 *     node strace-child.ts <database> <marks>
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { openSync, writeSync } from "node:fs"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const [path, marksPath] = process.argv.slice(2)
if (path === undefined || marksPath === undefined) throw new Error("usage: strace-child.ts <database> <marks>")
const marks = openSync(marksPath, "a")

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const db = Context.get(yield* Layer.build(layer({ path, walSegmentBytes: 65_536, memtableBytes: 65_536, compactionWorkers: 0 })), Database)
      for (let i = 0; i < 60; i++) {
        const { durability } = yield* db.put(`key${i}`, new Uint8Array(2000).fill(i), { durability: i % 4 === 3 ? "buffered" : "sync" })
        writeSync(marks, `ack ${i} ${durability}\n`)
      }
    })
  )
)
