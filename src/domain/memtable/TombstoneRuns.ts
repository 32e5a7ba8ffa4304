import type { RangeTombstone } from "../EntryCursor.ts"
import { compareBytes, compareRanges } from "../keys/compareBytes.ts"
import { fragment, FragmentedTombstones } from "../table/RangeTombstones.ts"

/** So many are looked through one by one before a run is made of them. */
const recentCountMax = 16
/**
 * Tombstones nested in each other cut into a number of pieces that grows with the square of theirs: a run with more pieces than this is not
 * merged any further.
 */
const piecesMax = 1 << 16
/** Two views, an object, and the tombstone's part of a run: an estimate. */
const bytesPerTombstone = 400
const bytesPerPiece = 8

interface Run {
  readonly given: ReadonlyArray<RangeTombstone>
  readonly fragments: FragmentedTombstones
  readonly pieces: number
}

const covers = (t: RangeTombstone, keyspace: number, bytes: Uint8Array, start: number, end: number): boolean =>
  t.keyspace === keyspace &&
  compareRanges(t.start, 0, t.start.length, bytes, start, end) <= 0 &&
  compareRanges(t.end, 0, t.end.length, bytes, start, end) > 0

/**
 * The range tombstones of a memtable. Adding one only appends it; a question about them first turns the new ones into searchable fragments,
 * merged geometrically, so that range deletes and reads in turn cost a logarithm each.
 */
export class TombstoneRuns {
  /** Everything, in order of sequences. */
  readonly #all: Array<RangeTombstone> = []
  /** How many of `#all` are in runs. */
  #inRuns = 0
  #runs: Array<Run> = []
  #fragments: ReadonlyArray<FragmentedTombstones> | undefined = undefined
  #pieces = 0

  get memoryBytes(): number {
    return this.#all.length * bytesPerTombstone + this.#pieces * bytesPerPiece
  }

  /** Keeps the tombstone's arrays. Sequences must not descend. */
  add(tombstone: RangeTombstone): void {
    this.#all.push(tombstone)
    this.#fragments = undefined
  }

  /** The highest sequence ≤ `snapshot` of a tombstone over the key, or 0. */
  covering(keyspace: number, bytes: Uint8Array, start: number, end: number, snapshot: number): number {
    const all = this.#all
    if (all.length - this.#inRuns > recentCountMax) this.#absorb()
    // The newest first: the first one found is the highest, and higher than all in runs.
    for (let i = all.length - 1; i >= this.#inRuns; i--) {
      const t = all[i]!
      if (t.sequence <= snapshot && covers(t, keyspace, bytes, start, end)) return t.sequence
    }
    let highest = 0
    for (let i = 0; i < this.#runs.length; i++) {
      const sequence = this.#runs[i]!.fragments.covering(keyspace, bytes, start, end, snapshot)
      if (sequence > highest) highest = sequence
    }
    return highest
  }

  /** The highest sequence > `above` of a tombstone that overlaps [start, end), or 0. */
  newestOverlapping(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number): number {
    const all = this.#all
    for (let i = all.length - 1; i >= 0 && all[i]!.sequence > above; i--) {
      const t = all[i]!
      if (t.keyspace === keyspace && compareBytes(t.end, start) > 0 && (end === undefined || compareBytes(t.start, end) < 0)) return t.sequence
    }
    return 0
  }

  /** All tombstones as searchable sets; those added later do not appear in what was returned. */
  fragments(): ReadonlyArray<FragmentedTombstones> {
    if (this.#fragments !== undefined) return this.#fragments
    const all = this.#all
    if (all.length - this.#inRuns > recentCountMax) this.#absorb()
    const fragments = this.#runs.map((run) => run.fragments)
    if (all.length > this.#inRuns) fragments.push(FragmentedTombstones.from(all.slice(this.#inRuns)))
    this.#fragments = fragments
    return fragments
  }

  #absorb(): void {
    const runs = this.#runs
    let given: ReadonlyArray<RangeTombstone> = this.#all.slice(this.#inRuns)
    this.#inRuns = this.#all.length
    for (let older = runs.at(-1); older !== undefined && older.pieces <= piecesMax && older.given.length <= given.length * 2; older = runs.at(-1)) {
      given = older.given.concat(given)
      runs.pop()
    }
    const pieces = fragment(given)
    let count = 0
    for (const piece of pieces) count += piece.sequences.length
    runs.push({ given, fragments: new FragmentedTombstones(pieces), pieces: count })
    this.#pieces = runs.reduce((sum, run) => sum + run.pieces, 0)
  }
}
