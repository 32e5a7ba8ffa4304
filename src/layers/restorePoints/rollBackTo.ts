import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { RestorePointMismatch } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { encodeCurrent } from "../../domain/manifest/current.ts"
import { currentFileName, currentTemporaryFileName, fileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest, type ManifestContent } from "../../domain/manifest/manifestFile.ts"
import { fileIdBlock, type ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import { GroupPositions } from "../../domain/wal/GroupPositions.ts"
import { visitTransactions } from "../../domain/wal/LoggedTransaction.ts"
import { CommitTimes } from "../../domain/wal/verifySegment.ts"
import { decodeSegmentHeader, encodeSegmentHeader } from "../../domain/wal/SegmentHeader.ts"
import type { LogSegment } from "../../services/LogSegment.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import { linkRefusals } from "../maintenance/checkpoint.ts"
import { listDirectory, type Listing } from "../recovery/readState.ts"
import { rewriteGroups } from "../recovery/recover.ts"
import { readSegmentHeader, scanLog } from "../recovery/scanLog.ts"

export interface RollBackInput {
  readonly disk: SyncDisk
  /** Of the database; the caller holds its lock. */
  readonly directory: string
  /** What it is now; undefined where that cannot be read, and nobody is to have it back. */
  readonly present: ManifestContent | undefined
  /** Of the restore point. */
  readonly source: string
  readonly target: ManifestState
  /** The database goes on with ids above this one. */
  readonly idsAbove: number
  readonly nowMs: number
  readonly randomBytes: (count: number) => Uint8Array
}

/**
 * Makes the database what the restore point is, by ONE rename: that of `CURRENT`. A crash before it leaves what was there (and files that the next open removes), one after it what
 * the restore point holds.
 *
 * Its tables and value files are linked in under their own names: ids are never used again, so a file of that name is that very file. Its log, if it has one, is written again into one
 * new segment. What an open of the present would not take for a left-over is never put there: ids come from what the present manifest reserves, and the segment is of the epoch that
 * a crashed open would have. The new epoch lies one above that, so that nothing that is left of the present looks like a part of the new log.
 *
 * Throws `Damage`, `IoFailure`, `RestorePointMismatch`.
 */
export const rollBackTo = (input: RollBackInput): void => {
  const { directory, disk, idsAbove, present, source, target } = input
  const listing = listDirectory(disk, directory)
  const epoch = present?.state.epoch ?? highestEpoch(disk, directory, listing, target)
  const reserved = present?.state.fileIdsThrough ?? Number.MAX_SAFE_INTEGER
  const mismatch = (detail: string) => new RestorePointMismatch({ path: source, detail })

  const files = [
    ...Array.from(target.tables.values(), ({ fileBytes, fileId }) => ({ kind: "table" as const, fileBytes, fileId })),
    ...Array.from(target.valueFiles.values(), ({ fileBytes, fileId }) => ({ kind: "values" as const, fileBytes, fileId }))
  ]
  let highest = Math.max(present?.fileId ?? 0, idsAbove)
  for (const { id } of listing.files) highest = Math.max(highest, id)
  for (const { fileId } of files) highest = Math.max(highest, fileId)
  const segmentId = highest + 1
  const manifestId = highest + 2
  if (manifestId > reserved)
    throw mismatch(`it holds file ${highest}, and this database has given out no id beyond ${reserved}: it was made of another copy`)

  for (const { fileBytes, fileId, kind } of files) {
    const name = fileName(kind, fileId)
    const to = `${directory}/${name}`
    const from = `${source}/${name}`
    const there = disk.stat(to)
    if (there !== undefined) {
      if (there.inode === disk.stat(from)?.inode) continue
      const isNamed = kind === "table" ? present?.state.tables.has(fileId) === true : present?.state.valueFiles.has(fileId) === true
      if (isNamed) {
        if (there.sizeBytes !== fileBytes || !sameContent(disk, from, to, fileBytes))
          throw mismatch(`its ${name} is another file than the database's`)
        continue
      }
      // Left by a crash, and perhaps not whole.
      disk.remove(to)
    }
    linkOrCopy(disk, from, to, fileBytes)
  }

  const segment = rewriteLog(input, segmentId, epoch + 1)
  const next: ManifestState = {
    ...target,
    lineageId: input.randomBytes(16),
    epoch: epoch + 2,
    // It goes on from the latest moment that either has seen.
    engineTimeMs: Math.max(target.engineTimeMs, present?.state.engineTimeMs ?? 0, segment?.sealed?.lastCommitMs ?? 0, input.nowMs),
    fileIdsThrough: Math.max(present?.state.fileIdsThrough ?? 0, target.fileIdsThrough, manifestId + fileIdBlock),
    fileIdsUsed: Math.max(present?.state.fileIdsUsed ?? 0, target.fileIdsUsed, segmentId),
    segments: segment === undefined ? new Map() : new Map([[segment.fileId, segment]])
  }
  writeDurably(disk, `${directory}/${fileName("manifest", manifestId)}`, encodeManifest(crc32, manifestId, next).bytes)
  const temporary = `${directory}/${currentTemporaryFileName}`
  if (disk.stat(temporary) !== undefined) disk.remove(temporary)
  writeDurably(disk, temporary, encodeCurrent(crc32, manifestId))
  disk.syncDirectory(directory)
  disk.rename(temporary, `${directory}/${currentFileName}`)
  disk.syncDirectory(directory)

  for (const { id, kind, name } of listing.files) {
    const isNamed = kind === "table" ? next.tables.has(id) : kind === "values" ? next.valueFiles.has(id) : false
    if (!isNamed) removeQuietly(disk, `${directory}/${name}`)
  }
}

/** Of the present, as far as its files tell, and of the restore point: whatever there is, it is not above this. */
const highestEpoch = (disk: SyncDisk, directory: string, listing: Listing, target: ManifestState): number => {
  let epoch = target.epoch
  for (const { kind, name } of listing.files) {
    if (kind !== "log") continue
    const path = `${directory}/${name}`
    const handle = disk.open(path, "read")
    try {
      epoch = Math.max(epoch, readSegmentHeader(handle, path).epoch)
    } catch (cause) {
      if (!(cause instanceof Damage)) throw cause
    } finally {
      handle.close()
    }
  }
  return epoch
}

/** What of the restore point is not in its tables, in one new segment, synced and sealed; undefined where there is nothing. */
const rewriteLog = ({ directory, disk, randomBytes, source, target }: RollBackInput, fileId: number, epoch: number): SegmentMeta | undefined => {
  const times = new CommitTimes()
  const log = scanLog(disk, source, target, (group) => visitTransactions(group, times, codecs))
  const handles: Array<FileHandle> = log.segments.map(({ handle }) => handle)
  try {
    const flushed = target.flushedThrough.position
    const beyond = log.segments.flatMap((segment) => {
      let fromIndex = 0
      const { groups } = segment.scan
      while (fromIndex < groups.length && groups.at(fromIndex).position + groups.at(fromIndex).lengthBytes <= flushed) fromIndex++
      return fromIndex === groups.length ? [] : [{ segment, fromIndex }]
    })
    const last = beyond.at(-1)
    if (last === undefined) return undefined
    const path = `${directory}/${fileName("log", fileId)}`
    const headerBytes = encodeSegmentHeader(crc32, { uuid: target.uuid, fileId, epoch, salt: randomBytes(16) })
    const header = decodeSegmentHeader(crc32, path, headerBytes)
    const handle = disk.open(path, "create")
    handles.push(handle)
    handle.writev([headerBytes], 0)
    const segment: LogSegment = {
      fileId,
      handle,
      header,
      headerBytes: headerBytes.length,
      basePosition: flushed,
      position: flushed,
      lastSum: 0,
      lastSequence: 0,
      firstSequence: 0,
      lastCommitMs: 0
    }
    rewriteGroups(beyond, segment, new GroupPositions(flushed))
    handle.datasync()
    return {
      fileId,
      headerSum: header.sum,
      epoch,
      basePosition: flushed,
      sealed: {
        lengthBytes: segment.headerBytes + segment.position - segment.basePosition,
        lastSum: segment.lastSum,
        firstSequence: segment.firstSequence,
        lastSequence: last.segment.scan.nextSequence! - 1,
        lastCommitMs: times.last
      }
    }
  } finally {
    for (const handle of handles) handle.close()
  }
}

const writeDurably = (disk: SyncDisk, path: string, bytes: Uint8Array): void => {
  const handle = disk.open(path, "create")
  try {
    handle.writev([bytes], 0)
    handle.datasync()
  } finally {
    handle.close()
  }
}

const chunkBytes = 1 << 20

const linkOrCopy = (disk: SyncDisk, from: string, to: string, bytes: number): void => {
  try {
    return disk.link(from, to)
  } catch (cause) {
    if (!(cause instanceof IoFailure) || !linkRefusals.has(cause.code)) throw cause
  }
  const source = disk.open(from, "read")
  try {
    const copy = disk.open(to, "create")
    try {
      for (const { at, chunk } of chunksOf(source, bytes)) copy.writev([chunk], at)
      copy.datasync()
    } finally {
      copy.close()
    }
  } finally {
    source.close()
  }
}

function* chunksOf(source: FileHandle, bytes: number): Generator<{ readonly at: number; readonly chunk: Uint8Array }, void, void> {
  for (let at = 0; at < bytes; at += chunkBytes) {
    const chunk = new Uint8Array(Math.min(chunkBytes, bytes - at))
    if (source.readAt(chunk, at) !== chunk.length)
      throw new Damage(source.path, at, "Truncated", `it is shorter than the ${bytes} bytes the manifest says`)
    yield { at, chunk }
  }
}

const sameContent = (disk: SyncDisk, a: string, b: string, bytes: number): boolean => {
  const one = disk.open(a, "read")
  try {
    const other = disk.open(b, "read")
    try {
      const theirs = chunksOf(other, bytes)
      for (const { chunk } of chunksOf(one, bytes)) {
        const next = theirs.next()
        if (next.done === true || !next.value.chunk.every((byte, i) => byte === chunk[i])) return false
      }
      return true
    } finally {
      other.close()
    }
  } finally {
    one.close()
  }
}

/** What cannot be removed now the next open removes. */
const removeQuietly = (disk: SyncDisk, path: string): void => {
  try {
    disk.remove(path)
  } catch (cause) {
    if (!(cause instanceof IoFailure)) throw cause
  }
}
