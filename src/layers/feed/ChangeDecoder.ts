import { Slab } from "../../domain/bytes/Slab.ts"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { decodeKeyspaceRow, nameInRowKey, nextIdKey } from "../../domain/keys/catalogRows.ts"
import { compareBytes, equalRanges } from "../../domain/keys/compareBytes.ts"
import { prefixSuccessor } from "../../domain/keys/KeyBounds.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import { atomicNameOf } from "../../domain/transaction/atomic.ts"
import { type BeforeImage, ImagePlace } from "../../domain/wal/beforeImage.ts"
import type { Change, ChangeOperation } from "../../services/Changes.ts"
import type { LogDecoder } from "./followLog.ts"
import type { KeyspaceNames } from "./KeyspaceNames.ts"

export interface ChangeFilter {
  readonly keyspace: string | undefined
  /** Not empty. */
  readonly prefix: Uint8Array | undefined
}

/** Makes changes of logged transactions. What the engine writes for itself is left out, and with it the transactions that hold nothing else. Bytes are copied: they belong to the receiver. */
export class ChangeDecoder implements LogDecoder<Change> {
  from = 0
  out: Array<Change> = []
  private readonly names: KeyspaceNames
  private readonly keyspace: string | undefined
  private readonly prefix: Uint8Array | undefined
  private readonly prefixEnd: Uint8Array | undefined
  private readonly slab = new Slab()
  private skipping = false
  private sequence = 0
  private commitTimeMs = 0
  private annotation: Uint8Array | undefined = undefined
  private operations: Array<ChangeOperation> = []
  /** Rows that name a keyspace; and whether the transaction takes an id, as only a creation does. */
  private namings: Array<string> = []
  private takesId = false
  /** The keyspace of the operation before: mostly that of the next one. */
  private lastId = -1
  private lastName: string | undefined = undefined

  constructor(names: KeyspaceNames, filter: ChangeFilter) {
    this.names = names
    this.keyspace = filter.keyspace
    this.prefix = filter.prefix
    this.prefixEnd = filter.prefix === undefined ? undefined : prefixSuccessor(filter.prefix)
  }

  begin(sequence: number, commitTimeMs: number, bytes: Uint8Array, annotationStart: number, annotationEnd: number): void {
    this.skipping = sequence < this.from
    this.sequence = sequence
    this.commitTimeMs = commitTimeMs
    this.annotation = annotationStart === annotationEnd || this.skipping ? undefined : this.slab.copy(bytes, annotationStart, annotationEnd)
    this.operations = []
  }

  put(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    expiresAt: number,
    annotationStart: number,
    annotationEnd: number,
    beforeStart: number,
    beforeEnd: number
  ): void {
    if (this.skipping) return
    if (keyspace === systemKeyspace) return this.row(bytes.subarray(keyStart, keyEnd), bytes.subarray(valueStart, valueEnd))
    const name = this.shown(keyspace)
    if (name === undefined || !this.hasPrefix(bytes, keyStart, keyEnd)) return
    const operation = {
      type: "put",
      keyspace: name,
      key: this.slab.copy(bytes, keyStart, keyEnd),
      value: this.slab.copy(bytes, valueStart, valueEnd),
      expiresAt: expiresAt === 0 ? undefined : expiresAt,
      atomic: annotationStart === annotationEnd ? undefined : atomicNameOf(bytes.subarray(annotationStart, annotationEnd))
    } as const
    const before = this.before(bytes, beforeStart, beforeEnd)
    this.operations.push(before === undefined ? operation : { ...operation, before })
  }

