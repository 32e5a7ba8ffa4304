import { isDiskFull } from "../../domain/disk/diskFull.ts"
import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { encodeCurrent } from "../../domain/manifest/current.ts"
import { currentFileName, currentTemporaryFileName, fileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest } from "../../domain/manifest/manifestFile.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import { blankState, draftOf, fileIdBlock, type ManifestState, sequenceBlock } from "../../domain/manifest/ManifestState.ts"
import type { Memtable } from "../../domain/memtable/Memtable.ts"
import { GroupFlag, readGroupHeader, verifyGroup, writeGroupHeader } from "../../domain/wal/GroupHeader.ts"
import type { VerifiedGroup } from "../../domain/wal/LoggedTransaction.ts"
import { decodeSegmentHeader, encodeSegmentHeader } from "../../domain/wal/SegmentHeader.ts"
import type { LogSegment, RetainedSegment } from "../../services/LogSegment.ts"
import type { OpenManifest, RecoveryReport } from "../../services/Recovery.ts"
import { crc32 } from "../crc32.ts"
import { checkFresh, checkNamedFiles, findOrphans, fittingState, listDirectory, readCurrentManifest } from "./readState.ts"
import { GroupPositions } from "../../domain/wal/GroupPositions.ts"
import { Replay } from "./Replay.ts"
import { checkKept, type ScannedLog, scanLog, type ScannedSegment } from "./scanLog.ts"

/** The directory holds files, but no database. */
export class ForeignDirectory extends Error {
  readonly path: string
  readonly names: ReadonlyArray<string>
  constructor(path: string, names: ReadonlyArray<string>) {
    super(`${path} is not empty and holds no database: ${names.slice(0, 3).join(", ")}`)
    this.path = path
    this.names = names
  }
}

/** Another process wrote to the log while this one was opening it. */
export class LogMoved extends Error {}

export interface RecoverInput {
  readonly disk: SyncDisk
  /** Exists, and the caller holds its lock. */
  readonly directory: string
  readonly memtableBytes: number
  readonly randomBytes: (count: number) => Uint8Array
  /** Engine time, once it was raised to what the manifest holds. */
  readonly raiseTime: (ms: number) => number
  readonly monotonicMs: () => number
  /** Sequences to reserve. Default `sequenceBlock`. */
  readonly sequencesReserved?: number
  /** Called after each mebibyte of log with the bytes replayed so far. */
  readonly onReplay?: (replayedBytes: number) => void
}

export interface Recovered {
  readonly manifest: OpenManifest
  readonly segment: LogSegment
  readonly retainedSegments: ReadonlyArray<RetainedSegment>
  readonly memtables: ReadonlyArray<Memtable>
  readonly visibleSequence: number
  readonly nextSequence: number
  /** Where the groups of the replayed transactions end, in the new log. */
  readonly positions: GroupPositions
  readonly report: RecoveryReport
}

/** Bytes of groups copied at a time into the new segment. */
const rewriteBytesMax = 1 << 20

/**
 * Opens the directory for writing, synchronously and repeatably: a crash at any point leaves what was there before, or what is there after.
 *
 * 1. Read CURRENT and the manifest; judge the log by the tail rule; replay what is not in tables.
 * 2. Write the new epoch beside the old one: a segment with the groups beyond the proven floor (written again: same sequences, same times), a manifest that seals the old
 *    segments at the floor. Sync everything, then ONE rename commits it.
 * 3. Only then remove what nothing names any more (but segments of opens that crashed, which are removed before the rename).
 *
 * Throws `Damage`, `IoFailure`, `ForeignDirectory`, `LogMoved`. Up to the rename nothing the old state needs is touched.
 */
