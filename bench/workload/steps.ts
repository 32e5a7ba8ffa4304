/** What several cases do. */
import * as Effect from "effect/Effect"
import type { DatabaseShape, Durability, WriteOperation } from "../../src/services/Database.ts"
import type { CaseError, Run } from "./Case.ts"
import { type Inputs, keyBytes } from "./Inputs.ts"

const batchOperations = 1000
/** Operations between two turns of the event loop, in cases whose operations are synchronous. */
const sliceOperations = 10_000

export const expectEqual = (what: string, found: unknown, expected: unknown): void => {
  if (found !== expected) throw new Error(`${what}: found ${String(found)}, expected ${String(expected)}`)
}

/** Calls `step` for 0 … count − 1, letting the event loop turn now and then as an application would. */
export const inSlices = (count: number, step: (from: number, to: number) => void): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let from = 0; from < count; from += sliceOperations) {
      step(from, Math.min(from + sliceOperations, count))
      yield* Effect.yieldNow
    }
  })

/** Puts the entries `indexOf(0)`, `indexOf(1)`, … in batches, one after the other. The operations' objects are used again for each batch: the store copies them. */
export const putInBatches = (
  db: DatabaseShape,
  inputs: Inputs,
  count: number,
  indexOf: (i: number) => number,
  generation = 0,
  durability?: Durability
): Effect.Effect<void, CaseError> =>
  Effect.gen(function* () {
    const keys = Array.from({ length: batchOperations }, () => new Uint8Array(keyBytes))
    const operations: Array<{ type: "put"; key: Uint8Array; value: Uint8Array }> = keys.map((key) => ({ type: "put", key, value: key }))
    for (let from = 0; from < count; from += batchOperations) {
      const size = Math.min(batchOperations, count - from)
      for (let i = 0; i < size; i++) {
        const index = indexOf(from + i)
        inputs.writeKey(index, keys[i]!)
        operations[i]!.value = inputs.value(index, generation)
      }
      const batch: ReadonlyArray<WriteOperation> = size === batchOperations ? operations : operations.slice(0, size)
      yield* db.write(batch, { durability })
    }
  })

/** Puts the entries 0, 1, … one to a transaction, by fibers that each await one after the other. Answers with how many. */
export const putByFibers = (db: DatabaseShape, inputs: Inputs, count: number, fibers: number): Effect.Effect<number, CaseError> =>
  Effect.gen(function* () {
    let next = 0
    const writer = Effect.gen(function* () {
      const key = new Uint8Array(keyBytes)
      while (next < count) {
        const index = next++
        inputs.writeKey(index, key)
        yield* db.put(key, inputs.value(index))
      }
    })
    yield* Effect.all(
      Array.from({ length: fibers }, () => writer),
      { concurrency: "unbounded", discard: true }
    )
    return next
  })

/** Everything written so far is in tables and no compaction has anything left to do. */
export const idle = (db: DatabaseShape): Effect.Effect<void, CaseError> =>
  Effect.gen(function* () {
    yield* db.flush
    // Twice in a row: between two compactions there is a moment in which none runs.
    for (let quiet = 0; quiet < 2;) {
      yield* Effect.sleep(2)
      const stats = yield* db.stats
      quiet = stats.compactions.running === 0 && stats.memtables.frozen === 0 ? quiet + 1 : 0
    }
  })

/** How many entries a full scan shows. */
export const countEntries = (db: DatabaseShape): number => {
  let count = 0
  for (const _ of db.unsafe.entries()) count++
  return count
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Every entry holds the value of its generation (undefined: is not there), and there are no others. */
export const validateEntries = (run: Run, generationOf: (i: number, index: number) => number | undefined): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, inputs } = run
    const key = new Uint8Array(keyBytes)
    let present = 0
    yield* inSlices(inputs.entries, (from, to) => {
      for (let i = from; i < to; i++) {
        const index = inputs.permuted(i)
        inputs.writeKey(index, key)
        const value = db.unsafe.get(key)
        const generation = generationOf(i, index)
        if (generation === undefined) expectEqual(`entry ${index}`, value, undefined)
        else if (value === undefined || !sameBytes(value, inputs.value(index, generation)))
          throw new Error(`entry ${index}: its value is not what was written`)
        else present++
      }
    })
    expectEqual("entries in a full scan", countEntries(db), present)
  })
