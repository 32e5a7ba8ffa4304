import { resolve } from "node:path"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import {
  fromFailure,
  CorruptFile,
  InvalidRestorePointName,
  RestorePointMismatch,
  RestorePointNotFound,
  UnsupportedFormat
} from "../../domain/errors.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import { decodePointFile, type PointFile, pointFileName } from "../../domain/restorePoints/pointFile.ts"
import { isUnfinished, parsePointDirectory, parsePointReference, removingDirectory } from "../../domain/restorePoints/pointName.ts"
import type { RestorePoint, RestorePointList } from "../../services/RestorePoints.ts"
import { crc32 } from "../crc32.ts"
import { readCurrentManifest, readWhole } from "../recovery/readState.ts"
import { removeDirectory } from "../repair/copyFiles.ts"

/** A path that ends so does not say what the directory is called: with a suffix it would be a name within it. */
const namesNothing = /(^|[\\/])\.\.?$/

/** Where the restore points of a database are, unless it is told otherwise: beside it, on the same file system, so that they can be links. */
export const pointsBeside = (path: string): string => {
  const directory = path.length > 1 ? path.replace(/[\\/]+$/, "") : path
  return `${namesNothing.test(directory) ? resolve(directory) : directory}.checkpoints`
}

export interface Place {
  readonly name: string
  readonly version: number
  readonly path: string
}

/** The names there are, of whole ones and damaged ones; nothing of them is read. Throws `IoFailure`. */
export const listPlaces = (disk: SyncDisk, points: string): ReadonlyArray<Place> => {
  if (disk.stat(points) === undefined) return []
  const places: Array<Place> = []
  for (const directory of disk.list(points)) {
    const parsed = parsePointDirectory(directory)
    if (parsed === undefined) continue
    const path = `${points}/${directory}`
    // Without it somebody else made the directory: it is none of ours, and nothing is done to it.
    if (disk.stat(path)?.kind === "directory" && disk.stat(`${path}/${pointFileName}`) !== undefined) places.push({ ...parsed, path })
  }
  return places.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version))
}

const idOf = ({ name, version }: Pick<Place, "name" | "version">): string => `${name}@${version}`

/** Throws `Damage`, `IoFailure`. */
export const readPoint = (disk: SyncDisk, place: Place): PointFile => {
  const path = `${place.path}/${pointFileName}`
  const point = decodePointFile(crc32, path, readWhole(disk, path))
  if (point.name !== place.name || point.version !== place.version)
    throw new Damage(path, 0, "Unexpected", `it is restore point ${idOf(point)}, under another name`)
  return point
}

export const describePoint = (place: Place, point: PointFile): RestorePoint => ({
  id: idOf(place),
  name: point.name,
  version: point.version,
  path: place.path,
  sequence: point.sequence,
  createdAtMs: point.createdAtMs,
  reason: point.reason,
  files: point.files,
  bytes: point.bytes
})

/** Throws `IoFailure`. */
export const listPoints = (disk: SyncDisk, points: string): RestorePointList => {
  const whole: Array<RestorePoint> = []
  const damaged: Array<RestorePointList["damaged"][number]> = []
  for (const place of listPlaces(disk, points)) {
    try {
      whole.push(describePoint(place, readPoint(disk, place)))
    } catch (cause) {
      if (!(cause instanceof Damage)) throw cause
      const error = fromFailure(cause)
      if (error instanceof CorruptFile || error instanceof UnsupportedFormat) damaged.push({ id: idOf(place), path: place.path, error })
    }
  }
  return { points: whole.sort((a, b) => a.createdAtMs - b.createdAtMs || a.sequence - b.sequence || a.version - b.version), damaged }
}

/** The one that a reference means. Throws `InvalidRestorePointName`, `RestorePointNotFound`, `IoFailure`. */
export const findPlace = (disk: SyncDisk, points: string, reference: unknown): Place => {
  const wanted = parsePointReference(reference)
  if (wanted === undefined)
    throw new InvalidRestorePointName({ name: String(reference), detail: "a name is given as nightly, or with its version as nightly@2" })
  const places = listPlaces(disk, points)
  const named = places.filter(({ name }) => name === wanted.name)
  const found = wanted.version === undefined ? named.at(-1) : named.find(({ version }) => version === wanted.version)
  if (found === undefined) throw new RestorePointNotFound({ name: String(reference), path: points, available: places.map(idOf) })
  return found
}

/** What a restore point holds, believed: its note, its manifest, and that this is the manifest it was made with. Throws `Damage`, `IoFailure`, `RestorePointMismatch`. */
export const openPoint = (disk: SyncDisk, place: Place): { readonly point: PointFile; readonly state: ManifestState } => {
  const point = readPoint(disk, place)
  const content = readCurrentManifest(disk, place.path, "read")
  if (content === undefined) throw new Damage(`${place.path}/CURRENT`, 0, "Missing", "a restore point has one")
  const path = `${place.path}/${fileName("manifest", content.fileId)}`
  const { lineageId, manifestBytes, manifestId, manifestSum, uuid } = point
  if (compareBytes(content.state.uuid, uuid) !== 0 || compareBytes(content.state.lineageId, lineageId) !== 0)
    throw new Damage(path, 0, "Unexpected", "the manifest of another database or copy")
  if (content.fileId !== manifestId) throw new RestorePointMismatch({ path: place.path, detail: "it was opened for writing after it was made" })
  const bytes = readWhole(disk, path)
  if (bytes.length !== manifestBytes || crc32(bytes) !== manifestSum)
    throw new Damage(path, 0, "ChecksumMismatch", "not the manifest it was made with")
  return { point, state: content.state }
}

/** What crashes left of restore points that were being made or removed: nobody is at them while the caller holds the lock. Throws `IoFailure`. */
export const clearUnfinished = (disk: SyncDisk, points: string): void => {
  for (const name of disk.list(points)) if (isUnfinished(name)) removeDirectory(disk, `${points}/${name}`)
}

/** From the rename on it is none any more. Throws `IoFailure`. */
export const removePoint = (disk: SyncDisk, points: string, { name, path, version }: Place): void => {
  const leaving = `${points}/${removingDirectory(name, version)}`
  if (disk.stat(leaving) !== undefined) removeDirectory(disk, leaving)
  disk.rename(path, leaving)
  disk.syncDirectory(points)
  removeDirectory(disk, leaving)
  disk.syncDirectory(points)
}

/** The same where it must not stand in the way. */
export const removeQuietly = (disk: SyncDisk, path: string): void => {
  try {
    if (disk.stat(path) !== undefined) removeDirectory(disk, path)
  } catch (cause) {
    // Left for the next one that changes something here.
    if (!(cause instanceof IoFailure)) throw cause
  }
}
