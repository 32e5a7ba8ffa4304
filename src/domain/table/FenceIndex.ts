/**
 * The level above the leaves, in memory: where each leaf lies, and which leaf a key belongs to. About 24 bytes per leaf, no objects.
 *
 * Per keyspace (a *run* of leaves) the prefix that all fences share is set aside and the next four bytes of each fence stand as a number in `#numbers`; a radix table
 * over the numbers' top bits narrows a search to one or two leaves where keys are spread evenly, and a binary search over the numbers does the rest. Only equal
 * numbers look at the fences' bytes.
 */
import { compareRanges } from "../keys/compareBytes.ts"

interface Run {
  readonly keyspace: number
  readonly first: number
  /** Exclusive. */
  readonly end: number
  /** Shared by all fences of the run but the first, which is empty. Counts bytes of `#arena` at `prefixAt`. */
  readonly prefixAt: number
  readonly prefixLength: number
  /** `radix[number >>> shift]` = leaves from `first` whose number is below; undefined for small runs. */
  readonly radix: Uint32Array | undefined
  readonly shift: number
}

const radixLeavesMin = 64
const radixBitsMax = 18

export class FenceIndex {
  leafCount = 0
  /** Offset of each leaf; one more, the end of the last. */
  readonly #offsets: Float64Array | Uint32Array
  readonly #sums: Uint32Array
  /** Undefined while no leaf is compressed. */
  #rawLengths: Uint32Array | undefined = undefined
  #codecs: Uint8Array | undefined = undefined
  readonly #numbers: Uint32Array
  #arena = new Uint8Array(1024)
  /** Fence i = arena[fenceAt[i], fenceAt[i + 1]). */
  readonly #fenceAt: Uint32Array
  /** -1: before all versions of its key. Undefined while no fence has a sequence. */
  #sequences: Float64Array | undefined = undefined
  readonly #runs: Array<Run> = []
  #runKeyspace = -1
  #runFirst = 0

  /** For exactly `leafCount` leaves that lie below `fileBytes`: call `add` for each in order, then `finish`. */
  constructor(leafCount: number, fileBytes: number) {
    this.#offsets = fileBytes < 2 ** 32 ? new Uint32Array(leafCount + 1) : new Float64Array(leafCount + 1)
    this.#sums = new Uint32Array(leafCount)
    this.#numbers = new Uint32Array(leafCount)
    this.#fenceAt = new Uint32Array(leafCount + 1)
  }

