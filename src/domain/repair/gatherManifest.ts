import { Damage } from "../failures.ts"
import { keptOf, withKept } from "../history/keptVersions.ts"
import type { ManifestEdit, ManifestSnapshot } from "../manifest/ManifestEdit.ts"
import { readManifest } from "../manifest/manifestFile.ts"
import { blankState, draftOf, type ManifestState, type StateDraft } from "../manifest/ManifestState.ts"
import { walkManifest } from "../manifest/walkManifest.ts"
import type { Crc32 } from "../seams.ts"

/** What a manifest file says, as far as it can be read. */
export interface GatheredManifest {
  readonly fileId: number
  readonly state: ManifestState
  /** What is wrong with the file; undefined where it reads as an open would read it. The state is then what all records that are left make together. */
  readonly damage: Damage | undefined
  /** Bytes of the file in which no record stands although later ones do, or whose content is wrong. */
  readonly lostBytes: number
}

/**
 * Reads a manifest file and goes on behind damage: every record that is left is applied, and what it removes and is not there, or adds a second time, is no contradiction, because the
 * record between may have said so. Undefined where not even its snapshot can be read: then nothing says whose manifest it is.
 */
export const gatherManifest = (crc32: Crc32, path: string, bytes: Uint8Array): GatheredManifest | { readonly damage: Damage } => {
  let damage: Damage
  try {
    const { fileId, state } = readManifest(crc32, path, bytes, "read")
    return { fileId, state, damage: undefined, lostBytes: 0 }
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    damage = error
  }
  let draft: StateDraft | undefined
  let fileId = 0
  let lostBytes = 0
  for (const part of walkManifest(crc32, path, bytes)) {
    if (part.type === "header") fileId = part.fileId
    else if (part.type === "gap") lostBytes += part.lengthBytes
    else if (part.type === "record") {
      const { edit } = part
      if (edit === undefined) {
        lostBytes += part.lengthBytes
        continue
      }
      if (edit.identity !== undefined) draft = draftOf(blankState(edit.identity))
      if (draft !== undefined) applyLeniently(draft, edit)
    }
  }
  return draft === undefined ? { damage } : { fileId, state: draft, damage, lostBytes }
}

/** Applies what it says, without asking whether it follows from what was before. */
const applyLeniently = (draft: StateDraft, edit: ManifestEdit & Partial<ManifestSnapshot>): void => {
  draft.engineTimeMs = Math.max(draft.engineTimeMs, edit.engineTimeMs ?? 0)
  draft.fileIdsThrough = Math.max(draft.fileIdsThrough, edit.fileIdsThrough ?? 0)
  draft.fileIdsUsed = Math.max(draft.fileIdsUsed, edit.fileIdsUsed ?? 0)
  for (const added of [edit.addSegments, edit.addValueFiles, edit.addTables])
    for (const { fileId } of added ?? []) draft.fileIdsUsed = Math.max(draft.fileIdsUsed, fileId)
  if (edit.sequencesThrough !== undefined) draft.sequencesThrough = edit.sequencesThrough
  if (edit.flushedThrough !== undefined && edit.flushedThrough.sequence >= draft.flushedThrough.sequence) draft.flushedThrough = edit.flushedThrough
  draft.lostRanges = [...draft.lostRanges, ...(edit.addLostRanges ?? [])]
  for (const { count, keyspace, sequence } of edit.keepVersions ?? [])
    draft.keptVersions.set(keyspace, withKept(keptOf(draft.keptVersions, draft.historyFrom, keyspace), { sequence, count }))
  for (const { keyspace, sequence } of edit.historyFrom ?? [])
    draft.historyFrom.set(keyspace, Math.max(sequence, draft.historyFrom.get(keyspace) ?? 0))
  for (const id of edit.removeSegments ?? []) draft.segments.delete(id)
  for (const id of edit.removeTables ?? []) draft.tables.delete(id)
  for (const id of edit.removeValueFiles ?? []) draft.valueFiles.delete(id)
  for (const segment of edit.addSegments ?? []) draft.segments.set(segment.fileId, segment)
  for (const file of edit.addValueFiles ?? []) draft.valueFiles.set(file.fileId, file)
  for (const table of edit.addTables ?? []) draft.tables.set(table.fileId, table)
  for (const { basePosition, fileId, ...sealed } of edit.sealSegments ?? []) {
    const segment = draft.segments.get(fileId)
    if (segment !== undefined) draft.segments.set(fileId, { ...segment, basePosition, sealed })
  }
  for (const { keyspace, sequence } of edit.dropKeyspaces ?? []) draft.droppedKeyspaces.set(keyspace, sequence)
  for (const keyspace of edit.forgetKeyspaces ?? []) {
    draft.droppedKeyspaces.delete(keyspace)
    draft.historyFrom.delete(keyspace)
    draft.keptVersions.delete(keyspace)
  }
}