  delete(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    annotationStart: number,
    annotationEnd: number,
    beforeStart: number,
    beforeEnd: number
  ): void {
    if (this.skipping) return
    if (keyspace === systemKeyspace) {
      const dropped = nameInRowKey(bytes.subarray(keyStart, keyEnd))
      if (dropped === undefined) return
      const name = decodeText(dropped)
      // It takes all keys with it, also those with the prefix.
      if (this.keyspace === undefined || this.keyspace === name) this.operations.push({ type: "dropKeyspace", keyspace: name })
      return
    }
    const name = this.shown(keyspace)
    if (name === undefined || !this.hasPrefix(bytes, keyStart, keyEnd)) return
    const operation = {
      type: "delete",
      keyspace: name,
      key: this.slab.copy(bytes, keyStart, keyEnd),
      atomic: annotationStart === annotationEnd ? undefined : atomicNameOf(bytes.subarray(annotationStart, annotationEnd))
    } as const
    const before = this.before(bytes, beforeStart, beforeEnd)
    this.operations.push(before === undefined ? operation : { ...operation, before })
  }

  rangeDelete(keyspace: number, bytes: Uint8Array, startStart: number, startEnd: number, endStart: number, endEnd: number): void {
    if (this.skipping) return
    const name = this.shown(keyspace)
    if (name === undefined) return
    let gte = this.slab.copy(bytes, startStart, startEnd)
    let lt = this.slab.copy(bytes, endStart, endEnd)
    if (this.prefix !== undefined) {
      if (compareBytes(gte, this.prefix) < 0) gte = this.slab.copy(this.prefix, 0, this.prefix.length)
      if (this.prefixEnd !== undefined && compareBytes(lt, this.prefixEnd) > 0) lt = this.slab.copy(this.prefixEnd, 0, this.prefixEnd.length)
      if (compareBytes(gte, lt) >= 0) return
    }
    this.operations.push({ type: "deleteRange", keyspace: name, gte, lt })
  }

  expire(
    keyspace: number,
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    expiresAt: number,
    version: number,
    beforeStart: number,
    beforeEnd: number
  ): void {
    if (this.skipping) return
    const name = this.shown(keyspace)
    if (name === undefined || !this.hasPrefix(bytes, keyStart, keyEnd)) return
    const operation = { type: "expire", keyspace: name, key: this.slab.copy(bytes, keyStart, keyEnd), expiresAt, version } as const
    const before = this.before(bytes, beforeStart, beforeEnd)
    this.operations.push(before === undefined ? operation : { ...operation, before })
  }

  end(): void {
    if (this.namings.length > 0 || this.takesId) this.creations()
    if (this.operations.length === 0) return
    const { annotation, commitTimeMs, operations, sequence } = this
    this.out.push({ sequence, commitTimeMs, annotation, operations })
  }

  /** Where it is not kept the operation has no such property: most have none. */
  private before(bytes: Uint8Array, start: number, end: number): BeforeImage {
    return start === ImagePlace.notKept ? undefined : start === ImagePlace.none ? null : this.slab.copy(bytes, start, end)
  }

  /** A row of the catalog. */
  private row(key: Uint8Array, value: Uint8Array): void {
    const bytes = nameInRowKey(key)
    if (bytes === undefined) {
      if (compareBytes(key, nextIdKey) === 0) this.takesId = true
      return
    }
    const name = decodeText(bytes)
    const row = decodeKeyspaceRow(value)
    if (row !== undefined) this.names.learn(row.id, name)
    this.lastId = -1
    this.namings.push(name)
  }

  /** A row may be written again with other options: only a creation takes an id. */
  private creations(): void {
    if (this.takesId && this.prefix === undefined) {
      for (const name of this.namings) {
        if (this.keyspace === undefined || this.keyspace === name) this.operations.push({ type: "createKeyspace", keyspace: name })
      }
    }
    this.namings = []
    this.takesId = false
  }

  /** The name of a keyspace whose operations are wanted. */
  private shown(id: number): string | undefined {
    if (id !== this.lastId) {
      const name = this.names.nameOf(id)
      this.lastId = id
      this.lastName = this.keyspace === undefined || this.keyspace === name ? name : undefined
    }
    return this.lastName
  }

  private hasPrefix(bytes: Uint8Array, start: number, end: number): boolean {
    const { prefix } = this
    return prefix === undefined || (end - start >= prefix.length && equalRanges(bytes, start, prefix, 0, prefix.length))
  }
}
