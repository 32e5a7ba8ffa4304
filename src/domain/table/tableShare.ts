/**
 * What part of a table lies within a range, from its fences alone: by bytes of leaves, and within the two leaves that the bounds fall into by where the bound stands between their
 * fences. So each bound is off by at most one leaf. Model: RocksDB's `ApproximateOffsetOf`, which takes the whole leaf.
 */
import type { KeyPlace } from "../compaction/KeySpan.ts"
import { compareBytes } from "../keys/compareBytes.ts"
import { sequenceMax } from "../keys/kinds.ts"
import type { FenceIndex } from "./FenceIndex.ts"

/** The keys of the table's first and last entry (or range tombstone): they end the leaves that no fence does. */
export interface TableEnds {
  readonly smallest: KeyPlace
  readonly largest: KeyPlace
}

const empty = new Uint8Array(0)
/** Bytes of a key that are compared as a number: what a double holds exactly. */
const numberBytes = 6

/** From 0 to 1: the part of the bytes of all leaves that [lower, upper) of the keyspace takes. A bound that is undefined is none. */
export const tableShare = (
  fences: FenceIndex,
  ends: TableEnds,
  keyspace: number,
  lower: Uint8Array | undefined,
  upper: Uint8Array | undefined
): number => {
  const first = fences.firstLeafFrom(keyspace)
  const end = fences.firstLeafFrom(keyspace + 1)
  if (first === end) return 0
  const start = fences.offset(0)
  const total = endOf(fences, fences.leafCount - 1) - start
  const from = lower === undefined ? fences.offset(first) : placeOf(fences, ends, keyspace, first, end, lower)
  const to = upper === undefined ? endOf(fences, end - 1) : placeOf(fences, ends, keyspace, first, end, upper)
  return Math.max(0, to - from) / total
}

const endOf = (fences: FenceIndex, leaf: number): number => fences.offset(leaf) + fences.storedLength(leaf)

/** About where in the file the first entry at or above the key lies. */
const placeOf = (fences: FenceIndex, { largest, smallest }: TableEnds, keyspace: number, first: number, end: number, key: Uint8Array): number => {
  const leaf = fences.find(keyspace, key, 0, key.length, sequenceMax)
  const low = leaf > first ? fences.fence(leaf) : smallest.keyspace === keyspace ? smallest.key : empty
  const high = leaf + 1 < end ? fences.fence(leaf + 1) : largest.keyspace === keyspace ? largest.key : undefined
  return fences.offset(leaf) + between(low, high, key) * fences.storedLength(leaf)
}

/** Where the key stands from `low` (0) to `high` (1; undefined: nothing is known of it), as numbers after what the two have in common. */
const between = (low: Uint8Array, high: Uint8Array | undefined, key: Uint8Array): number => {
  // `high` may be the same key: a single one, or versions of one that go on into the next leaf.
  if (compareBytes(key, low) <= 0) return 0
  if (high === undefined) return 0.5
  let common = 0
  while (common < low.length && common < high.length && low[common] === high[common]) common++
  for (let i = 0; i < common; i++) if (key[i] !== low[i]) return 1
  const from = numberAt(low, common)
  const to = numberAt(high, common)
  return to <= from ? 1 : Math.min(1, (numberAt(key, common) - from) / (to - from))
}

const numberAt = (bytes: Uint8Array, at: number): number => {
  let number = 0
  for (let i = 0; i < numberBytes; i++) number = number * 256 + (bytes[at + i] ?? 0)
  return number
}
