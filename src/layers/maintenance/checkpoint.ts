import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { type FlushError, fromFailure, InvalidOptions, PathExists } from "../../domain/errors.ts"
import { IoFailure } from "../../domain/failures.ts"
import { encodeCurrent } from "../../domain/manifest/current.ts"
import { checkpointFileName, currentFileName, type FileKind, fileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest } from "../../domain/manifest/manifestFile.ts"
import { fileIdBlock, type ManifestState, pastThrough } from "../../domain/manifest/ManifestState.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Entropy } from "../../services/Entropy.ts"
import type { Flusher } from "../../services/Flusher.ts"
import type { Tables } from "../../services/Tables.ts"
import { crc32 } from "../crc32.ts"
import { makeDirectoryDurably } from "../disk/makeDirectoryDurably.ts"

/** Codes with which a file system says that it has no hard link to give, at all or to there. */
export const linkRefusals = new Set(["EXDEV", "EPERM", "ENOTSUP", "EMLINK", "ENOSYS"])
const copyBytes = 1 << 20

export interface CheckpointReport {
  readonly path: string
  readonly sequence: number
  readonly files: number
  readonly bytes: number
}

/** Whether it can be a path at all. */
export const isCheckpointPath = (path: unknown): path is string => typeof path === "string" && path !== "" && !path.includes("\0")

export const noCheckpointPath = (): InvalidOptions =>
  new InvalidOptions({ problems: ["the path of a checkpoint must be a path as a string, not empty"] })

/**
 * A database of its own in `path`, as of a moment after the call: flush, pin the version, link its files (they never change again), and name them in a new manifest under a new
 * lineage. The log is not copied: what a flush covers is in tables. The live files are not touched.
 */
export const makeCheckpoint = (
  parts: {
    readonly disk: Disk["Service"]
    readonly entropy: Entropy["Service"]
    readonly flusher: Flusher["Service"]
    readonly tables: Tables["Service"]
    readonly directory: string
    /** Whether a keyspace was dropped by a commit after this one that is visible. */
    readonly droppedAfter: (sequence: number) => boolean
  },
  path: string
): Effect.Effect<CheckpointReport, FlushError | PathExists> =>
  Effect.gen(function* () {
    const { disk, droppedAfter, flusher, tables } = parts
    if ((yield* disk.stat(path)) !== undefined) return yield* new PathExists({ path })
    let pinned: ReturnType<typeof tables.pin> | undefined
    const unpin = () => {
      if (pinned !== undefined) tables.unpin(pinned)
      pinned = undefined
    }
    yield* Effect.addFinalizer(() => Effect.sync(unpin))
    // A keyspace loses its tables as soon as it is dropped, while the drop itself may stand in the log alone: what is pinned in between would show it, and show it empty.
    do {
      unpin()
      yield* flusher.flush
      pinned = tables.pin()
    } while (droppedAfter(pinned.state.flushedThrough.sequence))
    const { state } = pinned
    return yield* copyMoment(parts, path, { state, sequence: state.flushedThrough.sequence, segments: [], handleOf: () => undefined })
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => (error instanceof IoFailure ? fromFailure(error) : error))
  )

/** What a checkpoint is made of. The files of the state stay where they are, or are held open, until it is made. */
export interface CheckpointMoment {
  readonly state: ManifestState
  readonly sequence: number
  /** Of the log, what is not in tables, oldest first: each segment up to the end of its last group that counts. */
  readonly segments: ReadonlyArray<{ readonly fileId: number; readonly lengthBytes: number }>
  /** A file that is held open, because its name may be gone by now. */
  readonly handleOf: (name: string) => FileHandle | undefined
  /** The checkpoint goes on with ids above this one. */
  readonly idsAbove?: number | undefined
}

