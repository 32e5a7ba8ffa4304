import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Cause from "effect/Cause"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import {
  AtomicOperationFailed,
  InvalidKey,
  InvalidRange,
  TooManySnapshots,
  TransactionFinished,
  TransactionTooLarge,
  TransactionTooOld,
  type TransactionReadError,
  type TransactionScanError
} from "../../domain/errors.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { AtomicChain } from "../../domain/transaction/WriteSet.ts"
import type { Entry, Key, ScanRange } from "../../services/Database.ts"
import type { TransactionReads } from "../../services/Transaction.ts"
import { readError } from "../reading/makeReads.ts"
import { PointState } from "../reading/PointReader.ts"
import { findPooled, type FoundPoint } from "./findPoint.ts"
import type { OpenTransaction } from "./OpenTransaction.ts"
import { TransactionScan } from "./TransactionScan.ts"

const isOwnError = (cause: unknown): cause is TransactionFinished | TransactionTooLarge | TransactionTooOld | AtomicOperationFailed =>
  cause instanceof TransactionFinished ||
  cause instanceof TransactionTooLarge ||
  cause instanceof TransactionTooOld ||
  cause instanceof AtomicOperationFailed

export const transactionReadError = (cause: unknown): TransactionReadError => (isOwnError(cause) ? cause : readError(cause))

export const transactionScanError = (cause: unknown): TransactionScanError =>
  cause instanceof InvalidRange || cause instanceof TooManySnapshots ? cause : transactionReadError(cause)

/** Runs it with what it throws as typed errors, thrown too. */
const typed = <A>(run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw transactionReadError(cause)
  }
}

/**
 * The reads of a transaction in one keyspace. Its functions may be taken off and handed around, so each is a getter that binds; nothing is made for those that are not used.
 */
export class TransactionReading implements TransactionReads {
  protected readonly tx: OpenTransaction
  protected readonly keyspaceId: number
  protected readonly seed: number
  /** Whether what is read here is validated at commit. */
  private readonly remembered: boolean

  constructor(tx: OpenTransaction, keyspaceId: number, remembered: boolean) {
    this.tx = tx
    this.keyspaceId = keyspaceId
    this.seed = tx.seedOf(keyspaceId)
    this.remembered = remembered && tx.remembersReads
  }

  get get(): TransactionReads["get"] {
    return (key) => Effect.suspend(() => this.pointEffect(key))
  }

  get getText(): TransactionReads["getText"] {
    return (key) => Effect.map(this.get(key), (value) => (value === undefined ? undefined : decodeText(value)))
  }

  get has(): TransactionReads["has"] {
    return (key) => Effect.map(this.get(key), (value) => value !== undefined)
  }

  get getMany(): TransactionReads["getMany"] {
    return (keys) =>
      Effect.suspend(() => {
        try {
          if (this.tx.shared.reads.tables.readsAreFast()) return Effect.succeed(this.many(keys))
          demandKeys(keys)
        } catch (cause) {
          if (!mayPass(cause)) return Effect.fail(transactionReadError(cause))
        }
        return Effect.forEach(keys, (key) => this.pointEffect(key))
      })
  }

  get scan(): TransactionReads["scan"] {
    return (range) => this.stream(range)
  }

  // --- Synchronous, for `unsafe` too. They throw the public errors.

  /** Throws what reading throws. */
  point(key: Key): Uint8Array | undefined {
    return typed(() => this.find(key))
  }

  many(keys: ReadonlyArray<Key>): Array<Uint8Array | undefined> {
    return typed(() => {
      this.tx.check()
      demandKeys(keys)
      return keys.map((key) => this.find(key))
    })
  }

  *entries(range?: ScanRange): IterableIterator<[Uint8Array, Uint8Array]> {
    let scan: TransactionScan
    try {
      scan = this.openScan(range)
    } catch (cause) {
      throw transactionScanError(cause)
    }
    try {
      for (;;) {
        const more = typed(() => {
          this.tx.check()
          return scan.advance(true)
        })
        if (more === "end") return
        yield [scan.key, scan.value]
      }
    } finally {
      scan.end()
    }
  }

  private openScan(range: ScanRange | undefined): TransactionScan {
    this.tx.check()
    this.tx.looked = true
    return new TransactionScan(this.tx, this.keyspaceId, range, this.remembered)
  }

  private find(key: Key): Uint8Array | undefined {
    const { remembered, tx } = this
    tx.check()
    tx.looked = true
    const { encoder } = tx.shared.reads
    encoder.encode(key)
    const { bytes, end, start } = encoder
    const hash = keyHash(this.seed, bytes, start, end)
    const pending = tx.writes?.pending(this.keyspaceId, hash, bytes, start, end)
    if (pending !== undefined) {
      if (!(pending instanceof AtomicChain)) return typeof pending === "symbol" ? undefined : pending.slice()
      if (!pending.onSnapshot) return tx.settle(pending, nothing)?.slice()
    }
    if (remembered) this.remember(hash, bytes, start, end)
    const found = this.onSnapshot(hash, bytes, start, end)
    return pending === undefined ? found : tx.settle(pending, () => found)?.slice()
  }

