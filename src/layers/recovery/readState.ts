import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { decodeCurrent } from "../../domain/manifest/current.ts"
import {
  currentFileName,
  currentTemporaryFileName,
  fileName,
  lockFileName,
  lockOwnerFileName,
  parseFileName,
  reserveFileName,
  reserveTemporaryFileName
} from "../../domain/manifest/fileNames.ts"
import { type ManifestContent, readManifest } from "../../domain/manifest/manifestFile.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import { crc32 } from "../crc32.ts"
import { readSegmentHeader } from "./scanLog.ts"
import { GroupFlag } from "../../domain/wal/GroupHeader.ts"
import { scanSegment } from "../../domain/wal/scanSegment.ts"

/** The whole file. Throws `IoFailure` where reading fails; a short read of a file that is long enough is one too: taken for its end, it would be damage, or a torn tail. */
export const readWhole = (disk: SyncDisk, path: string): Uint8Array => {
  const handle = disk.open(path, "read")
  try {
    const bytes = new Uint8Array(handle.sizeBytes())
    const count = handle.readAt(bytes, 0)
    if (count < bytes.length) throw new IoFailure("read", path, "EIO", `read ${path}: ${count} of ${bytes.length} bytes`)
    return bytes
  } finally {
    handle.close()
  }
}

/** The manifest that `CURRENT` names, or undefined where there is no `CURRENT`. */
export const readCurrentManifest = (disk: SyncDisk, directory: string, access: "read" | "write"): ManifestContent | undefined => {
  const currentPath = `${directory}/${currentFileName}`
  if (disk.stat(currentPath) === undefined) return undefined
  const manifestId = decodeCurrent(crc32, currentPath, readWhole(disk, currentPath))
  const path = `${directory}/${fileName("manifest", manifestId)}`
  if (disk.stat(path) === undefined) throw new Damage(path, 0, "Missing", "CURRENT names this manifest")
  const content = readManifest(crc32, path, readWhole(disk, path), access)
  if (content.fileId !== manifestId) throw new Damage(path, 0, "Unexpected", `it says it is manifest ${content.fileId}`)
  return content
}

/**
 * What looks at the files that a state names. Where the manifest's end was cut, the state may be an older one: an append that was torn leaves every file that this one names, so what is missing
 * or beyond it is blamed on the damaged end. Throws `Damage`.
 */
export const fittingState = <A>(directory: string, content: ManifestContent | undefined, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    if (content?.torn !== true || !(cause instanceof Damage) || (cause.reason !== "Missing" && cause.reason !== "Unexpected")) throw cause
    const path = `${directory}/${fileName("manifest", content.fileId)}`
    throw new Damage(
      path,
      content.lengthBytes,
      "ChecksumMismatch",
      `what follows is no valid record, and the state before it does not fit: ${cause.message}`
    )
  }
}

/** Names that may stand in a directory before anything of a database does. */
const harmless = new Set([
  lockFileName,
  `${lockFileName}-journal`,
  lockOwnerFileName,
  currentTemporaryFileName,
  reserveFileName,
  reserveTemporaryFileName
])

export interface Listing {
  readonly files: ReadonlyArray<{ readonly name: string; readonly kind: "log" | "manifest" | "table" | "values"; readonly id: number }>
  readonly foreign: ReadonlyArray<string>
}

export const listDirectory = (disk: SyncDisk, directory: string): Listing => {
  const files: Array<Listing["files"][number]> = []
  const foreign: Array<string> = []
  for (const name of disk.list(directory)) {
    const parsed = parseFileName(name)
    if (parsed !== undefined) files.push({ name, ...parsed })
    else if (name !== currentFileName && !harmless.has(name)) foreign.push(name)
  }
  return { files, foreign }
}

/** Every named table and value file is there, with the size it was written with: found missing now rather than at the first read of it. */
export const checkNamedFiles = (disk: SyncDisk, directory: string, state: ManifestState): void => {
  const check = (kind: "table" | "values", fileId: number, bytes: number) => {
    const path = `${directory}/${fileName(kind, fileId)}`
    const stat = disk.stat(path)
    if (stat === undefined) throw new Damage(path, 0, "Missing", "the manifest names this file")
    if (stat.sizeBytes !== bytes) throw new Damage(path, Math.min(stat.sizeBytes, bytes), "Truncated", `${stat.sizeBytes} bytes instead of ${bytes}`)
  }
  for (const table of state.tables.values()) check("table", table.fileId, table.fileBytes)
  for (const file of state.valueFiles.values()) check("values", file.fileId, file.fileBytes)
}

