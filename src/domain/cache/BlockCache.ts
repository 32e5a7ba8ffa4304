import { Arc } from "./Arc.ts"
import type { CachePolicy, MakeCachePolicy } from "./CachePolicy.ts"

/** What an entry takes beside its bytes: its part of the tables here and in the policy. */
const overheadBytes = 64
/** What a block with an array of its own takes besides. */
const ownOverheadBytes = 256
/** Frames are allocated this many bytes at a time. */
const segmentBytes = 1 << 20

const slotCountMin = 64

export const arcPolicy: MakeCachePolicy = (capacity, contents) => new Arc(capacity, contents)

const noBytes = new Uint8Array(0)
const noFrame = -1

/**
 * Verified, decompressed blocks of tables by (table id, number in the table), both unsigned 32-bit integers, within a budget of bytes.
 *
 * Blocks of up to `frameBytes` lie in frames of one size within a few large arrays: an array object per block, which is never in the CPU's cache, costs a lookup as much as the
 * rest of it, and allocating one more than the rest of a miss. Larger blocks have arrays of their own.
 *
 * **Details** `find` and `place` describe a block by `bytes[start, start + length)`. That is the cache's memory: valid until the next `place`, `put` or `remove`, in the same
 * synchronous step. Whoever keeps blocks over several reads or over an await (scans, merges) takes `copy`.
 *
 * **Gotchas** A block larger than the budget is not stored.
 */
export class BlockCache {
  hits = 0
  misses = 0
  /** The block that `find` found or `place` made room for. */
  bytes: Uint8Array = noBytes
  start = 0
  length = 0
  private readonly frameBytes: number
  private readonly framesPerSegment: number
  private readonly policy: CachePolicy
  private resident = 0
  private readonly segments: Array<Uint8Array> = []
  private readonly freeFrames: Array<number> = []
  private frameCount = 0

  /** Open addressing with linear probing from key to slot + 1; 0 is free. Deletion shifts back, so that no tombstones gather. */
  private table = new Int32Array(slotCountMin * 2)
  private mask = slotCountMin * 2 - 1
  /** Per slot: table id, block number. */
  private keys = new Uint32Array(slotCountMin * 2)
  /** Per slot: frame (-1 none), length (-1: not resident). */
  private places = new Int32Array(slotCountMin * 2)
  /** Blocks larger than a frame, by slot. */
  private readonly own = new Map<number, Uint8Array>()
  private readonly freeSlots: Array<number> = []
  private slotCount = 0

  /** `frameBytes`: the size that nearly all blocks have at most, such as the target size of leaves. */
  constructor(capacityBytes: number, frameBytes: number, makePolicy: MakeCachePolicy = arcPolicy) {
    this.frameBytes = frameBytes
    this.framesPerSegment = Math.max(1, Math.floor(segmentBytes / frameBytes))
    this.policy = makePolicy(capacityBytes, {
      evict: (slot) => this.letGo(slot),
      forget: (slot) => {
        if (this.places[slot * 2 + 1]! >= 0) this.letGo(slot)
        this.freeSlot(slot)
      }
    })
  }

  get capacityBytes(): number {
    return this.policy.capacity
  }

  /** Bytes accounted to resident blocks, overhead included. */
  get bytesUsed(): number {
    return this.policy.weight
  }

  /** Resident blocks. */
  get count(): number {
    return this.resident
  }

  /** What a block of this length counts against the budget. */
  weightOf(length: number): number {
    return length <= this.frameBytes ? this.frameBytes + overheadBytes : length + ownOverheadBytes
  }

  /** Whether the block is here; then it is described by `bytes`, `start`, `length`. */
  find(tableId: number, block: number): boolean {
    const slot = this.slotOf(tableId, block)
    if (slot >= 0 && this.describe(slot)) {
      this.hits++
      this.policy.touch(slot)
      return true
    }
    this.misses++
    return false
  }

  /** A copy of the block, or undefined where it is not here. The copy belongs to the caller. */
  copy(tableId: number, block: number): Uint8Array | undefined {
    if (!this.find(tableId, block)) return undefined
    const copy = new Uint8Array(this.length)
    copy.set(this.bytes.subarray(this.start, this.start + this.length))
    return copy
  }

  /**
   * Makes room for a block that is not here, for the caller to write its content to `bytes[start, start + length)` at once; `remove` takes it back. False: it does not fit.
   */
  place(tableId: number, block: number, length: number): boolean {
    const weight = this.weightOf(length)
    if (weight > this.policy.capacity) return false
    let slot = this.slotOf(tableId, block)
    if (slot < 0) slot = this.takeSlot(tableId, block)
    else if (this.places[slot * 2 + 1]! >= 0) return this.describe(slot)
    // First of all room is made: the frame of what has to go is the one that is taken.
    this.policy.admit(slot, weight)
    if (length <= this.frameBytes) this.places[slot * 2] = this.takeFrame()
    else this.own.set(slot, new Uint8Array(length))
    this.places[slot * 2 + 1] = length
    this.resident++
    return this.describe(slot)
  }

