import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import type { LoggedGroup } from "../../domain/repair/logRuns.ts"
import { readGroupHeader } from "../../domain/wal/GroupHeader.ts"
import type { VerifiedGroup } from "../../domain/wal/LoggedTransaction.ts"
import { decodeSegmentHeader, segmentAlignmentMax } from "../../domain/wal/SegmentHeader.ts"
import { frameOfDamaged, type SegmentFrame, walkSegment } from "../../domain/wal/walkSegment.ts"
import { crc32 } from "../crc32.ts"
import { checkKept, scanLog } from "../recovery/scanLog.ts"

export interface SurveyedGroup extends LoggedGroup {
  readonly fileId: number
  readonly offset: number
  readonly lengthBytes: number
}

export interface LogDamage {
  readonly damage: Damage
  readonly fileId: number
  readonly bytes: number
  /** What the manifest says of a sealed segment; undefined where nothing does. */
  readonly sequences: { readonly first: number; readonly last: number } | undefined
}

export interface SurveyedLog {
  /** In log order. */
  readonly groups: ReadonlyArray<SurveyedGroup>
  readonly damages: ReadonlyArray<LogDamage>
  readonly segments: number
  readonly bytes: number
}

/** Every group of the log that is what was written, and every place where one should be and is not. What a crash may have torn at the end is neither. */
export function* surveyLog(
  disk: SyncDisk,
  directory: string,
  uuid: Uint8Array,
  state: ManifestState | undefined,
  /** Log files that are there. */
  present: ReadonlySet<number>,
  /** Whether the manifest can be believed to name all of them. */
  namesAll: boolean
): Generator<void, SurveyedLog, void> {
  const ids = [...new Set([...(state?.segments.keys() ?? []), ...(namesAll ? [] : present)])].sort((a, b) => a - b)
  // By the rules of an open, if they apply: then what is beyond the end was never acknowledged as synced.
  const { damage: refused, ends } = state === undefined ? { damage: undefined, ends: undefined } : endsOf(disk, directory, state)
  const groups: Array<SurveyedGroup> = []
  const damages: Array<LogDamage> = []
  let bytes = 0
  let lastSum: number | undefined
  for (const fileId of ids) {
    yield
    const meta = state?.segments.get(fileId)
    const path = `${directory}/${fileName("log", fileId)}`
    const sequences = sequencesOf(meta)
    const add = (damage: Damage, lostBytes: number) => damages.push({ damage, fileId, bytes: lostBytes, sequences })
    if (!present.has(fileId)) {
      add(new Damage(path, 0, "Missing", "the manifest names this log segment"), 0)
      continue
    }
    const handle = disk.open(path, "read")
    try {
      const sizeBytes = handle.sizeBytes()
      const found = frameOf(handle, path, uuid, meta)
      if (found.damage !== undefined) add(found.damage, found.frame === undefined ? sizeBytes : 0)
      if (found.frame === undefined) continue
      const limit = Math.min(sizeBytes, meta?.sealed?.lengthBytes ?? ends?.get(fileId) ?? sizeBytes)
      let end = Math.min(limit, found.frame.alignment)
      let unexplained: { readonly offset: number; bytes: number } | undefined
      let tail: { readonly offset: number; readonly bytes: number } | undefined
      for (const part of walkSegment(crc32, found.frame, sourceOf(handle), { basePosition: meta?.basePosition, limit })) {
        if (part.type === "zeros") continue
        if (part.type === "gap") {
          if (part.laterGroups) {
            unexplained ??= { offset: part.offset, bytes: 0 }
            unexplained.bytes += part.lengthBytes
          } else tail = { offset: part.offset, bytes: part.lengthBytes }
          continue
        }
        const { header } = part.group
        if (!part.sumHolds || part.problem !== undefined) {
          unexplained ??= { offset: part.group.offset, bytes: 0 }
          unexplained.bytes += header.lengthBytes
          continue
        }
        groups.push({
          fileId,
          offset: part.group.offset,
          lengthBytes: header.lengthBytes,
          firstSequence: header.firstSequence,
          count: header.transactionCount,
          follows: lastSum !== undefined && header.previousSum === lastSum
        })
        lastSum = header.sum
        end = part.group.offset + header.lengthBytes
        bytes += header.lengthBytes
      }
      // Without an end that is known, bytes at the end may be a group that was being written.
      if (tail !== undefined && (meta?.sealed !== undefined || refused !== undefined)) unexplained ??= tail
      if (unexplained !== undefined) add(new Damage(path, unexplained.offset, "ChecksumMismatch", "no valid group"), unexplained.bytes)
      else if (meta?.sealed !== undefined && end < meta.sealed.lengthBytes)
        add(new Damage(path, end, "Truncated", `sealed at ${meta.sealed.lengthBytes} bytes`), meta.sealed.lengthBytes - end)
    } finally {
      handle.close()
    }
  }
  if (refused !== undefined && !damages.some(({ damage }) => damage.file === refused.file)) {
    const named = [...state!.segments.values()].find(({ fileId }) => refused.file === `${directory}/${fileName("log", fileId)}`)
    damages.push({ damage: refused, fileId: named?.fileId ?? 0, bytes: 0, sequences: sequencesOf(named) })
  }
  return { groups, damages, segments: ids.length, bytes }
}