/**
 * The files of ours that the manifest does not name: what a crash left behind. Throws `Damage`, and so deletes nothing, where one of them cannot be such a left-over: an id
 * beyond the reservation, an epoch that no open of this manifest can have reached, commits of a later one, or a segment of the manifest's own epoch with transactions that are in no table.
 */
export const findOrphans = (disk: SyncDisk, directory: string, manifestId: number, state: ManifestState, listing: Listing): Orphans => {
  const orphans: Array<string> = []
  const rewritten: Array<string> = []
  for (const { id, kind, name } of listing.files) {
    const path = `${directory}/${name}`
    const named =
      kind === "log"
        ? state.segments.has(id)
        : kind === "table"
          ? state.tables.has(id)
          : kind === "values"
            ? state.valueFiles.has(id)
            : id === manifestId
    if (named) continue
    if (id > state.fileIdsThrough)
      throw new Damage(path, 0, "Unexpected", `file id ${id} is beyond the ${state.fileIdsThrough} the manifest reserves`)
    if (kind === "log" && checkOrphanSegment(disk, path, state) === state.epoch + 1) rewritten.push(path)
    else orphans.push(path)
  }
  return { orphans, rewritten }
}

export interface Orphans {
  readonly orphans: ReadonlyArray<string>
  /** Segments of opens of this same manifest that crashed: of the epoch that the next open will have, too. */
  readonly rewritten: ReadonlyArray<string>
}

/** The segment's epoch; undefined where its header cannot be read. */
const checkOrphanSegment = (disk: SyncDisk, path: string, state: ManifestState): number | undefined => {
  const handle = disk.open(path, "read")
  try {
    const header = (() => {
      try {
        return readSegmentHeader(handle, path)
      } catch (cause) {
        // A header that never became durable: no group was ever written behind it.
        if (cause instanceof Damage) return undefined
        throw cause
      }
    })()
    if (header === undefined) return undefined
    const { epoch } = header
    if (epoch > state.epoch + 1) throw new Damage(path, 0, "Unexpected", `epoch ${epoch} in a directory of epoch ${state.epoch}`)
    if (epoch < state.epoch) return epoch
    let committed: number | undefined
    const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
    const scan = scanSegment(crc32, header, source, {
      onGroup: ({ header: group }) => {
        if ((group.flags & GroupFlag.rewritten) === 0) committed ??= group.firstSequence
      }
    })
    // An open that crashed has written groups again, and none of its own: those come after its rename.
    if (epoch > state.epoch) {
      if (committed === undefined) return epoch
      throw new Damage(
        path,
        0,
        "Unexpected",
        `sequence ${committed} was committed in epoch ${epoch}, and CURRENT names a manifest of epoch ${state.epoch}`
      )
    }
    if (scan.nextSequence !== undefined && scan.nextSequence - 1 > state.flushedThrough.sequence) {
      throw new Damage(path, 0, "Unexpected", `it holds transactions up to ${scan.nextSequence - 1} and the manifest does not name it`)
    }
    return epoch
  } finally {
    handle.close()
  }
}

/** Without `CURRENT`, only what a crashed first open leaves behind may be there: a manifest, and a log without a transaction. */
export const checkFresh = (disk: SyncDisk, directory: string, listing: Listing): ReadonlyArray<string> => {
  for (const { kind, name } of listing.files) {
    const path = `${directory}/${name}`
    const missing = () => new Damage(`${directory}/${currentFileName}`, 0, "Missing", `${name} is there, so this was a database`)
    if (kind === "table" || kind === "values") throw missing()
    if (kind !== "log") continue
    const handle = disk.open(path, "read")
    try {
      const header = readSegmentHeader(handle, path)
      const scan = scanSegment(crc32, header, { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) })
      if (scan.groups.length > 0) throw missing()
    } catch (cause) {
      if (!(cause instanceof Damage) || cause.reason === "Missing") throw cause
    } finally {
      handle.close()
    }
  }
  return listing.files.map(({ name }) => `${directory}/${name}`)
}
