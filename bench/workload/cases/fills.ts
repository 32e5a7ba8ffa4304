import * as Effect from "effect/Effect"
import type { Case, Run } from "../Case.ts"
import { keyBytes } from "../Inputs.ts"
import { putByFibers, putInBatches, validateEntries } from "../steps.ts"

const common = { durability: "buffered", keys: "random", valueBytes: 100, start: "empty", writes: true } as const
const everyEntry = (entries: number) => entries

/** One put after the other, each awaited. */
const putEach = ({ db, inputs, operations }: Run, indexOf: (i: number) => number, generation: number) =>
  Effect.gen(function* () {
    const key = new Uint8Array(keyBytes)
    for (let i = 0; i < operations; i++) {
      const index = indexOf(i)
      inputs.writeKey(index, key)
      yield* db.put(key, inputs.value(index, generation))
    }
    return operations
  })

const written = (run: Run) => validateEntries(run, (_, index) => (index < run.operations ? 0 : undefined))

const syncedPuts = (name: string, fibers: number, operationsMax: number): Case => ({
  ...common,
  name,
  about: `puts by ${fibers} fiber${fibers === 1 ? "" : "s"}, each awaiting its sync`,
  durability: "sync",
  operations: (entries) => Math.min(entries, operationsMax),
  run: ({ db, inputs, operations }) => putByFibers(db, inputs, operations, fibers),
  validate: written
})

export const fills: ReadonlyArray<Case> = [
  {
    ...common,
    name: "fillseq",
    about: "puts in key order, one at a time",
    keys: "sequential",
    operations: everyEntry,
    run: (run) => putEach(run, (i) => i, 0),
    validate: written
  },
  {
    ...common,
    name: "fillrandom",
    about: "puts in random order, one at a time",
    operations: everyEntry,
    run: (run) => putEach(run, (i) => i, 0),
    validate: written
  },
  {
    ...common,
    name: "fillbatch",
    about: "puts in random order, in batches of 1,000",
    operations: everyEntry,
    run: ({ db, inputs, operations }) =>
      Effect.as(
        putInBatches(db, inputs, operations, (i) => i),
        operations
      ),
    validate: written
  },
  {
    ...common,
    name: "overwrite",
    about: "puts on existing keys in random order, one at a time",
    start: "loaded",
    operations: everyEntry,
    run: (run) => putEach(run, (i) => run.inputs.permuted(i), 1),
    validate: (run) => validateEntries(run, (i) => (i < run.operations ? 1 : 0))
  },
  {
    ...common,
    name: "deleterandom",
    about: "deletes of half the keys in random order, one at a time",
    start: "loaded",
    operations: (entries) => entries >>> 1,
    run: ({ db, inputs, operations }) =>
      Effect.gen(function* () {
        const key = new Uint8Array(keyBytes)
        for (let i = 0; i < operations; i++) {
          inputs.writeKey(inputs.permuted(i), key)
          yield* db.delete(key)
        }
        return operations
      }),
    validate: (run) => validateEntries(run, (i) => (i < run.operations ? undefined : 0))
  },
  syncedPuts("fillsync256", 256, 500_000),
  syncedPuts("fillsync1", 1, 10_000),
  {
    ...common,
    name: "fill1gb",
    about: "puts of 1 KiB in random order, in batches of 1,000",
    valueBytes: 1024,
    // Values of 1 KiB leave the tables for value files: what a memtable of 16 MiB makes of keys and pointers are many tables of less than a megabyte.
    options: { memtableBytes: 32 << 20 },
    operations: everyEntry,
    run: ({ db, inputs, operations }) =>
      Effect.as(
        putInBatches(db, inputs, operations, (i) => i),
        operations
      ),
    validate: written
  }
]
