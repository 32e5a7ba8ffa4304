/**
 * Range tombstones, cut into fragments that do not overlap, so that one binary search answers "what deletes this key?".
 *
 * ```
 * given      [a ───────── m) 5            fragments   [a, d) 5   [d, m) 9 5   [m, q) 9
 *                 [d ───────── q) 9
 * ```
 *
 * A tombstone of sequence s hides versions with a sequence strictly below s (and so never the put of its own transaction).
 * Published model: RocksDB and Pebble, "fragmented range tombstones". Stored form: docs/format/table.md, "Tombstone block".
 */
import { Damage } from "../failures.ts"
import type { RangeTombstone } from "../EntryCursor.ts"
import { compareBytes, compareRanges } from "../keys/compareBytes.ts"

/** One piece of key space and all tombstones over it: `sequences` strictly descending, never empty. */
export interface TombstoneFragment {
  readonly keyspace: number
  readonly start: Uint8Array
  /** Exclusive. */
  readonly end: Uint8Array
  readonly sequences: ReadonlyArray<number>
}

/** A place in key space to cut at: before `key` of `keyspace` (an empty key: before the whole keyspace). */
export interface TombstoneBound {
  readonly keyspace: number
  readonly key: Uint8Array
}

const byStart = (a: RangeTombstone, b: RangeTombstone): number => a.keyspace - b.keyspace || compareBytes(a.start, b.start)

const sameSequences = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Adds a fragment; one that continues its predecessor with the same sequences prolongs it. */
const push = (into: Array<TombstoneFragment>, fragment: TombstoneFragment): void => {
  const last = into[into.length - 1]
  if (
    last !== undefined &&
    last.keyspace === fragment.keyspace &&
    compareBytes(last.end, fragment.start) === 0 &&
    sameSequences(last.sequences, fragment.sequences)
  ) {
    into[into.length - 1] = { keyspace: last.keyspace, start: last.start, end: fragment.end, sequences: last.sequences }
  } else {
    into.push(fragment)
  }
}

/** `active` is ascending and may hold a sequence twice; the result is descending and unique. */
const descendingUnique = (active: ReadonlyArray<number>): Array<number> => {
  const out: Array<number> = []
  for (let i = active.length - 1; i >= 0; i--) if (active[i] !== active[i + 1]) out.push(active[i]!)
  return out
}

