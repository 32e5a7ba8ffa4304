/**
 * What a transaction has written so far, in order: nothing of it leaves here before the commit turn fills a batch from it. Reads of the transaction ask what its writes make of a
 * key, scans walk them in the order of keys. A savepoint is a position in the order; taking back is cutting it off there. Pure; bounded in bytes.
 */
import type { UncheckedOperation } from "../batch/normalise.ts"
import { TransactionTooLarge } from "../errors.ts"
import { compareBytes, equalRanges } from "../keys/compareBytes.ts"
import { TombstoneRuns } from "../memtable/TombstoneRuns.ts"
import type { ValueAtomic } from "./atomic.ts"

/** `stamped`: its key or value is only known once it is sequenced, so that reads do not see it. `conflict`: counts as written, and is not. */
export const WriteKind = { put: 0, delete: 1, deleteRange: 2, atomic: 3, stamped: 4, conflict: 5 } as const
export type WriteKind = (typeof WriteKind)[keyof typeof WriteKind]

/** An object, its fields and its place in a list: an estimate. */
const writeOverheadBytes = 96
/** Up to this many writes are looked through one by one. */
const linearMax = 8

/** One write. All bytes are its own. */
export interface PendingWrite {
  readonly kind: WriteKind
  readonly keyspace: number
  /** Of the key; 0 for ranges. */
  readonly hash: number
  /** The key, or the start of a range. */
  readonly key: Uint8Array
  /** The value of a put that is seen by the transaction (undefined: it has expired already), the exclusive end of a range. */
  readonly value: Uint8Array | undefined
  /** Of an atomic operation that makes a value of the one there is. */
  readonly atomic: ValueAtomic | undefined
  /** What the batch is filled with, where that is more than key and value. */
  readonly operation: UncheckedOperation | undefined
}

/** Atomic operations that wait for a value: that of the snapshot, where `onSnapshot`, else `base`. */
export class AtomicChain {
  readonly onSnapshot: boolean
  readonly base: Uint8Array | undefined
  readonly operations: ReadonlyArray<ValueAtomic>
  constructor(onSnapshot: boolean, base: Uint8Array | undefined, operations: ReadonlyArray<ValueAtomic>) {
    this.onSnapshot = onSnapshot
    this.base = base
    this.operations = operations
  }
}

/** What the writes make of a key: a value, nothing (`deleted`), something that depends on the value before; undefined where they do not touch it. */
export type Pending = Uint8Array | typeof deleted | AtomicChain | undefined
export const deleted = Symbol("deleted")

/** A key that was written, and what a scan has to make of it. */
export interface OverlaidKey {
  readonly key: Uint8Array
  readonly pending: Exclude<Pending, undefined>
}

const isPoint = (kind: WriteKind): boolean => kind === WriteKind.put || kind === WriteKind.delete || kind === WriteKind.atomic

export class WriteSet {
  readonly writes: Array<PendingWrite> = []
  bytes = 0
  private readonly bytesMax: number
  /** The last write of each hash, once there are many. */
  private index: Map<number, number> | undefined = undefined
  /** Of each write, the one before it with the same hash; -1 is none. As long as there is an index. */
  private previous: Array<number> = []
  private rangeCount = 0
  /** Range deletes, each with its position + 1 as sequence. */
  private ranges: TombstoneRuns | undefined = undefined
  /** Whether a scan looks at `ranges`. */
  private lent = false
  /** Indices of the last writes of distinct keys, in order of keyspace and key, of the writes before `sortedTo`. */
  private sorted: Array<number> = []
  private sortedTo = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get position(): number {
    return this.writes.length
  }

  /** Whether there is nothing but deletes. Looks through them all. */
  get onlyTakesAway(): boolean {
    return this.writes.every(({ kind }) => kind === WriteKind.delete || kind === WriteKind.deleteRange)
  }

