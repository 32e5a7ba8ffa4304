/** Names and ids of keyspaces: a projection of keyspace 0, kept at the head of the commit order. Synchronous. */
import * as Context from "effect/Context"

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
    readonly created: (name: string, id: number, historyMs?: number) => void
    readonly dropped: (name: string, id: number, sequence: number) => void
    /** The commit that created or dropped it has failed: the head is again what it was. Its id stays used. */
    readonly creationFailed: (name: string, id: number) => void
    readonly dropFailed: (name: string, id: number) => void
    /** In the commit turn: the keyspace keeps its history as long as this from now on; `undefined`: as the database does. Also takes that back. */
    readonly configured: (id: number, historyMs: number | undefined) => void
    /** What the keyspace itself says of how long its history is kept, in ms (`Infinity`: without end); undefined where it says nothing. */
    readonly ownHistoryMs: (id: number) => number | undefined
    /** How long the history of a keyspace, live or dropped, is kept, in ms; 0: not at all. */
    readonly historyMs: (id: number) => number
    /** Whether any keyspace keeps history: those too that were dropped, as far as they are known. */
    readonly keepsHistory: () => boolean
    /** Dropped ids whose files may still be there, with the sequence of the drop (0: so long ago that no reader, not even of the past, can see them). */
    readonly droppedIds: () => ReadonlyMap<number, number>
  }
>()("lightning-db/services/Catalog") {}
