import { Car } from "./Car.ts"
import type { CachePolicy, MakeCachePolicy } from "./CachePolicy.ts"

/** What an entry takes beside its bytes: its part of the tables here and in the policy. */
const overheadBytes = 64
/** What a block with an array of its own takes besides. */
const ownOverheadBytes = 256
/** Frames are allocated this many bytes at a time, or, of a small cache, this part of it. */
const segmentBytesMax = 1 << 20
const segmentsMin = 64

const slotCountMin = 64
const blockCountMin = 16

export const carPolicy: MakeCachePolicy = (capacity, contents) => new Car(capacity, contents)

const noBytes = new Uint8Array(0)
const noFrame = -1

/**
 * Verified, decompressed blocks of tables by (table id, number in the table), within a budget of bytes. The numbers of a table's blocks count from 0.
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
  private readonly segmentBytes: number
  private readonly policy: CachePolicy
  private resident = 0
  private readonly segments: Array<Uint8Array> = []
  private readonly freeFrames: Array<number> = []
  private frameCount = 0

  /**
   * By table: slot + 1 of each block, 0 for none. Four bytes for each block there is, whether it is here or not; in return a lookup is one access, to an array that stays in
   * the CPU's cache, where a hash table over all blocks costs two that do not.
   */
  private readonly tables = new Map<number, Int32Array>()
  /** Per slot: table id, block number. */
  private keys = new Uint32Array(slotCountMin * 2)
  /** Per slot: frame (-1 none), length (-1: not resident). */
  private places = new Int32Array(slotCountMin * 2)
  /** Blocks larger than a frame, by slot. */
  private readonly own = new Map<number, Uint8Array>()
  private readonly freeSlots: Array<number> = []
  private slotCount = 0

  /** `frameBytes`: the size that nearly all blocks have at most, such as the target size of leaves. */
  constructor(capacityBytes: number, frameBytes: number, makePolicy: MakeCachePolicy = carPolicy) {
    this.frameBytes = frameBytes
    this.framesPerSegment = Math.max(1, Math.floor(Math.min(segmentBytesMax, capacityBytes / segmentsMin) / frameBytes))
    this.segmentBytes = this.framesPerSegment * frameBytes
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

  /** Forgets all blocks of a table that is gone. */
  removeTable(tableId: number): void {
    const slots = this.tables.get(tableId)
    if (slots === undefined) return
    for (const slot of slots) if (slot > 0) this.removeSlot(slot - 1)
    this.tables.delete(tableId)
  }

  /** Memory held: the segments of frames, larger blocks, and the tables here. Above `bytesUsed` by what was freed and not yet given back. */
  get bytesAllocated(): number {
    let own = 0
    for (const block of this.own.values()) own += block.length
    let slots = 0
    for (const table of this.tables.values()) slots += table.byteLength
    return this.segments.length * this.segmentBytes + own + slots + this.keys.byteLength + this.places.byteLength
  }

  /**
   * Smaller: what is least worth keeping goes first, and the memory of segments that are not needed is given back, for which the blocks that stay are moved together. Larger: it
   * fills again by itself.
   */
  resize(capacityBytes: number): void {
    const shrinks = capacityBytes < this.policy.capacity
    this.policy.resize(capacityBytes)
    if (shrinks) this.giveBack()
  }

  /** Moves the blocks of the last segments to free frames of the first ones, as long as that empties a segment. */
  private giveBack(): void {
    let inFrames = this.resident - this.own.size
    const kept = Math.ceil(inFrames / this.framesPerSegment)
    if (kept >= this.segments.length) return
    const limit = kept * this.framesPerSegment
    const free: Array<number> = []
    for (const frame of this.freeFrames) if (frame < limit) free.push(frame)
    for (let frame = this.frameCount; frame < limit; frame++) free.push(frame)
    for (let slot = 0; slot < this.slotCount && inFrames > 0; slot++) {
      const frame = this.places[slot * 2]!
      if (frame === noFrame || this.places[slot * 2 + 1]! < 0) continue
      inFrames--
      if (frame < limit) continue
      const to = free.pop()!
      this.frame(to).set(this.frame(frame))
      this.places[slot * 2] = to
    }
    this.segments.length = kept
    this.frameCount = Math.min(this.frameCount, limit)
    this.freeFrames.length = 0
    for (const frame of free) if (frame < this.frameCount) this.freeFrames.push(frame)
    this.bytes = noBytes
  }

  private frame(frame: number): Uint8Array {
    const segment = (frame / this.framesPerSegment) | 0
    const start = (frame - segment * this.framesPerSegment) * this.frameBytes
    return this.segments[segment]!.subarray(start, start + this.frameBytes)
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
    if (frame === this.segments.length * this.framesPerSegment) this.segments.push(new Uint8Array(this.segmentBytes))
    return frame
  }

  private slotOf(tableId: number, block: number): number {
    const slots = this.tables.get(tableId)
    return slots === undefined || block >= slots.length ? -1 : slots[block]! - 1
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
    const tableId = this.keys[slot * 2]!
    const block = this.keys[slot * 2 + 1]!
    let slots = this.tables.get(tableId)
    if (slots === undefined || block >= slots.length) {
      const larger = new Int32Array(Math.max(blockCountMin, block + 1, slots === undefined ? 0 : slots.length * 2))
      if (slots !== undefined) larger.set(slots)
      slots = larger
      this.tables.set(tableId, slots)
    }
    slots[block] = slot + 1
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
    this.tables.get(this.keys[slot * 2]!)![this.keys[slot * 2 + 1]!] = 0
    this.freeSlots.push(slot)
  }

  private grow(): void {
    const keys = new Uint32Array(this.keys.length * 2)
    keys.set(this.keys)
    this.keys = keys
    const places = new Int32Array(keys.length)
    places.set(this.places)
    this.places = places
  }
}
