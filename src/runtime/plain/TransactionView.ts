import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Expiry, Key, ScanRange, Value, WriteOperation } from "../../services/Database.ts"
import type { Transaction, TransactionRange, TransactionSpace, UnsafeTransactionSpace } from "../../services/Transaction.ts"
import type { PlainHost } from "./PlainHost.ts"
import type { PlainTransaction, PlainTransactionReads, PlainTransactionSpace } from "./PlainTransaction.ts"

/** A class, not an object of closures: one is made for every run of a body. */
export class SpaceView implements PlainTransactionSpace {
  protected readonly host: PlainHost
  readonly #space: TransactionSpace

  constructor(host: PlainHost, space: TransactionSpace) {
    this.host = host
    this.#space = space
  }

  get #unsafe(): UnsafeTransactionSpace {
    this.host.check()
    return this.#space.unsafe
  }

  get(key: Key): Uint8Array | undefined {
    return this.#unsafe.get(key)
  }

  getText(key: Key): string | undefined {
    return this.#unsafe.getText(key)
  }

  getMany(keys: ReadonlyArray<Key>): Array<Uint8Array | undefined> {
    return this.#unsafe.getMany(keys)
  }

  has(key: Key): boolean {
    return this.#unsafe.has(key)
  }

  entries(range?: ScanRange): IterableIterator<[Uint8Array, Uint8Array]> {
    return this.#unsafe.entries(range)
  }

  get peek(): PlainTransactionReads {
    return this.#unsafe.peek
  }

  put(key: Key, value: Value, expiry?: Expiry): void {
    this.#unsafe.put(key, value, expiry)
  }

  delete(key: Key): void {
    this.#unsafe.delete(key)
  }

  deleteRange(range: TransactionRange): void {
    this.#unsafe.deleteRange(range)
  }

  write(operations: ReadonlyArray<WriteOperation>): void {
    this.#unsafe.write(operations)
  }

  addReadConflict(range: TransactionRange): void {
    this.host.runSync(this.#space.addReadConflict(range))
  }

  addWriteConflict(range: TransactionRange): void {
    this.host.runSync(this.#space.addWriteConflict(range))
  }
}

export class TransactionView extends SpaceView implements PlainTransaction {
  readonly #transaction: Transaction
  /** Calls of `lock` that have not answered. Each is a fiber of its own, which the end of the transaction does not interrupt. */
  #waiting: Set<Fiber.Fiber<void, unknown>> | undefined

  constructor(host: PlainHost, transaction: Transaction) {
    super(host, transaction)
    this.#transaction = transaction
  }

  get sequence(): number {
    return this.#transaction.sequence
  }

  keyspace(name: string): PlainTransactionSpace {
    return new SpaceView(this.host, this.host.runSync(this.#transaction.keyspace(name)))
  }

  savepoint(name: string): void {
    this.host.runSync(this.#transaction.savepoint(name))
  }

  rollbackTo(name: string): void {
    this.host.runSync(this.#transaction.rollbackTo(name))
  }

  lock(...asked: Parameters<PlainTransaction["lock"]>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.host.check()
      const fiber: Fiber.Fiber<void, unknown> = this.host.fork(this.#transaction.lock(...asked))
      const waiting = (this.#waiting ??= new Set())
      waiting.add(fiber)
      const forget = this.host.onClose(() => fiber.interruptUnsafe())
      fiber.addObserver((exit) => {
        waiting.delete(fiber)
        forget()
        if (Exit.isSuccess(exit)) resolve()
        else if (!Cause.hasInterruptsOnly(exit.cause)) reject(Cause.squash(exit.cause))
        // Interrupted by what ended the transaction: any use of it says why.
        else this.host.run(() => Effect.andThen(this.#transaction.savepoint(""), Effect.failCause(exit.cause))).catch(reject)
      })
    })
  }

  /** The transaction is over: so is the waiting for its locks. */
  ended(): void {
    if (this.#waiting !== undefined) for (const fiber of this.#waiting) fiber.interruptUnsafe()
  }

  annotate(annotation: Value): void {
    this.host.runSync(this.#transaction.annotate(annotation))
  }
}
