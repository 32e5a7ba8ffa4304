/**
 * The newest part of the data, in memory: an arena of entries (`MemtableArena.ts`), a hash table over it for point reads, and an order made when
 * it is asked for.
 *
 * ```
 * slots: … | hash, entry | …          arena: … [k1 @5] … [k2 @6] … [k1 @9] …
 *                   └───────────────────────────────────────▲ │
 *                                             ▲───────────────┘ previous version
 * ```
 */
import { CursorState } from "../EntryCursor.ts"
import { equalRanges } from "../keys/compareBytes.ts"
import { Kind, sequenceMax } from "../keys/kinds.ts"
import {
  arenaKeyBytesMax,
  entryBytes,
  entryWordsExpiring,
  entryWordsPlain,
  expiresFlag,
  HeaderWord,
  headerWords,
  keyLengthShift,
  magic,
  memtableHeaderBytes,
  twoTo32,
  writeDouble
} from "./MemtableArena.ts"
import { MemtableReader } from "./MemtableReader.ts"
import { TombstoneRuns } from "./TombstoneRuns.ts"

export { entryBytes, memtableHeaderBytes }

const slotCountMin = 1024
/** Shorter ranges are copied by a loop, which beats a call into the platform for them. */
const loopBytesMax = 64
/** So many versions of a key are passed one by one; then the order is searched. */
const versionStepsMax = 64
/** Every so many entries their place is noted, so that "everything after sequence n" is found without a walk. */
const markEntries = 64
/** Up to this many entries newer than a transaction are looked at in order of arrival; for more, the range is walked in order of keys. */
const arrivalWalkMax = 512
const noBytes = new Uint8Array(0)

/** What a memtable of this capacity takes for its arena: the size of a buffer to hand to its constructor. */
export const arenaBytes = (capacityBytes: number): number => Math.max(memtableHeaderBytes, Math.ceil(capacityBytes / 4) * 4)

const emptied = (buffer: SharedArrayBuffer): SharedArrayBuffer => {
  const words = new Int32Array(buffer, 0, headerWords)
  words.fill(0)
  words[HeaderWord.magic] = magic
  words[HeaderWord.usedWords] = headerWords
  return buffer
}

/** A memtable that takes writes. All of one process, one thread; others read its buffer by a `MemtableReader` once it takes no more. */
export class Memtable extends MemtableReader {
  /** Pairs (hash, newest entry of the key); entry 0 is a free slot. Open addressing, linear, at most half full. */
  #slots = new Int32Array(2 * slotCountMin)
  /** Slots - 1. */
  #mask = slotCountMin - 1
  #keyCount = 0
  #used = headerWords
  readonly #capacityWords: number
  #entries = 0
  #tombstones = 0
  #highest = 0
  /** Ranges that count as written although they are not; made when the first one comes. */
  #conflicts: TombstoneRuns | undefined = undefined
  #highestConflict = 0
  readonly #markSequences: Array<number> = []
  readonly #markEntries: Array<number> = []

  /**
   * `capacityBytes` includes the header of `memtableHeaderBytes`; 64 KiB to 1 GiB is sensible, rounded up to four bytes. With `buffer`, of `arenaBytes(capacityBytes)`, the
   * memory of an earlier memtable is used again, which nobody may read any more.
   */
  constructor(capacityBytes: number, buffer = new SharedArrayBuffer(arenaBytes(capacityBytes))) {
    super(emptied(buffer))
    this.#capacityWords = this.words.length
  }

  override get usedWords(): number {
    return this.#used
  }

  override get entryCount(): number {
    return this.#entries
  }

  override get tombstoneCount(): number {
    return this.#tombstones
  }

  override get highestSequence(): number {
    return this.#highest
  }

  override get memoryBytes(): number {
    return super.memoryBytes + this.#slots.byteLength + this.#markEntries.length * 16 + (this.#conflicts?.memoryBytes ?? 0)
  }