  /** Throws `TransactionTooLarge`, adding nothing. */
  add(write: PendingWrite): void {
    const bytes = this.bytes + sizeOf(write)
    if (bytes > this.bytesMax) throw new TransactionTooLarge({ what: "writes", bytes, bytesMax: this.bytesMax })
    this.bytes = bytes
    const at = this.writes.push(write) - 1
    if (write.kind === WriteKind.deleteRange) {
      this.rangeCount++
      this.ranges ??= new TombstoneRuns()
      this.ranges.add({ keyspace: write.keyspace, start: write.key, end: write.value!, sequence: at + 1 })
    }
    if (this.index !== undefined) this.enter(at)
    else if (at >= linearMax) {
      this.index = new Map()
      for (let i = 0; i <= at; i++) this.enter(i)
    }
  }

  /** Takes back everything from a position on. */
  rollbackTo(position: number): void {
    const { writes } = this
    let ranges = 0
    for (let at = writes.length - 1; at >= position; at--) {
      const write = writes[at]!
      this.bytes -= sizeOf(write)
      if (write.kind === WriteKind.deleteRange) ranges++
      if (this.index !== undefined) {
        const previous = this.previous.pop()!
        if (!isPoint(write.kind)) continue
        if (previous === -1) this.index.delete(write.hash)
        else this.index.set(write.hash, previous)
      }
    }
    const removes = writes.length > position
    writes.length = Math.min(writes.length, position)
    // A scan that is going on keeps the old ones: what comes now stands at positions it knows.
    if (ranges > 0 || (removes && this.lent)) {
      this.lent = false
      this.rangeCount -= ranges
      this.ranges = this.rangeCount === 0 ? undefined : new TombstoneRuns()
      writes.forEach((write, at) => {
        if (write.kind === WriteKind.deleteRange)
          this.ranges!.add({ keyspace: write.keyspace, start: write.key, end: write.value!, sequence: at + 1 })
      })
    }
    if (this.sortedTo > position) {
      this.sorted = []
      this.sortedTo = 0
    }
  }

  /** What the writes make of the key `bytes[start, end)`. */
  pending(keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): Pending {
    return this.pendingAt(this.lastOf(keyspace, hash, bytes, start, end), keyspace, hash, bytes, start, end)
  }

  /** The range deletes there are now, whatever comes or goes later; undefined where there are none. */
  rangeDeletes(): RangeDeletes | undefined {
    if (this.ranges === undefined) return undefined
    this.lent = true
    return new RangeDeletes(this.ranges, this.writes.length)
  }

  /** The keys written in [lower, upper), ascending, with what is made of each now; later writes do not change what was returned. */
  overlay(keyspace: number, lower: Uint8Array | undefined, upper: Uint8Array | undefined): Array<OverlaidKey> {
    this.sort()
    const { sorted, writes } = this
    const overlaid: Array<OverlaidKey> = []
    for (
      let i = lower === undefined ? this.firstNotBefore(keyspace, new Uint8Array(0)) : this.firstNotBefore(keyspace, lower);
      i < sorted.length;
      i++
    ) {
      const at = sorted[i]!
      const { hash, key, keyspace: own } = writes[at]!
      if (own !== keyspace || (upper !== undefined && compareBytes(key, upper) >= 0)) break
      const pending = this.pendingAt(at, keyspace, hash, key, 0, key.length)
      if (pending !== undefined) overlaid.push({ key, pending })
    }
    return overlaid
  }

  private pendingAt(last: number, keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): Pending {
    // One more than its position: 0 is none.
    const covered = this.ranges === undefined ? 0 : this.ranges.covering(keyspace, bytes, start, end, Infinity)
    if (last < covered) return covered > 0 ? deleted : undefined
    const write = this.writes[last]!
    if (write.kind === WriteKind.put) return write.value ?? deleted
    if (write.kind === WriteKind.delete) return deleted
    const operations: Array<ValueAtomic> = []
    let at = last
    while (at >= covered) {
      const { atomic, kind, value } = this.writes[at]!
      if (kind === WriteKind.put) return new AtomicChain(false, value, operations.reverse())
      if (kind === WriteKind.delete) return new AtomicChain(false, undefined, operations.reverse())
      operations.push(atomic!)
      at = this.before(at, keyspace, hash, bytes, start, end)
    }
    return new AtomicChain(covered === 0, undefined, operations.reverse())
  }

