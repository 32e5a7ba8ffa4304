import * as Context from "effect/Context"
import type { JoinedFrame, OpenTransaction } from "./OpenTransaction.ts"
import type { TransactionShared } from "./TransactionShared.ts"

/** The transactions in whose bodies a fiber runs, the innermost first: one per database at most. */
export interface Enclosing {
  readonly shared: TransactionShared
  readonly tx: OpenTransaction
  /** Where that one was joined. */
  readonly frame: JoinedFrame | undefined
  readonly outer: Enclosing | undefined
}

export const EnclosingTransactions = Context.Reference<Enclosing | undefined>("lightning-db/layers/EnclosingTransactions", {
  defaultValue: () => undefined
})

/** The one of this database, as long as it is open. */
export const enclosingIn = (shared: TransactionShared, innermost: Enclosing | undefined): Enclosing | undefined => {
  for (let at = innermost; at !== undefined; at = at.outer) if (at.shared === shared) return at.tx.state === "open" ? at : undefined
  return undefined
}
