/** Names and ids of keyspaces: a projection of keyspace 0, kept at the head of the commit order. Synchronous. */
import * as Context from "effect/Context"
import type { KeyspaceSettings } from "../domain/keys/catalogRows.ts"

export class Catalog extends Context.Service<
  Catalog,
  {
    readonly idOf: (name: string) => number | undefined
    /** Whether the id is the default keyspace or a live named one. */
    readonly exists: (id: number) => boolean
    readonly names: () => ReadonlyArray<{ readonly name: string; readonly id: number }>
    /** The id the next keyspace gets; ids are never reused. */
    readonly nextId: () => number
    /** The name of a live keyspace, or of one dropped since the open. */
    readonly nameOf: (id: number) => string | undefined
    /** In the commit turn: the head now knows it. */
    readonly created: (name: string, id: number, settings?: KeyspaceSettings) => void
    readonly dropped: (name: string, id: number, sequence: number) => void
    /** The commit that created or dropped it has failed: the head is again what it was. Its id stays used. */
    readonly creationFailed: (name: string, id: number) => void
    readonly dropFailed: (name: string, id: number) => void
    /** In the commit turn: the keyspace is kept like this from now on. Also takes that back. */
    readonly configured: (id: number, settings: KeyspaceSettings) => void
    /** What the keyspace itself says of how it is kept. */
    readonly settings: (id: number) => KeyspaceSettings
    /** How long the history of a keyspace, live or dropped, is kept, in ms; 0: not at all. */
    readonly historyMs: (id: number) => number
    /** How many versions of each key are kept, by count; 0: history is not kept by count. */
    readonly historyVersions: (id: number) => number
    /** Whether any keyspace keeps history, by time: those too that were dropped, as far as they are known. */
    readonly keepsHistory: () => boolean
    /** Whether the log keeps the values that operations on this keyspace replace. Never those of the engine's own keyspaces. */
    readonly beforeImages: (id: number) => boolean
    /** Whether any keyspace may have that: asked once for each batch. */
    readonly anyBeforeImages: () => boolean
    /** Dropped ids whose files may still be there, with the sequence of the drop (0: so long ago that no reader, not even of the past, can see them). */
    readonly droppedIds: () => ReadonlyMap<number, number>
  }
>()("lightning-db/services/Catalog") {}
