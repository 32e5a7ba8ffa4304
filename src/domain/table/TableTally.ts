import { compareBytes } from "../keys/compareBytes.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import type { KeyPlace } from "../compaction/KeySpan.ts"
import type { ValueRef } from "../compaction/TableSummary.ts"
import { Kind } from "../keys/kinds.ts"
import type { ValuePointer } from "../values/ValuePointer.ts"
import type { TombstoneFragment } from "./RangeTombstones.ts"
import type { TableProperties } from "./TableProperties.ts"

/** What a table's properties say about its content, counted anew from the content itself: bounds, sequences, sums, references. One key is held at a time. */
export class TableTally {
  entryCount = 0
  keyCount = 0
  deleteCount = 0
  rangeTombstoneCount = 0
  keyBytes = 0
  valueBytes = 0
  firstExpiryMs = 0
  lastExpiryMs = 0
  #smallestSequence = Number.MAX_SAFE_INTEGER
  #largestSequence = 0
  #smallest: KeyPlace | undefined = undefined
  #largest: KeyPlace | undefined = undefined
  #largestIsExclusive = false
  readonly #valueRefs = new Map<number, number>()

  /** Entries in their order. `key` is the caller's copy of the entry's key; with a pointer, `pointer` is what the value range holds. */
  add(entry: EntryCursor, key: Uint8Array, isNewKey: boolean, pointer: ValuePointer | undefined): void {
    this.entryCount++
    if (isNewKey) this.keyCount++
    if (entry.kind === Kind.delete || entry.kind === Kind.expire) this.deleteCount++
    this.keyBytes += key.length
    this.valueBytes += entry.valueEnd - entry.valueStart
    if (entry.expiresAt !== 0) {
      this.firstExpiryMs = this.firstExpiryMs === 0 ? entry.expiresAt : Math.min(this.firstExpiryMs, entry.expiresAt)
      this.lastExpiryMs = Math.max(this.lastExpiryMs, entry.expiresAt)
    }
    this.#seen(entry.sequence)
    this.#smallest ??= { keyspace: entry.keyspace, key }
    if (isNewKey) this.#largest = { keyspace: entry.keyspace, key }
    if (pointer !== undefined) this.#valueRefs.set(pointer.fileId, (this.#valueRefs.get(pointer.fileId) ?? 0) + pointer.storedLength)
  }

  /** After all entries; fragments in their order. */
  addFragment({ end, keyspace, sequences, start }: TombstoneFragment): void {
    this.rangeTombstoneCount += sequences.length
    for (const sequence of sequences) this.#seen(sequence)
    if (this.#smallest === undefined || compare(keyspace, start, this.#smallest) < 0) this.#smallest = { keyspace, key: start }
    if (this.#largest === undefined || compare(keyspace, end, this.#largest) > 0) {
      this.#largest = { keyspace, key: end }
      this.#largestIsExclusive = true
    }
  }

  #seen(sequence: number): void {
    if (sequence < this.#smallestSequence) this.#smallestSequence = sequence
    if (sequence > this.#largestSequence) this.#largestSequence = sequence
  }

  /** The first property that says something else, in words; undefined where all agree. */
  problemWith(properties: TableProperties, leafCount: number): string | undefined {
    const counted = {
      entryCount: this.entryCount,
      keyCount: this.keyCount,
      deleteCount: this.deleteCount,
      rangeTombstoneCount: this.rangeTombstoneCount,
      leafCount,
      smallestSequence: this.#smallest === undefined ? 0 : this.#smallestSequence,
      largestSequence: this.#largestSequence,
      keyBytes: this.keyBytes,
      valueBytes: this.valueBytes,
      firstExpiryMs: this.firstExpiryMs,
      lastExpiryMs: this.lastExpiryMs
    }
    for (const [name, count] of Object.entries(counted) as ReadonlyArray<[keyof typeof counted, number]>)
      if (properties[name] !== count) return `${name} is ${count}, the properties say ${properties[name]}`
    if (!samePlace(this.#smallest, properties.smallest)) return "the properties say another smallest key"
    if (!samePlace(this.#largest, properties.largest) || this.#largestIsExclusive !== properties.largestIsExclusive)
      return "the properties say another largest key"
    const refs = Array.from(this.#valueRefs, ([fileId, bytes]) => ({ fileId, bytes }))
    return sameRefs(refs, properties.valueRefs)
      ? undefined
      : `pointers refer to ${refsText(refs)}, the properties say ${refsText(properties.valueRefs)}`
  }
}

const compare = (keyspace: number, key: Uint8Array, place: KeyPlace): number => keyspace - place.keyspace || compareBytes(key, place.key)

export const samePlace = (a: KeyPlace | undefined, b: KeyPlace | undefined): boolean =>
  a === undefined || b === undefined ? a === b : compare(a.keyspace, a.key, b) === 0

export const sameRefs = (a: ReadonlyArray<ValueRef>, b: ReadonlyArray<ValueRef>): boolean => {
  const known = new Map(b.map((ref) => [ref.fileId, ref.bytes]))
  return a.length === b.length && known.size === b.length && a.every((ref) => known.get(ref.fileId) === ref.bytes)
}

export const refsText = (refs: ReadonlyArray<ValueRef>): string =>
  refs.length === 0 ? "no value file" : refs.map(({ bytes, fileId }) => `${bytes} bytes of value file ${fileId}`).join(", ")
