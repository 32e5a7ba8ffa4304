/** CSV as events: the header says what is in the columns, each record is one entry or one problem. */
import { formatCount } from "../format/numbers.ts"
import type { ImportEvent } from "./batches.ts"
import { cellText, type Column, decodeCell, describeColumns, isAbsent, jsonOfCell, missingCell, parseHeader } from "./csvColumns.ts"
import { CsvReader, type CsvRecord } from "./csvRecords.ts"
import { checkedEntry, type EntryExtras, type EntryLimits, itemOfEntry, keyspaceFault, momentOf, type ParsedEntry, recordBytesMax } from "./entry.ts"
import { InputFault } from "./InputFault.ts"
import type { TextPlace } from "./jsonLines.ts"
import { type FieldExpression, fieldsOf, type Mapping } from "./mapping.ts"

export interface CsvRowsOptions {
  readonly file: string
  readonly separator: "," | "\t"
  readonly mapping: Mapping
  readonly limits: EntryLimits
  /** Where to go on; the header is read from the beginning in any case. */
  readonly from: TextPlace
  readonly recordBytesMax?: number
}

const mark = [0xef, 0xbb, 0xbf] as const

/** Records of the whole input or of its rest, without a byte order mark. */
async function* recordsOf(
  source: AsyncIterable<Uint8Array>,
  options: CsvRowsOptions,
  from: TextPlace
): AsyncGenerator<ReadonlyArray<CsvRecord>, void, undefined> {
  const readerFrom = (place: TextPlace): CsvReader =>
    new CsvReader({ separator: options.separator, recordBytesMax: options.recordBytesMax ?? recordBytesMax, from: place })
  let reader = from.end === 0 ? undefined : readerFrom(from)
  let head = new Uint8Array(0)
  for await (const given of source) {
    let chunk = new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    if (reader === undefined) {
      // The mark may be cut by the end of a chunk.
      const joined = new Uint8Array(head.length + chunk.length)
      joined.set(head)
      joined.set(chunk, head.length)
      head = joined
      if (head.length < mark.length && head.every((byte, i) => byte === mark[i])) continue
      const skipped = mark.every((byte, i) => joined[i] === byte) ? mark.length : 0
      reader = readerFrom({ end: skipped, line: 0 })
      chunk = joined.subarray(skipped)
    }
    const records = reader.push(chunk)
    if (records.length > 0) yield records
  }
  if (reader === undefined) {
    reader = readerFrom(from)
    reader.push(head)
  }
  const last = reader.finish()
  if (last.length > 0) yield last
}

/** A piece of a key or a value: the text between the fields of a template, or a column. */
type Part = { readonly bytes: Uint8Array } | { readonly column: number }

interface Plan {
  readonly columns: ReadonlyArray<Column>
  readonly key: ReadonlyArray<Part>
  /** `undefined`: the whole record. */
  readonly value: ReadonlyArray<Part> | undefined
  readonly keyspace: ReadonlyArray<Part> | undefined
  readonly expiresAt: number | undefined
}

const partsOf = (columns: ReadonlyArray<Column>, expression: FieldExpression): ReadonlyArray<Part> => {
  const at = (name: string): Part => ({ column: columns.findIndex((column) => column.name === name) })
  if (expression.type === "field") return [at(expression.name)]
  return expression.type === "template" ? expression.parts.map((part) => ("name" in part ? at(part.name) : { bytes: Buffer.from(part.text) })) : []
}

/** What the header and the mapping make of a row together; a string is why they do not go together. */
const planOf = (columns: ReadonlyArray<Column>, mapping: Mapping): Plan | string => {
  const standard = (name: string): FieldExpression | undefined =>
    columns.some((column) => column.name === name) ? { type: "field", name } : undefined
  for (const expression of [mapping.key, mapping.value, mapping.keyspace, mapping.expiresAt]) {
    for (const name of expression === undefined ? [] : fieldsOf(expression)) {
      if (standard(name) === undefined) return `there is no column ${JSON.stringify(name)}; there are ${describeColumns(columns)}`
    }
  }
  const key = mapping.key ?? standard("key")
  const value = mapping.value ?? standard("value")
  if (key === undefined || value === undefined) {
    const missing = key === undefined ? "key" : "value"
    return `the header has no column "${missing}" but ${describeColumns(columns)}; say with --map which columns are key and value`
  }
  // Where the key is a column of the application's, so are columns that happen to be called like ours.
  const own = mapping.key === undefined
  const keyspace = mapping.keyspace ?? (own ? standard("keyspace") : undefined)
  const expiresAt = mapping.expiresAt ?? (own ? standard("expiresAt") : undefined)
  return {
    columns,
    key: partsOf(columns, key),
    value: value.type === "whole" ? undefined : partsOf(columns, value),
    keyspace: keyspace === undefined ? undefined : partsOf(columns, keyspace),
    expiresAt: expiresAt?.type === "field" ? columns.findIndex((column) => column.name === expiresAt.name) : undefined
  }
}

