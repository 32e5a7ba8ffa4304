/**
 * `npm run soak -- --minutes 60`: a mixed load on a database on the real file system, closed and opened again every so often. Every ten seconds the heap (after a collection), the
 * resident memory, the open descriptors and the bytes on disk are noted; at the end they are compared with what they were after ten minutes (or a sixth of the run, where that is
 * less). Grown by more than the factors below, or a total that is not what was acknowledged: it ends with 1.
 *
 * The load: writers (puts, deletes, ranges, batches, values that expire), transactions that move amounts between accounts, counters by atomic additions, snapshots held for seconds
 * while they are scanned, flushes, compactions, checkpoints. `--rate` bounds the operations per second of each writer, `--keep DIR` uses a directory and leaves it.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { LightningDb } from "../src/runtime/exports/index.ts"
import { Database, type DatabaseShape } from "../src/services/Database.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    rate: { type: "string", default: "400" },
    writers: { type: "string", default: "4" },
    sessions: { type: "string", default: "12" },
    keep: { type: "string" }
  }
})

const number = (name: keyof typeof values): number => {
  const value = Number(values[name])
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, not ${values[name]}`)
  return value
}

const minutes = number("minutes")
const rate = number("rate")
const writers = number("writers")
const sessions = number("sessions")
const sampleSeconds = Math.min(10, minutes * 2)
const baselineSeconds = Math.min(600, minutes * 10)
const keys = 20_000
const accounts = 100
const startingAmount = 1000n

/** What the end may be of the baseline: so many times, and so much more. */
const limits = {
  heapMiB: { factor: 1.3, more: 16 },
  rssMiB: { factor: 1.4, more: 64 },
  descriptors: { factor: 1.2, more: 12 },
  diskMiB: { factor: 1.8, more: 64 }
} as const

type Figure = keyof typeof limits
type Sample = Readonly<Record<Figure, number>> & { readonly seconds: number; readonly operations: number }

const directory = values.keep ?? mkdtempSync(join(tmpdir(), "lightning-soak-"))
const path = join(directory, "db")
const mib = 1 << 20

let state = number("seed") | 0
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return (state >>> 8) % below
}

const counts = { operations: 0, transactions: 0, conflicts: 0, snapshots: 0, scans: 0, compactions: 0, checkpoints: 0, reopens: 0 }
/** Additions that were acknowledged. */
let added = 0n
const samples: Array<Sample> = []
const startedMs = performance.now()
const elapsed = (): number => (performance.now() - startedMs) / 1000

const bytesOnDisk = (): number => {
  let sum = 0
  for (const name of readdirSync(path)) {
    try {
      sum += statSync(join(path, name)).size
    } catch {
      // Removed meanwhile.
    }
  }
  return sum
}

const sample = (): void => {
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  samples.push({
    seconds: Math.round(elapsed()),
    heapMiB: heapUsed / mib,
    rssMiB: rss / mib,
    descriptors: readdirSync("/proc/self/fd").length,
    diskMiB: bytesOnDisk() / mib,
    operations: counts.operations
  })
}

const key = (): string => `k${String(random(keys)).padStart(6, "0")}`
const value = (): Uint8Array => {
  const bytes = new Uint8Array(random(10) === 0 ? random(8000) : random(600))
  for (let i = 0; i < bytes.length; i++) bytes[i] = i % 7 === 0 ? random(256) : 97 + (i % 13)
  return bytes
}
const account = (i: number): string => `account ${String(i).padStart(3, "0")}`
const int64 = (n: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, n, true)
  return bytes
}
const readInt64 = (bytes: Uint8Array | undefined): bigint =>
  bytes === undefined ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)

const paced = Effect.suspend(() => Effect.sleep((writers * 1000 * (0.5 + random(100) / 100)) / (writers * rate)))

const writer = (db: DatabaseShape) =>
  Effect.gen(function* () {
    const durability = random(20) === 0 ? "sync" : "buffered"
    const kind = random(100)
    if (kind < 60) yield* db.put(key(), value(), { durability })
    else if (kind < 70) yield* db.delete(key(), { durability })
    else if (kind < 72) {
      const from = key()
      yield* db.write([{ type: "deleteRange", gte: from, lt: `${from}~` }], { durability })
    } else if (kind < 78) yield* db.put(key(), value(), { ttl: 1000 + random(30_000), durability })
    else if (kind < 84)
      yield* db.write(
        Array.from({ length: 20 }, () => ({ type: "put" as const, key: key(), value: value() })),
        { durability }
      )
    else if (kind < 90) {
      yield* db.write([{ type: "add", key: "counter", value: 1 }], { durability })
      added++
    } else yield* db.getText(key())
    counts.operations++
    yield* paced
  })

const transfer = (db: DatabaseShape) =>
  Effect.gen(function* () {
    const from = account(random(accounts))
    const to = account(random(accounts))
    if (from !== to) {
      yield* db.transaction(
        (tx) =>
          Effect.gen(function* () {
            const a = readInt64(yield* tx.get(from))
            const b = readInt64(yield* tx.get(to))
            const amount = BigInt(random(10))
            yield* tx.put(from, int64(a - amount))
            yield* tx.put(to, int64(b + amount))
          }),
        { durability: "buffered" }
      )
      counts.transactions++
    }
    yield* paced
  })

const totalOf = (db: Pick<DatabaseShape, "scan">) =>
  Effect.map(
    Stream.runFold(
      db.scan({ prefix: "account " }),
      () => 0n,
      (sum, entry) => sum + readInt64(entry.value)
    ),
    (sum) => sum
  )

const demand = (isRight: boolean, what: string) => (isRight ? Effect.void : Effect.die(new Error(what)))

