/** What `inspect` shows, piece by piece: each is a few lines for a person, or one JSON object. */
import type { Damage } from "../../../domain/failures.ts"
import { expiryKeyspace, Kind, systemKeyspace } from "../../../domain/keys/kinds.ts"
import { decodeText, escapeText, formatHex, formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import type { Paint } from "../format/paint.ts"

/** The bytes an item shows are good until the next one is asked for: it is printed first. */
export interface Item {
  readonly text: () => ReadonlyArray<string>
  readonly json: () => Record<string, unknown>
  /** Set where it tells of damage. */
  readonly damage?: Damage | undefined
  /** Set where it counts against a limit over several segments. */
  readonly isTransaction?: boolean
}

export type Items = Generator<Item, void, void>

/** How keys, values and marks are written. */
export interface Render {
  readonly style: Paint
  /** Keys in hexadecimal. */
  readonly hex: boolean
  /** Keys and values whole. */
  readonly full: boolean
  /** What a line of text is cut to. */
  readonly columns: number
}

/** What to show of a file; each kind has its own. */
export interface Selection {
  readonly record: number | undefined
  readonly from: number | undefined
  readonly limit: number | undefined
  readonly block: number | undefined
  readonly key: Uint8Array | undefined
  readonly entries: boolean
}

const shownMin = 16
/** Of a value in JSON, unless all of it is asked for. */
const jsonBytesMax = 256

/** A key on its line; `used` characters of the line are taken. */
export const keyText = (render: Render, key: Uint8Array, used = 0): string => {
  if (key.length === 0) return "(empty)"
  const room = Math.max(shownMin, render.columns - used)
  if (render.hex) return formatHex(key, render.full ? Number.POSITIVE_INFINITY : room >> 1)
  return render.full ? formatLine(key) : formatLineCut(key, room)
}

/** A value on its line: text where it is text, hexadecimal where not. */
export const valueText = (render: Render, value: Uint8Array, used = 0): string => {
  if (value.length === 0) return "(empty)"
  const room = Math.max(shownMin, render.columns - used)
  return render.full ? formatLine(value) : formatLineCut(value, room)
}

/** `{ key }`, `{ keyBase64 }`, or with --hex `{ keyHex }`, as other verbs have it. */
export const keyJson = (render: Render, key: Uint8Array, name = "key"): Record<string, string> =>
  render.hex ? { [`${name}Hex`]: formatHex(key).slice(2) } : jsonField(name, key)

export const valueJson = (render: Render, value: Uint8Array, name = "value"): Record<string, unknown> => {
  const size = { [`${name}Bytes`]: value.length }
  if (render.full || value.length <= jsonBytesMax) return { ...jsonField(name, value), ...size }
  let end = jsonBytesMax
  // A cut in the middle of a character must not turn text into base64.
  while (end > 0 && (value[end]! & 0xc0) === 0x80) end--
  return { ...jsonField(name, value.subarray(0, end === 0 ? jsonBytesMax : end)), ...size, [`${name}IsCut`]: true }
}

/** Annotations are text as a rule; else hexadecimal. */
export const annotationText = (render: Render, bytes: Uint8Array): string => {
  const text = decodeText(bytes)
  return text === undefined
    ? formatHex(bytes, render.full ? Number.POSITIVE_INFINITY : 32)
    : JSON.stringify(text.length > 60 && !render.full ? `${text.slice(0, 59)}…` : text)
}

/** Milliseconds since 1970 as a time; what is none stays a number. */
export const timeText = (ms: number): string => (ms <= 8.64e15 ? new Date(ms).toISOString() : String(ms))

export const hex8 = (n: number): string => n.toString(16).padStart(8, "0")

export const idText = (bytes: Uint8Array): string => formatHex(bytes).slice(2)

const kindNames: Readonly<Record<number, string>> = {
  [Kind.put]: "put",
  [Kind.delete]: "delete",
  [Kind.rangeDelete]: "rangeDelete",
  [Kind.expire]: "expire",
  [Kind.mergeOperand]: "mergeOperand"
}
export const kindName = (kind: number): string => kindNames[kind] ?? `kind ${kind}`

const codecNames: Readonly<Record<number, string>> = { 0: "none", 1: "lz4", 2: "zstd", 3: "snappy" }
export const codecName = (codec: number): string => codecNames[codec] ?? `codec ${codec}`

/** What a keyspace's number stands for; the names of others are data. */
export const keyspaceText = (id: number): string =>
  id === systemKeyspace ? "0 (catalog)" : id === 1 ? "1 (default)" : id === expiryKeyspace ? "2 (expiry index)" : String(id)

export const damageItem = (render: Render, damage: Damage, indent = "  "): Item => ({
  damage,
  text: () => [
    `${indent}${render.style("red", `damaged at offset ${damage.offsetBytes}: ${damage.reason}${damage.detail === "" ? "" : ` (${escapeText(damage.detail)})`}`)}`
  ],
  json: () => ({ type: "damage", file: damage.file, offset: damage.offsetBytes, reason: damage.reason, detail: damage.detail })
})

/** A remark that is no damage. */
export const noteItem = (render: Render, file: string, text: string, offset?: number, indent = "  "): Item => ({
  text: () => [`${indent}${render.style("yellow", text)}`],
  json: () => ({ type: "note", file, ...(offset === undefined ? {} : { offset }), note: text })
})

/** What was asked for is not in the file. No damage, and no failure: the answer is that it is not there. */
export const absentItem = (file: string, what: string, count: number): Item => ({
  text: () => [`  there is no ${what}${count < 0 ? "" : count === 0 ? ": there are none" : `: they are numbered 0 to ${count - 1}`}`],
  json: () => ({ type: "absent", file, what })
})
