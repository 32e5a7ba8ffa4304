import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { decodeCurrent } from "../../domain/manifest/current.ts"
import { currentFileName, type FileKind, fileName } from "../../domain/manifest/fileNames.ts"
import { readManifest } from "../../domain/manifest/manifestFile.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import { chooseTables } from "../../domain/repair/chooseTables.ts"
import { gatherManifest } from "../../domain/repair/gatherManifest.ts"
import { type ChosenRun, chooseRun, runsOf } from "../../domain/repair/logRuns.ts"
import type { DamagedValueFile } from "../../domain/repair/RepairedValues.ts"
import { decodeTableFooter, tableFooterBytes } from "../../domain/table/tableFormat.ts"
import type { ValueFileMeta } from "../../domain/manifest/TableMeta.ts"
import { crc32 } from "../crc32.ts"
import type { WorkCounter } from "../maintenance/WorkCounter.ts"
import { checkNamedFiles, findOrphans, type Listing, listDirectory, readCurrentManifest, readWhole } from "../recovery/readState.ts"
import { readSegmentHeader } from "../recovery/scanLog.ts"
import { type FileSurvey, type SurveyedTable, surveyedTable, surveyedValues } from "./surveyFiles.ts"
import { type SurveyedLog, surveyLog } from "./surveyLog.ts"

/** What is in a database's directory, read to the last byte. */
export interface DirectorySurvey {
  readonly disk: SyncDisk
  readonly directory: string
  /** An open would refuse nothing, every file is what was written, and nothing has to be done. */
  readonly isHealthy: boolean
  readonly listing: Listing
  /** Undefined where no manifest says anything. */
  readonly state: ManifestState | undefined
  readonly manifestDamage: { readonly damage: Damage; readonly bytes: number } | undefined
  readonly uuid: Uint8Array
  readonly hashSeed: number
  /** The tables that make up the database, by file id. */
  readonly tables: ReadonlyMap<number, SurveyedTable>
  /** Whether those are the ones the manifest names, with its levels. */
  readonly byManifest: boolean
  readonly values: ReadonlyMap<number, ValueFileMeta>
  readonly damagedValues: ReadonlyMap<number, DamagedValueFile>
  readonly log: SurveyedLog
  readonly run: ChosenRun
  /** Everything at or below is in tables. */
  readonly flushed: number
  /** A highest file id that is in use, or was. */
  readonly highestId: number
  readonly bytesRead: number
}

/** There is nothing in the directory that a database could be made of. */
export class NothingToRepair extends Error {}

