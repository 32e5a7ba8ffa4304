/**
 * Sorts entries of an arena into internal order, without a comparison per step.
 *
 * As many key bytes as 32 bits tell apart are packed with the entry's offset into one 64-bit word, and the words are sorted by the platform's
 * native numeric sort:
 *
 * ```
 * high half: key[depth], key[depth + 1], … as digits of a number | low half: entry offset
 * ```
 *
 * The digits have the radix that the group needs at that place: bytes that all keys share cost nothing, a decimal digit costs a factor of ten (so
 * nine of them fit), an arbitrary byte 256, and the end of a key is a digit below all bytes. Groups with equal numbers are refined from where the
 * digits ended. It is the multikey quicksort of Bentley and Sedgewick ("Fast algorithms for sorting and searching strings", 1997) with a native
 * sort per level. What is left equal are versions of one key, which are wanted newest first; offsets grow with sequences, so that is by
 * descending offset.
 */
import { compareRanges } from "../keys/compareBytes.ts"
import { twoTo32, type MemtableArena } from "./MemtableArena.ts"

/** Groups up to this size are sorted by comparing. */
const comparedCountMax = 12
/** Digits of one number at most. */
const digitsMax = 16
/** After so many keys it is looked at how many digits can fit at most: radixes only grow. */
const sampleCount = 64

/** Index of the low half of a 64-bit word among its two 32-bit halves: 0 on little-endian machines. */
const low = new Uint32Array(new BigUint64Array([1n]).buffer)[0]! ^ 1
const high = low ^ 1

class EntrySorter {
  readonly #arena: MemtableArena
  readonly #packed: BigUint64Array
  readonly #halves: Uint32Array
  /**
   * Groups still to be sorted, three numbers each: from, to, depth. A list, not recursion: keys that are prefixes of each other nest thousands
   * deep.
   */
  readonly #open: Array<number> = []
  /** Per digit of the group being sorted: least and greatest byte, and whether a key has ended. */
  readonly #least = new Int32Array(digitsMax)
  readonly #greatest = new Int32Array(digitsMax)
  readonly #ended = new Uint8Array(digitsMax)
  readonly #radixes = new Int32Array(digitsMax)

  constructor(arena: MemtableArena, entries: Uint32Array) {
    this.#arena = arena
    this.#packed = new BigUint64Array(entries.length)
    this.#halves = new Uint32Array(this.#packed.buffer)
    for (let i = 0; i < entries.length; i++) this.#halves[2 * i + low] = entries[i]!
  }

  sort(into: Uint32Array): void {
    const open = this.#open
    const halves = this.#halves
    const { words } = this.#arena
    for (let i = 0; i < into.length; i++) halves[2 * i + high] = words[halves[2 * i + low]! + 1]!
    this.#splitSorted(0, into.length, 0)
    while (open.length > 0) {
      const depth = open.pop()!
      const to = open.pop()!
      const from = open.pop()!
      this.#sortGroup(from, to, depth)
    }
    for (let i = 0; i < into.length; i++) into[i] = halves[2 * i + low]!
  }

