import type { Batch } from "../../domain/batch/Batch.ts"
import type { CommitHead } from "../../domain/batch/CommitHead.ts"
import { normaliseOne } from "../../domain/batch/normalise.ts"
import { KeyspaceDropped, SavepointNotFound, TransactionFinished, TransactionTooOld } from "../../domain/errors.ts"
import { keyspaceSeed } from "../../domain/keys/keyspaceSeed.ts"
import { applyAtomic } from "../../domain/transaction/atomic.ts"
import { isEmptyRange, keyAfter, ReadSet } from "../../domain/transaction/ReadSet.ts"
import { AtomicChain, type Pending, type PendingWrite, WriteKind, WriteSet } from "../../domain/transaction/WriteSet.ts"
import type { Durability } from "../../services/Database.ts"
import type { Version } from "../../services/Tables.ts"
import type { IsolationLevel } from "../../services/Transaction.ts"
import type { CommitRequest, ConflictRange, Lease, LeaseOwner } from "../../services/TransactionManager.ts"
import type { Memtable } from "../../domain/memtable/Memtable.ts"
import type { View } from "../reading/View.ts"
import type { TransactionShared } from "./TransactionShared.ts"

/** Why a commit is refused: what `TransactionConflict` is made of once somebody is to see it. Most are followed by another attempt, and an error would cost more than that. */
export class ConflictFound {
  readonly keyspace: number
  readonly start: Uint8Array
  readonly end: Uint8Array | undefined
  readonly winningSequence: number
  constructor(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, winningSequence: number) {
    this.keyspace = keyspace
    this.start = start
    this.end = end
    this.winningSequence = winningSequence
  }
}

/** The commit came to its turn after its time was over. */
export const timeOver = Symbol("time over")

export type CommitRefusal = ConflictFound | TransactionTooOld | typeof timeOver

export interface OpenSettings {
  readonly isolation: IsolationLevel
  readonly durability: Durability
  readonly annotation: Uint8Array | undefined
  readonly timeoutMs: number
}

/** A transaction that joined another. */
export interface JoinedFrame {
  /** In the writes of the whole: none of its own stands before it. */
  position: number
  readonly outer: JoinedFrame | undefined
}

const isWithin = (given: JoinedFrame | undefined, frame: JoinedFrame): boolean => {
  for (let at = given; at !== undefined; at = at.outer) if (at === frame) return true
  return false
}

export type TransactionState = "open" | "committing" | "committed" | "rolledBack" | "failed"

/**
 * One attempt of a transaction: its lease, and what it has read and written. All of it is synchronous; the Effects around it are in `TransactionSpaces.ts` and
 * `makeTransactions.ts`. It is the view its own reads are made in.
 */
export class OpenTransaction implements View, LeaseOwner, CommitRequest<CommitRefusal> {
  state: TransactionState = "open"
  readonly shared: TransactionShared
  readonly settings: OpenSettings
  lease: Lease
  /** Monotonic ms at which its time is over, by its timeout or its lease. */
  private endMs: number
  readonly deadlineMs: number
  annotation: Uint8Array | undefined
  reads: ReadSet | undefined = undefined
  writes: WriteSet | undefined = undefined
  /** Walks that are going on, or were left behind: they end with the transaction at the latest. */
  private scans: Set<{ readonly end: () => void }> | undefined = undefined
  private savepoints: Array<{ readonly name: string; position: number; readonly frame: JoinedFrame | undefined }> | undefined = undefined
  /** Whether validation still keeps what follows its snapshot. */
  private validated = true
  private time = -1
  /** Keys it holds, or waits for: see `LockTable.ts`. */
  locked = false
  /** It runs in a body that is interrupted when the time is over: what waits in it need not look at the time. */
  isTimed = false
  /** Something of its snapshot was looked at, remembered or not: from then on the snapshot stays where it is. */
  looked = false
  /** The transactions that have joined it and are not over. */
  private frames: Set<JoinedFrame> | undefined = undefined
  /** Of each write, which of those it belongs to; as long as some have one. */
  private owners: Array<JoinedFrame | undefined> = []

