/** A manifest file, edit by edit, and `CURRENT`. */
import { Damage } from "../../../domain/failures.ts"
import { decodeCurrent } from "../../../domain/manifest/current.ts"
import { fileName } from "../../../domain/manifest/fileNames.ts"
import type { ManifestEdit, ManifestSnapshot } from "../../../domain/manifest/ManifestEdit.ts"
import type { SegmentMeta, SegmentSeal } from "../../../domain/manifest/SegmentMeta.ts"
import type { TableMeta } from "../../../domain/manifest/TableMeta.ts"
import { type ManifestPart, walkManifest } from "../../../domain/manifest/walkManifest.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { formatNoun } from "../format/numbers.ts"
import { orDamage, readExact, type Source } from "./files.ts"
import {
  absentItem,
  damageItem,
  hex8,
  idText,
  type Item,
  type Items,
  keyJson,
  keyspaceText,
  keyText,
  noteItem,
  type Render,
  type Selection,
  timeText
} from "./Item.ts"

type Edit = ManifestEdit & Partial<ManifestSnapshot>

export function* inspectManifest(render: Render, source: Source, selection: Selection): Items {
  const bytes = readExact(source, 0, source.sizeBytes())
  let shown = 0
  let records = 0
  for (const part of walkManifest(crc32, source.path, bytes)) {
    if (part.type === "record") {
      records++
      if (selection.record !== undefined && part.index !== selection.record) continue
      if (shown++ === selection.limit) return
      yield recordItem(render, source, part)
      if (part.problem !== undefined) yield damageItem(render, part.problem, "    ")
      if (part.index === selection.record) return
    } else if (part.type === "damagedHeader") yield damageItem(render, part.problem)
    else if (part.type === "header") {
      if (selection.record === undefined)
        yield {
          text: () => [`  header  offset 0  sum ok  file ${part.fileId}  database ${idText(part.uuid)}`],
          json: () => ({ type: "header", file: source.name, offset: 0, fileId: part.fileId, uuid: idText(part.uuid), sum: hex8(part.sum) })
        }
    } else if (part.laterRecords)
      yield damageItem(
        render,
        new Damage(source.path, part.offset, "ChecksumMismatch", `${part.lengthBytes} bytes are no valid record, and one follows`)
      )
    else
      yield noteItem(
        render,
        source.name,
        `torn tail at offset ${part.offset}: ${part.lengthBytes} bytes are no valid record. An append that was not finished, or is being made; an open cuts it`,
        part.offset
      )
  }
  if (selection.record !== undefined) yield absentItem(source.name, `record ${selection.record}`, records)
}

const recordItem = (render: Render, source: Source, part: Extract<ManifestPart, { type: "record" }>): Item => ({
  text: () => [
    render.style(
      "bold",
      `  record ${part.index}  offset ${part.offset}  ${part.lengthBytes} bytes  ${part.isSnapshot ? "snapshot" : "edit"}  sum ok${part.follows ? "" : "  does not follow the record before"}`
    ),
    ...(part.edit === undefined ? [] : editLines(render, part.edit).map((line) => `    ${line}`))
  ],
  json: () => ({
    type: "record",
    file: source.name,
    record: part.index,
    offset: part.offset,
    bytes: part.lengthBytes,
    kind: part.isSnapshot ? "snapshot" : "edit",
    sum: hex8(part.sum),
    follows: part.follows,
    ...(part.edit === undefined ? {} : { edit: editJson(render, part.edit) })
  })
})

const sealText = (seal: SegmentSeal): string =>
  seal.firstSequence > seal.lastSequence
    ? `sealed at ${seal.lengthBytes} bytes, without a transaction`
    : `sealed at ${seal.lengthBytes} bytes, sequences ${seal.firstSequence} to ${seal.lastSequence}, last sum ${hex8(seal.lastSum)}, until ${timeText(seal.lastCommitMs)}`

const segmentText = (segment: SegmentMeta): string =>
  [
    `segment ${segment.fileId}: epoch ${segment.epoch}`,
    ...(segment.basePosition === undefined ? [] : [`base position ${segment.basePosition}`]),
    ...(segment.floorPosition === undefined ? [] : [`durable through position ${segment.floorPosition}`]),
    segment.sealed === undefined ? "not sealed" : sealText(segment.sealed)
  ].join(", ")

export const rangeText = (render: Render, table: Pick<TableMeta, "smallest" | "largest">, used: number): string => {
  const room = Math.max(24, render.columns - used)
  const half = { ...render, columns: room >> 1 }
  const place = (keyspace: number, key: Uint8Array) => `${keyspace}/${keyText(half, key, String(keyspace).length + 3)}`
  return `${place(table.smallest.keyspace, table.smallest.key)} .. ${place(table.largest.keyspace, table.largest.key)}`
}

