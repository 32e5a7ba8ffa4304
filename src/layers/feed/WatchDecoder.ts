import { Slab } from "../../domain/bytes/Slab.ts"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { nameInRowKey } from "../../domain/keys/catalogRows.ts"
import { compareBytes, compareRanges } from "../../domain/keys/compareBytes.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { WatchEvent } from "../../services/Changes.ts"
import type { LogDecoder } from "./followLog.ts"

/** The keys that are watched: from `lower` (inclusive) to `upper` (exclusive; undefined: to the end of the keyspace). */
export interface Watched {
  readonly keyspace: number
  readonly name: string
  readonly lower: Uint8Array
  readonly upper: Uint8Array | undefined
  /** Whether it is a single key, `lower`. */
  readonly single: boolean
}

/** Makes what a watcher sees of logged transactions. Bytes are copied: they belong to the receiver. */
export class WatchDecoder implements LogDecoder<WatchEvent> {
  from = 0
  out: Array<WatchEvent> = []
  /** The keyspace was dropped: there is nothing more to see. */
  dropped = false
  private readonly watched: Watched
  private readonly slab = new Slab()
  private skipping = false
  private sequence = 0

  constructor(watched: Watched) {
    this.watched = watched
  }

  begin(sequence: number): void {
    this.skipping = sequence < this.from
    this.sequence = sequence
  }

  put(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    if (!this.sees(keyspace, bytes, keyStart, keyEnd)) return
    const { sequence, slab } = this
    this.out.push({ type: "put", sequence, key: slab.copy(bytes, keyStart, keyEnd), value: slab.copy(bytes, valueStart, valueEnd) })
  }

  delete(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    if (keyspace === systemKeyspace && !this.skipping) {
      const row = nameInRowKey(bytes.subarray(keyStart, keyEnd))
      if (row !== undefined && decodeText(row) === this.watched.name) this.dropped = true
    }
    if (!this.sees(keyspace, bytes, keyStart, keyEnd)) return
    this.out.push({ type: "delete", sequence: this.sequence, key: this.slab.copy(bytes, keyStart, keyEnd) })
  }

  rangeDelete(keyspace: number, bytes: Uint8Array, startStart: number, startEnd: number, endStart: number, endEnd: number): void {
    if (this.skipping || keyspace !== this.watched.keyspace) return
    const { lower, single, upper } = this.watched
    const { sequence, slab } = this
    const gte =
      compareRanges(bytes, startStart, startEnd, lower, 0, lower.length) < 0
        ? slab.copy(lower, 0, lower.length)
        : slab.copy(bytes, startStart, startEnd)
    const lt =
      upper !== undefined && compareRanges(bytes, endStart, endEnd, upper, 0, upper.length) > 0
        ? slab.copy(upper, 0, upper.length)
        : slab.copy(bytes, endStart, endEnd)
    if (compareBytes(gte, lt) >= 0) return
    this.out.push(single ? { type: "delete", sequence, key: gte } : { type: "deleteRange", sequence, gte, lt })
  }

  expire(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    if (!this.sees(keyspace, bytes, keyStart, keyEnd)) return
    this.out.push({ type: "delete", sequence: this.sequence, key: this.slab.copy(bytes, keyStart, keyEnd) })
  }

  end(): void {}

  private sees(keyspace: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { keyspace: own, lower, upper } = this.watched
    return (
      !this.skipping &&
      keyspace === own &&
      compareRanges(bytes, start, end, lower, 0, lower.length) >= 0 &&
      (upper === undefined || compareRanges(bytes, start, end, upper, 0, upper.length) < 0)
    )
  }
}
