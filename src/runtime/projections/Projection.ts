/**
 * Projections: keyspaces that are folded from the change feed, each with its position in the same transaction.
 *
 * ```ts
 * yield* Projection.run(db, {
 *   name: "totals",
 *   filter: { keyspace: "orders" },
 *   apply: (totals, change) => …
 * })
 * yield* Projection.awaitSequence(db, "totals", sequence)
 * const totals = yield* Projection.snapshot(db, "totals")
 * ```
 *
 * Promises:
 * - Every change is folded exactly once, in commit order, whatever is interrupted, crashes or is started twice: what `apply` writes and the position commit together.
 * - `apply` that fails stops the projection right before the change it failed on, with its error. Conflicts are retried.
 * - The log is kept until the projection has read it, by a durable cursor.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import {
  FutureMoment,
  HistoryDiverged,
  HistoryGone,
  ProjectionNotFound,
  ProjectionStopped,
  type ReadError,
  KeyspaceNotFound,
  type SnapshotError
} from "../../domain/errors.ts"
import type { DatabaseShape, Durability, Keyspace, Reads, Snapshot } from "../../services/Database.ts"
import { type Apply, type Folding, follow, Superseded } from "./fold.ts"
import { dropGeneration, dropLeftovers, type ProjectionError, reserve, serve, type Serving, servingIn, servingOf } from "./generations.ts"
import { markKey, rowsKeyspace } from "./projectionRows.ts"
import { type ProjectionState, stateOf } from "./registry.ts"
import { type ProjectionFilter, relevant } from "./relevant.ts"

export type { Apply } from "./fold.ts"
export type { ProjectionError } from "./generations.ts"
export type { ProjectionFilter } from "./relevant.ts"

export interface ProjectionOptions<E = never, R = never, InitialE = never, InitialR = never> {
  /** Its name in the database: position and content belong to it. */
  readonly name: string
  /** What of the feed is folded. Default: everything but what projections write. */
  readonly filter?: ProjectionFilter | undefined
  /** What the keyspaces of its generations are called after. Default: its name. */
  readonly keyspace?: string | undefined
  /** The first sequence folded where it begins without `initial`. Default: the first there was, which is long gone where the log is not kept (`retention.log`). */
  readonly from?: number | undefined
  readonly apply: Apply<E, R>
  /**
   * Fills a new generation from a consistent snapshot; the changes after that are folded into it. With it a projection can begin, and be rebuilt, where the log no longer reaches
   * back to the beginning: `run` does that by itself then, instead of failing with `HistoryGone`.
   */
  readonly initial?: ((target: Keyspace, snapshot: Snapshot) => Effect.Effect<void, InitialE, InitialR>) | undefined
  /** Changes folded in one transaction at most. Default 256. */
  readonly batchChanges?: number | undefined
  /** Of its transactions. Default "buffered": after a power cut what is lost of them is folded again. */
  readonly durability?: Durability | undefined
}

/** A projection that is being folded, until its scope closes. */
export interface Running<E = never> {
  readonly name: string
  /** Waits for its end: fails with what stopped it, succeeds where a rebuilt one took its place. */
  readonly join: Effect.Effect<void, E | ProjectionError>
}

/** A view of the projection that never changes. */
export interface ProjectionSnapshot extends Reads {
  /** Everything up to this sequence is folded into it, and nothing after. */
  readonly position: number
  /** The last sequence of the snapshot of the whole database around it. */
  readonly sequence: number
}

/** Its errors and needs taken together. */
type Definition<E, R> = ProjectionOptions<E, R, E, R>

const foldingOf = <E, R>(db: DatabaseShape, options: Definition<E, R>, target: string, serving: boolean): Folding<E, R> => ({
  db,
  name: options.name,
  target,
  apply: options.apply,
  relevant: relevant(options.filter),
  batchChanges: Math.max(1, Math.floor(options.batchChanges ?? 256)),
  durability: options.durability ?? "buffered",
  serving
})

const visibleSequence = (db: DatabaseShape): Effect.Effect<number, SnapshotError> =>
  Effect.scoped(Effect.map(db.snapshot, (snapshot) => snapshot.sequence))

/** Of a position that the log does not lead on from. */
const isGone = (error: unknown): error is HistoryGone | HistoryDiverged => error instanceof HistoryGone || error instanceof HistoryDiverged

/** The cursor that keeps the log from `next` on. In a copy of a database those of the original mean nothing. */
const keepLog = (db: DatabaseShape, target: string, next: number) =>
  Effect.catchTag(db.createCursor(target, next), "HistoryDiverged", (error) =>
    db.dropCursor(target).pipe(
      Effect.catchTag("CursorNotFound", () => Effect.fail(error)),
      Effect.andThen(db.createCursor(target, next))
    )
  )

