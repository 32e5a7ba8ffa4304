import { compareRanges } from "../keys/compareBytes.ts"

/** Stands in a batch's `kinds` for an operation that normalising has removed. */
export const dropped = 0

/** A range delete of a batch; both keys are ranges of the batch's key bytes. */
export interface PendingRange {
  readonly keyspace: number
  readonly start: number
  readonly startEnd: number
  readonly end: number
  readonly endEnd: number
  /** How many point operations precede it in the batch. */
  readonly pointsBefore: number
}

interface Points {
  readonly count: number
  readonly kinds: Uint8Array
  readonly keyspaces: Uint32Array
  readonly keyBytes: Uint8Array
  readonly keyStarts: Int32Array
  readonly keyEnds: Int32Array
}

/**
 * The point operations (by index) that a later range delete of their batch covers. `ranges` stand in the order of the batch.
 *
 * **Details** Points are sorted by key, and ranges taken from the last to the first: the first range that reaches a point is the last in the batch that covers
 * it, which alone decides. Points already decided are skipped by path-compressed links, so the whole costs O((n + m) log n) however much the ranges overlap.
 */
export const coveredPoints = (batch: Points, ranges: ReadonlyArray<PendingRange>): Array<number> => {
  const { keyspaces, keyBytes, keyStarts, keyEnds } = batch
  const sorted: Array<number> = []
  // Points after the last range delete cannot be covered.
  for (let i = 0; i < ranges.at(-1)!.pointsBefore; i++) if (batch.kinds[i] !== dropped) sorted.push(i)
  sorted.sort((a, b) => keyspaces[a]! - keyspaces[b]! || compareRanges(keyBytes, keyStarts[a]!, keyEnds[a]!, keyBytes, keyStarts[b]!, keyEnds[b]!))
  /** The first position whose point is at or after the key. */
  const position = (keyspace: number, start: number, end: number): number => {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const i = sorted[middle]!
      if ((keyspaces[i]! - keyspace || compareRanges(keyBytes, keyStarts[i]!, keyEnds[i]!, keyBytes, start, end)) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
  const next = Int32Array.from({ length: sorted.length + 1 }, (_, i) => i)
  const undecided = (from: number): number => {
    let found = from
    while (next[found] !== found) found = next[found]!
    for (let i = from; i !== found;) {
      const after = next[i]!
      next[i] = found
      i = after
    }
    return found
  }
  const covered: Array<number> = []
  for (let r = ranges.length - 1; r >= 0; r--) {
    const range = ranges[r]!
    const high = position(range.keyspace, range.end, range.endEnd)
    for (let p = undecided(position(range.keyspace, range.start, range.startEnd)); p < high; p = undecided(p)) {
      if (sorted[p]! < range.pointsBefore) covered.push(sorted[p]!)
      next[p] = p + 1
    }
  }
  return covered
}
