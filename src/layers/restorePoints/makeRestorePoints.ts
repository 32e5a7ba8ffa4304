import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import {
  type CheckpointError,
  type CreateRestorePointError,
  fromFailure,
  fromReadFailure,
  type Gone,
  InvalidOptions,
  InvalidRestorePointName,
  NotADatabase,
  DiskError,
  RestorePointMismatch,
  RestorePointNotFound,
  type RestorePointReadError
} from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import type { Disk } from "../../services/Disk.ts"
import type { RestorePoints } from "../../services/RestorePoints.ts"
import type { CheckpointReport } from "../maintenance/checkpoint.ts"
import { verifyAsReader, type VerifyWatch } from "../maintenance/verifyVersion.ts"
import { WorkCounter } from "../maintenance/WorkCounter.ts"
import { checkCreate, createPoint, lockPoints } from "./createPoint.ts"
import { findPlace, listPlaces, listPoints, openPoint, removePoint } from "./pointDirectory.ts"

/** What is thrown here as it is handed out; anything else is a defect. */
export const readProblem = (cause: unknown): RestorePointReadError =>
  cause instanceof InvalidRestorePointName || cause instanceof RestorePointNotFound || cause instanceof RestorePointMismatch
    ? cause
    : fromReadFailure(cause)

/** Reads and checks a restore point, from its note down to every block. */
export const verifyPoint = (
  parts: { readonly disk: Pick<Disk["Service"], "sync">; readonly points: string; readonly memtableBytes: number },
  reference: string,
  watch: VerifyWatch
) =>
  Effect.suspend(() => {
    const { disk, memtableBytes, points } = parts
    const place = findPlace(disk.sync, points, reference)
    try {
      openPoint(disk.sync, place)
    } catch (cause) {
      if (!(cause instanceof Damage) || watch.onDamage === undefined) throw cause
      watch.onDamage(cause)
    }
    return verifyAsReader({ disk, directory: place.path, memtableBytes }, watch)
  }).pipe(Effect.catchDefect((cause) => (isProblem(cause) ? Effect.fail(cause) : Effect.die(cause))))

const isProblem = (cause: unknown): cause is Damage | IoFailure | InvalidRestorePointName | RestorePointNotFound | RestorePointMismatch =>
  cause instanceof Damage ||
  cause instanceof IoFailure ||
  cause instanceof InvalidRestorePointName ||
  cause instanceof RestorePointNotFound ||
  cause instanceof RestorePointMismatch

/** The restore points of one open database. `guarded` refuses them once it closes, and ends what is under way then. */
export const makeRestorePoints = (parts: {
  readonly disk: Disk["Service"]
  readonly points: string
  readonly memtableBytes: number
  readonly nowMs: () => number
  readonly lineageId: () => Uint8Array
  readonly checkpoint: (path: string) => Effect.Effect<CheckpointReport, CheckpointError>
  readonly guarded: <A, E>(run: Effect.Effect<A, E>) => Effect.Effect<A, E | Gone>
  /** Lets few verifications run at once. */
  readonly verifying: <A, E>(run: Effect.Effect<A, E>) => Effect.Effect<A, E>
}): Effect.Effect<RestorePoints> =>
  Effect.gen(function* () {
    const { checkpoint, disk, guarded, lineageId, nowMs, points, verifying } = parts
    /** Two of one database wait for each other; somebody else's are refused. */
    const queue = yield* Semaphore.make(1)

    const changing = <A, E>(run: Effect.Effect<A, E>) => queue.withPermit(Effect.scoped(Effect.andThen(lockPoints(disk, points), run)))

    const create: RestorePoints["createRestorePoint"] = (options) =>
      guarded(
        Effect.suspend(() => {
          const wanted = checkCreate(options)
          return changing(createPoint({ disk, points, nowMs, sourceLineageId: lineageId }, wanted, checkpoint))
        }).pipe(
          Effect.catchDefect((cause) =>
            cause instanceof InvalidOptions || cause instanceof InvalidRestorePointName ? Effect.fail(cause) : Effect.die(cause)
          ),
          Effect.mapError((error): CreateRestorePointError =>
            error instanceof IoFailure
              ? fromFailure(error)
              : error instanceof NotADatabase
                ? new DiskError({ operation: "read", path: error.path, code: "ENOENT" })
                : error
          )
        )
      )

    /** The one that a removal means: of several versions it must say which. */
    const findOne = (reference: string) => {
      const place = findPlace(disk.sync, points, reference)
      const others = reference.includes("@") ? [] : listPlaces(disk.sync, points).filter(({ name }) => name === place.name)
      if (others.length > 1) {
        const versions = others.map(({ name, version }) => `${name}@${version}`).join(", ")
        throw new InvalidRestorePointName({ name: reference, detail: `there are ${versions}: say which` })
      }
      return place
    }
    const attempted = <A>(run: () => A) =>
      Effect.try({
        try: run,
        catch: (cause) => (cause instanceof InvalidRestorePointName || cause instanceof RestorePointNotFound ? cause : fromFailure(cause))
      })

    const remove: RestorePoints["removeRestorePoint"] = (reference) =>
      guarded(
        // Looked for first: a mistyped path must leave nothing behind, not even a lock.
        Effect.andThen(
          attempted(() => findOne(reference)),
          changing(attempted(() => removePoint(disk.sync, points, findOne(reference))))
        ).pipe(Effect.mapError((error) => (error instanceof IoFailure ? fromFailure(error) : error)))
      )

    return {
      createRestorePoint: create,
      restorePoints: guarded(Effect.try({ try: () => listPoints(disk.sync, points), catch: fromReadFailure })),
      verifyRestorePoint: (reference, options) =>
        guarded(
          Effect.suspend(() => {
            const counter = new WorkCounter()
            return verifying(Effect.mapError(verifyPoint(parts, reference, { counter, onStart: () => counter.start(options) }), readProblem))
          })
        ),
      removeRestorePoint: remove
    }
  })
