/** Rows of system keyspace 0. Numbers inside keys and values are big-endian. See docs/format/manifest.md, "Catalog". */
import { readU64BigEndian, writeU64BigEndian } from "./expiryRows.ts"

const prefixKeyspace = 0x6b // "k": name (UTF-8) → id, options
/** Where the rows of keyspaces begin, and end (exclusive). */
export const keyspaceRows = { lower: new Uint8Array([prefixKeyspace]), upper: new Uint8Array([prefixKeyspace + 1]) } as const
/** Key of the row that holds the next free id. */
export const nextIdKey = new Uint8Array([0x6e]) // "n"

/** Key of the row that names a keyspace. */
export const keyspaceRowKey = (nameUtf8: Uint8Array): Uint8Array => {
  const key = new Uint8Array(1 + nameUtf8.length)
  key[0] = prefixKeyspace
  key.set(nameUtf8, 1)
  return key
}

/** The name bytes in a row key, or undefined for rows of another kind. A view. */
export const nameInRowKey = (key: Uint8Array): Uint8Array | undefined => (key[0] === prefixKeyspace ? key.subarray(1) : undefined)

export const encodeId = (id: number): Uint8Array => new Uint8Array([id >>> 24, id >>> 16, id >>> 8, id])

/** Undefined when the row is not four bytes long. */
export const decodeId = (value: Uint8Array): number | undefined =>
  value.length === 4 ? ((value[0]! << 24) | (value[1]! << 16) | (value[2]! << 8) | value[3]!) >>> 0 : undefined

/** A keyspace as its row says. `historyMs` undefined: as the database keeps it; `Infinity`: without end. */
export interface KeyspaceRow {
  readonly id: number
  readonly historyMs: number | undefined
}

/** Options are (tag, value) after the id; a row without any is four bytes long. */
const tagHistory = 1
const historyBytes = 9

/** Finite histories are kept in whole milliseconds, and are no longer than this. */
export const historyMsMax = Number.MAX_SAFE_INTEGER

export const encodeKeyspaceRow = ({ historyMs, id }: KeyspaceRow): Uint8Array => {
  if (historyMs === undefined) return encodeId(id)
  const value = new Uint8Array(4 + historyBytes)
  value.set(encodeId(id))
  value[4] = tagHistory
  if (historyMs === Infinity) value.fill(0xff, 5)
  else writeU64BigEndian(value, 5, Math.min(Math.ceil(historyMs), historyMsMax))
  return value
}

/** Undefined when it is not the value of a keyspace's row. */
export const decodeKeyspaceRow = (value: Uint8Array): KeyspaceRow | undefined => {
  if (value.length === 4) return { id: decodeId(value)!, historyMs: undefined }
  if (value.length !== 4 + historyBytes || value[4] !== tagHistory) return undefined
  const id = decodeId(value.subarray(0, 4))!
  if (value.subarray(5).every((byte) => byte === 0xff)) return { id, historyMs: Infinity }
  const historyMs = readU64BigEndian(value, 5)
  return historyMs > historyMsMax ? undefined : { id, historyMs }
}

const prefixMark = 0x74 // "t": second → whether marks end here
/** Where the time marks begin, and end (exclusive). */
export const markRows = { lower: new Uint8Array([prefixMark]), upper: new Uint8Array([prefixMark + 1]) } as const

/** A time mark: the commit that brings it is the first one in this second since 1970, by engine time. */
export interface MarkRow {
  readonly second: number
  /** No marks were made after this one, because no history was kept: what was committed between it and the next one has no known time. */
  readonly isLast: boolean
}

export const markRowKey = (second: number): Uint8Array => {
  const key = new Uint8Array(9)
  key[0] = prefixMark
  writeU64BigEndian(key, 1, second)
  return key
}

export const markRowValue = (isLast: boolean): Uint8Array => new Uint8Array([isLast ? 1 : 0])

/** Undefined when it is no time mark. */
export const decodeMarkRow = (key: Uint8Array, value: Uint8Array): MarkRow | undefined => {
  if (key.length !== 9 || key[0] !== prefixMark || value.length !== 1 || value[0]! > 1) return undefined
  const second = readU64BigEndian(key, 1)
  return second > Number.MAX_SAFE_INTEGER ? undefined : { second, isLast: value[0] === 1 }
}
