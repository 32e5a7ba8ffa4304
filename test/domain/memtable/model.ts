import type { EntryCursor } from "../../../src/domain/EntryCursor.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { Kind, sequenceMax } from "../../../src/domain/keys/kinds.ts"
import { keyspaceSeed } from "../../../src/domain/keys/keyspaceSeed.ts"
import { entryBytes, Memtable } from "../../../src/domain/memtable/Memtable.ts"
import { type Entry, compareEntries } from "../merge/ArrayCursor.ts"

/** Mulberry32: the same numbers for the same seed, everywhere. */
export class Prng {
  #state: number
  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }

  bytes(length: number, alphabet = 256): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(alphabet)
    return bytes
  }
}

/** Few bytes, extremes among them, so that keys share prefixes, collide and are prefixes of each other. */
const letters = [0x00, 0x01, 0x61, 0x62, 0xfe, 0xff]

export const collidingKey = (prng: Prng): Uint8Array => {
  const key = new Uint8Array(1 + prng.below(prng.below(8) === 0 ? 40 : 5))
  for (let i = 0; i < key.length; i++) key[i] = prng.below(10) === 0 ? letters[prng.below(letters.length)]! : letters[prng.below(2) * 5]!
  return key
}

export const hashOf = (keyspace: number, key: Uint8Array): number => keyHash(keyspaceSeed(7, keyspace), key, 0, key.length)

export interface Tombstone {
  readonly keyspace: number
  readonly start: Uint8Array
  readonly end: Uint8Array
  readonly sequence: number
}

/** A memtable, and the same as plain arrays. */
export class Modelled {
  readonly memtable: Memtable
  readonly entries: Array<Entry> = []
  readonly tombstones: Array<Tombstone> = []

  constructor(capacityBytes: number) {
    this.memtable = new Memtable(capacityBytes)
  }

  insert(keyspace: number, key: Uint8Array, kind: number, sequence: number, value: Uint8Array, expiresAt = 0): boolean {
    if (!this.memtable.reserve(entryBytes(key.length, value.length, expiresAt !== 0), 1)) return false
    // Not at the start of their arrays, as slices of a batch are.
    const padded = new Uint8Array(key.length + 5)
    padded.set(key, 3)
    this.memtable.insert(keyspace, hashOf(keyspace, key), padded, 3, 3 + key.length, kind, sequence, value, 0, value.length, expiresAt)
    this.entries.push({ keyspace, key, sequence, kind, expiresAt, value })
    return true
  }

  delete(keyspace: number, start: Uint8Array, end: Uint8Array, sequence: number): boolean {
    if (!this.memtable.reserve(entryBytes(start.length, end.length, false))) return false
    this.memtable.addRangeTombstone(keyspace, start, end, sequence)
    this.tombstones.push({ keyspace, start, end, sequence })
    return true
  }

  /** One transaction under `sequence`: some range deletes, then points on different keys. False where the arena is full. */
  transaction(prng: Prng, sequence: number, keyspaces: ReadonlyArray<number>, tombstonePercent: number): boolean {
    const seen = new Set<string>()
    for (let n = 1 + prng.below(4); n > 0; n--) {
      const keyspace = keyspaces[prng.below(keyspaces.length)]!
      const key = collidingKey(prng)
      if (prng.below(100) < tombstonePercent) {
        const other = collidingKey(prng)
        const d = compareBytes(key, other)
        if (d !== 0 && !this.delete(keyspace, d < 0 ? key : other, d < 0 ? other : key, sequence)) return false
        continue
      }
      const id = `${keyspace}:${key}`
      if (seen.has(id)) continue
      seen.add(id)
      const kind = [Kind.put, Kind.put, Kind.delete, Kind.expire][prng.below(4)]!
      const value = kind === Kind.put ? prng.bytes(prng.below(prng.below(10) === 0 ? 300 : 20)) : new Uint8Array(0)
      if (!this.insert(keyspace, key, kind, sequence, value, prng.below(4) === 0 ? 1e12 + prng.below(1000) + 0.5 : 0)) return false
    }
    return true
  }

  sorted(): Array<Entry> {
    return this.entries.slice().sort(compareEntries)
  }

  find(keyspace: number, key: Uint8Array, snapshot: number): Entry | undefined {
    let found: Entry | undefined
    for (const e of this.entries) {
      if (e.keyspace === keyspace && e.sequence <= snapshot && (found === undefined || e.sequence > found.sequence) && compareBytes(e.key, key) === 0)
        found = e
    }
    return found
  }

  covering(keyspace: number, key: Uint8Array, snapshot: number): number {
    let highest = 0
    for (const t of this.tombstones) {
      if (t.keyspace === keyspace && t.sequence <= snapshot && compareBytes(t.start, key) <= 0 && compareBytes(key, t.end) < 0)
        highest = Math.max(highest, t.sequence)
    }
    return highest
  }

  /** The newest write of the key above a sequence; what only says that it has expired is none. */
  newestOf(keyspace: number, key: Uint8Array, above: number): number {
    let newest = this.covering(keyspace, key, sequenceMax)
    for (const e of this.entries)
      if (e.kind !== Kind.expire && e.keyspace === keyspace && compareBytes(e.key, key) === 0) newest = Math.max(newest, e.sequence)
    return newest > above ? newest : 0
  }

  maxInRange(keyspace: number, start: Uint8Array, end: Uint8Array | undefined, above: number): number {
    let highest = 0
    const note = (sequence: number) => {
      if (sequence > above && sequence > highest) highest = sequence
    }
    for (const e of this.entries) {
      if (e.kind === Kind.expire) continue
      if (e.keyspace === keyspace && compareBytes(start, e.key) <= 0 && (end === undefined || compareBytes(e.key, end) < 0)) note(e.sequence)
    }
    for (const t of this.tombstones) {
      if (t.keyspace === keyspace && compareBytes(t.end, start) > 0 && (end === undefined || compareBytes(t.start, end) < 0)) note(t.sequence)
    }
    return highest
  }
}

const same = (bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean => {
  if (end - start !== expected.length) return false
  for (let i = 0; i < expected.length; i++) if (bytes[start + i] !== expected[i]) return false
  return true
}

/** Whether the cursor stands on this entry, with all its fields. */
export const standsOn = (cursor: EntryCursor, e: Entry): boolean =>
  cursor.keyspace === e.keyspace &&
  cursor.sequence === e.sequence &&
  cursor.kind === e.kind &&
  cursor.expiresAt === e.expiresAt &&
  !cursor.isPointer &&
  same(cursor.keyBytes, cursor.keyStart, cursor.keyEnd, e.key) &&
  same(cursor.valueBytes, cursor.valueStart, cursor.valueEnd, e.value)
