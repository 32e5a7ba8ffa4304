import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { structureProblem } from "../../domain/manifest/checkStructure.ts"
import { currentFileName, fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { VerifyReport } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { Tables } from "../../services/Tables.ts"
import type { Wal } from "../../services/Wal.ts"
import { readCurrentManifest } from "../recovery/readState.ts"
import { believedTwice } from "../jobs/believedTwice.ts"
import { type Files, verifiables, verifyFile } from "./verifyFile.ts"
import { noPace, type Pace, verifyOwnLog, verifyReaderLog, verifySegments } from "./verifyLog.ts"
import { WorkCounter } from "./WorkCounter.ts"

/** How a verification is followed. */
export interface VerifyWatch {
  readonly counter: WorkCounter
  /** Hears of each damaged file; the verification goes on. Without it the first damage ends it. */
  readonly onDamage?: ((damage: Damage) => void) | undefined
  /** Called when it is known how much there is to read. */
  readonly onStart?: (() => void) | undefined
  /** How fast it may go. Default: as fast as it can, giving way to others. */
  readonly pace?: Pace | undefined
}

/** Reads every block of every table and every record of every value file of the version, past all caches, and checks them against their parents and against each other. */
const verifyFiles = (files: Files, directory: string, manifestPath: string, state: ManifestState, watch: VerifyWatch) =>
  Effect.gen(function* () {
    const { counter, onDamage, onStart, pace = noPace } = watch
    const report = { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0 }
    const all = verifiables(state)
    for (const { meta } of all) counter.total += meta.fileBytes
    onStart?.()
    const problem = structureProblem(state)
    if (problem !== undefined) {
      const damage = new Damage(manifestPath, 0, "Unexpected", problem)
      if (onDamage === undefined) return yield* Effect.fail(damage)
      onDamage(damage)
    }
    const damagedValues = new Set<number>()
    const parts = { files, directory, state, isDamaged: (fileId: number) => damagedValues.has(fileId) }
    for (const file of all) {
      const before = counter.done
      const found = yield* Effect.result(
        believedTwice(
          Effect.suspend(() => {
            counter.done = before
            return verifyFile(parts, file, pace, (bytes) => {
              counter.done += bytes
            })
          }),
          () => {}
        )
      )
      // It counts as read, however far it could be.
      counter.done = before + file.meta.fileBytes
      if (Result.isFailure(found)) {
        if (onDamage === undefined || !(found.failure instanceof Damage)) return yield* Effect.fail(found.failure)
        if (file.kind === "values") damagedValues.add(file.meta.fileId)
        onDamage(found.failure)
        continue
      }
      if (file.kind === "table") report.tables++
      else report.valueFiles++
      report.blocks += found.success.blocks
      report.entries += found.success.entries
      report.bytes += file.meta.fileBytes
    }
    return report
  })

/** Of the manifest that is current now, for messages. */
export const manifestPathOf = ({ directory, disk }: { readonly disk: Pick<Disk["Service"], "sync">; readonly directory: string }): string => {
  try {
    const fileId = readCurrentManifest(disk.sync, directory, "read")?.fileId
    if (fileId !== undefined) return `${directory}/${fileName("manifest", fileId)}`
  } catch (cause) {
    if (!(cause instanceof IoFailure) && !(cause instanceof Damage)) throw cause
  }
  return `${directory}/${currentFileName}`
}

/**
 * Verifies the files of the current version, the manifest, and the log as far as it is visible. Ends at the first damage, with its file and offset; with `onDamage` it goes on with the
 * next file.
 */
export const verifyVersion = (
  parts: {
    readonly disk: Disk["Service"]
    readonly directory: string
    readonly tables: Tables["Service"]
    readonly manifest: Manifest["Service"]
    readonly wal: Wal["Service"]
  },
  watch: VerifyWatch = { counter: new WorkCounter() }
): Effect.Effect<VerifyReport, IoFailure | Damage> => {
  const { directory, disk, tables } = parts
  const files: Files = {
    open: (path) => {
      try {
        return disk.sync.open(path, "read")
      } catch (cause) {
        // The version is pinned: nobody has let go of it.
        throw cause instanceof IoFailure && cause.code === "ENOENT" ? new Damage(path, 0, "Missing", "the manifest names this file") : cause
      }
    },
    close: (handle) => handle.close()
  }
  return Effect.acquireUseRelease(
    Effect.sync(tables.pin),
    ({ state }) =>
      Effect.flatMap(verifyFiles(files, directory, manifestPathOf(parts), state, watch), (report) =>
        Effect.map(verifyOwnLog(parts, watch.onDamage, watch.pace), (log) => ({ ...report, ...log }))
      ),
    (version) => Effect.sync(() => tables.unpin(version))
  )
}

/** The disk and the directory are all that a reader needs. */
export interface ReaderParts {
  readonly disk: Pick<Disk["Service"], "sync">
  readonly directory: string
  readonly memtableBytes: number
}

/** The same beside a writer, of the version that is current now: its files are opened first, all of them, as the writer may remove them at any time. */
export const verifyAsReader = (
  parts: ReaderParts,
  watch: VerifyWatch = { counter: new WorkCounter() }
): Effect.Effect<VerifyReport, IoFailure | Damage> =>
  Effect.suspend(() => {
    const { directory, disk } = parts
    const { onDamage } = watch
    const handles = new Map<string, FileHandle>()
    const missing = new Set<string>()
    const letGo = () => {
      for (const handle of handles.values()) handle.close()
      handles.clear()
      missing.clear()
    }
    const isGone = (cause: unknown) => cause instanceof IoFailure && cause.code === "ENOENT"
    const take = (state: ManifestState) => {
      letGo()
      const open = (path: string) => {
        try {
          handles.set(path, disk.sync.open(path, "read"))
        } catch (cause) {
          // One that is gone because the writer has moved on is not missed: then everything is taken anew. One that is still named is.
          if (onDamage === undefined || !isGone(cause) || !isStillNamed(parts, state)) throw cause
          missing.add(path)
        }
      }
      for (const { fileId } of state.tables.values()) open(`${directory}/${fileName("table", fileId)}`)
      for (const { fileId } of state.valueFiles.values()) open(`${directory}/${fileName("values", fileId)}`)
    }
    const files: Files = {
      open: (path) => {
        const handle = handles.get(path)
        if (handle === undefined) throw new Damage(path, 0, "Missing", "the manifest names this file")
        return handle
      },
      close: () => undefined
    }
    return Effect.flatMap(
      onDamage === undefined ? verifyReaderLog(parts, take, undefined, watch.pace) : readerLogGoingOn(parts, take, onDamage),
      ({ log, state }) => Effect.map(verifyFiles(files, directory, manifestPathOf(parts), state, watch), (report) => ({ ...report, ...log }))
    ).pipe(
      Effect.catchIf(
        (error): error is Damage => onDamage !== undefined && error instanceof Damage,
        (damage) =>
          Effect.sync(() => {
            // There is no list of files to go on with.
            onDamage?.(damage)
            return { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0, logSegments: 0, logBytes: 0 }
          })
      ),
      Effect.ensuring(Effect.sync(letGo))
    )
  })

/** Whether the manifest is still the one that made this state: the files it names were there to be taken. */
const isStillNamed = ({ directory, disk }: ReaderParts, state: ManifestState): boolean => {
  const now = readCurrentManifest(disk.sync, directory, "read")?.state
  return (
    now !== undefined &&
    now.epoch === state.epoch &&
    [...state.tables.keys()].every((id) => now.tables.has(id)) &&
    [...state.valueFiles.keys()].every((id) => now.valueFiles.has(id))
  )
}

/** Where the log is damaged, the manifest still says which files there are, and which other segments. */
const readerLogGoingOn = (parts: ReaderParts, take: (state: ManifestState) => void, onDamage: (damage: Damage) => void) =>
  Effect.catch(verifyReaderLog(parts, take, onDamage), (error) =>
    Effect.suspend(() => {
      if (!(error instanceof Damage)) return Effect.fail(error)
      try {
        const state = readCurrentManifest(parts.disk.sync, parts.directory, "read")?.state
        if (state === undefined) return Effect.fail(error)
        onDamage(error)
        take(state)
        return Effect.succeed({ log: verifySegments(parts, state, error.file, onDamage), state })
      } catch (cause) {
        return cause instanceof Damage || cause instanceof IoFailure ? Effect.fail(cause) : Effect.die(cause)
      }
    })
  )