  /** The index of the last write of the key, -1 where there is none. */
  private lastOf(keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const { index, writes } = this
    if (index === undefined) return this.walkBack(writes.length - 1, keyspace, hash, bytes, start, end)
    return this.walkChain(index.get(hash) ?? -1, keyspace, hash, bytes, start, end)
  }

  /** The write of the same key before this one. */
  private before(at: number, keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    return this.index === undefined
      ? this.walkBack(at - 1, keyspace, hash, bytes, start, end)
      : this.walkChain(this.previous[at]!, keyspace, hash, bytes, start, end)
  }

  private walkBack(from: number, keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    let at = from
    while (at >= 0 && !isKey(this.writes[at]!, keyspace, hash, bytes, start, end)) at--
    return at
  }

  private walkChain(from: number, keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    let at = from
    while (at >= 0 && !isKey(this.writes[at]!, keyspace, hash, bytes, start, end)) at = this.previous[at]!
    return at
  }

  private enter(at: number): void {
    const { hash, kind } = this.writes[at]!
    if (!isPoint(kind)) {
      this.previous.push(-1)
      return
    }
    this.previous.push(this.index!.get(hash) ?? -1)
    this.index!.set(hash, at)
  }

  private compareKeys(a: number, b: number): number {
    const first = this.writes[a]!
    const second = this.writes[b]!
    return first.keyspace - second.keyspace || compareBytes(first.key, second.key)
  }

  /** Takes the writes since the last time into the order: those alone are sorted, and merged with the rest. */
  private sort(): void {
    const { writes } = this
    if (this.sortedTo === writes.length) return
    const added: Array<number> = []
    for (let at = this.sortedTo; at < writes.length; at++) if (isPoint(writes[at]!.kind)) added.push(at)
    added.sort((a, b) => this.compareKeys(a, b) || a - b)
    const older = this.sorted
    const merged: Array<number> = []
    // Of equal keys the later write comes later, and takes the place of the earlier one.
    const push = (at: number) => {
      if (merged.length > 0 && this.compareKeys(merged[merged.length - 1]!, at) === 0) merged[merged.length - 1] = at
      else merged.push(at)
    }
    let i = 0
    for (const at of added) {
      while (i < older.length && this.compareKeys(older[i]!, at) <= 0) push(older[i++]!)
      push(at)
    }
    while (i < older.length) push(older[i++]!)
    this.sorted = merged
    this.sortedTo = writes.length
  }

  private firstNotBefore(keyspace: number, key: Uint8Array): number {
    const { sorted, writes } = this
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const write = writes[sorted[middle]!]!
      if ((write.keyspace - keyspace || compareBytes(write.key, key)) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The range deletes of a moment. */
export class RangeDeletes {
  private readonly ranges: TombstoneRuns
  private readonly position: number
  constructor(ranges: TombstoneRuns, position: number) {
    this.ranges = ranges
    this.position = position
  }

  /** Whether one of them covers what was there before the transaction. */
  cover(keyspace: number, key: Uint8Array): boolean {
    return this.ranges.covering(keyspace, key, 0, key.length, this.position) > 0
  }
}

const isKey = (write: PendingWrite, keyspace: number, hash: number, bytes: Uint8Array, start: number, end: number): boolean =>
  write.hash === hash &&
  isPoint(write.kind) &&
  write.keyspace === keyspace &&
  write.key.length === end - start &&
  equalRanges(write.key, 0, bytes, start, end - start)

const sizeOf = ({ key, operation, value }: PendingWrite): number =>
  writeOverheadBytes + key.length + (value?.length ?? 0) + (operation === undefined ? 0 : operandBytes(operation))

const operandBytes = ({ expected, suffix, value }: UncheckedOperation): number => lengthOf(value) + lengthOf(expected) + lengthOf(suffix)

const lengthOf = (operand: unknown): number => (operand instanceof Uint8Array || typeof operand === "string" ? operand.length : 0)
