import { type Gone, SnapshotExpired, TooManySnapshots } from "../domain/errors.ts"
import type { Lease, LeaseOwner, SnapshotLease, SnapshotStats } from "../services/TransactionManager.ts"

export interface LeaseRules {
  /** How many may be open at once. */
  readonly openMax?: number
  /** Why nothing may be read any more. */
  readonly closed?: () => Gone | undefined
  /** Runs when the first of them is opened, and there was none. */
  readonly onFirst?: () => void
}

/** One object per open snapshot; what reads under it and what hands it around comes only where it is asked for. */
class OpenLease implements Lease {
  readonly sequence: number
  readonly openedMs: number
  private readonly leases: SnapshotLeases
  readonly owner: LeaseOwner | undefined
  /** The next older and younger one, as long as it is open. */
  older: OpenLease | undefined = undefined
  younger: OpenLease | undefined = undefined
  /** Ends of the reads under it that are still going on. */
  private under: Set<() => void> | undefined = undefined
  open = true

  constructor(leases: SnapshotLeases, sequence: number, openedMs: number, owner: LeaseOwner | undefined) {
    this.leases = leases
    this.sequence = sequence
    this.openedMs = openedMs
    this.owner = owner
  }

  failure(): SnapshotExpired | Gone | undefined {
    return this.leases.failureOf(this)
  }

  end(): void {
    this.leases.release(this)
  }

  /** What follows from an end, whoever made it. */
  ended(byTime: boolean): void {
    this.open = false
    // An abandoned iterator under the snapshot would hold its files for ever.
    if (this.under !== undefined) for (const end of this.under) end()
    this.owner?.leaseEnded(byTime)
  }

  handle(): SnapshotLease {
    const check = () => {
      const error = this.failure()
      if (error !== undefined) throw error
    }
    const handle: SnapshotLease = {
      sequence: this.sequence,
      expired: () => this.leases.expiredOf(this),
      check,
      release: () => this.end(),
      under: (onReadEnd) => {
        check()
        const under = (this.under ??= new Set())
        const end = () => {
          if (under.delete(end)) onReadEnd()
        }
        under.add(end)
        return { ...handle, release: end }
      }
    }
    return handle
  }
}

/**
 * The open snapshots and their leases, on monotonic time. Compaction asks for their sequences; a lease that ended pins nothing and reads nothing.
 *
 * They are linked in the order in which they were opened, and unlinked whole. (A `Set` of them, one added and one deleted per transaction, made the collector keep every one: its
 * outgrown tables, once old, keep alive each later table and all that was in it until the next full collection.)
 */
export class SnapshotLeases {
  private oldest: OpenLease | undefined = undefined
  private youngest: OpenLease | undefined = undefined
  private count = 0
  private readonly monotonicMs: () => number
  private readonly leaseMs: number
  private readonly onRelease: (sequence: number) => void
  private readonly rules: LeaseRules
  private expiredCount = 0

  constructor(monotonicMs: () => number, leaseMs: number, onRelease: (sequence: number) => void, rules: LeaseRules = {}) {
    this.monotonicMs = monotonicMs
    this.leaseMs = leaseMs
    this.onRelease = onRelease
    this.rules = rules
  }

  /** `onEnd` runs once, when the lease is released or its time is over. Throws `TooManySnapshots`, but not for a `brief` one, which ends by itself. */
  open(sequence: number, onEnd?: () => void, brief = false): SnapshotLease {
    return this.openLease(sequence, onEnd === undefined ? undefined : { leaseEnded: onEnd }, brief).handle()
  }

  /** The same as its bare object. */
  openLease(sequence: number, owner: LeaseOwner | undefined, brief = false): Lease {
    const { openMax = Infinity } = this.rules
    // Those whose time is over are in nobody's way.
    if (!brief && this.count >= openMax && this.reap() === 0) throw new TooManySnapshots({ openMax })
    const lease = new OpenLease(this, sequence, this.monotonicMs(), owner)
    const { youngest } = this
    lease.older = youngest
    if (youngest === undefined) this.oldest = lease
    else youngest.younger = lease
    this.youngest = lease
    if (++this.count === 1) this.rules.onFirst?.()
    return lease
  }

  private unlink(lease: OpenLease): void {
    const { older, younger } = lease
    if (older === undefined) this.oldest = younger
    else older.younger = younger
    if (younger === undefined) this.youngest = older
    else younger.older = older
    lease.older = lease.younger = undefined
    this.count--
  }

  /** How many are open. */
  get size(): number {
    return this.count
  }

  /** The oldest whose owner is such a one. For statistics: it looks through them. */
  oldestOf(isWanted: (owner: LeaseOwner) => boolean): Lease | undefined {
    for (let lease = this.oldest; lease !== undefined; lease = lease.younger) if (lease.owner !== undefined && isWanted(lease.owner)) return lease
    return undefined
  }

  expiredOf(lease: OpenLease): SnapshotExpired | undefined {
    if (lease.open && this.monotonicMs() < lease.openedMs + this.leaseMs) return undefined
    return new SnapshotExpired({ sequence: lease.sequence, leaseMs: this.leaseMs })
  }

  failureOf(lease: OpenLease): SnapshotExpired | Gone | undefined {
    return this.rules.closed?.() ?? this.expiredOf(lease)
  }

  release(lease: OpenLease): void {
    if (!lease.open) return
    this.unlink(lease)
    lease.ended(false)
    this.onRelease(lease.sequence)
  }

  /** Ends the leases whose time is over; they are counted. */
  reap(): number {
    const now = this.monotonicMs()
    let count = 0
    let lowest = Infinity
    let lease = this.oldest
    // The rest is younger.
    while (lease !== undefined && now >= lease.openedMs + this.leaseMs) {
      this.unlink(lease)
      lease.ended(true)
      lowest = Math.min(lowest, lease.sequence)
      count++
      // What an end makes others do may have ended more of them.
      lease = this.oldest
    }
    this.expiredCount += count
    if (count > 0) this.onRelease(lowest)
    return count
  }

  /** Ascending, without repetition, ending with `visible`. */
  stripes(visible: number): ReadonlyArray<number> {
    this.reap()
    const all = new Set<number>([visible])
    for (let lease = this.oldest; lease !== undefined; lease = lease.younger) all.add(lease.sequence)
    return [...all].sort((a, b) => a - b)
  }

  stats(): SnapshotStats {
    let oldest: OpenLease | undefined
    for (let lease = this.oldest; lease !== undefined; lease = lease.younger)
      if (oldest === undefined || lease.sequence < oldest.sequence) oldest = lease
    return {
      open: this.count,
      expired: this.expiredCount,
      oldestSequence: oldest?.sequence,
      oldestAgeMs: oldest === undefined ? undefined : this.monotonicMs() - oldest.openedMs
    }
  }
}
