/** Writes numbered transactions, with everything small, so that flushes, compactions and rotations follow one another; and prints the last sequence. Run by readOnlyFeed.test.ts. */
import * as Effect from "effect/Effect"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const [path = "", first = "0", count = "0", end = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const db = yield* Database
  console.log("ready")
  for (let i = Number(first); i < Number(first) + Number(count); i++) {
    yield* db.write([
      { type: "put", key: "counter", value: String(i) },
      { type: "put", key: `k${(i * 7919) % 300}`, value: "v".repeat(i % 1300) }
    ])
    if (i % 50 === 0) yield* Effect.sleep(1)
  }
  // Dies as it stands: nothing is closed.
  if (end === "die") process.kill(process.pid, "SIGKILL")
})

await Effect.runPromise(
  Effect.provide(
    program,
    layer({
      path,
      durability: "buffered",
      memtableBytes: 65_536,
      walSegmentBytes: 65_536,
      tableBytes: 65_536,
      levelBytesBase: 262_144,
      retention: { log: "1 hour" }
    })
  )
)
