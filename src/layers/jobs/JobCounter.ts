/** What the parts of one job have read, each counted in a word of shared memory by the thread that runs it. */
export class JobCounter {
  bytesTotal = 0
  #words: Array<BigInt64Array> = []

  /** The words of one more part: see `Workers`. */
  word(): BigInt64Array {
    const word = new BigInt64Array(new SharedArrayBuffer(16))
    this.#words.push(word)
    return word
  }

  /** The job is run again, from its beginning. */
  restart(): void {
    this.#words = []
  }

  bytes(): number {
    let sum = 0
    for (const word of this.#words) sum += Number(Atomics.load(word, 0))
    return sum
  }
}