export const recover = (input: RecoverInput): Recovered => {
  const { directory, disk } = input
  const startedMs = input.monotonicMs()
  const listing = listDirectory(disk, directory)
  const content = readCurrentManifest(disk, directory, "write")
  let leftovers: ReadonlyArray<string>
  let rewrittenBefore: ReadonlyArray<string> = []
  let old: ManifestState
  if (content === undefined) {
    if (listing.foreign.length > 0) throw new ForeignDirectory(directory, listing.foreign)
    leftovers = checkFresh(disk, directory, listing)
    const seed = input.randomBytes(4)
    old = blankState({
      uuid: input.randomBytes(16),
      lineageId: input.randomBytes(16),
      epoch: 0,
      hashSeed: (seed[0]! | (seed[1]! << 8) | (seed[2]! << 16) | (seed[3]! << 24)) >>> 0
    })
  } else {
    old = content.state
    const { fileId, state } = content
    ;({ orphans: leftovers, rewritten: rewrittenBefore } = fittingState(directory, content, () => {
      checkNamedFiles(disk, directory, state)
      return findOrphans(disk, directory, fileId, state, listing)
    }))
  }
  input.raiseTime(old.engineTimeMs)

  const replay = new Replay(input.memtableBytes, old.hashSeed, old.flushedThrough.sequence)
  const kept = fittingState(directory, content, () => checkKept(disk, directory, old))
  const log = fittingState(directory, content, () => scanLog(disk, directory, old, replayed(replay, input.onReplay)))
  const opened: Array<FileHandle> = log.segments.map((s) => s.handle)
  /** Files that nothing refers to before the rename. */
  const made: Array<string> = []
  try {
    const lastSequence = Math.max(old.flushedThrough.sequence, replay.lastSequence, lastSequenceOf(log.segments))
    if (content !== undefined && lastSequence > old.sequencesThrough) {
      // Sequences are reserved before they are used: an edit that was durable is gone, and going on from the one before it would give them out a second time.
      const path = `${directory}/${fileName("manifest", content.fileId)}`
      throw new Damage(
        path,
        content.lengthBytes,
        "Unexpected",
        `the log holds sequence ${lastSequence}, and only ${old.sequencesThrough} are reserved`
      )
    }
    const engineTimeMs = input.raiseTime(replay.lastCommitTimeMs)

    // Ids come from what the old manifest reserves, above everything found: a crash of this open collides with nothing.
    // And above everything that was ever named: a reader beside us may still hold a file that is gone, and knows it by its id.
    let highest = Math.max(content?.fileId ?? 0, old.fileIdsUsed)
    for (const { id } of listing.files) if (id > highest) highest = id
    const segmentId = highest + 1
    const manifestId = highest + 2
    if (content !== undefined && manifestId > old.fileIdsThrough) {
      throw new Damage(directory, 0, "Unexpected", `no reserved file id is left above ${highest}`)
    }

    // A flush of the first of several replayed memtables must say how far it covers the log, and no further.
    const positions = new GroupPositions(old.flushedThrough.position)
    // Every edit carries the engine's time, and what came after the last one is replayed: nothing was committed later than this.
    const cut = splitAtFloor(log, positions, Math.max(old.engineTimeMs, replay.lastCommitTimeMs))
    const clean = content !== undefined && old.sequencesThrough === lastSequence
    const nextSequence = content === undefined ? 1 : clean ? lastSequence + 1 : old.sequencesThrough + 1

    const segmentPath = `${directory}/${fileName("log", segmentId)}`
    const header = decodeSegmentHeader(
      crc32,
      segmentPath,
      encodeSegmentHeader(crc32, {
        uuid: old.uuid,
        fileId: segmentId,
        epoch: old.epoch + 1,
        salt: input.randomBytes(16)
      })
    )
    const headerBytes = encodeSegmentHeader(crc32, { uuid: old.uuid, fileId: segmentId, epoch: header.epoch, salt: header.salt })
    const handle = disk.open(segmentPath, "create")
    opened.push(handle)
    made.push(segmentPath)
    handle.writev([headerBytes], 0)
    const segment: LogSegment = {
      fileId: segmentId,
      handle,
      header,
      headerBytes: headerBytes.length,
      basePosition: cut.endPosition,
      position: cut.endPosition,
      lastSum: cut.lastSum,
      lastSequence: 0,
      firstSequence: 0,
      lastCommitMs: 0
    }
    rewriteGroups(cut.beyond, segment, positions)
    handle.datasync()

    const state = draftOf(old)
    state.segments.clear()
    const retained = [...kept, ...cut.sealed]
    for (const meta of retained) state.segments.set(meta.fileId, meta)
    state.segments.set(segmentId, {
      fileId: segmentId,
      headerSum: header.sum,
      epoch: header.epoch,
      basePosition: segment.basePosition,
      floorPosition: segment.position
    })
    state.fileIdsThrough = Math.max(old.fileIdsThrough, manifestId + fileIdBlock)
    state.sequencesThrough = nextSequence - 1 + (input.sequencesReserved ?? sequenceBlock)
    state.engineTimeMs = engineTimeMs
    if (nextSequence > lastSequence + 1)
      state.lostRanges = [...old.lostRanges, { from: Math.max(lastSequence + 1, old.lostRanges.at(-1)?.to ?? 0), to: nextSequence }].filter(
        (range) => range.from < range.to
      )
    const next: ManifestState = { ...state, epoch: header.epoch }

    const manifestPath = `${directory}/${fileName("manifest", manifestId)}`
    const encoded = encodeManifest(crc32, manifestId, next)
    const manifestHandle = disk.open(manifestPath, "create")
    opened.push(manifestHandle)
    made.push(manifestPath)
    manifestHandle.writev([encoded.bytes], 0)
    manifestHandle.datasync()
    const temporary = `${directory}/${currentTemporaryFileName}`
    if (disk.stat(temporary) !== undefined) disk.remove(temporary)
    const currentHandle = disk.open(temporary, "create")
    made.push(temporary)
    try {
      currentHandle.writev([encodeCurrent(crc32, manifestId)], 0)
      currentHandle.datasync()
    } finally {
      currentHandle.close()
    }
    // Segments of opens that crashed have this open's epoch. Were one there after the rename (its removal undone by a crash), it would look like a part of the log that the
    // manifest forgot. The old manifest does not name them either, so they go first, for good.
    for (const path of rewrittenBefore) disk.remove(path)
    disk.syncDirectory(directory)
    // A writer that the lock did not keep out would have grown the log meanwhile.
    for (const { handle: oldHandle, sizeBytes } of log.segments.map((s) => ({ handle: s.handle, sizeBytes: s.sizeBytes }))) {
      if (oldHandle.sizeBytes() !== sizeBytes) throw new LogMoved(`${oldHandle.path} grew while it was being opened`)
    }
    made.length = 0
    disk.rename(temporary, `${directory}/${currentFileName}`)
    disk.syncDirectory(directory)
    const currentInode = disk.stat(`${directory}/${currentFileName}`)!.inode

    // From here on the new epoch is what a recovery finds.
    for (const s of log.segments) s.handle.close()
    for (const meta of old.segments.values()) if (!next.segments.has(meta.fileId)) removeQuietly(disk, `${directory}/${fileName("log", meta.fileId)}`)
    if (content !== undefined) removeQuietly(disk, `${directory}/${fileName("manifest", content.fileId)}`)
    for (const path of leftovers) removeQuietly(disk, path)

    if (segment.position !== segment.basePosition) {
      segment.lastSequence = lastSequence
      segment.lastCommitMs = replay.lastCommitTimeMs
    }
    return {
      manifest: { handle: manifestHandle, fileId: manifestId, state: next, lengthBytes: encoded.lengthBytes, lastSum: encoded.lastSum, currentInode },
      segment,
      retainedSegments: retained.map(({ basePosition, fileId, sealed }) => {
        const { lengthBytes, ...seal } = sealed!
        return { fileId, basePosition: basePosition!, bytes: lengthBytes, ...seal }
      }),
      memtables: replay.memtables(),
      visibleSequence: lastSequence,
      nextSequence,
      positions,
      report: {
        replayedTransactions: replay.transactions,
        replayedBytes: replay.bytes,
        cutBytes: log.cutBytes,
        laterGroupsCut: log.laterGroups,
        durationMs: input.monotonicMs() - startedMs
      }
    }
  } catch (cause) {
    for (const handle of opened) closeQuietly(handle)
    // What was made for the new epoch takes room from the next attempt; nothing names it.
    if (isDiskFull(cause)) for (const path of made) removeQuietly(disk, path)
    throw cause
  }
}