  /** Throws `TooManySnapshots`. */
  constructor(shared: TransactionShared, settings: OpenSettings, deadlineMs: number | undefined) {
    this.shared = shared
    this.settings = settings
    this.annotation = settings.annotation
    this.lease = shared.transactions.openLease(this)
    shared.transactions.beginValidation(this.lease.sequence)
    this.deadlineMs = deadlineMs ?? this.lease.openedMs + settings.timeoutMs
    this.endMs = Math.min(this.deadlineMs, this.lease.openedMs + shared.options.snapshotLeaseMs)
    shared.counts.open++
  }

  // --- The view of its reads.

  get memtables(): ReadonlyArray<Memtable> {
    return this.shared.memtables.all()
  }

  get version(): Version {
    return this.shared.reads.tables.current()
  }

  get sequence(): number {
    return this.lease.sequence
  }

  /** The engine time at which its snapshot was taken, or less than a millisecond later. Asked for only where something expires, and only worked out then. */
  get timeMs(): number {
    if (this.time < 0) {
      const { clock } = this.shared
      const ageMs = clock.monotonicMs() - this.lease.openedMs
      this.time = Math.ceil(clock.nowMs() - ageMs)
    }
    return this.time
  }

  // --- While it is open.

  /** Throws `TransactionFinished`. What only gathers asks no more than this. */
  checkOpenState(): void {
    if (this.state !== "open") throw new TransactionFinished({ state: this.state === "committing" ? "committed" : this.state })
  }

  /** Throws why nothing may be read in it any more. */
  check(): void {
    this.checkOpenState()
    this.shared.checkOpen()
    // Where time ends the body, that and the reaper of leases look at the clock: nothing that it reads goes before its lease has been ended.
    if (!this.validated || (!this.isTimed && this.shared.clock.monotonicMs() >= this.endMs)) throw this.tooOld("time")
  }

  /** Its timeout has passed. */
  get isOverdue(): boolean {
    return this.shared.clock.monotonicMs() >= this.deadlineMs
  }

  tooOld(reason: "time" | "window"): TransactionTooOld {
    return new TransactionTooOld({ sequence: this.lease.sequence, ageMs: this.shared.clock.monotonicMs() - this.lease.openedMs, reason })
  }

  /** Only what is validated is remembered as read. */
  get remembersReads(): boolean {
    return this.settings.isolation === "serializable"
  }

  readSet(): ReadSet {
    return (this.reads ??= new ReadSet())
  }

  /** Throws `TransactionTooLarge`. */
  add(write: PendingWrite, frame: JoinedFrame | undefined): void {
    const writes = (this.writes ??= new WriteSet(this.shared.options.batchBytesMax))
    writes.add(write)
    const { owners } = this
    // Also where somebody else's write stood, and was taken back.
    if (frame !== undefined || owners.length >= writes.position) owners[writes.position - 1] = frame
  }

  scanBegan(scan: { readonly end: () => void }): void {
    ;(this.scans ??= new Set()).add(scan)
  }

  scanEnded(scan: { readonly end: () => void }): void {
    this.scans?.delete(scan)
  }

  get isUntouched(): boolean {
    return !this.looked && this.reads === undefined && (this.writes === undefined || this.writes.position === 0)
  }

  /** What own writes make of a key, given what the snapshot has. Throws `AtomicOperationFailed`. */
  settle(pending: Exclude<Pending, undefined>, onSnapshot: () => Uint8Array | undefined): Uint8Array | undefined {
    if (pending instanceof AtomicChain) {
      let value = pending.onSnapshot ? onSnapshot() : pending.base
      const { operations } = pending
      for (let i = 0; i < operations.length; i++) value = applyAtomic(operations[i]!, value, i)
      return value
    }
    return typeof pending === "symbol" ? undefined : pending
  }

  get position(): number {
    return this.writes?.position ?? 0
  }

  /** Another transaction joins it here; `left` is when it is over. */
  joined(outer: JoinedFrame | undefined): JoinedFrame {
    const frame = { position: this.position, outer }
    ;(this.frames ??= new Set()).add(frame)
    return frame
  }

  left(frame: JoinedFrame): void {
    this.frames?.delete(frame)
  }