  /** Who reads at this sequence or after it need not be validated against this memtable. */
  get validationSequence(): number {
    return Math.max(this.#highest, this.#highestConflict)
  }

  /** Distinct keys of point entries. */
  get keyCount(): number {
    return this.#keyCount
  }

  get freeBytes(): number {
    return (this.#capacityWords - this.#used) * 4
  }

  /**
   * Whether entries of `bytes` together (summed `entryBytes`) fit. After `true`, inserting them cannot fail: with `entries`, their number, the
   * hash table is enlarged now rather than on the way.
   */
  reserve(bytes: number, entries = 0): boolean {
    if (bytes > this.freeBytes) return false
    while ((this.#keyCount + entries) * 2 > this.#mask + 1) this.#grow()
    return true
  }

  /**
   * Adds a version of a key: `Kind.put`, `Kind.delete` or `Kind.expire`. `hash` is `keyHash` under the seed of the keyspace; `value` undefined is
   * no bytes; `expiresAt` 0 is never. The bytes are copied. Sequences must not descend, and a key comes once per sequence. Returns the entry.
   */
  insert(
    keyspace: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    kind: number,
    sequence: number,
    value: Uint8Array | undefined,
    valueStart: number,
    valueEnd: number,
    expiresAt: number
  ): number {
    const entry = this.#append(
      keyspace,
      hash,
      key,
      keyStart,
      keyEnd,
      kind,
      sequence,
      value ?? noBytes,
      valueStart,
      value === undefined ? valueStart : valueEnd,
      expiresAt
    )
    const count = this.#entries
    if (count % markEntries === 0) {
      this.#markSequences.push(sequence)
      this.#markEntries.push(entry)
    }
    this.#entries = count + 1
    this.words[HeaderWord.entryCount] = count + 1
    if ((this.#keyCount + 1) * 2 > this.#mask + 1) this.#grow()
    const slot = this.#slotOf(keyspace, hash, key, keyStart, keyEnd)
    const slots = this.#slots
    const previous = slots[slot + 1]!
    if (previous === 0) {
      slots[slot] = hash
      this.#keyCount++
    } else {
      this.words[entry] = previous
    }
    slots[slot + 1] = entry
    return entry
  }

  /**
   * Deletes everything in [start, end) of the keyspace with a sequence strictly below `sequence`. The bytes are copied; takes
   * `entryBytes(start.length, end.length, false)`.
   */
  addRangeTombstone(keyspace: number, start: Uint8Array, end: Uint8Array, sequence: number): void {
    const entry = this.#append(keyspace, 0, start, 0, start.length, Kind.rangeDelete, sequence, end, 0, end.length, 0)
    const { words } = this
    words[entry] = words[HeaderWord.newestTombstone]!
    words[HeaderWord.newestTombstone] = entry
    words[HeaderWord.tombstoneCount] = ++this.#tombstones
    this.rangeTombstones.add(this.tombstoneAt(entry))
  }

  /**
   * The newest version of the key with a sequence ≤ `snapshot`, whatever its kind; 0 = none. Range tombstones are not considered: see
   * `coveringTombstone`. The entry is read by `kindOf`, `sequenceOf`, `expiresAtOf`, and its value is `bytes[valueStartOf, valueEndOf)`.
   */
  find(keyspace: number, hash: number, key: Uint8Array, keyStart: number, keyEnd: number, snapshot: number): number {
    let entry = this.#slots[this.#slotOf(keyspace, hash, key, keyStart, keyEnd) + 1]!
    let steps = 0
    while (entry !== 0 && this.sequenceOf(entry) > snapshot) {
      if (++steps > versionStepsMax) return this.#findInOrder(keyspace, key.subarray(keyStart, keyEnd), snapshot)
      entry = this.words[entry]!
    }
    return entry
  }

  /**
   * Counts [start, end) as written at `sequence`, for validation only: no read looks here. Nothing of it is in the arena, so it needs no room, and ends with the memtable. Keeps
   * the arrays. Sequences must not descend.
   */
  addConflictRange(keyspace: number, start: Uint8Array, end: Uint8Array, sequence: number): void {
    this.#conflicts ??= new TombstoneRuns()
    this.#conflicts.add({ keyspace, start, end, sequence })
    this.#highestConflict = sequence
  }

  /**
   * The sequence > `above` of the newest write of the key, a range tombstone over it included; 0 = none. What validation of a point read asks. `expire` records do not count:
   * they change nothing for whoever looks at the time.
   */
  newestSequenceOf(keyspace: number, hash: number, key: Uint8Array, keyStart: number, keyEnd: number, above: number): number {
    let newest = 0
    if (this.#highest > above) {
      let entry = this.#slots[this.#slotOf(keyspace, hash, key, keyStart, keyEnd) + 1]!
      while (entry !== 0 && this.kindOf(entry) === Kind.expire) entry = this.words[entry]!
      newest = entry === 0 ? 0 : this.sequenceOf(entry)
      if (this.#tombstones > 0) newest = Math.max(newest, this.coveringTombstone(keyspace, key, keyStart, keyEnd, sequenceMax))
    }
    if (this.#highestConflict > above) newest = Math.max(newest, this.#conflicts!.covering(keyspace, key, keyStart, keyEnd, sequenceMax))
    return newest > above ? newest : 0
  }

  /**
   * The highest sequence > `above` of any write in [start, end) (`end` undefined: to the end of the keyspace), range tombstones that overlap it
   * included; 0 = none. What validation of a range read asks. `expire` records do not count.
   *
   * **Details** Costs nothing where nothing is newer than `above`; where little is, only that is looked at; else the range is walked.
   */
  maxSequenceInRange(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number): number {
    const conflict = this.#highestConflict > above ? this.#conflicts!.newestOverlapping(keyspace, start, end, above) : 0
    if (this.#highest <= above) return conflict
    const tombstone = this.#tombstones === 0 ? 0 : this.rangeTombstones.newestOverlapping(keyspace, start, end, above)
    const mark = this.#lastMarkAtMost(above)
    const newer = this.#entries - mark * markEntries
    const point =
      newer <= arrivalWalkMax ? this.#newestByArrival(keyspace, start, end, above, mark) : this.#newestInOrder(keyspace, start, end, above)
    return Math.max(point, tombstone, conflict)
  }

  /** Adds everything with a sequence ≤ `maxSequence` to `target`, which must have room for it, and must not hold anything newer. */
  copyInto(target: Memtable, maxSequence: number): void {
    const { bytes } = this
    for (let entry = headerWords; entry < this.#used; entry = this.following(entry)) {
      const sequence = this.sequenceOf(entry)
      // Sequences ascend: nothing after this is wanted either.
      if (sequence > maxSequence) return
      const keyStart = this.keyStartOf(entry)
      const keyEnd = this.valueStartOf(entry)
      if (this.kindOf(entry) === Kind.rangeDelete) {
        target.addRangeTombstone(this.keyspaceOf(entry), bytes.subarray(keyStart, keyEnd), bytes.subarray(keyEnd, this.valueEndOf(entry)), sequence)
      } else {
        target.insert(
          this.keyspaceOf(entry),
          this.hashOf(entry),
          bytes,
          keyStart,
          keyEnd,
          this.kindOf(entry),
          sequence,
          bytes,
          keyEnd,
          this.valueEndOf(entry),
          this.expiresAtOf(entry)
        )
      }
    }
  }

  #append(
    keyspace: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    kind: number,
    sequence: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    expiresAt: number
  ): number {
    const { bytes, words } = this
    const entry = this.#used
    const keyLength = keyEnd - keyStart
    const valueLength = valueEnd - valueStart
    const expires = expiresAt !== 0
    const keyAt = (entry + (expires ? entryWordsExpiring : entryWordsPlain)) * 4
    const valueAt = keyAt + keyLength
    const used = (valueAt + valueLength + 3) >>> 2
    // Typed arrays swallow writes beyond their end: these three would become silent damage.
    if (used > this.#capacityWords) throw new Error("memtable: insert without reserve")
    if (sequence < this.#highest) throw new Error("memtable: sequences descend")
    if (keyLength > arenaKeyBytesMax) throw new Error("memtable: key too long")
    const sequenceHigh = Math.floor(sequence / twoTo32)
    // Nothing is taken to be zero: the buffer may have held another memtable.
    words[entry] = 0
    words[entry + 1] = keyspace
    words[entry + 2] = sequence
    words[entry + 3] = sequenceHigh
    words[entry + 4] = kind | (expires ? expiresFlag : 0) | (keyLength << keyLengthShift)
    words[entry + 5] = valueLength
    words[entry + 6] = hash
    if (expires) writeDouble(words, entry + 7, expiresAt)
    if (keyLength <= loopBytesMax) for (let i = 0; i < keyLength; i++) bytes[keyAt + i] = key[keyStart + i]!
    else bytes.set(key.subarray(keyStart, keyEnd), keyAt)
    if (valueLength <= loopBytesMax) for (let i = 0; i < valueLength; i++) bytes[valueAt + i] = value[valueStart + i]!
    else bytes.set(valueStart === 0 && valueEnd === value.length ? value : value.subarray(valueStart, valueEnd), valueAt)
    if (entry === headerWords) {
      words[HeaderWord.lowestSequence] = sequence
      words[HeaderWord.lowestSequence + 1] = sequenceHigh
    }
    words[HeaderWord.highestSequence] = sequence
    words[HeaderWord.highestSequence + 1] = sequenceHigh
    this.#highest = sequence
    words[HeaderWord.usedWords] = used
    this.#used = used
    return entry
  }

  /** The slot (index of its hash) of the key, or the free one where it belongs. */
  #slotOf(keyspace: number, hash: number, key: Uint8Array, keyStart: number, keyEnd: number): number {
    const { bytes, words } = this
    const slots = this.#slots
    const mask = this.#mask
    const length = keyEnd - keyStart
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const entry = slots[2 * i + 1]!
      if (entry === 0) return 2 * i
      if (
        slots[2 * i] === hash &&
        words[entry + 4]! >>> keyLengthShift === length &&
        words[entry + 1]! >>> 0 === keyspace &&
        equalRanges(bytes, this.keyStartOf(entry), key, keyStart, length)
      )
        return 2 * i
    }
  }

  #grow(): void {
    const old = this.#slots
    const slots = new Int32Array(old.length * 2)
    const mask = this.#mask * 2 + 1
    for (let from = 0; from < old.length; from += 2) {
      const entry = old[from + 1]!
      if (entry === 0) continue
      const hash = old[from]!
      let i = hash & mask
      while (slots[2 * i + 1] !== 0) i = (i + 1) & mask
      slots[2 * i] = hash
      slots[2 * i + 1] = entry
    }
    this.#slots = slots
    this.#mask = mask
  }

  #findInOrder(keyspace: number, key: Uint8Array, snapshot: number): number {
    const cursor = this.cursor()
    cursor.seek(keyspace, key, snapshot)
    const found =
      cursor.state === CursorState.atEntry &&
      cursor.keyspace === keyspace &&
      cursor.keyEnd - cursor.keyStart === key.length &&
      equalRanges(cursor.keyBytes, cursor.keyStart, key, 0, key.length)
    return found ? cursor.entry : 0
  }

  /** The last mark (an index) whose entry, and so everything before it, has a sequence ≤ `above`; 0 where even the first is newer. */
  #lastMarkAtMost(above: number): number {
    const sequences = this.#markSequences
    let low = 0
    let high = sequences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sequences[middle]! <= above) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #newestByArrival(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number, mark: number): number {
    let newest = 0
    for (let entry = this.#markEntries[mark] ?? this.#used; entry < this.#used; entry = this.following(entry)) {
      const sequence = this.sequenceOf(entry)
      // Sequences ascend: a later hit is a higher one. The newest version sorts first, so `sequenceMax` is before every version of a key.
      const kind = this.kindOf(entry)
      if (sequence <= above || kind === Kind.rangeDelete || kind === Kind.expire) continue
      if (this.compareTo(entry, keyspace, start, 0, start.length, sequenceMax) < 0) continue
      if (end === undefined ? this.keyspaceOf(entry) !== keyspace : this.compareTo(entry, keyspace, end, 0, end.length, sequenceMax) >= 0) continue
      newest = sequence
    }
    return newest
  }

  #newestInOrder(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number): number {
    let newest = above
    const cursor = this.cursor()
    for (cursor.seek(keyspace, start, sequenceMax); cursor.state === CursorState.atEntry; cursor.next()) {
      if (end === undefined ? cursor.keyspace !== keyspace : this.compareTo(cursor.entry, keyspace, end, 0, end.length, sequenceMax) >= 0) break
      if (cursor.sequence > newest && cursor.kind !== Kind.expire) newest = cursor.sequence
      if (newest === this.#highest) break
    }
    return newest > above ? newest : 0
  }
}
