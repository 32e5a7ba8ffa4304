/** What is done with a restore point while no database is open: a copy of it in a new directory, or the database itself set back to it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import {
  DatabaseLocked,
  fromFailure,
  InvalidOptions,
  InvalidRestorePointName,
  NotADatabase,
  PathExists,
  type RestoreError,
  RestorePointMismatch,
  RestorePointNotFound,
  RestorePointsBusy,
  type RollBackError
} from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { currentFileName, parseFileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestContent } from "../../domain/manifest/manifestFile.ts"
import { didYouMean } from "../../domain/options/didYouMean.ts"
import { show } from "../../domain/options/show.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { parsePointReference } from "../../domain/restorePoints/pointName.ts"
import type { VerifyReport } from "../../services/Database.ts"
import { LockFailure } from "../../services/DirectoryLock.ts"
import { Disk } from "../../services/Disk.ts"
import { Entropy } from "../../services/Entropy.ts"
import type { RestorePoint } from "../../services/RestorePoints.ts"
import type { WorkOptions } from "../../services/WorkProgress.ts"
import type { CheckpointReport } from "../maintenance/checkpoint.ts"
import { checkpointAsReader } from "../maintenance/checkpointAsReader.ts"
import { verifyAsReader } from "../maintenance/verifyVersion.ts"
import { WorkCounter } from "../maintenance/WorkCounter.ts"
import { readCurrentManifest } from "../recovery/readState.ts"
import { createPoint, lockPoints } from "./createPoint.ts"
import { describePoint, findPlace, listPlaces, openPoint, pointsBeside } from "./pointDirectory.ts"
import { rollBackTo } from "./rollBackTo.ts"

export interface RestoreOptions extends WorkOptions {
  /** The database whose restore point it is. It may be gone. */
  readonly path: string
  /** A restore point (`nightly`, `nightly@2`), or the path of any checkpoint or closed database, which contains a "/". */
  readonly from: string
  /** A directory that is not there yet. Default: `path`. */
  readonly to?: string | undefined
  /** The directory of the restore points. Default: `path` and `.checkpoints`. */
  readonly checkpoints?: string | undefined
  /** Whether every block is read and checked before anything is made of it. Default true. */
  readonly verify?: boolean | undefined
}

export interface RollBackOptions extends WorkOptions {
  readonly path: string
  /** A restore point: `nightly`, `nightly@2`. */
  readonly to: string
  readonly checkpoints?: string | undefined
  /** Whether every block of the restore point is read and checked first. Default true. */
  readonly verify?: boolean | undefined
  /** Whether what is there now becomes a restore point itself, `before-rollback-…`, before anything is changed. Default true. */
  readonly keepPresent?: boolean | undefined
}

export interface RollBackReport {
  readonly path: string
  /** What the database is now. */
  readonly point: RestorePoint
  /** What it was; undefined where that was not to be kept. */
  readonly kept: RestorePoint | undefined
}

/** Of the memtables a log is replayed into. */
const memtableBytes = 16 << 20

const isPath = (given: unknown): boolean => typeof given === "string" && given !== "" && !given.includes("\0")

/** Throws `InvalidOptions`. */
const checkOptions = (
  what: string,
  given: unknown,
  required: ReadonlyArray<string>,
  paths: ReadonlyArray<string>,
  flags: ReadonlyArray<string>
): void => {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidOptions({ problems: [`${what} takes an object with ${required.join(" and ")}, found ${show(given)}`] })
  const names = [...required, ...paths, ...flags, "onStart"]
  const problems: Array<string> = []
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name)) {
      const meant = didYouMean(name, names)
      problems.push(
        `${JSON.stringify(name)} is not an option; ${meant === undefined ? `the options are ${names.join(", ")}` : `did you mean ${meant}?`}`
      )
    } else if (flags.includes(name) && value !== undefined && typeof value !== "boolean")
      problems.push(`${name} must be true or false, found ${show(value)}`)
  }
  const values: { readonly [name: string]: unknown } = { ...given }
  for (const name of [...required, ...paths]) {
    const value = values[name]
    if (value === undefined && paths.includes(name)) continue
    if (!isPath(value)) problems.push(`${name} must be text, not empty, found ${show(value)}`)
  }
  if (problems.length > 0) throw new InvalidOptions({ problems })
}

/** Unlike a name, a path has a separator in it. */
const isCheckpointPath = (from: string): boolean => parsePointReference(from) === undefined && /[\\/]/.test(from)

/** Whether a database is there at all. Throws `NotADatabase`, `IoFailure`. */
const demandDatabase = (disk: Disk["Service"], directory: string): void => {
  if (disk.sync.stat(directory)?.kind !== "directory" || disk.sync.stat(`${directory}/${currentFileName}`) === undefined)
    throw new NotADatabase({ path: directory })
}

const verified = (
  disk: Disk["Service"],
  directory: string,
  options: { readonly verify?: boolean | undefined } & WorkOptions
): Effect.Effect<VerifyReport | undefined, Damage | IoFailure> => {
  if (options.verify === false) return Effect.succeed(undefined)
  const counter = new WorkCounter()
  return verifyAsReader({ disk, directory, memtableBytes }, { counter, onStart: () => counter.start(options) })
}

/** The highest id in the restore points of the directory: what is made there must not use one again, or they could not be rolled back to. */
const highestPointId = (disk: Disk["Service"], points: string): number => {
  let highest = 0
  for (const { path } of listPlaces(disk.sync, points)) {
    for (const name of disk.sync.list(path)) highest = Math.max(highest, parseFileName(name)?.id ?? 0)
  }
  return highest
}

