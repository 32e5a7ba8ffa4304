/**
 * One transaction's operations as a structure of arrays, which validation, log and memtable walk once each. Filled by `add…`, brought to normal form by
 * `finish`, used again after `reset`: nothing is allocated per operation.
 *
 * Normal form: a point operation followed in the batch by a range delete covering it is gone; of several point operations on one key the last stays; range
 * deletes stand before points. All operations of a batch share one sequence, and a range delete covers strictly lower sequences only: with this form no order
 * within the batch is left to remember. Each put that expires is joined by its row in the expiry keyspace.
 *
 * The values that its operations replace (`findBeforeImages`) are those there were before all of its points and after its range deletes, as the log tells it: what the batch wrote in
 * between nobody ever saw.
 *
 * Atomic operations are resolved while the batch is filled: `look` finds the value they start from, `addFound` and `addFoundDelete` add what they make of it.
 */
import { BatchTooLarge, InvalidRange } from "../errors.ts"
import { compareRanges } from "../keys/compareBytes.ts"
import { KeyEncoder } from "../keys/encodeKey.ts"
import { expiryRowOverhead, writeExpiryRowHead } from "../keys/expiryRows.ts"
import { keyHash } from "../keys/keyHash.ts"
import { expiryKeyspace, Kind, systemKeyspace } from "../keys/kinds.ts"
import { keyspaceSeed } from "../keys/keyspaceSeed.ts"
import { TombstoneRuns } from "../memtable/TombstoneRuns.ts"
import type { BeforeImage } from "../wal/beforeImage.ts"
import type { CommitHead } from "./CommitHead.ts"
import { coveredPoints, dropped, type PendingRange } from "./coveredPoints.ts"
import { PointIndex } from "./PointIndex.ts"

const capacityMin = 16
/** Larger arrays are given up by `reset`. */
const capacityKept = 16 * 1024
/** What an operation takes in these arrays and their index, whatever its key and value: so many fewer bytes of keys and values are no reason to take more of them. */
const operationBytes = 64
const noBytes = new Uint8Array(0)
/** The least key there is. */
const leastKey = new Uint8Array(1)

export interface BatchLimits {
  /** Seed of the key hash, random per database. */
  readonly seed: number
  readonly valueBytesMax: number
  /** Keys and values of the batch together, those that it replaces included where they are kept. */
  readonly batchBytesMax: number
}

export class Batch {
  /** Operations in the arrays below; the first `rangeCount` of them are range deletes (after `finish`). */
  count = 0
  rangeCount = 0
  /** Bytes of keys and values together as callers gave them, also of those that normalising removed. */
  bytes = 0
  /** Of the atomic operations, in their order: what each left. Not used again after `reset`: it may be handed to the caller. */
  results: Array<Uint8Array | undefined> | undefined = undefined
  /**
   * Whether a value that `CommitHead.value` gave has been looked at. What was made of it (also nothing, also `AtomicOperationFailed`) rests on commits that may not be durable
   * yet: an answer that writes nothing itself has to wait until they are visible.
   */
  readHead = false
  /** After `finish`: when the first of the values it puts expires, in ms of engine time; `Infinity` where none does. Whoever reaps them is told in the commit turn. */
  firstExpiry = Infinity

  /** `Kind.put`, `Kind.delete`, `Kind.expire` or `Kind.rangeDelete`. */
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
  /** Engine time in ms at which the value of a put is no longer visible, or (of an expire) was; 0 is never. */
  expiresAt = new Float64Array(capacityMin)
  /** The sequence of the version that expired; only where the kind is `Kind.expire`. */
  versions = new Float64Array(capacityMin)

  /** By operation, as far as they reach: what each replaces. Undefined where none of them is to be kept. Good for the synchronous step they were found in. */
  beforeImages: Array<BeforeImage> | undefined = undefined

