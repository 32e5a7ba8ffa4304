import { CursorState } from "../EntryCursor.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import { compareInternal } from "../keys/compareInternal.ts"
import { CurrentEntry } from "./CurrentEntry.ts"

const none = new Uint8Array(0)

/** What a child does as soon as it is settled after a change of direction (see `#turn`). */
const Turn = { none: 0, skipEqual: 1, stepBack: 2 } as const

interface Child {
  readonly cursor: EntryCursor
  /** Its place among the sources: a lower rank is the newer source and comes first among equal internal keys. */
  readonly rank: number
  turn: number
}

const compareChildren = (a: Child, b: Child): number => {
  const x = a.cursor
  const y = b.cursor
  const d = compareInternal(x.keyspace, x.keyBytes, x.keyStart, x.keyEnd, x.sequence, y.keyspace, y.keyBytes, y.keyStart, y.keyEnd, y.sequence)
  return d !== 0 ? d : a.rank - b.rank
}

/**
 * Several sources as one, in internal order, forward and backward.
 *
 * The live children are kept in an array sorted by their current entry (descending while going backward), the current one first. A move advances that child, compares
 * it with the second, and only when it falls behind finds its new place by binary search: one comparison per entry while one source is ahead (runs are long in
 * practice), log2(k) otherwise, none when a single source is left. For the few sources of an engine (1 to 30) that beats a heap, which compares twice per level.
 *
 * A child that misses a block makes the whole cursor `needsBlock`; `supply` goes to that child and the move goes on where it stood.
 *
 * **Gotchas** The children belong to the merge: whoever moves one breaks it. A block handed to `supply` must stay unchanged while the cursor is used.
 */
export class MergeCursor extends CurrentEntry implements EntryCursor {
  readonly #children: ReadonlyArray<Child>
  /** Children at an entry, sorted in the direction of travel; the first `#liveCount` places count. */
  readonly #live: Array<Child> = []
  #liveCount = 0
  #backward = false
  /** The child whose block is awaited. */
  #waiting: Child | undefined = undefined
  /** While positioning all children: the index of the child to be settled next; -1 during a plain move of the first child. */
  #settling = -1
  /** The entry on which the direction changed, copied. */
  #turnKeyspace = 0
  #turnKey: Uint8Array = none
  #turnSequence = 0

  /** `sources` from the newest to the oldest. */
  constructor(sources: ReadonlyArray<EntryCursor>) {
    super()
    this.#children = sources.map((cursor, rank) => ({ cursor, rank, turn: Turn.none }))
  }

