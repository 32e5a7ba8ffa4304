/** The past, as applications read it. */
import type * as Effect from "effect/Effect"
import type { HistoryGone, InvalidKeyspaceName, KeyspaceNotFound, ReadError } from "../domain/errors.ts"
import type { Reads, Snapshot } from "./Database.ts"

/** One version of a key. Bytes belong to the receiver. */
export interface Version {
  readonly sequence: number
  /** `delete` also where a range delete covered it; `expire`: its time was over. */
  readonly type: "put" | "delete" | "expire"
  /** Of a put. */
  readonly value: Uint8Array | undefined
  /** Of a put that expires: engine time in ms. */
  readonly expiresAt: number | undefined
}

export interface HistoryOptions {
  /** Versions from this sequence on, inclusive. Default: the oldest kept. `HistoryGone` where what is asked for goes further back. */
  readonly from?: number | undefined
  /** Versions up to this sequence, inclusive. Default: the newest. */
  readonly to?: number | undefined
  /** The newest first. Default false. */
  readonly reverse?: boolean | undefined
  readonly limit?: number | undefined
}

/**
 * A moment of the past, to read as a snapshot. What expired later is still there: the moment has a time of its own, the second of its last commit. Where that is not known, as no
 * history was kept then, what has expired since may be missing.
 */
export interface PastSnapshot extends Omit<Snapshot, "keyspace"> {
  /** The same moment of another keyspace, by the name it had then; also of one that was dropped since. `HistoryGone` where that keeps less of its past. */
  readonly keyspace: (name: string) => Effect.Effect<Reads, KeyspaceNotFound | InvalidKeyspaceName | HistoryGone | ReadError>
}
