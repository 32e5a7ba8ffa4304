import { compareBytes, compareRanges } from "../keys/compareBytes.ts"
import type { TombstoneBound, TombstoneFragment } from "../table/RangeTombstones.ts"
import type { StripesByKeyspace } from "./stripes.ts"

/** Compares a fragment's edge with a place in key space. */
const compareToBound = (keyspace: number, key: Uint8Array, bound: TombstoneBound): number => keyspace - bound.keyspace || compareBytes(key, bound.key)

/**
 * The range tombstones of a job: what they cover on the way in, and what of them goes out.
 *
 * Of each fragment the newest sequence per stripe stays: an older one in the same stripe deletes nothing more for any snapshot. With retention by count the newest few stay as
 * well: to the keys beneath they are versions. At the bottom the lowest stripe's
 * goes too, since what it deleted is dropped by this very job and nothing deeper holds the range. Both questions (`newestCover`, `oldestKeptCover`) are
 * answered by a sweep: ask in ascending key order.
 */
export class TombstoneCarry {
  readonly hasAny: boolean
  /** How many sequences of fragments came in and were not carried out. */
  readonly droppedCount: number
  readonly #fragments: ReadonlyArray<TombstoneFragment>
  /** The oldest carried sequence of each fragment; Infinity where none is. */
  readonly #oldestKept: ReadonlyArray<number>
  /** What goes out, ascending; a cut shortens the first of the rest. */
  readonly #outgoing: Array<TombstoneFragment> = []
  #outgoingAt = 0
  #at = 0

  /** `fragments` as `fragment()` returns them, already clipped to the job's range. `isAtBottom`: no deeper table overlaps [start, end). */
  constructor(
    fragments: ReadonlyArray<TombstoneFragment>,
    stripes: StripesByKeyspace,
    isAtBottom: (keyspace: number, start: Uint8Array, end: Uint8Array) => boolean
  ) {
    const oldestKept: Array<number> = []
    let droppedCount = 0
    for (const fragment of fragments) {
      const kept = this.#keptOf(fragment, stripes, isAtBottom)
      droppedCount += fragment.sequences.length - kept.length
      oldestKept.push(kept.length === 0 ? Infinity : kept[kept.length - 1]!)
      if (kept.length > 0) this.#outgoing.push({ ...fragment, sequences: kept })
    }
    this.#fragments = fragments
    this.#oldestKept = oldestKept
    this.droppedCount = droppedCount
    this.hasAny = fragments.length > 0
  }

  #keptOf(
    fragment: TombstoneFragment,
    all: StripesByKeyspace,
    isAtBottom: (keyspace: number, start: Uint8Array, end: Uint8Array) => boolean
  ): Array<number> {
    const stripes = all.of(fragment.keyspace)
    const kept: Array<number> = []
    if (stripes.isDropped) return kept
    let lastStripe = -1
    fragment.sequences.forEach((sequence, rank) => {
      const stripe = stripes.endOf(sequence)
      if (stripe !== lastStripe || rank < stripes.versions) kept.push(sequence)
      lastStripe = stripe
    })
    // Only the last one can lie in the lowest stripe, and only then the deeper levels are asked.
    if (kept[kept.length - 1]! <= stripes.lowest && isAtBottom(fragment.keyspace, fragment.start, fragment.end)) kept.pop()
    return kept
  }

  /** The newest tombstone over the key with a sequence ≤ `sequence`; 0 when there is none. */
  newestCover(keyspace: number, bytes: Uint8Array, start: number, end: number, sequence: number): number {
    const fragment = this.#over(keyspace, bytes, start, end)
    if (fragment !== undefined) for (const candidate of fragment.sequences) if (candidate <= sequence) return candidate
    return 0
  }

  /** The sequences of all tombstones over the key, descending. */
  covers(keyspace: number, bytes: Uint8Array, start: number, end: number): ReadonlyArray<number> {
    return this.#over(keyspace, bytes, start, end)?.sequences ?? []
  }

  /** The oldest tombstone over the key that is carried out; Infinity when there is none. */
  oldestKeptCover(keyspace: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#over(keyspace, bytes, start, end) === undefined ? Infinity : this.#oldestKept[this.#at]!
  }

  #over(keyspace: number, bytes: Uint8Array, start: number, end: number): TombstoneFragment | undefined {
    const fragments = this.#fragments
    for (; this.#at < fragments.length; this.#at++) {
      const fragment = fragments[this.#at]!
      if (fragment.keyspace > keyspace) return undefined
      if (fragment.keyspace < keyspace || compareRanges(bytes, start, end, fragment.end, 0, fragment.end.length) >= 0) continue
      return compareRanges(bytes, start, end, fragment.start, 0, fragment.start.length) >= 0 ? fragment : undefined
    }
    return undefined
  }

  /** The keyspace of the first tombstone not yet taken. */
  get nextKeyspace(): number | undefined {
    return this.#outgoing[this.#outgoingAt]?.keyspace
  }

  /** Takes out everything before `bound` (undefined: all of the rest). A fragment across it is cut in two; its later part stays. */
  takeBefore(bound: TombstoneBound | undefined): Array<TombstoneFragment> {
    const taken: Array<TombstoneFragment> = []
    const outgoing = this.#outgoing
    for (; this.#outgoingAt < outgoing.length; this.#outgoingAt++) {
      const fragment = outgoing[this.#outgoingAt]!
      if (bound !== undefined && compareToBound(fragment.keyspace, fragment.start, bound) >= 0) break
      if (bound !== undefined && compareToBound(fragment.keyspace, fragment.end, bound) > 0) {
        taken.push({ ...fragment, end: bound.key })
        outgoing[this.#outgoingAt] = { ...fragment, start: bound.key }
        break
      }
      taken.push(fragment)
    }
    return taken
  }
}
