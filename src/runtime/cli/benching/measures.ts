/** What `bench` measures. Each measure runs for its time, gives way to the event loop many times a second, and so ends soon when it is interrupted. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import type { BatchError, WriteError } from "../../../domain/errors.ts"
import type { DatabaseShape, WriteOperation } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import type { Latencies, Measured } from "./Latencies.ts"

export const valueBytes = 100
export const batchEntries = 1000
export const callers = 256
/** More would measure how much memory there is, and fill a small disk. */
export const entriesMax = 1_000_000

const sliceMs = 20

/** Runs `step` until the time is over; what it counts goes to `into`. */
const forTime = (ms: number, into: Latencies, step: () => number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const endMs = performance.now() + ms
    for (let now = performance.now(); now < endMs; now = performance.now()) {
      const sliceEndMs = Math.min(endMs, now + sliceMs)
      while (now < sliceEndMs) {
        const operations = step()
        if (operations === 0) return
        const after = performance.now()
        into.add(after - now, operations, true)
        now = after
      }
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    }
  })

const notSynced = (file: string, error: unknown): CliFailure =>
  new CliFailure({
    tag: "DiskError",
    message: `${file} cannot be written and synced: ${ioReason(error)}`,
    hint: "Give a directory on another disk with --dir.",
    exitCode: ExitCode.failure,
    details: { file }
  })

/** A block appended and made durable, by the system alone: what no database can be faster than. */
export const measureSync = (directory: string, ms: number, into: Latencies): Effect.Effect<Measured, CliFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const file = path.join(directory, "sync")
    const handle = yield* Effect.acquireRelease(
      Effect.try({ try: () => fs.openSync(file, "w"), catch: (error) => notSynced(file, error) }),
      (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
    )
    const block = new Uint8Array(4096).fill(0x5a)
    let failure: CliFailure | undefined
    yield* forTime(ms, into, () => {
      try {
        fs.writeSync(handle, block)
        fs.fdatasyncSync(handle)
        return 1
      } catch (error) {
        failure = notSynced(file, error)
        return 0
      }
    })
    if (failure !== undefined) return yield* failure
    return into.measured()
  })

/** One caller, each commit on stable storage before the next. */
export const measureCommits = (db: DatabaseShape, ms: number, into: Latencies): Effect.Effect<Measured, WriteError> =>
  Effect.gen(function* () {
    const value = new Uint8Array(valueBytes).fill(0x61)
    const endMs = performance.now() + ms
    for (let now = performance.now(); now < endMs;) {
      yield* db.put(`commit/${into.count}`, value, { durability: "sync" })
      const after = performance.now()
      into.add(after - now)
      now = after
    }
    return into.measured()
  })

/** Many callers at once, whose commits share their syncs. */
export const measureCallers = (db: DatabaseShape, ms: number, into: Latencies): Effect.Effect<Measured, WriteError> =>
  Effect.gen(function* () {
    const value = new Uint8Array(valueBytes).fill(0x61)
    const startMs = performance.now()
    const endMs = startMs + ms
    const caller = (id: number) =>
      Effect.gen(function* () {
        for (let now = performance.now(), i = 0; now < endMs; i++) {
          yield* db.put(`caller/${id}/${i}`, value, { durability: "sync" })
          const after = performance.now()
          into.add(after - now)
          now = after
        }
      })
    yield* Effect.forEach(
      Array.from({ length: callers }, (_, id) => id),
      caller,
      { concurrency: "unbounded", discard: true }
    )
    return into.measured(performance.now() - startMs)
  })

export const keyAt = (i: number): string => `key/${String(i).padStart(9, "0")}`

/** A sequence that looks random, visits every number below `n` once before it comes back, and is the same each time. */
const scattered = (i: number, n: number): number => (i * 2_654_435_761) % n

/** Batches in scattered order, handed to the operating system. The latency is that of one batch. */
export const measureBatches = (db: DatabaseShape, ms: number, into: Latencies): Effect.Effect<Measured, BatchError> =>
  Effect.gen(function* () {
    const endMs = performance.now() + ms
    let steps = 0
    let total = 0
    for (let now = performance.now(); now < endMs && total < entriesMax;) {
      const operations = Array.from({ length: batchEntries }, (_, i): WriteOperation => {
        const value = new Uint8Array(valueBytes)
        // Half of it repeats, as data does: what compresses to nothing would flatter the disk.
        for (let at = 0; at < valueBytes; at++) value[at] = at % 2 === 0 ? 0x61 : (scattered(total + i, 251) + at * 7) & 0xff
        return { type: "put", key: keyAt(total + i), value }
      })
      const readyMs = performance.now()
      yield* db.write(operations, { durability: "buffered" })
      const after = performance.now()
      into.add(after - readyMs, batchEntries)
      total += batchEntries
      now = after
      if (++steps % 8 === 0) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    }
    return into.measured()
  })

/** Keys all over the data, one after the other. */
export const measureGets = (db: DatabaseShape, entries: number, ms: number, into: Latencies): Effect.Effect<Measured> =>
  Effect.gen(function* () {
    let i = 0
    let missing = 0
    yield* forTime(ms, into, () => {
      if (db.unsafe.get(keyAt(scattered(i++, entries))) === undefined) missing++
      return 1
    })
    if (missing > 0) return yield* Effect.die(new Error(`${missing} of ${i} keys that were written are not there`))
    return into.measured()
  })

/** From the first entry to the last, as often as there is time. The latency is that of an entry, taken over a thousand. */
export const measureScan = (db: DatabaseShape, ms: number, into: Latencies): Effect.Effect<Measured> =>
  Effect.gen(function* () {
    let entries = db.unsafe.entries()
    yield* forTime(ms, into, () => {
      let seen = 0
      for (; seen < 1000; seen++) {
        if (entries.next().done !== true) continue
        entries = db.unsafe.entries()
        break
      }
      return Math.max(1, seen)
    })
    entries.return?.()
    return into.measured()
  })