/** First position in ascending `active` that holds at least `sequence`. */
const lowerBound = (active: ReadonlyArray<number>, sequence: number): number => {
  let low = 0
  let high = active.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (active[middle]! < sequence) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Cuts tombstones, in any order and overlapping as they like, into sorted fragments. Empty and inverted ranges vanish. The byte arrays of the
 * result are those of the input, not copies.
 *
 * **Details** A sweep over starts and ends: n log n, plus the output, which is quadratic only where tombstones are nested in each other.
 */
export const fragment = (tombstones: Iterable<RangeTombstone>): Array<TombstoneFragment> => {
  const starts = Array.from(tombstones)
    .filter((t) => compareBytes(t.start, t.end) < 0)
    .sort(byStart)
  const ends = starts.slice().sort((a, b) => a.keyspace - b.keyspace || compareBytes(a.end, b.end))
  const out: Array<TombstoneFragment> = []
  const active: Array<number> = []
  let position: Uint8Array | undefined
  let s = 0
  for (let e = 0; e < ends.length;) {
    const closing = ends[e]!
    const opening = starts[s]
    // At the same key the end comes first: ranges are half open. Every start lies before its own end, so an end never finds its tombstone missing.
    const opens = opening !== undefined && opening.keyspace === closing.keyspace && compareBytes(opening.start, closing.end) < 0
    const edge: Uint8Array = opens ? opening.start : closing.end
    if (position !== undefined && active.length > 0 && compareBytes(position, edge) < 0) {
      push(out, { keyspace: closing.keyspace, start: position, end: edge, sequences: descendingUnique(active) })
    }
    if (opens) {
      active.splice(lowerBound(active, opening.sequence), 0, opening.sequence)
      s++
    } else {
      active.splice(lowerBound(active, closing.sequence), 1)
      e++
    }
    position = edge
  }
  return out
}

/** Takes fragments apart again, for handing several sources' fragments to `fragment` together. */
export const unfragment = (fragments: Iterable<TombstoneFragment>): Array<RangeTombstone> => {
  const out: Array<RangeTombstone> = []
  for (const f of fragments) {
    for (const sequence of f.sequences) out.push({ keyspace: f.keyspace, start: f.start, end: f.end, sequence })
  }
  return out
}

const fragmentHeaderBytes = 16
const noBytes = new Uint8Array(0)

/** Immutable, searchable fragments: typed arrays and one byte arena, no object per fragment. */
export class FragmentedTombstones {
  /** How many fragments there are. */
  readonly count: number
  readonly isEmpty: boolean
  readonly #keyspaces: Uint32Array
  /** Start of fragment i = arena[edges[2i], edges[2i+1]), its end = arena[edges[2i+1], edges[2i+2]). */
  readonly #edges: Uint32Array
  readonly #arena: Uint8Array
  /** Sequences of fragment i = sequences[sequenceAt[i] .. sequenceAt[i+1]). */
  readonly #sequenceAt: Uint32Array
  readonly #sequences: Float64Array

  /** `fragments` as `fragment` returns them: sorted, not overlapping. The bytes are copied. */
  constructor(fragments: ReadonlyArray<TombstoneFragment>) {
    let arenaBytes = 0
    let sequenceCount = 0
    for (const f of fragments) {
      arenaBytes += f.start.length + f.end.length
      sequenceCount += f.sequences.length
    }
    const count = fragments.length
    this.count = count
    this.isEmpty = count === 0
    this.#keyspaces = new Uint32Array(count)
    this.#edges = new Uint32Array(2 * count + 1)
    this.#arena = arenaBytes === 0 ? noBytes : new Uint8Array(arenaBytes)
    this.#sequenceAt = new Uint32Array(count + 1)
    this.#sequences = new Float64Array(sequenceCount)
    let at = 0
    let sequenceAt = 0
    for (let i = 0; i < count; i++) {
      const f = fragments[i]!
      this.#keyspaces[i] = f.keyspace
      this.#arena.set(f.start, at)
      at += f.start.length
      this.#edges[2 * i + 1] = at
      this.#arena.set(f.end, at)
      at += f.end.length
      this.#edges[2 * i + 2] = at
      for (const sequence of f.sequences) this.#sequences[sequenceAt++] = sequence
      this.#sequenceAt[i + 1] = sequenceAt
    }
  }

  static readonly empty: FragmentedTombstones = new FragmentedTombstones([])

  /** From raw tombstones, overlapping and unsorted. */
  static from(tombstones: Iterable<RangeTombstone>): FragmentedTombstones {
    const fragments = fragment(tombstones)
    return fragments.length === 0 ? FragmentedTombstones.empty : new FragmentedTombstones(fragments)
  }

  /** Several sources as one, for example the tables of a compaction. */
  static merge(sources: Iterable<FragmentedTombstones>): FragmentedTombstones {
    const all: Array<RangeTombstone> = []
    for (const source of sources) for (const t of unfragment(source.fragments())) all.push(t)
    return FragmentedTombstones.from(all)
  }

  get sizeBytes(): number {
    return this.#keyspaces.byteLength + this.#edges.byteLength + this.#arena.byteLength + this.#sequenceAt.byteLength + this.#sequences.byteLength
  }

  /**
   * The highest sequence ≤ `snapshot` of a tombstone over the key, or 0. A version of the key is deleted for that snapshot iff its own sequence is
   * strictly below the answer.
   */
  covering(keyspace: number, bytes: Uint8Array, start: number, end: number, snapshot: number): number {
    if (this.isEmpty) return 0
    const index = this.#last(keyspace, bytes, start, end)
    if (index < 0 || this.#keyspaces[index] !== keyspace) return 0
    if (compareRanges(bytes, start, end, this.#arena, this.#edges[2 * index + 1]!, this.#edges[2 * index + 2]!) >= 0) return 0
    let low = this.#sequenceAt[index]!
    const stop = this.#sequenceAt[index + 1]!
    let high = stop
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sequences[middle]! > snapshot) low = middle + 1
      else high = middle
    }
    return low < stop ? this.#sequences[low]! : 0
  }

  /** The last fragment that starts at or before the key, or -1. */
  #last(keyspace: number, bytes: Uint8Array, start: number, end: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const d =
        this.#keyspaces[middle]! - keyspace || compareRanges(this.#arena, this.#edges[2 * middle]!, this.#edges[2 * middle + 1]!, bytes, start, end)
      if (d <= 0) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Fragment `index` as an object; its bytes are views into the arena. */
  at(index: number): TombstoneFragment {
    return {
      keyspace: this.#keyspaces[index]!,
      start: this.#arena.subarray(this.#edges[2 * index]!, this.#edges[2 * index + 1]!),
      end: this.#arena.subarray(this.#edges[2 * index + 1]!, this.#edges[2 * index + 2]!),
      sequences: Array.from(this.#sequences.subarray(this.#sequenceAt[index]!, this.#sequenceAt[index + 1]!))
    }
  }

  *fragments(): Generator<TombstoneFragment, void, undefined> {
    for (let i = 0; i < this.count; i++) yield this.at(i)
  }

  /** Highest sequence of all, 0 when empty. */
  get largestSequence(): number {
    let largest = 0
    for (const sequence of this.#sequences) if (sequence > largest) largest = sequence
    return largest
  }

  /** Lowest sequence of all, 0 when empty. */
  get smallestSequence(): number {
    let smallest = this.isEmpty ? 0 : Number.MAX_SAFE_INTEGER
    for (const sequence of this.#sequences) if (sequence < smallest) smallest = sequence
    return smallest
  }

  /** What lies in [from, to); `undefined` is unbounded. Where a table is cut at a key, each side gets its own part. */
  clip(from: TombstoneBound | undefined, to: TombstoneBound | undefined): FragmentedTombstones {
    const out: Array<TombstoneFragment> = []
    for (const f of this.fragments()) {
      let { start, end } = f
      if (from !== undefined) {
        if (f.keyspace < from.keyspace) continue
        if (f.keyspace === from.keyspace && compareBytes(start, from.key) < 0) start = from.key
      }
      if (to !== undefined) {
        if (f.keyspace > to.keyspace) continue
        if (f.keyspace === to.keyspace && compareBytes(end, to.key) > 0) end = to.key
      }
      if (compareBytes(start, end) < 0) out.push({ keyspace: f.keyspace, start, end, sequences: f.sequences })
    }
    return out.length === 0 ? FragmentedTombstones.empty : new FragmentedTombstones(out)
  }

  /** The content of a tombstone block (fixed widths: there are few, and a dump is readable). */
  encode(): Uint8Array {
    const out = new Uint8Array(4 + this.count * fragmentHeaderBytes + this.#arena.length + 8 * this.#sequences.length)
    const view = new DataView(out.buffer)
    view.setUint32(0, this.count, true)
    let at = 4
    for (const f of this.fragments()) {
      view.setUint32(at, f.keyspace, true)
      view.setUint32(at + 4, f.start.length, true)
      view.setUint32(at + 8, f.end.length, true)
      view.setUint32(at + 12, f.sequences.length, true)
      at += fragmentHeaderBytes
      out.set(f.start, at)
      at += f.start.length
      out.set(f.end, at)
      at += f.end.length
      for (const sequence of f.sequences) {
        view.setBigUint64(at, BigInt(sequence), true)
        at += 8
      }
    }
    return out
  }

  /**
   * Reads a tombstone block whose sum was verified. Throws `Damage` "Malformed" (naming `file` and the block's `offset`) for anything `encode`
   * would not have written: lengths beyond the block, fragments out of order, sequences not descending or above 2^53 - 1.
   */
  static decode(bytes: Uint8Array, file: string, offset: number): FragmentedTombstones {
    const malformed = (detail: string): Damage => new Damage(file, offset, "Malformed", `tombstones: ${detail}`)
    if (bytes.length < 4) throw malformed("no count")
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const count = view.getUint32(0, true)
    const fragments: Array<TombstoneFragment> = []
    let at = 4
    let last: TombstoneFragment | undefined
    for (let i = 0; i < count; i++) {
      if (bytes.length - at < fragmentHeaderBytes) throw malformed("cut short")
      const keyspace = view.getUint32(at, true)
      const startLength = view.getUint32(at + 4, true)
      const endLength = view.getUint32(at + 8, true)
      const sequenceCount = view.getUint32(at + 12, true)
      at += fragmentHeaderBytes
      if (startLength + endLength + 8 * sequenceCount > bytes.length - at) throw malformed("cut short")
      if (sequenceCount === 0) throw malformed("a fragment without sequence")
      const start = bytes.subarray(at, at + startLength)
      const end = bytes.subarray(at + startLength, at + startLength + endLength)
      at += startLength + endLength
      if (compareBytes(start, end) >= 0) throw malformed("an empty range")
      if (last !== undefined && (last.keyspace - keyspace || compareBytes(last.end, start)) > 0) throw malformed("out of order")
      const sequences: Array<number> = []
      let above = Number.MAX_SAFE_INTEGER + 1
      for (let s = 0; s < sequenceCount; s++) {
        const sequence = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
        if (sequence >= above) throw malformed("sequences out of order")
        sequences.push(sequence)
        above = sequence
        at += 8
      }
      last = { keyspace, start, end, sequences }
      fragments.push(last)
    }
    if (at !== bytes.length) throw malformed("bytes left over")
    return fragments.length === 0 ? FragmentedTombstones.empty : new FragmentedTombstones(fragments)
  }
}