const tableText = (render: Render, table: TableMeta): string => {
  const facts = [
    `table ${table.fileId}: level ${table.level}`,
    `${table.fileBytes} bytes`,
    formatNoun(table.entryCount, "entry", "entries"),
    ...(table.deleteCount === 0 ? [] : [formatNoun(table.deleteCount, "delete")]),
    ...(table.rangeTombstoneCount === 0 ? [] : [formatNoun(table.rangeTombstoneCount, "range tombstone")]),
    `sequences ${table.smallestSequence} to ${table.largestSequence}`,
    ...(table.valueRefs.length === 0 ? [] : [`values in ${table.valueRefs.map(({ bytes, fileId }) => `${fileId} (${bytes} bytes)`).join(" ")}`])
  ].join(", ")
  return `${facts}, ${rangeText(render, table, facts.length + 10)}`
}

const editLines = (render: Render, edit: Edit): Array<string> => {
  const each = <A>(list: ReadonlyArray<A> | undefined, line: (item: A) => string): Array<string> => (list ?? []).map(line)
  const one = <A>(item: A | undefined, line: (item: A) => string): Array<string> => (item === undefined ? [] : [line(item)])
  return [
    ...one(
      edit.identity,
      ({ epoch, hashSeed, lineageId, uuid }) => `database ${idText(uuid)}, lineage ${idText(lineageId)}, epoch ${epoch}, hash seed ${hex8(hashSeed)}`
    ),
    ...one(edit.engineTimeMs, (ms) => `engine time ${timeText(ms)}`),
    ...one(edit.fileIdsThrough, (id) => `file ids reserved through ${id}`),
    ...one(edit.fileIdsUsed, (id) => `file ids used through ${id}`),
    ...one(edit.sequencesThrough, (sequence) => `sequences reserved through ${sequence}`),
    ...one(edit.flushedThrough, ({ position, sequence }) => `flushed through sequence ${sequence}, position ${position}`),
    ...each(edit.addLostRanges, ({ from, to }) => `lost sequences ${from} to ${to - 1}`),
    ...each(edit.historyFrom, ({ keyspace, sequence }) => `history of keyspace ${keyspaceText(keyspace)} from sequence ${sequence}`),
    ...each(edit.removeSegments, (id) => `- segment ${id}`),
    ...each(edit.removeTables, (id) => `- table ${id}`),
    ...each(edit.removeValueFiles, (id) => `- value file ${id}`),
    ...each(edit.addSegments, (segment) => `+ ${segmentText(segment)}`),
    ...each(edit.sealSegments, ({ basePosition, fileId, ...seal }) => `  segment ${fileId}: base position ${basePosition}, ${sealText(seal)}`),
    ...each(edit.addTables, (table) => `+ ${tableText(render, table)}`),
    ...each(edit.addValueFiles, (file) => `+ value file ${file.fileId}: ${file.fileBytes} bytes, ${file.valueBytes} of values`),
    ...each(edit.dropKeyspaces, ({ keyspace, sequence }) => `keyspace ${keyspace} dropped at sequence ${sequence}`),
    ...each(edit.forgetKeyspaces, (keyspace) => `keyspace ${keyspace} forgotten`)
  ]
}

const placeJson = (render: Render, place: TableMeta["smallest"]) => ({ keyspace: place.keyspace, ...keyJson(render, place.key) })

export const tableJson = (render: Render, { deletedRanges, largest, root, smallest, ...table }: TableMeta): Record<string, unknown> => ({
  ...table,
  smallest: placeJson(render, smallest),
  largest: placeJson(render, largest),
  root: { ...root, sum: hex8(root.sum) },
  ...(deletedRanges === undefined
    ? {}
    : {
        deletedRanges: deletedRanges.map(({ end, keyspace, start }) => ({
          keyspace,
          ...keyJson(render, start, "start"),
          ...keyJson(render, end, "end")
        }))
      })
})

const editJson = (render: Render, { addTables, identity, ...edit }: Edit): Record<string, unknown> => ({
  ...(identity === undefined ? {} : { identity: { ...identity, uuid: idText(identity.uuid), lineageId: idText(identity.lineageId) } }),
  ...edit,
  ...(addTables === undefined ? {} : { addTables: addTables.map((table) => tableJson(render, table)) })
})

/** `CURRENT`: which manifest it names, and whether its sum holds. */
export function* inspectCurrent(render: Render, source: Source): Items {
  const id = orDamage(() => decodeCurrent(crc32, source.path, readExact(source, 0, source.sizeBytes())))
  if (id instanceof Damage) return yield damageItem(render, id)
  yield {
    text: () => [`  names ${fileName("manifest", id)}  sum ok`],
    json: () => ({ type: "current", file: source.name, manifest: fileName("manifest", id) })
  }
}
