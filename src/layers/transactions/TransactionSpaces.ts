import * as Effect from "effect/Effect"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import { expiresAtOf } from "../../domain/batch/expiry.ts"
import type { UncheckedOperation } from "../../domain/batch/normalise.ts"
import {
  InvalidBatch,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidOptions,
  InvalidRange,
  InvalidValue,
  KeyspaceNotFound,
  SavepointNotFound,
  TransactionFinished,
  TransactionTooLarge,
  type TransactionWriteError
} from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { isBytes, KeyEncoder } from "../../domain/keys/encodeKey.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import { isAtomicType, readAtomic } from "../../domain/transaction/atomic.ts"
import { type PendingWrite, WriteKind } from "../../domain/transaction/WriteSet.ts"
import type { Expiry, Key, Value, WriteOperation } from "../../services/Database.ts"
import type { Transaction, TransactionRange, TransactionReads, TransactionSpace, UnsafeTransactionSpace } from "../../services/Transaction.ts"
import { keyspaceNameBytes } from "../keyspaceNames.ts"
import { lockKeys } from "./lockKeys.ts"
import type { JoinedFrame, OpenTransaction } from "./OpenTransaction.ts"
import { rangeOf } from "./rangeOf.ts"
import { TransactionReading } from "./TransactionReading.ts"
import { UnsafeSpaceView } from "./UnsafeViews.ts"
import { annotationBytes, demandExpiry } from "./writeOptions.ts"

const noBytes = new Uint8Array(0)

type AnyWriteError = TransactionWriteError | InvalidKeyspaceName | KeyspaceNotFound | SavepointNotFound

const isTyped = <E extends AnyWriteError>(cause: unknown): cause is E =>
  cause instanceof InvalidKey ||
  cause instanceof InvalidValue ||
  cause instanceof InvalidRange ||
  cause instanceof InvalidBatch ||
  cause instanceof InvalidOptions ||
  cause instanceof InvalidKeyspaceName ||
  cause instanceof KeyspaceNotFound ||
  cause instanceof SavepointNotFound ||
  cause instanceof TransactionFinished ||
  cause instanceof TransactionTooLarge

/** One step, which throws only what `E` names. */
const step = <A, E extends AnyWriteError = TransactionWriteError>(run: () => A): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      if (isTyped<E>(cause)) return Effect.fail(cause)
      throw cause
    }
  })

/** Values are turned into bytes here: a scratch of its own, as keys lie in the shared one meanwhile. */
const values = new KeyEncoder()

/** A transaction in one keyspace. Getters that bind, as in `TransactionReading`. */
export class TransactionSpaceView extends TransactionReading implements TransactionSpace {
  /** Where this is the view of one that joined another. */
  protected readonly frame: JoinedFrame | undefined
  private unsafeView: UnsafeSpaceView | undefined = undefined

  constructor(tx: OpenTransaction, keyspaceId: number, frame: JoinedFrame | undefined) {
    super(tx, keyspaceId, true)
    this.frame = frame
  }

  get put(): TransactionSpace["put"] {
    return (key, value, expiry) => step(() => this.putNow(key, value, expiry))
  }

  get delete(): TransactionSpace["delete"] {
    return (key) => step(() => this.deleteNow(key))
  }

  get deleteRange(): TransactionSpace["deleteRange"] {
    return (range) => step(() => this.addRange(WriteKind.deleteRange, range))
  }

  get write(): TransactionSpace["write"] {
    return (operations) => step(() => this.writeNow(operations))
  }

  get peek(): TransactionReads {
    return this.peeking()
  }

  get addReadConflict(): TransactionSpace["addReadConflict"] {
    return (range) =>
      step(() => {
        this.tx.checkOpenState()
        const bounds = rangeOf(range)
        if (bounds !== undefined) this.tx.readSet().addRange(this.keyspaceId, bounds.start, bounds.end)
      })
  }

  get addWriteConflict(): TransactionSpace["addWriteConflict"] {
    return (range) => step(() => this.addRange(WriteKind.conflict, range))
  }

  get unsafe(): UnsafeTransactionSpace {
    return (this.unsafeView ??= new UnsafeSpaceView(this))
  }

  peeking(): TransactionReading {
    return new TransactionReading(this.tx, this.keyspaceId, false)
  }

  // --- Synchronous, for `unsafe` too. They throw the public errors.