/** A database in a new directory from a restore point or a checkpoint, which is not touched. Cut short, the directory is no database, and can be removed. */
export const restore = (options: RestoreOptions): Effect.Effect<CheckpointReport, RestoreError, Disk | Entropy> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const entropy = yield* Entropy
    checkOptions("restore", options, ["path", "from"], ["to", "checkpoints"], ["verify"])
    const { checkpoints = pointsBeside(options.path), from, to = options.path } = options
    if ((yield* disk.stat(to)) !== undefined) return yield* new PathExists({ path: to })
    let directory = from
    if (isCheckpointPath(from)) demandDatabase(disk, from)
    else {
      const place = findPlace(disk.sync, checkpoints, from)
      openPoint(disk.sync, place)
      directory = place.path
    }
    yield* verified(disk, directory, options)
    return yield* checkpointAsReader({ disk, entropy, directory, memtableBytes }, to, highestPointId(disk, pointsBeside(to)))
  }).pipe(
    Effect.catchDefect((cause) => (isProblem(cause) ? Effect.fail(cause) : Effect.die(cause))),
    Effect.mapError((error): RestoreError => (error instanceof Damage || error instanceof IoFailure ? fromFailure(error) : (error as RestoreError)))
  )

/**
 * Sets a closed database back to a restore point, whole, by one rename. What is there now is kept as a restore point first. The database gets a new lineage: a feed reader that is
 * further hears `HistoryDiverged`.
 */
export const rollBack = (options: RollBackOptions): Effect.Effect<RollBackReport, RollBackError, Disk | Entropy> =>
  Effect.scoped(
    Effect.gen(function* () {
      const disk = yield* Disk
      const entropy = yield* Entropy
      checkOptions("rollBack", options, ["path", "to"], ["checkpoints"], ["verify", "keepPresent"])
      const { checkpoints = pointsBeside(options.path), keepPresent = true, path, to } = options
      if (disk.sync.stat(path)?.kind !== "directory") return yield* new NotADatabase({ path })
      // A mistyped path or name must leave nothing behind, not even a lock.
      findPlace(disk.sync, checkpoints, to)
      yield* Effect.acquireRelease(
        Effect.sync(() => disk.lock(path)),
        (lock) => Effect.sync(lock.release)
      )
      yield* lockPoints(disk, checkpoints)
      const place = findPlace(disk.sync, checkpoints, to)
      const { point, state } = openPoint(disk.sync, place)
      const present = readPresent(disk, path, keepPresent)
      if (present !== undefined && compareBytes(present.state.uuid, point.uuid) !== 0)
        throw new RestorePointMismatch({ path: place.path, detail: "it is of another database" })
      yield* verified(disk, place.path, options)
      const nowMs = Math.max(yield* Clock.currentTimeMillis, present?.state.engineTimeMs ?? 0)
      const kept =
        present === undefined || !keepPresent
          ? undefined
          : yield* createPoint(
              { disk, points: checkpoints, nowMs: () => nowMs, sourceLineageId: () => present.state.lineageId },
              {
                name: `before-rollback-${stamp(nowMs)}`,
                reason: `what was there before it was rolled back to ${describePoint(place, point).id}`,
                keep: Infinity
              },
              (target) => checkpointAsReader({ disk, entropy, directory: path, memtableBytes }, target)
            )
      // What the present has given out is in its manifest; without that, the restore points tell what may not be given out again.
      const idsAbove = present === undefined ? highestPointId(disk, checkpoints) : 0
      rollBackTo({ disk: disk.sync, directory: path, present, source: place.path, target: state, idsAbove, nowMs, randomBytes: entropy.bytes })
      return { path, point: describePoint(place, point), kept }
    })
  ).pipe(
    Effect.catchDefect((cause) => (isProblem(cause) ? Effect.fail(cause) : Effect.die(cause))),
    Effect.mapError((error): RollBackError => {
      if (error instanceof Damage || error instanceof IoFailure) return fromFailure(error)
      if (error instanceof LockFailure)
        return new DatabaseLocked({ path: error.path, ...(error.heldByPid === undefined ? {} : { pid: error.heldByPid }) })
      return error as RollBackError
    })
  )

/** What is not to be kept need not be readable. Throws `Damage`, `IoFailure`. */
const readPresent = (disk: Disk["Service"], path: string, keepPresent: boolean): ManifestContent | undefined => {
  try {
    const present = readCurrentManifest(disk.sync, path, "read")
    if (present === undefined && keepPresent) throw new Damage(`${path}/${currentFileName}`, 0, "Missing", "it names the manifest")
    return present
  } catch (cause) {
    if (!keepPresent && cause instanceof Damage) return undefined
    throw cause
  }
}

/** 2026-11-21T21-13-44Z: a moment as a file name may hold it. */
const stamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replaceAll(":", "-")}Z`

const isProblem = (cause: unknown): cause is RestoreError | RollBackError | Damage | IoFailure | LockFailure =>
  cause instanceof Damage ||
  cause instanceof IoFailure ||
  cause instanceof LockFailure ||
  cause instanceof InvalidOptions ||
  cause instanceof InvalidRestorePointName ||
  cause instanceof RestorePointNotFound ||
  cause instanceof RestorePointMismatch ||
  cause instanceof RestorePointsBusy ||
  cause instanceof NotADatabase
