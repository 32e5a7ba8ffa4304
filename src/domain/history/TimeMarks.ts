/**
 * When what was committed: the first commit of each second, by engine time, in order. A mark lies in keyspace 0 (`keys/catalogRows.ts`), in the batch of that very commit.
 *
 * ```
 *   second      100         101    103          |  240
 *   sequence     1  2  3     4      5  6  7  8  |  12        8 (in second 140) is the last mark: after it no history was kept, 9 to 11 have no known time
 *
 *   sequenceBefore(102) = 4      the first mark at or after it is 5
 *   sequenceBefore(200)          not known: it lies between 8 and 12
 *   secondAt(6) = 103            the last mark at or before it
 * ```
 *
 * Both columns ascend, so each question is one binary search. 16 bytes a mark.
 */
export class TimeMarks {
  #seconds = new Float64Array(64)
  /** Negative: the mark is the last one for a while. */
  #sequences = new Float64Array(64)
  #start = 0
  #end = 0

  get count(): number {
    return this.#end - this.#start
  }

  /** -Infinity where there is none. */
  get newestSecond(): number {
    return this.count === 0 ? -Infinity : this.#seconds[this.#end - 1]!
  }

  /** Whether what is committed after the newest mark has a time: not where there is none, nor after a last one. */
  get isOpen(): boolean {
    return this.count > 0 && this.#sequences[this.#end - 1]! >= 0
  }

  /** Both must be above those of the mark before; several with the sequence 0, elided, may stand before all others. */
  add(second: number, sequence: number, isLast: boolean): void {
    if (this.#end === this.#seconds.length) this.#grow()
    this.#seconds[this.#end] = second
    this.#sequences[this.#end] = isLast ? -1 - sequence : sequence
    this.#end++
  }

  /** All marks there are lie before history, with sequences that nobody knows any more. They are only kept to be forgotten. */
  elide(): void {
    this.#sequences.fill(0, this.#start, this.#end)
  }

  /** The commits from `sequence` on have failed. */
  removeFrom(sequence: number): void {
    while (this.count > 0 && this.#sequenceOf(this.#end - 1) >= sequence) this.#end--
  }

  /** How many marks nobody asks for who asks only from `sequence` on: all before the last one at or below it. */
  countBefore(sequence: number): number {
    return Math.max(0, this.#after(sequence) - 1 - this.#start)
  }

  /** Forgets the oldest `count` marks. */
  forget(count: number): void {
    this.#start = Math.min(this.#end, this.#start + count)
  }

  /** Of the mark with this number, counted from the oldest, which is 0. */
  secondOf(index: number): number {
    return this.#seconds[this.#start + index]!
  }

  /**
   * The second in which the newest commit ≤ `sequence` happened, or the last second before it that is known to have one. Where no time is known, because no history was kept,
   * the second of the next mark: what expired before that is gone. Undefined where there is none either.
   */
  secondAt(sequence: number): number | undefined {
    const after = this.#after(sequence)
    if (after > this.#start && this.#sequences[after - 1]! >= 0) return this.#seconds[after - 1]
    return after < this.#end ? this.#seconds[after] : undefined
  }

  /** The last sequence committed before `second` began, or before the next commit after it; `newest` where there was none since. Undefined where that is not known. */
  sequenceBefore(second: number, newest: number): number | undefined {
    const at = this.#from(second)
    const sequence = at === this.#end ? newest + 1 : this.#sequenceOf(at)
    if (sequence === 0) return undefined
    // Before the first commit of all there was nothing, and that is known.
    const isKnown = at === this.#start ? sequence === 1 : this.#sequences[at - 1]! >= 0
    return isKnown ? sequence - 1 : undefined
  }

  /** The sequence before the first mark at or after `second`, `newest` where there is none: nothing older can have happened in or after it, as far as times are known. */
  floorAt(second: number, newest: number): number {
    const at = this.#from(second)
    return at === this.#end ? newest : Math.min(newest, Math.max(0, this.#sequenceOf(at) - 1))
  }

  #sequenceOf(index: number): number {
    const stored = this.#sequences[index]!
    return stored < 0 ? -1 - stored : stored
  }

  /** Index of the first mark at or after `second`. */
  #from(second: number): number {
    let low = this.#start
    let high = this.#end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#seconds[middle]! < second) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Index of the first mark above `sequence`. */
  #after(sequence: number): number {
    let low = this.#start
    let high = this.#end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sequenceOf(middle) <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  #grow(): void {
    const count = this.count
    const length = Math.max(64, count * 2)
    const seconds = new Float64Array(length)
    const sequences = new Float64Array(length)
    seconds.set(this.#seconds.subarray(this.#start, this.#end))
    sequences.set(this.#sequences.subarray(this.#start, this.#end))
    this.#seconds = seconds
    this.#sequences = sequences
    this.#start = 0
    this.#end = count
  }
}
