/** What every format brings its records to: an entry that the engine will take, or the reason why not, in words for the person who has to mend the input. */
import { InvalidKeyspaceName } from "../../../domain/errors.ts"
import { keyBytesMax } from "../../../domain/keys/kinds.ts"
import { keyspaceNameBytes } from "../../../layers/keyspaceNames.ts"
import { formatBytes, formatCount } from "../format/numbers.ts"
import type { ImportItem } from "./batches.ts"
import { importsKeyspace } from "./position.ts"

/** The engine's default limit of a value. */
export const valueBytesMax = 64 * 1024 * 1024

/** Of one line or record. A value may double in length when it is escaped, and the key and other fields come on top. */
export const recordBytesMax = 2 * valueBytesMax + 1024 * 1024

export interface EntryLimits {
  readonly valueBytesMax: number
}

export interface ParsedEntry {
  readonly key: string | Uint8Array
  readonly value: string | Uint8Array
  readonly keyBytes: number
  readonly valueBytes: number
  /** Where it goes; absent: into the keyspace of the import. */
  readonly keyspace?: string | undefined
  /** Milliseconds since 1970. */
  readonly expiresAt?: number | undefined
}

/** What goes with a key and a value. */
export interface EntryExtras {
  readonly keyspace?: string | undefined
  readonly expiresAt?: number | undefined
}

export const noExtras: EntryExtras = {}

/** The entry, or the reason why it cannot be stored. */
export const checkedEntry = (
  key: string | Uint8Array,
  value: string | Uint8Array,
  extras: EntryExtras,
  limits: EntryLimits
): ParsedEntry | string => {
  if (key.length === 0) return "the key is empty"
  if (typeof key === "string" && !key.isWellFormed()) return "the key holds half of a surrogate pair"
  if (typeof value === "string" && !value.isWellFormed()) return "the value holds half of a surrogate pair"
  const keyBytes = typeof key === "string" ? Buffer.byteLength(key) : key.length
  if (keyBytes > keyBytesMax) return `the key has ${formatCount(keyBytes)} bytes; at most ${formatCount(keyBytesMax)} are allowed`
  const valueBytes = typeof value === "string" ? Buffer.byteLength(value) : value.length
  if (valueBytes > limits.valueBytesMax) return `the value has ${formatBytes(valueBytes)}; at most ${formatBytes(limits.valueBytesMax)} are allowed`
  return { key, value, keyBytes, valueBytes, ...extras }
}

export const itemOfEntry = ({ expiresAt, key, keyBytes, keyspace, value, valueBytes }: ParsedEntry, end: number, lines: number): ImportItem => ({
  type: "item",
  operations: [{ type: "put", key, value, ...(keyspace === undefined ? {} : { keyspace }), ...(expiresAt === undefined ? {} : { expiresAt }) }],
  bytes: keyBytes + valueBytes,
  end,
  lines
})

/** Bytes of base64 text, with or without its padding; `undefined` where it is none. */
export const decodeBase64 = (text: string): Uint8Array | undefined =>
  /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.replace(/=+$/, "").length % 4 !== 1 ? new Uint8Array(Buffer.from(text, "base64")) : undefined

/** Bytes of pairs of hexadecimal digits; `undefined` where it is none. */
export const decodeHex = (text: string): Uint8Array | undefined =>
  text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : undefined

/** Names that were looked at before: a file names few keyspaces, many times. */
const knownNames = new Set<string>()

/** Why this cannot name the keyspace of an entry; `undefined` where it can. */
export const keyspaceFault = (name: string): string | undefined => {
  if (knownNames.has(name)) return undefined
  if (name === importsKeyspace) return `the keyspace ${JSON.stringify(name)} belongs to lightning import itself`
  try {
    keyspaceNameBytes(name)
  } catch (error) {
    if (error instanceof InvalidKeyspaceName) return error.message
    throw error
  }
  if (knownNames.size < 1_000) knownNames.add(name)
  return undefined
}

const timeMsMax = 8_640_000_000_000_000

/** A moment: milliseconds since 1970 as a number or in digits, or a date of ISO 8601. `undefined` where it is none of them. */
export const momentOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isInteger(value) && value > 0 && value <= timeMsMax ? value : undefined
  if (typeof value !== "string") return undefined
  if (/^\d{1,16}$/.test(value)) return momentOf(Number(value))
  if (!/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.test(value)) return undefined
  return momentOf(Date.parse(value))
}
