/**
 * Writes a table file from entries in internal order: pure, buffers out. docs/format/table.md.
 */
import { compareBytes, compareRanges } from "../keys/compareBytes.ts"
import { deletedRangesOf } from "../compaction/deletedRanges.ts"
import type { KeyPlace } from "../compaction/KeySpan.ts"
import { keyHash } from "../keys/keyHash.ts"
import { keyspaceSeed } from "../keys/keyspaceSeed.ts"
import { Kind } from "../keys/kinds.ts"
import type { RootPointer, TableMeta } from "../manifest/TableMeta.ts"
import type { Codec, Crc32 } from "../seams.ts"
import { decodeValuePointer } from "../values/ValuePointer.ts"
import { BloomFilter } from "./BloomFilter.ts"
import { FencePageWriter } from "./FencePages.ts"
import { EntryFlag } from "./leaf.ts"
import { LeafBuilder } from "./LeafBuilder.ts"
import { OutputChunks } from "./OutputChunks.ts"
import { FragmentedTombstones } from "./RangeTombstones.ts"
import type { TombstoneFragment } from "./RangeTombstones.ts"
import { compressedIfWorthIt } from "./storedBlock.ts"
import { AdaptiveCompression } from "./AdaptiveCompression.ts"
import { encodeRoot, encodeTableFooter, encodeTableHeader, SectionKind } from "./tableFormat.ts"
import type { Section } from "./tableFormat.ts"
import { encodeTableProperties } from "./TableProperties.ts"
import type { TableProperties } from "./TableProperties.ts"

export const defaultTableBlockBytes = 2048
/** A leaf's offsets are u16 up to this size. */
export const tableBlockBytesMax = 32 * 1024
export const defaultFilterBitsPerKey = 10

export interface TableBuilderOptions {
  readonly crc32: Crc32
  /** Undefined: nothing is compressed. */
  readonly codec?: Codec | undefined
  /** Of the database, 16 bytes. */
  readonly uuid: Uint8Array
  readonly fileId: number
  readonly level: number
  /** Seed of `keyHash` of the database. */
  readonly hashSeed: number
  /** Engine time, for the properties. */
  readonly createdAtMs?: number | undefined
  /** A leaf grows no larger than this unless it holds a single entry. Default 2 KiB, at most 32 KiB. */
  readonly blockBytes?: number | undefined
  /** 0: no filter. */
  readonly filterBitsPerKey?: number | undefined
  /** One byte of key hash per entry in front of each leaf, for point reads. Default true. */
  readonly hashIndex?: boolean | undefined
  /** Ids of the tables this one replaces, and those listed by them whose files still exist. */
  readonly replaced?: ReadonlyArray<number> | undefined
}

export interface FinishedTable {
  /** What `takeOutput` had not yet handed out, to be written at `position`. */
  readonly buffers: ReadonlyArray<Uint8Array>
  readonly position: number
  readonly root: RootPointer
  readonly properties: TableProperties
  /** For the manifest. A table without entries and tombstones has none. */
  readonly meta: TableMeta | undefined
}

const chunkBytes = 256 * 1024

/**
 * Give entries by `add`, in internal order (`compareInternal`), range tombstones by `addTombstones`, at any time before `finish`. From time to time write what `takeOutput`
 * returns.
 *
 * **Details** An entry of sequence 0 is stored without one (elision, decided by the caller entry by entry: only below every snapshot and horizon, never with an expiry).
 * Entries out of order are a defect of the caller and throw an `Error`.
 */
export class TableBuilder {
  /** Entries so far. */
  entryCount = 0
  readonly #options: TableBuilderOptions
  readonly #blockBytes: number
  readonly #filterBitsPerKey: number
  readonly #leaf: LeafBuilder
  readonly #fences = new FencePageWriter()
  readonly #sections: Array<Section> = []
  readonly #output = new OutputChunks(chunkBytes)
  #hashes = new Uint32Array(1024)
  #keyCount = 0
  #leafCount = 0
  #deleteCount = 0
  #keyBytes = 0
  #valueBytes = 0
  #firstExpiryMs = 0
  #lastExpiryMs = 0
  #smallestSequence = Number.MAX_SAFE_INTEGER
  #largestSequence = 0
  #hash = 0
  /** The key added last, with its keyspace and sequence. */
  #lastKey = new Uint8Array(256)
  #lastLength = 0
  #lastKeyspace = -1
  #lastSequence = 0
  #smallest: KeyPlace | undefined = undefined
  /** Of the leaf being filled. */
  #fence: Uint8Array = new Uint8Array(0)
  #fenceSequence: number | undefined = undefined
  readonly #compression: AdaptiveCompression
  readonly #valueRefs = new Map<number, number>()
  readonly #tombstones: Array<TombstoneFragment> = []

