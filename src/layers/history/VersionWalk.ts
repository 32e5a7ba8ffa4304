import type * as Effect from "effect/Effect"
import type { Damage, IoFailure } from "../../domain/failures.ts"
import { equalRanges } from "../../domain/keys/compareBytes.ts"
import { Kind } from "../../domain/keys/kinds.ts"
import type { FragmentedTombstones } from "../../domain/table/RangeTombstones.ts"
import type { Version } from "../../services/History.ts"
import type { ReadParts } from "../reading/makeReads.ts"
import type { View } from "../reading/View.ts"
import { VersionReader } from "./VersionReader.ts"

export interface WalkOptions {
  /** Sequences, both inclusive. Empty where `from` is above `to`. */
  readonly from: number
  readonly to: number
  readonly reverse: boolean
  readonly limit: number
}

const after = (key: Uint8Array): Uint8Array => {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** Ascending sequences of the range deletes over the key. */
const coversOf = (
  tombstones: ReadonlyArray<FragmentedTombstones>,
  keyspace: number,
  key: Uint8Array,
  from: number,
  to: number
): ReadonlyArray<number> => {
  const found = new Set<number>()
  for (const some of tombstones) {
    for (let next = to; next >= from; next--) {
      next = some.covering(keyspace, key, 0, key.length, next)
      if (next === 0 || next < from) break
      found.add(next)
    }
  }
  return [...found].sort((a, b) => a - b)
}

/**
 * The versions of one key in the order asked for, the range deletes over it among them. A put in the transaction of a range delete came after it, so at one sequence the key's own
 * version is what counts.
 */
export class VersionWalk {
  private readonly parts: ReadParts
  private readonly reader: VersionReader
  private readonly keyspace: number
  private readonly key: Uint8Array
  private readonly options: WalkOptions
  private readonly covers: ReadonlyArray<number>
  /** How many of the covers are done with. */
  private covered = 0
  private given = 0
  private started = false
  /** The cursor stands on a version that was given out: it must be left before anything else. */
  private consumed = false
  /** The range delete that is the current version; 0: the cursor's entry is. */
  private cover = 0

  constructor(parts: ReadParts, view: View, keyspace: number, key: Uint8Array, options: WalkOptions) {
    this.parts = parts
    this.keyspace = keyspace
    this.key = key
    this.options = options
    this.reader = new VersionReader(parts.tables, view, keyspace, key, after(key))
    this.reader.mayWait = true
    this.covers = coversOf(this.reader.tombstones, keyspace, key, options.from, options.to)
  }

  /** To the next version. "pending": `bring` what is missing, and advance again. Throws `Damage`, `IoFailure`. */
  advance(mayBlock: boolean): "version" | "end" | "pending" {
    const { covers, options, reader } = this
    const { from, limit, reverse, to } = options
    if (this.given >= limit || from > to) return "end"
    const { cursor } = reader
    if (!this.started) {
      this.started = true
      if (reverse) cursor.seek(this.keyspace, this.key, to)
      // The oldest version that is not below `from`: newer ones come first.
      else cursor.seekBefore(this.keyspace, this.key, from - 1)
    } else if (this.consumed) {
      this.consumed = false
      if (reverse) cursor.next()
      else cursor.prev()
    }
    const state = reader.settle(mayBlock)
    if (state === "pending") return "pending"
    const own = state === "entry" && this.isInside() ? cursor.sequence : undefined
    const cover = this.covered < covers.length ? covers[reverse ? covers.length - 1 - this.covered : this.covered]! : undefined
    if (own === undefined && cover === undefined) return "end"
    this.given++
    if (own !== undefined && (cover === undefined || (reverse ? own >= cover : own <= cover))) {
      if (own === cover) this.covered++
      this.cover = 0
      this.consumed = true
    } else {
      this.cover = cover!
      this.covered++
    }
    return "version"
  }

  bring(): Effect.Effect<void, Damage | IoFailure> {
    return this.reader.bring()
  }

  /** Of the current version. */
  get sequence(): number {
    return this.cover === 0 ? this.reader.cursor.sequence : this.cover
  }

  /** Whether the value of the current version is to be read from a value file. */
  get isPointer(): boolean {
    return this.cover === 0 && this.reader.cursor.kind === Kind.put && this.reader.cursor.isPointer
  }

  valuePooled(): Effect.Effect<Uint8Array, Damage | IoFailure> {
    const { cursor } = this.reader
    const { tables } = this.parts
    return tables.retried(tables.readValuePooled(cursor.valueBytes, cursor.valueStart, cursor.valueEnd))
  }

  /** The current version; with `value` undefined it is read or copied here. Throws. */
  version(value: Uint8Array | undefined): Version {
    if (this.cover !== 0) return { sequence: this.cover, type: "delete", value: undefined, expiresAt: undefined }
    const { cursor } = this.reader
    const { expiresAt, kind, sequence, valueBytes, valueEnd, valueStart } = cursor
    if (kind !== Kind.put) return { sequence, type: kind === Kind.expire ? "expire" : "delete", value: undefined, expiresAt: undefined }
    const { slab, tables } = this.parts
    const bytes = value ?? (cursor.isPointer ? tables.readValue(valueBytes, valueStart, valueEnd) : slab.copy(valueBytes, valueStart, valueEnd))
    return { sequence, type: "put", value: bytes, expiresAt: expiresAt === 0 ? undefined : expiresAt }
  }

  /** Whether the cursor stands on a version of the key within the bounds; beyond them it has left for good. */
  private isInside(): boolean {
    const { cursor } = this.reader
    const { keyBytes, keyEnd, keyStart, sequence } = cursor
    if (cursor.keyspace !== this.keyspace || keyEnd - keyStart !== this.key.length) return false
    if (!equalRanges(keyBytes, keyStart, this.key, 0, this.key.length)) return false
    return sequence >= this.options.from && sequence <= this.options.to
  }
}
