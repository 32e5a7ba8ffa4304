import * as Effect from "effect/Effect"
import type { BatchError, CommitFailure } from "../../domain/errors.ts"
import type { WriteResult } from "../../services/Database.ts"

/** A batch of the engine's own rows: what could be wrong with it would be our fault, it holds no atomic operation, and so reads nothing. */
export const ownRows = (written: Effect.Effect<WriteResult, BatchError>): Effect.Effect<WriteResult, CommitFailure> =>
  Effect.catchTags(written, {
    AtomicOperationFailed: Effect.die,
    InvalidKey: Effect.die,
    InvalidValue: Effect.die,
    InvalidBatch: Effect.die,
    InvalidOptions: Effect.die,
    KeyspaceNotFound: Effect.die,
    KeyspaceDropped: Effect.die,
    BatchTooLarge: Effect.die,
    CorruptFile: Effect.die,
    UnsupportedFormat: Effect.die,
    PermissionDenied: Effect.die,
    DiskError: Effect.die
  })
