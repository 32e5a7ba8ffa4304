import { isAbsolute, relative, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { InvalidOptions, NotADatabase, type OpenError, PathExists } from "../../domain/errors.ts"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { decodeCurrent, encodeCurrent } from "../../domain/manifest/current.ts"
import { checkpointFileName, currentFileName, currentTemporaryFileName, fileName, parseFileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest } from "../../domain/manifest/manifestFile.ts"
import type { QuarantinedFile, RepairReport } from "../../domain/repair/RepairReport.ts"
import type { DirectoryLock } from "../../services/DirectoryLock.ts"
import { Disk } from "../../services/Disk.ts"
import { EngineClock } from "../../services/EngineClock.ts"
import { Entropy } from "../../services/Entropy.ts"
import type { WorkOptions } from "../../services/WorkProgress.ts"
import { crc32 } from "../crc32.ts"
import { makeDirectoryDurably } from "../disk/makeDirectoryDurably.ts"
import { MemoryDisk } from "../disk/MemoryDisk.ts"
import { WorkCounter } from "../maintenance/WorkCounter.ts"
import { listDirectory, readWhole } from "../recovery/readState.ts"
import { linkOrCopy, removeDirectory, writeFile } from "./copyFiles.ts"
import { inSlices } from "./inSlices.ts"
import { type Rebuilt, rebuild, type RebuildTarget } from "./rebuild.ts"
import { repairError } from "./repairError.ts"
import { reportOf } from "./salvage.ts"
import { type DirectorySurvey, NothingToRepair, surveyDirectory } from "./surveyDirectory.ts"

/** Where files go that are no part of the repaired database, with an index of why. */
export const quarantineName = "quarantine"
export const quarantineIndexName = "index.json"
/** What a repair in place makes, before it becomes a part of the database. */
export const workName = "repair.new"

export interface RepairOptions extends WorkOptions {
  /** The directory of the database. */
  readonly path: string
  /** A directory that is not there yet: the repaired database is made there, and `path` stays as it is. */
  readonly into?: string | undefined
  /** A directory that is not there yet: all files of `path` are put there first, then `path` itself is repaired. */
  readonly backup?: string | undefined
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean | undefined
}

export type RepairError = OpenError | PathExists

const memtableBytes = 32 << 20

const isWithin = (directory: string, target: string): boolean => {
  const inside = relative(resolve(directory), resolve(target))
  return inside !== "" && inside !== ".." && !/^\.\.[\\/]/.test(inside) && !isAbsolute(inside)
}

/**
 * Makes a sound database of a damaged one: in another directory, or in place once every file of it has a second name in a backup. Takes the lock of `path`. A sound database is left
 * alone. A repair that is cut short leaves the database as it was, or repaired; run it again.
 */
export const repairDirectory = (options: RepairOptions): Effect.Effect<RepairReport, RepairError, Disk | EngineClock | Entropy> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { backup, dryRun = false, into, path } = options
      const problems: Array<string> = []
      const isPath = (given: unknown): boolean => typeof given === "string" && given !== "" && !given.includes("\0")
      if (!isPath(path)) problems.push("path must be the directory of a database, as a string")
      if (into !== undefined && !isPath(into)) problems.push("into must be a path as a string, not empty")
      if (backup !== undefined && !isPath(backup)) problems.push("backup must be a path as a string, not empty")
      if (into !== undefined && backup !== undefined)
        problems.push("into and backup exclude each other: repair into a new directory, or in place after a backup")
      if (into === undefined && backup === undefined && !dryRun) problems.push("into or backup is missing: name a directory that is not there yet")
      for (const [option, target] of [["into", into] as const, ["backup", backup] as const])
        if (problems.length === 0 && target !== undefined && isWithin(path, target)) problems.push(`${option} must not be within the database itself`)
      if (problems.length > 0) return yield* new InvalidOptions({ problems })

      const disk = yield* Disk
      const attempt = <A>(run: () => A): Effect.Effect<A, OpenError> => Effect.try({ try: run, catch: (cause) => repairError(path, cause) })
      const there = yield* attempt(() => disk.sync.stat(path))
      if (there?.kind !== "directory") return yield* new NotADatabase({ path, detail: "there is no such directory" })
      // A mistyped path must leave nothing behind, not even a lock.
      const { files } = yield* attempt(() => listDirectory(disk.sync, path))
      if (files.length === 0) return yield* Effect.fail(repairError(path, new NothingToRepair(path)))
      const besides = into ?? backup
      if (besides !== undefined && (yield* attempt(() => disk.sync.stat(besides))) !== undefined) return yield* new PathExists({ path: besides })
      yield* Effect.acquireRelease(
        attempt(() => lockUnlessSealed(disk, path, backup === undefined || dryRun)),
        (held) => Effect.sync(() => held?.release())
      )
      if (!dryRun && backup !== undefined) yield* attempt(() => clearWork(disk.sync, path))
      const counter = new WorkCounter()
      counter.start(options)
      const survey = yield* inSlices(path, () => surveyDirectory(disk.sync, path, counter), counter, options.onStart === undefined)
      if (survey.isHealthy)
        return { ...reportOf(survey, undefined, 0), path, outcome: "healthy" as const, into: undefined, backup: undefined, quarantined: [] }
      const parts: Parts = { disk: disk.sync, path, survey, counter, clock: yield* EngineClock, entropy: yield* Entropy }
      return yield* dryRun ? plan(parts) : into !== undefined ? repairInto(parts, into) : repairInPlace(parts, backup!)
    })
  )