  /** Stores a copy of a block. Where it is present already (two readers missed it at once), that one stays. */
  put(tableId: number, block: number, content: Uint8Array): void {
    if (this.place(tableId, block, content.length)) this.bytes.set(content, this.start)
  }

  remove(tableId: number, block: number): void {
    const slot = this.slotOf(tableId, block)
    if (slot >= 0) this.removeSlot(slot)
  }

  /** Forgets all blocks of a table that is gone. Walks all slots, about 0.1 ms for 60,000. */
  removeTable(tableId: number): void {
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (this.keys[slot * 2] === tableId && this.slotOf(tableId, this.keys[slot * 2 + 1]!) === slot) this.removeSlot(slot)
    }
  }

  /** Frames that are no longer needed are kept for later blocks. */
  resize(capacityBytes: number): void {
    this.policy.resize(capacityBytes)
  }

  private removeSlot(slot: number): void {
    this.policy.remove(slot)
    if (this.places[slot * 2 + 1]! >= 0) this.letGo(slot)
    this.freeSlot(slot)
  }

  private describe(slot: number): boolean {
    const length = this.places[slot * 2 + 1]!
    if (length < 0) return false
    const frame = this.places[slot * 2]!
    this.length = length
    if (frame === noFrame) {
      this.bytes = this.own.get(slot)!
      this.start = 0
    } else {
      const segment = (frame / this.framesPerSegment) | 0
      this.bytes = this.segments[segment]!
      this.start = (frame - segment * this.framesPerSegment) * this.frameBytes
    }
    return true
  }

  private takeFrame(): number {
    const free = this.freeFrames.pop()
    if (free !== undefined) return free
    const frame = this.frameCount++
    if (frame === this.segments.length * this.framesPerSegment) this.segments.push(new Uint8Array(this.framesPerSegment * this.frameBytes))
    return frame
  }

  private slotOf(tableId: number, block: number): number {
    const { table, keys, mask } = this
    for (let at = hash(tableId, block) & mask;; at = (at + 1) & mask) {
      const slot = table[at]! - 1
      if (slot < 0 || (keys[slot * 2] === tableId && keys[slot * 2 + 1] === block)) return slot
    }
  }

  private takeSlot(tableId: number, block: number): number {
    const slot = this.freeSlots.pop() ?? this.slotCount++
    if (slot * 2 >= this.keys.length) this.grow()
    this.keys[slot * 2] = tableId
    this.keys[slot * 2 + 1] = block
    this.places[slot * 2] = noFrame
    this.places[slot * 2 + 1] = -1
    this.enter(slot)
    return slot
  }

  private enter(slot: number): void {
    let at = hash(this.keys[slot * 2]!, this.keys[slot * 2 + 1]!) & this.mask
    while (this.table[at] !== 0) at = (at + 1) & this.mask
    this.table[at] = slot + 1
  }

  private letGo(slot: number): void {
    const frame = this.places[slot * 2]!
    if (frame === noFrame) this.own.delete(slot)
    else this.freeFrames.push(frame)
    this.places[slot * 2] = noFrame
    this.places[slot * 2 + 1] = -1
    this.resident--
  }

  private freeSlot(slot: number): void {
    const { table, keys, mask } = this
    let hole = hash(keys[slot * 2]!, keys[slot * 2 + 1]!) & mask
    while (table[hole] !== slot + 1) hole = (hole + 1) & mask
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const other = table[at]! - 1
      const home = hash(keys[other * 2]!, keys[other * 2 + 1]!) & mask
      // It may move back only if the hole lies on its way from home.
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      table[hole] = other + 1
      hole = at
    }
    table[hole] = 0
    this.freeSlots.push(slot)
  }

  /** Doubles the room; at most half of the table is ever used. */
  private grow(): void {
    const keys = new Uint32Array(this.keys.length * 2)
    keys.set(this.keys)
    this.keys = keys
    const places = new Int32Array(keys.length)
    places.set(this.places)
    this.places = places
    const used = this.table
    this.table = new Int32Array(used.length * 2)
    this.mask = this.table.length - 1
    for (const entry of used) if (entry !== 0) this.enter(entry - 1)
  }
}

/** Neighbouring blocks and tables must spread: a finalizer of MurmurHash3 over both. */
const hash = (tableId: number, block: number): number => {
  let h = Math.imul(tableId, 0x9e3779b9) ^ Math.imul(block, 0x85ebca6b)
  h ^= h >>> 16
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 13)
}