  /** The snapshot's value, a copy. Not by way of the value cache: what transactions read they mostly write, too, and that only churns it. */
  private onSnapshot(hash: number, bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const { keyspaceId, tx } = this
    const { point, slab, tables } = tx.shared.reads
    const state = point.lookup(tx, keyspaceId, hash, bytes, start, end, true, undefined)
    if (state === PointState.missing) return undefined
    if (point.expiresAt !== 0 && this.remembered) tx.readSet().noteExpiry(point.expiresAt, keyspaceId, copyOf(bytes, start, end))
    return state === PointState.pointer ? tables.readValue(point.bytes, point.start, point.end) : slab.copy(point.bytes, point.start, point.end)
  }

  private remember(hash: number, bytes: Uint8Array, start: number, end: number): void {
    const reads = this.tx.readSet()
    if (!reads.hasPoint(this.keyspaceId, hash, bytes, start, end))
      reads.addPoint(this.keyspaceId, hash, this.tx.shared.reads.slab.copy(bytes, start, end))
  }

  private pointEffect(key: Key): Effect.Effect<Uint8Array | undefined, TransactionReadError> {
    try {
      if (this.tx.shared.reads.tables.readsAreFast()) return Effect.succeed(this.find(key))
      return this.cold(key)
    } catch (cause) {
      return mayPass(cause) ? Effect.suspend(() => this.coldEffect(key)) : Effect.fail(transactionReadError(cause))
    }
  }

  private coldEffect(key: Key): Effect.Effect<Uint8Array | undefined, TransactionReadError> {
    try {
      return this.cold(key)
    } catch (cause) {
      return Effect.fail(transactionReadError(cause))
    }
  }

  /** Without blocking. What it reads from is pinned meanwhile; own writes are those of this moment. Throws what checking throws. */
  private cold(key: Key): Effect.Effect<Uint8Array | undefined, TransactionReadError> {
    const { keyspaceId, remembered, tx } = this
    tx.check()
    tx.looked = true
    const { encoder, point, tables } = tx.shared.reads
    encoder.encode(key)
    // The encoder is shared, and this waits: the bytes must be ours.
    const bytes = copyOf(encoder.bytes, encoder.start, encoder.end)
    const hash = keyHash(this.seed, bytes, 0, bytes.length)
    const pending = tx.writes?.pending(keyspaceId, hash, bytes, 0, bytes.length)
    if (pending !== undefined && !(pending instanceof AtomicChain && pending.onSnapshot)) return Effect.succeed(tx.settle(pending, nothing)?.slice())
    if (remembered) this.remember(hash, bytes, 0, bytes.length)
    return Effect.acquireUseRelease(
      Effect.sync(() => ({
        release: tx.shared.memtables.hold(),
        view: { memtables: tx.memtables, version: tables.pin(), sequence: tx.sequence, timeMs: tx.timeMs }
      })),
      ({ view }) =>
        Effect.flatMap(findPooled(tables, point, view, keyspaceId, hash, bytes), ({ expiresAt, value }: FoundPoint) => {
          try {
            tx.check()
            if (remembered && expiresAt !== 0) tx.readSet().noteExpiry(expiresAt, keyspaceId, bytes)
            return Effect.succeed(pending === undefined ? value : tx.settle(pending, () => value)?.slice())
          } catch (cause) {
            return Effect.fail(transactionReadError(cause))
          }
        }),
      ({ release, view }) =>
        Effect.sync(() => {
          tables.unpin(view.version)
          release()
        })
    )
  }

  private stream(range: ScanRange | undefined): Stream.Stream<Entry, TransactionScanError> {
    // Uninterruptible until the scan has its finalizer; the pulls it returns are not.
    return Stream.scoped(
      Stream.fromPull(
        Effect.uninterruptible(
          Effect.suspend(() => {
            let scan: TransactionScan
            try {
              scan = this.openScan(range)
              scan.mayWait()
            } catch (cause) {
              // Told at the first pull, so that the stream's type is all a caller has to look at.
              return Effect.succeed(Effect.fail(transactionScanError(cause)))
            }
            return Effect.as(
              Effect.addFinalizer(() => Effect.sync(() => scan.end())),
              this.pulls(scan)
            )
          })
        )
      )
    )
  }

  private pulls(scan: TransactionScan): Effect.Effect<readonly [Entry, ...Array<Entry>], TransactionScanError | Cause.Done> {
    // Chunks grow from one entry on: what a consumer takes too much of would count as read, too.
    let size = 1
    const fill = (entries: Array<Entry>): Effect.Effect<readonly [Entry, ...Array<Entry>], TransactionScanError | Cause.Done> => {
      try {
        const mayBlock = this.tx.shared.reads.tables.readsAreFast()
        while (entries.length < size) {
          this.tx.check()
          const state = scan.advance(mayBlock)
          if (state === "end") break
          if (state === "pending") return Effect.flatMap(Effect.mapError(scan.bring, transactionReadError), () => fill(entries))
          entries.push({ key: scan.key, value: scan.value })
        }
      } catch (cause) {
        return Effect.fail(transactionReadError(cause))
      }
      size = Math.min(size * 2, 256)
      return entries.length > 0 ? Effect.succeed(entries as [Entry, ...Array<Entry>]) : Cause.done()
    }
    return Effect.suspend(() => fill([]))
  }
}

const nothing = () => undefined

/** Throws `InvalidKey` where it is no list: a string has a length, too. */
const demandKeys = (keys: unknown): void => {
  if (!Array.isArray(keys)) throw new InvalidKey({ reason: "WrongType", found: `${describeType(keys)} where a list of keys belongs` })
}