/** Nobody writes to a file system that is read-only: from there one may repair into another directory without a lock. */
const lockUnlessSealed = (disk: Disk["Service"], path: string, readsOnly: boolean): DirectoryLock | undefined => {
  try {
    return disk.lock(path)
  } catch (cause) {
    if (readsOnly && cause instanceof IoFailure && cause.code === "EROFS") return undefined
    throw cause
  }
}

interface Parts {
  readonly disk: SyncDisk
  readonly path: string
  readonly survey: DirectorySurvey
  readonly counter: WorkCounter
  readonly clock: EngineClock["Service"]
  readonly entropy: Entropy["Service"]
}

const rebuildIn = ({ clock, counter, entropy, path, survey }: Parts, target: RebuildTarget): Effect.Effect<Rebuilt, OpenError> =>
  inSlices(
    path,
    () =>
      rebuild(survey, target, {
        randomBytes: entropy.bytes,
        memtableBytes,
        raiseTime: (ms) => {
          clock.raise(ms)
          return clock.nowMs()
        }
      }),
    counter
  )

const plan = (parts: Parts): Effect.Effect<RepairReport, OpenError> =>
  Effect.gen(function* () {
    const memory = new MemoryDisk()
    memory.makeDirectory(parts.path)
    let kept = 0
    const rebuilt = yield* rebuildIn(parts, { disk: memory, directory: parts.path, keep: () => void kept++, bytesMax: Infinity })
    return {
      ...reportOf(parts.survey, rebuilt, kept),
      path: parts.path,
      outcome: "planned" as const,
      into: undefined,
      backup: undefined,
      quarantined: quarantineOf(parts.survey)
    }
  })

const repairInto = (parts: Parts, into: string): Effect.Effect<RepairReport, OpenError, Scope.Scope> =>
  Effect.gen(function* () {
    const { disk, path, survey } = parts
    const attempt = <A>(run: () => A): Effect.Effect<A, OpenError> => Effect.try({ try: run, catch: (cause) => repairError(path, cause) })
    // Cut short, it leaves nothing; what a crash leaves is marked, and no open takes it for a database or for an empty directory.
    yield* Effect.addFinalizer((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => discard(disk, into))))
    yield* attempt(() => {
      makeDirectoryDurably(disk, into)
      writeFile(disk, `${into}/${checkpointFileName}`, encodeCurrent(crc32, survey.highestId + 1))
      disk.syncDirectory(into)
    })
    let kept = 0
    const rebuilt = yield* rebuildIn(parts, {
      disk,
      directory: into,
      bytesMax: Infinity,
      keep: (kind, fileId) => {
        kept++
        const name = fileName(kind, fileId)
        linkOrCopy(disk, `${path}/${name}`, `${into}/${name}`)
      }
    })
    const quarantined = quarantineOf(survey)
    yield* attempt(() => {
      quarantine(disk, path, into, quarantined)
      writeFile(disk, `${into}/${fileName("manifest", rebuilt.manifestId)}`, encodeManifest(crc32, rebuilt.manifestId, rebuilt.state).bytes)
      writeFile(disk, `${into}/${currentTemporaryFileName}`, encodeCurrent(crc32, rebuilt.manifestId))
      disk.syncDirectory(into)
      disk.rename(`${into}/${currentTemporaryFileName}`, `${into}/${currentFileName}`)
      disk.remove(`${into}/${checkpointFileName}`)
      disk.syncDirectory(into)
    })
    return { ...reportOf(survey, rebuilt, kept), path, outcome: "repaired" as const, into, backup: undefined, quarantined }
  })

