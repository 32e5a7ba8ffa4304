import type { TransactionStats } from "../../services/Transaction.ts"

/** A reader has none. */
export const noTransactions: TransactionStats = {
  open: 0,
  oldestAgeMs: undefined,
  committed: 0,
  readOnly: 0,
  rolledBack: 0,
  conflicts: 0,
  retries: 0,
  abandoned: 0,
  locksHeld: 0,
  locksWaiting: 0,
  validationBytes: 0
}
