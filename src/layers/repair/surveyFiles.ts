import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { inclusiveEnd } from "../../domain/compaction/KeySpan.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { TableMeta, ValueFileMeta } from "../../domain/manifest/TableMeta.ts"
import type { DamagedValueFile } from "../../domain/repair/RepairedValues.ts"
import { surveyTable, type TableSurvey } from "../../domain/repair/surveyTable.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { type TableOpening, TableReader } from "../../domain/table/TableReader.ts"
import { decodeTableFooter, tableFooterBytes } from "../../domain/table/tableFormat.ts"
import type { TableProperties } from "../../domain/table/TableProperties.ts"
import { verifyTable } from "../../domain/table/verifyTable.ts"
import type { ValueFileTotals } from "../../domain/values/valueFormat.ts"
import { walkValueFile } from "../../domain/values/walkValueFile.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import { type MachineFiles, runMachine } from "./runMachine.ts"

export interface SurveyedTable {
  readonly fileId: number
  readonly path: string
  readonly fileBytes: number
  /** As the manifest has it, or as the file says it. Undefined where neither can be read. */
  readonly meta: TableMeta | undefined
  readonly properties: TableProperties | undefined
  /** Undefined: every byte of it is what was written. */
  readonly damage: Damage | undefined
  /** Of a damaged one: what can be read. */
  readonly survey: TableSurvey | undefined
}

export interface FileSurvey {
  readonly disk: SyncDisk
  readonly directory: string
  readonly uuid: Uint8Array
  readonly onRead: (bytes: number) => void
}

export const filesOf = ({ directory, disk, onRead }: FileSurvey, unreadable: MachineFiles["unreadable"]): MachineFiles => ({
  open: (kind, fileId) => disk.open(`${directory}/${fileName(kind, fileId)}`, "read"),
  output: undefined,
  onRead,
  unreadable
})

/** Reads the whole table. `named`: what the manifest says of it. */
export function* surveyedTable(parts: FileSurvey, fileId: number, named: TableMeta | undefined): Generator<void, SurveyedTable, void> {
  const path = `${parts.directory}/${fileName("table", fileId)}`
  const stat = parts.disk.stat(path)
  if (stat === undefined || stat.kind !== "file")
    return {
      fileId,
      path,
      fileBytes: 0,
      meta: named,
      properties: undefined,
      damage: new Damage(path, 0, "Missing", "the manifest names this table"),
      survey: undefined
    }
  const fileBytes = stat.sizeBytes
  const opening = { crc32, codecs, fileId, path, fileBytes, root: named?.root, uuid: parts.uuid }
  let damage: Damage
  try {
    if (named !== undefined && named.fileBytes !== fileBytes)
      throw new Damage(path, Math.min(named.fileBytes, fileBytes), "Truncated", `${fileBytes} bytes instead of ${named.fileBytes}`)
    const { properties, root } = yield* runMachine(verifyWhole(opening), filesOf(parts, "fail"))
    return { fileId, path, fileBytes, meta: named ?? metaOf(properties, root, fileBytes), properties, damage: undefined, survey: undefined }
  } catch (cause) {
    damage = damageOf(cause, path)
  }
  const survey = yield* runMachine(surveyTable(opening), filesOf(parts, "none"))
  const { properties } = survey
  const meta = named ?? (properties === undefined ? undefined : metaOf(properties, undefined, fileBytes))
  return { fileId, path, fileBytes, meta, properties, damage, survey }
}

/** What of a sound table can be read, block by block: its entries will be written again. */
export function* leavesOf(parts: FileSurvey, table: SurveyedTable): Generator<void, TableSurvey, void> {
  if (table.survey !== undefined) return table.survey
  const { fileBytes, fileId, meta, path } = table
  return yield* runMachine(surveyTable({ crc32, codecs, fileId, path, fileBytes, root: meta!.root, uuid: parts.uuid }), filesOf(parts, "none"))
}

function* verifyWhole(opening: TableOpening): StepMachine<{ readonly properties: TableProperties; readonly root: TableMeta["root"] }> {
  const reader = yield* TableReader.opening(opening)
  yield* verifyTable(crc32, reader)
  const offset = opening.fileBytes - tableFooterBytes
  const bytes = (yield { step: "read", kind: "table", fileId: opening.fileId, offset, length: tableFooterBytes })!
  return { properties: reader.properties, root: decodeTableFooter(crc32, bytes, opening.path, offset).root }
}

/** What the manifest would say of it. Of a damaged table without a manifest the root is of no use: it is written again. */
const metaOf = (properties: TableProperties, root: TableMeta["root"] | undefined, fileBytes: number): TableMeta | undefined => {
  const {
    deleteCount,
    entryCount,
    fileId,
    largest,
    largestIsExclusive,
    largestSequence,
    level,
    rangeTombstoneCount,
    smallest,
    smallestSequence,
    valueRefs
  } = properties
  if (smallest === undefined || largest === undefined) return undefined
  return {
    fileId,
    level,
    fileBytes,
    smallest,
    largest: largestIsExclusive ? { keyspace: largest.keyspace, key: inclusiveEnd(largest.key) } : largest,
    smallestSequence,
    largestSequence,
    entryCount,
    deleteCount,
    rangeTombstoneCount,
    root: root ?? { offset: 0, storedLength: 0, rawLength: 0, codec: 0, sum: 0 },
    valueRefs
  }
}

/** A read that the device refuses is damage where one looks for it; another failure is one. */
const damageOf = (cause: unknown, path: string): Damage => {
  if (cause instanceof Damage) return cause
  if (cause instanceof IoFailure && cause.code === "EIO") return new Damage(path, 0, "Truncated", cause.message)
  throw cause
}

export type SurveyedValues =
  | { readonly meta: ValueFileMeta; readonly damaged: undefined }
  | { readonly meta: undefined; readonly damaged: DamagedValueFile }

/** Reads the whole value file. */
export function* surveyedValues(parts: FileSurvey, fileId: number, named: ValueFileMeta | undefined): Generator<void, SurveyedValues, void> {
  const path = `${parts.directory}/${fileName("values", fileId)}`
  const stat = parts.disk.stat(path)
  if (stat === undefined || stat.kind !== "file")
    return { meta: undefined, damaged: { path, fileBytes: 0, damage: new Damage(path, 0, "Missing", "tables refer to this value file") } }
  const fileBytes = stat.sizeBytes
  try {
    if (named !== undefined && named.fileBytes !== fileBytes)
      throw new Damage(path, Math.min(named.fileBytes, fileBytes), "Truncated", `${fileBytes} bytes instead of ${named.fileBytes}`)
    const machine: StepMachine<ValueFileTotals> = walkValueFile({ crc32, codecs, fileId, path, fileBytes, uuid: parts.uuid })
    const { valueBytes } = yield* runMachine(machine, filesOf(parts, "fail"))
    return { meta: named ?? { fileId, fileBytes, valueBytes }, damaged: undefined }
  } catch (cause) {
    return { meta: undefined, damaged: { path, fileBytes, damage: damageOf(cause, path) } }
  }
}