const sequencesOf = (meta: SegmentMeta | undefined): LogDamage["sequences"] =>
  meta?.sealed === undefined || meta.sealed.firstSequence > meta.sealed.lastSequence
    ? undefined
    : { first: meta.sealed.firstSequence, last: meta.sealed.lastSequence }

const sourceOf = (handle: FileHandle) => ({ path: handle.path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) })

/** Where each unsealed segment ends by the tail rule; or why the rule refuses the log. */
const endsOf = (
  disk: SyncDisk,
  directory: string,
  state: ManifestState
): { readonly damage: Damage | undefined; readonly ends: ReadonlyMap<number, number> | undefined } => {
  try {
    checkKept(disk, directory, state)
    const log = scanLog(disk, directory, state, () => undefined)
    for (const { handle } of log.segments) handle.close()
    return { damage: undefined, ends: new Map(log.segments.map(({ meta, scan }) => [meta.fileId, scan.endOffset])) }
  } catch (cause) {
    if (cause instanceof Damage) return { damage: cause, ends: undefined }
    if (cause instanceof IoFailure && cause.code === "EIO") return { damage: new Damage(cause.path, 0, "Truncated", cause.message), ends: undefined }
    throw cause
  }
}

interface Frame {
  readonly frame: SegmentFrame | undefined
  readonly damage: Damage | undefined
}

/** What is needed to find groups. A header that is damaged in part may still give it: the groups it finds prove it right. */
const frameOf = (handle: FileHandle, path: string, uuid: Uint8Array, meta: SegmentMeta | undefined): Frame => {
  const bytes = new Uint8Array(Math.min(segmentAlignmentMax, handle.sizeBytes()))
  handle.readAt(bytes, 0)
  try {
    const header = decodeSegmentHeader(crc32, path, bytes)
    const isForeign = header.uuid.some((byte, i) => byte !== uuid[i])
    const isOther = meta !== undefined && (header.sum !== meta.headerSum || header.fileId !== meta.fileId || header.epoch !== meta.epoch)
    if (isForeign || isOther)
      return { frame: undefined, damage: new Damage(path, 0, "Unexpected", isForeign ? "a segment of another database" : "another segment's header") }
    return { frame: header, damage: undefined }
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    return { frame: frameOfDamaged(crc32, bytes), damage: cause }
  }
}

/** The groups as replay takes them, one after the other. Throws `IoFailure`, `Damage`. */
export function* readGroups(disk: SyncDisk, directory: string, groups: ReadonlyArray<SurveyedGroup>): Generator<VerifiedGroup, void, void> {
  let handle: FileHandle | undefined
  let fileId = -1
  try {
    for (const group of groups) {
      if (group.fileId !== fileId) {
        handle?.close()
        handle = disk.open(`${directory}/${fileName("log", group.fileId)}`, "read")
        fileId = group.fileId
      }
      const bytes = new Uint8Array(group.lengthBytes)
      handle!.readAt(bytes, group.offset)
      const header = readGroupHeader(bytes, 0)
      if (header === undefined) throw new Damage(handle!.path, group.offset, "ChecksumMismatch", "the group was there a moment ago")
      yield { path: handle!.path, offset: group.offset, bytes, at: 0, header }
    }
  } finally {
    handle?.close()
  }
}
