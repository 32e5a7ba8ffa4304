import { CursorState } from "../../../src/domain/EntryCursor.ts"
import type { BlockNeed, EntryCursor } from "../../../src/domain/EntryCursor.ts"
import { compareInternal } from "../../../src/domain/keys/compareInternal.ts"

export interface Entry {
  readonly keyspace: number
  readonly key: Uint8Array
  readonly sequence: number
  readonly kind: number
  readonly expiresAt: number
  readonly value: Uint8Array
}

export const compareEntries = (a: Entry, b: Entry): number =>
  compareInternal(a.keyspace, a.key, 0, a.key.length, a.sequence, b.keyspace, b.key, 0, b.key.length, b.sequence)

const none = new Uint8Array(0)

/** A sorted array as a cursor. With `missing` it asks for a block after each move that it says so of, like a table. The key lives in a scratch that every move overwrites. */
export class ArrayCursor implements EntryCursor {
  state: CursorState = CursorState.atEnd
  need: BlockNeed | undefined = undefined
  keyspace = 0
  keyBytes: Uint8Array = new Uint8Array(512)
  keyStart = 0
  keyEnd = 0
  sequence = 0
  kind = 0
  expiresAt = 0
  isPointer = false
  valueBytes: Uint8Array = none
  valueStart = 0
  valueEnd = 0
  readonly entries: ReadonlyArray<Entry>
  readonly missing: (() => boolean) | undefined
  moves = 0
  #at = 0

  constructor(entries: ReadonlyArray<Entry>, missing?: () => boolean) {
    this.entries = entries
    this.missing = missing
  }

  #go(at: number): void {
    this.moves++
    this.#at = at
    if (this.missing?.()) {
      this.state = CursorState.needsBlock
      this.need = { tableId: 1, leaf: at, offset: at, storedLength: 0, rawLength: 0, codec: 0, sum: 0 }
      this.keyEnd = 0
      this.keyBytes.fill(0xee)
      return
    }
    this.#load()
  }

  #load(): void {
    this.need = undefined
    const entry = this.entries[this.#at]
    if (entry === undefined) {
      this.state = CursorState.atEnd
      return
    }
    this.state = CursorState.atEntry
    this.keyspace = entry.keyspace
    this.keyBytes.fill(0xee)
    this.keyBytes.set(entry.key, 3)
    this.keyStart = 3
    this.keyEnd = 3 + entry.key.length
    this.sequence = entry.sequence
    this.kind = entry.kind
    this.expiresAt = entry.expiresAt
    this.valueBytes = entry.value
    this.valueStart = 0
    this.valueEnd = entry.value.length
  }

  #lowerBound(keyspace: number, key: Uint8Array, sequence: number): number {
    const at = this.entries.findIndex(
      (e) => compareInternal(e.keyspace, e.key, 0, e.key.length, e.sequence, keyspace, key, 0, key.length, sequence) >= 0
    )
    return at < 0 ? this.entries.length : at
  }

  seekFirst(): void {
    this.#go(0)
  }
  seekLast(): void {
    this.#go(this.entries.length - 1)
  }
  seek(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#go(this.#lowerBound(keyspace, key, sequence))
  }
  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#go(this.#lowerBound(keyspace, key, sequence) - 1)
  }
  next(): void {
    if (this.state !== CursorState.atEntry) throw new Error("next is only valid at an entry")
    this.#go(this.#at + 1)
  }
  prev(): void {
    if (this.state !== CursorState.atEntry) throw new Error("prev is only valid at an entry")
    this.#go(this.#at - 1)
  }
  supply(): void {
    if (this.state !== CursorState.needsBlock) throw new Error("supply is only valid where a block is missing")
    if (this.missing?.()) return
    this.#load()
  }
}

/** A seeded generator (mulberry32): every random test prints its seed. */
export const random = (seed: number): ((below: number) => number) => {
  let a = seed >>> 0
  return (below) => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}
