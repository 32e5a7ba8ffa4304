/** One line of JSON to one entry, or the reason why not, in words for the person who has to mend the line. */
import { isUtf8 } from "node:buffer"
import { keyBytesMax } from "../../../domain/keys/kinds.ts"
import { formatBytes, formatCount } from "../format/numbers.ts"

export interface ParsedEntry {
  readonly key: string | Uint8Array
  readonly value: string | Uint8Array
  readonly keyBytes: number
  readonly valueBytes: number
}

export interface LineLimits {
  readonly valueBytesMax: number
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`

/** JSON.parse's words without the quotation of the input that V8 appends, which for a long line is the line. */
const jsonReason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/, (?:\.\.\.)?".*$/s, "").replace(/ \(line \d+ column \d+\)/, "")

const parseObject = (bytes: Uint8Array): Record<string, unknown> | string => {
  if (!isUtf8(bytes)) return "not UTF-8"
  let parsed: unknown
  try {
    parsed = JSON.parse(text(bytes))
  } catch (error) {
    return `not JSON: ${jsonReason(error)}`
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return `${kindOf(parsed)}, not an object`
  return parsed as Record<string, unknown>
}

const fromBase64 = (value: unknown, name: string): Uint8Array | string => {
  if (typeof value !== "string") return `"${name}" is ${kindOf(value)}, not a string`
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.replace(/=+$/, "").length % 4 === 1) return `"${name}" is not base64`
  return new Uint8Array(Buffer.from(value, "base64"))
}

const fromHex = (value: unknown, name: string): Uint8Array | string => {
  if (typeof value !== "string") return `"${name}" is ${kindOf(value)}, not a string`
  if (value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) return `"${name}" is not hexadecimal`
  return new Uint8Array(Buffer.from(value, "hex"))
}

const checked = (key: string | Uint8Array, value: string | Uint8Array, limits: LineLimits): ParsedEntry | string => {
  if (key.length === 0) return "the key is empty"
  if (typeof key === "string" && !key.isWellFormed()) return "the key holds half of a surrogate pair"
  if (typeof value === "string" && !value.isWellFormed()) return "the value holds half of a surrogate pair"
  const keyBytes = typeof key === "string" ? Buffer.byteLength(key) : key.length
  if (keyBytes > keyBytesMax) return `the key has ${formatCount(keyBytes)} bytes; at most ${formatCount(keyBytesMax)} are allowed`
  const valueBytes = typeof value === "string" ? Buffer.byteLength(value) : value.length
  if (valueBytes > limits.valueBytesMax) return `the value has ${formatBytes(valueBytes)}; at most ${formatBytes(limits.valueBytesMax)} are allowed`
  return { key, value, keyBytes, valueBytes }
}

/**
 * `{"key": …, "value": …}`. The key is a string or a number, or `keyBase64` / `keyHex` give its bytes. A string value stands for its UTF-8 bytes, any other value for
 * its JSON text; `valueBase64` gives bytes. This is what `scan --json` prints. A string is the reason why the line is refused.
 */
export const parseKeyValueLine = (bytes: Uint8Array, limits: LineLimits): ParsedEntry | string => {
  const fields = parseObject(bytes)
  if (typeof fields === "string") return fields
  let key: string | Uint8Array
  if (fields["key"] !== undefined) {
    const found = fields["key"]
    if (typeof found === "number") key = String(found)
    else if (typeof found === "string") key = found
    else return `"key" is ${kindOf(found)}, not a string`
  } else {
    const encoded =
      fields["keyBase64"] !== undefined
        ? fromBase64(fields["keyBase64"], "keyBase64")
        : fields["keyHex"] !== undefined
          ? fromHex(fields["keyHex"], "keyHex")
          : 'no "key" (name another field with --key-field)'
    if (typeof encoded === "string") return encoded
    key = encoded
  }
  let value: string | Uint8Array
  if (fields["value"] !== undefined) value = typeof fields["value"] === "string" ? fields["value"] : JSON.stringify(fields["value"])
  else {
    const encoded = fields["valueBase64"] !== undefined ? fromBase64(fields["valueBase64"], "valueBase64") : 'no "value"'
    if (typeof encoded === "string") return encoded
    value = encoded
  }
  return checked(key, value, limits)
}

/** With `--key-field`: the key is that field of the object (dots lead into nested objects), the value is the whole line as it stands. */
export const parseKeyFieldLine = (field: string) => {
  const path = field.split(".")
  return (bytes: Uint8Array, limits: LineLimits): ParsedEntry | string => {
    const fields = parseObject(bytes)
    if (typeof fields === "string") return fields
    let found: unknown = Object.hasOwn(fields, field) ? fields[field] : undefined
    if (found === undefined) {
      found = fields
      for (const name of path) {
        found = typeof found === "object" && found !== null && Object.hasOwn(found, name) ? (found as Record<string, unknown>)[name] : undefined
      }
    }
    if (found === undefined) return `no field "${field}"`
    if (typeof found !== "string" && typeof found !== "number") return `"${field}" is ${kindOf(found)}, not a string or a number`
    return checked(String(found), bytes, limits)
  }
}