  putNow(key: Key, value: Value, expiry: Expiry | undefined): void {
    const { tx } = this
    tx.checkOpenState()
    if (expiry !== undefined) {
      demandExpiry(expiry)
      return this.addExpiring(key, value, expiry, undefined)
    }
    const { options, reads } = tx.shared
    const { encoder, slab } = reads
    encoder.encode(key)
    values.clear()
    values.appendValue(value, options.valueBytesMax)
    this.add(
      this.pointWrite(WriteKind.put, keyHash(this.seed, encoder.bytes, encoder.start, encoder.end), slab.copy(values.bytes, values.start, values.end))
    )
  }

  deleteNow(key: Key): void {
    const { tx } = this
    tx.checkOpenState()
    const { encoder } = tx.shared.reads
    encoder.encode(key)
    this.add(this.pointWrite(WriteKind.delete, keyHash(this.seed, encoder.bytes, encoder.start, encoder.end), undefined))
  }

  /** Throws `TransactionTooLarge`. */
  private add(write: PendingWrite): void {
    this.tx.add(write, this.frame)
  }

  /** Of the key in the shared encoder. */
  private pointWrite(
    kind: WriteKind,
    hash: number,
    value: Uint8Array | undefined,
    atomic?: PendingWrite["atomic"],
    operation?: UncheckedOperation
  ): PendingWrite {
    const { encoder, slab } = this.tx.shared.reads
    const { bytes, end, start } = encoder
    const key = this.tx.reads?.keyOf(this.keyspaceId, hash, bytes, start, end) ?? slab.copy(bytes, start, end)
    return { kind, keyspace: this.keyspaceId, hash, key, value, atomic, operation }
  }

  /** `index` in its batch; undefined where it is by itself. */
  private addExpiring(key: unknown, value: unknown, expiry: UncheckedOperation, index: number | undefined): void {
    const { tx } = this
    // By the snapshot's time, as its reads go; when it really expires is settled at the commit.
    const expiresAt = expiresAtOf(expiry, tx.timeMs)
    if (typeof expiresAt === "string") throw new InvalidBatch({ index, detail: expiresAt })
    const { options, reads } = tx.shared
    const { encoder, slab } = reads
    encoder.encode(key)
    values.clear()
    values.appendValue(value, options.valueBytesMax)
    const own = slab.copy(values.bytes, values.start, values.end)
    const hash = keyHash(this.seed, encoder.bytes, encoder.start, encoder.end)
    const isThere = expiresAt === 0 || expiresAt > tx.timeMs
    const { expiresAt: at, ttl } = expiry
    const write = this.pointWrite(WriteKind.put, hash, isThere ? own : undefined)
    this.add({ ...write, operation: { type: "put", key: write.key, value: own, ttl, expiresAt: at instanceof Date ? at.getTime() : at } })
  }

  addRange(kind: WriteKind, range: TransactionRange): void {
    const { tx } = this
    tx.checkOpenState()
    const bounds = rangeOf(range)
    if (bounds === undefined) return
    this.add({ kind, keyspace: this.keyspaceId, hash: 0, key: bounds.start, value: bounds.end, atomic: undefined, operation: undefined })
  }

  /** All of the operations or none. */
  writeNow(operations: ReadonlyArray<WriteOperation>): void {
    const { tx } = this
    tx.checkOpenState()
    if (!Array.isArray(operations)) throw new InvalidBatch({ detail: `it is ${describeType(operations)}. Use an array of operations.` })
    const list: ReadonlyArray<unknown> = operations
    const before = tx.position
    let index = 0
    try {
      for (; index < list.length; index++) this.addOperation(list[index], index)
    } catch (cause) {
      tx.writes?.rollbackTo(before)
      if (cause instanceof InvalidKey) throw new InvalidKey({ reason: cause.reason, lengthBytes: cause.lengthBytes, found: cause.found, index })
      if (cause instanceof InvalidValue)
        throw new InvalidValue({ reason: cause.reason, lengthBytes: cause.lengthBytes, bytesMax: cause.bytesMax, found: cause.found, index })
      if (cause instanceof InvalidRange) throw new InvalidBatch({ index, detail: cause.detail.endsWith(".") ? cause.detail : `${cause.detail}.` })
      // Of an atomic operation it has the place in the transaction.
      if (cause instanceof InvalidBatch) throw new InvalidBatch({ index, detail: cause.detail })
      throw cause
    }
  }