/** Fills a generation, and lets it serve instead of the one that did, which is dropped. */
const fill = Effect.fnUntraced(function* <E, R>(db: DatabaseShape, options: Definition<E, R>, state: ProjectionState, target: string) {
  const { name, initial, from = 0 } = options
  const seed = Effect.scoped(
    Effect.gen(function* () {
      if (initial === undefined) return (yield* keepLog(db, target, from)).next
      const snapshot = yield* db.snapshot
      yield* keepLog(db, target, snapshot.sequence + 1)
      yield* initial(yield* db.keyspace(target), snapshot)
      return snapshot.sequence + 1
    })
  )
  const folding = foldingOf(db, options, target, false)
  /** Folds what there is. */
  const catchUp = Effect.fnUntraced(function* (start: number) {
    const end = (yield* visibleSequence(db)) + 1
    let next = start
    const reached = (to: number) => {
      next = to
    }
    yield* follow(folding, start, { live: false, around: (chunk) => chunk, reached })
    return Math.max(next, end)
  })
  const seeded = yield* seed
  // Where nothing serves yet, this does at once. Else it folds most while the other one goes on, and the rest, little by then, while that stands still: so readers never see the
  // projection go back.
  const isFirst = (yield* servingOf(db, name)) === undefined
  const near = isFirst ? seeded : yield* catchUp(yield* catchUp(seeded))
  const { before, next } = yield* state.turn.withPermit(
    Effect.gen(function* () {
      const reached = isFirst ? seeded : yield* catchUp(near)
      // Whoever gives up here must know whether it serves.
      const replaced = yield* Effect.uninterruptible(serve(db, name, { target, next: reached }))
      state.advance(reached)
      return { before: replaced, next: reached }
    })
  )
  if (before !== undefined) yield* dropGeneration(db, before)
  return { target, next }
})

/** A new generation that serves. What fails or is interrupted leaves nothing behind, and what served before goes on. */
const build = <E, R>(db: DatabaseShape, options: Definition<E, R>, state: ProjectionState): Effect.Effect<Serving, E | ProjectionError, R> =>
  Effect.acquireUseRelease(
    reserve(db, options.name, options.keyspace ?? options.name, state),
    (target) =>
      Effect.catchIf(
        fill(db, options, state, target),
        (error): error is Superseded => error instanceof Superseded,
        () => Effect.fail(new KeyspaceNotFound({ name: target }))
      ),
    (target, exit) =>
      Effect.suspend(() => {
        state.building.delete(target)
        return Exit.isSuccess(exit) ? Effect.void : Effect.ignore(dropLeftovers(db, options.name, state))
      })
  )

/** Folds on from where a generation stands, for as long as it serves; begins anew where the log is gone, if it knows how. */
const foldOn = <E, R>(
  db: DatabaseShape,
  options: Definition<E, R>,
  state: ProjectionState,
  { target, next }: Serving
): Effect.Effect<void, E | ProjectionError, R> =>
  follow(foldingOf(db, options, target, true), next, {
    live: true,
    around: state.folding,
    reached: (reached) => state.advance(reached)
  }).pipe(
    Effect.catch((error) => {
      if (error instanceof Superseded) return Effect.void
      if (!isGone(error) || options.initial === undefined) return Effect.fail(error)
      return Effect.flatMap(build(db, options, state), (serving) => foldOn(db, options, state, serving))
    })
  )

/** The fiber that folds, until the scope closes. */
const start = <E, R>(
  db: DatabaseShape,
  options: Definition<E, R>,
  state: ProjectionState,
  serving: Serving
): Effect.Effect<Running<E>, never, R | Scope.Scope> =>
  foldOn(db, options, state, serving).pipe(
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(`the projection ${JSON.stringify(options.name)} has stopped`, cause)
    ),
    Effect.forkScoped,
    Effect.map((fiber) => {
      state.begin()
      fiber.addObserver((exit) => state.end(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? Cause.squash(exit.cause) : undefined))
      return { name: options.name, join: Fiber.join(fiber) }
    })
  )

/**
 * Folds the feed into the projection, from where it stands, until the scope closes. One that never ran is begun: by `initial`, or by folding the log from `from` on.
 *
 * **Details** Answers as soon as there is something to read (`snapshot`, `keyspace`), which may be behind: `awaitSequence` waits until it is not. The readers of a projection that
 * has stopped find it where it stopped.
 */