  constructor(options: TableBuilderOptions) {
    this.#options = options
    this.#blockBytes = Math.min(tableBlockBytesMax, options.blockBytes ?? defaultTableBlockBytes)
    this.#filterBitsPerKey = options.filterBitsPerKey ?? defaultFilterBitsPerKey
    this.#compression = new AdaptiveCompression(options.codec)
    this.#leaf = new LeafBuilder(this.#blockBytes, options.hashIndex ?? true)
    this.#output.append(encodeTableHeader(options.crc32, options))
  }

  /** `kind` is put, delete or expire. With `isPointer` the value is an encoded `ValuePointer`. All bytes are copied. */
  add(
    keyspace: number,
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    kind: number,
    expiresAt: number,
    isPointer: boolean,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number
  ): void {
    const keyLength = keyEnd - keyStart
    const sameKeyspace = keyspace === this.#lastKeyspace
    const d = sameKeyspace ? compareRanges(this.#lastKey, 0, this.#lastLength, keyBytes, keyStart, keyEnd) : this.#lastKeyspace - keyspace
    if (d > 0 || (d === 0 && sequence >= this.#lastSequence)) throw new Error("table entries must be added in internal order, and each once")
    if (d !== 0) {
      this.#hash = keyHash(keyspaceSeed(this.#options.hashSeed, keyspace), keyBytes, keyStart, keyEnd)
      if (this.#filterBitsPerKey > 0) this.#addHash()
      this.#keyCount++
    }
    const flags = kind | (sequence === 0 ? 0 : EntryFlag.sequence) | (expiresAt === 0 ? 0 : EntryFlag.expiry) | (isPointer ? EntryFlag.pointer : 0)
    const leaf = this.#leaf
    if (!sameKeyspace && leaf.count > 0) this.#closeLeaf()
    if (leaf.count > 0 && !leaf.add(this.#hash, keyBytes, keyStart, keyEnd, sequence, flags, expiresAt, valueBytes, valueStart, valueEnd))
      this.#closeLeaf()
    if (leaf.count === 0) {
      leaf.keyspace = keyspace
      this.#fenceSequence = undefined
      if (!sameKeyspace) this.#fence = new Uint8Array(0)
      else if (d === 0) {
        this.#fence = keyBytes.slice(keyStart, keyEnd)
        this.#fenceSequence = sequence
      } else this.#fence = separator(this.#lastKey, this.#lastLength, keyBytes, keyStart, keyEnd)
      leaf.add(this.#hash, keyBytes, keyStart, keyEnd, sequence, flags, expiresAt, valueBytes, valueStart, valueEnd)
    }
    this.#smallest ??= { keyspace, key: keyBytes.slice(keyStart, keyEnd) }
    if (d !== 0) {
      if (keyLength > this.#lastKey.length) this.#lastKey = new Uint8Array(keyLength * 2)
      const lastKey = this.#lastKey
      for (let i = 0; i < keyLength; i++) lastKey[i] = keyBytes[keyStart + i]!
      this.#lastLength = keyLength
      this.#lastKeyspace = keyspace
    }
    this.#lastSequence = sequence
    this.entryCount++
    if (kind === Kind.delete || kind === Kind.expire) this.#deleteCount++
    this.#keyBytes += keyLength
    this.#valueBytes += valueEnd - valueStart
    this.#seen(sequence)
    if (expiresAt !== 0) {
      this.#firstExpiryMs = this.#firstExpiryMs === 0 ? expiresAt : Math.min(this.#firstExpiryMs, expiresAt)
      this.#lastExpiryMs = Math.max(this.#lastExpiryMs, expiresAt)
    }
    if (isPointer) {
      const pointer = decodeValuePointer(valueBytes, valueStart, valueEnd)
      this.#valueRefs.set(pointer.fileId, (this.#valueRefs.get(pointer.fileId) ?? 0) + pointer.storedLength)
    }
  }

  /** Sorted, not overlapping fragments (as `fragment` makes them), after those of earlier calls. Their bytes are held until `finish`. */
  addTombstones(fragments: Iterable<TombstoneFragment>): void {
    for (const fragment of fragments) {
      const last = this.#tombstones[this.#tombstones.length - 1]
      if (last !== undefined && (last.keyspace - fragment.keyspace || compareBytes(last.end, fragment.start)) > 0) {
        throw new Error("range tombstones must be added in order and not overlap")
      }
      this.#tombstones.push(fragment)
      for (const sequence of fragment.sequences) this.#seen(sequence)
    }
  }

  /** About how large the file would be if finished now. */
  get estimatedBytes(): number {
    return (
      this.#output.position +
      (this.#leaf.count === 0 ? 0 : this.#leaf.sizeBound) +
      this.#fences.bytes +
      Math.ceil((this.#keyCount * this.#filterBitsPerKey) / 8) +
      512
    )
  }

  /** Where the buffers that `takeOutput` returns next belong. */
  get outputPosition(): number {
    return this.#output.takenPosition
  }

  /** Bytes that `takeOutput` would return. */
  get pendingBytes(): number {
    return this.#output.position - this.#output.takenPosition
  }

  /** The file's bytes since the last call, to be written at what `outputPosition` was before it. The builder never touches them again. */
  takeOutput(): Array<Uint8Array> {
    return this.#output.take()
  }

  /** Ends the table. The builder is of no use afterwards. */
  finish(): FinishedTable {
    const { crc32, fileId, uuid, level } = this.#options
    if (this.#leaf.count > 0) this.#closeLeaf()
    this.#fences.close()
    for (const page of this.#fences.pages) this.#section(SectionKind.fencePage, page.leafCount, page.bytes)
    if (this.#filterBitsPerKey > 0 && this.#keyCount > 0) {
      const filter = BloomFilter.withRoomFor(this.#keyCount, this.#filterBitsPerKey)
      for (let i = 0; i < this.#keyCount; i++) filter.add(this.#hashes[i]!)
      this.#section(SectionKind.filter, 0, filter.encode())
    }
    const tombstones = new FragmentedTombstones(this.#tombstones)
    if (!tombstones.isEmpty) this.#section(SectionKind.tombstones, 0, tombstones.encode())
    const properties = this.#properties()
    this.#section(SectionKind.properties, 0, encodeTableProperties(properties))
    const { kind: _kind, leafCount: _leafCount, ...root } = this.#block(0, 0, encodeRoot(this.#sections))
    this.#output.append(encodeTableFooter(crc32, { uuid, fileId, root }))
    const { smallest, largest, smallestSequence, largestSequence, entryCount, deleteCount, rangeTombstoneCount, valueRefs } = properties
    const position = this.#output.takenPosition
    const deletedRanges = deletedRangesOf(this.#tombstones)
    const meta: TableMeta | undefined =
      smallest === undefined || largest === undefined
        ? undefined
        : {
            fileId,
            level,
            fileBytes: this.#output.position,
            smallest,
            largest,
            smallestSequence,
            largestSequence,
            entryCount,
            deleteCount,
            rangeTombstoneCount,
            root,
            valueRefs,
            ...(deletedRanges.length === 0 ? {} : { deletedRanges })
          }
    return { buffers: this.takeOutput(), position, root, properties, meta }
  }

  #properties(): TableProperties {
    const { uuid, fileId, level, hashSeed, createdAtMs, replaced } = this.#options
    const lastKey = this.entryCount === 0 ? undefined : { keyspace: this.#lastKeyspace, key: this.#lastKey.slice(0, this.#lastLength) }
    const first = this.#tombstones[0]
    const last = this.#tombstones[this.#tombstones.length - 1]
    let smallest = this.#smallest
    let largest: KeyPlace | undefined = lastKey
    let largestIsExclusive = false
    let rangeTombstoneCount = 0
    for (const fragment of this.#tombstones) rangeTombstoneCount += fragment.sequences.length
    if (first !== undefined && (smallest === undefined || (first.keyspace - smallest.keyspace || compareBytes(first.start, smallest.key)) < 0)) {
      smallest = { keyspace: first.keyspace, key: first.start.slice() }
    }
    if (last !== undefined && (largest === undefined || (last.keyspace - largest.keyspace || compareBytes(last.end, largest.key)) > 0)) {
      largest = { keyspace: last.keyspace, key: last.end.slice() }
      largestIsExclusive = true
    }
    return {
      uuid,
      fileId,
      level,
      hashSeed: hashSeed >>> 0,
      createdAtMs: createdAtMs ?? 0,
      entryCount: this.entryCount,
      keyCount: this.#keyCount,
      deleteCount: this.#deleteCount,
      rangeTombstoneCount,
      leafCount: this.#leafCount,
      smallest,
      largest,
      largestIsExclusive,
      smallestSequence: smallest === undefined ? 0 : this.#smallestSequence,
      largestSequence: this.#largestSequence,
      keyBytes: this.#keyBytes,
      valueBytes: this.#valueBytes,
      firstExpiryMs: this.#firstExpiryMs,
      lastExpiryMs: this.#lastExpiryMs,
      blockBytes: this.#blockBytes,
      filterBitsPerKey: this.#filterBitsPerKey,
      replaced: replaced ?? [],
      valueRefs: Array.from(this.#valueRefs, ([valueFileId, bytes]) => ({ fileId: valueFileId, bytes })).sort((a, b) => a.fileId - b.fileId)
    }
  }

  #seen(sequence: number): void {
    if (sequence < this.#smallestSequence) this.#smallestSequence = sequence
    if (sequence > this.#largestSequence) this.#largestSequence = sequence
  }

  #addHash(): void {
    if (this.#keyCount === this.#hashes.length) {
      const larger = new Uint32Array(this.#hashes.length * 2)
      larger.set(this.#hashes)
      this.#hashes = larger
    }
    this.#hashes[this.#keyCount] = this.#hash
  }

  #closeLeaf(): void {
    const { codec, crc32 } = this.#options
    const bound = this.#leaf.sizeBound
    const keyspace = this.#leaf.keyspace
    const output = this.#output
    output.reserve(bound)
    const start = output.used
    const raw = output.bytes.subarray(start, this.#leaf.write(output.bytes, start))
    const compressed = this.#compression.compress(raw)
    const storedLength = compressed === undefined ? raw.length : compressed.length
    if (compressed !== undefined) output.bytes.set(compressed, start)
    const sum = crc32(output.bytes.subarray(start, start + storedLength))
    this.#fences.add(
      keyspace,
      this.#fence,
      this.#fenceSequence,
      output.position,
      storedLength,
      raw.length,
      compressed === undefined ? 0 : codec!.id,
      sum
    )
    output.commit(storedLength)
    this.#leafCount++
  }

  #section(kind: number, leafCount: number, raw: Uint8Array): void {
    this.#sections.push(this.#block(kind, leafCount, raw))
  }

  #block(kind: number, leafCount: number, raw: Uint8Array): Section {
    const { codec, crc32 } = this.#options
    const compressed = compressedIfWorthIt(codec, raw)
    const stored = compressed ?? raw
    const offset = this.#output.position
    this.#output.append(stored)
    return {
      kind,
      leafCount,
      offset,
      storedLength: stored.length,
      rawLength: raw.length,
      codec: compressed === undefined ? 0 : codec!.id,
      sum: crc32(stored)
    }
  }
}

/** The shortest key above `last` and at or below `key`, which is above `last`. */
const separator = (last: Uint8Array, lastLength: number, key: Uint8Array, keyStart: number, keyEnd: number): Uint8Array => {
  let shared = 0
  while (shared < lastLength && last[shared] === key[keyStart + shared]) shared++
  return key.slice(keyStart, Math.min(keyEnd, keyStart + shared + 1))
}
