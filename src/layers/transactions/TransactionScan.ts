import * as Effect from "effect/Effect"
import { type FileReadError, fromReadFailure } from "../../domain/errors.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { keyBounds, type KeyBounds } from "../../domain/keys/KeyBounds.ts"
import { WalkedRange } from "../../domain/transaction/ReadSet.ts"
import { AtomicChain, type OverlaidKey, type RangeDeletes } from "../../domain/transaction/WriteSet.ts"
import type { ScanRange } from "../../services/Database.ts"
import type { Version } from "../../services/Tables.ts"
import { RangeReader } from "../reading/RangeReader.ts"
import type { OpenTransaction } from "./OpenTransaction.ts"

const noBytes = new Uint8Array(0)

/**
 * Walks a range of a transaction: its snapshot, with its own writes of the moment in which the scan began over it. What it reads from is pinned until `end`. `bring` obtains
 * what an `advance` that may not block was stopped by.
 */
export class TransactionScan {
  /** At an entry; both are memory of the caller's own. */
  key: Uint8Array = noBytes
  value: Uint8Array = noBytes
  private readonly tx: OpenTransaction
  private readonly keyspaceId: number
  private readonly bounds: KeyBounds
  private readonly reader: RangeReader
  /** In the direction of the scan. */
  private readonly overlay: Array<OverlaidKey>
  private overlayAt = 0
  private readonly rangeDeletes: RangeDeletes | undefined
  private readonly walked: WalkedRange | undefined
  private readonly release: () => void
  private readonly pinned: Version
  private ended = false
  private left: number
  /** Of the snapshot's walk: `stale` until it has been moved for the next question. */
  private state: "stale" | "entry" | "pending" | "end" = "stale"
  private snapshotKey: Uint8Array = noBytes
  /** The value of a pointer that was brought through the pool for the current entry. */
  private broughtValue: Uint8Array | undefined = undefined

  /** Throws `InvalidRange`, `TransactionTooLarge`. */
  constructor(tx: OpenTransaction, keyspaceId: number, range: ScanRange | undefined, remembered: boolean) {
    const { memtables, reads } = tx.shared
    const bounds = keyBounds(range)
    const { lower, reverse, upper } = bounds
    this.tx = tx
    this.keyspaceId = keyspaceId
    this.bounds = bounds
    this.left = bounds.limit
    this.overlay = tx.writes?.overlay(keyspaceId, lower, upper) ?? []
    if (reverse) this.overlay.reverse()
    this.rangeDeletes = tx.writes?.rangeDeletes()
    this.walked = remembered ? new WalkedRange(tx.readSet(), keyspaceId, lower, upper, reverse) : undefined
    this.pinned = reads.tables.pin()
    this.release = memtables.hold()
    tx.scanBegan(this)
    try {
      const view = { memtables: tx.memtables, version: this.pinned, sequence: tx.sequence, timeMs: tx.timeMs }
      // Own deletes and puts decide how many entries of the snapshot a limit takes, and own operations may need the values of the snapshot.
      this.reader = new RangeReader(reads.tables, view, keyspaceId, { lower, upper, reverse, limit: Infinity })
    } catch (cause) {
      this.end()
      throw cause
    }
  }

  /** A second time does nothing. */
  end(): void {
    if (this.ended) return
    this.ended = true
    this.tx.scanEnded(this)
    this.release()
    this.tx.shared.reads.tables.unpin(this.pinned)
  }