const observe = (db: DatabaseShape) =>
  Effect.scoped(
    Effect.gen(function* () {
      const snapshot = yield* db.snapshot
      counts.snapshots++
      for (let i = 0; i < 3; i++) {
        const total = yield* totalOf(snapshot)
        yield* demand(total === BigInt(accounts) * startingAmount, `the accounts hold ${total} in a snapshot`)
        yield* Stream.runDrain(snapshot.scan({ gte: key(), limit: 2000 }))
        counts.scans++
        yield* Effect.sleep(1000 + random(2000))
      }
    })
  )

const maintain = (db: DatabaseShape) =>
  Effect.gen(function* () {
    yield* Effect.sleep("15 seconds")
    yield* db.compact()
    counts.compactions++
    const copy = join(directory, "copy")
    yield* db.checkpoint(copy)
    counts.checkpoints++
    rmSync(copy, { recursive: true, force: true })
  })

/** As long as the session lasts: an end of one of them is an end of the run. */
const session = (seconds: number) =>
  Effect.gen(function* () {
    const db = yield* Database
    counts.reopens++
    if (counts.reopens === 1)
      yield* db.write(Array.from({ length: accounts }, (_, i) => ({ type: "put" as const, key: account(i), value: int64(startingAmount) })))
    const counter = readInt64(yield* db.get("counter"))
    yield* demand(counter === added, `the counter is ${counter}, and ${added} additions were acknowledged`)
    const running = [
      ...Array.from({ length: writers }, () => Effect.forever(writer(db))),
      ...Array.from({ length: 2 }, () => Effect.forever(transfer(db))),
      Effect.forever(observe(db)),
      Effect.forever(maintain(db)),
      Effect.forever(Effect.andThen(Effect.sleep(sampleSeconds * 1000), Effect.sync(sample)))
    ]
    const fibers = yield* Effect.forEach(running, (work) => Effect.forkChild(work))
    const ended = yield* Effect.raceFirst(
      Effect.as(Effect.sleep(seconds * 1000), undefined),
      Effect.raceAllFirst(fibers.map((fiber) => Fiber.await(fiber)))
    )
    if (ended !== undefined) return yield* Exit.isFailure(ended) ? Effect.failCause(ended.cause) : Effect.die(new Error("a part of the load ended"))
    // A write in flight may be acknowledged to nobody: what was added is told by the next session, from the counter itself.
    yield* Fiber.interruptAll(fibers)
    yield* db.flush
    const health = yield* db.health
    yield* demand(health.state === "healthy", `the database is ${health.state}: ${health.reasons.join("; ")}`)
    const total = yield* totalOf(db)
    yield* demand(total === BigInt(accounts) * startingAmount, `the accounts hold ${total}`)
    counts.conflicts += (yield* db.stats).transactions.conflicts
    const after = readInt64(yield* db.get("counter"))
    yield* demand(after >= added && after <= added + BigInt(writers), `the counter is ${after}, and ${added} additions were acknowledged`)
    added = after
  })

const options = { path, memtableBytes: 4 * mib, cacheBytes: 16 * mib, tableBytes: 4 * mib, levelBytesBase: 16 * mib, walSegmentBytes: 8 * mib }

const middle = (figure: Figure, around: ReadonlyArray<Sample>): number =>
  around.map((one) => one[figure]).sort((a, b) => a - b)[around.length >> 1] ?? 0

const judge = (): number => {
  const baseline = samples.filter(({ seconds }) => seconds >= baselineSeconds).slice(0, 5)
  const end = samples.slice(-5)
  let failed = false
  console.log("figure        at baseline     at the end     allowed")
  const figures: Record<string, { readonly baseline: number; readonly end: number; readonly allowed: number }> = {}
  for (const figure of Object.keys(limits) as Array<Figure>) {
    const from = middle(figure, baseline)
    const to = middle(figure, end)
    const allowed = from * limits[figure].factor + limits[figure].more
    if (!(to <= allowed)) failed = true
    figures[figure] = { baseline: Number(from.toFixed(1)), end: Number(to.toFixed(1)), allowed: Number(allowed.toFixed(1)) }
    console.log(
      `${figure.padEnd(12)} ${from.toFixed(1).padStart(12)} ${to.toFixed(1).padStart(14)} ${allowed.toFixed(1).padStart(11)}${to <= allowed ? "" : "   TOO MUCH"}`
    )
  }
  console.log(JSON.stringify({ minutes, seconds: Math.round(elapsed()), baselineSeconds, samples: samples.length, counts, figures, failed }, null, 2))
  return failed || baseline.length === 0 ? 1 : 0
}

const run = Effect.gen(function* () {
  for (let i = 0; i < sessions; i++) {
    yield* Effect.provide(session((minutes * 60) / sessions), Layer.fresh(LightningDb.layer(options)))
    const last = samples.at(-1)
    if (last !== undefined)
      console.error(
        `${last.seconds} s: ${counts.operations} operations, ${counts.transactions} transactions; heap ${last.heapMiB.toFixed(0)} MiB, resident ${last.rssMiB.toFixed(0)} MiB, ` +
          `${last.descriptors} descriptors, ${last.diskMiB.toFixed(0)} MiB on disk`
      )
  }
})

try {
  if (globalThis.gc === undefined) console.error("without --expose-gc the heap is noted as it is, garbage included")
  const exit = await Effect.runPromiseExit(run)
  if (Exit.isFailure(exit)) {
    console.error(Cause.pretty(exit.cause))
    process.exitCode = 1
  } else process.exitCode = judge()
} finally {
  if (values.keep === undefined) rmSync(directory, { recursive: true, force: true })
}
