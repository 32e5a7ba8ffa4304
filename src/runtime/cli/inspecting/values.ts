/** A value file: header, records, footer. */
import { Damage } from "../../../domain/failures.ts"
import type { ValueFileMeta } from "../../../domain/manifest/TableMeta.ts"
import { verifyStored } from "../../../domain/table/storedBlock.ts"
import { decodeValueFooter, decodeValueHeader, valueFooterBytes, valueHeaderBytes } from "../../../domain/values/valueFormat.ts"
import { type ValueFilePart, walkRecords } from "../../../domain/values/walkRecords.ts"
import { codecs } from "../../../layers/codecs.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { formatNoun } from "../format/numbers.ts"
import { orDamage, readExact, type Source } from "./files.ts"
import {
  absentItem,
  codecName,
  damageItem,
  hex8,
  idText,
  type Item,
  type Items,
  keyJson,
  keyText,
  type Render,
  type Selection,
  timeText,
  valueJson,
  valueText
} from "./Item.ts"

type RecordPart = Extract<ValueFilePart, { type: "record" }>

export function* inspectValues(render: Render, source: Source, selection: Selection, meta: ValueFileMeta | undefined): Items {
  const isWhole = selection.record === undefined
  const size = source.sizeBytes()
  const header = orDamage(() => decodeValueHeader(crc32, readExact(source, 0, valueHeaderBytes), source.path))
  if (header instanceof Damage) yield damageItem(render, header)
  else if (isWhole)
    yield {
      text: () => [`  header  offset 0  ${valueHeaderBytes} bytes  sum ok  file ${header.fileId}  database ${idText(header.uuid)}`],
      json: () => ({ type: "header", file: source.name, offset: 0, fileId: header.fileId, uuid: idText(header.uuid) })
    }
  if (meta !== undefined && meta.fileBytes !== size)
    yield damageItem(
      render,
      new Damage(source.path, Math.min(meta.fileBytes, size), "Truncated", `${size} bytes, and the manifest says ${meta.fileBytes}`)
    )
  const footerAt = size - valueFooterBytes
  const footer = orDamage(() => decodeValueFooter(crc32, readExact(source, footerAt, valueFooterBytes), source.path, Math.max(0, footerAt)))
  // A file that was cut has no footer: its records go on to its end.
  const until = footer instanceof Damage && (meta === undefined || meta.fileBytes !== size) ? Math.max(size, valueHeaderBytes) : footerAt
  let records = 0
  let valueBytes = 0
  let isSound = true
  let shown = 0
  for (const part of walkRecords(crc32, header instanceof Damage ? 0 : header.fileId, source, valueHeaderBytes, Math.min(until, size))) {
    if (part.type === "gap") {
      isSound = false
      // Behind the last record of a file without a footer lies what is left of one.
      if (footer instanceof Damage && !part.laterRecords && part.lengthBytes <= valueFooterBytes && until !== footerAt) continue
      yield damageItem(
        render,
        new Damage(
          source.path,
          part.offset,
          "ChecksumMismatch",
          `${formatNoun(part.lengthBytes, "byte")} hold no record${part.laterRecords ? ", then they go on" : ""}`
        )
      )
      continue
    }
    records++
    valueBytes += part.record.storedLength
    if (!isWhole && part.index !== selection.record) continue
    if (shown++ === selection.limit) return
    const stored = part.stored()
    const value = orDamage(() => verifyStored(crc32, codecs, source.path, part.pointer, stored))
    if (value instanceof Damage) isSound = false
    yield recordItem(render, source, part, value instanceof Damage ? undefined : value)
    if (!part.headSumHolds)
      yield damageItem(render, new Damage(source.path, part.offset, "ChecksumMismatch", "record head; what is shown of it may be wrong"), "    ")
    if (value instanceof Damage) yield damageItem(render, value, "    ")
    if (!isWhole) return
  }
  if (!isWhole) return yield absentItem(source.name, `record ${selection.record}`, records)
  if (footer instanceof Damage) return yield damageItem(render, footer)
  yield {
    text: () => [
      `  footer  offset ${footerAt}  ${valueFooterBytes} bytes  sum ok  ${formatNoun(footer.recordCount, "record")}  ${footer.valueBytes} bytes of values`
    ],
    json: () => ({ type: "footer", file: source.name, offset: footerAt, records: footer.recordCount, valueBytes: footer.valueBytes })
  }
  if (isSound && (footer.recordCount !== records || footer.valueBytes !== valueBytes))
    yield damageItem(render, new Damage(source.path, footerAt, "Unexpected", "the totals differ from the records"))
}

/** `value` undefined: its sum is wrong. */
const recordItem = (render: Render, source: Source, part: RecordPart, value: Uint8Array | undefined): Item => {
  const { index, offset, pointer, record } = part
  const { codec, expiresAt, key, keyspace, rawLength, sequence, storedLength, sum } = record
  return {
    text: () => [
      `  record ${index}  offset ${offset}  ${storedLength} bytes${codec === 0 ? "" : ` (${codecName(codec)} of ${rawLength})`}  ${part.headSumHolds ? "head ok" : "head WRONG"}  ` +
        `${value === undefined ? "sum WRONG" : "sum ok"}  sequence ${sequence}${expiresAt === 0 ? "" : `  until ${timeText(expiresAt)}`}`,
      `    ${keyspace}/${keyText(render, key, 8)}`,
      ...(value === undefined ? [] : [`    = ${valueText(render, value, 6)}`])
    ],
    json: () => ({
      type: "record",
      file: source.name,
      record: index,
      offset,
      valueOffset: pointer.offset,
      storedBytes: storedLength,
      rawBytes: rawLength,
      codec: codecName(codec),
      sum: hex8(sum),
      headSumHolds: part.headSumHolds,
      sumHolds: value !== undefined,
      keyspace,
      ...keyJson(render, key),
      sequence,
      ...(expiresAt === 0 ? {} : { expiresAt }),
      ...(value === undefined ? {} : valueJson(render, value))
    })
  }
}