/** The bytes of one column, or of a template; a string says what is missing. */
const joined = (plan: Plan, parts: ReadonlyArray<Part>, cells: ReadonlyArray<Uint8Array>): Uint8Array | string => {
  const bytesOf = (part: Part): Uint8Array | string => {
    if ("bytes" in part) return part.bytes
    const cell = cells[part.column]!
    const column = plan.columns[part.column]!
    return isAbsent(column, cell) ? missingCell(column) : cell
  }
  if (parts.length === 1) return bytesOf(parts[0]!)
  const pieces: Array<Uint8Array> = []
  for (const part of parts) {
    const bytes = bytesOf(part)
    if (typeof bytes === "string") return bytes
    pieces.push(bytes)
  }
  return new Uint8Array(Buffer.concat(pieces))
}

const extrasOf = (plan: Plan, cells: ReadonlyArray<Uint8Array>): EntryExtras | string => {
  const extras: { keyspace?: string; expiresAt?: number } = {}
  if (plan.keyspace !== undefined) {
    const name = joined(plan, plan.keyspace, cells)
    if (typeof name === "string") return name
    // An empty cell: the keyspace of the import.
    if (name.length > 0) {
      const text = cellText(name)
      const fault = keyspaceFault(text)
      if (fault !== undefined) return fault
      extras.keyspace = text
    }
  }
  if (plan.expiresAt !== undefined && cells[plan.expiresAt]!.length > 0) {
    const text = cellText(cells[plan.expiresAt]!)
    const moment = momentOf(text)
    if (moment === undefined)
      return `"${plan.columns[plan.expiresAt]!.name}" is not a time (milliseconds since 1970, or a date as 2030-01-31T12:00:00Z): ${JSON.stringify(text.slice(0, 40))}`
    extras.expiresAt = moment
  }
  return extras
}

const entryOf = (plan: Plan, fields: ReadonlyArray<Uint8Array>, limits: EntryLimits): ParsedEntry | string => {
  const { columns } = plan
  if (fields.length !== columns.length)
    return `the row has ${formatCount(fields.length)} ${fields.length === 1 ? "field" : "fields"}, and the header ${formatCount(columns.length)}`
  const cells: Array<Uint8Array> = []
  for (let i = 0; i < fields.length; i++) {
    const cell = decodeCell(columns[i]!, fields[i]!)
    if (typeof cell === "string") return cell
    cells.push(cell)
  }
  const key = joined(plan, plan.key, cells)
  if (typeof key === "string") return key
  let value: Uint8Array | string
  if (plan.value === undefined)
    value = `{${columns.map((column, i) => `${JSON.stringify(column.name)}:${jsonOfCell(column, fields[i]!)}`).join(",")}}`
  else {
    value = joined(plan, plan.value, cells)
    if (typeof value === "string") return value
  }
  const extras = extrasOf(plan, cells)
  return typeof extras === "string" ? extras : checkedEntry(key, value, extras, limits)
}

/** Fails where the header is of no use. */
const planFrom = (record: CsvRecord, options: CsvRowsOptions): Plan => {
  const columns = record.fault ?? parseHeader(record.fields)
  const plan = typeof columns === "string" ? columns : planOf(columns, options.mapping)
  if (typeof plan === "string") throw new InputFault(options.file, plan, record.line)
  return plan
}

/** `open(end)` gives the bytes from there on. A header that does not fit ends everything: nothing after it can be read. */
export async function* csvEvents(
  open: (end: number) => AsyncIterable<Uint8Array>,
  options: CsvRowsOptions
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  let plan: Plan | undefined
  if (options.from.end > 0) {
    for await (const [header] of recordsOf(open(0), options, { end: 0, line: 0 })) {
      if (header !== undefined) plan = planFrom(header, options)
      break
    }
  }
  for await (const records of recordsOf(open(options.from.end), options, options.from)) {
    const events: Array<ImportEvent> = []
    for (const record of records) {
      if (plan === undefined) {
        plan = planFrom(record, options)
        continue
      }
      const entry = record.fault ?? entryOf(plan, record.fields, options.limits)
      if (typeof entry === "string")
        events.push({ type: "problem", file: options.file, line: record.line, reason: entry, end: record.end, lines: record.lines })
      else events.push(itemOfEntry(entry, record.end, record.lines))
    }
    if (events.length > 0) yield events
  }
}