  /** To the next entry. Throws what reading throws, and `AtomicOperationFailed`. */
  advance(mayBlock: boolean): "entry" | "end" | "pending" {
    for (;;) {
      if (this.left === 0) return this.finish(false)
      if (this.state === "stale") {
        const moved = this.reader.advance(mayBlock)
        this.moved(moved)
      }
      if (this.state === "pending") return "pending"
      const own = this.overlay[this.overlayAt]
      const order = this.state === "end" ? 1 : own === undefined ? -1 : this.compare(this.snapshotKey, own.key)
      if (order > 0) {
        if (own === undefined) return this.finish(true)
        this.overlayAt++
        const value = this.settle(own, undefined)
        if (value !== undefined) return this.yield(own.key.slice(), value)
        this.walked?.advance(own.key)
        continue
      }
      if (order === 0) {
        let base: Uint8Array | undefined
        if (own!.pending instanceof AtomicChain && own!.pending.onSnapshot) {
          if (this.needsPool(mayBlock)) return "pending"
          base = this.snapshotValue()
        }
        this.overlayAt++
        const value = this.settle(own!, base)
        const key = this.leave()
        if (value !== undefined) return this.yield(key, value)
        this.walked?.advance(key)
        continue
      }
      if (this.rangeDeletes?.cover(this.keyspaceId, this.snapshotKey) === true) {
        // Not as an argument: where nothing is remembered it would not be evaluated.
        const hidden = this.leave()
        this.walked?.advance(hidden)
        continue
      }
      if (this.bounds.keysOnly === true) {
        this.noteExpiry()
        return this.yield(this.leave(), noBytes)
      }
      if (this.needsPool(mayBlock)) return "pending"
      const value = this.snapshotValue()
      return this.yield(this.leave(), value)
    }
  }

  /** What `advance` was stopped by. */
  get bring(): Effect.Effect<void, FileReadError> {
    return Effect.suspend(() => {
      const { reader } = this
      if (this.state === "pending") {
        const { need, slot } = reader.pending!
        const { tables } = this.tx.shared.reads
        return tables.retried(tables.readLeafPooled(slot, need.leaf, reader.keepsBlock())).pipe(
          Effect.mapError(fromReadFailure),
          Effect.flatMap((block) =>
            // The lease may have ended on the way: what the reader stands on is pinned no more, and the next `advance` says so.
            this.ended ? Effect.void : Effect.try({ try: () => this.moved(reader.supply(block, false)), catch: fromReadFailure })
          )
        )
      }
      return Effect.map(Effect.mapError(this.tx.shared.reads.tables.retried(reader.valuePooled()), fromReadFailure), (value) => {
        this.broughtValue = value
      })
    })
  }

  private moved(to: "entry" | "end" | "pending"): void {
    this.state = to
    if (to === "entry") {
      this.snapshotKey = this.reader.key(this.tx.shared.reads.slab)
      this.broughtValue = undefined
    }
  }

  /** Whether the value of the entry has to be brought: it may not be read here, or cannot be just now. */
  private needsPool(mayBlock: boolean): boolean {
    const { reader } = this
    if (!reader.isPointer || this.broughtValue !== undefined) return false
    if (!mayBlock) return true
    if (!reader.mayWait) return false
    try {
      this.broughtValue = reader.value(this.tx.shared.reads.slab)
      return false
    } catch (cause) {
      if (mayPass(cause)) return true
      throw cause
    }
  }

  /** Who walks it can wait for what cannot be read just now. */
  mayWait(): void {
    this.reader.mayWait = true
  }

  private noteExpiry(): void {
    if (this.walked !== undefined && this.reader.expiresAt !== 0)
      this.tx.readSet().noteExpiry(this.reader.expiresAt, this.keyspaceId, this.snapshotKey)
  }

  private snapshotValue(): Uint8Array {
    this.noteExpiry()
    return this.broughtValue ?? this.reader.value(this.tx.shared.reads.slab)
  }

  /** Done with the snapshot's entry. */
  private leave(): Uint8Array {
    this.state = "stale"
    return this.snapshotKey
  }

  private settle(own: OverlaidKey, base: Uint8Array | undefined): Uint8Array | undefined {
    return this.tx.settle(own.pending, () => base)?.slice()
  }

  private compare(a: Uint8Array, b: Uint8Array): number {
    return this.bounds.reverse ? compareBytes(b, a) : compareBytes(a, b)
  }

  private yield(key: Uint8Array, value: Uint8Array): "entry" {
    this.key = key
    this.value = this.bounds.keysOnly === true ? noBytes : value
    this.left--
    // A key of its own, too: that the snapshot has nothing before it was read.
    this.walked?.advance(key)
    return "entry"
  }

  private finish(wholly: boolean): "end" {
    if (wholly) this.walked?.finish()
    this.left = 0
    return "end"
  }
}
