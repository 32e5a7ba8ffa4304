import * as Effect from "effect/Effect"
import type { Case, Run } from "../Case.ts"
import { keyBytes } from "../Inputs.ts"
import { expectEqual, inSlices, validateEntries } from "../steps.ts"

/** All keys are bytes, which the value cache does not serve: its part goes to the blocks. */
const common = { durability: "buffered", keys: "random", valueBytes: 100, start: "loaded", writes: false, options: { valueCacheBytes: 0 } } as const
const everyEntry = (entries: number) => entries
const hotKeys = 1000

const foundAll = (run: Run, counted: number) => {
  expectEqual("bytes of values found", counted, run.operations * run.inputs.valueBytes)
  return validateEntries(run, () => 0)
}

/** Synchronous reads of the keys of `indexOf()`; counts the bytes found. */
const readEach = ({ db, inputs, operations }: Run, indexOf: () => number) => {
  const key = new Uint8Array(keyBytes)
  let bytes = 0
  return Effect.map(
    inSlices(operations, (from, to) => {
      for (let i = from; i < to; i++) {
        inputs.writeKey(indexOf(), key)
        const value = db.unsafe.get(key)
        if (value !== undefined) bytes += value.length
      }
    }),
    () => bytes
  )
}

export const reads: ReadonlyArray<Case> = [
  {
    ...common,
    name: "readrandom",
    about: "unsafe.get of random keys",
    operations: everyEntry,
    run: (run) => readEach(run, () => run.inputs.random()),
    validate: foundAll
  },
  {
    ...common,
    name: "readrandom-effect",
    about: "yield* get of random keys",
    operations: everyEntry,
    run: ({ db, inputs, operations }) =>
      Effect.gen(function* () {
        const key = new Uint8Array(keyBytes)
        let bytes = 0
        for (let i = 0; i < operations; i++) {
          inputs.writeKey(inputs.random(), key)
          const value = yield* db.get(key)
          if (value !== undefined) bytes += value.length
        }
        return bytes
      }),
    validate: foundAll
  },
  {
    ...common,
    name: "readhot",
    about: "unsafe.getText of 1,000 keys",
    keys: "text",
    options: {},
    operations: (entries) => entries * 2,
    run: ({ db, inputs, operations }) => {
      const keys = Array.from({ length: Math.min(hotKeys, inputs.entries) }, (_, i) => inputs.text(inputs.permuted(i)))
      let found = 0
      return Effect.map(
        inSlices(operations, (from, to) => {
          for (let i = from; i < to; i++) if (db.unsafe.getText(keys[inputs.random(keys.length)]!) !== undefined) found++
        }),
        () => found
      )
    },
    validate: (run, counted) => {
      expectEqual("hot keys found", counted, run.operations)
      return validateEntries(run, () => 0)
    }
  },
  {
    ...common,
    name: "readmissing",
    about: "unsafe.get of keys that are not there",
    operations: everyEntry,
    run: (run) => readEach(run, () => run.inputs.entries + run.inputs.random()),
    validate: (run, counted) => {
      expectEqual("bytes of values found", counted, 0)
      return validateEntries(run, () => 0)
    }
  },
  {
    ...common,
    name: "seekrandom",
    about: "seeks to random keys, each reading one entry",
    operations: (entries) => Math.ceil(entries / 5),
    run: ({ db, inputs, operations }) => {
      const key = new Uint8Array(keyBytes)
      let bytes = 0
      return Effect.map(
        inSlices(operations, (from, to) => {
          for (let i = from; i < to; i++) {
            inputs.writeKey(inputs.random(), key)
            for (const [, value] of db.unsafe.entries({ gte: key, limit: 1 })) bytes += value.length
          }
        }),
        () => bytes
      )
    },
    validate: foundAll
  }
]