  private addOperation(given: unknown, index: number): void {
    if (typeof given !== "object" || given === null) throw new InvalidBatch({ index, detail: `it is ${describeType(given)}. Use { type, key, … }.` })
    const operation: UncheckedOperation = given
    const { keyspace, type } = operation
    if (keyspace !== undefined) {
      if (typeof keyspace !== "string")
        throw new InvalidBatch({ index, detail: `its keyspace is ${describeType(keyspace)}. Use the name of a keyspace.` })
      const id = this.tx.shared.catalog.idOf(keyspace)
      if (id === undefined) throw new InvalidBatch({ index, detail: `there is no keyspace ${JSON.stringify(keyspace)}.` })
      if (id !== this.keyspaceId) {
        const { keyspace: _, ...rest } = operation
        return new TransactionSpaceView(this.tx, id, this.frame).addOperation(rest, index)
      }
    }
    if (type === "put") this.addExpiring(operation.key, operation.value, operation, index)
    else if (type === "delete") this.deleteNow(operation.key as Key)
    else if (type === "deleteRange") {
      const { gte, lt, prefix } = operation
      this.addRange(WriteKind.deleteRange, (prefix === undefined ? { gte, lt } : { gte, lt, prefix }) as TransactionRange)
    } else if (isAtomicType(type)) this.addAtomic(operation)
    else {
      const found = typeof type === "string" ? JSON.stringify(type.slice(0, 40)) : describeType(type)
      throw new InvalidBatch({ index, detail: `its type is ${found}. Use "put", "delete", "deleteRange", or one of the atomic operations.` })
    }
  }

  private addAtomic(operation: UncheckedOperation): void {
    const { tx } = this
    const { type } = operation
    if (!isAtomicType(type)) return
    const own: UncheckedOperation = {
      ...operation,
      key: ownBytes(operation.key),
      value: ownBytes(operation.value),
      expected: ownBytes(operation.expected),
      suffix: ownBytes(operation.suffix)
    }
    // By its place in the transaction: that is what a versionstamp holds.
    const atomic = readAtomic(type, own, tx.position, tx.shared.options.valueBytesMax)
    const { encoder } = tx.shared.reads
    encoder.encode(own.key)
    const hash = keyHash(this.seed, encoder.bytes, encoder.start, encoder.end)
    if (atomic.type === "versionstampedKey" || atomic.type === "versionstampedValue")
      this.add(this.pointWrite(WriteKind.stamped, hash, undefined, undefined, own))
    else this.add(this.pointWrite(WriteKind.atomic, hash, undefined, atomic, own))
  }
}

const ownBytes = (value: unknown): unknown => (isBytes(value) ? copyOf(value) : value)

/** The transaction itself: its default keyspace, and what concerns it as a whole. */
export class TransactionView extends TransactionSpaceView implements Transaction {
  constructor(tx: OpenTransaction, frame?: JoinedFrame) {
    super(tx, defaultKeyspace, frame)
  }

  get sequence(): number {
    return this.tx.sequence
  }

  get keyspace(): Transaction["keyspace"] {
    return (name) =>
      step<TransactionSpace, InvalidKeyspaceName | KeyspaceNotFound | TransactionFinished>(() => {
        this.tx.checkOpenState()
        keyspaceNameBytes(name)
        const id = this.tx.shared.catalog.idOf(name)
        if (id === undefined) throw new KeyspaceNotFound({ name })
        return new TransactionSpaceView(this.tx, id, this.frame)
      })
  }

  get savepoint(): Transaction["savepoint"] {
    return (name) =>
      step<void, TransactionFinished>(() => {
        this.tx.checkOpenState()
        this.tx.savepoint(name, this.frame)
      })
  }

  get rollbackTo(): Transaction["rollbackTo"] {
    return (name) =>
      step<void, SavepointNotFound | TransactionFinished>(() => {
        this.tx.checkOpenState()
        this.tx.rollbackTo(name)
      })
  }

  get lock(): Transaction["lock"] {
    return (keys, options) => lockKeys(this.tx, keys, options)
  }

  get annotate(): Transaction["annotate"] {
    return (annotation) =>
      step(() => {
        this.tx.checkOpenState()
        const bytes = annotationBytes(annotation)
        this.tx.annotation = bytes.length === 0 ? noBytes : copyOf(bytes)
      })
  }
}
