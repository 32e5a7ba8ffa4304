/**
 * A ring of keys, each of which names the next one. Transactions take a part out and put it back elsewhere, all at once; the disk is crashed, and life goes on with what is left.
 * Whoever looks sees one circle through all keys; after a crash it is the one that the last surviving commit left, and every commit acknowledged as synced has survived.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { IsolationLevel } from "../../src/services/Transaction.ts"
import { openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { Turnstile } from "./Turnstile.ts"

const seed = Number(process.env["LIGHTNING_ISOLATION_SEED"] ?? "57")
const lives = 3 * Number(process.env["LIGHTNING_ISOLATION_RUNS"] ?? "1")
const size = 24
const fibers = 40
const turns = 3

const key = (node: number): string => `n${String(node).padStart(2, "0")}`
/** Long enough that a few hundred commits fill memtables and segments. */
const valueOf = (node: number): string => `${node} ${"-".repeat(250)}`
const nodeIn = (value: string | undefined): number => Number.parseInt(value ?? "", 10)

/** What each node names; node by node around it. Undefined where that is not one circle. */
const around = (next: ReadonlyArray<number>): ReadonlyArray<number> | undefined => {
  const passed: Array<number> = []
  for (let at = 0; !passed.includes(at); at = next[at]!) {
    if (next[at] === undefined || Number.isNaN(next[at])) return undefined
    passed.push(at)
  }
  return passed.length === size && next[passed.at(-1)!] === 0 ? passed : undefined
}

interface Committed {
  readonly sequence: number
  readonly changes: ReadonlyMap<number, number>
  /** Operations of the disk that had happened when it was acknowledged, and as what. */
  readonly events: number
  readonly synced: boolean
}

const ringAt = (commits: ReadonlyArray<Committed>, sequence: number): ReadonlyArray<number> => {
  const ring: Array<number> = []
  for (const { changes, sequence: of } of [...commits].sort((a, b) => a.sequence - b.sequence))
    if (of <= sequence) for (const [node, next] of changes) ring[node] = next
  return ring
}

const readRing = (reads: Pick<DatabaseShape, "getMany">) =>
  Effect.map(reads.getMany(Array.from({ length: size }, (_, node) => key(node))), (values) =>
    values.map((value) => nodeIn(value === undefined ? undefined : new TextDecoder().decode(value)))
  )

/** Node `a`, the two behind it, and the one after those: a → b → c → d becomes a → c → b → d. */
const permute = (db: DatabaseShape, turnstile: Turnstile, prng: Prng, level: IsolationLevel, commits: Array<Committed>, disk: SimulatedDisk) => {
  const attempt: Effect.Effect<boolean, unknown> = Effect.scoped(
    Effect.gen(function* () {
      const tx = yield* db.begin({ isolation: level, durability: prng() < 0.4 ? "sync" : "buffered" })
      const next = (node: number) => Effect.tap(Effect.map(tx.getText(key(node)), nodeIn), () => turnstile.pause)
      const a = drawInt(prng, size)
      const b = yield* next(a)
      const c = yield* next(b)
      const d = yield* next(c)
      const changes = new Map([
        [a, c],
        [c, b],
        [b, d]
      ])
      for (const [node, to] of changes) yield* tx.put(key(node), valueOf(to))
      yield* turnstile.pause
      const result = yield* Effect.result(tx.commit)
      if (Result.isFailure(result)) return result.failure._tag === "TransactionConflict" ? false : yield* result.failure
      const { durability, sequence } = result.success
      commits.push({ sequence, changes, events: disk.trace!.events.length, synced: durability === "sync" })
      return true
    })
  )
  return Effect.gen(function* () {
    let conflicts = 0
    while (!(yield* attempt)) conflicts++
    return conflicts
  })
}

