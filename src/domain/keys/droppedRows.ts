import { decodeId, encodeId } from "./catalogRows.ts"

/**
 * Rows of system keyspace 0 that remember what a dropped keyspace was called: "d" ‖ id u32, big-endian → name (UTF-8). Written with the drop: the log goes on naming the id, perhaps
 * long after the row that named the keyspace is gone. See docs/format/manifest.md, "Catalog".
 */

const prefixDropped = 0x64

/** The bounds of these rows: from, inclusive, and to, exclusive. */
export const droppedRowsFrom: Uint8Array = Uint8Array.of(prefixDropped)
export const droppedRowsTo: Uint8Array = Uint8Array.of(prefixDropped + 1)

export const droppedRowKey = (id: number): Uint8Array => {
  const key = new Uint8Array(5)
  key[0] = prefixDropped
  key.set(encodeId(id), 1)
  return key
}

/** Undefined where it is no such key. */
export const idInDroppedRowKey = (key: Uint8Array): number | undefined => (key[0] === prefixDropped ? decodeId(key.subarray(1)) : undefined)
