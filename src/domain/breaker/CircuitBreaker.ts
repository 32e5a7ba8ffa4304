/**
 * A circuit breaker: keeps those who would use a resource that goes on failing from trying it, and from waiting for it, until a probe shows that it works again. Time is handed
 * in, as milliseconds of a clock that does not go back; nothing here waits.
 *
 * ```
 *            failureThreshold failures in a row                  openFor is over
 *   closed ───────────────────────────────────────► open ───────────────────────────► half-open
 *     ▲                                              ▲   the probe fails: longer each time │
 *     │                                              └─────────────────────────────────────┤
 *     └────────────────────────────────────────────────── successThreshold probes in a row ┘
 * ```
 *
 * While it is half-open one call at a time is let through.
 */
export type BreakerState = "closed" | "open" | "half-open"

export interface BreakerRules {
  readonly failureThreshold: number
  readonly successThreshold: number
  /** How long it stays open for the nth time in a row (from 1). */
  readonly openForMs: (openings: number) => number
}

/** The nth time in a row twice as long as the one before, up to 32 times. */
export const doubling =
  (openForMs: number) =>
  (openings: number): number =>
    openForMs * 2 ** Math.min(openings - 1, 5)

export class CircuitBreaker {
  private readonly rules: BreakerRules
  private current: BreakerState = "closed"
  /** In a row: failures while closed, and all since it opened. */
  private failureCount = 0
  private successCount = 0
  private openings = 0
  private untilMs = 0
  private probing = false

  constructor(rules: BreakerRules) {
    this.rules = rules
  }

  get state(): BreakerState {
    return this.current
  }

  /** Failures since the last success. */
  get failures(): number {
    return this.failureCount
  }

  /** While it is open: how long until a probe is let through. */
  retryAfterMs(nowMs: number): number {
    return this.current === "open" ? Math.max(0, this.untilMs - nowMs) : 0
  }

  /** Whether a call may be made now. One that is let through must be followed by `succeeded`, `failed` or `abandoned`. */
  admit(nowMs: number): boolean {
    if (this.current === "closed") return true
    if (this.current === "open") {
      if (nowMs < this.untilMs) return false
      this.halfOpen()
    }
    if (this.probing) return false
    this.probing = true
    return true
  }

  /** Somebody needs to know now: the next call is let through as a probe, whatever the time. */
  hurry(): void {
    if (this.current === "open") this.halfOpen()
  }

  succeeded(): void {
    this.probing = false
    if (this.current === "open") return
    this.failureCount = 0
    if (this.current === "closed" || ++this.successCount < this.rules.successThreshold) return
    this.current = "closed"
    this.openings = 0
  }

  failed(nowMs: number): void {
    this.probing = false
    this.failureCount++
    // One that was under way when it opened says nothing new.
    if (this.current === "open" || (this.current === "closed" && this.failureCount < this.rules.failureThreshold)) return
    this.current = "open"
    this.untilMs = nowMs + this.rules.openForMs(++this.openings)
  }

  /** The call that was let through ended without telling anything (it was cancelled). */
  abandoned(): void {
    this.probing = false
  }

  private halfOpen(): void {
    this.current = "half-open"
    this.successCount = 0
    this.probing = false
  }
}
