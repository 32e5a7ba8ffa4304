/** The header of a CSV file, and what its columns hold. */
import { isUtf8 } from "node:buffer"
import { formatNoun } from "../format/numbers.ts"
import { decodeBase64, decodeHex } from "./entry.ts"

export const columnTypes = ["text", "base64", "hex", "json", "number", "boolean"] as const
export type ColumnType = (typeof columnTypes)[number]

export interface Column {
  readonly name: string
  readonly type: ColumnType
}

const isType = (name: string): name is ColumnType => columnTypes.some((type) => type === name)

export const cellText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()

/** `name` or `name:type`. What follows another colon belongs to the name: columns called `time:utc` exist. */
const columnOf = (text: string): Column => {
  const colon = text.lastIndexOf(":")
  const type = text.slice(colon + 1)
  return colon > 0 && isType(type) ? { name: text.slice(0, colon), type } : { name: text, type: "text" }
}

/** The columns of a header, or what is wrong with it. */
export const parseHeader = (fields: ReadonlyArray<Uint8Array>): ReadonlyArray<Column> | string => {
  const columns: Array<Column> = []
  for (const [i, field] of fields.entries()) {
    if (!isUtf8(field)) return `the name of column ${i + 1} is not UTF-8`
    const column = columnOf(cellText(field))
    if (column.name === "") return `column ${i + 1} has no name`
    if (columns.some(({ name }) => name === column.name)) return `the header has two columns ${JSON.stringify(column.name)}`
    columns.push(column)
  }
  return columns
}

export const describeColumns = (columns: ReadonlyArray<Column>): string => {
  const shown = columns.slice(0, 20).map(({ name }) => JSON.stringify(name))
  return `${shown.join(", ")}${columns.length > shown.length ? ` and ${formatNoun(columns.length - shown.length, "other")}` : ""}`
}

const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const shown = (bytes: Uint8Array): string => {
  const text = cellText(bytes.subarray(0, 60))
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** What a cell that must not be empty is called by its type. */
const words: Readonly<Record<ColumnType, string>> = {
  text: "UTF-8",
  base64: "base64",
  hex: "hexadecimal",
  json: "JSON",
  number: "a number",
  boolean: "true or false"
}

/** An empty cell of these holds nothing; of the others it holds the empty value. */
export const isAbsent = (column: Column, cell: Uint8Array): boolean =>
  cell.length === 0 && (column.type === "number" || column.type === "boolean" || column.type === "json")

const bytesOf = (type: ColumnType, cell: Uint8Array): Uint8Array | undefined => {
  switch (type) {
    case "text":
      return isUtf8(cell) ? cell : undefined
    case "base64":
      return decodeBase64(cellText(cell))
    case "hex":
      return decodeHex(cellText(cell))
    case "json":
      return isUtf8(cell) && isJson(cellText(cell)) ? cell : undefined
    case "number":
      return number.test(cellText(cell)) ? cell : undefined
    case "boolean":
      return cell.length < 6 && /^(?:true|false)$/.test(cellText(cell)) ? cell : undefined
  }
}

/** The bytes that a cell stands for: of base64 and hex what they encode, else the cell as it is. A string says why it is not of its column's type. */
export const decodeCell = (column: Column, cell: Uint8Array): Uint8Array | string => {
  if (isAbsent(column, cell)) return cell
  const bytes = bytesOf(column.type, cell)
  if (bytes !== undefined) return bytes
  // What is not UTF-8 cannot be shown.
  return column.type === "text" ? `"${column.name}" is not UTF-8` : `"${column.name}" is not ${words[column.type]}: ${shown(cell)}`
}

export const missingCell = (column: Column): string => `"${column.name}" is empty, not ${words[column.type]}`

/** The cell as JSON text, once it is known to be of its type. */
export const jsonOfCell = (column: Column, cell: Uint8Array): string => {
  if (isAbsent(column, cell)) return "null"
  const text = cellText(cell)
  return column.type === "number" || column.type === "boolean" || column.type === "json" ? text : JSON.stringify(text)
}
