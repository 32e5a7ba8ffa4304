import { compareBytes } from "../keys/compareBytes.ts"

/** A place in key space: an empty key lies before the whole keyspace. */
export interface KeyPlace {
  readonly keyspace: number
  readonly key: Uint8Array
}

/** Everything from `smallest` to `largest`, both included. */
export interface KeySpan {
  readonly smallest: KeyPlace
  readonly largest: KeyPlace
}

/** A half-open part of key space; `undefined` is unbounded. */
export interface KeyRange {
  readonly from?: KeyPlace | undefined
  /** Exclusive. */
  readonly to?: KeyPlace | undefined
}

export const comparePlaces = (a: KeyPlace, b: KeyPlace): number => a.keyspace - b.keyspace || compareBytes(a.key, b.key)

/**
 * The place directly after: no key lies between. Outputs and sub-ranges are cut there, never directly before a key. A range tombstone that is clipped at the cut
 * ends (exclusively) at key‖00, whose inclusive bound is known: the key. Of an arbitrary exclusive end there is no greatest key before it, so
 * a table's `largest` would be that end itself and touch the next table's first key.
 */
export const successor = (place: KeyPlace): KeyPlace => {
  const key = new Uint8Array(place.key.length + 1)
  key.set(place.key)
  return { keyspace: place.keyspace, key }
}

/** The inclusive bound of everything before the exclusive `end`: exact where `end` is a successor, else `end` itself. */
export const inclusiveEnd = (end: Uint8Array): Uint8Array => (end[end.length - 1] === 0 ? end.subarray(0, end.length - 1) : end)

/** Touching counts: a bound may be the exclusive end of a range tombstone, and taking a neighbour along is never wrong. */
export const spansOverlap = (a: KeySpan, b: KeySpan): boolean =>
  comparePlaces(a.smallest, b.largest) <= 0 && comparePlaces(b.smallest, a.largest) <= 0

export const spanInRange = (span: KeySpan, range: KeyRange): boolean =>
  (range.from === undefined || comparePlaces(span.largest, range.from) >= 0) && (range.to === undefined || comparePlaces(span.smallest, range.to) < 0)

/** The smallest span that holds all of them; at least one is given. */
export const hullOf = (spans: ReadonlyArray<KeySpan>): KeySpan => {
  let { smallest, largest } = spans[0]!
  for (const span of spans) {
    if (comparePlaces(span.smallest, smallest) < 0) smallest = span.smallest
    if (comparePlaces(span.largest, largest) > 0) largest = span.largest
  }
  return { smallest, largest }
}

/** Whether the keyspace may have a part in one of the spans. */
export const holdsKeyspace = (spans: ReadonlyArray<KeySpan>, keyspace: number): boolean =>
  spans.some(({ largest, smallest }) => smallest.keyspace <= keyspace && keyspace <= largest.keyspace)
