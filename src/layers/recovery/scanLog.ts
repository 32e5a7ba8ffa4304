import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { currentFileName, fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta, SegmentSeal } from "../../domain/manifest/SegmentMeta.ts"
import type { VerifiedGroup } from "../../domain/wal/LoggedTransaction.ts"
import { decodeSegmentHeader, segmentAlignmentMax, type SegmentHeader } from "../../domain/wal/SegmentHeader.ts"
import { scanSegment, type SegmentScan, type SequenceGap } from "../../domain/wal/scanSegment.ts"
import { crc32 } from "../crc32.ts"

/** A segment with its content judged. */
export interface ScannedSegment {
  readonly meta: SegmentMeta
  readonly header: SegmentHeader
  readonly path: string
  readonly handle: FileHandle
  /** When it was judged. */
  readonly sizeBytes: number
  readonly scan: SegmentScan
}

export interface ScannedLog {
  /** In log order; segments without a group, and those whose every group is in tables already, are left out. */
  readonly segments: ReadonlyArray<ScannedSegment>
  /** The largest position proven durable: what lies before it is never cut. */
  readonly floor: number
  readonly endPosition: number
  readonly lastSum: number
  readonly cutBytes: number
  readonly laterGroups: number
}

/** Enough for any header; the alignment in it says how long it is. */
const headerReadBytes = segmentAlignmentMax

export const readSegmentHeader = (handle: FileHandle, path: string): SegmentHeader => {
  const bytes = new Uint8Array(Math.min(headerReadBytes, handle.sizeBytes()))
  const count = handle.readAt(bytes, 0)
  if (count < bytes.length) throw new IoFailure("read", path, "EIO", `read ${path}: ${count} of ${bytes.length} bytes`)
  return decodeSegmentHeader(crc32, path, bytes)
}

/** Opens a segment the manifest names, and checks that it is that one. Throws `Damage`, `IoFailure`. */
export const openSegment = (
  disk: SyncDisk,
  directory: string,
  state: ManifestState,
  meta: SegmentMeta
): { readonly path: string; readonly handle: FileHandle; readonly header: SegmentHeader } => {
  const path = `${directory}/${fileName("log", meta.fileId)}`
  if (disk.stat(path) === undefined) throw new Damage(path, 0, "Missing", "the manifest names this log segment")
  const handle = disk.open(path, "read")
  try {
    const header = readSegmentHeader(handle, path)
    if (header.sum !== meta.headerSum || header.fileId !== meta.fileId || header.epoch !== meta.epoch)
      throw new Damage(path, 0, "Unexpected", "another segment's header")
    for (let i = 0; i < 16; i++) if (header.uuid[i] !== state.uuid[i]) throw new Damage(path, 0, "Unexpected", "a segment of another database")
    return { path, handle, header }
  } catch (cause) {
    handle.close()
    throw cause
  }
}

/** Whether all of the segment is in tables already: recovery needs nothing of it. */
const isBehind = (meta: SegmentMeta, state: ManifestState): meta is SegmentMeta & { readonly sealed: SegmentSeal; readonly basePosition: number } =>
  meta.sealed !== undefined && meta.sealed.lastSequence <= state.flushedThrough.sequence

/**
 * The segments that only the change feed reads, oldest first. They are there, are ours, and are as long as they were sealed; what is in them is looked at when it is read: an
 * open must not take longer because much is kept.
 */
export const checkKept = (disk: SyncDisk, directory: string, state: ManifestState): ReadonlyArray<SegmentMeta> => {
  const kept: Array<SegmentMeta> = []
  for (const meta of state.segments.values()) {
    // Without a transaction there is nothing to show.
    if (!isBehind(meta, state) || meta.sealed.firstSequence > meta.sealed.lastSequence) continue
    const { handle, path } = openSegment(disk, directory, state, meta)
    try {
      const bytes = handle.sizeBytes()
      if (bytes < meta.sealed.lengthBytes) throw new Damage(path, bytes, "Truncated", `sealed at ${meta.sealed.lengthBytes} bytes`)
    } finally {
      handle.close()
    }
    kept.push(meta)
  }
  return kept.sort((a, b) => a.fileId - b.fileId)
}

/**
 * Judges every named segment by the tail rule, then hands the groups that are not yet in tables to `onGroup`, oldest first.
 *
 * Two passes: a group in a newer segment may prove that an older one was durable further than it can still be read, so floors are gathered from the newest segment
 * backward before anything older is believed. A pass that ends earlier than the other, of the same bytes, was read wrong: that fails, and cuts nothing.
 */