describe("ring", () => {
  for (const level of ["serializable", "snapshot"] as const) {
    it(
      `stays one circle, through transactions and crashes (${level})`,
      async () => {
        const prng = seededPrng(seed)
        let disk = new SimulatedDisk({ record: true })
        let commits: ReadonlyArray<Committed> = []
        let conflicts = 0
        let crashes = 0
        let lost = 0
        let flushes = 0
        const inside = `${level}, seed ${seed}`
        for (let life = 0; life < lives; life++) {
          const known = [...commits]
          const before = known.reduce((most, { sequence }) => Math.max(most, sequence), 0)
          const recording = disk
          await Effect.runPromise(
            withSimulatedClock(
              Effect.scoped(
                Effect.gen(function* () {
                  const db = yield* openSimulated(recording, { entropySeed: seed + life, sequenceBlock: 4000 })
                  if (life === 0) {
                    const changes = new Map(Array.from({ length: size }, (_, node) => [node, (node + 1) % size] as const))
                    const { sequence } = yield* db.write(
                      [...changes].map(([node, next]) => ({ type: "put", key: key(node), value: valueOf(next) })),
                      { durability: "sync" }
                    )
                    known.push({ sequence, changes, events: recording.trace!.events.length, synced: true })
                  }
                  expect(yield* readRing(db), inside).toEqual(ringAt(known, Infinity))
                  const turnstile = new Turnstile(prng)
                  let working = true
                  const worker = Effect.gen(function* () {
                    let met = 0
                    for (let turn = 0; turn < turns; turn++) met += yield* permute(db, turnstile, prng, level, known, recording)
                    return met
                  })
                  const watcher = Effect.gen(function* () {
                    while (working) {
                      // One batch of reads, and one transaction with pauses in it: each sees a whole circle.
                      expect(around(yield* readRing(db)), inside).toBeDefined()
                      yield* db.transaction(
                        (tx) =>
                          Effect.gen(function* () {
                            const next: Array<number> = []
                            for (let node = 0; node < size; node++) {
                              next.push(nodeIn(yield* tx.getText(key(node))))
                              if (node % 5 === 0) yield* Effect.yieldNow
                            }
                            expect(around(next), inside).toBeDefined()
                          }),
                        { isolation: level, retry: false }
                      )
                      yield* db.flush
                    }
                    return 0
                  })
                  const [met] = yield* Effect.all(
                    [
                      Effect.ensuring(
                        turnstile.run(
                          Array.from({ length: fibers }, () => worker),
                          0.1
                        ),
                        Effect.sync(() => (working = false))
                      ),
                      watcher
                    ],
                    { concurrency: 2 }
                  )
                  conflicts += met.reduce((sum, count) => sum + count, 0)
                  expect(yield* readRing(db), inside).toEqual(ringAt(known, Infinity))
                  flushes += (yield* db.stats).flushes.count
                })
              )
            )
          )
          const { trace } = recording
          const replayer = new CrashReplayer(trace!)
          const stops = 8
          for (let stop = 1; stop <= stops; stop++) {
            // The last one is where life goes on: somewhere in the second half.
            const events = Math.floor(trace!.events.length * (stop / (stops + 0.3)))
            replayer.advanceTo(events)
            const where = `${inside}, life ${life}, crashed after ${events} of ${trace!.events.length} operations`
            const mode = stop === stops ? "random" : (["worst", "random", "all"] as const)[stop % 3]!
            const crashed = replayer.crash(prng, { mode, next: { record: true } })
            // Looking at it is an open, which changes the disk: life goes on with what that left.
            const found = await Effect.runPromise(
              withSimulatedClock(
                Effect.scoped(
                  Effect.gen(function* () {
                    const db = yield* openSimulated(crashed, { entropySeed: seed + life, sequenceBlock: 4000 })
                    const { visibleSequence } = yield* db.stats
                    return { visibleSequence, ring: yield* readRing(db) }
                  })
                )
              )
            )
            const promised = known.reduce(
              (most, { events: by, sequence, synced }) => (synced && by <= events && sequence > most ? sequence : most),
              before
            )
            // Before the ring itself was durable there is nothing to see.
            if (promised > 0 || found.visibleSequence > 0) {
              expect(found.visibleSequence, where).toBeGreaterThanOrEqual(promised)
              expect(found.ring, where).toEqual(ringAt(known, found.visibleSequence))
              expect(around(found.ring), where).toBeDefined()
            }
            crashes++
            if (stop < stops) continue
            const survived = known.filter(({ sequence }) => sequence <= found.visibleSequence)
            lost += known.length - survived.length
            commits = survived
            const next = new CrashReplayer(crashed.trace!)
            next.advanceTo(crashed.trace!.events.length)
            disk = next.crash(prng, { mode: "all", next: { record: true } })
          }
        }
        expect({ crashes, conflicts: conflicts > lives * fibers, lost: lost > 0, flushes: flushes > lives }, inside).toEqual({
          crashes: lives * 8,
          conflicts: true,
          lost: true,
          flushes: true
        })
      },
      30_000 + lives * 10_000
    )
  }
})
