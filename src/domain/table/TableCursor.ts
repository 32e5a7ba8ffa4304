import { readVarint, varintEnd } from "../bytes/varint.ts"
import { CursorState } from "../EntryCursor.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import { compareRanges } from "../keys/compareBytes.ts"
import { EntryFlag, entryKindMask, LeafFlag, leafCount, leafKeyspace, leafOffset, leafOffsetsAt, leafPrefixLength, lowerBoundKey } from "./leaf.ts"
import type { LeafNeed, TableReader } from "./TableReader.ts"

const none = new Uint8Array(0)

/** What to do once the leaf that was asked for is there. */
const Arrival = { first: 0, last: 1, seek: 2, seekBefore: 3 } as const
type Arrival = (typeof Arrival)[keyof typeof Arrival]

/**
 * Walks a table's entries. Blocks given to `supply` are held until the cursor has left them and must not change meanwhile. `keyBytes` is the cursor's own array, which the
 * next move overwrites; `valueBytes` is the block.
 */
export class TableCursor implements EntryCursor {
  state: CursorState = CursorState.atEnd
  need: LeafNeed | undefined = undefined
  keyspace = 0
  keyBytes: Uint8Array = new Uint8Array(256)
  readonly keyStart = 0
  keyEnd = 0
  sequence = 0
  kind = 0
  expiresAt = 0
  isPointer = false
  valueBytes: Uint8Array = none
  valueStart = 0
  valueEnd = 0

  readonly #table: TableReader
  /** The leaf whose content is `#block`, -1 when none is held. */
  #held = -1
  #block: Uint8Array = none
  #count = 0
  #offsetsAt = 0
  #isWide = false
  #isUniform = false
  #entryFlags = 0
  #prefixLength = 0
  #index = 0
  /** The leaf awaited, and why. */
  #leaf = -1
  #arrival: Arrival = Arrival.first
  #target: Uint8Array = none
  #targetSequence = 0

  constructor(table: TableReader) {
    this.#table = table
  }

  seekFirst(): void {
    this.#go(0, Arrival.first)
  }

  seekLast(): void {
    this.#go(this.#table.leafCount - 1, Arrival.last)
  }

  seek(keyspace: number, key: Uint8Array, sequence: number): void {
    const leaf = this.#table.fences.find(keyspace, key, 0, key.length, sequence)
    if (leaf < 0) return this.#go(this.#table.fences.firstLeafFrom(keyspace), Arrival.first)
    this.#aim(key, sequence)
    this.#go(leaf, Arrival.seek)
  }

  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void {
    const leaf = this.#table.fences.find(keyspace, key, 0, key.length, sequence)
    if (leaf < 0) return this.#go(this.#table.fences.firstLeafFrom(keyspace) - 1, Arrival.last)
    this.#aim(key, sequence)
    this.#go(leaf, Arrival.seekBefore)
  }

  next(): void {
    if (this.#index + 1 < this.#count) this.#load(this.#index + 1)
    else this.#go(this.#held + 1, Arrival.first)
  }

  prev(): void {
    if (this.#index > 0) this.#load(this.#index - 1)
    else this.#go(this.#held - 1, Arrival.last)
  }

  supply(block: Uint8Array): void {
    this.need = undefined
    this.#held = this.#leaf
    this.#block = block
    this.#count = leafCount(block, 0)
    this.#offsetsAt = leafOffsetsAt(block, 0)
    this.#isWide = (block[0]! & LeafFlag.wide) !== 0
    this.#isUniform = (block[0]! & LeafFlag.uniform) !== 0
    this.#entryFlags = block[1]!
    this.keyspace = leafKeyspace(block, 0)
    const prefixLength = (this.#prefixLength = leafPrefixLength(block, 0))
    const prefixAt = this.#offsetsAt + (this.#isWide ? 4 : 2) * (this.#count + 1)
    if (prefixLength > this.keyBytes.length) this.keyBytes = new Uint8Array(prefixLength * 2)
    for (let i = 0; i < prefixLength; i++) this.keyBytes[i] = block[prefixAt + i]!
    this.valueBytes = block
    this.#arrive()
  }

  /** The key is copied: it may be gone when the leaf arrives. */
  #aim(key: Uint8Array, sequence: number): void {
    this.#target = key.slice()
    this.#targetSequence = sequence
  }

  /** To a leaf, which may be the one held, or beyond either end. */
  #go(leaf: number, arrival: Arrival): void {
    this.#arrival = arrival
    if (leaf < 0 || leaf >= this.#table.leafCount) {
      this.state = CursorState.atEnd
      this.need = undefined
    } else if (leaf === this.#held) {
      this.need = undefined
      this.#arrive()
    } else {
      this.#leaf = leaf
      this.need = this.#table.leafNeed(leaf)
      this.state = CursorState.needsBlock
    }
  }

  #arrive(): void {
    switch (this.#arrival) {
      case Arrival.first:
        return this.#load(0)
      case Arrival.last:
        return this.#load(this.#count - 1)
      case Arrival.seek: {
        const index = this.#lowerBound()
        return index < this.#count ? this.#load(index) : this.#go(this.#held + 1, Arrival.first)
      }
      case Arrival.seekBefore: {
        const index = this.#lowerBound()
        return index > 0 ? this.#load(index - 1) : this.#go(this.#held - 1, Arrival.last)
      }
    }
  }

  /** The first entry of the held leaf at or after the target. */
  #lowerBound(): number {
    const target = this.#target
    let index = lowerBoundKey(this.#block, 0, target, 0, target.length)
    // Versions of the key follow one another, newest first.
    for (; index < this.#count; index++) {
      this.#load(index)
      if (this.sequence <= this.#targetSequence || compareRanges(this.keyBytes, 0, this.keyEnd, target, 0, target.length) !== 0) break
    }
    return index
  }

  /** Describes entry `index` of the held leaf. */
  #load(index: number): void {
    this.#index = index
    const block = this.#block
    let at = leafOffset(block, this.#offsetsAt, this.#isWide, index)
    const end = leafOffset(block, this.#offsetsAt, this.#isWide, index + 1)
    const flags = this.#isUniform ? this.#entryFlags : block[at++]!
    let length = block[at++]!
    if (length >= 0x80) {
      length = readVarint(block, at - 1, end)
      at = varintEnd()
    }
    let keyEnd = this.#prefixLength
    if (keyEnd + length > this.keyBytes.length) {
      const larger = new Uint8Array((keyEnd + length) * 2)
      larger.set(this.keyBytes.subarray(0, keyEnd))
      this.keyBytes = larger
    }
    const key = this.keyBytes
    for (const suffixEnd = at + length; at < suffixEnd; at++) key[keyEnd++] = block[at]!
    this.keyEnd = keyEnd
    let sequence = 0
    let expiresAt = 0
    if ((flags & EntryFlag.sequence) !== 0) {
      sequence = readVarint(block, at, end)
      at = varintEnd()
    }
    if ((flags & EntryFlag.expiry) !== 0) {
      expiresAt = readVarint(block, at, end)
      at = varintEnd()
    }
    this.sequence = sequence
    this.expiresAt = expiresAt
    this.kind = flags & entryKindMask
    this.isPointer = (flags & EntryFlag.pointer) !== 0
    this.valueStart = at
    this.valueEnd = end
    this.state = CursorState.atEntry
  }
}
