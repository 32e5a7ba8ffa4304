import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { JobResult } from "../../src/domain/compaction/JobSpec.ts"
import * as DiskNode from "../../src/layers/disk/DiskNode.ts"
import { WorkerThreads } from "../../src/layers/jobs/WorkerThreads.ts"
import * as WorkersThreads from "../../src/layers/WorkersThreads.ts"
import { Disk } from "../../src/services/Disk.ts"
import { WorkerDied, Workers } from "../../src/services/Workers.ts"
import { compactionSpec, filledMemtable, flushSpec } from "../contracts/Workers.contract.ts"
import { Script } from "./workers/Script.ts"

const scripted = new URL("./workers/scriptedEntry.ts", import.meta.url)
const root = mkdtempSync(join(tmpdir(), "lightning-threads-"))
afterAll(() => rmSync(root, { recursive: true }))
let directories = 0
const newDirectory = Effect.gen(function* () {
  const path = `${root}/${++directories}`
  yield* (yield* Disk).makeDirectory(path)
  return path
})

const memtable = filledMemtable(10, 10)
type Scripted = (typeof Script)[keyof typeof Script]
/** As a real job (in process), it writes one table, under the id that is the script. */
const flush = (workers: Workers["Service"], script: Scripted, directory = root, another = 1000) =>
  workers.flush(directory, flushSpec([memtable], [script, another]))
const compact = (workers: Workers["Service"], script: Scripted) =>
  workers.compact(root, { ...compactionSpec([], []), snapshots: [1], outputIds: [script] })
const threadOf = (result: JobResult): number => result.stats.entriesRead

/** The service over threads that can be looked at, and the warnings logged. */
const threads = (entry: URL, count: number) =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const pool = new WorkerThreads({ entry, count })
    yield* Effect.addFinalizer(() => Effect.promise(() => pool.close()))
    return { pool, workers: WorkersThreads.make(pool, count, disk), directory: yield* newDirectory }
  })

const withWarnings = <A, E, R>(run: (warnings: Array<string>) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const warnings: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void warnings.push(`${logLevel}: ${String(message)}`))
  return Effect.provide(run(warnings), Logger.layer([logger]))
}

const live = <A, E>(name: string, run: () => Effect.Effect<A, E, Disk | import("effect/Scope").Scope>): void => {
  it.live(name, () => Effect.provide(Effect.scoped(run()), DiskNode.layer))
}

