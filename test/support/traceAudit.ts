/**
 * Reads from a record of what was asked of a disk, and from the files themselves, whether the engine kept the order its promises rest on. It believes nothing that the engine
 * says about itself, but when it answered.
 */
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { currentFileName, fileName, parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { manifestAlignment, readManifest } from "../../src/domain/manifest/manifestFile.ts"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import { scanSegment } from "../../src/domain/wal/scanSegment.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { isDurableAt, notDurableAt, type TraceEvent } from "../../src/layers/disk/TracingDisk.ts"
import { readWhole } from "../../src/layers/recovery/readState.ts"
import { readSegmentHeader } from "../../src/layers/recovery/scanLog.ts"

export interface Acknowledgement {
  readonly sequence: number
  /** Order number of the tracer when the caller had its answer. */
  readonly order: number
  readonly sync: boolean
}

interface Group {
  readonly path: string
  readonly start: number
  readonly end: number
  readonly firstSequence: number
  readonly lastSequence: number
}

/** The groups in all segments that are there. */
const groupsOf = (disk: SyncDisk, directory: string): ReadonlyArray<Group> =>
  disk.list(directory).flatMap((name) => {
    if (parseFileName(name)?.kind !== "log") return []
    const path = `${directory}/${name}`
    const handle = disk.open(path, "read")
    try {
      const header = readSegmentHeader(handle, path)
      const { groups } = scanSegment(crc32, header, { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) })
      return [...groups].map(({ count, firstSequence, lengthBytes, offset }) => ({
        path,
        start: offset,
        end: offset + lengthBytes,
        firstSequence,
        lastSequence: firstSequence + count - 1
      }))
    } finally {
      handle.close()
    }
  })

/** The write of a group: the last one over its beginning, because segments are filled with zeros ahead. */
const writeOf = (events: ReadonlyArray<TraceEvent>, { path, start }: Group): TraceEvent | undefined =>
  events.findLast((event) => event.kind === "writev" && event.path === path && event.position <= start && event.position + event.length > start)

/** The state after each record of a manifest file, with where the record begins. */
const statesOf = (disk: SyncDisk, path: string): ReadonlyArray<{ readonly offset: number; readonly state: ManifestState }> => {
  const bytes = readWhole(disk, path)
  const { lengthBytes, records } = readManifest(crc32, path, bytes)
  const states: Array<{ readonly offset: number; readonly state: ManifestState }> = []
  let offset = 0
  for (let end = 2 * manifestAlignment; end <= lengthBytes; end += manifestAlignment) {
    // Cut within a record, what precedes it is what is read.
    const content = readManifest(crc32, path, bytes.slice(0, end))
    if (content.records === states.length + 1) {
      states.push({ offset, state: content.state })
      offset = content.lengthBytes
    }
  }
  if (states.length !== records) throw new Error(`${path} has ${records} records, of which ${states.length} were found`)
  return states
}

/** A sync of the directory that began after `from` and ended before `to`. */
const directorySynced = (events: ReadonlyArray<TraceEvent>, from: number, to: number): boolean =>
  events.some(({ begin, end, failed, kind }) => kind === "syncDirectory" && failed === undefined && begin > from && end >= 0 && end < to)

/** Whether the file at `path` was whole and named for good at order number `at`. */
const complaintsAbout = (events: ReadonlyArray<TraceEvent>, path: string, at: number, what: string): ReadonlyArray<string> => {
  const created = events.find((event) => event.kind === "open" && event.path === path)
  if (created === undefined) return []
  const complaints: Array<string> = []
  const loose = events.filter((event) => event.kind === "writev" && event.path === path && event.begin < at && !isDurableAt(events, event, at))
  if (loose.length > 0) complaints.push(`${what}: ${loose.length} writes to ${path} are not durable`)
  if (!directorySynced(events, created.end, at)) complaints.push(`${what}: the name ${path} is not durable`)
  return complaints
}

