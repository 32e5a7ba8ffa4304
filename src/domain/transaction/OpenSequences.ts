/**
 * How many open transactions read at each sequence, for one question: which is the oldest. Transactions begin at ascending sequences, so a begin is an append, and an end a
 * binary search; nothing is ever scanned over the open ones.
 */
export class OpenSequences {
  /** Ascending, from `head` on; those before it are done with. */
  private sequences: Array<number> = []
  private counts: Array<number> = []
  private head = 0
  private open = 0

  get size(): number {
    return this.open
  }

  /** `Infinity` where none is open. */
  get oldest(): number {
    return this.open === 0 ? Infinity : this.sequences[this.head]!
  }

  add(sequence: number): void {
    const { counts, sequences } = this
    this.open++
    const last = sequences.length - 1
    if (last >= this.head && sequences[last]! >= sequence) {
      const at = this.placeOf(sequence)
      if (sequences[at] === sequence) counts[at]!++
      else {
        sequences.splice(at, 0, sequence)
        counts.splice(at, 0, 1)
      }
      return
    }
    sequences.push(sequence)
    counts.push(1)
  }

  /** Ends one that was added with this sequence. */
  remove(sequence: number): void {
    const at = this.placeOf(sequence)
    if (this.sequences[at] !== sequence || this.counts[at] === 0) throw new Error("no open transaction reads at this sequence")
    this.counts[at]!--
    this.open--
    const { counts } = this
    let head = this.head
    while (head < counts.length && counts[head] === 0) head++
    this.head = head
    if (head === counts.length) {
      this.sequences = []
      this.counts = []
      this.head = 0
    } else if (head > 64 && head * 2 > counts.length) {
      this.sequences = this.sequences.slice(head)
      this.counts = counts.slice(head)
      this.head = 0
    }
  }

  /** The first place from the head on whose sequence is not below this one. */
  private placeOf(sequence: number): number {
    const { sequences } = this
    let low = this.head
    let high = sequences.length
    // Most that end are among the youngest.
    if (high > low && sequences[high - 1]! <= sequence) return sequences[high - 1] === sequence ? high - 1 : high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sequences[middle]! < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