  /** Takes back what belongs to the frame: others may have written side by side with it. */
  rollbackFrame(frame: JoinedFrame): void {
    const from = frame.position
    const { owners } = this
    const later = this.writes?.writes.slice(from) ?? []
    /** Of each place from `from` on, how many before it stay. */
    const staying: Array<number> = []
    let count = 0
    for (let i = 0; i <= later.length; i++) {
      staying.push(count)
      if (i < later.length && !isWithin(owners[from + i], frame)) count++
    }
    const moved = (position: number) => (position <= from ? position : from + staying[position - from]!)
    this.savepoints = this.savepoints?.filter((savepoint) => !isWithin(savepoint.frame, frame))
    for (const savepoint of this.savepoints ?? []) savepoint.position = moved(savepoint.position)
    for (const other of this.frames ?? []) other.position = moved(other.position)
    const laterOwners = owners.slice(from)
    this.writes?.rollbackTo(from)
    owners.length = Math.min(owners.length, from)
    for (let i = 0; i < later.length; i++) if (!isWithin(laterOwners[i], frame)) this.add(later[i]!, laterOwners[i])
  }

  savepoint(name: string, frame: JoinedFrame | undefined): void {
    this.savepoints = (this.savepoints ?? []).filter((savepoint) => savepoint.name !== name)
    this.savepoints.push({ name, position: this.position, frame })
  }

  /** Throws `SavepointNotFound`. */
  rollbackTo(name: string): void {
    const savepoints = this.savepoints ?? []
    const at = savepoints.findIndex((savepoint) => savepoint.name === name)
    if (at < 0) throw new SavepointNotFound({ name })
    this.takeBack(savepoints[at]!.position)
    // Those set later go, even where nothing was written in between.
    savepoints.length = at + 1
  }

  private takeBack(position: number): void {
    this.writes?.rollbackTo(position)
    this.owners.length = Math.min(this.owners.length, position)
    // What is written from here on belongs to those who are still in it: none began later than this.
    if (this.frames !== undefined) for (const frame of this.frames) frame.position = Math.min(frame.position, position)
  }

  // --- The commit, in the turn of the transaction manager.

  /** Whether there is anything that others could notice. */
  get hasEffects(): boolean {
    return this.writes !== undefined && this.writes.position > 0
  }

  /** Its keyspaces are checked by `fill`. */
  get keyspace(): undefined {
    return undefined
  }

  get options(): { readonly durability: Durability; readonly annotation: Uint8Array | undefined } {
    return { durability: this.settings.durability, annotation: this.annotation }
  }

  /** Asked only where it decides something. */
  get frees(): boolean {
    return this.writes?.onlyTakesAway ?? false
  }

  fill(batch: Batch, head: CommitHead): void {
    const { catalog } = this.shared
    const { writes } = this.writes!
    let checked = -1
    for (let i = 0; i < writes.length; i++) {
      const { key, keyspace, kind, operation, value } = writes[i]!
      if (keyspace !== checked && !catalog.exists(keyspace)) throw new KeyspaceDropped({ name: catalog.nameOf(keyspace) ?? `#${keyspace}` })
      checked = keyspace
      if (operation !== undefined) normaliseOne(batch, i, keyspace, operation, head)
      else if (kind === WriteKind.put) batch.addPut(keyspace, key, value)
      else if (kind === WriteKind.delete) batch.addDelete(keyspace, key)
      else if (kind === WriteKind.deleteRange) batch.addDeleteRange(keyspace, key, value)
    }
    batch.finish()
  }

  get conflicts(): ReadonlyArray<ConflictRange> | undefined {
    let conflicts: Array<ConflictRange> | undefined
    for (const { key, keyspace, kind, value } of this.writes!.writes)
      if (kind === WriteKind.conflict) (conflicts ??= []).push({ keyspace, start: key, end: value! })
    return conflicts
  }

