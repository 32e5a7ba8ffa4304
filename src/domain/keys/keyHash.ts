const c1 = 0xcc9e2d51 | 0
const c2 = 0x1b873593 | 0

/**
 * MurmurHash3_x86_32 (Austin Appleby, public domain) of `bytes[start, end)`, computed once per operation and used by memtable, filters and hash
 * indexes alike. `seed` is random per database, against flooding. Returns a signed 32-bit integer.
 */
export const keyHash = (seed: number, bytes: Uint8Array, start: number, end: number): number => {
  let h = seed | 0
  const length = end - start
  const blockEnd = start + (length & ~3)
  let i = start
  for (; i < blockEnd; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, c1)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, c2)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  let k = 0
  const rest = length & 3
  if (rest === 3) k ^= bytes[i + 2]! << 16
  if (rest >= 2) k ^= bytes[i + 1]! << 8
  if (rest >= 1) {
    k ^= bytes[i]!
    k = Math.imul(k, c1)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, c2)
  }
  h ^= length
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}
