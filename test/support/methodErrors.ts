/** What each public method can end with: one table, which the compiler holds the types to, and the tests what the methods do. */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { DatabaseShape, Snapshot } from "../../src/services/Database.ts"
import type { Transaction, TransactionHandle } from "../../src/services/Transaction.ts"

type ErrorOf<Method> =
  Method extends Effect.Effect<infer _A, infer E, infer _R>
    ? E
    : Method extends Stream.Stream<infer _A, infer E, infer _R>
      ? E
      : Method extends (...args: never) => infer Answer
        ? ErrorOf<Answer>
        : never
/** The tags of what the Effect or Stream, or what the function answers with, can fail with. */
export type Tags<Method> = [ErrorOf<Method>] extends [never] ? never : ErrorOf<Method> extends { readonly _tag: infer Tag } ? Tag : never
export type Exactly<A, B> = [A] extends [B]
  ? [B] extends [A]
    ? true
    : { readonly missing: Exclude<A, B> }
  : { readonly extra: Exclude<A, B>; readonly missing: Exclude<B, A> }

const gone = ["DatabaseClosed", "DatabaseFailed"] as const
const fileRead = ["CorruptFile", "UnsupportedFormat", "PermissionDenied", "DiskError"] as const
const read = ["InvalidKey", "KeyspaceDropped", "SnapshotExpired", ...gone, ...fileRead] as const
const commit = [
  ...gone,
  "DatabaseReadOnly",
  "DatabasePoisoned",
  "CommitOutcomeUnknown",
  "LockLost",
  "WriteStalled",
  "TooManyWrites",
  "DiskFull"
] as const
const flush = [...gone, "DatabaseReadOnly", "DatabasePoisoned", "LockLost", "WorkStalled", "JobFailed", "DiskFull", ...fileRead] as const
const erase = ["InvalidKey", "BatchTooLarge", "InvalidOptions", "KeyspaceDropped", ...commit, ...fileRead] as const
const put = [...erase, "InvalidValue"] as const
const write = [...put, "InvalidBatch", "KeyspaceNotFound", "AtomicOperationFailed"] as const
const transaction = [
  ...write,
  "TooManySnapshots",
  "TransactionConflict",
  "TransactionTooOld",
  "TransactionTooLarge",
  "TransactionTimeout",
  "TransactionFinished"
] as const
const follow = ["InvalidKey", "InvalidRange", "HistoryGone", "HistoryDiverged", "FutureMoment", "TooManySnapshots", ...gone, ...fileRead] as const
const cursor = [...commit, ...fileRead, "InvalidOptions", "CursorNotFound", "HistoryGone", "HistoryDiverged", "FutureMoment"] as const
const checkpoint = [...flush, "PathExists", "InvalidOptions"] as const
const pointName = ["RestorePointNotFound", "InvalidRestorePointName"] as const

export const methodTags = {
  get: read,
  getText: read,
  getMany: read,
  has: read,
  scan: [...read, "InvalidRange", "TooManySnapshots"],
  estimate: [...read, "InvalidRange"],
  put,
  delete: erase,
  write,
  /** Besides what its body fails with. */
  transaction,
  begin: ["InvalidOptions", "TooManySnapshots", "DatabaseReadOnly", ...gone],
  snapshot: ["TooManySnapshots", "KeyspaceDropped", ...gone],
  at: ["TooManySnapshots", "KeyspaceDropped", "HistoryGone", "FutureMoment", "InvalidRange", ...gone, ...fileRead],
  history: [...read, "TooManySnapshots", "HistoryGone", "InvalidRange"],
  changes: [...follow, "CursorNotFound", "KeyspaceNotFound", "InvalidKeyspaceName"],
  watch: [...follow, "KeyspaceDropped", "SnapshotExpired"],
  keyspace: [...commit, "InvalidKeyspaceName", "InvalidOptions", "KeyspaceNotFound"],
  dropKeyspace: [...commit, "InvalidKeyspaceName", "KeyspaceNotFound"],
  keyspaces: gone,
  cursors: [...gone, ...fileRead],
  createCursor: cursor,
  advanceCursor: cursor,
  dropCursor: cursor,
  refresh: [...gone, ...fileRead],
  health: [],
  healthEvents: [],
  stats: [],
  flush,
  compact: [...flush, "InvalidKey", "InvalidRange", "InvalidKeyspaceName", "KeyspaceNotFound"],
  checkpoint,
  scrub: ["InvalidOptions", ...gone, ...fileRead],
  verify: [...gone, "WorkStalled", ...fileRead],
  verifyAll: [...gone, "WorkStalled", ...fileRead],
  createRestorePoint: [...checkpoint, "InvalidRestorePointName", "RestorePointsBusy"],
  restorePoints: [...gone, ...fileRead],
  verifyRestorePoint: [...pointName, "RestorePointMismatch", ...gone, ...fileRead],
  removeRestorePoint: [...pointName, "RestorePointsBusy", ...gone, ...fileRead, "DiskFull"]
} as const

