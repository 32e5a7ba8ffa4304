import {
  DatabaseClosed,
  DatabaseFailed,
  fromReadFailure,
  type Gone,
  KeyspaceDropped,
  type ListError,
  type SnapshotError,
  TooManySnapshots
} from "../../domain/errors.ts"

const isGone = (cause: unknown): cause is Gone => cause instanceof DatabaseClosed || cause instanceof DatabaseFailed

/** What asking whether there is a database may throw. Defects pass through. */
export const goneError = (cause: unknown): Gone => {
  if (isGone(cause)) return cause
  throw cause
}

/** What opening a snapshot may throw. Defects pass through. */
export const snapshotError = (cause: unknown): SnapshotError =>
  cause instanceof TooManySnapshots || cause instanceof KeyspaceDropped ? cause : goneError(cause)

/** What reading that names no key may throw. Defects pass through. */
export const listError = (cause: unknown): ListError => (isGone(cause) ? cause : fromReadFailure(cause))
