/**
 * How far back each keyspace can be read, and what a flush or compaction may therefore drop. Synchronous.
 *
 * Promise: `historyFrom` of a keyspace never goes back, and is raised in the step in which a job is built that may drop versions below it: who asks afterwards gets `HistoryGone`,
 * whoever asked before has a lease that the job keeps apart.
 */
import * as Context from "effect/Context"
import type { KeySpan } from "../domain/compaction/KeySpan.ts"
import type { Horizon } from "../domain/compaction/stripes.ts"
import type { KeptVersions } from "../domain/history/keptVersions.ts"
import type { KeyspaceSequence } from "../domain/manifest/ManifestEdit.ts"

/** What a job is built with, and what its edit must say. */
export interface JobHistory {
  readonly horizons: ReadonlyArray<Horizon>
  readonly historyFrom: ReadonlyArray<KeyspaceSequence>
  /** How many versions of each key it keeps, for keyspaces with retention by count. */
  readonly versions: ReadonlyMap<number, number>
}

export class Retention extends Context.Service<
  Retention,
  {
    /** By keyspace, the first sequence at which everything is still there; 0 for those that are not in it. Replaced, never changed in place: who holds a lease may keep it. */
    readonly historyFrom: () => ReadonlyMap<number, number>
    /** By keyspace with retention by count, what of its past is there for certain: see `keptOf`. Replaced, never changed in place. */
    readonly keptVersions: () => ReadonlyMap<number, ReadonlyArray<KeptVersions>>
    /** What a job built now would have to keep: for choosing one. `visible` is the visible sequence. */
    readonly horizons: (visible: number) => ReadonlyArray<Horizon>
    /** A job over these spans (undefined: it may hold any keyspace) is built now. */
    readonly begin: (visible: number, spans: ReadonlyArray<KeySpan> | undefined) => JobHistory
  }
>()("lightning-db/services/Retention") {}
