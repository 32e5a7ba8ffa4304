/** Writes as fast as it may for a while, with everything small: flushes, compactions, rotations and manifest edits follow one another. Run by readOnly.test.ts. */
import * as Effect from "effect/Effect"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const [path = "", milliseconds = "0"] = process.argv.slice(2)
const until = performance.now() + Number(milliseconds)

const program = Effect.gen(function* () {
  const db = yield* Database
  const other = yield* db.keyspace("other")
  yield* db.put("counter", "0")
  console.log("ready")
  for (let i = 1; performance.now() < until; i++) {
    yield* db.write([
      { type: "put", key: "counter", value: String(i) },
      { type: "put", key: `k${(i * 7919) % 3000}`, value: "v".repeat(i % 1300) },
      { type: "put", key: "mirror", value: String(i), keyspace: other.name }
    ])
    if (i % 50 === 0) yield* Effect.sleep(1)
    if (i % 1000 === 0) yield* db.write([{ type: "deleteRange", gte: "k1", lt: "k12" }])
  }
  const { compactions, flushes } = yield* db.stats
  console.log(JSON.stringify({ flushes: flushes.count, compactions: compactions.count }))
})

await Effect.runPromise(
  Effect.provide(
    program,
    layer({ path, durability: "buffered", memtableBytes: 65_536, walSegmentBytes: 65_536, tableBytes: 65_536, levelBytesBase: 262_144 })
  )
)
