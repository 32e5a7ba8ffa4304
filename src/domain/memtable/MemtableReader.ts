import type { RangeTombstone } from "../EntryCursor.ts"
import type { FragmentedTombstones } from "../table/RangeTombstones.ts"
import { EntryOrder } from "./EntryOrder.ts"
import { HeaderWord, magic, MemtableArena } from "./MemtableArena.ts"
import { MemtableCursor } from "./MemtableCursor.ts"
import { TombstoneRuns } from "./TombstoneRuns.ts"

/**
 * A memtable as everyone but its writer sees it: ordered entries and range tombstones. A worker makes one from the SharedArrayBuffer alone.
 *
 * **Gotchas** Another thread may only read what is no longer written to, and must have got the buffer by a message sent after the last insert.
 */
export class MemtableReader extends MemtableArena {
  protected readonly order: EntryOrder
  protected readonly rangeTombstones: TombstoneRuns

  /** Throws when the buffer is not a memtable's. */
  constructor(buffer: SharedArrayBuffer) {
    super(buffer)
    if (this.words[HeaderWord.magic] !== magic) throw new Error("the buffer is not a memtable's")
    this.order = new EntryOrder(this)
    this.rangeTombstones = new TombstoneRuns()
    const oldestFirst: Array<RangeTombstone> = []
    for (let entry = this.words[HeaderWord.newestTombstone]!; entry !== 0; entry = this.previousOf(entry)) oldestFirst.push(this.tombstoneAt(entry))
    for (let i = oldestFirst.length - 1; i >= 0; i--) this.rangeTombstones.add(oldestFirst[i]!)
  }

  /** A cursor over the point entries there are now. The first one after inserts pays for their sorting. */
  cursor(): MemtableCursor {
    return new MemtableCursor(this, this.order.runs())
  }

  /** The range tombstones there are now; none for most memtables. */
  tombstones(): ReadonlyArray<FragmentedTombstones> {
    return this.rangeTombstones.fragments()
  }

  /** The highest sequence ≤ `snapshot` of a range tombstone over the key, or 0. It deletes versions strictly below it. */
  coveringTombstone(keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number, snapshot: number): number {
    return this.tombstoneCount === 0 ? 0 : this.rangeTombstones.covering(keyspace, key, keyStart, keyEnd, snapshot)
  }

  /** What the memtable holds in memory: the whole arena, and what was built over it. */
  get memoryBytes(): number {
    return this.capacityBytes + this.order.memoryBytes + this.rangeTombstones.memoryBytes
  }

  /** Views, not copies. */
  protected tombstoneAt(entry: number): RangeTombstone {
    const valueStart = this.valueStartOf(entry)
    return {
      keyspace: this.keyspaceOf(entry),
      start: this.bytes.subarray(this.keyStartOf(entry), valueStart),
      end: this.bytes.subarray(valueStart, this.valueEndOf(entry)),
      sequence: this.sequenceOf(entry)
    }
  }
}
