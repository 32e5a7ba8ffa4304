import { compareBytes } from "../keys/compareBytes.ts"
import type { TombstoneFragment } from "../table/RangeTombstones.ts"
import { comparePlaces } from "./KeySpan.ts"
import type { KeySpan } from "./KeySpan.ts"

/** A part of one keyspace that the range tombstones of a table leave nothing of below it. */
export interface DeletedRange {
  readonly keyspace: number
  readonly start: Uint8Array
  /** Exclusive. */
  readonly end: Uint8Array
}

/** The manifest notes so many of a table, the widest. */
export const deletedRangesMax = 4
/** One with a longer bound is not noted: the manifest is read whole at each open. */
const noteBytesMax = 256

/** How much of key space lies between, as well as a number can say: the first four bytes after what both share, weighed by how much that is. */
const widthOf = ({ end, start }: DeletedRange): number => {
  let shared = 0
  while (shared < start.length && start[shared] === end[shared]) shared++
  let width = 0
  for (let i = shared; i < shared + 4; i++) width = width * 256 + (end[i] ?? 0) - (start[i] ?? 0)
  return width * 256 ** -shared
}

/** What the picker is told of a table's range tombstones: whether deeper data is covered is a question of keys alone, as whatever lies deeper is older. In key order. */
export const deletedRangesOf = (fragments: ReadonlyArray<TombstoneFragment>): ReadonlyArray<DeletedRange> => {
  const joined: Array<DeletedRange> = []
  for (const { end, keyspace, start } of fragments) {
    const last = joined[joined.length - 1]
    if (last !== undefined && last.keyspace === keyspace && compareBytes(last.end, start) === 0) joined[joined.length - 1] = { ...last, end }
    else joined.push({ keyspace, start, end })
  }
  const noted = joined
    .filter(({ end, start }) => start.length <= noteBytesMax && end.length <= noteBytesMax)
    // Copies: those of a flush lie in a memtable, whose memory is used again.
    .map(({ end, keyspace, start }) => ({ keyspace, start: start.slice(), end: end.slice() }))
  if (noted.length <= deletedRangesMax) return noted
  const widest = new Set(
    noted
      .map((range) => ({ range, width: widthOf(range) }))
      .sort((a, b) => b.width - a.width)
      .slice(0, deletedRangesMax)
      .map(({ range }) => range)
  )
  return noted.filter((range) => widest.has(range))
}

/** Whether the range holds the whole span. */
export const rangeHolds = ({ end, keyspace, start }: DeletedRange, span: KeySpan): boolean =>
  comparePlaces({ keyspace, key: start }, span.smallest) <= 0 && comparePlaces(span.largest, { keyspace, key: end }) < 0
