import { NotAtHand, type CommitHead } from "../../domain/batch/CommitHead.ts"
import { equalRanges } from "../../domain/keys/compareBytes.ts"
import { Kind, sequenceMax } from "../../domain/keys/kinds.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Tables } from "../../services/Tables.ts"

/** A value that was read ahead of the commit turn. */
export interface Prefetched {
  readonly keyspace: number
  readonly hash: number
  readonly key: Uint8Array
  /** As of this sequence; whether it has expired is asked at the turn. */
  readonly sequence: number
  readonly value: Uint8Array | undefined
  readonly expiresAt: number
}

/** A key whose value has to be read before the turn can be tried again. The key is a copy. */
export interface WantedPoint {
  readonly keyspace: number
  readonly hash: number
  readonly key: Uint8Array
}

/** The head of the commit order during one turn. One object serves all turns: they are synchronous, and nothing of it is kept. */
export class CommitMoment implements CommitHead {
  sequence = 0
  commitTimeMs = 0
  /** Read ahead for the request of this turn, by hash. */
  prefetched: ReadonlyMap<number, ReadonlyArray<Prefetched>> | undefined = undefined
  /** Where this is set, what is not at hand is noted here and counts as missing: for finding out all that a request needs at once. */
  wanted: Array<WantedPoint> | undefined = undefined
  private readonly memtables: Memtables["Service"]
  private readonly tables: Tables["Service"]

  constructor(memtables: Memtables["Service"], tables: Tables["Service"]) {
    this.memtables = memtables
    this.tables = tables
  }

  value(keyspace: number, hash: number, key: Uint8Array, start: number, end: number, evenExpired = false): Uint8Array | undefined {
    for (const memtable of this.memtables.all()) {
      const tombstone = memtable.coveringTombstone(keyspace, key, start, end, sequenceMax)
      const entry = memtable.find(keyspace, hash, key, start, end, sequenceMax)
      if (entry === 0) {
        // Everything older lies below it.
        if (tombstone > 0) return undefined
        continue
      }
      if (memtable.kindOf(entry) !== Kind.put || memtable.sequenceOf(entry) < tombstone) return undefined
      if (!evenExpired && this.isOver(memtable.expiresAtOf(entry))) return undefined
      return memtable.bytes.subarray(memtable.valueStartOf(entry), memtable.valueEndOf(entry))
    }
    if (this.tables.current().levels.every((level) => level.length === 0)) return undefined
    const found = this.readAhead(keyspace, hash, key, start, end)
    if (found !== undefined) return !evenExpired && this.isOver(found.expiresAt) ? undefined : found.value
    const wanted: WantedPoint = { keyspace, hash, key: Uint8Array.from(key.subarray(start, end)) }
    if (this.wanted === undefined) throw new NotAtHand(keyspace, wanted.key)
    this.wanted.push(wanted)
    return undefined
  }

  private isOver(expiresAt: number): boolean {
    return expiresAt !== 0 && expiresAt <= this.commitTimeMs
  }

  private readAhead(keyspace: number, hash: number, key: Uint8Array, start: number, end: number): Prefetched | undefined {
    const candidates = this.prefetched?.get(hash)
    if (candidates === undefined) return undefined
    // The newest first: a key may have been read ahead more than once.
    for (let i = candidates.length - 1; i >= 0; i--) {
      const found = candidates[i]!
      if (found.keyspace !== keyspace || found.key.length !== end - start || !equalRanges(found.key, 0, key, start, end - start)) continue
      // Only good while nothing newer can have gone from the memtables into tables unseen.
      return this.memtables.newestOfKey(keyspace, hash, key, start, end, found.sequence) === 0 ? found : undefined
    }
    return undefined
  }
}
