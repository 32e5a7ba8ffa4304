/**
 * Restore points: checkpoints with a name, a version and a note of what they are, beside the database. Each is a database of its own in a directory, whose tables and value files are
 * hard links where the file system has them; a restore point so takes space only for what the database itself has given up since.
 */
import type * as Effect from "effect/Effect"
import type {
  CorruptFile,
  CreateRestorePointError,
  ListError,
  RemoveRestorePointError,
  RestorePointReadError,
  UnsupportedFormat
} from "../domain/errors.ts"
import type { VerifyReport } from "./Database.ts"
import type { WorkOptions } from "./WorkProgress.ts"

export interface RestorePoint {
  /** What names this one and no other: `nightly@1` is the first of that name. */
  readonly id: string
  readonly name: string
  /** From 1, per name. */
  readonly version: number
  /** Its directory, which can be opened like any database (with `readOnly`: one that was written to is no restore point any more). */
  readonly path: string
  /** The last commit in it. */
  readonly sequence: number
  /** Engine time when it was made: ms since 1970. */
  readonly createdAtMs: number
  /** May be empty. */
  readonly reason: string
  readonly files: number
  /** Of all its files; where they are links, mostly shared with the database. */
  readonly bytes: number
}

export interface RestorePointList {
  /** Oldest first. */
  readonly points: ReadonlyArray<RestorePoint>
  /** Those whose own note cannot be believed: never restored from, and removed like any other. */
  readonly damaged: ReadonlyArray<{ readonly id: string; readonly path: string; readonly error: CorruptFile | UnsupportedFormat }>
}

export interface CreateRestorePoint {
  /** 1 to 100 characters: letters, digits, ".", "_", "-". A name that is taken gets its next version. */
  readonly name: string
  /** Why: for whoever reads the list. At most 4 KiB. */
  readonly reason?: string | undefined
  /** Of this name only so many of the newest stay, this one included. Default: all. */
  readonly keep?: number | undefined
}

/** Part of a database. A reference is a name, for its newest version, or a name with a version: `nightly@2` (`nightly@1` is the first). */
export interface RestorePoints {
  /** Of a moment after the call; everything acknowledged before is in it. It is there whole, or not at all, whenever the process or the machine stops. */
  readonly createRestorePoint: (options: CreateRestorePoint) => Effect.Effect<RestorePoint, CreateRestorePointError>
  readonly restorePoints: Effect.Effect<RestorePointList, ListError>
  /** Reads and checks every block of it. Fails with the first damage. */
  readonly verifyRestorePoint: (reference: string, options?: WorkOptions) => Effect.Effect<VerifyReport, RestorePointReadError>
  /** Removes one; of a name with several versions, it must say which. Gives back the space that nothing else shares. */
  readonly removeRestorePoint: (reference: string) => Effect.Effect<void, RemoveRestorePointError>
}
