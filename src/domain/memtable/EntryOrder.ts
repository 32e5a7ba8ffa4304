import { Kind } from "../keys/kinds.ts"
import { headerWords, type MemtableArena } from "./MemtableArena.ts"
import { sortEntries } from "./sortEntries.ts"

/** A run is merged with the older one before it until that one is more than so many times larger. */
const runRatio = 4

/**
 * The order of a memtable's point entries, made when it is asked for: an insert pays nothing.
 *
 * What was inserted since the last time is sorted into a run, and runs are merged so that each is more than four times larger than the next:
 * there are at most ten of them in a memtable of a million entries, and an entry is merged as often as a logarithm of their number. Runs never
 * change: whoever holds them goes on over what there was.
 */
export class EntryOrder {
  readonly #arena: MemtableArena
  /** Oldest, and largest, first. */
  #runs: ReadonlyArray<Uint32Array> = []
  #scannedWords = headerWords
  #sortedCount = 0

  constructor(arena: MemtableArena) {
    this.#arena = arena
  }

  /** All point entries in internal order, as few sorted runs of entry offsets; none is empty. */
  runs(): ReadonlyArray<Uint32Array> {
    if (this.#sortedCount < this.#arena.entryCount) this.#absorb()
    return this.#runs
  }

  get memoryBytes(): number {
    return this.#sortedCount * 4
  }

  #absorb(): void {
    const arena = this.#arena
    const { entryCount, usedWords } = arena
    let run = new Uint32Array(entryCount - this.#sortedCount)
    let count = 0
    for (let entry = this.#scannedWords; entry < usedWords; entry = arena.following(entry)) {
      if (arena.kindOf(entry) !== Kind.rangeDelete) run[count++] = entry
    }
    this.#scannedWords = usedWords
    this.#sortedCount = entryCount
    sortEntries(arena, run)
    const runs = this.#runs.slice()
    for (let older = runs.at(-1); older !== undefined && older.length <= run.length * runRatio; older = runs.at(-1)) {
      run = this.#merge(older, run)
      runs.pop()
    }
    runs.push(run)
    this.#runs = runs
  }

  #merge(older: Uint32Array, newer: Uint32Array): Uint32Array<ArrayBuffer> {
    const arena = this.#arena
    const merged = new Uint32Array(older.length + newer.length)
    let o = 0
    let n = 0
    let at = 0
    while (o < older.length && n < newer.length) merged[at++] = arena.compare(older[o]!, newer[n]!) < 0 ? older[o++]! : newer[n++]!
    merged.set(older.subarray(o), at)
    merged.set(newer.subarray(n), at + older.length - o)
    return merged
  }
}
