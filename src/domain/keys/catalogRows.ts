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

/** What a keyspace itself says of how it is kept; `undefined`: as the database does it. */
export interface KeyspaceSettings {
  /** How long its history is kept; `Infinity`: without end. Undefined: nothing is said of history. */
  readonly historyMs?: number | undefined
  /** How many versions of each key are kept instead; `historyMs` is then 0. */
  readonly historyVersions?: number | undefined
  /** Whether the log keeps the values that its operations replace. */
  readonly beforeImages?: boolean | undefined
}

/** A keyspace as its row says. */
export interface KeyspaceRow extends KeyspaceSettings {
  readonly id: number
}

/** Options are (tag, value) after the id, by ascending tags; a row without any is four bytes long. */
const tagHistory = 1
const tagBeforeImages = 2
const tagVersions = 3
const historyBytes = 9
const beforeImagesBytes = 2
const versionsBytes = 5

/** Finite histories are kept in whole milliseconds, and are no longer than this. */
export const historyMsMax = Number.MAX_SAFE_INTEGER

/** So many versions of a key are kept at most. */
export const historyVersionsMax = 1_000_000

export const encodeKeyspaceRow = ({ beforeImages, historyMs, historyVersions, id }: KeyspaceRow): Uint8Array => {
  const byTime = historyMs !== undefined && historyVersions === undefined
  const byCount = historyVersions !== undefined
  const value = new Uint8Array(4 + (byTime ? historyBytes : 0) + (beforeImages === undefined ? 0 : beforeImagesBytes) + (byCount ? versionsBytes : 0))
  value.set(encodeId(id))
  let at = 4
  if (byTime) {
    value[at] = tagHistory
    if (historyMs === Infinity) value.fill(0xff, at + 1, at + historyBytes)
    else writeU64BigEndian(value, at + 1, Math.min(Math.ceil(historyMs), historyMsMax))
    at += historyBytes
  }
  if (beforeImages !== undefined) {
    value[at] = tagBeforeImages
    value[at + 1] = beforeImages ? 1 : 0
    at += beforeImagesBytes
  }
  if (byCount) {
    value[at] = tagVersions
    value.set(encodeId(historyVersions), at + 1)
  }
  return value
}

/** Undefined when it is not the value of a keyspace's row. */
export const decodeKeyspaceRow = (value: Uint8Array): KeyspaceRow | undefined => {
  const id = decodeId(value.subarray(0, 4))
  if (id === undefined) return undefined
  let at = 4
  let historyMs: number | undefined
  let historyVersions: number | undefined
  let beforeImages: boolean | undefined
  if (value[at] === tagHistory) {
    const end = at + historyBytes
    if (value.length < end) return undefined
    historyMs = value.subarray(at + 1, end).every((byte) => byte === 0xff) ? Infinity : readU64BigEndian(value, at + 1)
    if (historyMs !== Infinity && historyMs > historyMsMax) return undefined
    at = end
  }
  if (value[at] === tagBeforeImages) {
    const given = value[at + 1]
    if (given !== 0 && given !== 1) return undefined
    beforeImages = given === 1
    at += beforeImagesBytes
  }
  if (value[at] === tagVersions && historyMs === undefined) {
    historyVersions = decodeId(value.subarray(at + 1, at + versionsBytes))
    if (historyVersions === undefined || historyVersions < 1 || historyVersions > historyVersionsMax) return undefined
    historyMs = 0
    at += versionsBytes
  }
  return at === value.length ? { id, historyMs, historyVersions, beforeImages } : undefined
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
