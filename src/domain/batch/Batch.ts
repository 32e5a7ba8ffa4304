/**
 * One transaction's operations as a structure of arrays, which validation, log and memtable walk once each. Filled by `add…`, brought to normal form by
 * `finish`, used again after `reset`: nothing is allocated per operation.
 *
 * Normal form: a point operation followed in the batch by a range delete covering it is gone; of several point operations on one key the last stays; range
 * deletes stand before points. All operations of a batch share one sequence, and a range delete covers strictly lower sequences only: with this form no order
 * within the batch is left to remember.
 */
import { BatchTooLarge, InvalidRange } from "../errors.ts"
import { compareRanges, equalRanges } from "../keys/compareBytes.ts"
import { KeyEncoder } from "../keys/encodeKey.ts"
import { keyHash } from "../keys/keyHash.ts"
import { Kind } from "../keys/kinds.ts"
import { keyspaceSeed } from "../keys/keyspaceSeed.ts"
import { coveredPoints, dropped, type PendingRange } from "./coveredPoints.ts"

const capacityMin = 16
/** Larger arrays are given up by `reset`. */
const capacityKept = 16 * 1024
const noBytes = new Uint8Array(0)
/** The least key there is. */
const leastKey = new Uint8Array(1)

export interface BatchLimits {
  /** Seed of the key hash, random per database. */
  readonly seed: number
  readonly valueBytesMax: number
  /** Keys and values of the batch together. */
  readonly batchBytesMax: number
}

export class Batch {
  /** Operations in the arrays below; the first `rangeCount` of them are range deletes (after `finish`). */
  count = 0
  rangeCount = 0
  /** Bytes of keys and values together, also of those that normalising removed. */
  bytes = 0

  /** `Kind.put`, `Kind.delete` or `Kind.rangeDelete`. */
  kinds = new Uint8Array(capacityMin)
  keyspaces = new Uint32Array(capacityMin)
  /** `keyHash` of the key under the seed of its keyspace; 0 for range deletes. */
  hashes = new Int32Array(capacityMin)
  /** All keys are ranges of this array. */
  keyBytes: Uint8Array = noBytes
  keyStarts = new Int32Array(capacityMin)
  keyEnds = new Int32Array(capacityMin)
  /** The value of operation i is `valueBytes[i][valueStarts[i], valueEnds[i])`: empty for deletes, the exclusive end key for range deletes. May be the caller's memory. */
  valueBytes: Array<Uint8Array> = []
  valueStarts = new Int32Array(capacityMin)
  valueEnds = new Int32Array(capacityMin)

  private readonly limits: BatchLimits
  private readonly encoder = new KeyEncoder()
  /** Open addressing from hash to point index + 1; 0 is free. */
  private slots = new Int32Array(0)
  private readonly ranges: Array<PendingRange> = []
  private lastKeyspace = -1
  private lastSeed = 0

  constructor(limits: BatchLimits) {
    this.limits = limits
  }

  /** Empties the batch and lets go of the callers' values. */
  reset(): void {
    if (this.kinds.length > capacityKept) {
      this.resize(capacityMin)
      this.valueBytes = []
      this.slots = new Int32Array(0)
    } else {
      this.valueBytes.fill(noBytes, 0, this.count)
    }
    this.encoder.clear()
    this.ranges.length = 0
    this.count = this.rangeCount = this.bytes = 0
    this.keyBytes = noBytes
  }

  /** Throws `InvalidKey`, `InvalidValue`, `BatchTooLarge`; the batch is then only good for `reset`. */
  addPut(keyspace: number, key: unknown, value: unknown): void {
    const i = this.addPoint(Kind.put, keyspace, key)
    const encoder = this.encoder
    encoder.appendValue(value, this.limits.valueBytesMax)
    const { bytes, start, end } = encoder
    // Where this is a scratch that is outgrown later, it stays as it is: its bytes are still those of this value.
    this.valueBytes[i] = bytes
    this.valueStarts[i] = start
    this.valueEnds[i] = end
    this.grownBy(end - start)
  }

  /** Throws `InvalidKey`, `BatchTooLarge`. */
  addDelete(keyspace: number, key: unknown): void {
    const i = this.addPoint(Kind.delete, keyspace, key)
    this.valueBytes[i] = noBytes
    this.valueStarts[i] = this.valueEnds[i] = 0
  }

  /** Deletes the keys in [gte, lt). `gte` may be empty, which is before every key; an empty range is no operation. Throws `InvalidKey`, `InvalidRange`, `BatchTooLarge`. */
  addDeleteRange(keyspace: number, gte: unknown, lt: unknown): void {
    const encoder = this.encoder
    encoder.appendKey(gte === "" || (gte instanceof Uint8Array && gte.length === 0) ? leastKey : gte)
    const { start, end } = encoder
    encoder.appendKey(lt)
    const order = compareRanges(encoder.scratch, start, end, encoder.scratch, encoder.start, encoder.end)
    if (order > 0) throw new InvalidRange({ detail: "a deleteRange has its lower bound (gte) above its upper bound (lt)." })
    if (order === 0) return
    this.ranges.push({ keyspace, start, startEnd: end, end: encoder.start, endEnd: encoder.end, pointsBefore: this.count })
    this.grownBy(encoder.end - start)
  }