  private readonly limits: BatchLimits
  /** How many operations there may be: small ones take more than the bytes of their keys and values. */
  private readonly operationsMax: number
  private readonly encoder = new KeyEncoder()
  private readonly index = new PointIndex()
  /** Operations marked as dropped. */
  private removed = 0
  private readonly ranges: Array<PendingRange> = []
  /** The first `searchableCount` of the ranges, where a `look` has asked for them. */
  private searchable: TombstoneRuns | undefined = undefined
  private searchableCount = 0
  /** Empty, or as long as the operations reach that have one. */
  private annotations: Array<Uint8Array | undefined> = []
  private expiring = false
  /** What `look` found: the key and its hash. */
  private foundKeyspace = 0
  private foundHash = 0
  private foundStart = 0
  private foundEnd = 0
  private lastKeyspace = -1
  private lastSeed = 0

  constructor(limits: BatchLimits) {
    this.limits = limits
    this.operationsMax = Math.max(capacityKept, Math.ceil(limits.batchBytesMax / operationBytes))
  }

  /** Empties the batch and lets go of the callers' values. */
  reset(): void {
    if (this.kinds.length > capacityKept) {
      this.resize(capacityMin)
      this.valueBytes = []
      this.index.release()
    } else {
      this.index.reset()
      this.valueBytes.fill(noBytes, 0, this.count)
    }
    this.encoder.clear()
    this.ranges.length = 0
    this.searchable = undefined
    this.searchableCount = 0
    this.annotations.length = 0
    this.results = this.beforeImages = undefined
    this.expiring = this.readHead = false
    this.firstExpiry = Infinity
    this.count = this.rangeCount = this.bytes = this.removed = 0
    this.keyBytes = noBytes
  }

  get valueBytesMax(): number {
    return this.limits.valueBytesMax
  }

  /** The atomic operation that operation i is the result of, as the log keeps it (`domain/transaction/atomic.ts`). */
  annotationOf(i: number): Uint8Array | undefined {
    return this.annotations.length === 0 ? undefined : this.annotations[i]
  }

