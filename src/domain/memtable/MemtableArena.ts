/**
 * The memory of a memtable: one SharedArrayBuffer to which entries are only ever added, so that a worker reads in place what the main thread wrote.
 *
 * Everything is in 32-bit words of the machine's own byte order (the buffer never leaves the process). An *entry offset* is the word index of an
 * entry's first word; 0, where the header lies, stands for "none".
 *
 * | Header word | Meaning |
 * | --- | --- |
 * | 0 | magic |
 * | 1 | words used, header included |
 * | 2 | point entries |
 * | 3 | range tombstones |
 * | 4 | newest range tombstone (entry offset, 0 = none) |
 * | 5, 6 | lowest sequence (low, high half) |
 * | 7, 8 | highest sequence |
 * | 9 … 15 | zero |
 *
 * | Entry word | Meaning |
 * | --- | --- |
 * | 0 | the same key's previous version; for a range tombstone the previous range tombstone |
 * | 1 | keyspace |
 * | 2, 3 | sequence (low, high half) |
 * | 4 | kind (8 bits), flags (7: bit 0 = expires), key length (17) |
 * | 5 | value length |
 * | 6 | key hash |
 * | 7, 8 | expiresAt (float64), only where flagged |
 * | then | key bytes, value bytes, padding to the next word |
 *
 * A range tombstone is an entry of kind `rangeDelete` whose key is the start and whose value is the exclusive end.
 */
import { compareRanges } from "../keys/compareBytes.ts"

export const memtableHeaderBytes = 64
export const headerWords = memtableHeaderBytes / 4
export const magic = 0x314d424c

export const HeaderWord = {
  magic: 0,
  usedWords: 1,
  entryCount: 2,
  tombstoneCount: 3,
  newestTombstone: 4,
  lowestSequence: 5,
  highestSequence: 7
} as const

export const expiresFlag = 1 << 8
export const keyLengthShift = 15
export const entryWordsPlain = 7
export const entryWordsExpiring = 9
/** 17 bits: a key of the longest kind, and the bound that follows it. */
export const arenaKeyBytesMax = 0x1ffff
export const twoTo32 = 0x1_0000_0000

/**
 * Bytes of arena that an entry (or a range tombstone: start and end) takes, padding included: what to hand to `Memtable.reserve`, summed over a
 * batch.
 */
export const entryBytes = (keyLength: number, valueLength: number, expires: boolean): number =>
  (expires ? entryWordsExpiring * 4 : entryWordsPlain * 4) + ((keyLength + valueLength + 3) & ~3)

/** Doubles and their halves; entries are aligned to four bytes only. */
const double = new Float64Array(1)
const doubleHalves = new Int32Array(double.buffer)

export const writeDouble = (words: Int32Array, at: number, value: number): void => {
  double[0] = value
  words[at] = doubleHalves[0]!
  words[at + 1] = doubleHalves[1]!
}

/** The buffer and how one entry in it is read. Offsets are trusted: they come from this process. */
export class MemtableArena {
  /** To be handed to a worker once nothing is inserted any more. */
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  /** Where keys and values lie. Shared memory: copy before handing bytes to a caller or to an API that refuses shared views (`TextDecoder`). */
  readonly bytes: Uint8Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.bytes = new Uint8Array(buffer)
  }

  get capacityBytes(): number {
    return this.buffer.byteLength
  }

  get usedWords(): number {
    return this.words[HeaderWord.usedWords]! >>> 0
  }

  get usedBytes(): number {
    return this.usedWords * 4
  }

  /** Point entries: every version of every key counts. */
  get entryCount(): number {
    return this.words[HeaderWord.entryCount]! >>> 0
  }

  get tombstoneCount(): number {
    return this.words[HeaderWord.tombstoneCount]! >>> 0
  }

  get isEmpty(): boolean {
    return this.usedWords === headerWords
  }

  /** 0 when empty. */
  get lowestSequence(): number {
    return this.words[HeaderWord.lowestSequence + 1]! * twoTo32 + (this.words[HeaderWord.lowestSequence]! >>> 0)
  }

  /** 0 when empty. */
  get highestSequence(): number {
    return this.words[HeaderWord.highestSequence + 1]! * twoTo32 + (this.words[HeaderWord.highestSequence]! >>> 0)
  }

  keyspaceOf(entry: number): number {
    return this.words[entry + 1]! >>> 0
  }

  sequenceOf(entry: number): number {
    return this.words[entry + 3]! * twoTo32 + (this.words[entry + 2]! >>> 0)
  }

  kindOf(entry: number): number {
    return this.words[entry + 4]! & 0xff
  }

  /** Engine time in ms; 0 when the entry does not expire. */
  expiresAtOf(entry: number): number {
    const words = this.words
    if ((words[entry + 4]! & expiresFlag) === 0) return 0
    doubleHalves[0] = words[entry + 7]!
    doubleHalves[1] = words[entry + 8]!
    return double[0]!
  }

  hashOf(entry: number): number {
    return this.words[entry + 6]!
  }

  /** Key and value are `bytes[keyStart, keyEnd)` and `bytes[keyEnd, keyEnd + valueLength)`. */
  keyStartOf(entry: number): number {
    return (entry + ((this.words[entry + 4]! & expiresFlag) === 0 ? entryWordsPlain : entryWordsExpiring)) * 4
  }

  keyLengthOf(entry: number): number {
    return this.words[entry + 4]! >>> keyLengthShift
  }

  /** The value starts where the key ends. */
  valueStartOf(entry: number): number {
    return this.keyStartOf(entry) + this.keyLengthOf(entry)
  }

  valueLengthOf(entry: number): number {
    return this.words[entry + 5]! >>> 0
  }

  valueEndOf(entry: number): number {
    return this.valueStartOf(entry) + this.valueLengthOf(entry)
  }

  /** The next older version of the entry's key; 0 = none. */
  previousOf(entry: number): number {
    return this.words[entry]!
  }

  /** The entry inserted after this one; `usedWords` after the last. The first is at `headerWords`. */
  following(entry: number): number {
    return (this.valueEndOf(entry) + 3) >>> 2
  }

  /**
   * Internal order of two point entries. Sequences arrive ascending, and the same key never comes twice with one sequence: of two versions of a
   * key, the one that lies further back in the arena is the newer, and comes first.
   */
  compare(a: number, b: number): number {
    const words = this.words
    const keyspaces = (words[a + 1]! >>> 0) - (words[b + 1]! >>> 0)
    if (keyspaces !== 0) return keyspaces
    const aStart = this.keyStartOf(a)
    const bStart = this.keyStartOf(b)
    const d = compareRanges(
      this.bytes,
      aStart,
      aStart + (words[a + 4]! >>> keyLengthShift),
      this.bytes,
      bStart,
      bStart + (words[b + 4]! >>> keyLengthShift)
    )
    return d !== 0 ? d : b - a
  }

  /** As `compare`, of an entry with a place in internal order. */
  compareTo(entry: number, keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number, sequence: number): number {
    const words = this.words
    const keyspaces = (words[entry + 1]! >>> 0) - keyspace
    if (keyspaces !== 0) return keyspaces
    const start = this.keyStartOf(entry)
    const d = compareRanges(this.bytes, start, start + (words[entry + 4]! >>> keyLengthShift), key, keyStart, keyEnd)
    return d !== 0 ? d : sequence - this.sequenceOf(entry)
  }
}