const repairInPlace = (parts: Parts, backup: string): Effect.Effect<RepairReport, OpenError, Scope.Scope> =>
  Effect.gen(function* () {
    const { disk, path, survey } = parts
    const attempt = <A>(run: () => A): Effect.Effect<A, OpenError> => Effect.try({ try: run, catch: (cause) => repairError(path, cause) })
    const work = `${path}/${workName}`
    // 1. Every file of the database gets a second name, durably, before anything is changed; CURRENT last, so that a backup that was cut short is no database.
    const before = survey.listing.files.map(({ name }) => name)
    yield* attempt(() => {
      makeDirectoryDurably(disk, backup)
      for (const name of before) linkOrCopy(disk, `${path}/${name}`, `${backup}/${name}`)
      disk.syncDirectory(backup)
      if (disk.stat(`${path}/${currentFileName}`) !== undefined) linkOrCopy(disk, `${path}/${currentFileName}`, `${backup}/${currentFileName}`)
      disk.syncDirectory(backup)
    })
    // 2. What is made anew is made aside, whole and synced.
    yield* attempt(() => {
      disk.makeDirectory(work)
      disk.syncDirectory(path)
    })
    let kept = 0
    const rebuilt = yield* rebuildIn(parts, { disk, directory: work, keep: () => void kept++, bytesMax: Infinity })
    const quarantined = quarantineOf(survey)
    yield* attempt(() => {
      const manifestName = fileName("manifest", rebuilt.manifestId)
      writeFile(disk, `${work}/${manifestName}`, encodeManifest(crc32, rebuilt.manifestId, rebuilt.state).bytes)
      disk.syncDirectory(work)
      // 3. It gets names in the database, which nothing refers to yet.
      for (const name of disk.list(work)) linkOrCopy(disk, `${work}/${name}`, `${path}/${name}`)
      quarantine(disk, path, path, quarantined)
      const temporary = `${path}/${currentTemporaryFileName}`
      if (disk.stat(temporary) !== undefined) disk.remove(temporary)
      writeFile(disk, temporary, encodeCurrent(crc32, rebuilt.manifestId))
      disk.syncDirectory(path)
      // 4. The one step that counts.
      disk.rename(temporary, `${path}/${currentFileName}`)
      disk.syncDirectory(path)
      // 5. What nothing refers to any more goes; a crash before leaves it to the next open.
      const named = new Set<string>([manifestName])
      for (const id of rebuilt.state.tables.keys()) named.add(fileName("table", id))
      for (const id of rebuilt.state.valueFiles.keys()) named.add(fileName("values", id))
      for (const name of disk.list(path)) if (parseFileName(name) !== undefined && !named.has(name)) disk.remove(`${path}/${name}`)
      removeDirectory(disk, work)
      disk.syncDirectory(path)
    })
    return { ...reportOf(survey, rebuilt, kept), path, outcome: "repaired" as const, into: path, backup, quarantined }
  })

/**
 * Clears away what a repair in place left that was cut short.
 *
 * Before its `CURRENT` was renamed, the names it already has in the database are taken back. Where `CURRENT` cannot be read, nothing tells; then all of it gets its names, so that nothing
 * is there in part, unless a database has been opened since.
 */
