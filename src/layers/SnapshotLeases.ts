import { SnapshotExpired } from "../domain/errors.ts"
import type { SnapshotLease, SnapshotStats } from "../services/TransactionManager.ts"

interface Lease {
  readonly sequence: number
  readonly openedMs: number
  readonly endsMs: number
  readonly onEnd: (() => void) | undefined
}

/** The open snapshots and their leases, on monotonic time. Compaction asks for their sequences; a lease that ended pins nothing and reads nothing. */
export class SnapshotLeases {
  private readonly leases = new Set<Lease>()
  private readonly monotonicMs: () => number
  private readonly leaseMs: number
  private readonly onRelease: () => void
  private expiredCount = 0

  constructor(monotonicMs: () => number, leaseMs: number, onRelease: () => void) {
    this.monotonicMs = monotonicMs
    this.leaseMs = leaseMs
    this.onRelease = onRelease
  }

  /** `onEnd` runs once, when the lease is released or its time is over. */
  open(sequence: number, onEnd?: () => void): SnapshotLease {
    const openedMs = this.monotonicMs()
    const lease: Lease = { sequence, openedMs, endsMs: openedMs + this.leaseMs, onEnd }
    this.leases.add(lease)
    const expired = () => {
      if (this.leases.has(lease) && this.monotonicMs() < lease.endsMs) return undefined
      return new SnapshotExpired({ sequence, leaseMs: this.leaseMs })
    }
    return {
      sequence,
      expired,
      check: () => {
        const error = expired()
        if (error !== undefined) throw error
      },
      release: () => {
        if (!this.leases.delete(lease)) return
        onEnd?.()
        this.onRelease()
      }
    }
  }

  /** Ends the leases whose time is over; they are counted. */
  reap(): number {
    const now = this.monotonicMs()
    let count = 0
    for (const lease of this.leases) {
      if (now >= lease.endsMs) {
        this.leases.delete(lease)
        lease.onEnd?.()
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
}
