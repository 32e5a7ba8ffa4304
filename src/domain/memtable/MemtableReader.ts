import type { RangeTombstone } from "../EntryCursor.ts"
import { sequenceMax } from "../keys/kinds.ts"
import type { FragmentedTombstones } from "../table/RangeTombstones.ts"
import { EntryOrder } from "./EntryOrder.ts"
import { HeaderWord, magic, MemtableArena } from "./MemtableArena.ts"
import { MemtableCursor } from "./MemtableCursor.ts"
import { TombstoneRuns } from "./TombstoneRuns.ts"

const noKey = new Uint8Array(0)

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

  /**
   * How many point entries lie in [lower, upper) of the keyspace (a bound that is undefined is none), every version of every key counted; and at most `sampleMax` of them, as offsets,
   * at equal distances. Two binary searches per run: only the first question after inserts pays for their sorting.
   */
  sample(
    keyspace: number,
    lower: Uint8Array | undefined,
    upper: Uint8Array | undefined,
    sampleMax: number
  ): { readonly count: number; readonly entries: ReadonlyArray<number> } {
    const spans: Array<{ readonly run: Uint32Array; readonly from: number; readonly to: number }> = []
    let count = 0
    for (const run of this.order.runs()) {
      const from = this.#firstAtOrAfter(run, keyspace, lower ?? noKey)
      const to = upper === undefined ? this.#firstAtOrAfter(run, keyspace + 1, noKey) : this.#firstAtOrAfter(run, keyspace, upper)
      if (to <= from) continue
      spans.push({ run, from, to })
      count += to - from
    }
    // Whole numbers before the division: a step that is rounded down would yield one entry more.
    const wanted = Math.min(count, sampleMax)
    const positionOf = (n: number) => Math.floor((n * count) / wanted)
    const entries: Array<number> = []
    let before = 0
    for (const { from, run, to } of spans) {
      const behind = before + to - from
      for (let at = positionOf(entries.length); at < behind; at = positionOf(entries.length)) entries.push(run[from + at - before]!)
      before = behind
    }
    return { count, entries }
  }

  #firstAtOrAfter(run: Uint32Array, keyspace: number, key: Uint8Array): number {
    let from = 0
    let to = run.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.compareTo(run[middle]!, keyspace, key, 0, key.length, sequenceMax) < 0) from = middle + 1
      else to = middle
    }
    return from
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
