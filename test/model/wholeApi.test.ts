/**
 * Random scripts over the whole API against a list of committed states. A failure prints the seed and the shrunk script, to be pasted into
 * `test/regression/wholeApi.test.ts`.
 * `LIGHTNING_MODEL_RUNS` and `LIGHTNING_MODEL_SEED` run more, or others.
 */
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { MemoryDisk } from "../../src/layers/disk/MemoryDisk.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { runWhole } from "../support/wholeApiRun.ts"
import { wholeKeys, type WholeScript, type WholeStep, type WholeWrite } from "../support/wholeApiScript.ts"

const runs = Number(process.env["LIGHTNING_MODEL_RUNS"] ?? "60")
const seed = Number(process.env["LIGHTNING_MODEL_SEED"] ?? "4711")

/** Transactions have to meet: half of what is done, is done to three keys. */
const key = fc.oneof(fc.constantFrom(...wholeKeys), fc.constantFrom("0a", "0n1", "1b"))
const numberKey = fc.constantFrom(...wholeKeys.filter((each) => each[1] === "n"))
const textKey = fc.constantFrom(...wholeKeys.filter((each) => each[1] !== "n"))
const bytes = fc.constantFrom(0, 20, 300, 2000)
const amount = fc.integer({ min: -9, max: 9 })
const tx = fc.nat(1)
const name = fc.constantFrom("s", "t")

const write: fc.Arbitrary<WholeWrite> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ put: key, bytes }) },
  { weight: 3, arbitrary: fc.record({ put: key, bytes, ttl: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ delete: key }) },
  { weight: 1, arbitrary: fc.record({ from: key, to: key }) },
  { weight: 1, arbitrary: fc.record({ add: numberKey, amount }) },
  { weight: 1, arbitrary: fc.record({ max: numberKey, amount }) },
  { weight: 1, arbitrary: fc.record({ append: textKey }) },
  { weight: 1, arbitrary: fc.record({ xor: textKey }) },
  { weight: 1, arbitrary: fc.record({ setOnce: textKey }) },
  { weight: 1, arbitrary: fc.record({ compareAndSet: textKey, right: fc.boolean(), deletes: fc.boolean() }) }
)
const writes = fc.array(write, { minLength: 1, maxLength: 4 })

const op = <const Name extends WholeStep["op"]>(given: Name) => ({ op: fc.constant(given) })
const weighted = (weight: number, arbitrary: fc.Arbitrary<WholeStep>) => ({ weight, arbitrary })

const step: fc.Arbitrary<WholeStep> = fc.oneof(
  weighted(8, fc.record({ ...op("write"), writes })),
  weighted(4, fc.record({ ...op("fill"), space: fc.constantFrom(0 as const, 1 as const), bytes: fc.constantFrom(300, 2000, 4000) })),
  weighted(3, fc.record({ ...op("transaction"), reads: key, writes, fails: fc.boolean() })),
  weighted(6, fc.record({ ...op("begin"), tx, snapshot: fc.boolean() })),
  weighted(8, fc.record({ ...op("txWrite"), tx, writes })),
  weighted(5, fc.record({ ...op("txGet"), tx, key, peek: fc.boolean() })),
  weighted(2, fc.record({ ...op("txScan"), tx, from: key, to: key })),
  weighted(2, fc.record({ ...op("txScan"), tx, from: key, to: key, limit: fc.integer({ min: 1, max: 3 }) })),
  weighted(2, fc.record({ ...op("savepoint"), tx, name })),
  weighted(2, fc.record({ ...op("rollbackTo"), tx, name })),
  weighted(7, fc.record({ ...op("commit"), tx })),
  weighted(1, fc.record({ ...op("rollback"), tx })),
  weighted(4, fc.record({ ...op("get"), key })),
  weighted(3, fc.record({ ...op("scan"), from: key, to: key, reverse: fc.boolean() })),
  weighted(4, fc.record({ ...op("wait"), seconds: fc.integer({ min: 1, max: 3 }) })),
  weighted(4, fc.record({ ...op("at"), back: fc.nat(12) })),
  weighted(2, fc.record({ ...op("history"), key })),
  weighted(
    12,
    fc.constantFrom("changes", "snapshot", "readSnapshots", "release", "flush", "flush", "compact", "reopen").map((each): WholeStep => ({ op: each }))
  )
)

const script: fc.Arbitrary<WholeScript> = fc.array(step, { maxLength: 60, size: "max" })

/** Of every kind of step, and of what has to come of them, there must be some. */
const required = [
  ...["write", "fill", "transaction", "begin", "txWrite", "txGet", "txScan", "savepoint", "rollbackTo", "commit", "rollback", "get", "scan", "wait"],
  ...["at", "history", "changes", "snapshot", "readSnapshots", "release", "flush", "compact", "reopen"],
  ...["a failed atomic operation", "a conflict", "a commit beside others", "a flush done", "a compaction done", "a rotation"]
]

/** The shrunk script as it is to be pasted. */
const report = (details: fc.RunDetails<[WholeScript]>): void => {
  if (!details.failed || details.counterexample === null) return
  const [steps] = details.counterexample
  const lines = steps.map((each) => JSON.stringify(each)).join(",\n  ")
  throw new Error(`seed ${details.seed}, after ${details.numRuns} runs: ${String(details.errorInstance)}\n[\n  ${lines}\n]`, {
    cause: details.errorInstance
  })
}

const agrees = (what: string, run: (steps: WholeScript, count: (what: string) => void) => Effect.Effect<void, unknown>): void => {
  it(
    what,
    async () => {
      const counts = new Map<string, number>()
      const count = (happened: string) => void counts.set(happened, (counts.get(happened) ?? 0) + 1)
      await fc.assert(
        fc.asyncProperty(script, (steps) => Effect.runPromise(run(steps, count), { signal: AbortSignal.timeout(20_000) })),
        { numRuns: runs, seed, endOnFailure: false, interruptAfterTimeLimit: 90_000, reporter: report }
      )
      expect(
        required.filter((each) => !counts.has(each)),
        `seed ${seed}: did not happen`
      ).toEqual([])
    },
    240_000
  )
}

describe("the whole API", () => {
  agrees("the memory disk: every answer is that of a list of states", (steps, count) => runWhole(steps, DiskMemory.layerOf(new MemoryDisk()), count))
  agrees("the simulated disk: every answer is that of a list of states", (steps, count) =>
    runWhole(steps, DiskSimulated.layer(new SimulatedDisk()), count)
  )
})
