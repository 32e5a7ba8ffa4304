import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { InvalidOptions, InvalidRestorePointName, NotADatabase, RestorePointsBusy } from "../../domain/errors.ts"
import { didYouMean } from "../../domain/options/didYouMean.ts"
import { show } from "../../domain/options/show.ts"
import { IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import { encodePointFile, type PointFile, pointFileName, reasonBytesMax } from "../../domain/restorePoints/pointFile.ts"
import { makingDirectory, parsePointDirectory, pointDirectory, pointNameProblem } from "../../domain/restorePoints/pointName.ts"
import type { Disk } from "../../services/Disk.ts"
import { LockFailure } from "../../services/DirectoryLock.ts"
import type { CreateRestorePoint, RestorePoint } from "../../services/RestorePoints.ts"
import { crc32 } from "../crc32.ts"
import { makeDirectoryDurably, syncNameOf } from "../disk/makeDirectoryDurably.ts"
import type { CheckpointReport } from "../maintenance/checkpoint.ts"
import { readCurrentManifest, readWhole } from "../recovery/readState.ts"
import { clearUnfinished, describePoint, listPlaces, removePoint, removeQuietly } from "./pointDirectory.ts"

const optionNames = ["name", "reason", "keep"]

/** Throws `InvalidOptions`, `InvalidRestorePointName`. */
export const checkCreate = (given: unknown): { readonly name: string; readonly reason: string; readonly keep: number } => {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidOptions({ problems: [`a restore point is made with an object such as { name: "nightly" }, found ${show(given)}`] })
  const { keep = Infinity, name, reason = "" }: { readonly [K in keyof CreateRestorePoint]?: unknown } = given
  const problems: Array<string> = []
  for (const option of Object.keys(given)) {
    if (optionNames.includes(option)) continue
    const meant = didYouMean(option, optionNames)
    problems.push(
      `${JSON.stringify(option)} is not an option; ${meant === undefined ? `the options are ${optionNames.join(", ")}` : `did you mean ${meant}?`}`
    )
  }
  if (typeof reason !== "string" || !reason.isWellFormed() || new TextEncoder().encode(reason).length > reasonBytesMax)
    problems.push(`reason must be text of at most ${reasonBytesMax} bytes, found ${show(reason)}`)
  if (typeof keep !== "number" || (keep !== Infinity && (!Number.isSafeInteger(keep) || keep < 1)))
    problems.push(`keep must be a whole number from 1, found ${show(keep)}`)
  if (problems.length > 0) throw new InvalidOptions({ problems })
  const problem = pointNameProblem(name)
  if (problem !== undefined) throw new InvalidRestorePointName({ name: String(name), detail: problem })
  return { name: name as string, reason: reason as string, keep: keep as number }
}

/** Nobody else makes or removes restore points in the directory, which is made where it is missing, until the scope closes. */
export const lockPoints = (disk: Disk["Service"], points: string): Effect.Effect<void, IoFailure | RestorePointsBusy, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          if (disk.sync.stat(points) === undefined) makeDirectoryDurably(disk.sync, points)
          // Made by somebody who was stopped before its name was durable: a power cut would take every restore point in it.
          else if (listPlaces(disk.sync, points).length === 0) syncNameOf(disk.sync, points)
          return disk.lock(points)
        },
        catch: (cause) => {
          if (cause instanceof LockFailure)
            return new RestorePointsBusy({ path: points, ...(cause.heldByPid === undefined ? {} : { pid: cause.heldByPid }) })
          if (cause instanceof IoFailure) return cause
          throw cause
        }
      }),
      (lock) => Effect.sync(lock.release)
    )
  )

/** The next of its name; a directory that is in the way, whoever made it, is passed over. Throws `InvalidRestorePointName`, `IoFailure`. */
const nextVersion = (disk: Disk["Service"], points: string, name: string): number => {
  let last = 0
  for (const directory of disk.sync.list(points)) {
    const parsed = parsePointDirectory(directory)
    if (parsed === undefined || parsed.name.toLowerCase() !== name.toLowerCase()) continue
    // Some file systems would take the two for one.
    if (parsed.name !== name) throw new InvalidRestorePointName({ name, detail: `there is ${parsed.name}, which differs in capital letters only` })
    last = Math.max(last, parsed.version)
  }
  return last + 1
}

/**
 * Makes a restore point of what `make` copies into the directory it is handed. The caller holds the lock of `points`.
 *
 * It is made under a name that nothing lists, with its note, and all of it synced; one rename gives it its own name. Cut short before, the next call clears it away.
 */
export const createPoint = <E, R>(
  parts: { readonly disk: Disk["Service"]; readonly points: string; readonly sourceLineageId: () => Uint8Array; readonly nowMs: () => number },
  wanted: { readonly name: string; readonly reason: string; readonly keep: number },
  make: (path: string) => Effect.Effect<CheckpointReport, E, R>
): Effect.Effect<RestorePoint, E | IoFailure | InvalidRestorePointName | NotADatabase, R> =>
  Effect.gen(function* () {
    const { disk, nowMs, points, sourceLineageId } = parts
    const { keep, name, reason } = wanted
    const version = yield* attempt(() => {
      clearUnfinished(disk.sync, points)
      return nextVersion(disk, points, name)
    })
    const making = `${points}/${makingDirectory(name, version)}`
    const path = `${points}/${pointDirectory(name, version)}`
    const made = Effect.gen(function* () {
      const report = yield* make(making)
      const point = yield* attempt((): PointFile => {
        const content = readCurrentManifest(disk.sync, making, "read")
        if (content === undefined) throw new NotADatabase({ path: making })
        const manifest = readWhole(disk.sync, `${making}/${fileName("manifest", content.fileId)}`)
        return {
          name,
          version,
          uuid: content.state.uuid,
          lineageId: content.state.lineageId,
          sourceLineageId: sourceLineageId(),
          sequence: report.sequence,
          createdAtMs: nowMs(),
          reason,
          files: report.files,
          bytes: report.bytes,
          manifestId: content.fileId,
          manifestBytes: manifest.length,
          manifestSum: crc32(manifest)
        }
      })
      const notePath = `${making}/${pointFileName}`
      yield* Effect.acquireUseRelease(
        disk.open(notePath, "create"),
        (handle) => Effect.andThen(disk.writev(handle, [encodePointFile(crc32, point)], 0), disk.datasync(handle)),
        (handle) => Effect.sync(() => handle.close())
      )
      yield* disk.syncDirectory(making)
      yield* disk.rename(making, path)
      return point
    }).pipe(Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => removeQuietly(disk.sync, making)))))
    const point = yield* made
    yield* disk.syncDirectory(points)
    if (keep !== Infinity) yield* Effect.ignore(attempt(() => removeOlder(disk, points, name, keep)))
    return describePoint({ name, version, path }, point)
  })

/** Those that cannot be removed now are by the next one. */
const removeOlder = (disk: Disk["Service"], points: string, name: string, keep: number): void => {
  const places = listPlaces(disk.sync, points).filter((place) => place.name === name)
  for (const place of places.slice(0, Math.max(0, places.length - keep))) removePoint(disk.sync, points, place)
}

/** What these throw is what they fail with; anything else is a defect. */
export const attempt = <A>(run: () => A): Effect.Effect<A, IoFailure | InvalidRestorePointName | NotADatabase> =>
  Effect.try({
    try: run,
    catch: (cause) => {
      if (cause instanceof IoFailure || cause instanceof InvalidRestorePointName || cause instanceof NotADatabase) return cause
      throw cause
    }
  })
