import * as Effect from "effect/Effect"
import type { WriteResult } from "../../services/Database.ts"
import type { DatabaseShape } from "../../services/Database.ts"
import type { BeginOptions, TransactionHandle } from "../../services/Transaction.ts"
import { inOwnScope } from "./inOwnScope.ts"
import type { PlainHost } from "./PlainHost.ts"
import type { PlainTransactionHandle } from "./PlainTransaction.ts"
import { TransactionView } from "./TransactionView.ts"

class HandleView extends TransactionView implements PlainTransactionHandle {
  readonly #handle: TransactionHandle
  readonly #close: () => Promise<void>

  constructor(host: PlainHost, handle: TransactionHandle, close: () => Promise<void>) {
    super(host, handle)
    this.#handle = handle
    this.#close = close
  }

  async commit(): Promise<WriteResult> {
    try {
      return await this.host.run(() => this.#handle.commit)
    } finally {
      await this.#end()
    }
  }

  async rollback(): Promise<void> {
    await this.host.release(this.#handle.rollback)
    await this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end()
  }

  async #end(): Promise<void> {
    await this.#close()
    this.ended()
  }
}

/** A transaction in a scope of its own within the database's, which ends with it. */
export const beginPlain = (host: PlainHost, db: DatabaseShape, options: BeginOptions | undefined): Promise<PlainTransactionHandle> =>
  inOwnScope(
    host,
    Effect.suspend(() => db.begin(options)),
    (handle, close) => new HandleView(host, handle, close)
  )
