import { compareRanges } from "../keys/compareBytes.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import type { TableMeta } from "../manifest/TableMeta.ts"
import type { StepMachine } from "../steps.ts"
import type { TombstoneBound, TombstoneFragment } from "../table/RangeTombstones.ts"
import { TableBuilder } from "../table/TableBuilder.ts"
import type { JobTools, OutputPolicy } from "./JobSpec.ts"
import { inclusiveEnd } from "./KeySpan.ts"
import type { KeySpan } from "./KeySpan.ts"
import type { OutputIds } from "./OutputIds.ts"
import type { TombstoneCarry } from "./TombstoneCarry.ts"

/** Finished blocks are handed to the driver once they are worth a write. */
const writeBytesMin = 256 * 1024

export interface OutputTablesOptions {
  readonly level: number
  /** Whether a table holds only one keyspace. */
  readonly cutsKeyspaces: boolean
  /** A table is ended at the first new key beyond it. */
  readonly bytesMax: number
  /** In key order. */
  readonly grandparents: ReadonlyArray<KeySpan & { readonly fileBytes: number }>
}

/** For the tables' properties. */
export interface TableProvenance {
  readonly createdAtMs: number
  /** File ids of the tables these replace, and of those that they had replaced and whose files may still be there. */
  readonly replaced: ReadonlyArray<number>
}

/**
 * The tables a job writes, one after the other, with the range tombstones that belong to each.
 *
 * A table is ended only before a new user key, so all versions of a key stay together. Range tombstones are cut directly *after* the last key (`successor`), never before
 * the next one, so that the bounds of neighbours never touch.
 */
export class OutputTables {
  readonly done: Array<TableMeta> = []
  entriesWritten = 0
  sequencesElided = 0
  bytesWritten = 0
  readonly #options: OutputTablesOptions
  readonly #policy: OutputPolicy
  readonly #tools: JobTools
  readonly #ids: OutputIds
  readonly #carry: TombstoneCarry
  readonly #provenance: TableProvenance
  #builder: TableBuilder | undefined = undefined
  #fileId = 0
  #isCreated = false
  #keyspace = -1
  #grandparentAt = 0
  #grandparentBytes = 0

  constructor(
    options: OutputTablesOptions,
    provenance: TableProvenance,
    policy: OutputPolicy,
    tools: JobTools,
    ids: OutputIds,
    carry: TombstoneCarry
  ) {
    this.#options = options
    this.#provenance = provenance
    this.#policy = policy
    this.#tools = tools
    this.#ids = ids
    this.#carry = carry
  }

  /** Whether the current table has to be ended (`endBefore`) before this new user key. */
  mustCut(keyspace: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { bytesMax, cutsKeyspaces, grandparents } = this.#options
    if (cutsKeyspaces && keyspace !== this.#keyspace) return true
    for (; this.#grandparentAt < grandparents.length; this.#grandparentAt++) {
      const { fileBytes, largest } = grandparents[this.#grandparentAt]!
      if ((largest.keyspace - keyspace || compareRanges(largest.key, 0, largest.key.length, bytes, start, end)) >= 0) break
      this.#grandparentBytes += fileBytes
    }
    return this.#builder !== undefined && (this.#builder.estimatedBytes >= bytesMax || this.#grandparentBytes > this.#policy.grandparentBytesMax)
  }

  /** Adds the entry at the cursor, with the sequence and value given. */
  add(entry: EntryCursor, sequence: number, isPointer: boolean, valueBytes: Uint8Array, valueStart: number, valueEnd: number): void {
    const builder = (this.#builder ??= this.#open())
    this.#keyspace = entry.keyspace
    this.entriesWritten++
    if (sequence === 0 && entry.sequence !== 0) this.sequencesElided++
    builder.add(
      entry.keyspace,
      entry.keyBytes,
      entry.keyStart,
      entry.keyEnd,
      sequence,
      entry.kind,
      entry.expiresAt,
      isPointer,
      valueBytes,
      valueStart,
      valueEnd
    )
  }

  /** Whether enough is finished to be worth a `write`. */
  get isWriteDue(): boolean {
    return this.#builder !== undefined && this.#builder.pendingBytes >= writeBytesMin
  }

  *write(): StepMachine<void> {
    const builder = this.#builder!
    const position = builder.outputPosition
    yield* this.#writeAt(builder.takeOutput(), position)
  }

  /**
   * Ends the current table, with the range tombstones before `bound` (undefined: all that are left). Those of keyspaces without entries get tables of their own.
   */
  *endBefore(bound: TombstoneBound | undefined): StepMachine<void> {
    const fragments = this.#carry.takeBefore(bound)
    this.#grandparentBytes = 0
    for (let at = 0; this.#builder !== undefined || at < fragments.length;) {
      // Everything of earlier keyspaces was taken when the current one began, so the open table's fragments come first.
      const keyspace = this.#builder === undefined ? fragments[at]!.keyspace : this.#keyspace
      let end = this.#options.cutsKeyspaces ? at : fragments.length
      while (end < fragments.length && fragments[end]!.keyspace === keyspace) end++
      yield* this.#finish(this.#builder ?? this.#open(), fragments.slice(at, end))
      at = end
    }
    // A keyspace of which nothing was kept so far must not be cut again before each of its keys.
    if (bound !== undefined) this.#keyspace = bound.keyspace
  }

  *#finish(builder: TableBuilder, fragments: ReadonlyArray<TombstoneFragment>): StepMachine<void> {
    builder.addTombstones(fragments)
    const { buffers, meta, position, properties } = builder.finish()
    this.#builder = undefined
    yield* this.#writeAt(buffers, position)
    yield { step: "finish", fileId: this.#fileId }
    // Never empty: a builder is opened for an entry or a tombstone.
    const { largest, ...rest } = meta!
    this.done.push({ ...rest, largest: properties.largestIsExclusive ? { keyspace: largest.keyspace, key: inclusiveEnd(largest.key) } : largest })
    this.bytesWritten += rest.fileBytes
  }

  *#writeAt(buffers: ReadonlyArray<Uint8Array>, position: number): StepMachine<void> {
    if (!this.#isCreated) yield { step: "create", kind: "table", fileId: this.#fileId }
    this.#isCreated = true
    yield { step: "write", fileId: this.#fileId, buffers, position }
  }

  #open(): TableBuilder {
    this.#fileId = this.#ids.take()
    this.#isCreated = false
    const { blockBytes, codec, hashSeed, uuid } = this.#policy
    const { crc32, codecs } = this.#tools
    return new TableBuilder({
      crc32,
      codec: codecs.get(codec),
      uuid,
      fileId: this.#fileId,
      level: this.#options.level,
      hashSeed,
      blockBytes,
      ...this.#provenance
    })
  }
}
