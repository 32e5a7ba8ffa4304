/** One line of JSON to one entry, or the reason why not. */
import { isUtf8 } from "node:buffer"
import {
  checkedEntry,
  decodeBase64,
  decodeHex,
  type EntryExtras,
  type EntryLimits,
  keyspaceFault,
  momentOf,
  noExtras,
  type ParsedEntry
} from "./entry.ts"
import type { FieldExpression, Mapping } from "./mapping.ts"

export type ParseLine = (bytes: Uint8Array, limits: EntryLimits) => ParsedEntry | string

type Fields = Readonly<Record<string, unknown>>

/** Something that was looked for in a record, or the reason why it is not there or of no use. */
type Found<A> = { readonly found: A } | { readonly fault: string }

const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`

/** JSON.parse's words without the quotation of the input that V8 appends, which for a long line is the line. */
const jsonReason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/, (?:\.\.\.)?".*$/s, "").replace(/ \(line \d+ column \d+\)/, "")

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value)

const parseObject = (bytes: Uint8Array): Fields | string => {
  if (!isUtf8(bytes)) return "not UTF-8"
  let parsed: unknown
  try {
    parsed = JSON.parse(text(bytes))
  } catch (error) {
    return `not JSON: ${jsonReason(error)}`
  }
  return isFields(parsed) ? parsed : `${kindOf(parsed)}, not an object`
}

const decoded = (value: unknown, name: string, decode: (text: string) => Uint8Array | undefined, form: string): Found<Uint8Array> => {
  if (typeof value !== "string") return { fault: `"${name}" is ${kindOf(value)}, not a string` }
  const bytes = decode(value)
  return bytes === undefined ? { fault: `"${name}" is not ${form}` } : { found: bytes }
}

const base64Field = (fields: Fields, name: string): Found<Uint8Array> => decoded(fields[name], name, decodeBase64, "base64")

const standardKey = (fields: Fields): Found<string | Uint8Array> => {
  const key = fields["key"]
  if (typeof key === "string") return { found: key }
  if (typeof key === "number") return { found: String(key) }
  if (key !== undefined) return { fault: `"key" is ${kindOf(key)}, not a string` }
  if (fields["keyBase64"] !== undefined) return base64Field(fields, "keyBase64")
  if (fields["keyHex"] !== undefined) return decoded(fields["keyHex"], "keyHex", decodeHex, "hexadecimal")
  return { fault: 'no "key" (name another field with --key-field)' }
}

const valueText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

const standardValue = (fields: Fields): Found<string | Uint8Array> => {
  if (fields["value"] !== undefined) return { found: valueText(fields["value"]) }
  return fields["valueBase64"] === undefined ? { fault: 'no "value"' } : base64Field(fields, "valueBase64")
}

/** null stands for an absent one: what many programs write for a field without a value. */
const extrasOf = (keyspace: unknown, expiresAt: unknown, names: readonly [keyspace: string, expiresAt: string]): Found<EntryExtras> => {
  if (keyspace === undefined && expiresAt === undefined) return { found: noExtras }
  const extras: { keyspace?: string; expiresAt?: number } = {}
  if (keyspace !== undefined && keyspace !== null) {
    if (typeof keyspace !== "string") return { fault: `"${names[0]}" is ${kindOf(keyspace)}, not the name of a keyspace` }
    const fault = keyspaceFault(keyspace)
    if (fault !== undefined) return { fault }
    extras.keyspace = keyspace
  }
  if (expiresAt !== undefined && expiresAt !== null) {
    const moment = momentOf(expiresAt)
    if (moment === undefined) return { fault: `"${names[1]}" is not a time (milliseconds since 1970, or a date as 2030-01-31T12:00:00Z)` }
    extras.expiresAt = moment
  }
  return { found: extras }
}

/**
 * `{"key": …, "value": …}`. The key is a string or a number, or `keyBase64` / `keyHex` give its bytes. A string value stands for its UTF-8 bytes, any other value for
 * its JSON text; `valueBase64` gives bytes. `keyspace` and `expiresAt` may stand beside them. This is what `export` and `scan --json` write. A string is the reason why the
 * line is refused.
 */
export const parseKeyValueLine: ParseLine = (bytes, limits) => {
  const fields = parseObject(bytes)
  if (typeof fields === "string") return fields
  const key = standardKey(fields)
  if ("fault" in key) return key.fault
  const value = standardValue(fields)
  if ("fault" in value) return value.fault
  const extras = extrasOf(fields["keyspace"], fields["expiresAt"], ["keyspace", "expiresAt"])
  return "fault" in extras ? extras.fault : checkedEntry(key.found, value.found, extras.found, limits)
}

/** The field of this name, or else the one that its dots lead to. */
const lookUp = (fields: Fields, name: string): unknown => {
  if (Object.hasOwn(fields, name)) return fields[name]
  let found: unknown = fields
  for (const step of name.split("."))
    found = typeof found === "object" && found !== null && Object.hasOwn(found, step) ? (found as Fields)[step] : undefined
  return found
}

const keyText = (fields: Fields, name: string): Found<string> => {
  const found = lookUp(fields, name)
  if (found === undefined) return { fault: `no field "${name}"` }
  if (typeof found !== "string" && typeof found !== "number") return { fault: `"${name}" is ${kindOf(found)}, not a string or a number` }
  return { found: String(found) }
}

/** The text of a field or a template, for a key or a keyspace. */
const expressionText = (fields: Fields, expression: FieldExpression): Found<string> => {
  if (expression.type === "field") return keyText(fields, expression.name)
  let out = ""
  for (const part of expression.type === "template" ? expression.parts : []) {
    if ("text" in part) {
      out += part.text
      continue
    }
    const found = keyText(fields, part.name)
    if ("fault" in found) return found
    out += found.found
  }
  return { found: out }
}

const mappedValue = (fields: Fields, line: Uint8Array, expression: FieldExpression): Found<string | Uint8Array> => {
  if (expression.type === "whole") return { found: line }
  if (expression.type === "template") return expressionText(fields, expression)
  const found = lookUp(fields, expression.name)
  return found === undefined ? { fault: `no field "${expression.name}"` } : { found: valueText(found) }
}

const mappedExtras = (fields: Fields, mapping: Mapping): Found<EntryExtras> => {
  // Where the key is a field of the application's, so are fields that happen to be called like ours.
  const own = mapping.key === undefined
  let keyspace: unknown = own ? fields["keyspace"] : undefined
  if (mapping.keyspace !== undefined) {
    const name = expressionText(fields, mapping.keyspace)
    if ("fault" in name) return name
    keyspace = name.found
  }
  let expiresAt: unknown = own ? fields["expiresAt"] : undefined
  let expiryName = "expiresAt"
  if (mapping.expiresAt?.type === "field") {
    expiryName = mapping.expiresAt.name
    expiresAt = lookUp(fields, expiryName)
    if (expiresAt === undefined) return { fault: `no field "${expiryName}"` }
  }
  return extrasOf(keyspace, expiresAt, [mapping.keyspace?.type === "field" ? mapping.keyspace.name : "keyspace", expiryName])
}

/** Lines of which `--map` says what is what. The whole record as a value is the line as it stands. */
export const parseMappedLine = (mapping: Mapping): ParseLine => {
  return (bytes, limits) => {
    const fields = parseObject(bytes)
    if (typeof fields === "string") return fields
    const key = mapping.key === undefined ? standardKey(fields) : expressionText(fields, mapping.key)
    if ("fault" in key) return key.fault
    const value = mapping.value === undefined ? standardValue(fields) : mappedValue(fields, bytes, mapping.value)
    if ("fault" in value) return value.fault
    const extras = mappedExtras(fields, mapping)
    return "fault" in extras ? extras.fault : checkedEntry(key.found, value.found, extras.found, limits)
  }
}
