/** One side of a comparison: a database opened for reading, as it is now or as it was. */
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { HistoryGone, KeyspaceNotFound } from "../../../domain/errors.ts"
import type { DatabaseShape, Entry, Reads, ScanRange } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { Opener } from "../Opener.ts"

export interface Side {
  readonly path: string
  readonly db: DatabaseShape
  /** The commit to look at; `undefined` is the newest. */
  readonly at: number | undefined
  /** Names of its keyspaces besides the default one. */
  readonly names: ReadonlySet<string>
}

export const openSide = Effect.fnUntraced(function* (path: string, at: number | undefined) {
  const opener = yield* Opener
  const db = yield* Effect.mapError(opener.open({ path, readOnly: true }), (error) => {
    const failure = explain(error)
    const isNone = failure.tag === "NotADatabase" || failure.tag === "PathIsFile"
    return isNone
      ? new CliFailure({ ...failure, message: failure.message, hint: "diff takes the directories of two databases or checkpoints." })
      : failure
  })
  const names = (yield* Effect.mapError(db.keyspaces, explain)).map(({ name }) => name)
  if (at === undefined) return { path, db, at, names: new Set(names) } satisfies Side
  // Of the keyspaces there are now, those that were there then.
  const past = yield* Effect.mapError(db.at(at), (error) => explainPast(path, error))
  const then = new Set<string>()
  for (const name of names) {
    const found = yield* Effect.result(past.keyspace(name))
    if (found._tag === "Success") then.add(name)
    else if (!(found.failure instanceof KeyspaceNotFound)) return yield* explainPast(path, found.failure)
  }
  return { path, db, at, names: then } satisfies Side
})

const explainPast = (path: string, error: unknown): CliFailure => {
  const failure = explain(error)
  return error instanceof HistoryGone
    ? new CliFailure({
        ...failure,
        message: `${path}: ${failure.message}`,
        hint: "History is kept only where the database was opened with retention.history."
      })
    : failure
}

/** The entries of a keyspace ("": the default one) in key order, in chunks, and `undefined` at the end. */
export interface EntryPull {
  readonly next: Effect.Effect<ReadonlyArray<Entry> | undefined, CliFailure>
}

const readsOf = Effect.fnUntraced(function* (side: Side, keyspace: string) {
  const { at, db } = side
  if (at === undefined) return (keyspace === "" ? db : yield* db.keyspace(keyspace)) satisfies Reads
  const past = yield* db.at(at)
  return (keyspace === "" ? past : yield* past.keyspace(keyspace)) satisfies Reads
})

/**
 * Reads the range once, with one chunk in memory. A long comparison outlives the lease of a scan: it is begun again behind the last key, which shows the same moment, as a
 * database that is opened for reading stands still.
 */
export const pullOf = Effect.fnUntraced(function* (side: Side, keyspace: string, range: ScanRange) {
  const start = (from: ScanRange) => Effect.flatMap(readsOf(side, keyspace), (reads) => Stream.toPull(reads.scan(from, { expiry: true })))
  let pull = yield* Effect.mapError(start(range), explain)
  let last: Uint8Array | undefined
  const next: Effect.Effect<ReadonlyArray<Entry> | undefined, CliFailure, Effect.Services<ReturnType<typeof start>>> = Effect.suspend(() =>
    Pull.catchDone(pull, () => Effect.undefined).pipe(
      Effect.tap((entries) =>
        Effect.sync(() => {
          last = entries?.at(-1)?.key ?? last
        })
      ),
      Effect.catch((error) => {
        if (error._tag !== "SnapshotExpired") return Effect.fail(explain(error))
        const { gt: _gt, gte: _gte, ...rest } = range
        return Effect.flatMap(Effect.mapError(start(last === undefined ? range : { ...rest, gt: last }), explain), (again) => {
          pull = again
          return next
        })
      })
    )
  )
  const context = yield* Effect.context<Effect.Services<typeof next>>()
  return { next: Effect.provideContext(next, context) } satisfies EntryPull
})