  seekFirst(): void {
    this.#backward = false
    for (const child of this.#children) child.cursor.seekFirst()
    this.#settleAll()
  }

  seekLast(): void {
    this.#backward = true
    for (const child of this.#children) child.cursor.seekLast()
    this.#settleAll()
  }

  seek(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#backward = false
    for (const child of this.#children) child.cursor.seek(keyspace, key, sequence)
    this.#settleAll()
  }

  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#backward = true
    for (const child of this.#children) child.cursor.seekBefore(keyspace, key, sequence)
    this.#settleAll()
  }

  /** Past the current entry; only valid at an entry. */
  next(): void {
    if (this.#backward) return this.#turn(false)
    const first = this.#live[0]!
    first.cursor.next()
    this.#place(first)
  }

  /** Before the current entry; only valid at an entry. */
  prev(): void {
    if (!this.#backward) return this.#turn(true)
    const first = this.#live[0]!
    first.cursor.prev()
    this.#place(first)
  }

  supply(block: Uint8Array): void {
    const waiting = this.#waiting!
    waiting.cursor.supply(block)
    if (this.#settling < 0) this.#place(waiting)
    else this.#settle()
  }

  /**
   * The other children stand on the far side of the current entry: bring them to the near side. With E the current entry, going forward each must stand on the first
   * entry after E, going backward on the last one before E. An equal internal key (both elided to 0) in a newer source stands before E, in an older one after it.
   */
  #turn(backward: boolean): void {
    const first = this.#live[0]!
    this.#backward = backward
    this.#turnKeyspace = this.keyspace
    this.#turnKey = this.keyBytes.slice(this.keyStart, this.keyEnd)
    this.#turnSequence = this.sequence
    for (const child of this.#children) {
      if (child === first) {
        if (backward) child.cursor.prev()
        else child.cursor.next()
      } else if (backward && child.rank > first.rank) {
        child.cursor.seekBefore(this.#turnKeyspace, this.#turnKey, this.#turnSequence)
      } else {
        child.cursor.seek(this.#turnKeyspace, this.#turnKey, this.#turnSequence)
        if (child.rank < first.rank) child.turn = backward ? Turn.stepBack : Turn.skipEqual
      }
    }
    this.#settle()
  }

  #settleAll(): void {
    for (const child of this.#children) child.turn = Turn.none
    this.#settling = 0
    this.#settle()
  }

  /** Waits for one child after the other, then sorts them. */
  #settle(): void {
    const children = this.#children
    if (this.#settling < 0) this.#settling = 0
    while (this.#settling < children.length) {
      const child = children[this.#settling]!
      if (child.cursor.state !== CursorState.needsBlock && child.turn !== Turn.none) this.#finishTurn(child)
      if (child.cursor.state === CursorState.needsBlock) return this.#wait(child)
      this.#settling++
    }
    this.#settling = -1
    this.#liveCount = 0
    for (const child of children) {
      if (child.cursor.state !== CursorState.atEntry) continue
      const place = this.#placeOf(child, 0, this.#liveCount)
      for (let i = this.#liveCount++; i > place; i--) this.#live[i] = this.#live[i - 1]!
      this.#live[place] = child
    }
    this.show(this.#liveCount === 0 ? undefined : this.#live[0]!.cursor)
  }

  #finishTurn(child: Child): void {
    const cursor = child.cursor
    const turn = child.turn
    child.turn = Turn.none
    const equal =
      cursor.state === CursorState.atEntry &&
      compareInternal(
        cursor.keyspace,
        cursor.keyBytes,
        cursor.keyStart,
        cursor.keyEnd,
        cursor.sequence,
        this.#turnKeyspace,
        this.#turnKey,
        0,
        this.#turnKey.length,
        this.#turnSequence
      ) === 0
    if (turn === Turn.skipEqual) {
      if (equal) cursor.next()
    } else if (!equal) {
      if (cursor.state === CursorState.atEntry) cursor.prev()
      else cursor.seekLast()
    }
  }

  #wait(child: Child): void {
    this.#waiting = child
    this.show(child.cursor)
  }

  /** The first child has moved: gives it its place again. */
  #place(first: Child): void {
    const state = first.cursor.state
    if (state === CursorState.needsBlock) return this.#wait(first)
    const live = this.#live
    const count = this.#liveCount
    if (state === CursorState.atEnd) {
      for (let i = 1; i < count; i++) live[i - 1] = live[i]!
      this.#liveCount = count - 1
    } else if (count > 1 && this.#isAfter(first, live[1]!)) {
      const place = this.#placeOf(first, 2, count)
      for (let i = 1; i < place; i++) live[i - 1] = live[i]!
      live[place - 1] = first
    }
    this.show(this.#liveCount === 0 ? undefined : live[0]!.cursor)
  }

  #isAfter(a: Child, b: Child): boolean {
    const d = compareChildren(a, b)
    return this.#backward ? d < 0 : d > 0
  }

  /** The first of the sorted places [low, high) that `child` is not after. */
  #placeOf(child: Child, low: number, high: number): number {
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isAfter(child, this.#live[middle]!)) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The sources as one cursor; a single source is its own merge. */
export const mergeCursors = (sources: ReadonlyArray<EntryCursor>): EntryCursor => (sources.length === 1 ? sources[0]! : new MergeCursor(sources))