const clearWork = (disk: SyncDisk, path: string): void => {
  const work = `${path}/${workName}`
  if (disk.stat(work) === undefined) return
  const made = disk.list(work).flatMap((name) => {
    const parsed = parseFileName(name)
    return parsed === undefined ? [] : [{ name, ...parsed }]
  })
  const current = currentId(disk, path)
  if (current !== undefined) {
    if (made.every(({ id }) => id > current)) {
      for (const { name } of made) {
        const stat = disk.stat(`${path}/${name}`)
        if (stat !== undefined && stat.inode === disk.stat(`${work}/${name}`)?.inode) disk.remove(`${path}/${name}`)
      }
    }
  } else {
    const manifest = made.find(({ kind }) => kind === "manifest")
    const opened = disk.list(path).some((name) => {
      const parsed = parseFileName(name)
      return parsed?.kind === "manifest" && manifest !== undefined && parsed.id > manifest.id
    })
    if (manifest !== undefined && !opened) {
      for (const { name } of made) if (disk.stat(`${path}/${name}`) === undefined) linkOrCopy(disk, `${work}/${name}`, `${path}/${name}`)
    }
  }
  disk.syncDirectory(path)
  removeDirectory(disk, work)
  disk.syncDirectory(path)
}

const currentId = (disk: SyncDisk, path: string): number | undefined => {
  try {
    return decodeCurrent(crc32, currentFileName, readWhole(disk, `${path}/${currentFileName}`))
  } catch (cause) {
    if (cause instanceof Damage || (cause instanceof IoFailure && (cause.code === "ENOENT" || cause.code === "EIO"))) return undefined
    throw cause
  }
}

/** The files that are damaged, or whose transactions had to be left out, the first place of each. */
const quarantineOf = ({
  damagedValues,
  directory,
  disk,
  listing,
  log,
  manifestDamage,
  run,
  tables
}: DirectorySurvey): ReadonlyArray<QuarantinedFile> => {
  const found = new Map<string, Damage>()
  const add = (damage: Damage | undefined) => {
    if (damage !== undefined && !found.has(damage.file)) found.set(damage.file, damage)
  }
  add(manifestDamage?.damage)
  for (const { damage } of tables.values()) add(damage)
  for (const { damage } of damagedValues.values()) add(damage)
  for (const { damage } of log.damages) add(damage)
  if (run.later > 0) {
    log.groups.forEach((group) => {
      if (group.firstSequence > run.through)
        add(new Damage(`${directory}/${fileName("log", group.fileId)}`, group.offset, "Unexpected", "transactions before it are missing"))
    })
  }
  const files: Array<QuarantinedFile> = []
  for (const { name } of [...listing.files, { name: currentFileName }]) {
    const damage = found.get(`${directory}/${name}`)
    const stat = damage === undefined ? undefined : disk.stat(`${directory}/${name}`)
    if (damage === undefined || stat?.kind !== "file") continue
    const { detail, offsetBytes, reason } = damage
    files.push({ name, bytes: stat.sizeBytes, offsetBytes, reason, detail })
  }
  return files
}

const quarantine = (disk: SyncDisk, from: string, into: string, files: ReadonlyArray<QuarantinedFile>): void => {
  if (files.length === 0) return
  let directory = `${into}/${quarantineName}`
  // What an earlier repair has put there stays; one that was cut short had not come to its index.
  for (let i = 2; disk.stat(`${directory}/${quarantineIndexName}`) !== undefined; i++) directory = `${into}/${quarantineName}-${i}`
  removeDirectory(disk, directory)
  disk.makeDirectory(directory)
  for (const { name } of files) linkOrCopy(disk, `${from}/${name}`, `${directory}/${name}`)
  writeFile(disk, `${directory}/${quarantineIndexName}`, new TextEncoder().encode(`${JSON.stringify(files, undefined, 2)}\n`))
  disk.syncDirectory(directory)
}

const discard = (disk: SyncDisk, path: string): void => {
  try {
    if (disk.stat(path) === undefined) return
    for (const name of disk.list(path)) {
      const child = `${path}/${name}`
      if (disk.stat(child)?.kind === "directory") removeDirectory(disk, child)
      // What says that this is no directory to begin a database in goes last.
      else if (name !== checkpointFileName) disk.remove(child)
    }
    disk.syncDirectory(path)
    removeDirectory(disk, path)
  } catch (cause) {
    // What stays is in nobody's way but that of a second repair into this path, which says so.
    if (!(cause instanceof IoFailure)) throw cause
  }
}
