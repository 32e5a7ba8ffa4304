import type { GroupHeader } from "./GroupHeader.ts"

/** A valid group of a segment: where it stands and what it holds. */
export interface GroupRecord {
  /** In the file. */
  readonly offset: number
  readonly lengthBytes: number
  readonly position: number
  readonly firstSequence: number
  readonly count: number
  readonly durableThrough: number
  readonly sum: number
  readonly epoch: number
  readonly rewritten: boolean
}

const columns = 7

/** The groups of a segment in order, in one array of numbers: a segment of small unsynced groups holds hundreds of thousands. */
export class GroupList {
  /** Of all groups of the segment. */
  readonly epoch: number
  #rows = new Float64Array(64 * columns)
  #length = 0

  constructor(epoch: number) {
    this.epoch = epoch
  }

  get length(): number {
    return this.#length
  }

  push(offset: number, header: GroupHeader): void {
    const row = this.#length * columns
    if (row === this.#rows.length) {
      const grown = new Float64Array(row * 2)
      grown.set(this.#rows)
      this.#rows = grown
    }
    const rows = this.#rows
    rows[row] = offset
    rows[row + 1] = header.lengthBytes
    rows[row + 2] = header.position
    rows[row + 3] = header.firstSequence
    // Flags and count share a column: a count is a u32, a flag one bit.
    rows[row + 4] = header.transactionCount * 2 + header.flags
    rows[row + 5] = header.durableThrough
    rows[row + 6] = header.sum
    this.#length++
  }

  /** The group at `index`, which is in 0 .. length - 1. */
  at(index: number): GroupRecord {
    if (!(index >= 0 && index < this.#length)) throw new RangeError(`group ${index} of ${this.#length}`)
    const rows = this.#rows
    const row = index * columns
    const countAndFlag = rows[row + 4]!
    return {
      offset: rows[row]!,
      lengthBytes: rows[row + 1]!,
      position: rows[row + 2]!,
      firstSequence: rows[row + 3]!,
      count: Math.floor(countAndFlag / 2),
      durableThrough: rows[row + 5]!,
      sum: rows[row + 6]!,
      epoch: this.epoch,
      rewritten: countAndFlag % 2 === 1
    }
  }

  /** The number of groups that end at or before `position`: those a floor proves, or a flush covers. */
  endingThrough(position: number): number {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      const row = middle * columns
      if (this.#rows[row + 2]! + this.#rows[row + 1]! <= position) low = middle + 1
      else high = middle
    }
    return low
  }

  *[Symbol.iterator](): Generator<GroupRecord, void> {
    for (let i = 0; i < this.#length; i++) yield this.at(i)
  }
}
