/** The change feed: what is logged already, and what is being written. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Change } from "../../../src/services/Changes.ts"
import type { Case, Run } from "../Case.ts"
import { type Inputs, keyBytes } from "../Inputs.ts"
import { expectEqual, putByFibers, validateEntries } from "../steps.ts"

const common = { durability: "buffered", keys: "sequential", valueBytes: 100 } as const

/** Every change is one put, of an entry that was not seen before: writers that had to wait come in another order. Answers with its index. */
const checkPut = (change: Change, inputs: Inputs, seen: Uint8Array): number => {
  const [operation] = change.operations
  expectEqual(`operations of change ${change.sequence}`, change.operations.length, 1)
  if (operation?.type !== "put") throw new Error(`change ${change.sequence} is no put`)
  const { key, value } = operation
  const index = new DataView(key.buffer, key.byteOffset).getUint32(keyBytes - 4)
  expectEqual(`how often entry ${index} was seen before`, seen[index], 0)
  seen[index] = 1
  if (Buffer.compare(key, inputs.key(index)) !== 0 || Buffer.compare(value, inputs.value(index)) !== 0)
    throw new Error(`change ${change.sequence} is not what was written`)
  return index
}

/** The first `operations` of the log. */
const history = ({ db, operations }: Run) => db.changes({ from: 1, live: false }).pipe(Stream.take(operations))

const writesPerMs = 50
const liveMax = 200_000

export const feeds: ReadonlyArray<Case> = [
  {
    ...common,
    name: "feedhistory",
    about: "operations read from the change feed, one to a transaction, over a log that is there",
    start: "loaded",
    load: (db, inputs) => Effect.asVoid(putByFibers(db, inputs, inputs.entries, 256)),
    writes: false,
    options: { retention: { log: "unlimited" } },
    operations: (entries) => entries,
    run: (run) => {
      let operations = 0
      return Effect.map(
        Stream.runForEachArray(history(run), (changes) =>
          Effect.sync(() => {
            for (const change of changes) operations += change.operations.length
          })
        ),
        () => operations
      )
    },
    validate: (run, counted) =>
      Effect.gen(function* () {
        expectEqual("operations of the feed", counted, run.operations)
        const seen = new Uint8Array(run.inputs.entries)
        yield* Stream.runForEachArray(history(run), (changes) =>
          Effect.sync(() => {
            for (const change of changes) checkPut(change, run.inputs, seen)
          })
        )
        expectEqual(
          "entries in the feed",
          seen.reduce((sum, one) => sum + one, 0),
          run.operations
        )
      })
  },
  {
    ...common,
    name: "feedlive",
    about: `puts at ${writesPerMs},000 a second; the times are those from a put to its arrival from the change feed`,
    start: "empty",
    writes: true,
    operations: (entries) => Math.min(entries, liveMax),
    run: ({ db, inputs, latency, operations }) =>
      Effect.gen(function* () {
        const writtenMs = new Float64Array(operations)
        const seen = new Uint8Array(operations)
        let received = 0
        const reader = yield* db.changes().pipe(
          Stream.take(operations),
          Stream.runForEachArray((changes) =>
            Effect.sync(() => {
              for (const change of changes) latency.since(writtenMs[checkPut(change, inputs, seen)]!)
              received += changes.length
            })
          ),
          Effect.forkChild({ startImmediately: true })
        )
        const startedMs = performance.now()
        for (let written = 0; written < operations;) {
          const due = Math.min(operations, Math.floor((performance.now() - startedMs) * writesPerMs))
          const puts = Array.from({ length: due - written }, (_, i) => {
            const index = written + i
            return Effect.suspend(() => {
              writtenMs[index] = performance.now()
              return db.put(inputs.key(index), inputs.value(index))
            })
          })
          written = due
          yield* Effect.all(puts, { concurrency: "unbounded", discard: true })
          yield* Effect.sleep(1)
        }
        yield* Fiber.join(reader)
        return received
      }),
    validate: (run, counted) => {
      expectEqual("changes received", counted, run.operations)
      return validateEntries(run, (_, index) => (index < run.operations ? 0 : undefined))
    }
  }
]
