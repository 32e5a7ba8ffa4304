/**
 * Entries as CSV (RFC 4180) or TSV with a header of `name` or `name:type`. A field is quoted where it must be, and where it is an empty text: nothing at all stands for a field
 * that is absent.
 */
import { type Column, fieldOf, isOwn, objectOf } from "./columns.ts"
import type { ExportEntry, LineEncoder } from "./encoder.ts"
import { isText, type TextBlock } from "./TextBlock.ts"

export const delimiters = { csv: ",", tsv: "\t" } as const

const quote = 0x22

/** Bytes that make quotes necessary. */
const specialsOf = (delimiter: string): Uint8Array => {
  const specials = new Uint8Array(256)
  for (const character of ['"', "\r", "\n", delimiter]) specials[character.charCodeAt(0)] = 1
  return specials
}

const needsQuotes = (specials: Uint8Array, bytes: Uint8Array): boolean => {
  if (bytes.length === 0) return true
  let i = 0
  for (; i + 4 <= bytes.length; i += 4)
    if ((specials[bytes[i]!]! | specials[bytes[i + 1]!]! | specials[bytes[i + 2]!]! | specials[bytes[i + 3]!]!) !== 0) return true
  for (; i < bytes.length; i++) if (specials[bytes[i]!] !== 0) return true
  return false
}

const utf8 = new TextEncoder()

/** What a field of the value looks like in its column: text for the cell, undefined where it is absent, or why it does not fit. */
const cellOf = (value: unknown, { name, type }: Column): { readonly text: string | undefined } | { readonly reason: string } => {
  if (value === undefined) return { text: undefined }
  if (type === "json") return { text: JSON.stringify(value) }
  if (type === "number" || type === "boolean") {
    return typeof value === type ? { text: String(value) } : { reason: `its field ${JSON.stringify(name)} is no ${type}` }
  }
  if (typeof value === "string") {
    return value.isWellFormed() ? { text: value } : { reason: `its field ${JSON.stringify(name)} holds half of a surrogate pair` }
  }
  return typeof value === "number" || typeof value === "boolean"
    ? { text: String(value) }
    : { reason: `its field ${JSON.stringify(name)} is not a text` }
}

export const delimited = (format: "csv" | "tsv", columns: ReadonlyArray<Column>): LineEncoder => {
  const delimiter = delimiters[format]
  const lineEnd = format === "csv" ? "\r\n" : "\n"
  const specials = specialsOf(delimiter)
  const valueAt = columns.findIndex(({ name }) => name === "value")
  const valueType = columns[valueAt]?.type
  const textColumns = columns.filter(({ name, type }) => (name === "key" || name === "value") && type === "text")
  const fields = columns.flatMap((column, index) => (isOwn(column.name) ? [] : [{ column, index, path: column.name.split(".") }]))
  let valueQuoted = false
  /** The fields of the entry's value, by column. */
  let cells: Array<string | undefined> = []

  const textCell = (block: TextBlock, bytes: Uint8Array): void => {
    if (!needsQuotes(specials, bytes)) return block.copy(bytes)
    block.ascii('"')
    block.doubleQuotes(bytes)
    block.ascii('"')
  }

  const cell = (block: TextBlock, entry: ExportEntry, column: Column, index: number): void => {
    switch (column.name) {
      case "key":
        return column.type === "text" ? textCell(block, entry.key) : column.type === "hex" ? block.hex(entry.key) : block.base64(entry.key)
      case "keyspace":
        return entry.keyspace === undefined ? undefined : textCell(block, utf8.encode(entry.keyspace))
      case "expiresAt":
        return entry.expiresAt === undefined ? undefined : block.ascii(String(entry.expiresAt))
      default: {
        const text = cells[index]
        if (text !== undefined) textCell(block, utf8.encode(text))
      }
    }
  }

  const between = (block: TextBlock, entry: ExportEntry, from: number, to: number): void => {
    for (let index = from; index < to; index++) {
      if (index > 0) block.ascii(delimiter)
      cell(block, entry, columns[index]!, index)
    }
  }

  /** The fields of the value into `cells`; a reason where that cannot be. */
  const readFields = (entry: ExportEntry): string | undefined => {
    if (fields.length === 0) return undefined
    const object = objectOf(entry.value)
    if (object === undefined) return "its value is not a JSON object, which --fields takes columns from"
    cells = []
    for (const { column, index, path } of fields) {
      const found = cellOf(fieldOf(object, column.name, path), column)
      if ("reason" in found) return `${found.reason}; give the column the type json`
      cells[index] = found.text
    }
    return undefined
  }

  return {
    header: `${columns.map((column) => headerCell(column, specials)).join(delimiter)}${lineEnd}`,
    begin: (block, entry) => {
      for (const { name } of textColumns) {
        if (!isText(name === "key" ? entry.key : entry.value))
          return `its ${name} is not UTF-8; give the column another type: --fields ${name}:base64`
      }
      const refused = readFields(entry)
      if (refused !== undefined) return refused
      const start = block.length
      between(block, entry, 0, valueAt < 0 ? columns.length : valueAt)
      // A line with nothing on it is passed over by many readers.
      if (valueAt < 0 && block.length === start) block.ascii('""')
      if (valueAt < 0) return undefined
      if (valueAt > 0) block.ascii(delimiter)
      valueQuoted = entry.value.length === 0 || (valueType === "text" && needsQuotes(specials, entry.value))
      if (valueQuoted) block.ascii('"')
      return undefined
    },
    value: (block, { value }, from, to) => {
      if (valueAt < 0) return
      if (valueType === "base64") block.base64(value, from, to)
      else if (valueType === "hex") block.hex(value, from, to)
      else if (valueQuoted) block.doubleQuotes(value, from, to)
      else block.copy(value, from, to)
    },
    end: (block, entry) => {
      if (valueQuoted) block.ascii('"')
      if (valueAt >= 0) between(block, entry, valueAt + 1, columns.length)
      block.ascii(lineEnd)
    }
  }
}

/** Text is what a column is without a type, and `expiresAt` is a number by its name. A name that ends like a type needs one to be told from it. */
const headerCell = ({ name, type }: Column, specials: Uint8Array): string => {
  const plain = (type === "text" && !name.includes(":")) || name === "expiresAt"
  const bytes = utf8.encode(plain ? name : `${name}:${type}`)
  const text = plain ? name : `${name}:${type}`
  return bytes.some((byte) => byte === quote || specials[byte] === 1) ? `"${text.replaceAll('"', '""')}"` : text
}