type MethodTags = typeof methodTags
/** Parts of the database that are no methods of it. */
type NotAMethod = "unsafe" | "salvage"
declare const database: DatabaseShape
/** The methods, with a body that cannot fail where there is one. */
type Methods = Omit<DatabaseShape, "transaction" | NotAMethod> & { readonly transaction: typeof database.transaction<void, never, never> }

/** One row for each method, and for nothing else; does not compile where a union gains an error that cannot be, or loses one that can. */
export const methodsAreComplete: Exactly<keyof Methods, keyof MethodTags> = true
export const methodsAreExact: { readonly [Name in keyof MethodTags]: Exactly<Tags<Methods[Name]>, MethodTags[Name][number]> } = {
  get: true,
  getText: true,
  getMany: true,
  has: true,
  scan: true,
  estimate: true,
  put: true,
  delete: true,
  write: true,
  transaction: true,
  begin: true,
  snapshot: true,
  at: true,
  history: true,
  changes: true,
  watch: true,
  keyspace: true,
  dropKeyspace: true,
  keyspaces: true,
  cursors: true,
  createCursor: true,
  advanceCursor: true,
  dropCursor: true,
  refresh: true,
  health: true,
  healthEvents: true,
  stats: true,
  flush: true,
  compact: true,
  checkpoint: true,
  scrub: true,
  verify: true,
  verifyAll: true,
  createRestorePoint: true,
  restorePoints: true,
  verifyRestorePoint: true,
  removeRestorePoint: true
}

const inTransaction = [...read, "TransactionFinished", "TransactionTooLarge", "TransactionTooOld", "AtomicOperationFailed"] as const
const gathered = [
  "InvalidKey",
  "InvalidValue",
  "InvalidRange",
  "InvalidBatch",
  "InvalidOptions",
  "TransactionFinished",
  "TransactionTooLarge"
] as const

/** The same for what happens in a transaction, and on snapshots. */
export const transactionTags = {
  get: inTransaction,
  getMany: inTransaction,
  has: inTransaction,
  scan: [...inTransaction, "InvalidRange", "TooManySnapshots"],
  put: gathered,
  delete: gathered,
  write: gathered,
  lock: [
    "InvalidKey",
    "InvalidOptions",
    "TransactionFinished",
    "TransactionTooOld",
    "LockTimeout",
    "LockDeadlock",
    "TooManySnapshots",
    "KeyspaceNotFound",
    ...gone
  ],
  savepoint: ["TransactionFinished"],
  rollbackTo: ["TransactionFinished", "SavepointNotFound"],
  keyspace: ["TransactionFinished", "KeyspaceNotFound", "InvalidKeyspaceName"]
} as const
export const transactionsAreExact: {
  readonly [Name in keyof typeof transactionTags]: Exactly<Tags<Transaction[Name]>, (typeof transactionTags)[Name][number]>
} = {
  get: true,
  getMany: true,
  has: true,
  scan: true,
  put: true,
  delete: true,
  write: true,
  lock: true,
  savepoint: true,
  rollbackTo: true,
  keyspace: true
}
export const handlesAreExact: {
  readonly commit: Exactly<Tags<TransactionHandle["commit"]>, (typeof transaction)[number]>
  readonly rollback: Exactly<Tags<TransactionHandle["rollback"]>, never>
  readonly snapshotKeyspace: Exactly<Tags<Snapshot["keyspace"]>, "KeyspaceNotFound">
} = { commit: true, rollback: true, snapshotKeyspace: true }