  validate(commitTimeMs: number, nowMs: number): CommitRefusal | undefined {
    const { catalog, transactions } = this.shared
    const above = this.lease.sequence
    if (nowMs >= this.deadlineMs) return timeOver
    if (!this.validated || nowMs >= this.endMs) return this.tooOld("time")
    const { reads } = this
    if (reads !== undefined) {
      const { points, ranges } = reads
      let checked = -1
      for (let i = 0; i < points.length; i++) {
        const { hash, key, keyspace } = points[i]!
        if (keyspace !== checked && !catalog.exists(keyspace)) return this.dropped(keyspace, key, keyAfter(key))
        checked = keyspace
        const newest = transactions.newestOfKey(keyspace, hash, key, 0, key.length, above)
        if (newest !== 0) return this.refused(keyspace, key, undefined, newest)
      }
      for (let i = 0; i < ranges.length; i++) {
        const range = ranges[i]!
        if (range.keyspace !== checked && !catalog.exists(range.keyspace)) return this.dropped(range.keyspace, range.start, range.end)
        checked = range.keyspace
        if (isEmptyRange(range)) continue
        const newest = transactions.newestInRange(range.keyspace, range.start, range.end, above)
        if (newest !== 0) return this.refused(range.keyspace, range.start, range, newest)
      }
      // What expired since was there for this transaction, and is not for anybody after it: no commit did that, so the order of commits is as good as another.
      const { expiring } = reads
      if (expiring !== undefined && commitTimeMs >= expiring.expiresAt)
        return new ConflictFound(expiring.keyspace, expiring.key, keyAfter(expiring.key), above)
    }
    if (this.settings.isolation === "snapshot") {
      for (const { hash, key, keyspace, kind, value } of this.writes!.writes) {
        // Resolved at the head, in commit order: they meet nobody.
        if (kind === WriteKind.stamped || kind === WriteKind.atomic) continue
        const isRange = kind === WriteKind.deleteRange || kind === WriteKind.conflict
        const newest = isRange
          ? transactions.newestInRange(keyspace, key, value, above)
          : transactions.newestOfKey(keyspace, hash, key, 0, key.length, above)
        if (newest !== 0) return this.refused(keyspace, key, isRange ? { end: value } : undefined, newest)
      }
    }
    return undefined
  }

  /** Dropping a keyspace changes all that was read of it, and writes none of its keys. */
  private dropped(keyspace: number, start: Uint8Array, end: Uint8Array | undefined): ConflictFound {
    return new ConflictFound(keyspace, start, end, this.shared.catalog.droppedIds().get(keyspace) ?? this.lease.sequence)
  }

  private refused(keyspace: number, start: Uint8Array, range: { readonly end: Uint8Array | undefined } | undefined, newest: number) {
    if (newest < 0) return this.tooOld("window")
    return new ConflictFound(keyspace, start, range === undefined ? keyAfter(start) : range.end, newest)
  }

  /** Its place in the order is taken: nothing has to be kept for it any more. */
  sequenced(): undefined {
    this.release()
  }

  // --- The end.

  /** A second time does nothing. */
  finish(state: "committed" | "rolledBack" | "failed"): void {
    if (this.state !== "open" && this.state !== "committing") return
    this.state = state
    this.release()
    this.shared.counts.open--
    this.reads = this.writes = this.savepoints = undefined
    if (this.locked) this.shared.locks.releaseAll(this)
  }

  /** What is left of its time, in ms. */
  get leftMs(): number {
    return this.endMs - this.shared.clock.monotonicMs()
  }

  /** Throws why it may not get a lock, or not any more: `TransactionFinished`, `TransactionTooOld`. */
  checkLockable(): void {
    this.checkOpenState()
    if (!this.validated || this.leftMs <= 0) throw this.tooOld("time")
  }

  leaseEnded(byTime: boolean): void {
    this.endValidation()
    if (this.scans !== undefined) for (const scan of this.scans) scan.end()
    if (!byTime) return
    this.shared.counts.abandoned++
    if (this.locked) this.shared.locks.releaseAll(this)
  }

  /** Moves the snapshot to now: nothing was read or written yet. Throws `TooManySnapshots`. */
  refresh(): void {
    const { transactions } = this.shared
    this.release()
    this.lease = transactions.openLease(this)
    transactions.beginValidation(this.lease.sequence)
    this.endMs = Math.min(this.deadlineMs, this.lease.openedMs + this.shared.options.snapshotLeaseMs)
    this.validated = true
    this.time = -1
  }

  private release(): void {
    this.lease.end()
  }

  private endValidation(): void {
    if (!this.validated) return
    this.validated = false
    this.shared.transactions.endValidation(this.lease.sequence)
  }

  seedOf(keyspace: number): number {
    return keyspaceSeed(this.shared.reads.hashSeed, keyspace)
  }
}