describe("WorkersThreads", () => {
  live("starts a thread for the first job, keeps it, and never has more than it may", () =>
    Effect.gen(function* () {
      const { pool, workers } = yield* threads(scripted, 2)
      expect(pool.threadCount).toBe(0)
      const first = yield* flush(workers, Script.answer)
      expect(pool.threadCount).toBe(1)
      expect(threadOf(yield* flush(workers, Script.answer))).toBe(threadOf(first))
      const many = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () => flush(workers, Script.answer), { concurrency: "unbounded" })
      expect(new Set(many.map(threadOf)).size).toBeLessThanOrEqual(2)
      expect(pool.threadCount).toBe(2)
    })
  )

  live("takes flushes before compactions", () =>
    Effect.gen(function* () {
      const { workers } = yield* threads(scripted, 1)
      const ended: Array<string> = []
      const noted = (name: string, job: Effect.Effect<JobResult, unknown>) =>
        Effect.forkChild(
          Effect.tap(job, () => Effect.sync(() => ended.push(name))),
          { startImmediately: true }
        )
      const fibers = [
        yield* noted("flush 1", flush(workers, Script.answer)),
        yield* noted("compaction 1", compact(workers, Script.answer)),
        yield* noted("compaction 2", compact(workers, Script.answer)),
        yield* noted("flush 2", flush(workers, Script.answer))
      ]
      yield* Effect.forEach(fibers, Fiber.join)
      expect(ended).toEqual(["flush 1", "flush 2", "compaction 1", "compaction 2"])
    })
  )

  live("runs a flush inside a compaction that holds the only thread", () =>
    Effect.gen(function* () {
      const { pool, workers } = yield* threads(scripted, 1)
      const compaction = yield* Effect.forkChild(compact(workers, Script.untilFlush), { startImmediately: true })
      const flushed = yield* flush(workers, Script.answer)
      expect(threadOf(yield* Fiber.join(compaction))).toBe(threadOf(flushed))
      // Once more, with the thread already up when both arrive.
      const again = yield* Effect.forkChild(compact(workers, Script.untilFlush), { startImmediately: true })
      yield* Effect.sleep("20 millis")
      yield* flush(workers, Script.answer)
      yield* Fiber.join(again)
      expect(pool.threadCount).toBe(1)
    })
  )

  live("fails the jobs of a thread that dies with WorkerDied, and replaces it", () =>
    Effect.gen(function* () {
      const { pool, workers } = yield* threads(scripted, 1)
      const exited = yield* Effect.flip(flush(workers, Script.exit))
      expect(exited).toBeInstanceOf(WorkerDied)
      expect(exited).toMatchObject({ detail: "the thread exited with code 3" })
      expect(pool.threadCount).toBe(0)
      yield* flush(workers, Script.answer)
      // Both what the thread was doing and what had overtaken it.
      const compaction = yield* Effect.forkChild(Effect.flip(compact(workers, Script.untilFlush)), { startImmediately: true })
      expect(yield* Effect.flip(flush(workers, Script.exit))).toBeInstanceOf(WorkerDied)
      expect(yield* Fiber.join(compaction)).toBeInstanceOf(WorkerDied)
      expect(threadOf(yield* flush(workers, Script.answer))).toBeGreaterThan(0)
    })
  )

  live("survives a thread that crashes between two jobs", () =>
    Effect.gen(function* () {
      const { pool, workers } = yield* threads(scripted, 1)
      const crashed = yield* Effect.exit(flush(workers, Script.crash))
      while (pool.threadCount > 0) yield* Effect.sleep("1 millis")
      // Whether the answer was faster than the crash is not ours to say.
      if (Exit.isFailure(crashed)) expect(Cause.squash(crashed.cause)).toMatchObject({ _tag: "WorkerDied", detail: "the thread crashed" })
      yield* flush(workers, Script.answer)
    })
  )

  live("rests after three deaths in a row: jobs run in process until its time is over, then one at a time is given to a thread again", () =>
    withWarnings((warnings) =>
      Effect.gen(function* () {
        const disk = yield* Disk
        const directory = yield* newDirectory
        let now = 0
        const seen: Array<string> = []
        const pool = new WorkerThreads({
          entry: scripted,
          count: 2,
          breaker: { failureThreshold: 3, successThreshold: 1, openForMs: 1000 },
          monotonicMs: () => now
        })
        yield* Effect.addFinalizer(() => Effect.promise(() => pool.close()))
        pool.source.onTransition = (from, error) => {
          seen.push(`${from} > ${pool.source.breaker.state}`)
          if (pool.source.breaker.state === "open") expect(error).toMatchObject({ message: "worker threads died: the thread exited with code 3" })
        }
        const workers = WorkersThreads.make(pool, 2, disk)
        for (let i = 0; i < 3; i++) expect(yield* Effect.flip(flush(workers, Script.exit))).toBeInstanceOf(WorkerDied)
        expect(warnings).toEqual([])
        const here = yield* flush(workers, Script.exit, directory)
        expect(here.tables[0]!.entryCount).toBe(10)
        expect(warnings).toEqual(["Warn: worker threads died 3 times in a row; flush and compaction run on the main thread, in slices"])
        now = 999
        expect((yield* workers.compact(directory, { ...compactionSpec(here.tables, [Script.exit + 40, 1001]) })).tables).toHaveLength(1)
        // Half open: one is a thread's again, another beside it is not; and one more death is enough.
        now = 1000
        const probe = yield* Effect.forkChild(Effect.flip(flush(workers, Script.exit)), { startImmediately: true })
        expect((yield* flush(workers, Script.exit, yield* newDirectory)).tables).toHaveLength(1)
        expect(yield* Fiber.join(probe)).toBeInstanceOf(WorkerDied)
        now = 2999
        expect((yield* flush(workers, Script.exit, yield* newDirectory)).tables).toHaveLength(1)
        // An answer closes it.
        now = 3000
        expect(threadOf(yield* flush(workers, Script.answer))).toBeGreaterThan(0)
        expect(yield* Effect.flip(flush(workers, Script.exit))).toBeInstanceOf(WorkerDied)
        expect(threadOf(yield* flush(workers, Script.answer))).toBeGreaterThan(0)
        expect(warnings).toHaveLength(1)
        expect(seen).toEqual(["closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed"])
      })
    )
  )

  live("a probe that is cancelled makes room for the next", () =>
    Effect.gen(function* () {
      const disk = yield* Disk
      const directory = yield* newDirectory
      let now = 0
      const pool = new WorkerThreads({
        entry: scripted,
        count: 1,
        breaker: { failureThreshold: 1, successThreshold: 1, openForMs: 1000 },
        monotonicMs: () => now
      })
      yield* Effect.addFinalizer(() => Effect.promise(() => pool.close()))
      const workers = WorkersThreads.make(pool, 1, disk)
      expect(yield* Effect.flip(flush(workers, Script.exit))).toBeInstanceOf(WorkerDied)
      now = 1000
      const probe = yield* Effect.forkChild(flush(workers, Script.untilCancelled, directory, 77), { startImmediately: true })
      while (readdirSync(directory).length === 0) yield* Effect.sleep("1 millis")
      yield* Fiber.interrupt(probe)
      expect(threadOf(yield* flush(workers, Script.answer))).toBeGreaterThan(0)
    })
  )

  for (const [what, entry, reason] of [
    ["is missing", new URL("./workers/noSuchEntry.ts", import.meta.url), "Cannot find module"],
    ["throws", new URL("./workers/brokenEntry.ts", import.meta.url), "this entry cannot be loaded"],
    ["is nothing that Node loads", new URL("https://localhost/workerEntry.js"), "scheme file"]
  ] as const) {
    live(`runs jobs in process when the entry ${what}, with one warning`, () =>
      withWarnings((warnings) =>
        Effect.gen(function* () {
          const { directory, pool, workers } = yield* threads(entry, 2)
          const results = yield* Effect.forEach([1, 2, 3, 4], (i) => workers.flush(directory, flushSpec([memtable], [i])), {
            concurrency: "unbounded"
          })
          expect(results.map((result) => result.tables[0]!.fileId)).toEqual([1, 2, 3, 4])
          yield* workers.flush(directory, flushSpec([memtable], [5]))
          expect(readdirSync(directory)).toHaveLength(5)
          expect(warnings).toHaveLength(1)
          expect(warnings[0]).toContain(reason)
          expect(pool.threadCount).toBe(0)
        })
      )
    )
  }

  live("interruption cancels, and waits until the outputs are gone", () =>
    Effect.gen(function* () {
      const { directory, workers } = yield* threads(scripted, 1)
      const fiber = yield* Effect.forkChild(flush(workers, Script.untilCancelled, directory, 77), { startImmediately: true })
      while (readdirSync(directory).length === 0) yield* Effect.sleep("1 millis")
      yield* Fiber.interrupt(fiber)
      expect(readdirSync(directory)).toEqual([])
      yield* flush(workers, Script.answer)
    })
  )

  live("has ended every thread and told every caller when its scope has closed", () =>
    Effect.gen(function* () {
      const disk = yield* Disk
      const directory = yield* newDirectory
      const pool = new WorkerThreads({ entry: scripted, count: 1 })
      const workers = WorkersThreads.make(pool, 1, disk)
      const job = (id: number) => Effect.forkChild(Effect.flip(flush(workers, Script.untilCancelled, directory, id)), { startImmediately: true })
      const running = yield* job(50)
      while (readdirSync(directory).length === 0) yield* Effect.sleep("1 millis")
      const waiting = yield* job(51)
      yield* Effect.promise(() => pool.close())
      expect(pool.threadCount).toBe(0)
      expect(readdirSync(directory)).toEqual([])
      for (const fiber of [running, waiting])
        expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "WorkerDied", detail: "the workers are shut down" })
      expect(yield* Effect.flip(flush(workers, Script.answer))).toBeInstanceOf(WorkerDied)
    })
  )

  live("starts nothing when no thread is wanted", () =>
    Effect.gen(function* () {
      const directory = yield* newDirectory
      const context = yield* Layer.build(WorkersThreads.layer({ entry: scripted, count: 0 }))
      expect(Context.get(context, Workers).parallelism).toBe(1)
      expect((yield* flush(Context.get(context, Workers), Script.exit, directory)).tables).toHaveLength(1)
    })
  )

  it("idle threads do not hold the process; one with a job does, and does not see the flags of the process", () => {
    const href = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
    const program = `
      import { WorkerThreads } from ${href("../../src/layers/jobs/WorkerThreads.ts")}
      const pool = new WorkerThreads({ entry: new URL(${href("./workers/scriptedEntry.ts")}), count: 1 })
      pool.submit(".", { kind: "flush", spec: { outputIds: [1] } }, (outcome) => console.log(outcome.type, pool.threadCount))
    `
    // A thread would refuse to start with a flag that is for whole processes only.
    const flags = ["--no-warnings", "--title=host", "--input-type=module", "--eval", program]
    const run = spawnSync(process.execPath, flags, { encoding: "utf8", timeout: 20_000 })
    expect([run.stdout, run.status, run.signal]).toEqual(["done 1\n", 0, null])
  })
})
