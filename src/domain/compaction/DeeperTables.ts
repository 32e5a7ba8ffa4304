import { compareRanges } from "../keys/compareBytes.ts"
import { comparePlaces, spansOverlap } from "./KeySpan.ts"
import type { KeySpan } from "./KeySpan.ts"

/**
 * Where something lies beneath a job's target level. A key outside all of it is *at the bottom*: what the job drops there cannot uncover anything older.
 *
 * The spans of all deeper levels are joined into disjoint ones. `isAtBottom` is a sweep: ask in ascending key order.
 */
export class DeeperTables {
  readonly #spans: ReadonlyArray<KeySpan>
  #at = 0

  constructor(spans: ReadonlyArray<KeySpan>) {
    const joined: Array<KeySpan> = []
    for (const span of spans.slice().sort((a, b) => comparePlaces(a.smallest, b.smallest))) {
      const last = joined[joined.length - 1]
      if (last === undefined || comparePlaces(span.smallest, last.largest) > 0) joined.push(span)
      else if (comparePlaces(span.largest, last.largest) > 0) joined[joined.length - 1] = { smallest: last.smallest, largest: span.largest }
    }
    this.#spans = joined
  }

  isAtBottom(keyspace: number, bytes: Uint8Array, start: number, end: number): boolean {
    const spans = this.#spans
    for (; this.#at < spans.length; this.#at++) {
      const { smallest, largest } = spans[this.#at]!
      const toLargest = keyspace - largest.keyspace || compareRanges(bytes, start, end, largest.key, 0, largest.key.length)
      if (toLargest <= 0) return (keyspace - smallest.keyspace || compareRanges(bytes, start, end, smallest.key, 0, smallest.key.length)) < 0
    }
    return true
  }

  /** Whether nothing deeper lies in [start, end). */
  isRangeAtBottom(keyspace: number, start: Uint8Array, end: Uint8Array): boolean {
    const range = { smallest: { keyspace, key: start }, largest: { keyspace, key: end } }
    return !this.#spans.some((span) => spansOverlap(span, range))
  }
}