export const run = Effect.fnUntraced(function* <E = never, R = never, InitialE = never, InitialR = never>(
  db: DatabaseShape,
  given: ProjectionOptions<E, R, InitialE, InitialR>
): Effect.fn.Return<Running<E | InitialE>, E | InitialE | ProjectionError, R | InitialR | Scope.Scope> {
  const options: Definition<E | InitialE, R | InitialR> = given
  const { name, initial } = options
  const state = stateOf(db, name)
  const serving = yield* state.setup.withPermit(
    Effect.gen(function* () {
      yield* db.keyspace(rowsKeyspace)
      yield* dropLeftovers(db, name, state)
      const there = yield* servingOf(db, name)
      if (there === undefined) return yield* build(db, options, state)
      return yield* Effect.as(keepLog(db, there.target, there.next), there).pipe(
        Effect.catchIf(
          (error): error is HistoryGone | HistoryDiverged => isGone(error) && initial !== undefined,
          () => build(db, options, state)
        )
      )
    })
  )
  state.advance(serving.next)
  return yield* start(db, options, state, serving)
})

/**
 * Builds the projection anew, from `initial` or from the log, while what there is of it goes on to serve, and to be folded where `run` does that; then the new generation takes
 * its place in one step, and is folded until the scope closes. What was folding the old one ends.
 */
export const rebuild = Effect.fnUntraced(function* <E = never, R = never, InitialE = never, InitialR = never>(
  db: DatabaseShape,
  given: ProjectionOptions<E, R, InitialE, InitialR>
): Effect.fn.Return<Running<E | InitialE>, E | InitialE | ProjectionError, R | InitialR | Scope.Scope> {
  const options: Definition<E | InitialE, R | InitialR> = given
  const state = stateOf(db, options.name)
  yield* db.keyspace(rowsKeyspace)
  yield* dropLeftovers(db, options.name, state)
  return yield* start(db, options, state, yield* build(db, options, state))
})

/** The last sequence that is folded into the projection, as it is kept in the database; undefined where there is none of the name. */
export const position = (db: DatabaseShape, name: string) =>
  Effect.map(servingOf(db, name), (serving) => (serving === undefined ? undefined : serving.next - 1))

/** A view of the projection, its content and its position from one moment, until the scope closes. */
export const snapshot = Effect.fnUntraced(function* (
  db: DatabaseShape,
  name: string
): Effect.fn.Return<ProjectionSnapshot, ProjectionNotFound | KeyspaceNotFound | SnapshotError | ReadError, Scope.Scope> {
  const whole = yield* db.snapshot
  const serving = yield* servingIn(whole, name)
  if (serving === undefined) return yield* new ProjectionNotFound({ name })
  const reads = yield* whole.keyspace(serving.target)
  return { ...reads, position: serving.next - 1, sequence: whole.sequence }
})

/** The keyspace that serves the projection now. Once a rebuilt one has taken its place its reads fail with `KeyspaceDropped`: ask again then. Only `apply` may write to it. */
export const keyspace = Effect.fnUntraced(function* (db: DatabaseShape, name: string) {
  const serving = yield* servingOf(db, name)
  return serving === undefined ? yield* new ProjectionNotFound({ name }) : yield* db.keyspace(serving.target)
})

/** How often is looked whether the feed has woken those who fold, before it is made sure that it does. */
const looksMax = 16

/** A commit that means nothing, and which the feed shows to every projection. */
const mark = (db: DatabaseShape) => Effect.flatMap(db.keyspace(rowsKeyspace), (rows) => rows.put(markKey, "", { durability: "buffered" }))

/**
 * Waits until the projection holds everything up to `sequence` (default: what is visible now): to read what was just written. By signal; fails with `ProjectionStopped` where
 * nothing folds the projection in this process any more and it is not that far.
 */
export const awaitSequence = Effect.fnUntraced(function* (db: DatabaseShape, name: string, sequence?: number) {
  const state = stateOf(db, name)
  const visible = yield* visibleSequence(db)
  const wanted = sequence ?? visible
  if (wanted > visible) return yield* new FutureMoment({ asked: wanted, newest: visible, unit: "sequence" })
  const isThere = () => state.progress > wanted || !state.isRunning
  for (let looks = 0; ; looks++) {
    if (state.progress > wanted) return
    if (!state.isRunning) {
      const stored = yield* position(db, name)
      if (stored !== undefined && stored >= wanted) return
      return yield* new ProjectionStopped({ name, cause: state.cause })
    }
    if (state.isFolding) yield* state.until(() => isThere() || !state.isFolding)
    else if (looks < looksMax) yield* Effect.yieldNow
    else {
      // Commits of the engine's own are not in the feed, and it may be one of those that is waited for: then nothing comes, unless something does.
      if (state.marked <= wanted) state.marked = (yield* mark(db)).sequence
      yield* state.until(isThere)
    }
  }
})
