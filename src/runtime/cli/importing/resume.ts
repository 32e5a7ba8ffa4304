/**
 * Where an unfinished import is, kept in the database itself: each batch of a longer import puts it in the same write, so that it is exactly what is stored, however the process ends. The
 * last batch takes it away. An import of one batch leaves no trace at all.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { DatabaseShape, WriteOperation } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import type { ImportBatch, ImportPlace } from "./batches.ts"
import type { SourceIdentity } from "./input.ts"
import { importsKeyspace } from "./position.ts"

/** The value of the row of an unfinished import, as JSON. */
export interface StoredPlace extends ImportPlace {
  readonly version: 1
  readonly sources: ReadonlyArray<SourceIdentity>
  /** What else decides what is stored, as text. */
  readonly options: string
  readonly entries: number
  readonly bytes: number
}

/** What an import is known by when it is run again. */
export interface ImportIdentity {
  readonly sources: ReadonlyArray<SourceIdentity>
  /** The keyspace it goes to; "" for the default one. */
  readonly keyspace: string
  readonly options: string
}

const keyOf = ({ keyspace, sources }: ImportIdentity): string =>
  createHash("sha256")
    .update(JSON.stringify([keyspace, sources.map(({ path }) => path)]))
    .digest("hex")

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/** `undefined` for a row that another version of lightning wrote, or nobody. */
const parsePlace = (text: string): StoredPlace | undefined => {
  let found: Partial<StoredPlace> | null
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof found !== "object" || found === null) return undefined
  const { bytes, end, entries, lines, options, problems, skips, source, sources, sum, version } = found
  if (version !== 1 || typeof options !== "string" || !Array.isArray(sources) || typeof skips !== "object") return undefined
  if (!isCount(source) || !isCount(end) || !isCount(lines) || !isCount(sum) || !isCount(problems) || !isCount(entries) || !isCount(bytes))
    return undefined
  return { version, sources, options, source, end, lines, sum, problems, skips, entries, bytes }
}

export type FoundPlace =
  | { readonly type: "none" }
  /** There is one, and it is of no use any more. */
  | { readonly type: "void"; readonly reason: string }
  | { readonly type: "found"; readonly place: StoredPlace }

const exists = (db: DatabaseShape): Effect.Effect<boolean, CliFailure> =>
  Effect.map(Effect.mapError(db.keyspaces, explain), (keyspaces) => keyspaces.some(({ name }) => name === importsKeyspace))

/** What an earlier run of this import left. Whether a tree is still the same is for the caller to see. */
export const findPlace = Effect.fnUntraced(function* (db: DatabaseShape, identity: ImportIdentity): Effect.fn.Return<FoundPlace, CliFailure> {
  if (!(yield* exists(db))) return { type: "none" }
  const rows = yield* Effect.mapError(db.keyspace(importsKeyspace), explain)
  const text = yield* Effect.mapError(rows.getText(keyOf(identity)), explain)
  if (text === undefined) return { type: "none" }
  const place = parsePlace(text)
  if (place === undefined) return { type: "void", reason: "what the last run noted cannot be read" }
  if (place.options !== identity.options) return { type: "void", reason: "the last run had other options" }
  const changed = identity.sources.find(
    ({ mtimeMs, size }, i) => size !== undefined && (size !== place.sources[i]?.size || mtimeMs !== place.sources[i]?.mtimeMs)
  )
  return changed === undefined ? { type: "found", place } : { type: "void", reason: `${changed.path} has changed since` }
})

/** Keeps the place of one import. */
export interface Checkpoint {
  /** What to write with a batch; `entries` and `bytes` are of the whole import, this batch included. */
  readonly operations: (batch: ImportBatch, entries: number, bytes: number) => Effect.Effect<ReadonlyArray<WriteOperation>, CliFailure>
  /** Whether there is a row now, so that another run goes on from here. */
  readonly isKept: () => boolean
  /** After the last batch: the keyspace goes when nothing is in it. */
  readonly finish: Effect.Effect<void, CliFailure>
}

/** `stored`: there is a row of this import already. */
export const makeCheckpoint = (db: DatabaseShape, identity: ImportIdentity, stored: boolean): Checkpoint => {
  const key = keyOf(identity)
  let isStored = stored
  let isMade = false
  return {
    isKept: () => isStored,
    operations: Effect.fnUntraced(function* (batch: ImportBatch, entries: number, bytes: number) {
      const finished = batch.last && batch.stop === undefined
      if (!isStored && batch.last) return []
      if (!isMade) yield* Effect.mapError(db.keyspace(importsKeyspace), explain)
      isMade = true
      isStored = !finished
      if (finished) return [{ type: "delete", key, keyspace: importsKeyspace }]
      const place: StoredPlace = { version: 1, sources: identity.sources, options: identity.options, ...batch.place, entries, bytes }
      return [{ type: "put", key, value: JSON.stringify(place), keyspace: importsKeyspace }]
    }),
    finish: Effect.gen(function* () {
      // Also what a run left that was killed between its last batch and here.
      if (isStored || !(yield* exists(db))) return
      const rows = yield* Effect.mapError(db.keyspace(importsKeyspace), explain)
      const first = yield* Effect.mapError(Stream.runCollect(rows.scan({ limit: 1 })), explain)
      if (first.length === 0) yield* Effect.mapError(db.dropKeyspace(importsKeyspace), explain)
    })
  }
}
