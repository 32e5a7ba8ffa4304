/**
 * Values by (keyspace, string key): the shortest way to a hot value, one `Map` lookup without encoding the key.
 *
 * It must never serve a value that a snapshot should not see. An entry is valid from a sequence on and is served only to snapshots at or after it, before
 * its expiry, and only while two tests hold:
 *
 * - its key's hash bucket has seen no later *sequenced* write (`noteWrite`, whatever form the key came in), and
 * - the floor, raised by an open, a range delete or a drop, is not above it.
 *
 * Writes invalidate when they are sequenced, before they are visible: until then nothing is served, and readers go to the memtable.
 *
 * ```
 *   sequence  5                         9                       9 becomes visible
 *             read at 5 fills k         a write to k, or to a   from here on the write's own value,
 *             (bucket 3 <= 5): hits     key of its bucket, is   valid from 9, serves snapshots >= 9;
 *             for snapshots 5, 6, …     sequenced: no more hits the old entry serves nobody
 * ```
 *
 * Keys of one bucket invalidate each other, which costs a miss and never a wrong answer.
 */
import { decodeText } from "../bytes/decodeText.ts"

/** What an entry takes beside its characters and bytes: its place in the `Map` and in the arrays here, the headers of strings and views. */
export const valueOverheadBytes = 280

const slotCountMin = 64
const bucketCountMin = 1024
const bucketCountMax = 1 << 18
/** A value is not worth caching where fewer than this many would fill the cache. */
const entriesMin = 16
/** Shorter strings are never views of a longer one in V8. */
const ownStringChars = 13

const utf8 = new TextEncoder()

/** Fields of an entry, side by side so that one cache line holds them. */
const validFromField = 0
const expiresAtField = 1
const bucketField = 2
const weightField = 3
const entryFields = 4

interface KeyspaceEntries {
  readonly slots: Map<string, number>
  floor: number
}

export class ValueCache {
  hits = 0
  misses = 0
  /** What entries may take: the capacity without the arrays of the buckets. */
  private budget = 0
  private weight = 0
  private floor: number
  private readonly keyspaces = new Map<number, KeyspaceEntries>()
  private lastKeyspace = -1
  private last: KeyspaceEntries = { slots: new Map(), floor: 0 }

  /** The last sequenced write of each hash bucket. */
  private readonly buckets: Float64Array
  /** The last key (by hash) of each bucket that was refused room: asked for again, it is let in. */
  private readonly refused: Int32Array

  private entries = new Float64Array(slotCountMin * entryFields)
  /** CLOCK: set by a hit, cleared as the hand passes. */
  private referenced = new Uint8Array(slotCountMin)
  private readonly keys: Array<string | undefined> = []
  private readonly owners: Array<KeyspaceEntries> = []
  private readonly values: Array<Uint8Array | undefined> = []
  private readonly texts: Array<string | undefined> = []
  private readonly freeSlots: Array<number> = []
  private slotCount = 0
  private hand = 0

