/** Fixed-width little-endian integers at byte offsets. Unchecked: the caller has made sure of the room. */

export const readU32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0

export const writeU32 = (bytes: Uint8Array, at: number, n: number): void => {
  bytes[at] = n
  bytes[at + 1] = n >>> 8
  bytes[at + 2] = n >>> 16
  bytes[at + 3] = n >>> 24
}

/** The nearest number: exact up to 2^53 - 1, and at least 2^53 for every stored value beyond, so that one comparison finds those. */
export const readU64 = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 4) * 0x1_0000_0000 + readU32(bytes, at)

/** `n` is an integer in 0 .. 2^53 - 1. */
export const writeU64 = (bytes: Uint8Array, at: number, n: number): void => {
  writeU32(bytes, at, n % 0x1_0000_0000)
  writeU32(bytes, at + 4, Math.floor(n / 0x1_0000_0000))
}

/** Whether `bytes[start, end)` holds only zeros. */
export const isZero = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false
  return true
}

/** The least multiple of `alignment` (a power of two) at or after `offset`. */
export const alignUp = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment

/** The same bytes in an array of their own. Not `slice`: of a Node `Buffer`, in which bytes may well arrive, that is a view. */
export const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)
