import { equalRanges } from "../keys/compareBytes.ts"
import { dropped } from "./coveredPoints.ts"

interface Points {
  readonly count: number
  readonly kinds: Uint8Array
  readonly keyspaces: Uint32Array
  readonly hashes: Int32Array
  readonly keyStarts: Int32Array
  readonly keyEnds: Int32Array
}

/** The point operations of a batch by key: open addressing over arrays that are used again. */
export class PointIndex {
  /** From hash to point + 1; 0 is free. */
  private slots = new Int32Array(0)
  /** How many of the slots are in use: a power of two, or 0. A table left large by an earlier batch is used in part, so that clearing it costs what this batch needs. */
  private slotCount = 0
  /** Points that are in the slots. */
  private indexed = 0

  reset(): void {
    this.slotCount = this.indexed = 0
  }

  /** `reset` that also gives up the memory. */
  release(): void {
    this.reset()
    this.slots = new Int32Array(0)
  }

  /** Takes in the points that were added since the last time; marks all but the last one of each key as dropped, and returns how many it marked. */
  extend(points: Points, keyBytes: Uint8Array): number {
    const { count, hashes, keyEnds, keyspaces, keyStarts, kinds } = points
    let from = this.indexed
    if (this.slotCount < count * 2) {
      this.slotCount = 2 ** Math.ceil(Math.log2(count * 2))
      if (this.slots.length < this.slotCount) this.slots = new Int32Array(this.slotCount)
      else this.slots.fill(0, 0, this.slotCount)
      from = 0
    }
    const slots = this.slots
    const mask = this.slotCount - 1
    let removed = 0
    for (let i = from; i < count; i++) {
      // Where the table has grown, what was dropped before comes by again.
      if (kinds[i] === dropped) continue
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
    this.indexed = count
    return removed
  }

  /** The last of the points taken in that has the key `keyBytes[start, end)`; -1 where none has. */
  find(points: Points, keyBytes: Uint8Array, keyspace: number, hash: number, start: number, end: number): number {
    if (this.slotCount === 0) return -1
    const { hashes, keyEnds, keyspaces, keyStarts } = points
    const { slots } = this
    const mask = this.slotCount - 1
    const length = end - start
    let slot = hash & mask
    for (let found = slots[slot]!; found !== 0; found = slots[slot]!) {
      const j = found - 1
      if (hashes[j] === hash && keyspaces[j] === keyspace) {
        if (keyEnds[j]! - keyStarts[j]! === length && equalRanges(keyBytes, start, keyBytes, keyStarts[j]!, length)) return j
      }
      slot = (slot + 1) & mask
    }
    return -1
  }
}
