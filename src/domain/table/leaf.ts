/**
 * The content of a leaf block, read in place. Layout (docs/format/table.md, "Leaf"):
 *
 * ```
 * flags u8 | entry flags u8 | count u16 | keyspace u32 | prefix length u16 | tags u8[count]? | offsets (u16 | u32)[count + 1] | prefix | entry …
 * entry: entry flags u8? | suffix length varint | suffix | sequence varint? | expiresAt varint? | value, up to the next offset
 * ```
 *
 * What a search touches stands together at the front: a block that is cached but not in the CPU's cache costs a lookup two memory accesses in a row (front, entry), where a
 * binary search over the entries costs one per step. Every entry can be decoded by itself, so walking backward is as fast as forward.
 */
import { readVarint, varintEnd } from "../bytes/varint.ts"

export const LeafFlag = {
  /** Offsets are u32. */
  wide: 1,
  /** One byte of key hash per entry stands before the offsets. */
  tagged: 2,
  /** All entries share the entry flags of the leaf's second byte and carry none themselves. */
  uniform: 4
} as const

export const leafHeaderBytes = 10
/** Entries and prefix bytes of one leaf: what a u16 holds. */
export const leafCountMax = 0xffff

/** The low three bits of an entry's flags are its kind. */
export const entryKindMask = 7
export const EntryFlag = { sequence: 8, expiry: 16, pointer: 32 } as const

/** The byte of a key's hash that a leaf keeps. The filter places keys by the high bits, so these are the low ones. */
export const leafTag = (hash: number): number => hash & 0xff

/** What a lookup found; reused from call to call. The value lies in `bytes[valueStart, valueEnd)` as long as the block does. */
export class LookupResult {
  /** The leaf found in, or the one that is needed next. */
  leaf = -1
  bytes: Uint8Array = new Uint8Array(0)
  valueStart = 0
  valueEnd = 0
  /** 0 when it was elided. */
  sequence = 0
  kind = 0
  /** 0 when the entry does not expire. */
  expiresAt = 0
  isPointer = false
}

/** Outcomes of a lookup. `needsBlock`: bring `result.leaf` and ask again. */
export const Lookup = { absent: 0, found: 1, needsBlock: 2 } as const
export type Lookup = (typeof Lookup)[keyof typeof Lookup]

/** Outcomes of searching one leaf. `beyond`: all versions here are newer than the snapshot and the leaf ends with the key. */
export const LeafSearch = { absent: 0, found: 1, beyond: 3 } as const
export type LeafSearch = (typeof LeafSearch)[keyof typeof LeafSearch]

export const leafCount = (bytes: Uint8Array, start: number): number => bytes[start + 2]! | (bytes[start + 3]! << 8)
export const leafKeyspace = (bytes: Uint8Array, start: number): number =>
  (bytes[start + 4]! | (bytes[start + 5]! << 8) | (bytes[start + 6]! << 16) | (bytes[start + 7]! << 24)) >>> 0
export const leafPrefixLength = (bytes: Uint8Array, start: number): number => bytes[start + 8]! | (bytes[start + 9]! << 8)

/** Where the offsets begin. */
export const leafOffsetsAt = (bytes: Uint8Array, start: number): number =>
  start + leafHeaderBytes + ((bytes[start]! & LeafFlag.tagged) === 0 ? 0 : leafCount(bytes, start))

/** Offset `index` of the leaf (entry `index` starts there; `index` = count is the leaf's end), relative to the leaf's start. */
export const leafOffset = (bytes: Uint8Array, offsetsAt: number, wide: boolean, index: number): number => {
  if (wide) {
    const at = offsetsAt + 4 * index
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  }
  const at = offsetsAt + 2 * index
  return bytes[at]! | (bytes[at + 1]! << 8)
}

/** Compares the suffix of the entry at `at` (its suffix length) with `key[from, keyEnd)`. */
const compareSuffix = (bytes: Uint8Array, at: number, key: Uint8Array, from: number, keyEnd: number): number => {
  let length = bytes[at]!
  let i = at + 1
  if (length >= 0x80) {
    length = readVarint(bytes, at, bytes.length)
    i = varintEnd()
  }
  const rest = keyEnd - from
  const end = i + (length < rest ? length : rest)
  for (let j = from; i < end; i++, j++) {
    const d = bytes[i]! - key[j]!
    if (d !== 0) return d
  }
  return length - rest
}

