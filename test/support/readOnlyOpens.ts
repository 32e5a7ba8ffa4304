/** Opens a directory the way a reader does, wherever a recorded run stands, and judges what is shown against the oracle. */
import type { FileHandle, SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import { NoDatabase, openReadOnly } from "../../src/layers/readOnly/openReadOnly.ts"
import { differences, type Oracle } from "./Oracle.ts"
import { directory } from "./openEngine.ts"
import { digestEverything, listEverything, type VerifiedFiles } from "./readEverything.ts"

/** A disk of nothing but the files of one version, which were opened when it was taken. */
class TakenFiles {
  readonly handles = new Map<string, FileHandle>()

  take(disk: SyncDisk, state: ManifestState): void {
    this.handles.clear()
    for (const { fileId } of state.tables.values()) this.#open(disk, fileName("table", fileId))
    for (const { fileId } of state.valueFiles.values()) this.#open(disk, fileName("values", fileId))
  }

  over(disk: SyncDisk): SyncDisk {
    return {
      open: (path) => {
        const handle = this.handles.get(path)
        if (handle === undefined) throw new Error(`${path} was not taken`)
        // The handle stays with the version.
        return {
          path,
          readAt: handle.readAt.bind(handle),
          sizeBytes: handle.sizeBytes.bind(handle),
          writev: handle.writev.bind(handle),
          datasync: handle.datasync.bind(handle),
          truncate: handle.truncate.bind(handle),
          close: () => undefined
        }
      },
      list: disk.list.bind(disk),
      stat: disk.stat.bind(disk),
      makeDirectory: disk.makeDirectory.bind(disk),
      rename: disk.rename.bind(disk),
      remove: disk.remove.bind(disk),
      link: disk.link.bind(disk),
      syncDirectory: disk.syncDirectory.bind(disk)
    }
  }

  #open(disk: SyncDisk, name: string): void {
    const path = `${directory}/${name}`
    this.handles.set(path, disk.open(path, "read"))
  }
}

/**
 * The sequence the reader shows everything through; undefined where there is no database yet. Throws where it shows something else than the oracle, less than `required`, or finds
 * damage.
 */
export const readerShows = (disk: SyncDisk, oracle: Oracle, required: number, files: VerifiedFiles, where: () => string): number | undefined => {
  const taken = new TakenFiles()
  const opened = (() => {
    try {
      return openReadOnly(disk, directory, 65_536, (state) => taken.take(disk, state))
    } catch (cause) {
      if (cause instanceof NoDatabase) return undefined
      throw new Error(`a reader was refused: ${cause instanceof Error ? cause.message : String(cause)}\n  ${where()}`, { cause })
    }
  })()
  if (opened === undefined) {
    if (required > 0) throw new Error(`a reader finds no database, and ${required} was acknowledged\n  ${where()}`)
    return undefined
  }
  const { memtables, sequence, state } = opened
  if (sequence < required) throw new Error(`a reader sees only ${sequence} of ${required}\n  ${where()}`)
  const expected = oracle.digestAt(sequence)
  if (expected === undefined) throw new Error(`a reader sees ${sequence}, which nobody committed\n  ${where()}`)
  const everything = { disk: taken.over(disk), directory, state, memtables, sequence }
  if (digestEverything(everything, files) !== expected)
    throw new Error(
      `what a reader sees is not the state after ${sequence}: ${differences(oracle.stateAt(sequence), listEverything(everything, files))}\n  ${where()}`
    )
  return sequence
}