/** Folds groups, and tells now and then how many bytes they were. */
export const replayed = (replay: Replay, onReplay: RecoverInput["onReplay"]): ((group: VerifiedGroup) => void) => {
  let toldBytes = 0
  return (group) => {
    replay.group(group)
    if (onReplay === undefined || replay.bytes - toldBytes < rewriteBytesMax) return
    toldBytes = replay.bytes
    onReplay(toldBytes)
  }
}

const lastSequenceOf = (segments: ReadonlyArray<ScannedSegment>): number => {
  const last = segments.at(-1)
  return last?.scan.nextSequence === undefined ? 0 : last.scan.nextSequence - 1
}

interface SplitLog {
  /** Old segments as the new manifest names them: sealed at the floor, without those that have nothing before it. */
  readonly sealed: ReadonlyArray<SegmentMeta>
  /** Groups that are valid, but that nothing proves durable. */
  readonly beyond: ReadonlyArray<{ readonly segment: ScannedSegment; readonly fromIndex: number }>
  /** Where the proven part ends, and the sum of its last group. */
  readonly endPosition: number
  readonly lastSum: number
}

/**
 * Old segments are sealed at the floor, never at what could merely be read: bytes that were not synced may be in the page cache and nowhere else, and a second crash would then
 * lose what this open has shown. Those groups are written again.
 */