/** 0 when the key begins with the leaf's prefix, else the order of the leaf's keys relative to the key. */
const comparePrefix = (bytes: Uint8Array, at: number, length: number, key: Uint8Array, keyStart: number, keyEnd: number): number => {
  const available = keyEnd - keyStart
  const n = length < available ? length : available
  for (let i = 0; i < n; i++) {
    const d = bytes[at + i]! - key[keyStart + i]!
    if (d !== 0) return d
  }
  return length > available ? 1 : 0
}

/** The first entry whose user key is at or after the key; count when there is none. */
export const lowerBoundKey = (bytes: Uint8Array, start: number, key: Uint8Array, keyStart: number, keyEnd: number): number => {
  const flags = bytes[start]!
  const count = leafCount(bytes, start)
  const prefixLength = leafPrefixLength(bytes, start)
  const wide = (flags & LeafFlag.wide) !== 0
  const skip = start + ((flags & LeafFlag.uniform) === 0 ? 1 : 0)
  const offsetsAt = leafOffsetsAt(bytes, start)
  const d = comparePrefix(bytes, offsetsAt + (wide ? 4 : 2) * (count + 1), prefixLength, key, keyStart, keyEnd)
  if (d !== 0) return d > 0 ? 0 : count
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareSuffix(bytes, skip + leafOffset(bytes, offsetsAt, wide, middle), key, keyStart + prefixLength, keyEnd) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Finds the newest version of the key at or below `snapshot` in the leaf at `bytes[start, …)`, and describes it in `result`. The leaf must be of the key's keyspace. `tag` is
 * `leafTag` of the key's hash.
 */
export const searchLeaf = (
  bytes: Uint8Array,
  start: number,
  tag: number,
  key: Uint8Array,
  keyStart: number,
  keyEnd: number,
  snapshot: number,
  result: LookupResult
): LeafSearch => {
  const flags = bytes[start]!
  const count = bytes[start + 2]! | (bytes[start + 3]! << 8)
  const prefixLength = bytes[start + 8]! | (bytes[start + 9]! << 8)
  const wide = (flags & LeafFlag.wide) !== 0
  const uniform = (flags & LeafFlag.uniform) !== 0
  const skip = uniform ? start : start + 1
  const from = keyStart + prefixLength
  let index: number
  let offsetsAt = start + leafHeaderBytes
  if ((flags & LeafFlag.tagged) === 0) {
    index = lowerBoundKey(bytes, start, key, keyStart, keyEnd)
    if (index === count || from > keyEnd || compareSuffix(bytes, skip + leafOffset(bytes, offsetsAt, wide, index), key, from, keyEnd) !== 0)
      return LeafSearch.absent
    if (comparePrefix(bytes, offsetsAt + (wide ? 4 : 2) * (count + 1), prefixLength, key, keyStart, keyEnd) !== 0) return LeafSearch.absent
  } else {
    const tags = offsetsAt
    offsetsAt += count
    if (from > keyEnd) return LeafSearch.absent
    for (index = 0; index < count; index++) {
      if (bytes[tags + index] === tag && compareSuffix(bytes, skip + leafOffset(bytes, offsetsAt, wide, index), key, from, keyEnd) === 0) break
    }
    if (index === count || comparePrefix(bytes, offsetsAt + (wide ? 4 : 2) * (count + 1), prefixLength, key, keyStart, keyEnd) !== 0)
      return LeafSearch.absent
  }
  for (;;) {
    let at = start + leafOffset(bytes, offsetsAt, wide, index)
    const end = start + leafOffset(bytes, offsetsAt, wide, index + 1)
    const entryFlags = uniform ? bytes[start + 1]! : bytes[at++]!
    const suffixLength = bytes[at]!
    if (suffixLength < 0x80) at += 1 + suffixLength
    else {
      const long = readVarint(bytes, at, end)
      at = varintEnd() + long
    }
    let sequence = 0
    if ((entryFlags & EntryFlag.sequence) !== 0) {
      sequence = readVarint(bytes, at, end)
      at = varintEnd()
    }
    if (sequence <= snapshot) {
      let expiresAt = 0
      if ((entryFlags & EntryFlag.expiry) !== 0) {
        expiresAt = readVarint(bytes, at, end)
        at = varintEnd()
      }
      result.bytes = bytes
      result.valueStart = at
      result.valueEnd = end
      result.sequence = sequence
      result.kind = entryFlags & entryKindMask
      result.expiresAt = expiresAt
      result.isPointer = (entryFlags & EntryFlag.pointer) !== 0
      return LeafSearch.found
    }
    if (++index === count) return LeafSearch.beyond
    if (compareSuffix(bytes, skip + leafOffset(bytes, offsetsAt, wide, index), key, from, keyEnd) !== 0) return LeafSearch.absent
  }
}
