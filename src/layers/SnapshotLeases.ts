import { type DatabaseClosed, SnapshotExpired, TooManySnapshots } from "../domain/errors.ts"
import type { SnapshotLease, SnapshotStats } from "../services/TransactionManager.ts"

interface Lease {
  readonly sequence: number
  readonly openedMs: number
  readonly endsMs: number
  readonly onEnd: (() => void) | undefined
  /** Ends of the reads under it that are still going on. */
  readonly under: Set<() => void>
}

export interface LeaseRules {
  /** How many may be open at once. */
  readonly openMax?: number
  /** Why nothing may be read any more. */
  readonly closed?: () => DatabaseClosed | undefined
  /** Runs when the first of them is opened, and there was none. */
  readonly onFirst?: () => void
}

/** The open snapshots and their leases, on monotonic time. Compaction asks for their sequences; a lease that ended pins nothing and reads nothing. */
export class SnapshotLeases {
  private readonly leases = new Set<Lease>()
  private readonly monotonicMs: () => number
  private readonly leaseMs: number
  private readonly onRelease: () => void
  private readonly rules: LeaseRules
  private expiredCount = 0

  constructor(monotonicMs: () => number, leaseMs: number, onRelease: () => void, rules: LeaseRules = {}) {
    this.monotonicMs = monotonicMs
    this.leaseMs = leaseMs
    this.onRelease = onRelease
    this.rules = rules
  }

  /** `onEnd` runs once, when the lease is released or its time is over. Throws `TooManySnapshots`, but not for a `brief` one, which ends by itself. */
  open(sequence: number, onEnd?: () => void, brief = false): SnapshotLease {
    const { openMax = Infinity } = this.rules
    // Those whose time is over are in nobody's way.
    if (!brief && this.leases.size >= openMax && this.reap() === 0) throw new TooManySnapshots({ openMax })
    const openedMs = this.monotonicMs()
    const lease: Lease = { sequence, openedMs, endsMs: openedMs + this.leaseMs, onEnd, under: new Set() }
    this.leases.add(lease)
    if (this.leases.size === 1) this.rules.onFirst?.()
    const expired = () => {
      if (this.leases.has(lease) && this.monotonicMs() < lease.endsMs) return undefined
      return new SnapshotExpired({ sequence, leaseMs: this.leaseMs })
    }
    const check = () => {
      const error = this.rules.closed?.() ?? expired()
      if (error !== undefined) throw error
    }
    const handle: SnapshotLease = {
      sequence,
      expired,
      check,
      release: () => {
        if (!this.leases.has(lease)) return
        this.end(lease)
        this.onRelease()
      },
      under: (onReadEnd) => {
        check()
        const end = () => {
          if (lease.under.delete(end)) onReadEnd()
        }
        lease.under.add(end)
        return { ...handle, release: end }
      }
    }
    return handle
  }

  /** How many are open. */
  get size(): number {
    return this.leases.size
  }

  /** Ends the leases whose time is over; they are counted. */
  reap(): number {
    const now = this.monotonicMs()
    let count = 0
    for (const lease of this.leases) {
      if (now >= lease.endsMs) {
        this.end(lease)
        count++
      }
    }
    this.expiredCount += count
    if (count > 0) this.onRelease()
    return count
  }

  /** Ascending, without repetition, ending with `visible`. */
  stripes(visible: number): ReadonlyArray<number> {
    this.reap()
    const all = new Set<number>([visible])
    for (const lease of this.leases) all.add(lease.sequence)
    return [...all].sort((a, b) => a - b)
  }

  stats(): SnapshotStats {
    let oldest: Lease | undefined
    for (const lease of this.leases) if (oldest === undefined || lease.sequence < oldest.sequence) oldest = lease
    return {
      open: this.leases.size,
      expired: this.expiredCount,
      oldestSequence: oldest?.sequence,
      oldestAgeMs: oldest === undefined ? undefined : this.monotonicMs() - oldest.openedMs
    }
  }

  private end(lease: Lease): void {
    this.leases.delete(lease)
    // An abandoned iterator under the snapshot would hold its files for ever.
    for (const end of lease.under) end()
    lease.onEnd?.()
  }
}