/** What a sync acknowledgement rests on: the group with its sequence, its datasync, and the name of its segment. One line per broken promise. */
export const auditAcknowledgements = (
  events: ReadonlyArray<TraceEvent>,
  disk: SyncDisk,
  directory: string,
  acknowledgements: ReadonlyArray<Acknowledgement>
): { readonly audited: number; readonly complaints: ReadonlyArray<string> } => {
  const groups = groupsOf(disk, directory)
  const complaints: Array<string> = []
  let audited = 0
  for (const { order, sequence, sync } of acknowledgements) {
    const group = groups.find(({ firstSequence, lastSequence }) => firstSequence <= sequence && sequence <= lastSequence)
    if (group === undefined) {
      complaints.push(`${sequence} was acknowledged and is in no segment`)
      continue
    }
    const written = writeOf(events, group)
    if (written === undefined || written.end < 0 || written.end > order) complaints.push(`${sequence} was acknowledged before it was written`)
    if (!sync) continue
    audited++
    if (notDurableAt(events, group.path, group.start, group.end, order).length > 0)
      complaints.push(`${sequence} was acknowledged as synced, but no datasync of ${group.path} began after its write and ended before the answer`)
    complaints.push(
      ...complaintsAbout(
        events.filter(({ kind }) => kind !== "writev"),
        group.path,
        order,
        `acknowledging ${sequence}`
      )
    )
  }
  return { audited, complaints }
}

/** The order of names: each file that an edit names, and each that one lets go, and each CURRENT. One line per broken rule, and how many of each were seen. */
export const auditNames = (
  events: ReadonlyArray<TraceEvent>,
  disk: SyncDisk,
  directory: string
): { readonly named: number; readonly removed: number; readonly renamed: number; readonly complaints: ReadonlyArray<string> } => {
  const complaints: Array<string> = []
  let named = 0
  let removed = 0
  let renamed = 0
  const groups = groupsOf(disk, directory)
  for (const name of disk.list(directory)) {
    if (parseFileName(name)?.kind !== "manifest") continue
    const path = `${directory}/${name}`
    const states = statesOf(disk, path)
    states.forEach(({ offset, state }, i) => {
      const before = states[i - 1]?.state
      const written = events.find((event) => event.kind === "writev" && event.path === path && event.position === offset)
      if (written === undefined) return
      const synced = events.find(
        (event) => event.kind === "datasync" && event.path === path && event.begin > written.end && event.failed === undefined
      )
      const filesOf = (which: ManifestState): ReadonlyArray<string> => [
        ...[...which.tables.keys()].map((id) => fileName("table", id)),
        ...[...which.valueFiles.keys()].map((id) => fileName("values", id)),
        ...[...which.segments.keys()].map((id) => fileName("log", id))
      ]
      const old = new Set(before === undefined ? [] : filesOf(before))
      const now = new Set(filesOf(state))
      if (before !== undefined) {
        for (const file of now) {
          if (old.has(file)) continue
          named++
          // A segment goes on growing: its name counts, and what stands in it when it is named.
          complaints.push(...complaintsAbout(events, `${directory}/${file}`, written.begin, `naming ${file}`))
        }
      }
      for (const group of groups) {
        const segment = group.path
        if (old.has(segment.slice(directory.length + 1)) || !now.has(segment.slice(directory.length + 1)) || before === undefined) continue
        const first = writeOf(events, group)
        if (first !== undefined && (synced === undefined || synced.end > first.begin))
          complaints.push(`a group was written to ${segment} before it was durably named`)
      }
      for (const file of old) {
        if (now.has(file)) continue
        const unlinked = events.find((event) => event.kind === "remove" && event.path === `${directory}/${file}`)
        if (unlinked === undefined) continue
        removed++
        if (synced === undefined || synced.end > unlinked.begin) complaints.push(`${file} was unlinked before the edit that drops it was durable`)
      }
    })
  }
  for (const rename of events) {
    // Nothing relies on the name of the reserve.
    if (rename.kind !== "rename" || !rename.path.endsWith(`/${currentFileName}`)) continue
    renamed++
    complaints.push(...complaintsAbout(events, `${rename.path}.tmp`, rename.begin, "renaming CURRENT"))
    const manifests = events.filter((event) => event.kind === "open" && event.path.endsWith(".manifest") && event.end < rename.begin)
    const latest = manifests.at(-1)
    if (latest !== undefined) complaints.push(...complaintsAbout(events, latest.path, rename.begin, "renaming CURRENT"))
    const next = events.find((event) => event.kind === "writev" && event.begin > rename.end)
    if (next !== undefined && !directorySynced(events, rename.end, next.begin))
      complaints.push(`${next.path} was written before the new CURRENT was durable`)
  }
  return { named, removed, renamed, complaints }
}
