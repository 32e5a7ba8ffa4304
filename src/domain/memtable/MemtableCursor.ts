import { type BlockNeed, CursorState, type EntryCursor } from "../EntryCursor.ts"
import { twoTo32, type MemtableArena } from "./MemtableArena.ts"

const none = -1

/**
 * Walks the entries that a memtable held when the cursor was made; it never waits for a block. Entries inserted later do not appear.
 *
 * **Details** The place is kept as one position per run: before it lies what is before the current entry, from it on what is not. Going forward
 * takes the least of the entries at the positions, going backward the greatest of those before them; so both directions mix freely.
 */
export class MemtableCursor implements EntryCursor {
  state: CursorState = CursorState.atEnd
  /** Always undefined. */
  need: BlockNeed | undefined = undefined
  keyspace = 0
  readonly keyBytes: Uint8Array
  keyStart = 0
  keyEnd = 0
  sequence = 0
  kind = 0
  expiresAt = 0
  readonly isPointer = false
  readonly valueBytes: Uint8Array
  valueStart = 0
  valueEnd = 0
  /** The offset of the current entry in the arena. */
  entry = 0

  readonly #arena: MemtableArena
  readonly #words: Int32Array
  readonly #runs: ReadonlyArray<Uint32Array>
  readonly #positions: Array<number> = []
  /** The run whose entry is shown. */
  #run = none
  /** The run that is next best after `#run` in the direction of the last move: while the entry of `#run` stays better, one comparison is enough. */
  #rival = none
  #forward = true

  /** `runs` as `EntryOrder.runs` returns them. */
  constructor(arena: MemtableArena, runs: ReadonlyArray<Uint32Array>) {
    this.#arena = arena
    this.#words = arena.words
    this.#runs = runs
    this.keyBytes = this.valueBytes = arena.bytes
    for (let r = 0; r < runs.length; r++) this.#positions.push(0)
  }

  seekFirst(): void {
    this.#positions.fill(0)
    this.#pickLeast()
  }

  seekLast(): void {
    for (let r = 0; r < this.#runs.length; r++) this.#positions[r] = this.#runs[r]!.length
    this.#pickGreatest()
  }

  seek(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#place(keyspace, key, sequence)
    this.#pickLeast()
  }

  seekBefore(keyspace: number, key: Uint8Array, sequence: number): void {
    this.#place(keyspace, key, sequence)
    this.#pickGreatest()
  }

  /** Does nothing unless the cursor is at an entry. */
  next(): void {
    if (this.state !== CursorState.atEntry) return
    const run = this.#runs[this.#run]!
    const position = this.#positions[this.#run]! + 1
    this.#positions[this.#run] = position
    if (this.#forward && position < run.length) {
      const entry = run[position]!
      const rival = this.#rival
      if (rival === none || this.#arena.compare(entry, this.#runs[rival]![this.#positions[rival]!]!) < 0) {
        this.#show(entry)
        return
      }
    }
    this.#pickLeast()
  }

  /** Does nothing unless the cursor is at an entry. */
  prev(): void {
    if (this.state !== CursorState.atEntry) return
    const position = this.#positions[this.#run]! - 1
    if (!this.#forward && position >= 0) {
      const entry = this.#runs[this.#run]![position]!
      const rival = this.#rival
      if (rival === none || this.#arena.compare(entry, this.#runs[rival]![this.#positions[rival]! - 1]!) > 0) {
        this.#positions[this.#run] = position
        this.#show(entry)
        return
      }
    }
    this.#pickGreatest()
  }

  /** Never asked for. */
  supply(_block: Uint8Array): void {}

  #place(keyspace: number, key: Uint8Array, sequence: number): void {
    const arena = this.#arena
    for (let r = 0; r < this.#runs.length; r++) {
      const run = this.#runs[r]!
      let from = 0
      let to = run.length
      while (from < to) {
        const middle = (from + to) >>> 1
        if (arena.compareTo(run[middle]!, keyspace, key, 0, key.length, sequence) < 0) from = middle + 1
        else to = middle
      }
      this.#positions[r] = from
    }
  }

  #pickLeast(): void {
    const arena = this.#arena
    const positions = this.#positions
    let best = 0
    let bestRun = none
    let rival = 0
    let rivalRun = none
    for (let r = 0; r < positions.length; r++) {
      const run = this.#runs[r]!
      const position = positions[r]!
      if (position === run.length) continue
      const entry = run[position]!
      if (bestRun === none || arena.compare(entry, best) < 0) {
        rival = best
        rivalRun = bestRun
        best = entry
        bestRun = r
      } else if (rivalRun === none || arena.compare(entry, rival) < 0) {
        rival = entry
        rivalRun = r
      }
    }
    this.#forward = true
    this.#settle(best, bestRun, rivalRun)
  }

  #pickGreatest(): void {
    const arena = this.#arena
    const positions = this.#positions
    let best = 0
    let bestRun = none
    let rival = 0
    let rivalRun = none
    for (let r = 0; r < positions.length; r++) {
      const position = positions[r]!
      if (position === 0) continue
      const entry = this.#runs[r]![position - 1]!
      if (bestRun === none || arena.compare(entry, best) > 0) {
        rival = best
        rivalRun = bestRun
        best = entry
        bestRun = r
      } else if (rivalRun === none || arena.compare(entry, rival) > 0) {
        rival = entry
        rivalRun = r
      }
    }
    this.#forward = false
    if (bestRun !== none) positions[bestRun]!--
    this.#settle(best, bestRun, rivalRun)
  }

  #settle(entry: number, run: number, rival: number): void {
    this.#run = run
    this.#rival = rival
    if (run === none) this.state = CursorState.atEnd
    else this.#show(entry)
  }

  #show(entry: number): void {
    const words = this.#words
    this.state = CursorState.atEntry
    this.entry = entry
    this.keyspace = words[entry + 1]! >>> 0
    this.sequence = words[entry + 3]! * twoTo32 + (words[entry + 2]! >>> 0)
    const arena = this.#arena
    this.kind = arena.kindOf(entry)
    this.expiresAt = arena.expiresAtOf(entry)
    const keyStart = arena.keyStartOf(entry)
    const keyEnd = keyStart + arena.keyLengthOf(entry)
    this.keyStart = keyStart
    this.keyEnd = keyEnd
    this.valueStart = keyEnd
    this.valueEnd = keyEnd + arena.valueLengthOf(entry)
  }
}