  /**
   * Sorts a group by the numbers in its high halves, and leaves what is equal to be sorted from `depth`. Equal entries keep the order of their
   * offsets.
   */
  #splitSorted(from: number, to: number, depth: number): void {
    const halves = this.#halves
    this.#packed.subarray(from, to).sort()
    let start = from
    for (let i = from + 1; i <= to; i++) {
      if (i < to && halves[2 * i + high] === halves[2 * start + high]) continue
      if (i - start > comparedCountMax) this.#open.push(start, i, depth)
      else if (i - start > 1) this.#insertionSort(start, i, depth)
      start = i
    }
  }

  /** A group, in order of offsets, whose keys agree on their first `depth` bytes; a key may end there. */
  #sortGroup(from: number, to: number, depth: number): void {
    const arena = this.#arena
    const { bytes } = arena
    const halves = this.#halves
    const begin = depth + this.#sharedBytes(from, to, depth)
    const digits = this.#measure(from, to, begin)
    const least = this.#least
    const greatest = this.#greatest
    const ended = this.#ended
    // No key goes on: these are versions of one key.
    if (greatest[0]! < least[0]!) {
      this.#reverse(from, to)
      return
    }
    const radixes = this.#radixes
    for (let j = 0; j < digits; j++) radixes[j] = Math.max(0, greatest[j]! - least[j]! + 1) + ended[j]!
    for (let i = from; i < to; i++) {
      const entry = halves[2 * i + low]!
      const rest = arena.keyLengthOf(entry) - begin
      const at = arena.keyStartOf(entry) + begin
      let number = 0
      for (let j = 0; j < digits; j++) {
        number = Math.imul(number, radixes[j]!) + (j < rest ? bytes[at + j]! - least[j]! + ended[j]! : 0)
      }
      halves[2 * i + high] = number
    }
    this.#splitSorted(from, to, begin + digits)
  }

  /** Finds the radix of each digit from `begin` on, and returns how many digits fit: one at least. */
  #measure(from: number, to: number, begin: number): number {
    const arena = this.#arena
    const { bytes } = arena
    const halves = this.#halves
    const least = this.#least.fill(255)
    const greatest = this.#greatest.fill(0)
    const ended = this.#ended.fill(0)
    let digits = digitsMax
    for (let i = from; i < to; i++) {
      const entry = halves[2 * i + low]!
      const rest = arena.keyLengthOf(entry) - begin
      const at = arena.keyStartOf(entry) + begin
      for (let j = 0; j < digits; j++) {
        if (j >= rest) {
          ended[j] = 1
          continue
        }
        const byte = bytes[at + j]!
        if (byte < least[j]!) least[j] = byte
        if (byte > greatest[j]!) greatest[j] = byte
      }
      if (i - from === sampleCount) digits = this.#fitting(digits)
    }
    return this.#fitting(digits)
  }

  #fitting(digitCount: number): number {
    let product = 1
    for (let j = 0; j < digitCount; j++) {
      // Where no key has a byte (so far), the radix is 1.
      product *= Math.max(0, this.#greatest[j]! - this.#least[j]! + 1) + this.#ended[j]!
      if (product > twoTo32) return j
    }
    return digitCount
  }

  #reverse(from: number, to: number): void {
    const halves = this.#halves
    for (let a = from, b = to - 1; a < b; a++, b--) {
      const entry = halves[2 * a + low]!
      halves[2 * a + low] = halves[2 * b + low]!
      halves[2 * b + low] = entry
    }
  }

  #insertionSort(from: number, to: number, depth: number): void {
    const arena = this.#arena
    const { bytes } = arena
    const halves = this.#halves
    for (let i = from + 1; i < to; i++) {
      const entry = halves[2 * i + low]!
      const start = arena.keyStartOf(entry)
      const end = start + arena.keyLengthOf(entry)
      let j = i
      for (; j > from; j--) {
        const before = halves[2 * (j - 1) + low]!
        const beforeStart = arena.keyStartOf(before)
        // Keys that ended before `depth` are equal to each other, and so are their (negative) rests.
        const d = compareRanges(bytes, beforeStart + depth, beforeStart + arena.keyLengthOf(before), bytes, start + depth, end)
        if (d < 0 || (d === 0 && before > entry)) break
        halves[2 * j + low] = before
      }
      halves[2 * j + low] = entry
    }
  }

  /** How many bytes from `depth` on all keys of the group share. */
  #sharedBytes(from: number, to: number, depth: number): number {
    const arena = this.#arena
    const { bytes } = arena
    const halves = this.#halves
    const first = halves[2 * from + low]!
    const firstAt = arena.keyStartOf(first) + depth
    let shared = arena.keyLengthOf(first) - depth
    for (let i = from + 1; i < to && shared > 0; i++) {
      const entry = halves[2 * i + low]!
      const at = arena.keyStartOf(entry) + depth
      shared = Math.min(shared, arena.keyLengthOf(entry) - depth)
      let j = 0
      while (j < shared && bytes[at + j] === bytes[firstAt + j]) j++
      shared = j
    }
    return Math.max(0, shared)
  }
}

/** Sorts point entries in place. They must come in the order in which they were inserted. */
export const sortEntries = (arena: MemtableArena, entries: Uint32Array): void => {
  if (entries.length > 1) new EntrySorter(arena, entries).sort(entries)
}
