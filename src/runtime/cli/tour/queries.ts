/** Step two of the tour: what can be asked of the database, with the time each answer took. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { DatabaseShape, ScanRange } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import { metadataKeyspace } from "./importFiles.ts"

export interface QueryAnswers {
  readonly get: {
    readonly key: string
    readonly bytes: number
    readonly milliseconds: number
    readonly againMilliseconds: number
    readonly metadata: string
  }
  readonly random: { readonly gets: number; readonly milliseconds: number }
  readonly prefix: {
    readonly prefix: string
    readonly entries: number
    readonly bytes: number
    readonly milliseconds: number
    readonly first: ReadonlyArray<string>
  }
  readonly backward: { readonly lt: string; readonly milliseconds: number; readonly keys: ReadonlyArray<string> }
  readonly snapshot: {
    readonly sequence: number
    readonly overwritten: number
    readonly deleted: number
    readonly entriesBefore: number
    readonly entriesInSnapshot: number
    readonly entriesNow: number
    readonly unchanged: boolean
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()

const timed = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const startMs = performance.now()
    return Effect.map(work, (answer) => [answer, performance.now() - startMs] as const)
  })

const keysOf = (db: DatabaseShape, range: ScanRange) =>
  Effect.map(Stream.runCollect(Stream.mapError(db.scan(range), explain)), (entries) => entries.map(({ key }) => textOf(key)))

/** A linear congruential sequence: the same keys at every run. */
const seeded = (seed: number) => {
  let state = seed >>> 0
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const randomGets = 10_000
const seed = 20_261

export const askQuestions = Effect.fnUntraced(function* (db: DatabaseShape, keys: ReadonlyArray<string>) {
  const key = keys.includes("effect/package.json") ? "effect/package.json" : keys[keys.length >> 1]!
  const [value, getMs] = yield* timed(Effect.mapError(db.get(key), explain))
  const [, againMs] = yield* timed(Effect.mapError(db.get(key), explain))
  const meta = yield* Effect.mapError(db.keyspace(metadataKeyspace), explain)
  const metadata = (yield* Effect.mapError(meta.getText(key), explain)) ?? ""

  const random = seeded(seed)
  const [, randomMs] = yield* timed(
    Effect.sync(() => {
      for (let i = 0; i < randomGets; i++) db.unsafe.get(keys[random(keys.length)]!)
    })
  )

  const prefix = keys.some((name) => name.startsWith("effect/dist/cli/")) ? "effect/dist/cli/" : key.slice(0, key.indexOf("/") + 1)
  let entries = 0
  let bytes = 0
  const first: Array<string> = []
  const [, prefixMs] = yield* timed(
    Stream.runForEachArray(Stream.mapError(db.scan(prefix === "" ? {} : { prefix }), explain), (chunk) =>
      Effect.sync(() => {
        for (const entry of chunk) {
          if (first.length < 3) first.push(textOf(entry.key))
          entries++
          bytes += entry.value.length
        }
      })
    )
  )
  const [backward, backwardMs] = yield* timed(keysOf(db, { lt: key, reverse: true, limit: 3 }))

  return {
    get: { key, bytes: value?.length ?? -1, milliseconds: getMs, againMilliseconds: againMs, metadata },
    random: { gets: randomGets, milliseconds: randomMs },
    prefix: { prefix, entries, bytes, milliseconds: prefixMs, first },
    backward: { lt: key, milliseconds: backwardMs, keys: backward },
    snapshot: yield* snapshotStandsStill(db, keys)
  } satisfies QueryAnswers
})

const count = (read: Pick<DatabaseShape, "scan">) =>
  Effect.map(
    Stream.runFold(
      Stream.mapError(read.scan(), explain),
      () => 0,
      (n) => n + 1
    ),
    (n) => n
  )

/** Takes a snapshot, overwrites some keys and deletes others, compares what the snapshot says with what it said, and puts everything back. */
const snapshotStandsStill = (db: DatabaseShape, keys: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const step = Math.max(1, Math.floor(keys.length / 200))
      const touched = keys.filter((_, i) => i % step === 0)
      const overwritten = touched.filter((_, i) => i % 2 === 0)
      const deleted = touched.filter((_, i) => i % 2 === 1)
      const snapshot = yield* Effect.mapError(db.snapshot, explain)
      const entriesBefore = yield* count(snapshot)
      const before = yield* Effect.mapError(snapshot.getMany(touched), explain)
      yield* Effect.mapError(
        db.write([
          ...overwritten.map((key) => ({ type: "put" as const, key, value: "overwritten" })),
          ...deleted.map((key) => ({ type: "delete" as const, key }))
        ]),
        explain
      )
      const entriesNow = yield* count(db)
      const entriesInSnapshot = yield* count(snapshot)
      const after = yield* Effect.mapError(snapshot.getMany(touched), explain)
      const now = yield* Effect.mapError(db.getMany(touched), explain)
      const moved = now.every((value, i) => (i % 2 === 0 ? value !== undefined && textOf(value) === "overwritten" : value === undefined))
      const unchanged =
        moved &&
        entriesBefore === entriesInSnapshot &&
        entriesNow === entriesBefore - deleted.length &&
        before.every((value, i) => value !== undefined && after[i] !== undefined && Buffer.compare(value, after[i]) === 0)
      for (const [i, key] of touched.entries()) yield* Effect.mapError(db.put(key, before[i]!, { durability: "buffered" }), explain)
      return {
        sequence: snapshot.sequence,
        overwritten: overwritten.length,
        deleted: deleted.length,
        entriesBefore,
        entriesInSnapshot,
        entriesNow,
        unchanged
      }
    })
  )