  /** `expiresAt` is a whole number of ms, 0 for never. Throws `InvalidKey`, `InvalidValue`, `BatchTooLarge`; the batch is then only good for `reset`. */
  addPut(keyspace: number, key: unknown, value: unknown, expiresAt = 0): void {
    const i = this.addPoint(Kind.put, keyspace, key)
    if (expiresAt !== 0) {
      this.expiresAt[i] = expiresAt
      this.expiring = true
    }
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

  /** The version of the key written at sequence `version`, which expired at `expiresAt`, is gone. Throws `InvalidKey`, `BatchTooLarge`. */
  addExpire(keyspace: number, key: Uint8Array, expiresAt: number, version: number): void {
    const i = this.addPoint(Kind.expire, keyspace, key)
    this.valueBytes[i] = noBytes
    this.valueStarts[i] = this.valueEnds[i] = 0
    this.expiresAt[i] = expiresAt
    this.versions[i] = version
  }

  /** Deletes the row that a put of the key with this expiry brought along. */
  addExpiryRowDelete(expiresAt: number, keyspace: number, key: Uint8Array): void {
    const start = this.encoder.appendRoom(expiryRowOverhead + key.length)
    this.encoder.scratch.set(key, start + expiryRowOverhead)
    this.addRow(Kind.delete, start, expiresAt, keyspace)
  }

  /**
   * The value a key has after the operations so far: their own, else that of `head`. Good for this synchronous step, like the key, which the `addFound…` that follows takes up.
   * Throws `InvalidKey` and what `head.value` throws.
   */
  look(keyspace: number, key: unknown, head: CommitHead): Uint8Array | undefined {
    const encoder = this.encoder
    encoder.appendKey(key)
    const { start, end, scratch } = encoder
    const hash = keyHash(this.seedOf(keyspace), scratch, start, end)
    this.foundKeyspace = keyspace
    this.foundHash = hash
    this.foundStart = start
    this.foundEnd = end
    if (this.count > 0) this.removed += this.index.extend(this, scratch)
    const i = this.index.find(this, scratch, keyspace, hash, start, end)
    if (this.ranges.length > 0 && this.newestRange(keyspace, scratch, start, end) > i) return undefined
    if (i === -1) {
      this.readHead = true
      return head.value(keyspace, hash, scratch, start, end)
    }
    if (this.kinds[i] !== Kind.put || (this.expiresAt[i] !== 0 && this.expiresAt[i]! <= head.commitTimeMs)) return undefined
    return this.valueBytes[i]!.subarray(this.valueStarts[i], this.valueEnds[i])
  }

  /** Puts under the key of the last `look`; the value never expires, and is not copied. Throws `BatchTooLarge`. */
  addFound(value: Uint8Array, annotation: Uint8Array): void {
    const i = this.addFoundPoint(Kind.put, annotation)
    this.valueBytes[i] = value
    this.valueStarts[i] = 0
    this.valueEnds[i] = value.length
    this.grownBy(value.length)
  }

  /** Deletes the key of the last `look`. Throws `BatchTooLarge`. */
  addFoundDelete(annotation: Uint8Array): void {
    const i = this.addFoundPoint(Kind.delete, annotation)
    this.valueBytes[i] = noBytes
    this.valueStarts[i] = this.valueEnds[i] = 0
  }

  /** The key of the last `look` stays as it was found; `bytes` of it are copied for the caller. Throws `BatchTooLarge`. */
  leaveFound(bytes: number): void {
    if (this.results !== undefined && this.results.length >= this.operationsMax) throw this.tooMany()
    this.grownBy(this.foundEnd - this.foundStart + bytes)
  }

  /** `addPut` of the result of an atomic operation that looks at nothing. */
  addPutAnnotated(keyspace: number, key: unknown, value: Uint8Array, annotation: Uint8Array): void {
    this.annotate(this.count, annotation)
    this.addPut(keyspace, key, value)
  }

  /** Deletes the keys in [gte, lt). `gte` may be empty, which is before every key; an empty range is no operation. Throws `InvalidKey`, `InvalidRange`, `BatchTooLarge`. */
  addDeleteRange(keyspace: number, gte: unknown, lt: unknown): void {
    const encoder = this.encoder
    encoder.appendKey(gte === "" || (gte instanceof Uint8Array && gte.length === 0) ? leastKey : gte)
    const { start, end } = encoder
    encoder.appendKey(lt)
    const order = compareRanges(encoder.scratch, start, end, encoder.scratch, encoder.start, encoder.end)
    if (order > 0) throw new InvalidRange({ detail: "a deleteRange has its lower bound (gte) above its upper bound (lt)." })
    this.grownBy(encoder.end - start)
    if (order === 0) return
    if (this.ranges.length === this.operationsMax) throw this.tooMany()
    this.ranges.push({ keyspace, start, startEnd: end, end: encoder.start, endEnd: encoder.end, pointsBefore: this.count })
  }

  /** Brings the batch to normal form. Call once, after the last `add…`. */
  finish(): void {
    this.keyBytes = this.encoder.scratch
    if (this.count > 1) this.removed += this.index.extend(this, this.keyBytes)
    if (this.ranges.length > 0) this.dropCovered()
    if (this.removed > 0) this.close()
    if (this.expiring) this.addExpiryRows()
    if (this.ranges.length > 0) this.putRangesFirst()
  }

  /**
   * After `finish`: looks up what the point operations replace, in the keyspaces that keep it. Throws `BatchTooLarge` where that makes the batch too large, and what `head.value`
   * throws.
   *
   * **Details** Also a value that has expired. Those that an `expire` replaces do not count: whoever reaps sees to it that they are not too many, and what cannot be removed must
   * not be kept for ever.
   */
  findBeforeImages(head: CommitHead, isKept: (keyspace: number) => boolean): void {
    const { hashes, keyBytes, keyEnds, keyStarts, keyspaces, kinds, rangeCount } = this
    let images: Array<BeforeImage> | undefined
    let imageBytes = 0
    let lastKeyspace = -1
    let kept = false
    for (let i = rangeCount; i < this.count; i++) {
      const keyspace = keyspaces[i]!
      if (keyspace !== lastKeyspace) {
        lastKeyspace = keyspace
        kept = isKept(keyspace)
      }
      if (!kept) continue
      const start = keyStarts[i]!
      const end = keyEnds[i]!
      const isExpire = kinds[i] === Kind.expire
      // What is left of the points came after the range deletes that cover them.
      const isCovered = rangeCount > 0 && this.newestRange(keyspace, keyBytes, start, end) >= 0
      const image = isCovered ? undefined : head.value(keyspace, hashes[i]!, keyBytes, start, end, true)
      images ??= []
      while (images.length < i) images.push(undefined)
      images.push(image ?? null)
      if (image === undefined || isExpire) continue
      imageBytes += image.length
      const bytes = this.bytes + imageBytes
      if (bytes > this.limits.batchBytesMax) throw new BatchTooLarge({ bytes, bytesMax: this.limits.batchBytesMax, beforeImageBytes: imageBytes })
    }
    this.beforeImages = images
  }

  /**
   * After `finish`: a row of the engine's own in keyspace 0, which no other operation of the batch touches; `value` undefined deletes it. Not counted among what callers gave, nor
   * against what they may give.
   */
  addSystemRow(key: Uint8Array, value: Uint8Array | undefined): void {
    const { encoder } = this
    encoder.appendKey(key)
    const { end, scratch, start } = encoder
    const i = this.push(
      value === undefined ? Kind.delete : Kind.put,
      systemKeyspace,
      keyHash(this.seedOf(systemKeyspace), scratch, start, end),
      start,
      end
    )
    this.valueBytes[i] = value ?? noBytes
    this.valueStarts[i] = 0
    this.valueEnds[i] = value === undefined ? 0 : value.length
    this.keyBytes = scratch
  }

  private addPoint(kind: number, keyspace: number, key: unknown): number {
    const encoder = this.encoder
    encoder.appendKey(key)
    const { start, end } = encoder
    const i = this.push(kind, keyspace, keyHash(this.seedOf(keyspace), encoder.scratch, start, end), start, end)
    this.grownBy(end - start)
    return i
  }

  private addFoundPoint(kind: number, annotation: Uint8Array): number {
    const i = this.push(kind, this.foundKeyspace, this.foundHash, this.foundStart, this.foundEnd)
    this.annotate(i, annotation)
    this.grownBy(this.foundEnd - this.foundStart)
    return i
  }

  private push(kind: number, keyspace: number, hash: number, start: number, end: number): number {
    const i = this.count
    if (i === this.kinds.length) this.grow()
    this.kinds[i] = kind
    this.keyspaces[i] = keyspace
    this.keyStarts[i] = start
    this.keyEnds[i] = end
    this.hashes[i] = hash
    this.expiresAt[i] = 0
    this.count = i + 1
    return i
  }

  /** Rows of the engine's own (of expiries, of time) come on top of what callers may give. */
  private grow(): void {
    if (this.count >= this.operationsMax && this.keyBytes === noBytes) throw this.tooMany()
    const capacity = this.kinds.length * 2
    this.resize(this.keyBytes === noBytes ? Math.min(capacity, Math.max(this.operationsMax, capacityMin)) : capacity)
  }

  private tooMany(): BatchTooLarge {
    return new BatchTooLarge({ bytes: this.bytes, bytesMax: this.limits.batchBytesMax, operationsMax: this.operationsMax })
  }

  private seedOf(keyspace: number): number {
    if (keyspace !== this.lastKeyspace) {
      this.lastKeyspace = keyspace
      this.lastSeed = keyspaceSeed(this.limits.seed, keyspace)
    }
    return this.lastSeed
  }

  /** How many points precede the last range delete over the key; -1 where none covers it. */
  private newestRange(keyspace: number, scratch: Uint8Array, start: number, end: number): number {
    const runs = (this.searchable ??= new TombstoneRuns())
    for (; this.searchableCount < this.ranges.length; this.searchableCount++) {
      const range = this.ranges[this.searchableCount]!
      // Their order in the batch stands for that of commits.
      runs.add({
        keyspace: range.keyspace,
        start: scratch.slice(range.start, range.startEnd),
        end: scratch.slice(range.end, range.endEnd),
        sequence: range.pointsBefore + 1
      })
    }
    return runs.covering(keyspace, scratch, start, end, Infinity) - 1
  }

  private annotate(i: number, annotation: Uint8Array): void {
    while (this.annotations.length < i) this.annotations.push(undefined)
    this.annotations.push(annotation)
  }

  /** The user key stands in its place; what comes before it is written here. */
  private addRow(kind: number, start: number, expiresAt: number, keyspace: number): void {
    const { end, scratch } = this.encoder
    writeExpiryRowHead(scratch, start, expiresAt, keyspace)
    const i = this.push(kind, expiryKeyspace, keyHash(this.seedOf(expiryKeyspace), scratch, start, end), start, end)
    this.valueBytes[i] = noBytes
    this.valueStarts[i] = this.valueEnds[i] = 0
  }

  /** What is left of the puts is all that is written, and no two of their rows are the same. */
  private addExpiryRows(): void {
    const points = this.count
    const encoder = this.encoder
    for (let i = 0; i < points; i++) {
      const expiresAt = this.expiresAt[i]!
      if (expiresAt === 0 || this.kinds[i] !== Kind.put) continue
      if (expiresAt < this.firstExpiry) this.firstExpiry = expiresAt
      const keyStart = this.keyStarts[i]!
      const keyEnd = this.keyEnds[i]!
      const start = encoder.appendRoom(expiryRowOverhead + keyEnd - keyStart)
      encoder.scratch.copyWithin(start + expiryRowOverhead, keyStart, keyEnd)
      this.addRow(Kind.put, start, expiresAt, this.keyspaces[i]!)
    }
    this.keyBytes = encoder.scratch
  }

  private grownBy(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.limits.batchBytesMax) throw new BatchTooLarge({ bytes: this.bytes, bytesMax: this.limits.batchBytesMax })
  }

