/**
 * Random scripts against a sorted map. A failure prints the seed and the shrunk script: paste it into `test/regression/scripts.test.ts`.
 * `LIGHTNING_MODEL_RUNS` and `LIGHTNING_MODEL_SEED` run more, or others.
 */
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, it } from "vitest"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { type HexKey, type ModelOperation, type ModelRange, type ModelScript, type ModelWrite, runModel } from "../support/modelRun.ts"

const runs = Number(process.env["LIGHTNING_MODEL_RUNS"] ?? "120")
const seed = Number(process.env["LIGHTNING_MODEL_SEED"] ?? "4711")

/** Few keys, close to one another: prefixes of one another, with the lowest and the highest byte, and among those of `fill`. */
const keys: ReadonlyArray<HexKey> = [
  "00",
  "0000",
  "61",
  "6100",
  "6161",
  "61ff",
  "62",
  "6261",
  "663035",
  "663130",
  "66313000",
  "663939",
  "ff",
  "ff00",
  "ffff",
  "ffffff"
]
const key = fc.constantFrom(...keys)
const space = fc.constantFrom(0, 0, 0, 1, 2)
const valueBytes = fc.oneof(fc.constantFrom(0, 1, 20), fc.constantFrom(63, 300), fc.constantFrom(1023, 1024, 3000))
const optional = <A>(value: fc.Arbitrary<A>) => fc.option(value, { nil: undefined, freq: 2 })
const written = <A extends object>(record: A): A => JSON.parse(JSON.stringify(record)) as A

const write: fc.Arbitrary<ModelWrite> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ put: key, bytes: valueBytes, space }) },
  { weight: 2, arbitrary: fc.record({ delete: key, space }) },
  { weight: 1, arbitrary: fc.record({ from: key, to: key, space }) }
)
const range: fc.Arbitrary<ModelRange> = fc
  .record({
    gte: optional(key),
    gt: optional(key),
    lte: optional(key),
    lt: optional(key),
    prefix: optional(fc.constantFrom("66", "61", "ff", "6631", "00")),
    reverse: fc.boolean(),
    limit: optional(fc.nat(6))
  })
  .map((drawn) => written(drawn) as ModelRange)
const snapshot = fc.option(fc.nat(3), { nil: undefined })

const operation: fc.Arbitrary<ModelOperation> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ op: fc.constant("write" as const), writes: fc.array(write, { minLength: 1, maxLength: 5 }), buffered: fc.boolean() })
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("fill" as const), from: fc.nat(99), count: fc.integer({ min: 1, max: 60 }), bytes: valueBytes, space })
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("get" as const), key, space, snapshot }).map((drawn) => written(drawn) as ModelOperation) },
  {
    weight: 2,
    arbitrary: fc
      .record({ op: fc.constant("getMany" as const), keys: fc.array(key, { maxLength: 6 }), space, snapshot })
      .map((drawn) => written(drawn) as ModelOperation)
  },
  { weight: 7, arbitrary: fc.record({ op: fc.constant("scan" as const), range, space, snapshot }).map((drawn) => written(drawn) as ModelOperation) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("create" as const), space: fc.constantFrom(1, 2) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("drop" as const), space: fc.constantFrom(1, 2) }) },
  { weight: 3, arbitrary: fc.constantFrom<ModelOperation>({ op: "snapshot" }, { op: "snapshot" }, { op: "release" }) },
  { weight: 4, arbitrary: fc.constantFrom<ModelOperation>({ op: "flush" }, { op: "flush" }, { op: "compact" }, { op: "reopen" }, { op: "verify" }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<ModelOperation>({ op: "flushBehind" }, { op: "flushBehind" }, { op: "compactBehind" }, { op: "checkpoint" })
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("compactRange" as const), from: key, to: key }) }
)

const script: fc.Arbitrary<ModelScript> = fc.array(operation, { maxLength: 60, size: "max" })

const agrees = (name: string, run: (steps: ModelScript) => Effect.Effect<void, unknown>): void => {
  it(
    name,
    async () => {
      await fc.assert(
        fc.asyncProperty(script, (steps) => Effect.runPromise(run(steps), { signal: AbortSignal.timeout(20_000) })),
        { numRuns: runs, seed, endOnFailure: false, interruptAfterTimeLimit: 90_000, reporter: report }
      )
    },
    240_000
  )
}

/** The shrunk script as it is to be pasted. */
const report = (details: fc.RunDetails<[ModelScript]>): void => {
  if (!details.failed || details.counterexample === null) return
  const [steps] = details.counterexample
  throw new Error(
    `seed ${details.seed}, after ${details.numRuns} runs: ${String(details.errorInstance)}\n[\n  ${steps.map((step) => JSON.stringify(step)).join(",\n  ")}\n]`,
    {
      cause: details.errorInstance
    }
  )
}

describe("model", () => {
  agrees("the memory disk: every answer is that of a sorted map", (steps) => runModel(steps, DiskMemory.layerOf(new MemoryDisk())))
  agrees("the simulated disk: every answer is that of a sorted map", (steps) =>
    runModel(steps, DiskSimulated.layer(new SimulatedDisk()), { cacheBytes: 0, compression: "none", blockBytes: 4096 })
  )
})
