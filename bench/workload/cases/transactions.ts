/** Interactive transactions and atomic operations. What they count up is found again in the values: their first four bytes are a counter. */
import * as Effect from "effect/Effect"
import type { TransactionError, TransactionReadError, TransactionWriteError } from "../../../src/domain/errors.ts"
import type { Durability } from "../../../src/services/Database.ts"
import type { Transaction } from "../../../src/services/Transaction.ts"
import type { Case, CaseError, Run } from "../Case.ts"
import { keyBytes } from "../Inputs.ts"
import { countEntries, expectEqual, inSlices } from "../steps.ts"

const fibers = 256
const common = { durability: "buffered", keys: "random", valueBytes: 100, start: "loaded", writes: true } as const

type StepError = TransactionReadError | TransactionWriteError

const counterOf = (value: Uint8Array): number => new DataView(value.buffer, value.byteOffset).getUint32(0, true)

/** A copy of the value with its counter moved on by one. */
const counted = (value: Uint8Array | undefined): Uint8Array => {
  if (value === undefined) throw new Error("a key that was loaded is missing")
  const next = value.slice()
  new DataView(next.buffer).setUint32(0, counterOf(value) + 1, true)
  return next
}

const update = (tx: Transaction, key: Uint8Array): Effect.Effect<void, StepError> =>
  Effect.flatMap(tx.get(key), (value) => tx.put(key, counted(value)))

/** The same, with others coming in between the reading and the writing. */
const slowUpdate = (tx: Transaction, key: Uint8Array): Effect.Effect<void, StepError> =>
  Effect.flatMap(tx.get(key), (value) => Effect.andThen(Effect.yieldNow, tx.put(key, counted(value))))

/** `operations` of them, by fibers that each await one after the other; each is timed. */
const byFibers = (run: Run, count: number, once: () => Effect.Effect<unknown, CaseError>): Effect.Effect<number, CaseError> =>
  Effect.gen(function* () {
    let next = 0
    const worker = Effect.gen(function* () {
      while (next < run.operations) {
        next++
        const startedMs = performance.now()
        yield* once()
        run.latency.since(startedMs)
        // As a fiber of an application would, which waits for its next request: else one that need not wait for anything runs for a thousand others.
        yield* Effect.yieldNow
      }
    })
    yield* Effect.all(
      Array.from({ length: count }, () => worker),
      { concurrency: "unbounded", discard: true }
    )
    return next
  })

const updateOne = (run: Run, index: number, step = update): Effect.Effect<void, StepError | TransactionError> => {
  const key = run.inputs.key(index)
  return run.db.transaction((tx) => step(tx, key))
}

/** All counters together went up by `total`, and nothing else of any value has changed. */
const validateCounters = (run: Run, total: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, inputs } = run
    const key = new Uint8Array(keyBytes)
    let ups = 0
    yield* inSlices(inputs.entries, (from, to) => {
      for (let index = from; index < to; index++) {
        inputs.writeKey(index, key)
        const found = db.unsafe.get(key)
        const loaded = inputs.value(index)
        if (found === undefined || Buffer.compare(found.subarray(4), loaded.subarray(4)) !== 0)
          throw new Error(`entry ${index}: its value is not what was written`)
        ups += (counterOf(found) - counterOf(loaded)) >>> 0
      }
    })
    expectEqual("counted by transactions", ups, total)
    expectEqual("entries in a full scan", countEntries(db), inputs.entries)
  })

const updates = (name: string, about: string, durability: Durability, operationsMax: number): Case => ({
  ...common,
  name,
  about,
  durability,
  operations: (entries) => Math.min(entries, operationsMax),
  run: (run) => byFibers(run, fibers, () => updateOne(run, run.inputs.random())),
  validate: (run, done) => validateCounters(run, done)
})

const hotKeys = 10
const keysOfTen = 5

/** Updates while so many other transactions, each of which has read one key, stay open. */
const updatesBeside = (open: number): Case => ({
  ...common,
  name: `txnopen${open}`,
  about: `updates of one key by ${fibers} fibers while ${open} transactions stay open`,
  options: { maxTransactions: 100_000 },
  operations: (entries) => Math.min(entries, 200_000),
  run: (run) =>
    Effect.scoped(
      Effect.gen(function* () {
        for (let i = 0; i < open; i++) {
          const tx = yield* run.db.begin()
          yield* tx.get(run.inputs.key(run.inputs.permuted(i % run.inputs.entries)))
        }
        return yield* byFibers(run, fibers, () => updateOne(run, run.inputs.random()))
      })
    ),
  validate: (run, done) => validateCounters(run, done)
})

export const transactions: ReadonlyArray<Case> = [
  updates("txnupdate", `transactions by ${fibers} fibers, each reading and writing one of all keys`, "buffered", 500_000),
  updates("txnsync", `transactions by ${fibers} fibers, each reading and writing one of all keys and awaiting its sync`, "sync", 200_000),
  {
    ...common,
    name: "txnhot10",
    about: `transactions by ${fibers} fibers, each reading and writing one of ${hotKeys} keys; repeated when they meet`,
    operations: (entries) => Math.min(entries, 200_000),
    run: (run) => byFibers(run, fibers, () => updateOne(run, run.inputs.permuted(run.inputs.random(hotKeys)))),
    validate: (run, done) => validateCounters(run, done)
  },
  {
    ...common,
    name: "txnhotslow",
    about: `transactions by 32 fibers, each reading one of ${hotKeys} keys, giving way, and writing it; repeated when they meet`,
    operations: (entries) => Math.min(entries, 100_000),
    run: (run) => byFibers(run, 32, () => updateOne(run, run.inputs.permuted(run.inputs.random(hotKeys)), slowUpdate)),
    validate: (run, done) => validateCounters(run, done)
  },
  {
    ...common,
    name: "txnten",
    about: `transactions by ${fibers} fibers of ten operations: ${keysOfTen} keys read and written`,
    operations: (entries) => Math.min(entries, 100_000),
    run: (run) =>
      byFibers(run, fibers, () => {
        const { db, inputs } = run
        const first = inputs.random()
        const keys = Array.from({ length: keysOfTen }, (_, i) => inputs.key((first + i * 7919) % inputs.entries))
        return db.transaction((tx) => Effect.forEach(keys, (key) => update(tx, key), { discard: true }))
      }),
    validate: (run, done) => validateCounters(run, done * keysOfTen)
  },
  {
    ...common,
    name: "txnadd",
    about: `atomic additions to one key by ${fibers} fibers`,
    start: "empty",
    operations: (entries) => Math.min(entries, 500_000),
    run: (run) => byFibers(run, fibers, () => run.db.write([{ type: "add", key: "counter", value: 1 }])),
    validate: ({ db }, done) =>
      Effect.sync(() => {
        const value = db.unsafe.get("counter")
        if (value === undefined) throw new Error("the counter is missing")
        expectEqual("the counter", new DataView(value.buffer, value.byteOffset).getBigInt64(0, true), BigInt(done))
        expectEqual("entries in a full scan", countEntries(db), 1)
      })
  },
  ...[10, 100, 1000, 10_000].map(updatesBeside)
]