  private dropCovered(): void {
    const covered = coveredPoints(this, this.ranges)
    for (const i of covered) this.kinds[i] = dropped
    this.removed += covered.length
  }

  /** Closes the gaps that dropped operations left. */
  private close(): void {
    const { annotations, count, kinds } = this
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
      this.expiresAt[to] = this.expiresAt[from]!
      this.versions[to] = this.versions[from]!
      if (annotations.length > 0) annotations[to] = annotations[from]
      to++
    }
    if (annotations.length > to) annotations.length = to
    this.valueBytes.fill(noBytes, to, count)
    this.count = to
  }

  private putRangesFirst(): void {
    const shift = this.ranges.length
    const points = this.count
    let capacity = this.kinds.length
    while (capacity < points + shift) capacity *= 2
    if (capacity > this.kinds.length) this.resize(capacity)
    for (const array of [
      this.kinds,
      this.keyspaces,
      this.hashes,
      this.keyStarts,
      this.keyEnds,
      this.valueStarts,
      this.valueEnds,
      this.expiresAt,
      this.versions
    ])
      array.copyWithin(shift, 0, points)
    if (this.annotations.length > 0) this.annotations = Array.from<Uint8Array | undefined>({ length: shift }).concat(this.annotations)
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
      this.expiresAt[i] = 0
    }
    this.rangeCount = shift
    this.count = points + shift
  }

  private resize(capacity: number): void {
    const kept = Math.min(this.count, capacity)
    const grow = <A extends Uint8Array | Uint32Array | Int32Array | Float64Array>(into: A, from: A): A => {
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
    this.expiresAt = grow(new Float64Array(capacity), this.expiresAt)
    this.versions = grow(new Float64Array(capacity), this.versions)
  }
}