/** Makes the checkpoint of a moment in a directory that is not there yet. Cut short, it leaves no database. */
export const copyMoment = (
  parts: { readonly disk: Disk["Service"]; readonly entropy: Entropy["Service"]; readonly directory: string },
  path: string,
  moment: CheckpointMoment
): Effect.Effect<CheckpointReport, IoFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const { directory, disk, entropy } = parts
    const { handleOf, idsAbove = 0, segments, sequence, state } = moment
    yield* Effect.try({ try: () => makeDirectoryDurably(disk.sync, path), catch: (cause) => cause as IoFailure })
    // Cut short, it leaves nothing: a second try would meet what the first one made.
    yield* Effect.addFinalizer((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => removeQuietly(disk, path))))

    const files: Array<{ readonly kind: FileKind; readonly id: number; readonly bytes: number }> = [
      ...Array.from(state.valueFiles.values(), (file) => ({ kind: "values" as const, id: file.fileId, bytes: file.fileBytes })),
      ...Array.from(state.tables.values(), (table) => ({ kind: "table" as const, id: table.fileId, bytes: table.fileBytes }))
    ]
    const manifestId = [...files.map((file) => file.id), ...segments.map((segment) => segment.fileId)].reduce((a, b) => Math.max(a, b), idsAbove) + 1
    // First, and for good: a crash may leave any part of what follows, and a directory with a manifest alone would be taken for an empty one, in which a new database may begin.
    yield* write(disk, `${path}/${checkpointFileName}`, encodeCurrent(crc32, manifestId))
    yield* disk.syncDirectory(path)

    let bytes = 0
    for (const file of files) {
      const name = fileName(file.kind, file.id)
      yield* link(disk, `${directory}/${name}`, `${path}/${name}`, file.bytes, handleOf(name))
      bytes += file.bytes
    }
    // A segment may still be written to: its beginning is copied, never linked.
    for (const { fileId, lengthBytes } of segments) {
      const name = fileName("log", fileId)
      yield* copyFile(disk, `${directory}/${name}`, `${path}/${name}`, lengthBytes, handleOf(name))
      bytes += lengthBytes
    }

    const copy: ManifestState = {
      ...state,
      ...pastThrough(state, sequence),
      lineageId: entropy.bytes(16),
      segments: new Map([...state.segments].filter(([fileId]) => segments.some((segment) => segment.fileId === fileId))),
      fileIdsThrough: Math.max(manifestId, state.fileIdsUsed) + fileIdBlock,
      // Nothing beyond what is copied was ever given out in the new lineage, nor lost in it.
      sequencesThrough: sequence,
      lostRanges: state.lostRanges.filter(({ from }) => from <= sequence)
    }
    const encoded = encodeManifest(crc32, manifestId, copy)
    yield* write(disk, `${path}/${fileName("manifest", manifestId)}`, encoded.bytes)
    yield* disk.syncDirectory(path)
    // Until here the directory is no database: a checkpoint cut short cannot be mistaken for one.
    yield* disk.rename(`${path}/${checkpointFileName}`, `${path}/${currentFileName}`)
    yield* disk.syncDirectory(path)
    return { path, sequence, files: files.length + segments.length + 2, bytes: bytes + encoded.bytes.length }
  })

const removeQuietly = (disk: Disk["Service"], path: string): void => {
  try {
    const names = disk.sync.list(path)
    const isMark = (name: string) => name === checkpointFileName || name === currentFileName
    for (const name of names) if (!isMark(name)) disk.sync.remove(`${path}/${name}`)
    // What says that this is no directory to begin a database in goes after all the rest has.
    disk.sync.syncDirectory(path)
    for (const name of names) if (isMark(name)) disk.sync.remove(`${path}/${name}`)
    disk.sync.remove(path)
  } catch (cause) {
    // What stays is in nobody's way but that of a second checkpoint to this path, which says so.
    if (!(cause instanceof IoFailure)) throw cause
  }
}

const write = (disk: Disk["Service"], path: string, bytes: Uint8Array): Effect.Effect<void, IoFailure> =>
  Effect.acquireUseRelease(
    disk.open(path, "create"),
    (handle) => Effect.andThen(disk.writev(handle, [bytes], 0), disk.datasync(handle)),
    (handle) => Effect.sync(() => handle.close())
  )

const link = (disk: Disk["Service"], from: string, to: string, bytes: number, held: FileHandle | undefined): Effect.Effect<void, IoFailure> =>
  Effect.catchIf(
    disk.link(from, to),
    (failure) => linkRefusals.has(failure.code) || (held !== undefined && failure.code === "ENOENT"),
    () => copyFile(disk, from, to, bytes, held)
  )

const copyFile = (disk: Disk["Service"], from: string, to: string, bytes: number, held: FileHandle | undefined): Effect.Effect<void, IoFailure> =>
  Effect.scoped(
    Effect.gen(function* () {
      const opened = (file: string, mode: "read" | "create") =>
        Effect.acquireRelease(disk.open(file, mode), (handle) => Effect.sync(() => handle.close()))
      const source = held ?? (yield* opened(from, "read"))
      const target = yield* opened(to, "create")
      const chunk = new Uint8Array(Math.min(copyBytes, bytes))
      for (let at = 0; at < bytes;) {
        const part = chunk.subarray(0, Math.min(chunk.length, bytes - at))
        const count = yield* disk.read(source, part, at)
        if (count !== part.length) return yield* Effect.fail(new IoFailure("read", from, "EIO", `${from} is shorter than the manifest says`))
        yield* disk.writev(target, [part], at)
        at += count
      }
      yield* disk.datasync(target)
    })
  )
