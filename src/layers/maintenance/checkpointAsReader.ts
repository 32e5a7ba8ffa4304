import * as Effect from "effect/Effect"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { type FileError, fromFailure, fromReadFailure, PathExists } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Entropy } from "../../services/Entropy.ts"
import { goneDatabase, NoDatabase, openReadOnly } from "../readOnly/openReadOnly.ts"
import { type CheckpointReport, copyMoment } from "./checkpoint.ts"

/**
 * The same as `makeCheckpoint` without the writer's lock, beside a writer or alone: of what a read-only open finds now, it links the tables and value files, and copies the log as
 * far as it belongs to that moment, which whoever opens the checkpoint replays.
 *
 * All files are opened first, as the writer may remove them at any time; one whose name is gone when its turn comes is copied instead of linked. What it holds of the log may not be
 * synced by the writer yet; in the checkpoint it is. The checkpoint goes on with file ids above `idsAbove`.
 */
export const checkpointAsReader = (
  parts: {
    readonly disk: Disk["Service"]
    readonly entropy: Entropy["Service"]
    readonly directory: string
    readonly memtableBytes: number
  },
  path: string,
  idsAbove = 0
): Effect.Effect<CheckpointReport, PathExists | FileError> =>
  Effect.gen(function* () {
    const { directory, disk, memtableBytes } = parts
    if ((yield* disk.stat(path)) !== undefined) return yield* new PathExists({ path })
    const handles = new Map<string, FileHandle>()
    const letGo = () => {
      for (const handle of handles.values()) handle.close()
      handles.clear()
    }
    yield* Effect.addFinalizer(() => Effect.sync(letGo))
    const take = (state: ManifestState) => {
      letGo()
      const hold = (name: string) => handles.set(name, disk.sync.open(`${directory}/${name}`, "read"))
      for (const fileId of state.tables.keys()) hold(fileName("table", fileId))
      for (const fileId of state.valueFiles.keys()) hold(fileName("values", fileId))
      for (const fileId of state.segments.keys()) hold(fileName("log", fileId))
    }
    const opened = yield* Effect.try({
      try: () => openReadOnly(disk.sync, directory, memtableBytes, take),
      catch: (cause) => {
        if (cause instanceof NoDatabase) return goneDatabase(directory)
        if (cause instanceof Damage || cause instanceof IoFailure) return cause
        throw cause
      }
    })
    return yield* copyMoment(parts, path, { ...opened, handleOf: (name) => handles.get(name), idsAbove })
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => (error instanceof Damage ? fromReadFailure(error) : error instanceof IoFailure ? fromFailure(error) : error))
  )