  /** False when the leaf does not follow its predecessor in file or order. */
  add(
    keyspace: number,
    fence: Uint8Array,
    fenceLength: number,
    sequence: number,
    offset: number,
    storedLength: number,
    rawLength: number,
    codec: number,
    sum: number
  ): boolean {
    const leaf = this.leafCount
    if (leaf > 0 && this.#offsets[leaf] !== offset) return false
    if (keyspace !== this.#runKeyspace) {
      if (keyspace < this.#runKeyspace || fenceLength !== 0) return false
      this.#closeRun()
      this.#runKeyspace = keyspace
      this.#runFirst = leaf
    } else {
      const d = compareRanges(this.#arena, this.#fenceAt[leaf - 1]!, this.#fenceAt[leaf]!, fence, 0, fenceLength)
      // Fences of one key differ by sequence only, which descends; a fence without one stands before them.
      if (d > 0 || (d === 0 && (sequence < 0 || (this.fenceSequence(leaf - 1) >= 0 && this.fenceSequence(leaf - 1) <= sequence)))) return false
    }
    const at = this.#fenceAt[leaf]!
    if (at + fenceLength > this.#arena.length) {
      const larger = new Uint8Array((at + fenceLength) * 2)
      larger.set(this.#arena)
      this.#arena = larger
    }
    for (let i = 0; i < fenceLength; i++) this.#arena[at + i] = fence[i]!
    this.#fenceAt[leaf + 1] = at + fenceLength
    if (sequence >= 0) (this.#sequences ??= new Float64Array(this.#sums.length).fill(-1))[leaf] = sequence
    if (codec !== 0) {
      this.#rawLengths ??= new Uint32Array(this.#sums.length)
      this.#codecs ??= new Uint8Array(this.#sums.length)
      this.#rawLengths[leaf] = rawLength
      this.#codecs[leaf] = codec
    }
    this.#offsets[leaf] = offset
    this.#offsets[leaf + 1] = offset + storedLength
    this.#sums[leaf] = sum
    this.leafCount = leaf + 1
    return true
  }

  finish(): void {
    this.#closeRun()
    this.#arena = this.#arena.slice(0, this.#fenceAt[this.leafCount])
  }

  #closeRun(): void {
    const first = this.#runFirst
    const end = this.leafCount
    if (first === end) return
    const arena = this.#arena
    // The first fence is empty: the prefix is that of the second and the last.
    let prefixLength = 0
    const prefixAt = this.#fenceAt[first + 1]!
    if (end - first > 1) {
      const n = Math.min(this.#fenceAt[first + 2]! - prefixAt, this.#fenceAt[end]! - this.#fenceAt[end - 1]!)
      while (prefixLength < n && arena[prefixAt + prefixLength] === arena[this.#fenceAt[end - 1]! + prefixLength]) prefixLength++
    }
    for (let leaf = first + 1; leaf < end; leaf++)
      this.#numbers[leaf] = numberAt(arena, this.#fenceAt[leaf]! + prefixLength, this.#fenceAt[leaf + 1]!)
    let radix: Uint32Array | undefined
    let shift = 32
    if (end - first >= radixLeavesMin) {
      shift = 32 - Math.min(radixBitsMax, Math.ceil(Math.log2(end - first)))
      radix = new Uint32Array(2 ** (32 - shift) + 1)
      let leaf = first
      for (let slot = 0; slot < radix.length; slot++) {
        while (leaf < end && this.#numbers[leaf]! < slot * 2 ** shift) leaf++
        radix[slot] = leaf
      }
    }
    this.#runs.push({ keyspace: this.#runKeyspace, first, end, prefixAt, prefixLength, radix, shift })
  }

  offset(leaf: number): number {
    return this.#offsets[leaf]!
  }

  storedLength(leaf: number): number {
    return this.#offsets[leaf + 1]! - this.#offsets[leaf]!
  }

  codec(leaf: number): number {
    return this.#codecs === undefined ? 0 : this.#codecs[leaf]!
  }

  rawLength(leaf: number): number {
    return this.#rawLengths === undefined || this.#codecs![leaf] === 0 ? this.storedLength(leaf) : this.#rawLengths[leaf]!
  }

  sum(leaf: number): number {
    return this.#sums[leaf]!
  }

  /** -1: the leaf's fence stands before all versions of its key. */
  fenceSequence(leaf: number): number {
    return this.#sequences === undefined ? -1 : this.#sequences[leaf]!
  }

  /** A view. */
  fence(leaf: number): Uint8Array {
    return this.#arena.subarray(this.#fenceAt[leaf], this.#fenceAt[leaf + 1])
  }

  keyspace(leaf: number): number {
    const run = this.#runs.find((candidate) => leaf < candidate.end)
    return run === undefined ? -1 : run.keyspace
  }

  /** Bytes of memory held. */
  get sizeBytes(): number {
    let bytes = this.#offsets.byteLength + this.#sums.byteLength + this.#numbers.byteLength + this.#arena.byteLength + this.#fenceAt.byteLength
    for (const extra of [this.#rawLengths, this.#codecs, this.#sequences, ...this.#runs.map((run) => run.radix)]) bytes += extra?.byteLength ?? 0
    return bytes
  }

  /** The only leaf in which the first entry at or after (key, sequence) of the keyspace can lie, unless it is the first of the next leaf; -1 when the table has no leaf of the keyspace. */
  find(keyspace: number, key: Uint8Array, start: number, end: number, sequence: number): number {
    const runs = this.#runs
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i]!
      if (run.keyspace === keyspace) return this.#findIn(run, key, start, end, sequence)
    }
    return -1
  }

  #findIn(run: Run, key: Uint8Array, start: number, end: number, sequence: number): number {
    const arena = this.#arena
    const prefixLength = run.prefixLength
    const length = end - start
    const n = prefixLength < length ? prefixLength : length
    for (let i = 0, at = run.prefixAt; i < n; i++, at++) {
      const d = key[start + i]! - arena[at]!
      if (d !== 0) return d < 0 ? run.first : run.end - 1
    }
    // A key that ends within the prefix gets the number 0 and is told from fences of that number by its bytes.
    const number = numberAt(key, start + prefixLength, end)
    let low = run.first
    let high = run.end
    if (run.radix !== undefined) {
      const slot = number >>> run.shift
      low = run.radix[slot]!
      high = run.radix[slot + 1]!
    }
    // The first leaf whose fence lies after the key; its predecessor is the answer.
    const numbers = this.#numbers
    while (low < high) {
      const middle = (low + high) >>> 1
      const fence = numbers[middle]!
      if (fence < number || (fence === number && this.#isAtOrBefore(middle, key, start, end, sequence))) low = middle + 1
      else high = middle
    }
    return low === run.first ? low : low - 1
  }

  #isAtOrBefore(leaf: number, key: Uint8Array, start: number, end: number, sequence: number): boolean {
    const d = compareRanges(this.#arena, this.#fenceAt[leaf]!, this.#fenceAt[leaf + 1]!, key, start, end)
    if (d !== 0) return d < 0
    const fenceSequence = this.fenceSequence(leaf)
    return fenceSequence < 0 || fenceSequence >= sequence
  }

  /** True when versions of this key go on from the leaf before into `leaf`. */
  continues(leaf: number, key: Uint8Array, start: number, end: number): boolean {
    return (
      leaf < this.leafCount &&
      this.fenceSequence(leaf) >= 0 &&
      compareRanges(this.#arena, this.#fenceAt[leaf]!, this.#fenceAt[leaf + 1]!, key, start, end) === 0
    )
  }

  /** The first leaf of a keyspace at or above `keyspace`; `leafCount` when there is none. */
  firstLeafFrom(keyspace: number): number {
    for (const run of this.#runs) if (run.keyspace >= keyspace) return run.first
    return this.leafCount
  }
}

/** The next four bytes as a number in their order; missing ones count as zero. */
const numberAt = (bytes: Uint8Array, at: number, end: number): number => {
  if (end - at >= 4) return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  let number = 0
  for (let i = 0; i < 4; i++) number = (number << 8) | (at + i < end ? bytes[at + i]! : 0)
  return number >>> 0
}
