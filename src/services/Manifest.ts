/**
 * The ordered list of structural edits: which segments, tables and value files make up the database.
 *
 * Promises: edits are durable one after the other, in call order; `state()` is what a recovery would read. After a failed append nothing more is appended to that file. An edit
 * that finds no room waits for some, and those behind it with it; any other failure, a failed sync above all, ends writing for good. Edits are applied to `state()` only once durable, in the same synchronous step in which the caller goes on.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { DatabaseFailed, DatabasePoisoned, DiskFull, LockLost } from "../domain/errors.ts"
import type { ManifestEdit } from "../domain/manifest/ManifestEdit.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"

/** `DiskFull` only where the database stops while the edit still waits for room: nothing of it counts. */
export type ManifestError = DatabaseFailed | DatabasePoisoned | LockLost | DiskFull

export class Manifest extends Context.Service<
  Manifest,
  {
    readonly state: () => ManifestState
    /**
     * Appends one edit and returns once it is durable. `edit` is built inside the queue, from the state of that moment; `undefined` means there is nothing to do any more.
     * `applied` runs in the synchronous step in which the new state becomes current.
     */
    readonly commit: (
      edit: (state: ManifestState) => ManifestEdit | undefined,
      applied?: (state: ManifestState) => void
    ) => Effect.Effect<void, ManifestError>
    /** A file id never used before. Fails only when the manifest can no longer be written. */
    readonly takeFileIds: (count: number) => Effect.Effect<ReadonlyArray<number>, ManifestError>
    /** Bytes of the current manifest file. */
    readonly diskBytes: () => number
    /** Whether `CURRENT` is still the one this open wrote. Two system calls. */
    readonly stillOurs: () => boolean
  }
>()("lightning-db/services/Manifest") {}