const splitAtFloor = (log: ScannedLog, positions: GroupPositions, lastCommitMs: number): SplitLog => {
  const sealed: Array<SegmentMeta> = []
  const beyond: Array<SplitLog["beyond"][number]> = []
  let endPosition = log.segments[0]?.scan.basePosition ?? log.endPosition
  let lastSum = log.segments[0]?.scan.firstPreviousSum ?? 0
  for (const segment of log.segments) {
    const { meta, scan } = segment
    const proven = meta.sealed !== undefined ? scan.groups.length : scan.groups.endingThrough(log.floor)
    for (let i = 0; i < proven; i++) {
      const group = scan.groups.at(i)
      positions.push(group.firstSequence + group.count - 1, group.position + group.lengthBytes)
    }
    if (proven > 0) {
      const last = scan.groups.at(proven - 1)
      endPosition = last.position + last.lengthBytes
      lastSum = last.sum
      sealed.push({
        fileId: meta.fileId,
        headerSum: meta.headerSum,
        epoch: meta.epoch,
        basePosition: scan.basePosition!,
        sealed: {
          lengthBytes: last.offset + last.lengthBytes,
          lastSum: last.sum,
          lastSequence: last.firstSequence + last.count - 1,
          firstSequence: scan.groups.at(0).firstSequence,
          lastCommitMs: meta.sealed?.lastCommitMs ?? lastCommitMs
        }
      })
    }
    if (proven < scan.groups.length) beyond.push({ segment, fromIndex: proven })
  }
  return { sealed, beyond, endPosition, lastSum }
}

/** Writes the groups again behind one another: same sequences, same commit times, new place, new epoch, new chain. */
export const rewriteGroups = (beyond: SplitLog["beyond"], segment: LogSegment, positions: GroupPositions): void => {
  let buffers: Array<Uint8Array> = []
  let buffered = 0
  let offset = segment.headerBytes
  const durableThrough = segment.basePosition
  const flush = () => {
    if (buffers.length > 0) segment.handle.writev(buffers, offset)
    offset += buffered
    buffers = []
    buffered = 0
  }
  for (const { fromIndex, segment: from } of beyond) {
    for (let i = fromIndex; i < from.scan.groups.length; i++) {
      const record = from.scan.groups.at(i)
      const bytes = new Uint8Array(record.lengthBytes)
      if (segment.firstSequence === 0) segment.firstSequence = record.firstSequence
      const count = from.handle.readAt(bytes, record.offset)
      const header = readGroupHeader(bytes, 0)
      // It gets a sum of its own: what is read wrong here would be right for ever.
      if (
        count !== bytes.length ||
        header?.sum !== record.sum ||
        header.lengthBytes !== bytes.length ||
        !verifyGroup(crc32, from.header.saltSum, from.path, record.offset, bytes, 0, header)
      ) {
        throw new IoFailure("read", from.path, "EIO", `read ${from.path}: the group at byte ${record.offset} was another one a moment ago`)
      }
      const sum = writeGroupHeader(crc32, segment.header.saltSum, bytes, {
        codec: header.codec,
        flags: header.flags | GroupFlag.rewritten,
        position: segment.position,
        epoch: segment.header.epoch,
        previousSum: segment.lastSum,
        firstSequence: header.firstSequence,
        durableThrough,
        transactionCount: header.transactionCount,
        rawBytes: header.rawBytes
      })
      segment.lastSum = sum
      segment.position += bytes.length
      positions.push(record.firstSequence + record.count - 1, segment.position)
      buffers.push(bytes)
      buffered += bytes.length
      if (buffered >= rewriteBytesMax) flush()
    }
  }
  flush()
}

/** What cannot be removed now is an orphan that the next open removes. */
const removeQuietly = (disk: SyncDisk, path: string): void => {
  try {
    disk.remove(path)
  } catch {
    // Left for the next open.
  }
}

const closeQuietly = (handle: FileHandle): void => {
  try {
    handle.close()
  } catch {
    // Already closed.
  }
}
