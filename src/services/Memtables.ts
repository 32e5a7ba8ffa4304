/**
 * The memtables: one that takes writes, the frozen ones before it that wait for the flusher, newest first, and those that are in tables already but are kept because an open
 * transaction may have to be validated against them. All calls are synchronous.
 */
import * as Context from "effect/Context"
import type { Memtable } from "../domain/memtable/Memtable.ts"

export class Memtables extends Context.Service<
  Memtables,
  {
    /** Newest first; the first one takes writes. Replaced, never changed in place: a reader may keep it. */
    readonly all: () => ReadonlyArray<Memtable>
    readonly active: () => Memtable
    /**
     * The active memtable with room for `bytes`: where they do not fit, it is frozen and another started. `undefined` when as many memtables as may be held are full, or another one
     * does not fit into the memory there is: the writer waits for the flusher. A batch larger than a memtable gets one of its own size.
     */
    readonly makeRoom: (bytes: number, entries: number) => Memtable | undefined
    /** Freezes the active memtable where it holds anything. */
    readonly freeze: () => void
    readonly oldestFrozen: () => Memtable | undefined
    readonly frozenCount: () => number
    /** Keeps the memtables of this moment as they are, for a read that goes on beyond this synchronous step; ends with a call of what it returns, which counts once. */
    readonly hold: () => () => void
    /** The memtable is in tables now. Its memory is used for a later one, once nobody holds it. */
    readonly drop: (memtable: Memtable) => void
    readonly bytes: () => number
    readonly entries: () => number
    /** Memory of dropped memtables that is kept for later ones. */
    readonly spareBytes: () => number
    /** Gives that back, but for one of them. */
    readonly dropSpares: () => void
    /** Called when a memtable is frozen. */
    readonly onFreeze: (listener: () => void) => void

    /** From now on what was written after `sequence` is kept for validation, within `validationBytes`: each call is ended by one of `endValidation`. */
    readonly beginValidation: (sequence: number) => void
    readonly endValidation: (sequence: number) => void
    /**
     * The newest write > `above` of the key (by key, or by a range over it), `expire` records not counted; 0 where there is none, -1 where more was dropped since `above`
     * than can be told from.
     */
    readonly newestOfKey: (keyspace: number, hash: number, key: Uint8Array, start: number, end: number, above: number) => number
    /** The same for [start, end); `end` undefined is the end of the keyspace. */
    readonly newestInRange: (keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number) => number
    /** Memory of memtables that are kept for validation only. They hold up no writer, and no read sees them. */
    readonly validationBytes: () => number
    /** Gives up the oldest of those until the others take so much at most: transactions that began before fail with `TransactionTooOld`. */
    readonly trimValidation: (bytes: number) => void
    /** Memory of memtables that are in tables, and that long reads hold still. */
    readonly heldBytes: () => number
  }
>()("lightning-db/services/Memtables") {}
