/** The memtables: one that takes writes, and the frozen ones before it that wait for the flusher, newest first. All calls are synchronous. */
import * as Context from "effect/Context"
import type { Memtable } from "../domain/memtable/Memtable.ts"

export class Memtables extends Context.Service<
  Memtables,
  {
    /** Newest first; the first one takes writes. Replaced, never changed in place: a reader may keep it. */
    readonly all: () => ReadonlyArray<Memtable>
    readonly active: () => Memtable
    /**
     * The active memtable with room for `bytes`: where they do not fit, it is frozen and another started. `undefined` when as many memtables as may be held are full: the
     * writer waits for the flusher. A batch larger than a memtable gets one of its own size.
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
    /** Called when a memtable is frozen. */
    readonly onFreeze: (listener: () => void) => void
  }
>()("lightning-db/services/Memtables") {}
