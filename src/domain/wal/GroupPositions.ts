/** Where groups end in the logical log, by the last sequence they hold: tells from where a replay must read once some of the log is in tables. */
export class GroupPositions {
  private sequences: Array<number> = []
  private positions: Array<number> = []
  private first = 0
  private base: number

  constructor(startPosition: number) {
    this.base = startPosition
  }

  push(lastSequence: number, endPosition: number): void {
    this.sequences.push(lastSequence)
    this.positions.push(endPosition)
  }

  /** End of the last group that holds nothing above `sequence`. Positions before it are forgotten: later calls must not ask for less. */
  after(sequence: number): number {
    let i = this.first
    while (i < this.sequences.length && this.sequences[i]! <= sequence) {
      this.base = this.positions[i]!
      i++
    }
    this.first = i
    if (this.first > 4096) {
      this.sequences = this.sequences.slice(this.first)
      this.positions = this.positions.slice(this.first)
      this.first = 0
    }
    return this.base
  }
}
