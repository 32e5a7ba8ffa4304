import { Arc } from "./Arc.ts"
import { BufferPool, pooledSize } from "./BufferPool.ts"
import type { CachePolicy, MakeCachePolicy } from "./CachePolicy.ts"

/** What an entry takes beside its bytes: the view, its buffer, and the slot's part of the tables here and in the policy. */
const overheadBytes = 256

/** What a block of this length counts against the budget. */
export const blockWeight = (length: number): number => pooledSize(length) + overheadBytes

const slotCountMin = 64
/** Evicted buffers kept for reuse, as a part of the capacity. */
const poolPart = 1 / 32

export const arcPolicy: MakeCachePolicy = (capacity, contents) => new Arc(capacity, contents)

/**
 * Verified, decompressed blocks of tables by (table id, number in the table), both unsigned 32-bit integers, within a budget of bytes.
 *
 * **Details** `put` gives the block to the cache; `get` returns it for reading only. Evicted buffers are reused for later blocks, because allocating one costs more
 * than the rest of a miss, but only while nobody can hold a view: a view from `get` or `takeBuffer` is valid until the next `takeBuffer`, unless the reader is
 * inside `hold` … `release`; while anybody holds, evicted buffers are left to the garbage collector instead. So a reader of one block at a time in one
 * synchronous step needs nothing; whoever keeps blocks over several reads or over an await (scans, merges, prefetches) holds, and releases when done. What was
 * evicted before `hold` may already have been recycled: hold first, then read.
 *
 * **Gotchas** A block larger than the budget is not stored.
 */
export class BlockCache {
  hits = 0
  misses = 0
  private readonly policy: CachePolicy
  private readonly pool: BufferPool
  private holders = 0
  private resident = 0

  /** Open addressing with linear probing from key to slot + 1; 0 is free. Deletion shifts back, so that no tombstones gather. */
  private table = new Int32Array(slotCountMin * 2)
  private mask = slotCountMin * 2 - 1
  /** Per slot: table id, block number. */
  private keys = new Uint32Array(slotCountMin * 2)
  private readonly blocks: Array<Uint8Array | undefined> = []
  private readonly freeSlots: Array<number> = []
  private slotCount = 0

  constructor(capacityBytes: number, makePolicy: MakeCachePolicy = arcPolicy) {
    this.pool = new BufferPool(capacityBytes * poolPart)
    this.policy = makePolicy(capacityBytes, {
      evict: (slot) => this.letGo(slot),
      forget: (slot) => {
        if (this.blocks[slot] !== undefined) this.letGo(slot)
        this.freeSlot(slot)
      }
    })
  }

  get capacityBytes(): number {
    return this.policy.capacity
  }

  /** Bytes accounted to resident blocks, overhead included. */
  get bytes(): number {
    return this.policy.weight
  }

  /** Resident blocks. */
  get count(): number {
    return this.resident
  }

  get(tableId: number, block: number): Uint8Array | undefined {
    const slot = this.find(tableId, block)
    if (slot >= 0) {
      const found = this.blocks[slot]
      if (found !== undefined) {
        this.hits++
        this.policy.touch(slot)
        return found
      }
    }
    this.misses++
    return undefined
  }

  /** Stores a block; it belongs to the cache from now on. Where the block is present already (two readers missed it at once), that one stays. */
  put(tableId: number, block: number, bytes: Uint8Array): void {
    const weight = blockWeight(bytes.length)
    if (weight > this.policy.capacity) return
    let slot = this.find(tableId, block)
    if (slot < 0) slot = this.takeSlot(tableId, block)
    else if (this.blocks[slot] !== undefined) return
    // Stored first: making room may move the lists, never this slot.
    this.policy.admit(slot, weight)
    this.blocks[slot] = bytes
    this.resident++
  }

  /** Forgets all blocks of a table that is gone. Walks all slots, about 0.1 ms for 60,000. */
  removeTable(tableId: number): void {
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (this.keys[slot * 2] !== tableId || this.find(tableId, this.keys[slot * 2 + 1]!) !== slot) continue
      this.policy.remove(slot)
      if (this.blocks[slot] !== undefined) this.letGo(slot)
      this.freeSlot(slot)
    }
  }

  resize(capacityBytes: number): void {
    this.policy.resize(capacityBytes)
    this.pool.resize(capacityBytes * poolPart)
  }

  /** From now until `release`, no buffer that the cache lets go of is reused. Holds nest. */
  hold(): void {
    this.holders++
  }

  release(): void {
    this.holders--
  }

  /** Memory for a block of exactly `length` bytes, content arbitrary: to read into and then `put` (or to drop). Ends the validity of views not held. */
  takeBuffer(length: number): Uint8Array {
    return this.pool.take(length)
  }

  private find(tableId: number, block: number): number {
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
    this.blocks[slot] = undefined
    this.enter(slot)
    return slot
  }

  private enter(slot: number): void {
    let at = hash(this.keys[slot * 2]!, this.keys[slot * 2 + 1]!) & this.mask
    while (this.table[at] !== 0) at = (at + 1) & this.mask
    this.table[at] = slot + 1
  }

  private letGo(slot: number): void {
    const block = this.blocks[slot]!
    this.blocks[slot] = undefined
    this.resident--
    if (this.holders === 0) this.pool.give(block)
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
