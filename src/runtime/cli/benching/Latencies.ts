/** How long operations took: their number, their time together, and percentiles of a sample. */
const sampleMax = 65_536

export interface Measured {
  /** Operations in all. */
  readonly count: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export class Latencies {
  readonly #samples: Array<number> = []
  #seen = 0
  #count = 0
  #totalMs = 0

  /** Operations so far. */
  get count(): number {
    return this.#count
  }

  /** A step of `operations` took `ms`. The percentiles are those of steps, or, with `each`, of the operations in a step, which then counts as even. */
  add(ms: number, operations = 1, each = false): void {
    this.#count += operations
    this.#totalMs += ms
    const sample = each ? ms / operations : ms
    // Once there are enough, every other one is forgotten in turn: what stays is spread over the whole time.
    if (this.#samples.length < sampleMax) this.#samples.push(sample)
    else this.#samples[(this.#seen * 7919) % sampleMax] = sample
    this.#seen++
  }

  /** `elapsedMs`: of all, where steps ran side by side; else the sum of the steps. */
  measured(elapsedMs = this.#totalMs): Measured {
    const sorted = this.#samples.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    return { count: this.#count, perSecond: elapsedMs <= 0 ? 0 : (this.#count * 1000) / elapsedMs, p50Ms: at(0.5), p99Ms: at(0.99) }
  }
}
