/**
 * The tables and value files of the current version: opened when first needed, at most `maxOpenTables` at once, and unlinked when the edit that dropped them is durable and
 * nobody reads them any more. Reads are synchronous; a caller that must not block asks for what is cached, and brings what is missing through the pool.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Damage, IoFailure } from "../domain/failures.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import type { TableMeta } from "../domain/manifest/TableMeta.ts"
import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import type { TableReader } from "../domain/table/TableReader.ts"

/** One table of a version; shared by all versions that hold it. Its fields belong to the layer. */
export interface TableSlot {
  readonly meta: TableMeta
  /** Undefined until first used, and again when too many tables are open. */
  reader: TableReader | undefined
  handle: FileHandle | undefined
  /** Set at each use, cleared by the sweep that closes idle tables. */
  touched: boolean
  /** Pooled reads under way: the handle must stay open. */
  busy: number
}

/** An immutable set of tables and value files. Level 0 is newest first; deeper levels are in key order and do not overlap. */
export interface Version {
  readonly levels: ReadonlyArray<ReadonlyArray<TableSlot>>
  readonly state: ManifestState
}

export class Tables extends Context.Service<
  Tables,
  {
    /** The current version: good for this synchronous step; `pin` it to keep it longer. */
    readonly current: () => Version
    readonly pin: () => Version
    readonly unpin: (version: Version) => void
    /** Makes the state's tables the current version; files it no longer names are unlinked when nothing pins them. Call only once the state is durable. */
    readonly install: (state: ManifestState) => Version
    /** Opens the table where necessary. Throws `Damage` or `IoFailure`. */
    readonly reader: (slot: TableSlot) => TableReader
    /**
     * Brings the leaf into `found`, from the cache or, with `mayBlock`, by a synchronous read that is cached. False: it is not cached and may not be read. Throws `Damage` or
     * `IoFailure`. Valid until the next call, in the same synchronous step.
     */
    readonly findLeaf: (slot: TableSlot, leaf: number, mayBlock: boolean) => boolean
    readonly found: { readonly bytes: Uint8Array; readonly start: number }
    /** A copy of a cached leaf; it belongs to the caller. */
    readonly copyLeaf: (tableId: number, leaf: number) => Uint8Array | undefined
    /**
     * Reads and verifies leaves that follow one another, from `first` to `last`, in one call, into memory of their own; with `keep` they are cached too. Throws `Damage` or
     * `IoFailure`.
     */
    readonly readLeaves: (slot: TableSlot, first: number, last: number, keep: boolean) => Array<Uint8Array>
    /** The same through the pool, into memory of its own. */
    readonly readLeafPooled: (slot: TableSlot, leaf: number, keep: boolean) => Effect.Effect<Uint8Array, IoFailure | Damage>
    /** Follows the encoded value pointer in `bytes[start, end)`. The value belongs to the caller. Throws `Damage` or `IoFailure`. */
    readonly readValue: (bytes: Uint8Array, start: number, end: number) => Uint8Array
    readonly readValuePooled: (bytes: Uint8Array, start: number, end: number) => Effect.Effect<Uint8Array, IoFailure | Damage>
    /** Repeats a read that failed with what may pass, by the schedule `retry`. For reads that may wait. */
    readonly retried: <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Whether inline reads are as fast as a page cache makes them (moving average under 50 µs). */
    readonly readsAreFast: () => boolean
    readonly openCount: () => number
    /** Memory of the indexes of open tables. */
    readonly indexBytes: () => number
    /** Closes idle tables, those not used for longest first, until their indexes take so much at most; those in use stay. */
    readonly trimIndexes: (bytes: number) => void
    /** Tables the current version does not name, whose files are still there because an older one is pinned. */
    readonly lingering: () => ReadonlyArray<number>
  }
>()("lightning-db/services/Tables") {}
