/**
 * Rows of system keyspace 2: what expires, in the order in which it does. A put that expires brings its row in the same batch; the reaper reads the rows that are due.
 *
 *     key = expiresAt u64 | keyspace u32 | user key      (big-endian; ms of engine time)
 *     value = empty
 */

/** What a row takes beside the user key. */
export const expiryRowOverhead = 12

const writeU32BigEndian = (into: Uint8Array, at: number, n: number): void => {
  into[at] = n >>> 24
  into[at + 1] = n >>> 16
  into[at + 2] = n >>> 8
  into[at + 3] = n
}

const readU32BigEndian = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** `n` as eight bytes, big-endian: an integer from 0 to 2^53 - 1. */
export const writeU64BigEndian = (into: Uint8Array, at: number, n: number): void => {
  writeU32BigEndian(into, at, Math.floor(n / 0x1_0000_0000))
  writeU32BigEndian(into, at + 4, n >>> 0)
}

export const readU64BigEndian = (bytes: Uint8Array, at: number): number =>
  readU32BigEndian(bytes, at) * 0x1_0000_0000 + readU32BigEndian(bytes, at + 4)

/** Writes what stands before the user key. */
export const writeExpiryRowHead = (into: Uint8Array, at: number, expiresAt: number, keyspace: number): void => {
  writeU64BigEndian(into, at, expiresAt)
  writeU32BigEndian(into, at + 8, keyspace)
}

export interface ExpiryRow {
  readonly expiresAt: number
  readonly keyspace: number
  /** A view of the row's key. */
  readonly key: Uint8Array
}

export const decodeExpiryRow = (row: Uint8Array): ExpiryRow => ({
  expiresAt: readU64BigEndian(row, 0),
  keyspace: readU32BigEndian(row, 8),
  key: row.subarray(expiryRowOverhead)
})

/** Where the rows begin that expire at `expiresAt` or later. */
export const expiryRowsFrom = (expiresAt: number): Uint8Array => {
  const start = new Uint8Array(8)
  writeU64BigEndian(start, 0, expiresAt)
  return start
}