  /** Brings the batch to normal form. Call once, after the last `add…`. */
  finish(): void {
    this.keyBytes = this.encoder.scratch
    let removed = 0
    if (this.count > 1) removed = this.dropRepeated()
    if (this.ranges.length > 0) removed += this.dropCovered()
    if (removed > 0) this.close()
    if (this.ranges.length > 0) this.putRangesFirst()
  }

  private addPoint(kind: number, keyspace: number, key: unknown): number {
    const i = this.count
    if (i === this.kinds.length) this.resize(i * 2)
    const encoder = this.encoder
    encoder.appendKey(key)
    const { start, end } = encoder
    if (keyspace !== this.lastKeyspace) {
      this.lastKeyspace = keyspace
      this.lastSeed = keyspaceSeed(this.limits.seed, keyspace)
    }
    this.kinds[i] = kind
    this.keyspaces[i] = keyspace
    this.keyStarts[i] = start
    this.keyEnds[i] = end
    this.hashes[i] = keyHash(this.lastSeed, encoder.scratch, start, end)
    this.count = i + 1
    this.grownBy(end - start)
    return i
  }

  private grownBy(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.limits.batchBytesMax) throw new BatchTooLarge({ bytes: this.bytes, bytesMax: this.limits.batchBytesMax })
  }

  /** Drops all but the last point operation of each key; returns how many. */
  private dropRepeated(): number {
    const { count, hashes, kinds, keyspaces, keyStarts, keyEnds, keyBytes } = this
    let size = this.slots.length
    if (size < count * 2) {
      size = 2 ** Math.ceil(Math.log2(count * 2))
      this.slots = new Int32Array(size)
    } else {
      // A table left large by an earlier batch is used in part, so that clearing it costs what this batch needs.
      size = 2 ** Math.ceil(Math.log2(count * 2))
      this.slots.fill(0, 0, size)
    }
    const slots = this.slots
    const mask = size - 1
    let removed = 0
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!
      let slot = hash & mask
      for (let found = slots[slot]!; found !== 0; found = slots[slot]!) {
        const j = found - 1
        // One key never has one hash in two keyspaces (MurmurHash3 is a bijection of its seed); nothing here relies on that.
        if (hashes[j] === hash && keyspaces[j] === keyspaces[i]) {
          const start = keyStarts[i]!
          const length = keyEnds[i]! - start
          if (keyEnds[j]! - keyStarts[j]! === length && equalRanges(keyBytes, start, keyBytes, keyStarts[j]!, length)) {
            kinds[j] = dropped
            removed++
            break
          }
        }
        slot = (slot + 1) & mask
      }
      slots[slot] = i + 1
    }
    return removed
  }

  private dropCovered(): number {
    const covered = coveredPoints(this, this.ranges)
    for (const i of covered) this.kinds[i] = dropped
    return covered.length
  }

  /** Closes the gaps that dropped operations left. */
  private close(): void {
    const { count, kinds } = this
    let to = 0
    for (let from = 0; from < count; from++) {
      if (kinds[from] === dropped) continue
      kinds[to] = kinds[from]!
      this.keyspaces[to] = this.keyspaces[from]!
      this.hashes[to] = this.hashes[from]!
      this.keyStarts[to] = this.keyStarts[from]!
      this.keyEnds[to] = this.keyEnds[from]!
      this.valueBytes[to] = this.valueBytes[from]!
      this.valueStarts[to] = this.valueStarts[from]!
      this.valueEnds[to] = this.valueEnds[from]!
      to++
    }
    this.valueBytes.fill(noBytes, to, count)
    this.count = to
  }

  private putRangesFirst(): void {
    const shift = this.ranges.length
    const points = this.count
    let capacity = this.kinds.length
    while (capacity < points + shift) capacity *= 2
    if (capacity > this.kinds.length) this.resize(capacity)
    for (const array of [this.kinds, this.keyspaces, this.hashes, this.keyStarts, this.keyEnds, this.valueStarts, this.valueEnds])
      array.copyWithin(shift, 0, points)
    const values = this.valueBytes
    while (values.length < points + shift) values.push(noBytes)
    for (let i = points - 1; i >= 0; i--) values[i + shift] = values[i]!
    for (let i = 0; i < shift; i++) {
      const range = this.ranges[i]!
      values[i] = this.keyBytes
      this.kinds[i] = Kind.rangeDelete
      this.keyspaces[i] = range.keyspace
      this.hashes[i] = 0
      this.keyStarts[i] = range.start
      this.keyEnds[i] = range.startEnd
      this.valueStarts[i] = range.end
      this.valueEnds[i] = range.endEnd
    }
    this.rangeCount = shift
    this.count = points + shift
  }

  private resize(capacity: number): void {
    const kept = Math.min(this.count, capacity)
    const grow = <A extends Uint8Array | Uint32Array | Int32Array>(into: A, from: A): A => {
      into.set(from.subarray(0, kept))
      return into
    }
    this.kinds = grow(new Uint8Array(capacity), this.kinds)
    this.keyspaces = grow(new Uint32Array(capacity), this.keyspaces)
    this.hashes = grow(new Int32Array(capacity), this.hashes)
    this.keyStarts = grow(new Int32Array(capacity), this.keyStarts)
    this.keyEnds = grow(new Int32Array(capacity), this.keyEnds)
    this.valueStarts = grow(new Int32Array(capacity), this.valueStarts)
    this.valueEnds = grow(new Int32Array(capacity), this.valueEnds)
  }
}
