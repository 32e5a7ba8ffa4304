/**
 * What a transaction has read: keys (found or not), ranges as far as they were walked, and the least moment at which something it saw as there expires. Pure: validation walks
 * it, nothing here asks anything. Bounded in bytes.
 */
import { TransactionTooLarge } from "../errors.ts"
import { compareBytes, equalRanges } from "../keys/compareBytes.ts"

/** What the reads of one transaction may take. */
export const readBytesMax = 16 << 20
/** An object, its fields, and its place in a list: estimates. */
const pointOverheadBytes = 48
const rangeOverheadBytes = 96
/** Up to this many points are looked through one by one for a repetition. */
const linearMax = 8

const noBytes = new Uint8Array(0)

export interface ReadPoint {
  readonly keyspace: number
  readonly hash: number
  readonly key: Uint8Array
}

/** [start, end) of a keyspace; `end` undefined is the end of the keyspace. Grows while it is walked; where they are equal, nothing of it was read. */
export interface ReadRange {
  readonly keyspace: number
  start: Uint8Array
  end: Uint8Array | undefined
}

/** The byte string directly after `key`. */
export const keyAfter = (key: Uint8Array): Uint8Array => {
  const after = new Uint8Array(key.length + 1)
  after.set(key)
  return after
}

export class ReadSet {
  readonly points: Array<ReadPoint> = []
  readonly ranges: Array<ReadRange> = []
  /** What expires first of all that was seen as there, at engine time in ms; undefined where nothing expires. */
  expiring: { readonly expiresAt: number; readonly keyspace: number; readonly key: Uint8Array } | undefined = undefined
  bytes = 0
  private readonly bytesMax: number
  /** The last point of each hash, once there are many. */
  private index: Map<number, number> | undefined = undefined

  constructor(bytesMax = readBytesMax) {
    this.bytesMax = bytesMax
  }

  hasPoint(keyspace: number, hash: number, key: Uint8Array, start: number, end: number): boolean {
    return this.keyOf(keyspace, hash, key, start, end) !== undefined
  }

  /** The noted key with these bytes: what is read is often written too, and needs no second copy. */
  keyOf(keyspace: number, hash: number, key: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const { index, points } = this
    if (index !== undefined) {
      const at = index.get(hash)
      return at !== undefined && isKey(points[at]!, keyspace, hash, key, start, end) ? points[at]!.key : undefined
    }
    for (let i = points.length - 1; i >= 0; i--) if (isKey(points[i]!, keyspace, hash, key, start, end)) return points[i]!.key
    return undefined
  }

  /** Keeps `key`. Ask `hasPoint` first: what is noted twice is validated twice. Throws `TransactionTooLarge`. */
  addPoint(keyspace: number, hash: number, key: Uint8Array): void {
    this.grow(key.length + pointOverheadBytes)
    const at = this.points.push({ keyspace, hash, key }) - 1
    if (this.index !== undefined) this.index.set(hash, at)
    else if (at >= linearMax) {
      this.index = new Map()
      for (let i = 0; i <= at; i++) this.index.set(this.points[i]!.hash, i)
    }
  }

  /** A range of which nothing is read yet: `advance` and `finish` make it grow. Keeps `start`. Throws `TransactionTooLarge`. */
  addRange(keyspace: number, start: Uint8Array | undefined, end: Uint8Array | undefined): ReadRange {
    this.grow(rangeOverheadBytes + (start?.length ?? 0) + (end?.length ?? 0))
    const range = { keyspace, start: start ?? noBytes, end }
    this.ranges.push(range)
    return range
  }

  /** A version was seen as there that expires at `expiresAt` (not 0). Keeps `key`. */
  noteExpiry(expiresAt: number, keyspace: number, key: Uint8Array): void {
    if (this.expiring === undefined || expiresAt < this.expiring.expiresAt) this.expiring = { expiresAt, keyspace, key }
  }

  private grow(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.bytesMax) throw new TransactionTooLarge({ what: "reads", bytes: this.bytes, bytesMax: this.bytesMax })
  }
}

const isKey = (point: ReadPoint, keyspace: number, hash: number, key: Uint8Array, start: number, end: number): boolean =>
  point.hash === hash && point.keyspace === keyspace && point.key.length === end - start && equalRanges(point.key, 0, key, start, end - start)

/** How far a scan of [lower, upper) has come, as the range it has read. */
export class WalkedRange {
  private readonly range: ReadRange
  private readonly lower: Uint8Array
  private readonly upper: Uint8Array | undefined
  private readonly reverse: boolean

  /** Throws `TransactionTooLarge`. */
  constructor(reads: ReadSet, keyspace: number, lower: Uint8Array | undefined, upper: Uint8Array | undefined, reverse: boolean) {
    this.lower = lower ?? noBytes
    this.upper = upper
    this.reverse = reverse
    // Nothing is read yet. Backwards from the end of the keyspace that is no range at all, and the first key makes it one.
    this.range = reads.addRange(keyspace, this.lower, this.lower)
  }

  /** Everything up to this key, it included, has been read. Copies the key. */
  advance(key: Uint8Array): void {
    if (this.reverse) {
      this.range.start = key.slice()
      this.range.end = this.upper
    } else this.range.end = keyAfter(key)
  }

  /** The whole range has been read. */
  finish(): void {
    this.range.start = this.lower
    this.range.end = this.upper
  }
}

export const isEmptyRange = (range: ReadRange): boolean => range.end !== undefined && compareBytes(range.start, range.end) >= 0
