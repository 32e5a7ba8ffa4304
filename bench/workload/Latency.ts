/** How long each of a run's operations took, where a case says so. */
export class Latency {
  private us = new Float64Array(1 << 16)
  private count = 0

  /** An operation that began at `startedMs` (of `performance.now`) is done. */
  since(startedMs: number): void {
    if (this.count === this.us.length) {
      const larger = new Float64Array(this.us.length * 2)
      larger.set(this.us)
      this.us = larger
    }
    this.us[this.count++] = (performance.now() - startedMs) * 1000
  }

  /** Undefined where nothing was recorded. */
  figures(): LatencyFigures | undefined {
    if (this.count === 0) return undefined
    const sorted = this.us.subarray(0, this.count).slice().sort()
    const at = (part: number): number => sorted[Math.min(this.count - 1, Math.floor(this.count * part))]!
    return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) }
  }
}

/** In microseconds. */
export interface LatencyFigures {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}
