import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Change } from "../../services/Changes.ts"
import type { DatabaseShape, Durability } from "../../services/Database.ts"
import type { Transaction, TransactionSpace } from "../../services/Transaction.ts"
import type { ProjectionError } from "./generations.ts"
import { decodeGeneration, encodeGeneration, generationKey, rowsKeyspace, servingKey } from "./projectionRows.ts"

/** Another generation serves now: this one has nothing left to do. */
export class Superseded extends Data.TaggedError("Superseded")<{}> {}

/** Writes what a change means for the projection into `target`, and nowhere else; `tx` is the transaction around it. It may run more than once for a change, of which one counts. */
export type Apply<E, R> = (target: TransactionSpace, change: Change, tx: Transaction) => Effect.Effect<void, E, R>

export interface Folding<E, R> {
  readonly db: DatabaseShape
  readonly name: string
  /** The generation's keyspace. */
  readonly target: string
  readonly apply: Apply<E, R>
  readonly relevant: (change: Change) => Change | undefined
  readonly batchChanges: number
  readonly durability: Durability
  /** Whether it stops once another generation serves. */
  readonly serving: boolean
}

/** Sequences after which the position is kept although nothing concerned the projection, and the log let go of: what a restart reads again at most. */
const sequencesKept = 1024

/** The changes and the position after them, or neither. */
const commit = <E, R>(
  { db, name, target, apply, durability, serving }: Folding<E, R>,
  changes: ReadonlyArray<Change>,
  next: number
): Effect.Effect<void, E | ProjectionError | Superseded, R> =>
  db.transaction(
    (tx) =>
      Effect.gen(function* () {
        const rows = yield* tx.keyspace(rowsKeyspace)
        if (serving && (yield* rows.getText(servingKey(name))) !== target) return yield* new Superseded()
        const row = yield* rows.get(generationKey(target))
        if (row === undefined) return yield* new Superseded()
        const stored = decodeGeneration(row).next
        // Somebody else folds it too, and was faster.
        if (stored >= next) return
        const space = yield* tx.keyspace(target)
        for (const change of changes) if (change.sequence >= stored) yield* apply(space, change, tx)
        yield* rows.put(generationKey(target), encodeGeneration({ name, next }))
      }),
    // Each attempt begins once the commit it lost to is visible, and that is all there is to wait for.
    { durability, retry: Schedule.forever }
  )

/** What is too much for one transaction may do for two; and what comes before a change that cannot be folded is not held up by it. */
const fold = <E, R>(
  folding: Folding<E, R>,
  changes: ReadonlyArray<Change>,
  next: number
): Effect.Effect<void, E | ProjectionError | Superseded, R> => {
  const whole = commit(folding, changes, next)
  if (changes.length < 2) return whole
  return Effect.catch(whole, (error) => {
    if (error instanceof Superseded) return Effect.fail(error)
    const half = changes.length >> 1
    const rest = changes.slice(half)
    return Effect.andThen(fold(folding, changes.slice(0, half), rest[0]!.sequence), fold(folding, rest, next))
  })
}

/**
 * Folds the feed from a sequence on: as it comes, for ever (`live`), or as far as there is one. Each chunk of it goes through `around`, and `reached` is told how far it is
 * folded: everything before is in the projection, and visible.
 */
export const follow = <E, R>(
  folding: Folding<E, R>,
  from: number,
  options: {
    readonly live: boolean
    readonly around: <A, E2, R2>(effect: Effect.Effect<A, E2, R2>) => Effect.Effect<A, E2, R2>
    readonly reached: (next: number) => void
  }
): Effect.Effect<void, E | ProjectionError | Superseded, R> =>
  Effect.suspend(() => {
    const { batchChanges, db, relevant, target } = folding
    let kept = from
    let released = from
    const keep = Effect.fnUntraced(function* (changes: ReadonlyArray<Change>, next: number) {
      yield* fold(folding, changes, next)
      kept = next
      if (next - released < sequencesKept) return
      yield* Effect.catchTag(db.advanceCursor(target, next), "CursorNotFound", () => Effect.void)
      released = next
    })
    const takeChunk = Effect.fnUntraced(function* (chunk: ReadonlyArray<Change>) {
      const next = chunk[chunk.length - 1]!.sequence + 1
      const changes = chunk.map(relevant).filter((change) => change !== undefined)
      for (let at = 0; at < changes.length; at += batchChanges) {
        const batch = changes.slice(at, at + batchChanges)
        yield* keep(batch, changes[at + batchChanges]?.sequence ?? next)
      }
      if (next - kept >= sequencesKept) yield* keep([], next)
      options.reached(next)
    })
    return Stream.runForEachArray(db.changes({ from, live: options.live }), (chunk) => options.around(takeChunk(chunk)))
  })