export const scanLog = (disk: SyncDisk, directory: string, state: ManifestState, onGroup: (group: VerifiedGroup) => void): ScannedLog => {
  const flushed = state.flushedThrough
  const named = [...state.segments.values()].filter((meta) => !isBehind(meta, state)).sort((a, b) => a.fileId - b.fileId)
  const opened: Array<{ readonly meta: SegmentMeta; readonly path: string; readonly handle: FileHandle; readonly header: SegmentHeader }> = []
  try {
    for (const meta of named) opened.push({ meta, ...openSegment(disk, directory, state, meta) })

    // Backward: the floor, and where each segment's successor begins.
    let floor = flushed.position
    for (const { meta } of opened) floor = Math.max(floor, meta.floorPosition ?? 0)
    let nextBase: number | undefined
    const judged = opened.map((): Judged => ({ empty: false, nextBase: undefined, scan: undefined }))
    for (let i = opened.length - 1; i >= 0; i--) {
      const { handle, header, meta, path } = opened[i]!
      const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
      judged[i]!.nextBase = nextBase
      const scan = scanSegment(crc32, header, source, {
        expectedEpoch: meta.epoch,
        floorPosition: floor,
        basePosition: meta.basePosition,
        nextBasePosition: nextBase,
        sealed: meta.sealed
      })
      floor = Math.max(floor, scan.durableFloor)
      judged[i]!.empty = scan.groups.length === 0
      judged[i]!.scan = scan
      if (scan.basePosition !== undefined && (scan.groups.length > 0 || scan.tail.kind === "torn")) nextBase = scan.basePosition
    }

    // Forward: one chain of sums and positions, and the groups themselves.
    const segments: Array<ScannedSegment> = []
    let endPosition = flushed.position
    let lastSum: number | undefined
    let cutBytes = 0
    let laterGroups = 0
    let previous: SegmentScan | undefined
    // Closed at the end: a later segment may be damaged, and then all are.
    const empty: Array<FileHandle> = []
    let torn: { readonly path: string; readonly endOffset: number } | undefined
    opened.forEach(({ handle, header, meta, path }, i) => {
      const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
      const base = previous?.endPosition ?? meta.basePosition
      const scan = scanSegment(crc32, header, source, {
        expectedEpoch: meta.epoch,
        floorPosition: floor,
        basePosition: base,
        nextBasePosition: judged[i]!.nextBase,
        expectedPreviousSum: previous === undefined ? undefined : lastSum,
        sealed: meta.sealed,
        onGroup: (group) => {
          // Groups a flush covers were judged too, but hold nothing that is missing.
          if (group.header.position + group.header.lengthBytes > flushed.position) onGroup(group)
        }
      })
      demandSame(path, judged[i]!.scan, scan, base, lastSum)
      if (scan.tail.kind === "torn") {
        torn ??= { path, endOffset: scan.endOffset }
        cutBytes += handle.sizeBytes() - scan.endOffset
        laterGroups += scan.tail.laterGroups
      }
      if (scan.groups.length === 0) {
        empty.push(handle)
        return
      }
      checkGaps(path, state, scan.gaps)
      const first = scan.groups.at(0).firstSequence
      // The log begins where the tables end, or before: what lies between would have been in a segment that is not named any more.
      const expected = previous?.nextSequence ?? Math.min(first, flushed.sequence + 1)
      if (first !== expected) checkGaps(path, state, [{ from: expected, to: first }])
      segments.push({ meta, header, path, handle, sizeBytes: handle.sizeBytes(), scan })
      previous = scan
      endPosition = scan.endPosition!
      lastSum = scan.lastSum
    })
    checkReliedOn(state, Math.max(flushed.sequence, (previous?.nextSequence ?? 1) - 1), torn ?? opened.at(-1))
    for (const handle of empty) handle.close()
    return { segments, floor, endPosition, lastSum: lastSum ?? 0, cutBytes, laterGroups }
  } catch (cause) {
    for (const { handle } of opened) handle.close()
    throw cause
  }
}

/** What the backward pass found of a segment. */
interface Judged {
  empty: boolean
  nextBase: number | undefined
  scan: SegmentScan | undefined
}

/**
 * Throws `IoFailure` where the groups of a segment were there when it was read first, and are not now. Not compared are segments of which the first reading could not know where they
 * begin, or what is before them: they may end earlier by rule.
 */
const demandSame = (
  path: string,
  first: SegmentScan | undefined,
  now: SegmentScan,
  base: number | undefined,
  previousSum: number | undefined
): void => {
  if (first === undefined || first.groups.length === 0 || now.endOffset >= first.endOffset) return
  if (base !== undefined && base !== first.basePosition) return
  if (previousSum !== undefined && previousSum !== first.firstPreviousSum) return
  throw new IoFailure("read", path, "EIO", `read ${path}: groups up to byte ${first.endOffset} at first, up to ${now.endOffset} the second time`)
}

/**
 * A dropped keyspace stands in the manifest once files of it may be gone, and its drop was durable before: a log that ends earlier has lost something that was, and with it the keyspace would be
 * there again without what it held.
 */
const checkReliedOn = (state: ManifestState, lastSequence: number, end: { readonly path: string; readonly endOffset?: number } | undefined): void => {
  for (const [keyspace, sequence] of state.droppedKeyspaces) {
    if (sequence > lastSequence)
      throw new Damage(
        end?.path ?? currentFileName,
        end?.endOffset ?? 0,
        "ChecksumMismatch",
        `the log ends with sequence ${lastSequence}, but ${sequence}, which dropped keyspace ${keyspace}, was durable`
      )
  }
}

/** A jump in the sequences is legal where, and only where, the manifest says that an open gave those sequences up. */
const checkGaps = (path: string, state: ManifestState, gaps: ReadonlyArray<SequenceGap>): void => {
  for (const gap of gaps) {
    // Opens that crashed one after the other leave ranges that adjoin.
    let covered = gap.from
    for (const range of [...state.lostRanges].sort((a, b) => a.from - b.from)) if (range.from <= covered && range.to > covered) covered = range.to
    if (covered < gap.to) {
      throw new Damage(path, 0, "Malformed", `sequences ${gap.from} to ${gap.to - 1} are missing and the manifest does not name them as lost`)
    }
  }
}
