import { compareRanges } from "./compareBytes.ts"

/**
 * The one order of internal keys: keyspace ascending, user key ascending, sequence DESCENDING (the newest version of a key comes first).
 * Compared field by field, never by memcmp of a concatenation: a key that is a prefix of another would then sort by its neighbour's sequence.
 */
export const compareInternal = (
  aKeyspace: number,
  aBytes: Uint8Array,
  aStart: number,
  aEnd: number,
  aSequence: number,
  bKeyspace: number,
  bBytes: Uint8Array,
  bStart: number,
  bEnd: number,
  bSequence: number
): number => {
  if (aKeyspace !== bKeyspace) return aKeyspace - bKeyspace
  const d = compareRanges(aBytes, aStart, aEnd, bBytes, bStart, bEnd)
  if (d !== 0) return d
  return bSequence - aSequence
}