/** Reads everything. Writes nothing. Throws `IoFailure`, `NothingToRepair`. */
export function* surveyDirectory(disk: SyncDisk, directory: string, counter: WorkCounter): Generator<void, DirectorySurvey, void> {
  const listing = listDirectory(disk, directory)
  const idsOf = (kind: FileKind) => new Set(listing.files.filter((file) => file.kind === kind).map(({ id }) => id))
  for (const { name } of listing.files) counter.total += disk.stat(`${directory}/${name}`)?.sizeBytes ?? 0
  const found = findManifest(disk, directory, [...idsOf("manifest")])
  const identity = identityOf(disk, directory, found?.state, idsOf("table"), idsOf("log"))
  if (identity === undefined) throw new NothingToRepair(directory)
  const { hashSeed, uuid } = identity
  const state = identity.believesManifest ? found?.state : undefined
  const isWhole = state !== undefined && found?.problem === undefined && found?.torn === false
  const refusal = isWhole ? refusalOf(disk, directory, listing) : undefined

  const log = yield* surveyLog(disk, directory, uuid, state, idsOf("log"), isWhole)
  counter.done += log.bytes
  const runs = runsOf(log.groups)
  const isGap = (from: number, to: number): boolean => {
    let covered = from
    for (const range of [...(state?.lostRanges ?? [])].sort((a, b) => a.from - b.from))
      if (range.from <= covered && range.to > covered) covered = range.to
    return covered >= to
  }
  const flushedByManifest = state?.flushedThrough.sequence ?? 0
  const lastRun = state === undefined ? undefined : chooseRun(runs, flushedByManifest, isGap).run

  const parts: FileSurvey = { disk, directory, uuid, onRead: (bytes) => (counter.done += bytes) }
  const surveyed = new Map<number, SurveyedTable>()
  for (const meta of state?.tables.values() ?? []) surveyed.set(meta.fileId, yield* surveyedTable(parts, meta.fileId, meta))
  const named = state === undefined ? undefined : new Set(state.tables.keys())
  const isSomeMissing = [...surveyed.values()].some(({ damage }) => damage?.reason === "Missing")
  if (!isWhole || isSomeMissing) {
    for (const fileId of idsOf("table")) {
      if (surveyed.has(fileId)) continue
      const table = yield* surveyedTable(parts, fileId, undefined)
      // Files of another database, and such that say nothing at all, are nobody's.
      if (table.meta !== undefined) surveyed.set(fileId, table)
    }
  }
  const chosen = chooseTables({
    named,
    onDisk: [...surveyed.values()]
      .filter(({ damage }) => damage?.reason !== "Missing")
      .map(({ damage, fileId, properties }) => ({ fileId, properties, isSound: damage === undefined })),
    manifestIsWhole: isWhole,
    loggedFrom: lastRun?.first
  })
  const tables = new Map<number, SurveyedTable>()
  for (const [fileId, table] of surveyed) {
    // Named, and neither there nor replaced by what is: it is lost, whoever decides.
    const isLost = named?.has(fileId) === true && table.damage?.reason === "Missing" && !isReplaced(fileId, chosen.live, surveyed)
    if (chosen.live.has(fileId) || isLost) tables.set(fileId, table)
  }

  const values = new Map<number, ValueFileMeta>()
  const damagedValues = new Map<number, DamagedValueFile>()
  const valueIds = new Set<number>(chosen.byManifest ? state?.valueFiles.keys() : [])
  for (const { meta } of tables.values()) for (const ref of meta?.valueRefs ?? []) valueIds.add(ref.fileId)
  for (const fileId of valueIds) {
    const one = yield* surveyedValues(parts, fileId, state?.valueFiles.get(fileId))
    if (one.damaged === undefined) values.set(fileId, one.meta)
    else damagedValues.set(fileId, one.damaged)
  }

  let flushed = flushedByManifest
  if (!chosen.byManifest) for (const { meta } of tables.values()) flushed = Math.max(flushed, meta?.largestSequence ?? 0)
  // Tables of the lowest level do not tell any more how far they go. Segments are let go only when tables hold what is in them, so the oldest one goes on from there.
  if (state === undefined) flushed = Math.max(flushed, (runs[0]?.first ?? 1) - 1)
  const run = chooseRun(runs, flushed, isGap)
  const isHealthy =
    isWhole &&
    refusal === undefined &&
    log.damages.length === 0 &&
    damagedValues.size === 0 &&
    [...tables.values()].every(({ damage }) => damage === undefined)
  const manifestDamage =
    found?.problem ??
    (refusal === undefined ? undefined : { damage: refusal, bytes: 0 }) ??
    (identity.believesManifest
      ? undefined
      : { damage: new Damage(`${directory}/${currentFileName}`, 0, "Missing", "no manifest can be read"), bytes: 0 })
  // Also those that are gone: restore points may hold such a file, and a reader may know one.
  let highestId = state?.fileIdsUsed ?? 0
  for (const { id } of listing.files) highestId = Math.max(highestId, id)
  for (const id of [...(state?.tables.keys() ?? []), ...(state?.valueFiles.keys() ?? []), ...(state?.segments.keys() ?? [])])
    highestId = Math.max(highestId, id)
  return {
    disk,
    directory,
    isHealthy,
    listing,
    state,
    manifestDamage: isWhole && !isStructural(refusal) ? undefined : manifestDamage,
    uuid,
    hashSeed,
    tables,
    byManifest: chosen.byManifest,
    values,
    damagedValues,
    log,
    run,
    flushed,
    highestId,
    bytesRead: counter.done
  }
}

/** Whether a refusal is about what the manifest says and not about a file that is told of anyway. */
const isStructural = (refusal: Damage | undefined): boolean => refusal?.reason === "Unexpected"

const isReplaced = (fileId: number, live: ReadonlySet<number>, surveyed: ReadonlyMap<number, SurveyedTable>): boolean => {
  for (const id of live) if (surveyed.get(id)?.properties?.replaced.includes(fileId) === true) return true
  return false
}

/** What of the structure an open for writing would refuse. */
const refusalOf = (disk: SyncDisk, directory: string, listing: Listing): Damage | undefined => {
  try {
    const content = readCurrentManifest(disk, directory, "read")!
    findOrphans(disk, directory, content.fileId, content.state, listing)
    checkNamedFiles(disk, directory, content.state)
    return undefined
  } catch (cause) {
    if (cause instanceof Damage) return cause
    throw cause
  }
}

interface FoundManifest {
  readonly fileId: number
  readonly state: ManifestState
  readonly torn: boolean
  readonly problem: { readonly damage: Damage; readonly bytes: number } | undefined
}