  /** `openedAt`: the visible sequence at opening, the first floor. */
  constructor(capacityBytes: number, openedAt: number) {
    this.floor = openedAt
    const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, capacityBytes / 256)))
    const count = Math.min(bucketCountMax, Math.max(bucketCountMin, wanted))
    this.buckets = new Float64Array(count)
    this.refused = new Int32Array(count)
    this.resize(capacityBytes)
  }

  /** Bytes accounted to entries, `valueOverheadBytes` each included. */
  get bytes(): number {
    return this.weight
  }

  /** Memory held, the arrays here included. Below `bytesUsed` of a full cache by nothing: what is let go is given back at once. */
  get bytesAllocated(): number {
    return this.weight + this.buckets.byteLength + this.refused.byteLength
  }

  /** What entries and arrays may take. */
  get capacityBytes(): number {
    return this.budget + this.buckets.byteLength + this.refused.byteLength
  }

  get count(): number {
    return this.slotCount - this.freeSlots.length
  }

  /**
   * The value of the key as a snapshot at (`snapshot`, `timeMs`) sees it, or undefined: not cached, which says nothing about the key.
   * The bytes are the cache's: copy them before handing them out.
   */
  getBytes(keyspace: number, key: string, snapshot: number, timeMs: number): Uint8Array | undefined {
    const slot = this.find(keyspace, key, snapshot, timeMs)
    return slot < 0 ? undefined : this.values[slot]
  }

  /** `getBytes` decoded as UTF-8. The text is kept, so that the next call only looks it up. */
  getText(keyspace: number, key: string, snapshot: number, timeMs: number): string | undefined {
    const slot = this.find(keyspace, key, snapshot, timeMs)
    return slot < 0 ? undefined : (this.texts[slot] ?? this.decode(slot))
  }

  has(keyspace: number, key: string, snapshot: number, timeMs: number): boolean {
    return this.find(keyspace, key, snapshot, timeMs) >= 0
  }

  /**
   * Offers what a read at `snapshot` found, in the same synchronous step in which it was found. `hash` is `keyHash` of the key's UTF-8 bytes under the seed of
   * its keyspace; the value is copied. Returns whether the key is cached now: not after a later write, nor, in a full cache, the first time.
   */
  fill(keyspace: number, key: string, hash: number, snapshot: number, bytes: Uint8Array, start: number, end: number, expiresAt: number): boolean {
    const bucket = hash & (this.buckets.length - 1)
    const owner = this.keyspace(keyspace)
    if (snapshot < this.buckets[bucket]! || snapshot < this.floor || snapshot < owner.floor) return false
    const slot = owner.slots.get(key)
    if (slot !== undefined) {
      // Valid already, for newer snapshots only: the same version, seen from an earlier one.
      if (this.isCurrent(slot)) {
        this.entries[slot * entryFields + validFromField] = Math.min(snapshot, this.entries[slot * entryFields + validFromField]!)
        return true
      }
      return this.replace(slot, snapshot, bytes, start, end, expiresAt)
    }
    const weight = key.length * 2 + (end - start) + valueOverheadBytes
    if (weight * entriesMin > this.budget) return false
    if (this.weight + weight > this.budget && this.refused[bucket] !== hash) {
      this.refused[bucket] = hash
      return false
    }
    this.makeRoom(weight)
    this.store(owner, key, bucket, weight, snapshot, bytes, start, end, expiresAt)
    return true
  }

  /** A write to the key with this hash was sequenced, by string or by bytes: a put, delete or expiry. Call for each, before anything else reads. */
  noteWrite(hash: number, sequence: number): void {
    this.buckets[hash & (this.buckets.length - 1)] = sequence
  }

  /** After `noteWrite` for it: where the key is cached, that write's own value replaces what it invalidated. Undefined for a delete. The value is copied. */
  written(keyspace: number, key: string, sequence: number, bytes: Uint8Array | undefined, start: number, end: number, expiresAt: number): void {
    const slot = this.keyspace(keyspace).slots.get(key)
    if (slot === undefined) return
    if (bytes === undefined) this.drop(slot)
    else this.replace(slot, sequence, bytes, start, end, expiresAt)
  }

  /** Writes above `visibleSequence` have failed and will never be visible: their values are discarded. */
  discardAbove(visibleSequence: number): void {
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (this.keys[slot] !== undefined && this.entries[slot * entryFields + validFromField]! > visibleSequence) this.drop(slot)
    }
  }

  /** Nothing valid from before `sequence` is served any more, in one keyspace (a range delete) or in all (a rebuilt database). */
  raiseFloor(sequence: number, keyspace?: number): void {
    if (keyspace === undefined) this.floor = Math.max(this.floor, sequence)
    else this.keyspace(keyspace).floor = Math.max(this.keyspace(keyspace).floor, sequence)
  }

  /** The keyspace was dropped at `sequence`: its floor is raised and its memory given back. */
  dropKeyspace(keyspace: number, sequence: number): void {
    this.raiseFloor(sequence, keyspace)
    for (const slot of [...this.keyspace(keyspace).slots.values()]) this.drop(slot)
  }

  resize(capacityBytes: number): void {
    this.budget = Math.max(0, capacityBytes - this.buckets.byteLength - this.refused.byteLength)
    this.makeRoom(0)
  }

  private find(keyspace: number, key: string, snapshot: number, timeMs: number): number {
    const owner = this.keyspace(keyspace)
    const slot = owner.slots.get(key)
    if (slot !== undefined) {
      const entries = this.entries
      const at = slot * entryFields
      const validFrom = entries[at + validFromField]!
      const expiresAt = entries[at + expiresAtField]!
      if (
        validFrom <= snapshot &&
        validFrom >= this.buckets[entries[at + bucketField]!]! &&
        validFrom >= owner.floor &&
        validFrom >= this.floor &&
        (expiresAt === 0 || expiresAt > timeMs)
      ) {
        this.hits++
        this.referenced[slot] = 1
        return slot
      }
    }
    this.misses++
    return -1
  }

  private isCurrent(slot: number): boolean {
    const at = slot * entryFields
    const validFrom = this.entries[at + validFromField]!
    return validFrom >= this.buckets[this.entries[at + bucketField]!]! && validFrom >= this.owners[slot]!.floor && validFrom >= this.floor
  }

  private keyspace(id: number): KeyspaceEntries {
    if (id === this.lastKeyspace) return this.last
    let found = this.keyspaces.get(id)
    if (found === undefined) this.keyspaces.set(id, (found = { slots: new Map(), floor: 0 }))
    this.lastKeyspace = id
    this.last = found
    return found
  }

  private decode(slot: number): string {
    const text = decodeText(this.values[slot]!)
    const weight = text.length * 2
    // Where the text has no room beside the bytes, it is decoded each time.
    if (this.weight + weight <= this.budget) {
      this.texts[slot] = text
      this.entries[slot * entryFields + weightField]! += weight
      this.weight += weight
    }
    return text
  }

  private replace(slot: number, validFrom: number, bytes: Uint8Array, start: number, end: number, expiresAt: number): boolean {
    const key = this.keys[slot]!
    const owner = this.owners[slot]!
    const bucket = this.entries[slot * entryFields + bucketField]!
    this.drop(slot)
    const weight = key.length * 2 + (end - start) + valueOverheadBytes
    if (weight * entriesMin > this.budget) return false
    this.makeRoom(weight)
    this.store(owner, key, bucket, weight, validFrom, bytes, start, end, expiresAt)
    return true
  }

  private store(
    owner: KeyspaceEntries,
    key: string,
    bucket: number,
    weight: number,
    validFrom: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    expiresAt: number
  ): void {
    const slot = this.freeSlots.pop() ?? this.slotCount++
    if (slot >= this.referenced.length) this.grow()
    // A string cut from a longer one keeps that alive (a line of a file, the whole file): the cache keeps a string of its own.
    const own = key.length < ownStringChars ? key : decodeText(utf8.encode(key))
    owner.slots.set(own, slot)
    this.keys[slot] = own
    this.owners[slot] = owner
    const value = new Uint8Array(end - start)
    value.set(bytes.subarray(start, end))
    this.values[slot] = value
    this.texts[slot] = undefined
    const at = slot * entryFields
    this.entries[at + validFromField] = validFrom
    this.entries[at + expiresAtField] = expiresAt
    this.entries[at + bucketField] = bucket
    this.entries[at + weightField] = weight
    this.referenced[slot] = 0
    this.weight += weight
  }

  private drop(slot: number): void {
    this.owners[slot]!.slots.delete(this.keys[slot]!)
    this.keys[slot] = this.values[slot] = this.texts[slot] = undefined
    this.weight -= this.entries[slot * entryFields + weightField]!
    this.freeSlots.push(slot)
  }

  /** CLOCK: the hand passes over what was hit since its last round, and takes the first that was not or that can never be served again. */
  private makeRoom(weight: number): void {
    while (this.weight + weight > this.budget) {
      if (this.hand >= this.slotCount) this.hand = 0
      const slot = this.hand++
      if (this.keys[slot] === undefined) continue
      if (this.referenced[slot] === 1 && this.isCurrent(slot)) this.referenced[slot] = 0
      else this.drop(slot)
    }
  }

  private grow(): void {
    const entries = new Float64Array(this.entries.length * 2)
    entries.set(this.entries)
    this.entries = entries
    const referenced = new Uint8Array(this.referenced.length * 2)
    referenced.set(this.referenced)
    this.referenced = referenced
  }
}
