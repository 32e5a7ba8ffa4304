import { readU64BigEndian, writeU64BigEndian } from "./expiryRows.ts"

/** Rows of system keyspace 0 that keep durable cursors: "c" ‖ name (UTF-8) → next sequence u64, big-endian ‖ lineage id, 16 bytes. See docs/format/manifest.md, "Catalog". */

const prefixCursor = 0x63
const lineageBytes = 16

/** The bounds of these rows: from, inclusive, and to, exclusive. */
export const cursorRowsFrom: Uint8Array = Uint8Array.of(prefixCursor)
export const cursorRowsTo: Uint8Array = Uint8Array.of(prefixCursor + 1)

export const cursorRowKey = (nameUtf8: Uint8Array): Uint8Array => {
  const key = new Uint8Array(1 + nameUtf8.length)
  key[0] = prefixCursor
  key.set(nameUtf8, 1)
  return key
}

/** The name bytes in a row key. A view. */
export const nameInCursorRowKey = (key: Uint8Array): Uint8Array => key.subarray(1)

export const encodeCursor = (next: number, lineageId: Uint8Array): Uint8Array => {
  const value = new Uint8Array(8 + lineageBytes)
  writeU64BigEndian(value, 0, next)
  value.set(lineageId, 8)
  return value
}

/** Undefined where the row is not of that form. The lineage is a view. */
export const decodeCursor = (value: Uint8Array): { readonly next: number; readonly lineageId: Uint8Array } | undefined => {
  if (value.length !== 8 + lineageBytes) return undefined
  const next = readU64BigEndian(value, 0)
  return Number.isSafeInteger(next) ? { next, lineageId: value.subarray(8) } : undefined
}