/** The manifest that `CURRENT` names; where that cannot be, the newest one that says anything. */
const findManifest = (disk: SyncDisk, directory: string, ids: ReadonlyArray<number>): FoundManifest | undefined => {
  const currentPath = `${directory}/${currentFileName}`
  let problem: { readonly damage: Damage; readonly bytes: number } | undefined
  let named: number | undefined
  try {
    named = decodeCurrent(crc32, currentPath, readWhole(disk, currentPath))
    if (!ids.includes(named))
      problem = { damage: new Damage(`${directory}/${fileName("manifest", named)}`, 0, "Missing", "CURRENT names this manifest"), bytes: 0 }
  } catch (cause) {
    problem = { damage: damageOf(cause, currentPath), bytes: 0 }
  }
  const candidates = [...ids].sort((a, b) => b - a)
  if (named !== undefined && ids.includes(named)) candidates.unshift(named)
  for (const fileId of candidates) {
    const path = `${directory}/${fileName("manifest", fileId)}`
    try {
      const bytes = readWhole(disk, path)
      const gathered = gatherManifest(crc32, path, bytes)
      if (!("state" in gathered)) {
        problem ??= { damage: gathered.damage, bytes: bytes.length }
        continue
      }
      if (gathered.damage !== undefined) problem ??= { damage: gathered.damage, bytes: gathered.lostBytes }
      else if (gathered.fileId !== fileId)
        problem ??= { damage: new Damage(path, 0, "Unexpected", `it says it is manifest ${gathered.fileId}`), bytes: 0 }
      const torn = gathered.damage === undefined && readManifest(crc32, path, bytes, "read").torn
      return { fileId, state: gathered.state, torn, problem }
    } catch (cause) {
      problem ??= { damage: damageOf(cause, path), bytes: 0 }
    }
  }
  return undefined
}

/** A file that is not there, or that the device cannot read, is damage here. */
const damageOf = (cause: unknown, path: string): Damage => {
  if (cause instanceof Damage) return cause
  if (cause instanceof IoFailure && (cause.code === "EIO" || cause.code === "ENOENT"))
    return new Damage(path, 0, "Missing", cause.code === "ENOENT" ? "it is not there" : cause.message)
  throw cause
}

/** Which database this is: as the manifest says, unless all tables that can be read are of another one. */
const identityOf = (
  disk: SyncDisk,
  directory: string,
  state: ManifestState | undefined,
  tableIds: ReadonlySet<number>,
  logIds: ReadonlySet<number>
): { readonly uuid: Uint8Array; readonly hashSeed: number; readonly believesManifest: boolean } | undefined => {
  const counts = new Map<string, { readonly uuid: Uint8Array; count: number }>()
  for (const fileId of tableIds) {
    const uuid = footerUuid(disk, `${directory}/${fileName("table", fileId)}`)
    if (uuid === undefined) continue
    const known = counts.get(uuid.join())
    if (known === undefined) counts.set(uuid.join(), { uuid, count: 1 })
    else known.count++
  }
  if (state !== undefined && (counts.size === 0 || counts.has(state.uuid.join())))
    return { uuid: state.uuid, hashSeed: state.hashSeed, believesManifest: true }
  const most = [...counts.values()].sort((a, b) => b.count - a.count)[0]
  if (most !== undefined) return { uuid: most.uuid, hashSeed: 0, believesManifest: false }
  // Nothing was flushed yet: all there is, is the log.
  for (const fileId of logIds) {
    const uuid = segmentUuid(disk, `${directory}/${fileName("log", fileId)}`)
    if (uuid !== undefined) return { uuid, hashSeed: 0, believesManifest: false }
  }
  return undefined
}

const segmentUuid = (disk: SyncDisk, path: string): Uint8Array | undefined => {
  const handle = disk.open(path, "read")
  try {
    return readSegmentHeader(handle, path).uuid
  } catch (cause) {
    if (cause instanceof Damage || (cause instanceof IoFailure && cause.code === "EIO")) return undefined
    throw cause
  } finally {
    handle.close()
  }
}

const footerUuid = (disk: SyncDisk, path: string): Uint8Array | undefined => {
  const handle = disk.open(path, "read")
  try {
    const offset = handle.sizeBytes() - tableFooterBytes
    if (offset < 0) return undefined
    const bytes = new Uint8Array(tableFooterBytes)
    handle.readAt(bytes, offset)
    return decodeTableFooter(crc32, bytes, path, offset).uuid
  } catch (cause) {
    if (cause instanceof Damage || (cause instanceof IoFailure && cause.code === "EIO")) return undefined
    throw cause
  } finally {
    handle.close()
  }
}
