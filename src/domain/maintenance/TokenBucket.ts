/**
 * A rate held over time: `rate` tokens come in per second, at most `burst` are saved up. Whoever takes more than there is goes into debt, and the answer says how long to wait until it
 * is paid; so one take larger than the burst is allowed, and paid for afterwards. The clock is the caller's, monotonic, in ms.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #atMs: number

  constructor(ratePerSecond: number, burst: number, nowMs: number) {
    this.#perMs = ratePerSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** Takes them now. How many ms to wait before going on; 0 where that is at once. */
  take(tokens: number, nowMs: number): number {
    // A clock that stands still, or goes back, brings nothing in.
    if (nowMs > this.#atMs) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs)
      this.#atMs = nowMs
    }
    this.#tokens -= tokens
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs)
  }
}
